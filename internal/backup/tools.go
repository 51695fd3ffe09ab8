package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Tools are PostgreSQL's client programs and a place for what must lie on a disk for a while.
type Tools struct {
	Directories []string // where to look for the programs first; see postgres.Find
	Scratch     string   // a folder of our own; backups lie there in clear while they are restored
}

// scratchPattern begins the names of everything in Scratch.
const scratchPattern = "backup-*"

// CleanScratch removes what a crash left. Nothing may be using the folder.
func (t Tools) CleanScratch() error {
	left, err := filepath.Glob(filepath.Join(t.Scratch, scratchPattern))
	if err != nil {
		return fmt.Errorf("look for what a crash left in %s: %w", t.Scratch, err)
	}
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// scratchDir makes an empty folder that only we can enter.
func (t Tools) scratchDir() (string, error) {
	if err := os.MkdirAll(t.Scratch, 0o700); err != nil {
		return "", diskError("make the scratch folder", err)
	}
	dir, err := os.MkdirTemp(t.Scratch, scratchPattern)
	if err != nil {
		return "", diskError("make a scratch folder", err)
	}
	return dir, nil
}

// diskError tells a full disk from other errors.
func diskError(doing string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the disk is full", Hint: "free space on it, or set the scratch folder to a larger disk", Cause: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// program finds a program that can work with a server of that major version.
func (t Tools) program(ctx context.Context, name string, major int) (string, error) {
	return postgres.FindProgram(ctx, t.Directories, name, major)
}

// tool is a program of PostgreSQL that runs.
type tool struct {
	name    string
	cmd     *exec.Cmd
	stderr  *tail
	stopped func() error // why it was asked to stop, if it was
	once    sync.Once
	err     error
}

// startTool starts a program on a database (nil: on none). Its standard output goes to stdout, or where the caller reads it (pipe).
// When ctx ends the program is interrupted, and killed ten seconds later.
func startTool(ctx context.Context, path string, args []string, db *Database, stdout io.Writer) (*tool, io.ReadCloser, error) {
	t := &tool{name: filepath.Base(path), stderr: &tail{}, stopped: func() error { return context.Cause(ctx) }}
	t.cmd = postgres.Account{}.Command(ctx, path, args...)
	if db != nil {
		t.stderr.secret = db.password()
		t.cmd.Env = append(t.cmd.Env, db.Environment...)
	}
	t.cmd.Stderr = t.stderr
	var pipe io.ReadCloser
	if stdout != nil {
		t.cmd.Stdout = stdout
	} else {
		var err error
		if pipe, err = t.cmd.StdoutPipe(); err != nil {
			return nil, nil, fmt.Errorf("prepare %s: %w", t.name, err)
		}
	}
	if err := t.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", t.name, err)
	}
	return t, pipe, nil
}

// wait waits for the program's end, once; its pipe must have been read to the end or closed. An error has its last lines.
func (t *tool) wait() error {
	t.once.Do(func() {
		err := t.cmd.Wait()
		if err == nil {
			return
		}
		if why := t.stopped(); why != nil {
			err = why
		}
		t.err = &toolError{name: t.name, lines: t.stderr.lines(), cause: err}
	})
	return t.err
}

// toolError is a program's failure.
type toolError struct {
	name  string
	lines []string
	cause error
}

func (e *toolError) Error() string {
	what := e.cause.Error()
	var exit *exec.ExitError
	if !errors.As(e.cause, &exit) {
		return e.name + ": " + what // it was asked to stop; what it says about that explains nothing
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		what = "it was ended by the signal " + status.Signal().String()
	}
	for _, line := range e.lines {
		if strings.Contains(line, "error:") || strings.Contains(line, "ERROR:") || strings.Contains(line, "FATAL:") {
			what = line
		}
	}
	if !strings.HasPrefix(what, e.name) {
		what = e.name + ": " + what
	}
	return what
}

func (e *toolError) Unwrap() error { return e.cause }

// toolLines are the last lines of the program that failed, if one did.
func toolLines(err error) []string {
	var e *toolError
	if errors.As(err, &e) {
		return e.lines
	}
	return nil
}

// toolReader is what a program writes. Its end is only told after the program has ended well; otherwise reading gives the
// program's error, so that whoever keeps the bytes never takes a torn file for a whole one.
type toolReader struct {
	err  error // once told, told again
	tool *tool
	pipe io.ReadCloser
}

func (r *toolReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.pipe.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	if r.err = r.tool.wait(); r.err == nil {
		r.err = err
	}
	return 0, r.err
}

// Close ends the program if it still runs.
func (r *toolReader) Close() error {
	_ = r.pipe.Close()
	_ = r.tool.cmd.Process.Kill() // it has ended already in the good case
	return r.tool.wait()
}

// tail keeps the last lines that are written to it.
type tail struct {
	mu     sync.Mutex
	last   [][]byte
	rest   []byte
	secret string
}

const (
	tailLines  = 20
	tailLength = 500 // bytes of a line
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, more, ended := bytes.Cut(rest, []byte("\n"))
		if room := tailLength - len(t.rest); room > 0 {
			t.rest = append(t.rest, line[:min(room, len(line))]...)
		}
		if ended {
			t.push()
		}
		rest = more
	}
	return len(p), nil
}

func (t *tail) push() {
	t.last = append(t.last, t.rest)
	t.rest = nil
	if len(t.last) > tailLines {
		t.last = t.last[1:]
	}
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rest) > 0 {
		t.push()
	}
	out := make([]string, len(t.last))
	for i, line := range t.last {
		out[i] = strings.ToValidUTF8(string(line), "?")
		if t.secret != "" {
			out[i] = strings.ReplaceAll(out[i], t.secret, "********")
		}
	}
	return out
}

// cleanupTime is how long tidying up may take after the call itself was asked to stop.
const cleanupTime = 30 * time.Second

// afterEnd is a context for tidying up, whatever happened to ctx.
func afterEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
}

// toolVersion asks a program for its version: "pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)" is 15.8.
func toolVersion(ctx context.Context, program string) (string, error) {
	out, err := postgres.Account{}.Command(ctx, program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	_, rest, _ := strings.Cut(string(out), "(PostgreSQL) ")
	version, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if version == "" {
		return "", fmt.Errorf("%s does not say a version of PostgreSQL", program)
	}
	return version, nil
}
