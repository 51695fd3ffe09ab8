package test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast/internal/servetest"
)

// command is one run of a program and what came of it.
type command struct {
	env   []string
	dir   string
	stdin io.Reader
	as    *syscall.Credential
}

type outcome struct {
	code     int
	out, err string
}

// run runs a program to its end.
func (c command) run(t *testing.T, program string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin, cmd.Env, cmd.Dir = &out, &errs, c.stdin, c.env, c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", program, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %s does not end:\n%s%s", program, strings.Join(args, " "), out.String(), errs.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs a program that has to succeed and returns what it printed.
func (c command) must(t *testing.T, program string, args ...string) string {
	t.Helper()
	o := c.run(t, program, args...)
	if o.code != 0 {
		t.Fatalf("%s %s ended with %d:\n%s%s", program, strings.Join(args, " "), o.code, o.out, last(o.err, 4000))
	}
	return o.out
}

// user is a user on the server's machine, in a directory of its own or in dir.
func (s *server) user(dir string, further ...string) command {
	if dir == "" {
		dir = s.home
	}
	return command{env: s.environment(further...), dir: dir, as: s.as}
}

// holdfast runs a command of the command line on the server's machine.
func (s *server) holdfast(t *testing.T, args ...string) outcome {
	t.Helper()
	return s.user("").run(t, binary, args...)
}

// must runs a command of the command line that has to succeed and returns what it printed.
func (s *server) must(t *testing.T, args ...string) string {
	t.Helper()
	return s.user("").must(t, binary, args...)
}

// background is a program that runs beside the test.
type background struct{ *servetest.Process }

// begin starts a program. It is killed after the test.
func (c command) begin(t *testing.T, program string, args ...string) background {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.env, c.dir, &syscall.SysProcAttr{Credential: c.as}
	b, err := servetest.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	b.KillAfter(t)
	return background{b}
}

// signal sends a signal, waits until the program has ended and returns its exit code, -1 when the signal killed it.
func (b background) signal(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := b.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return b.wait(t)
}

func (b background) wait(t *testing.T) int {
	t.Helper()
	code, err := b.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return code
}
