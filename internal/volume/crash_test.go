package volume_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/volume"
)

// clonerVariable makes the test binary clone the directory src to clone in the volume it names, and stop in the middle.
const clonerVariable = "VOLUME_TEST_CLONER"

func TestClonerProcess(t *testing.T) {
	root := os.Getenv(clonerVariable)
	if root == "" {
		t.Skip("runs as the child of TestKilledCloneIsCollected")
	}
	v := open(t, root)
	halfway := sync.OnceFunc(func() {
		os.Stdout.WriteString("halfway\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
	})
	_, err := v.Clone(t.Context(), filepath.Join(root, "src"), filepath.Join(root, "clone"), volume.CloneOptions{Progress: func(int64, int64) { halfway() }})
	t.Fatalf("the clone ended: %v", err)
}

func TestKilledCloneIsCollected(t *testing.T) {
	v := open(t, t.TempDir())
	for _, name := range []string{"a", "b/c", "d"} {
		write(t, filepath.Join(v.Root(), "src", name), noise(100_000, 1))
	}
	child := exec.Command(os.Args[0], "-test.run=^TestClonerProcess$")
	child.Env = append(os.Environ(), clonerVariable+"="+v.Root())
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "halfway\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	open(t, v.Root())
	if left := leftovers(t, v); len(left) != 1 {
		t.Errorf("while the child clones there is %v, want its work", left)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if left := leftovers(t, v); len(left) != 1 {
		t.Errorf("the killed child left %v, want its work", left)
	}
	open(t, v.Root())
	expectNothingLeft(t, v, filepath.Join(v.Root(), "clone"))
}

// smallDisk mounts a file system with so little room.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	path := t.TempDir()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return path
}

func TestFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	v := open(t, smallDisk(t, "10m"))
	src, dst := filepath.Join(t.TempDir(), "src"), filepath.Join(v.Root(), "clone")
	for i := range 20 {
		write(t, filepath.Join(src, "base", string(rune('a'+i))), noise(1<<20, uint64(i)))
	}
	_, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{})
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "disk is full") || holdfast.HintOf(err) == "" {
		t.Errorf("clone answered %v", err)
	}
	expectNothingLeft(t, v, dst)
	if space, err := v.Space(); err != nil || space.Free < 9<<20 {
		t.Errorf("%d bytes are free, %v", space.Free, err)
	}
}

// An origin on another file system is copied.
func TestCloneFromAnotherFileSystem(t *testing.T) {
	v := open(t, filepath.Join(mountXFS(t, 1<<30), "volume"))
	elsewhere := open(t, t.TempDir())
	src, dst := origin(t, elsewhere), filepath.Join(v.Root(), "clone")
	cloned, err := v.Clone(t.Context(), src, dst, volume.CloneOptions{})
	if err != nil || cloned.Shared != 0 {
		t.Fatalf("%+v, %v", cloned, err)
	}
	equal(t, src, dst)
}

func TestCloneFile(t *testing.T) {
	onEveryFileSystem(t, func(t *testing.T, v *volume.Volume) {
		src, dst := filepath.Join(v.Root(), "a"), filepath.Join(v.Root(), "b")
		write(t, src, noise(1<<20, 1))
		if err := volume.CloneFile(t.Context(), src, dst); err != nil {
			t.Fatal(err)
		}
		if string(read(t, src)) != string(read(t, dst)) {
			t.Error("the clone differs")
		}
		if err := volume.CloneFile(t.Context(), src, dst); err == nil {
			t.Error("a file that exists was replaced")
		}
	})
}

// A copy of the image's file, taken while it is mounted, is what a crash of the machine leaves on the disk.
func TestCloneSurvivesACrashOfTheMachine(t *testing.T) {
	folder := mountXFS(t, 1<<30)
	image := filepath.Join(filepath.Dir(folder), "image")
	v := open(t, filepath.Join(folder, "volume"))
	src := origin(t, v)
	// Fresh and not synced: the clone must bring it to the disk.
	write(t, filepath.Join(src, "base/1/fresh"), noise(3<<20, 9))
	if _, err := v.Clone(t.Context(), src, filepath.Join(v.Root(), "made", "clone"), volume.CloneOptions{}); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(filepath.Dir(folder), "crashed")
	if err := volume.CloneFile(t.Context(), image, crashed); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(t.TempDir(), "want")
	if out, err := exec.Command("cp", "-a", src, want).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// XFS does not mount twice what has the same identifier.
	if err := (volume.Image{File: image, Folder: folder}).Unmount(); err != nil {
		t.Fatal(err)
	}
	after := volume.Image{File: crashed, Folder: filepath.Join(filepath.Dir(folder), "after")}
	if err := after.Mount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := after.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	recovered := open(t, filepath.Join(after.Folder, "volume"))
	equal(t, want, filepath.Join(recovered.Root(), "made", "clone"))
	if left := leftovers(t, recovered); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}
