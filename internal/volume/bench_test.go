package volume_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast/holdfast/internal/volume"
)

// BenchmarkClone compares a clone with cp and a sync of the same file system: 256 MiB in large files and 2000 small ones.
func BenchmarkClone(b *testing.B) {
	b.Run("temporary folder", func(b *testing.B) {
		benchmarkClone(b, open(b, filepath.Join(b.TempDir(), "volume")), "--reflink=never")
	})
	b.Run("xfs", func(b *testing.B) {
		benchmarkClone(b, open(b, filepath.Join(mountXFS(b, 8<<30), "volume")), "--reflink=always")
	})
}

func benchmarkClone(b *testing.B, v *volume.Volume, reflink string) {
	src := filepath.Join(v.Root(), "src")
	var size int64
	for i := range 8 {
		write(b, filepath.Join(src, "base", "1", fmt.Sprintf("large-%d", i)), noise(32<<20, uint64(i)))
		size += 32 << 20
	}
	for i := range 2000 {
		write(b, filepath.Join(src, "base", "2", fmt.Sprintf("small-%d", i)), noise(8192, uint64(i)))
		size += 8192
	}
	if err := volume.Sync(v.Root()); err != nil {
		b.Fatal(err)
	}
	dst := filepath.Join(v.Root(), "dst")
	run := func(name string, clone func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if err := clone(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := v.Remove(b.Context(), dst); err != nil {
					b.Fatal(err)
				}
				if err := volume.Sync(v.Root()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
	run("clone", func() error {
		_, err := v.Clone(b.Context(), src, dst, volume.CloneOptions{})
		return err
	})
	run("cp", func() error {
		if out, err := exec.CommandContext(b.Context(), "cp", "-a", reflink, src, dst).CombinedOutput(); err != nil {
			return fmt.Errorf("cp: %w: %s", err, out)
		}
		return volume.Sync(dst)
	})
	run("cp without sync", func() error {
		return exec.CommandContext(b.Context(), "cp", "-a", reflink, src, dst).Run()
	})
}
