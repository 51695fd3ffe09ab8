package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Marks remember how the files of a directory looked, so that those that change can be synced without the others.
type Marks struct {
	dir   string
	files map[string]mark
}

// mark tells a file that was changed from one that was not: whoever writes to a file gives it another time.
type mark struct {
	inode    uint64
	size     int64
	modified unix.Timespec
}

// Mark looks at every file and folder in dir.
func Mark(ctx context.Context, dir string) (Marks, error) {
	m := Marks{dir: dir, files: map[string]mark{}}
	err := m.walk(ctx, func(path string, now mark) { m.files[path] = now })
	return m, err
}

// SyncChanged makes durable what was changed, made, renamed or removed in the directory since it was marked. What it was then must be durable already.
func (m Marks) SyncChanged(ctx context.Context) error {
	var changed []string
	err := m.walk(ctx, func(path string, now mark) {
		if m.files[path] != now {
			changed = append(changed, path)
		}
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range max(8, 2*runtime.GOMAXPROCS(0)) { // they wait for the disk, which syncs many files at once as fast as one
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(changed)); i = next.Add(1) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := syncOne(changed[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (m Marks) walk(ctx context.Context, see func(path string, now mark)) error {
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && path != m.dir {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			return nil
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		}
		see(path, mark{stat.Ino, stat.Size, stat.Mtim})
		return nil
	})
	return failed("look at "+m.dir, err)
}

// syncOne syncs a file or a folder. One that has gone needs no sync: its folder has changed.
func syncOne(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed("sync "+path, err)
	}
	defer file.Close()
	return failed("sync "+path, file.Sync())
}
