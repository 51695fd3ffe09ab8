package volume_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/volume"
)

func open(t testing.TB, root string) *volume.Volume {
	t.Helper()
	v, err := volume.Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mountXFS mounts a new XFS image for the test.
func mountXFS(t testing.TB, size int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting an XFS image needs root")
	}
	dir := t.TempDir()
	image := volume.Image{File: filepath.Join(dir, "image"), Folder: filepath.Join(dir, "mounted"), Size: size}
	t.Cleanup(func() {
		if err := image.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			_ = unix.Unmount(image.Folder, unix.MNT_DETACH)
		}
	})
	if err := image.Ensure(t.Context()); err != nil {
		if holdfast.KindOf(err) == holdfast.Precondition || holdfast.KindOf(err) == holdfast.NotAllowed {
			t.Skipf("cannot mount an XFS image here: %v", err)
		}
		t.Fatal(err)
	}
	return image.Folder
}

// onEveryFileSystem runs the test on the file system of the temporary folder and on XFS.
func onEveryFileSystem(t *testing.T, test func(t *testing.T, v *volume.Volume)) {
	t.Run("temporary folder", func(t *testing.T) { test(t, open(t, filepath.Join(t.TempDir(), "volume"))) })
	t.Run("xfs", func(t *testing.T) {
		v := open(t, filepath.Join(mountXFS(t, 1<<30), "volume"))
		if !v.Reflinks() || v.FileSystem() != "xfs" {
			t.Errorf("the image is %s", v.Describe())
		}
		test(t, v)
	})
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func noise(size int64, seed uint64) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data)
	return data
}

// origin makes a directory with what data directories have: small and large files, empty ones, holes, folders, modes, times.
func origin(t testing.TB, v *volume.Volume) string {
	t.Helper()
	dir := filepath.Join(v.Root(), "branches", "origin")
	write(t, filepath.Join(dir, "PG_VERSION"), []byte("15\n"))
	write(t, filepath.Join(dir, "empty"), nil)
	write(t, filepath.Join(dir, "base/1/1259"), noise(81920, 1))
	write(t, filepath.Join(dir, "base/1/large"), noise(40<<20+8192, 2))
	write(t, filepath.Join(dir, "pg_wal/00000001"), noise(1<<20, 3))
	write(t, filepath.Join(dir, "global/pg_control"), noise(8192, 4))
	if err := os.MkdirAll(filepath.Join(dir, "pg_notify"), 0o750); err != nil {
		t.Fatal(err)
	}
	sparse(t, filepath.Join(dir, "base/1/sparse"))
	for rel, mode := range map[string]fs.FileMode{"PG_VERSION": 0o640, "base/1": 0o750, "empty": 0o444} {
		if err := os.Chmod(filepath.Join(dir, rel), mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		for _, rel := range []string{"base/1/1259", "base/1", "."} {
			if err := os.Chown(filepath.Join(dir, rel), 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, rel := range []string{"PG_VERSION", "base/1", "."} {
		times := []unix.Timespec{{Sec: 1_000_000_000, Nsec: 123456789}, {Sec: 1_100_000_000, Nsec: 987654321}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, rel), times, 0); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sparse makes a file of 64 MiB of which two pieces are written; it begins and ends with a hole.
func sparse(t testing.TB, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, at := range []int64{1 << 20, 30 << 20} {
		if _, err := file.WriteAt(noise(65536, 5), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
}

// equal compares two directories in everything that a clone promises.
func equal(t *testing.T, a, b string, without ...string) {
	t.Helper()
	want, got := tree(t, a), tree(t, b)
	for _, rel := range without {
		for path := range want {
			if path == rel || strings.HasPrefix(path, rel+"/") {
				delete(want, path)
			}
		}
	}
	for path, stat := range want {
		other, there := got[path]
		if !there {
			t.Errorf("%s is missing", path)
			continue
		}
		delete(got, path)
		if stat.Mode != other.Mode || stat.Uid != other.Uid || stat.Gid != other.Gid || stat.Mtim != other.Mtim || stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Size != other.Size {
			t.Errorf("%s differs: mode %o and %o, owner %d and %d, time %v and %v, size %d and %d", path, stat.Mode, other.Mode, stat.Uid, other.Uid, stat.Mtim, other.Mtim, stat.Size, other.Size)
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFREG && !bytes.Equal(read(t, filepath.Join(a, path)), read(t, filepath.Join(b, path))) {
			t.Errorf("%s has other content", path)
		}
	}
	for path := range got {
		t.Errorf("%s should not be there", path)
	}
}

func tree(t *testing.T, root string) map[string]unix.Stat_t {
	t.Helper()
	all := map[string]unix.Stat_t{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		rel, _ := filepath.Rel(root, path)
		err = unix.Lstat(path, &stat)
		all[rel] = stat
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// leftovers are what lies in the volume's own folders.
func leftovers(t *testing.T, v *volume.Volume) []string {
	t.Helper()
	var all []string
	for _, own := range []string{".partial", ".trash"} {
		entries, err := os.ReadDir(filepath.Join(v.Root(), own))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			all = append(all, own+"/"+entry.Name())
		}
	}
	return all
}

func expectNothingLeft(t *testing.T, v *volume.Volume, dst string) {
	t.Helper()
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s exists: %v", dst, err)
	}
	if left := leftovers(t, v); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestCloneIsEqual(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		src, dst := origin(t, v), filepath.Join(v.Root(), "other", "deep", "clone")
		var last, total int64
		cloned, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{Progress: func(done, all int64) {
			if done < last || done > all {
				t.Errorf("progress went from %d to %d of %d", last, done, all)
			}
			last, total = done, all
		}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, src, dst)
		if last != total || total != cloned.Bytes || cloned.Files != 7 || cloned.Vanished != 0 {
			t.Errorf("progress ended at %d of %d; %+v", last, total, cloned)
		}
		if want := map[bool]int64{true: cloned.Bytes}[v.Reflinks()]; cloned.Shared != want {
			t.Errorf("%d bytes are shared, want %d", cloned.Shared, want)
		}
		var stat unix.Stat_t
		if err := unix.Stat(filepath.Join(dst, "base/1/sparse"), &stat); err != nil || stat.Blocks*512 > 1<<20 {
			t.Errorf("the sparse file takes %d bytes, %v", stat.Blocks*512, err)
		}
		if left := leftovers(t, v); len(left) != 0 {
			t.Errorf("left %v", left)
		}
		// Origin and clone are independent.
		write(t, filepath.Join(dst, "base/1/1259"), []byte("changed"))
		if len(read(t, filepath.Join(src, "base/1/1259"))) != 81920 {
			t.Error("writing to the clone changed its origin")
		}
	})
}

func TestCloneLeavesOutAndKeepsForTheEnd(t *testing.T) {
	v := open(t, t.TempDir())
	src, dst := origin(t, v), filepath.Join(v.Root(), "clone")
	var order []string
	_, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{
		Skip: func(rel string) bool {
			order = append(order, rel)
			return strings.HasPrefix(rel, "pg_wal/") || rel == "base/1"
		},
		Last: []string{"global/pg_control"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(order, "pg_wal/00000001") || slices.Contains(order, "base/1/1259") || slices.Contains(order, ".") {
		t.Errorf("asked about %v", order)
	}
	equal(t, src, dst, "pg_wal/00000001", "base/1")
}

func TestCloneRefuses(t *testing.T) {
	v := open(t, t.TempDir())
	src := origin(t, v)
	inRoot := func(rel string) string { return filepath.Join(v.Root(), rel) }
	linked := inRoot("linked")
	write(t, filepath.Join(linked, "a"), nil)
	if err := os.Symlink("/tmp", filepath.Join(linked, "pg_wal")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(src, inRoot("link")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		src, dst string
		kind     holdfast.Kind
	}{
		"a clone that exists":       {src, linked, holdfast.Conflict},
		"an origin that is missing": {inRoot("missing"), inRoot("clone"), holdfast.NotFound},
		"an origin that is a file":  {filepath.Join(src, "PG_VERSION"), inRoot("clone"), holdfast.NotFound},
		"an origin that is a link":  {inRoot("link"), inRoot("clone"), holdfast.NotFound},
		"a clone outside":           {src, t.TempDir() + "/clone", holdfast.Invalid},
		"the root itself":           {src, v.Root(), holdfast.Invalid},
		"the volume's own folder":   {src, inRoot(".trash/clone"), holdfast.Invalid},
		"a way out":                 {src, inRoot("a/../../clone"), holdfast.Invalid},
		"a clone in its origin":     {src, filepath.Join(src, "clone"), holdfast.Invalid},
		"a link inside":             {linked, inRoot("clone"), holdfast.Precondition},
	} {
		if _, err := v.Clone(t.Context(), c.src, c.dst, volume.CloneOptions{}); holdfast.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	expectNothingLeft(t, v, inRoot("clone"))
	_, err := v.Clone(t.Context(), linked, inRoot("clone"), volume.CloneOptions{Skip: func(rel string) bool { return rel == "pg_wal" }})
	if err != nil {
		t.Errorf("a link that is left out: %v", err)
	}
}

func TestCanceledCloneLeavesNothing(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		src, dst := origin(t, v), filepath.Join(v.Root(), "clone")
		ctx, cancel := context.WithCancel(t.Context())
		_, err := v.Clone(ctx, src, dst, volume.CloneOptions{Workers: 1, Progress: func(int64, int64) { cancel() }})
		if holdfast.KindOf(err) != holdfast.Canceled {
			t.Errorf("clone answered %v", err)
		}
		expectNothingLeft(t, v, dst)
	})
}

func TestRemove(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		dir := origin(t, v)
		outside := filepath.Join(t.TempDir(), "kept")
		write(t, outside, []byte("x"))
		if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "base", "link")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is gone already
			if err := v.Remove(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			expectNothingLeft(t, v, dir)
		}
		read(t, outside)
		write(t, filepath.Join(v.Root(), "file"), nil)
		for _, path := range []string{v.Root(), filepath.Dir(v.Root()), filepath.Dir(outside), filepath.Join(v.Root(), ".trash"), "relative", filepath.Join(v.Root(), "file")} {
			if err := v.Remove(t.Context(), path); holdfast.KindOf(err) != holdfast.Invalid {
				t.Errorf("removing %s answered %v", path, err)
			}
		}
	})
}

func TestOpenCollectsWhatACrashLeft(t *testing.T) {
	v := open(t, t.TempDir())
	for _, rel := range []string{".partial/ABC/base/1/1259", ".partial/file", ".trash/XYZ/base/1/1259"} {
		write(t, filepath.Join(v.Root(), rel), []byte("x"))
	}
	write(t, filepath.Join(v.Root(), "branch/PG_VERSION"), []byte("15"))
	open(t, v.Root())
	if left := leftovers(t, v); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	read(t, filepath.Join(v.Root(), "branch/PG_VERSION"))
}

func TestUsage(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		src, dst := origin(t, v), filepath.Join(v.Root(), "clone")
		if err := volume.Sync(v.Root()); err != nil { // blocks are counted when they are written
			t.Fatal(err)
		}
		alone, err := v.Usage(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		const written = 40<<20 + 8192 + 1<<20 + 81920 + 8192 + 2*65536
		if alone.Files != 7 || alone.Logical < 64<<20+written-2*65536 || alone.Physical < written || alone.Physical > written+1<<20 || alone.Exclusive != alone.Physical {
			t.Errorf("the origin has %+v", alone)
		}
		if _, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{}); err != nil {
			t.Fatal(err)
		}
		both, err := v.Usage(t.Context(), src)
		if err != nil || both.Logical != alone.Logical || both.Physical != alone.Physical {
			t.Errorf("with a clone the origin has %+v, %v", both, err)
		}
		if v.Reflinks() && both.Exclusive > 1<<20 || !v.Reflinks() && both.Exclusive != alone.Exclusive {
			t.Errorf("with a clone the origin has %d bytes of its own", both.Exclusive)
		}
		space, err := v.Space()
		if err != nil || space.Free <= 0 || space.Free > space.Total {
			t.Errorf("space %+v, %v", space, err)
		}
	})
}

// A running server creates, extends, truncates and removes files while its directory is cloned; the WAL repairs the rest.
func TestCloneOfADirectoryThatChanges(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		src := filepath.Join(v.Root(), "busy")
		for i := range 200 {
			write(t, filepath.Join(src, "base", "still", string(rune('a'+i%26))+"-"+strings.Repeat("x", i/26)), noise(20_000, uint64(i)))
		}
		stop, stopped := make(chan struct{}), make(chan error, 1)
		began := make(chan struct{})
		go func() { stopped <- churn(filepath.Join(src, "base", "busy"), began, stop) }()
		<-began
		for i := range 5 {
			dst := filepath.Join(v.Root(), "clone", string(rune('a'+i)))
			if _, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{}); err != nil {
				t.Error(err)
				break
			}
			for rel := range tree(t, filepath.Join(src, "base", "still")) {
				if rel != "." && !bytes.Equal(read(t, filepath.Join(src, "base", "still", rel)), read(t, filepath.Join(dst, "base", "still", rel))) {
					t.Errorf("%s differs, which nobody changed", rel)
				}
			}
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
	})
}

// churn changes files in dir until stop.
func churn(dir string, began, stop chan struct{}) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		path := filepath.Join(dir, string(rune('a'+i%20)))
		var err error
		switch i % 5 {
		case 0, 1:
			err = os.WriteFile(path, noise(int64(i%7)*30_000, uint64(i)), 0o600)
		case 2:
			if err = os.Truncate(path, int64(i%3)*8192); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		case 3:
			err = os.RemoveAll(path)
		case 4:
			sub := filepath.Join(dir, "folder")
			if err = os.MkdirAll(sub, 0o700); err == nil {
				err = os.WriteFile(filepath.Join(sub, "x"), nil, 0o600)
			}
			if i%10 == 9 && err == nil {
				err = os.RemoveAll(sub)
			}
		}
		if err != nil {
			return err
		}
		if i == 100 {
			close(began)
		}
	}
}
