package volume_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/volume"
)

func TestImageIsMadeOnceAndMountedAgain(t *testing.T) {
	folder := mountXFS(t, 1<<30)
	image := volume.Image{File: filepath.Join(filepath.Dir(folder), "image"), Folder: folder, Size: 1 << 30}
	write(t, filepath.Join(folder, "kept"), []byte("x"))
	if err := image.Ensure(t.Context()); err != nil {
		t.Errorf("while it is mounted: %v", err)
	}
	if err := image.Unmount(); err != nil {
		t.Fatal(err)
	}
	if mounted, err := image.Mounted(); mounted || err != nil {
		t.Errorf("after unmounting: %v, %v", mounted, err)
	}
	if err := image.Unmount(); err != nil {
		t.Errorf("unmounting twice: %v", err)
	}
	if err := image.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, filepath.Join(folder, "kept"))); got != "x" {
		t.Errorf("after mounting again the file holds %q", got)
	}
	var stat unix.Stat_t
	if err := unix.Stat(image.File, &stat); err != nil || stat.Blocks*512 > 100<<20 {
		t.Errorf("an empty image takes %d MiB, %v", stat.Blocks>>11, err)
	}
	v := open(t, filepath.Join(folder, "volume"))
	if words := v.Describe(); !strings.Contains(words, "xfs in the image "+image.File) || !strings.Contains(words, "shares its blocks") {
		t.Errorf("it describes itself as %q", words)
	}
}

func TestImageInUseIsNotUnmounted(t *testing.T) {
	folder := mountXFS(t, 400<<20)
	image := volume.Image{File: filepath.Join(filepath.Dir(folder), "image"), Folder: folder}
	file, err := os.Create(filepath.Join(folder, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := image.Unmount(); holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("unmounting answered %v", err)
	}
}

func TestImageRefuses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("what is refused before root is asked for is little")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("no-image"), []byte("not a file system"))
	write(t, at("full/file"), nil)
	image := volume.Image{File: at("image"), Folder: at("mounted"), Size: 400 << 20}
	t.Cleanup(func() {
		if mounted, _ := image.Mounted(); mounted {
			t.Error("an image was mounted")
			_ = image.Unmount()
		}
	})
	for what, c := range map[string]struct {
		change func(*volume.Image)
		kind   holdfast.Kind
	}{
		"a relative path":        {func(i *volume.Image) { i.File = "image" }, holdfast.Invalid},
		"too small":              {func(i *volume.Image) { i.Size = 100 << 20 }, holdfast.Invalid},
		"larger than the disk":   {func(i *volume.Image) { i.Size = 1 << 55 }, holdfast.Precondition},
		"a file that is none":    {func(i *volume.Image) { i.File = at("no-image") }, holdfast.Conflict},
		"another mount":          {func(i *volume.Image) { i.Folder = "/proc" }, holdfast.Conflict},
		"a folder with contents": {func(i *volume.Image) { i.Folder = at("full") }, holdfast.Conflict},
	} {
		i := image
		c.change(&i)
		if err := i.Ensure(t.Context()); err == nil || holdfast.KindOf(err) != c.kind || holdfast.HintOf(err) == "" && c.kind != holdfast.Invalid {
			t.Errorf("%s: %v (%s)", what, err, holdfast.HintOf(err))
		}
	}
	if left, _ := filepath.Glob(at("*.partial")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestImageThatIsMissingIsNotMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	err := volume.Image{File: filepath.Join(dir, "image"), Folder: filepath.Join(dir, "mounted")}.Mount()
	if holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("mounting answered %v", err)
	}
}
