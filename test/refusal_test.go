package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// refused starts a server that must not start, and checks what it says and that it leaves the data directory as it was.
func refused(t *testing.T, s *server, code int, says ...string) {
	t.Helper()
	before := listing(t, s.data)
	s.launch(t)
	got := s.process.wait(t)
	if got != code {
		t.Errorf("it ended with %d, want %d", got, code)
	}
	for _, want := range append(says, "hint: ") {
		if !strings.Contains(s.process.Log.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, s.process.Log)
		}
	}
	if after := listing(t, s.data); after != before {
		t.Errorf("the data directory was\n%sand is\n%s", before, after)
	}
}

// listing names what lies in a directory; that it is missing, too.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return "nothing\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&names, e.Name())
	}
	return names.String()
}

// branchesOn names the directories of branches on the disk, without the folders that the product keeps for itself beside them.
func branchesOn(t *testing.T, s *server) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.data, "branches", "[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	half, err := filepath.Glob(filepath.Join(s.data, "branches", ".*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(found, half...)
}

func TestTakenPortsAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, place(t), nil)
	s.http = takenPort(t)
	refused(t, s, 6, "the port of "+s.http+" is taken by another program", "--http")
	s.http, s.gateway = "127.0.0.1:0", takenPort(t)
	refused(t, s, 6, "the port of "+s.gateway+" is taken by another program", "--gateway")
	s.gateway = "127.0.0.1:0"
	s.start(t) // and nothing was left that would be in the way
}

func TestASecondServerOnADataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	second := *s
	second.http, second.gateway = "127.0.0.1:0", "127.0.0.1:0"
	refused(t, &second, 6, "another holdfast serve runs with the data directory "+s.data)
	s.must(t, "project", "list")
}

func TestAReadOnlyDataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, place(t), nil)
	if err := os.Mkdir(s.data, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // whom no mode stops
		mount(t, s.data, syscall.MS_RDONLY, "mode=0755")
	} else if err := os.Chmod(s.data, 0o555); err != nil {
		t.Fatal(err)
	}
	refused(t, s, 6, "the data directory "+s.data+" cannot be written")
}

func TestAReadOnlyDataDirectoryIsRefusedToANormalUser(t *testing.T) {
	t.Parallel()
	s := newServer(t, place(t), nobody(t))
	if err := os.Chmod(s.data, 0o555); err != nil {
		t.Fatal(err)
	}
	refused(t, s, 6, "the data directory "+s.data+" cannot be written")
}

// mount puts an empty file system of its own in the place of a directory until the test ends.
func mount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a small file system takes root to mount")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		pgtest.EndProcessesBelow(t, dir)
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// Each size is used up in another step: while the first database is made, the second, and while the sample data come in.
func TestAFullDiskLeavesNoHalfProject(t *testing.T) {
	t.Parallel()
	s := newServer(t, place(t), nil)
	if err := os.Mkdir(s.data, 0o711); err != nil {
		t.Fatal(err)
	}
	mount(t, s.data, 0, "mode=0711,size=24m")
	s.start(t)
	resize := func(size string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", s.data, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []string{"24m", "64m", "110m", "150m"} {
		resize(size)
		o := s.holdfast(t, "project", "create", "shop", "--rows", "200000")
		if said := strings.Split(o.err, "holdfast: "); o.code != 6 || !strings.Contains(last(said[len(said)-1], 2000), "is full") {
			t.Errorf("on a disk of %s it ended with %d:\n%s", size, o.code, last(o.err, 2000))
		}
		var projects []api.Project
		readJSON(t, s.must(t, "project", "list", "--json"), &projects)
		if len(projects) != 0 {
			t.Errorf("on a disk of %s a project is there: %+v", size, projects)
		}
		if left := branchesOn(t, s); len(left) > 0 {
			t.Errorf("on a disk of %s these are left: %q", size, left)
		}
		if left := pgtest.ProcessesBelow(t, filepath.Join(s.data, "branches")); len(left) > 0 {
			t.Errorf("on a disk of %s processes %v are left", size, left)
		}
	}
	resize("1g")
	s.must(t, "project", "create", "shop", "--rows", "2000")
	s.must(t, "psql", "shop/production", "--", "-Xc", "SELECT count(*) FROM messages")
}
