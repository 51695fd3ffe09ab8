package pgtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// guardScript waits until its standard input ends, which it does when the test process has ended in whatever way. Then it ends
// every process that works below the directory and removes the directory.
const guardScript = `cat >/dev/null
workers() { find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' \( -lname "$1/*" -o -lname "$1" \) 2>/dev/null | cut -d/ -f3; }
for signal in QUIT KILL KILL; do
  for pid in $(workers "$1"); do kill -$signal $pid 2>/dev/null; done
  n=0; while [ -n "$(workers "$1")" ] && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done
done
rm -rf "$1"`

// guarded is the directory of this test process, below which every server and directory of a test lies.
var guarded struct {
	sync.Mutex
	root string
	dirs int
	// The write end of the guard's standard input: held open as long as this process lives.
	leash *os.File
}

func guardedRoot(t testing.TB) string {
	t.Helper()
	guarded.Lock()
	defer guarded.Unlock()
	if guarded.root != "" {
		return guarded.root
	}
	// Short, so that sockets below it are: their paths have a limit.
	root, err := os.MkdirTemp("/tmp", "hf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o711); err != nil { // the servers' account passes through
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", root)
	guard.Dir, guard.Stdin = "/", read
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal must not end it first
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	if err := guard.Process.Release(); err != nil {
		t.Fatal(err)
	}
	guarded.root, guarded.leash = root, write
	return root
}

// Dir returns an empty directory that belongs to the servers' account, with a short path. After the test, processes that
// still work in it are killed and it is removed.
func Dir(t testing.TB) string {
	t.Helper()
	root := guardedRoot(t)
	guarded.Lock()
	guarded.dirs++
	dir := filepath.Join(root, strconv.Itoa(guarded.dirs))
	guarded.Unlock()
	if err := Account(t).MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		EndProcessesBelow(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's directory: %v", err)
		}
	})
	return dir
}

// Kept returns a directory of the whole test process, which make fills when the first test asks for it by name: for what is costly
// to make and only copied afterwards. It is removed when the test process has ended.
func Kept(t testing.TB, name string, make func(dir string)) string {
	t.Helper()
	dir := filepath.Join(guardedRoot(t), "kept-"+name)
	kept.Lock()
	defer kept.Unlock()
	if kept.made[dir] {
		return dir
	}
	if err := errors.Join(os.RemoveAll(dir), Account(t).MkdirAll(dir)); err != nil {
		t.Fatal(err)
	}
	make(dir)
	kept.made[dir] = true
	return dir
}

// kept says what Kept has made.
var kept = struct {
	sync.Mutex
	made map[string]bool
}{made: map[string]bool{}}

// EndProcessesBelow kills every process whose working directory is dir or below it, and waits until they have ended.
func EndProcessesBelow(t testing.TB, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		pids := ProcessesBelow(t, dir)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)               // it may have ended meanwhile
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // it may not be ours to reap
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("processes %v below %s do not end", pids, dir)
		}
	}
}

// ProcessesBelow lists the processes whose working directory is dir or below it.
func ProcessesBelow(t testing.TB, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		if cwd == dir || strings.HasPrefix(cwd, dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}
