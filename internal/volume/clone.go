package volume

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// CloneOptions say what of a directory is cloned and who watches.
type CloneOptions struct {
	Skip     func(rel string) bool   // true: leave it out, a folder with everything in it; rel has slashes and no leading one; nil: nothing is left out
	Last     []string                // files that are cloned when all others have been, in this order
	Progress func(done, total int64) // called by one goroutine at a time with bytes; nil: nobody watches
	Workers  int                     // files cloned at the same time; 0: chosen by the machine
}

// Cloned says what a clone is made of.
type Cloned struct {
	Files    int
	Bytes    int64 // as the files' sizes add up
	Shared   int64 // of these, in files that share their blocks with the origin
	Vanished int   // files and folders that went while the clone was made
}

// Clone makes the directory dst, below the root, as a clone of the directory src: same files, owners, modes, times and holes. It shares blocks where the
// file system can and copies in parallel where it cannot. The clone appears whole and synced or, after an error, the end of ctx or a crash, not at
// all. A dst that exists is a Conflict.
//
// src may be written to meanwhile, with care: files that go are left out, files that come may be missing, a file that grows or shrinks has some size that
// it had, and a page that is being written may be half old, half new. So a clone of a running server's directory is only good together with the WAL
// from before its beginning to after its end, which replaces all of these: take it between pg_backup_start and pg_backup_stop.
//
// Extended attributes are not cloned. A symbolic link is refused, for clone and origin would share what is behind it: a data directory with tablespaces or a moved pg_wal cannot be cloned, unless Skip
// leaves these out. Sockets and pipes are left out.
func (v *Volume) Clone(ctx context.Context, src, dst string, opts CloneOptions) (Cloned, error) {
	dst, err := v.inside(dst)
	if err != nil {
		return Cloned{}, err
	}
	src = filepath.Clean(src)
	if rel, err := filepath.Rel(src, dst); err != nil || !strings.HasPrefix(rel, "..") {
		return Cloned{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("cannot clone %s into itself", src)}
	}
	if _, err := os.Lstat(dst); err == nil {
		return Cloned{}, dstExists(dst)
	}
	c := &cloning{src: src, opts: opts, isXFS: v.fileSystem == "xfs"}
	c.reflink.Store(v.reflinks)
	c.allShared.Store(true)
	if err := c.list(ctx); err != nil {
		return Cloned{}, err
	}
	work, err := v.newPartial()
	if err != nil {
		return Cloned{}, err
	}
	defer work.Close()
	err = c.run(ctx, work)
	if err == nil {
		err = v.publish(work.Name(), dst)
	}
	if err != nil {
		// Not with ctx: its end may be why we are here.
		if removeErr := removeTree(context.WithoutCancel(ctx), work.Name()); removeErr != nil {
			err = fmt.Errorf("%w; and what was made of the clone remains until the volume is opened again: %w", err, removeErr)
		}
		return Cloned{}, err
	}
	return c.cloned(), nil
}

func dstExists(dst string) error {
	return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s exists already", dst)}
}

// newPartial makes a locked folder in which something is made. The lock says that whoever makes it lives.
func (v *Volume) newPartial() (*os.File, error) {
	for {
		path := filepath.Join(v.own(partials), rand.Text())
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, failed("make a folder in "+v.own(partials), err)
		}
		dir, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected as a leftover before it was locked
		}
		if err != nil {
			return nil, failed("open "+path, err)
		}
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			// The same can happen between the opening and the locking.
			mine, err1 := dir.Stat()
			there, err2 := os.Lstat(path)
			if err1 == nil && err2 == nil && os.SameFile(mine, there) {
				return dir, nil
			}
		}
		dir.Close()
	}
}

// publish gives what was made its name and makes that durable.
func (v *Volume) publish(work, dst string) error {
	if err := v.makeParents(dst); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, work, unix.AT_FDCWD, dst, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // a file system that does not know the flag: an empty folder may be replaced
		err = os.Rename(work, dst)
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
		return dstExists(dst)
	}
	if err != nil {
		return failed("make "+dst, err)
	}
	if err := syncFolder(filepath.Dir(dst)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(work))
}

// entry is a file or folder that is to be cloned.
type entry struct {
	rel  string
	size int64
}

// cloning is one call of Clone.
type cloning struct {
	src  string
	opts CloneOptions

	folders []entry // parents before children
	files   []entry
	last    []entry
	total   int64

	isXFS     bool
	reflink   atomic.Bool // false once the kernel said that these files cannot
	allShared atomic.Bool

	from, to *os.File

	shared   atomic.Int64
	bytes    atomic.Int64
	count    atomic.Int64
	vanished atomic.Int64

	mu   sync.Mutex
	done int64
}

func (c *cloning) cloned() Cloned {
	return Cloned{Files: int(c.count.Load()), Bytes: c.bytes.Load(), Shared: c.shared.Load(), Vanished: int(c.vanished.Load())}
}

// list finds what there is to clone. It holds a path and a size for each file, and nothing of its content.
func (c *cloning) list(ctx context.Context) error {
	top, err := os.Lstat(c.src)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !top.IsDir() {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("%s is not a directory", c.src), Cause: err}
	}
	if err != nil {
		return failed("look at "+c.src, err)
	}
	err = filepath.WalkDir(c.src, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && path != c.src {
			c.vanished.Add(1)
			return nil
		}
		if err != nil {
			return err
		}
		return c.add(path, d)
	})
	if err != nil {
		return failed("list "+c.src, err)
	}
	slices.SortStableFunc(c.last, func(a, b entry) int { return slices.Index(c.opts.Last, a.rel) - slices.Index(c.opts.Last, b.rel) })
	// Large files first, so that no worker is left with one at the end.
	slices.SortStableFunc(c.files, func(a, b entry) int { return int(min(1, max(-1, b.size-a.size))) })
	return nil
}

func (c *cloning) add(path string, d fs.DirEntry) error {
	rel, err := filepath.Rel(c.src, path)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	if rel != "." && c.opts.Skip != nil && c.opts.Skip(rel) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	switch {
	case d.IsDir():
		c.folders = append(c.folders, entry{rel: rel})
	case d.Type() == fs.ModeSymlink:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot clone %s: %s is a symbolic link, and the clone would share what is behind it", c.src, rel),
			Hint: "move what it points to into the directory; tablespaces are not supported"}
	case d.Type().IsRegular():
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			c.vanished.Add(1)
			return nil
		}
		if err != nil {
			return err
		}
		c.total += info.Size()
		if slices.Contains(c.opts.Last, rel) {
			c.last = append(c.last, entry{rel, info.Size()})
		} else {
			c.files = append(c.files, entry{rel, info.Size()})
		}
	}
	return nil
}

// run clones everything into the folder to and syncs it.
func (c *cloning) run(ctx context.Context, to *os.File) error {
	from, err := os.Open(c.src)
	if err != nil {
		return failed("open "+c.src, err)
	}
	defer from.Close()
	c.from, c.to = from, to
	for _, folder := range c.folders {
		if folder.rel == "." {
			continue
		}
		if err := unix.Mkdirat(int(to.Fd()), folder.rel, 0o700); err != nil {
			return failed("make "+folder.rel+" in the clone of "+c.src, err)
		}
	}
	if err := c.cloneFiles(ctx); err != nil {
		return err
	}
	for _, file := range c.last {
		if err := c.cloneFile(ctx, file); err != nil {
			return err
		}
	}
	// Children first: making something in a folder changes the folder's time.
	for _, folder := range slices.Backward(c.folders) {
		if err := c.finishFolder(folder.rel); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clone %s: %w", c.src, err)
	}
	return c.sync()
}

func (c *cloning) cloneFiles(ctx context.Context) error {
	workers := c.opts.Workers
	if workers <= 0 {
		workers = min(8, max(2, runtime.GOMAXPROCS(0)))
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range workers {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(c.files)) {
					return nil
				}
				if err := c.cloneFile(ctx, c.files[i]); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// sync makes the clone durable at once: a sync for each file would wait for the disk as often.
//
// Where XFS shared all blocks there is nothing to write but its log: the kernel writes the origin's dirty pages before it shares them, and XFS recovers
// changes of metadata strictly in order, so syncing the folder that was changed last includes every change before. Syncing the whole file system
// would make a clone wait for whatever a busy server has written elsewhere.
func (c *cloning) sync() error {
	if c.isXFS && c.allShared.Load() {
		return failed("sync the clone of "+c.src, c.to.Sync())
	}
	return failed("sync the clone of "+c.src, unix.Syncfs(int(c.to.Fd())))
}

// progress adds bytes to what was done.
func (c *cloning) progress(bytes int64) {
	if c.opts.Progress == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = min(c.done+bytes, c.total)
	c.opts.Progress(c.done, c.total)
}
