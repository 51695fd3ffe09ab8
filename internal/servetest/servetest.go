// Package servetest runs `holdfast serve` as a process of its own, for tests and benchmarks.
//
// A caller may rely on this: the server runs the PostgreSQL that was chosen for tests, what it says can be read while it says it, and no wait is
// longer than Patience. What lies in its data directory is read only to find out where it is.
package servetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// Patience bounds every wait for a process. It is waited for in full only when something is broken.
const Patience = 2 * time.Minute

// Transcript is written by a process while others read it.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Options say which server is started and how.
type Options struct {
	Binary        string              // the program, a path or a name to look up
	Data          string              // its data directory
	HTTP, Gateway string              // its addresses; empty: a free port of this machine
	Args          []string            // further arguments
	Env           []string            // its environment; nil: that of this process
	Dir           string              // where it works; empty: where this process does
	As            *syscall.Credential // nil: the user of this process
}

// Process is a program, most often a `holdfast serve`, running or ended.
type Process struct {
	Out, Log *Transcript // what it told users, and what it logged

	data  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// Launch starts a server and waits for nothing. It leads a process group of its own, so that an interrupt at the terminal reaches only its parent.
func Launch(o Options) (*Process, error) {
	args := []string{"serve", "--data", o.Data, "--http", orFree(o.HTTP), "--gateway", orFree(o.Gateway)}
	cmd := exec.Command(o.Binary, append(args, o.Args...)...)
	cmd.Env, cmd.Dir = o.Env, o.Dir
	if o.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, PostgreSQL()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: o.As}
	p, err := Begin(cmd)
	if err == nil {
		p.data = o.Data
	}
	return p, err
}

// Begin starts any program and keeps what it says.
func Begin(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Out: &Transcript{}, Log: &Transcript{}, ended: make(chan struct{}), cmd: cmd}
	cmd.Stdout, cmd.Stderr = p.Out, p.Log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		close(p.ended)
	}()
	return p, nil
}

func orFree(address string) string {
	if address == "" {
		return "127.0.0.1:0"
	}
	return address
}

// PostgreSQL is the part of the environment that leads a server to the programs that were chosen for tests.
func PostgreSQL() []string {
	if dirs := pgtest.Setting(); len(dirs) > 0 {
		return []string{"HOLDFAST_POSTGRESQL=" + strings.Join(dirs, ",")}
	}
	return nil
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Gone says whether the process has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Greeted waits until the server has said hello to the end: everything that it does at its start is done.
func (p *Process) Greeted() error {
	if !Poll(func() bool { return p.Gone() || strings.HasSuffix(p.Out.String(), "\n\n") }) {
		return fmt.Errorf("the server does not say hello:\n%s%s", p.Out, p.Log)
	}
	if p.Gone() {
		return fmt.Errorf("the server ended with %d:\n%s%s", p.ExitCode(), p.Out, p.Log)
	}
	return nil
}

// APIAddress is where the server's API is. The server must have said hello.
func (p *Process) APIAddress() (string, error) {
	var note struct{ URL string }
	raw, err := os.ReadFile(filepath.Join(p.data, "server.json"))
	if err == nil {
		err = json.Unmarshal(raw, &note)
	}
	if err != nil {
		return "", fmt.Errorf("find the server: %w", err)
	}
	return note.URL, nil
}

// Client makes a client of the server's API with the token of its first admin. The server must have said hello.
func (p *Process) Client() (*api.Client, error) {
	url, err := p.APIAddress()
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(p.data, "admin.token"))
	if err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	return api.NewClient(url, strings.TrimSpace(string(token)), "test")
}

// Signal sends a signal to the process alone.
func (p *Process) Signal(signal syscall.Signal) error { return p.cmd.Process.Signal(signal) }

// SignalGroup sends a signal to the server and the programs that it runs in its group, as a terminal does.
func (p *Process) SignalGroup(signal syscall.Signal) error {
	return syscall.Kill(-p.Pid(), signal)
}

// Wait waits until the process has ended and returns its exit code, -1 when a signal killed it.
func (p *Process) Wait() (int, error) {
	select {
	case <-p.ended:
		return p.ExitCode(), nil
	case <-time.After(Patience):
		return 0, fmt.Errorf("%s does not end:\n%s%s", p.cmd.Path, p.Out, p.Log)
	}
}

// ExitCode is that of a process that has ended; -1 when a signal killed it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Kill ends the process at once, whether it runs or not, and waits for that. The databases live on.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// Stop asks the server to end as Ctrl-C does, and kills it when it does not.
func (p *Process) Stop() error {
	_ = p.Signal(syscall.SIGINT) // it may have ended
	_, err := p.Wait()
	if err != nil {
		p.Kill()
	}
	return err
}

// KillAfter kills the process when the test ends, and tells what it said when the test failed.
func (p *Process) KillAfter(t testing.TB) {
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			log := p.Log.String()
			t.Logf("%s said:\n%s%s", p.cmd.Path, p.Out, log[max(0, len(log)-8000):])
		}
	})
}

// CreateProject creates a project and waits until it is there.
func CreateProject(ctx context.Context, client *api.Client, ask api.NewProject) error {
	job, err := client.CreateProject(ctx, ask)
	if err != nil {
		return err
	}
	if job, err = client.FollowJob(ctx, job.ID, func(api.Job) {}); err != nil {
		return err
	}
	return job.Err()
}

// Until waits until something is so, by asking again and again: the other side is a process that gives no signal.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !Poll(is) {
		t.Fatalf("gave up waiting: %s", what)
	}
}

// Poll asks again and again and returns true as soon as it is so, false when that takes longer than Patience.
func Poll(is func() bool) bool {
	tick, end := time.NewTicker(20*time.Millisecond), time.After(Patience)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			return false
		}
	}
	return true
}
