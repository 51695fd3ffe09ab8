package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// volumePlace plans a server whose databases may come to lie in a volume, which is unmounted after the test.
func volumePlace(t *testing.T, args ...string) *server {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a volume needs root")
	}
	s := newServer(t, place(t), nil, args...)
	t.Cleanup(func() {
		pgtest.EndProcessesBelow(t, s.data)
		_ = syscall.Unmount(filepath.Join(s.data, "branches"), syscall.MNT_DETACH) // it may not be mounted
	})
	return s
}

type volumeView struct {
	CopyOnWrite                  bool `json:"copy_on_write"`
	Mounted                      bool
	Size, Free                   int64
	Allocated, Logical, Physical int64
}

func (s *server) volume(t *testing.T) (v volumeView) {
	t.Helper()
	readJSON(t, s.must(t, "volume", "show", "--json"), &v)
	return v
}

// An installation on a disk that cannot share blocks moves into a volume, with its databases, and lives there through restarts of the machine.
func TestDatabasesMoveIntoAVolume(t *testing.T) {
	t.Parallel()
	s := volumePlace(t, "--sample", "shop", "--rows", "2000")
	s.start(t)
	if s.volume(t).CopyOnWrite {
		t.Skip("the disk shares blocks; nobody needs a volume here")
	}
	production := holdfast.BranchRef{Project: "shop", Branch: "production"}
	create := []string{"volume", "create", "--size", "1G"}
	if o := s.holdfast(t, create...); o.code != 6 || !strings.Contains(o.err, "another holdfast serve runs") {
		t.Errorf("while the server runs: %d, %s", o.code, o.err)
	}
	s.signal(t, syscall.SIGTERM)
	if o := s.holdfast(t, create...); o.code != 0 {
		if strings.Contains(o.err, "loop device") || strings.Contains(o.err, "not permitted") || strings.Contains(o.err, "cannot mount XFS") {
			t.Skipf("a volume cannot be made here: %s", o.err)
		}
		t.Fatalf("it ended with %d: %s", o.code, o.err)
	}
	s.start(t)
	rows := func() int { return value[int](t, s.connect(t, production), "SELECT count(*) FROM messages") }
	if n := rows(); n != 2000 {
		t.Errorf("%d rows are in the volume", n)
	}
	if v := s.volume(t); !v.CopyOnWrite || !v.Mounted || v.Size != 1<<30 || v.Allocated >= v.Size || v.Logical == 0 || v.Physical == 0 {
		t.Errorf("the volume is %+v", v)
	}
	before := s.volume(t)
	s.must(t, "branch", "create", "shop/try", "--from", "shop/production")
	if after := s.volume(t); after.Logical-before.Logical < 2*(after.Physical-before.Physical)/3 {
		t.Errorf("a copy made %+v of %+v", after, before)
	}
	s.must(t, "volume", "grow", "--size", "1500M")
	if v := s.volume(t); v.Size != 1500<<20 || v.Free <= before.Free {
		t.Errorf("it grew to %+v", v)
	}
	if o := s.holdfast(t, "volume", "remove"); o.code != 6 {
		t.Errorf("while the server runs, remove ended with %d: %s", o.code, o.err)
	}
	s.signal(t, syscall.SIGTERM)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{5, "share their blocks already", create},
		{2, "XFS cannot become smaller", []string{"volume", "grow", "--size", "1G"}},
		{2, "--size is missing", []string{"volume", "create"}},
		{2, "is not a size", []string{"volume", "create", "--size", "much"}},
	} {
		if o := s.holdfast(t, c.args...); o.code != c.code || !strings.Contains(o.err, c.says) {
			t.Errorf("%v ended with %d: %s", c.args, o.code, o.err)
		}
	}
	unmount := func() {
		t.Helper()
		if err := syscall.Unmount(filepath.Join(s.data, "branches"), 0); err != nil {
			t.Fatal(err)
		}
	}
	unmount() // as after a start of the machine
	s.start(t)
	if n := rows(); n != 2000 {
		t.Errorf("%d rows are there after a restart of the machine", n)
	}
	s.signal(t, syscall.SIGTERM)
	unmount()
	image := filepath.Join(s.data, "volume.img")
	if err := os.Rename(image, image+".hidden"); err != nil {
		t.Fatal(err)
	}
	refused(t, s, 6, "cannot be mounted")
	if err := os.Rename(image+".hidden", image); err != nil {
		t.Fatal(err)
	}
	s.must(t, "volume", "mount")
	if !s.volume(t).Mounted {
		t.Error("it is not mounted")
	}
}

// A first start can ask for a volume; every other start with the same words finds it.
func TestAFirstStartMakesAVolume(t *testing.T) {
	t.Parallel()
	s := volumePlace(t, "--volume", "1G", "--sample", "shop", "--rows", "500")
	s.launch(t)
	if err := s.process.Greeted(); err != nil {
		if strings.Contains(err.Error(), "loop device") || strings.Contains(err.Error(), "not permitted") {
			t.Skipf("a volume cannot be made here: %v", err)
		}
		t.Fatal(err)
	}
	s.meet(t)
	for range 2 {
		if v := s.volume(t); !v.CopyOnWrite {
			t.Errorf("it is %+v", v)
		}
		conn, err := pgx.Connect(t.Context(), s.connection(t, holdfast.BranchRef{Project: "shop", Branch: "production"}).URL)
		if err != nil {
			t.Fatal(err)
		}
		if n := value[int](t, conn, "SELECT count(*) FROM messages"); n != 500 {
			t.Errorf("%d rows", n)
		}
		_ = conn.Close(t.Context()) // before its server is stopped
		s.signal(t, syscall.SIGTERM)
		s.start(t)
	}
	s.signal(t, syscall.SIGTERM)
	s.must(t, "volume", "remove")
	if left, err := filepath.Glob(filepath.Join(s.data, "volume*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	s.args = nil
	s.start(t)
	if n := value[int](t, s.connect(t, holdfast.BranchRef{Project: "shop", Branch: "production"}), "SELECT count(*) FROM messages"); n != 500 {
		t.Errorf("%d rows are there without the volume", n)
	}
}
