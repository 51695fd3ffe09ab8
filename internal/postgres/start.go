package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// StopMode says how a server is stopped.
type StopMode int

// The ways to stop a server.
const (
	// Fast ends sessions, rolls their transactions back and writes a checkpoint: the next start needs no recovery.
	Fast StopMode = iota
	// Smart waits until the last client has gone.
	Smart
	// Immediate stops at once; the next start recovers from the write-ahead log.
	Immediate
)

// killGrace is how long a postmaster that was asked to stop at once gets: it gives its own children five seconds.
const killGrace = 10 * time.Second

// Start starts the server and returns when it accepts connections. A server that runs already is adopted. What a killed
// postmaster left behind is cleared first. When ctx ends before the server is ready it is stopped again. The error of a
// server that does not start says PostgreSQL's reason.
func (s *Server) Start(ctx context.Context) error { return s.start(ctx) }

// StartUnsynced is Start for a server whose directory is being made: until it is stopped nothing that it writes is sure to be on the disk. A crash
// of the machine may leave anything; whoever wants to keep the directory syncs it after the stop.
func (s *Server) StartUnsynced(ctx context.Context) error { return s.start(ctx, "-c", "fsync=off") }

func (s *Server) start(ctx context.Context, options ...string) error {
	if running, err := s.Adopt(); err != nil {
		return err
	} else if running {
		return s.waitReady(ctx, 0)
	}
	if err := s.checkStartable(); err != nil {
		return err
	}
	if err := s.clearDead(ctx); err != nil {
		return err
	}
	if err := s.makeSocketDir(); err != nil {
		return err
	}
	offset, err := s.launch(options)
	if err != nil {
		return err
	}
	return s.waitReady(ctx, offset)
}

func (s *Server) checkStartable() error {
	if err := canWrite(s.config.DataDir); err != nil {
		return err
	}
	major, err := s.DataMajor()
	if err != nil {
		return err
	}
	if major != s.config.Installation.Major {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the data belongs to PostgreSQL %d, not %d", major, s.config.Installation.Major)}
	}
	return nil
}

// launch executes the postmaster in a session of its own, with its output going to the log file, so that nothing of it
// depends on this process. It returns where in the log file its output begins.
func (s *Server) launch(options []string) (int64, error) {
	log, offset, err := s.openLog()
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer null.Close()
	program := filepath.Join(s.config.Installation.BinDir, "postgres")
	child, err := os.StartProcess(program, append([]string{program, "-D", s.config.DataDir, "-k", s.socketDir}, options...), &os.ProcAttr{
		Dir:   "/",
		Env:   s.config.Account.environment(s.config.Installation.BinDir),
		Files: []*os.File{null, log, log},
		Sys:   s.config.Account.attributes(),
	})
	if err != nil {
		return 0, fmt.Errorf("start PostgreSQL: %w", err)
	}
	p, err := watch(child.Pid)
	if err != nil {
		_ = child.Kill() // it cannot be watched, so it must not run
		_, _ = child.Wait()
		return 0, err
	}
	_ = child.Release() // watch reaps it
	s.setProcess(p)
	return offset, nil
}

// waitReady watches the status line of postmaster.pid. Reading it takes microseconds, so it is read each millisecond: a
// client waits for this.
func (s *Server) waitReady(ctx context.Context, offset int64) error {
	p := s.current()
	if p == nil {
		return errors.New("PostgreSQL is not running")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		file, ok, err := s.readPidFile()
		if err != nil {
			return err
		}
		if ok && file.pid == p.pid && file.status == statusReady {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			s.forget(p)
			return s.startError(offset)
		case <-ctx.Done():
			// A context that has ended cannot carry the stop.
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
			defer cancel()
			return errors.Join(fmt.Errorf("wait until PostgreSQL is ready: %w", ctx.Err()), s.Stop(stopCtx, Immediate))
		}
	}
}

// startError says why the server did not start: its last FATAL or PANIC line for a person, the last lines as the cause.
func (s *Server) startError(offset int64) error {
	lines := s.logLines(offset, 20)
	message := "PostgreSQL ended while it was starting"
	for _, line := range lines {
		for _, severity := range []string{"FATAL:  ", "PANIC:  "} {
			if _, reason, found := strings.Cut(line, severity); found {
				message = "PostgreSQL does not start: " + reason
			}
		}
	}
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: message, Cause: errors.New(strings.Join(lines, "\n"))}
}

// Adopt looks for a running postmaster of the data directory and holds on to it. It says whether one runs.
func (s *Server) Adopt() (bool, error) {
	if s.Elsewhere() {
		return true, nil // only a connection can tell
	}
	if p := s.current(); p != nil {
		if !p.hasEnded() {
			return true, nil
		}
		s.forget(p)
	}
	pid, err := s.running()
	if err != nil || pid == 0 {
		return false, err
	}
	p, err := watch(pid)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// The number could have passed to another process before it was opened; from here on it cannot.
	if again, err := s.running(); err != nil || again != pid {
		p.release()
		return false, err
	}
	s.setProcess(p)
	return true, nil
}

// Stop stops the server and returns when none of its processes is left. Stopping a server that does not run does nothing. When ctx
// ends first the server is left stopping, and the error is a Timeout or Canceled.
func (s *Server) Stop(ctx context.Context, mode StopMode) error {
	if running, err := s.Adopt(); err != nil {
		return err
	} else if !running {
		return s.clearKilled(ctx)
	}
	p := s.current()
	sig := map[StopMode]unix.Signal{Fast: unix.SIGINT, Smart: unix.SIGTERM, Immediate: unix.SIGQUIT}[mode]
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if mode == Immediate {
		graceCtx, cancel := context.WithTimeout(ctx, killGrace)
		defer cancel()
		if p.waitEnd(graceCtx) != nil && ctx.Err() == nil {
			if err := p.signal(unix.SIGKILL); err != nil {
				return fmt.Errorf("kill PostgreSQL: %w", err)
			}
		}
	}
	if err := p.waitEnd(ctx); err != nil {
		return fmt.Errorf("wait until PostgreSQL has stopped: %w", err)
	}
	s.forget(p)
	return s.clearKilled(ctx)
}

// Detach lets go of a running server, which runs on.
func (s *Server) Detach() {
	if p := s.current(); p != nil {
		s.forget(p)
	}
}

// Ended returns a channel that is closed when the running postmaster has ended, and nil when none is known to run.
func (s *Server) Ended() <-chan struct{} {
	if p := s.current(); p != nil {
		return p.ended
	}
	return nil
}

// Ready says whether the server runs and accepts connections.
func (s *Server) Ready() bool {
	p := s.current()
	if p == nil || p.hasEnded() {
		return false
	}
	file, ok, err := s.readPidFile()
	return err == nil && ok && file.pid == p.pid && (file.status == statusReady || file.status == statusStandby)
}

// Started says when the running postmaster was started, to the second and never too early; zero: none runs.
func (s *Server) Started() (time.Time, error) {
	if pid, err := s.running(); err != nil || pid == 0 {
		return time.Time{}, err
	}
	file, ok, err := s.readPidFile()
	if err != nil || !ok {
		return time.Time{}, err
	}
	return time.Unix(file.started+1, 0), nil
}

// Reload makes the running server read its configuration again.
func (s *Server) Reload() error {
	if p := s.current(); p != nil {
		return p.signal(unix.SIGHUP)
	}
	return nil
}

// Replaced says whether the executable of the running postmaster is no longer the one on disk, as after a package upgrade.
// Then its new backends may load libraries that do not fit it, until it is restarted.
func (s *Server) Replaced() bool {
	p := s.current()
	if p == nil || p.hasEnded() {
		return false
	}
	gone := false
	s.config.Account.look(func() { gone = replaced(p.pid) })
	return gone
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Server) setProcess(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
}

func (s *Server) forget(p *process) {
	s.mu.Lock()
	if s.process == p {
		s.process = nil
	}
	s.mu.Unlock()
	p.release()
}
