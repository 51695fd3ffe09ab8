package volume_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast/holdfast/internal/volume"
)

// A copy of the image's file, taken while it is mounted, is what a crash of the machine leaves on the disk: what was changed is in it, whether it was
// written to, made, renamed or removed.
func TestWhatChangedSurvivesACrashOfTheMachine(t *testing.T) {
	folder := mountXFS(t, 1<<30)
	image := filepath.Join(filepath.Dir(folder), "image")
	v := open(t, filepath.Join(folder, "volume"))
	dir := origin(t, v)
	if err := volume.Sync(dir); err != nil {
		t.Fatal(err)
	}
	marks, err := volume.Mark(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "made/deep/file"), noise(1<<20, 11))
	same, err := os.OpenFile(filepath.Join(dir, "base/1/large"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := same.WriteAt(noise(100_000, 12), 5<<20); err != nil { // its size stays
		t.Fatal(err)
	}
	same.Close()
	if err := os.Rename(filepath.Join(dir, "base/1/1259"), filepath.Join(dir, "base/1/renamed")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "pg_wal/00000001")); err != nil {
		t.Fatal(err)
	}
	if err := marks.SyncChanged(t.Context()); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(filepath.Dir(folder), "crashed")
	if err := volume.CloneFile(t.Context(), image, crashed); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(t.TempDir(), "want")
	if out, err := exec.Command("cp", "-a", dir, want).CombinedOutput(); err != nil {
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
	equal(t, want, filepath.Join(after.Folder, "volume", "branches", "origin"))
}
