package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// process is a running process, our child or not. It is held by a pidfd, which no other process can take over when the
// number is used again.
type process struct {
	pid   int
	pidfd *os.File
	ended chan struct{} // closed when the process has ended
	done  chan struct{} // closed when the watching goroutine has returned
	once  sync.Once
}

// watch holds on to a process and notices its end; a child is reaped.
func watch(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	p := &process{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd"), ended: make(chan struct{}), done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	defer close(p.done)
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	// A pidfd becomes readable when its process ends. Closing the file ends the wait.
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	if err != nil {
		return
	}
	var status unix.WaitStatus
	for { // ECHILD: somebody else's child, and theirs to reap
		if _, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	close(p.ended)
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// signal sends a signal. That the process has ended meanwhile is no error.
func (p *process) signal(sig unix.Signal) error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		sent = err
	}
	if sent != nil && !errors.Is(sent, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.pid, sent)
	}
	return nil
}

// release lets go of the process, which runs on. It returns when the watching goroutine has.
func (p *process) release() {
	p.once.Do(func() { _ = p.pidfd.Close() })
	<-p.done
}

// waitEnd waits until the process has ended.
func (p *process) waitEnd(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	case <-p.done:
		if p.hasEnded() {
			return nil
		}
		return errors.New("the process was let go")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// processState is what /proc says of a process.
type processState struct {
	zombie  bool
	started uint64 // clock ticks after the machine's start
}

// readProcess reads the state of a process; ok is false when there is none.
func readProcess(pid int) (state processState, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return processState{}, false
	}
	// The second field is the program's name in parentheses and may hold anything, a parenthesis too.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return processState{}, false
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return processState{zombie: fields[0] == "Z" || fields[0] == "X", started: started}, err == nil
}

// worksIn says whether a process lives, is a PostgreSQL server process and has dir as its working directory, which every server process
// keeps for its whole life. That it cannot be told is an error: a server that runs must never be taken for a dead one.
func (a Account) worksIn(pid int, dir os.FileInfo) (works bool, err error) {
	const tries = 20
	for range tries {
		a.look(func() { works, err = worksIn(pid, dir) })
		if !errors.Is(err, fs.ErrPermission) {
			return works, err
		}
		if !a.owns(pid) {
			return false, nil // whatever it is, it is no server of ours
		}
		// A process that root has just started for the account cannot be looked at until it has its program.
		time.Sleep(time.Millisecond)
	}
	return false, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("process %d of the user %s may be a PostgreSQL server, but it cannot be told which", pid, a.Name),
		Hint: "run Holdfast where it may look at the processes of that user, as with the capability CAP_SYS_PTRACE", Cause: err}
}

// look runs f with the account's rights to files. Root in a container has not always the right to look into other users'
// processes; each user has it for its own. It is the thread's property, so nothing else of this process is touched.
func (a Account) look(f func()) {
	if !a.switchUser {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The group first: without root's rights it could not be changed. Going back, root's come first.
	group, _ := unix.SetfsgidRetGid(a.GID)
	user, _ := unix.SetfsuidRetUid(a.UID)
	defer func() {
		_, _ = unix.SetfsuidRetUid(user)
		_, _ = unix.SetfsgidRetGid(group)
	}()
	f()
}

// owns says whether a process belongs to the account.
func (a Account) owns(pid int) bool {
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == a.UID
}

func worksIn(pid int, dir os.FileInfo) (bool, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	cwd, err := os.Stat(filepath.Join(proc, "cwd"))
	if errors.Is(err, fs.ErrPermission) {
		if state, ok := readProcess(pid); !ok || state.zombie {
			return false, nil
		}
		return false, err
	}
	if err != nil || !os.SameFile(cwd, dir) {
		return false, nil // it has ended, or works elsewhere
	}
	state, ok := readProcess(pid)
	return ok && !state.zombie && isPostgres(proc), nil
}

// processesIn lists the server processes that work in a data directory.
func (a Account) processesIn(dataDir string) ([]int, error) {
	dir, err := os.Stat(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the data directory: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		works, err := a.worksIn(pid, dir)
		if err != nil {
			return nil, err
		}
		if works {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
