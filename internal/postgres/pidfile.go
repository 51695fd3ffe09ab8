package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pidFile is what a postmaster writes into postmaster.pid of its data directory.
type pidFile struct {
	pid     int
	started int64  // seconds since 1970
	status  string // ready, starting, stopping, standby; empty while it is not yet written
}

// The states in the last line of postmaster.pid.
const (
	statusReady   = "ready"
	statusStandby = "standby"
)

// readPidFile reads postmaster.pid; ok is false when there is none, or an empty one, as a full disk leaves it.
func (s *Server) readPidFile() (file pidFile, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(s.config.DataDir, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return pidFile{}, false, nil
	}
	if err != nil {
		return pidFile{}, false, fmt.Errorf("read postmaster.pid: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	// A standalone backend writes its number negated.
	file.pid, err = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(lines[0]), "-"))
	if err != nil {
		return pidFile{}, false, nil
	}
	if len(lines) > 2 {
		file.started, _ = strconv.ParseInt(strings.TrimSpace(lines[2]), 10, 64) // zero when it is not a number, which agrees with no process
	}
	if len(lines) > 7 {
		file.status = strings.TrimSpace(lines[7])
	}
	return file, true, nil
}

// running returns the number of the live postmaster of the data directory. A pid file that names a process which ended, or a process
// of somebody else that got its number, is stale: then it returns 0.
func (s *Server) running() (int, error) {
	file, ok, err := s.readPidFile()
	if err != nil || !ok {
		return 0, err
	}
	dir, err := os.Stat(s.config.DataDir)
	if err != nil {
		return 0, fmt.Errorf("look at the data directory: %w", err)
	}
	if works, err := s.config.Account.worksIn(file.pid, dir); err != nil || !works {
		return 0, err
	}
	// A process of this very directory can still be another one than the file means: an orphan of a dead postmaster. Its
	// start tells them apart; where the clock was set meanwhile, the socket does: the kernel remembers who listens.
	if startedAt(file.pid, file.started) || s.listener() == file.pid {
		return file.pid, nil
	}
	return 0, nil
}

// startedAt says whether a process started at a time in seconds since 1970, give or take what the start of a postmaster
// until it writes its pid file and the kernel's rounding take.
func startedAt(pid int, unixSeconds int64) bool {
	const slack = 5 * time.Second
	state, ok := readProcess(pid)
	if !ok {
		return false
	}
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return false
	}
	const ticksPerSecond = 100 // USER_HZ: fixed for user space on every architecture that Go supports
	age := time.Duration(sinceBoot.Nano()) - time.Duration(state.started)*time.Second/ticksPerSecond
	difference := time.Unix(unixSeconds, 0).Sub(time.Now().Add(-age))
	return difference > -slack && difference < slack
}

// listener returns the number of the process that listens on the server's socket, or 0.
func (s *Server) listener() int {
	conn, err := net.DialTimeout("unix", s.SocketPath(), time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // its error leaves pid 0: nobody known listens
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

// clearDead removes what a postmaster that was killed left: processes of its own that have not noticed yet, and its pid
// file. The processes must go first: they are attached to the old shared memory and may still write to the data files, and
// PostgreSQL's own guard against that is the pid file. It must not be called while the server runs.
func (s *Server) clearDead(ctx context.Context) error {
	if err := s.EndOrphans(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.config.DataDir, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

// clearKilled clears what a postmaster left that did not end in order: one that did has removed its pid file itself, after
// the last of its processes.
func (s *Server) clearKilled(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(s.config.DataDir, "postmaster.pid")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.clearDead(ctx)
}

// EndOrphans ends the processes that work in the data directory though no postmaster runs there: those of a postmaster that was
// killed, and those of an interrupted initdb, which has none. It must not be called while the server runs.
func (s *Server) EndOrphans(ctx context.Context) error {
	// An idle one ends by itself within moments; one amid a long query would go on for its whole length. SIGQUIT makes it
	// end without touching anything; SIGKILL is for one that is stopped. Their transactions are lost with the postmaster anyway.
	for _, sig := range []unix.Signal{unix.SIGQUIT, unix.SIGKILL, unix.SIGKILL} {
		pids, err := s.config.Account.processesIn(s.config.DataDir)
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := endAll(ctx, pids, sig); err != nil {
			return err
		}
	}
	pids, err := s.config.Account.processesIn(s.config.DataDir)
	if err == nil && len(pids) > 0 {
		return fmt.Errorf("processes %v of a dead server do not end", pids)
	}
	return err
}

// endAll signals processes and waits at most two seconds for each to end.
func endAll(ctx context.Context, pids []int, sig unix.Signal) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Second, errStillThere)
	defer cancel()
	for _, pid := range pids {
		p, err := watch(pid)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return err
		}
		err = p.signal(sig)
		if err == nil {
			err = p.waitEnd(ctx)
		}
		p.release()
		if err != nil && !errors.Is(context.Cause(ctx), errStillThere) {
			return fmt.Errorf("end process %d of a dead server: %w", pid, err)
		}
	}
	return nil
}

var errStillThere = errors.New("the process is still there")
