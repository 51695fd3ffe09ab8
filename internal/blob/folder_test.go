package blob_test

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

func openFolder(t *testing.T) blob.Location {
	return folderAt(t, filepath.Join(t.TempDir(), "location"))
}

func folderAt(t *testing.T, path string) *blob.Folder {
	t.Helper()
	f, err := blob.CreateFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t *testing.T, l blob.Location, name, data string) {
	t.Helper()
	if _, err := l.Put(t.Context(), name, strings.NewReader(data), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestFolder(t *testing.T) { blobtest.Run(t, openFolder, blobtest.Options{}) }

func TestFolderKeepsItsFilesToItself(t *testing.T) {
	f := folderAt(t, filepath.Join(t.TempDir(), "a", "b"))
	put(t, f, "x/y/z", "data")
	err := filepath.WalkDir(f.Path(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolderLeavesNoPartialAndNoEmptyFolder(t *testing.T) {
	f := folderAt(t, t.TempDir())
	put(t, f, "x/y/z", "data")
	_, err := f.Put(t.Context(), "x/y/short", strings.NewReader("data"), blob.PutOptions{Size: 5})
	if holdfast.KindOf(err) != holdfast.Invalid {
		t.Fatalf("a short source answered %v", err)
	}
	if err := f.Delete(t.Context(), "x/y/z"); err != nil {
		t.Fatal(err)
	}
	if left := files(t, f.Path()); len(left) != 1 || left[0] != ".partial" {
		t.Errorf("left %v", left)
	}
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if path != root {
			rel, _ := filepath.Rel(root, path)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A disk that is not mounted must be noticed, not filled with a new folder below its mount point.
func TestMissingFolderIsUnavailableAndNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk", "location")
	f, err := blob.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(t.Context(), "a", strings.NewReader("x"), blob.PutOptions{}); holdfast.KindOf(err) != holdfast.Unavailable || holdfast.HintOf(err) == "" {
		t.Errorf("put answered %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a", "mounted again")
}

func TestFolderRefusesLinksThatLeadOut(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := folderAt(t, t.TempDir())
	for link, target := range map[string]string{"folder": outside, "file": filepath.Join(outside, "secret"), "up": "../" + filepath.Base(outside)} {
		if err := os.Symlink(target, filepath.Join(f.Path(), link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder/secret", "file", "up/secret"} {
		if r, err := f.Get(t.Context(), name, 0, -1); err == nil {
			r.Close()
			t.Errorf("%s was read", name)
		}
		if _, err := f.Stat(t.Context(), name); err == nil {
			t.Errorf("%s was seen", name)
		}
	}
	for _, name := range []string{"folder/new", "up/new"} {
		if _, err := f.Put(t.Context(), name, strings.NewReader("x"), blob.PutOptions{}); holdfast.KindOf(err) != holdfast.NotAllowed || holdfast.HintOf(err) == "" {
			t.Errorf("put %s answered %v", name, err)
		}
		_ = f.Delete(t.Context(), name)
	}
	_ = f.Delete(t.Context(), "folder/secret")
	if left := files(t, outside); len(left) != 1 {
		t.Errorf("outside the location there is now %v", left)
	}
}

func TestNamedPipeIsNoObject(t *testing.T) {
	f := folderAt(t, t.TempDir())
	if err := unix.Mkfifo(filepath.Join(f.Path(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := f.Get(t.Context(), "pipe", 0, -1); holdfast.KindOf(err) != holdfast.NotFound {
		if r != nil {
			r.Close()
		}
		t.Errorf("get answered %v", err)
	}
}

func TestObjectCannotBeAFolderToo(t *testing.T) {
	f := folderAt(t, t.TempDir())
	put(t, f, "a/b", "x")
	put(t, f, "c", "x")
	for _, name := range []string{"a", "c/d"} {
		for _, ifAbsent := range []bool{false, true} {
			if _, err := f.Put(t.Context(), name, strings.NewReader("x"), blob.PutOptions{IfAbsent: ifAbsent}); holdfast.KindOf(err) != holdfast.Conflict {
				t.Errorf("put %s answered %v", name, err)
			}
		}
	}
}

// writerVariable makes the test binary write an object at the location it names and wait in the middle of it.
const writerVariable = "BLOB_TEST_WRITER"

func TestWriterProcess(t *testing.T) {
	path := os.Getenv(writerVariable)
	if path == "" {
		t.Skip("runs as the child of TestPartialOfAKilledWriterIsCollected")
	}
	f, err := blob.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Put(t.Context(), "x/killed", io.MultiReader(strings.NewReader("half"), announced{}), blob.PutOptions{})
	t.Fatalf("put ended: %v", err)
}

// announced tells the parent that the put is under way and then waits for the parent's end.
type announced struct{}

func (announced) Read([]byte) (int, error) {
	os.Stdout.WriteString("writing\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0, io.EOF
}

func TestPartialOfAKilledWriterIsCollected(t *testing.T) {
	path := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
	child.Env = append(os.Environ(), writerVariable+"="+path)
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
	if err != nil || line != "writing\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	folderAt(t, path)
	if left := files(t, path); len(left) != 2 {
		t.Errorf("while the child writes there is %v, want its partial", left)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	folderAt(t, path)
	if left := files(t, path); len(left) != 1 || left[0] != ".partial" {
		t.Errorf("the killed child left %v", left)
	}
}

func TestFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	path := t.TempDir()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	f := folderAt(t, path)
	put(t, f, "old", "as it was")
	for _, name := range []string{"new/one", "old"} {
		_, err := f.Put(t.Context(), name, blobtest.Stream(2<<20, 1), blob.PutOptions{})
		if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("put answered %v", err)
		}
	}
	if got, err := get(t, f, "old"); err != nil || got != "as it was" {
		t.Errorf("got %q, %v", got, err)
	}
	if left := files(t, path); len(left) != 2 { // the folder of partials and the old object
		t.Errorf("left %v", left)
	}
}
