package test

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast/internal/servetest"
)

// talk is a program that a test has a conversation with.
type talk struct {
	t     *testing.T
	stdin io.WriteCloser
	begun background
	heard int // of what it has said
}

// talk starts a program in the terms of a user. It is killed after the test.
func (c command) talk(t *testing.T, program string, args ...string) *talk {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.env, c.dir, &syscall.SysProcAttr{Credential: c.as}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	b, err := servetest.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	b.KillAfter(t)
	return &talk{t: t, stdin: stdin, begun: background{b}}
}

func (k *talk) say(line string) {
	k.t.Helper()
	if _, err := io.WriteString(k.stdin, line+"\n"); err != nil {
		k.t.Fatal(err)
	}
}

// hear waits for a line, and passes over those before it.
func (k *talk) hear(line string) {
	k.t.Helper()
	servetest.Until(k.t, "the program says "+line, func() bool {
		said := "\n" + k.begun.Out.String()
		at := strings.Index(said[k.heard:], "\n"+line+"\n")
		if at >= 0 {
			k.heard += at + 1 + len(line)
		}
		return at >= 0
	})
}

// end lets the program end by itself.
func (k *talk) end() {
	k.t.Helper()
	if err := k.stdin.Close(); err != nil {
		k.t.Error(err)
	}
	if code := k.begun.wait(k.t); code != 0 {
		k.t.Errorf("it ended with %d", code)
	}
}
