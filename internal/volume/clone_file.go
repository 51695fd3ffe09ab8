package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copySlice is how much is copied before ctx is looked at and progress is told.
const copySlice = 16 << 20

// cloneFile clones one file. One that went since it was listed is left out.
func (c *cloning) cloneFile(ctx context.Context, file entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clone %s: %w", c.src, err)
	}
	from, err := openBeneath(c.from, file.rel, unix.O_RDONLY, 0)
	if errors.Is(err, unix.ENOENT) {
		c.vanished.Add(1)
		c.progress(file.size)
		return nil
	}
	if err != nil {
		return failed("open "+c.name(file.rel), err)
	}
	defer from.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &stat); err != nil {
		return failed("look at "+c.name(file.rel), err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("clone %s: it is no longer a file", c.name(file.rel))
	}
	to, err := openBeneath(c.to, file.rel, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, stat.Mode&0o777)
	if err != nil {
		return failed("clone "+c.name(file.rel), err)
	}
	defer to.Close()
	told, size, err := c.fill(ctx, from, to)
	if err != nil {
		return failed("clone "+c.name(file.rel), err)
	}
	if err := likeOrigin(to, stat); err != nil {
		return failed("clone "+c.name(file.rel), err)
	}
	c.count.Add(1)
	c.bytes.Add(size)
	c.progress(max(0, file.size-told))
	return nil
}

func (c *cloning) name(rel string) string { return c.src + "/" + rel }

// openBeneath opens a regular file below dir and follows no link on the way: whoever owns the directory must not make us read or write elsewhere.
func openBeneath(dir *os.File, rel string, flags int, mode uint32) (*os.File, error) {
	// O_NONBLOCK: a pipe that took the file's place must not stop us.
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	how := unix.OpenHow{Flags: uint64(flags), Mode: uint64(mode), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), rel, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue // the kernel saw something on the way being renamed
		}
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), rel), nil
	}
}

// fill makes to hold what from holds, and returns how much progress it has told and the size.
func (c *cloning) fill(ctx context.Context, from, to *os.File) (told, size int64, err error) {
	if c.reflink.Load() {
		err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
		if err == nil {
			var stat unix.Stat_t
			if err := unix.Fstat(int(to.Fd()), &stat); err != nil {
				return 0, 0, err
			}
			c.shared.Add(stat.Size)
			return 0, stat.Size, nil
		}
		if !cannotReflink(err) {
			return 0, 0, err
		}
		c.reflink.Store(false)
	}
	c.allShared.Store(false)
	size, err = copyData(ctx, from, to, func(n int64) {
		told += n
		c.progress(n)
	})
	return told, size, err
}

// copyData copies what is not a hole, and gives to the size that from has at the end.
func copyData(ctx context.Context, from, to *os.File, tell func(int64)) (int64, error) {
	var at int64
	for {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left, or nothing
			break
		}
		if errors.Is(err, unix.EINVAL) { // a file system that knows no holes
			data, err = at, nil
		}
		if err != nil {
			return 0, err
		}
		hole, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EINVAL) {
				return 0, err
			}
			hole = data + 1<<62 // cut short meanwhile, or no holes: copied until it ends
		}
		end, err := copyRange(ctx, from, to, data, hole, tell)
		if err != nil {
			return 0, err
		}
		at = end
		if end < hole {
			break
		}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &stat); err != nil {
		return 0, err
	}
	size := max(at, stat.Size)
	return size, to.Truncate(size)
}

// copyRange copies from at to end, or to the file's end, and returns where it stopped.
func copyRange(ctx context.Context, from, to *os.File, at, end int64, tell func(int64)) (int64, error) {
	for at < end {
		if err := ctx.Err(); err != nil {
			return at, err
		}
		n, err := copySliceOf(from, to, at, min(copySlice, end-at))
		if err != nil {
			return at, err
		}
		if n == 0 {
			return at, nil
		}
		at += n
		tell(n)
	}
	return at, nil
}

// copySliceOf lets the kernel copy, and copies itself where the kernel cannot.
func copySliceOf(from, to *os.File, at, length int64) (int64, error) {
	source, target := at, at
	for {
		n, err := unix.CopyFileRange(int(from.Fd()), &source, int(to.Fd()), &target, int(length), 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n > 0:
			return int64(n), nil
		case err == nil || cannotReflink(err) || errors.Is(err, unix.EPERM):
			// Some kernels answer 0 for files that are not on a disk. At the real end the read below gives 0 too.
			return copyByHand(from, to, at, length)
		}
		return 0, err
	}
}

func copyByHand(from, to *os.File, at, length int64) (int64, error) {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(to, at)}, struct{ io.Reader }{io.NewSectionReader(from, at, length)}, make([]byte, 256<<10))
	return n, err
}

// likeOrigin gives the file the owner, the mode and the times of its origin.
func likeOrigin(file *os.File, origin unix.Stat_t) error {
	fd := int(file.Fd())
	var made unix.Stat_t
	if err := unix.Fstat(fd, &made); err != nil {
		return err
	}
	if made.Uid != origin.Uid || made.Gid != origin.Gid {
		if err := unix.Fchown(fd, int(origin.Uid), int(origin.Gid)); err != nil {
			return err
		}
	}
	// Each of these is a transaction of its own for the file system, and a clone has many files. A change of owner may clear bits of the mode.
	if made.Mode&0o7777 != origin.Mode&0o7777 || origin.Mode&0o7000 != 0 {
		if err := unix.Fchmod(fd, origin.Mode&0o7777); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{origin.Atim, origin.Mtim}, unix.AT_EMPTY_PATH)
}

// finishFolder gives a folder of the clone what its origin has.
func (c *cloning) finishFolder(rel string) error {
	var stat unix.Stat_t
	err := unix.Fstatat(int(c.from.Fd()), rel, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // it went: the clone keeps an empty folder, as if it had been cloned before
	}
	if err != nil {
		return failed("look at "+c.name(rel), err)
	}
	fd, err := unix.Openat(int(c.to.Fd()), rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("clone "+c.name(rel), err)
	}
	folder := os.NewFile(uintptr(fd), rel)
	defer folder.Close()
	return failed("clone "+c.name(rel), likeOrigin(folder, stat))
}

// CloneFile makes dst, which must not exist, as a clone of the file src, by sharing its blocks where the file system can. It is for files in a directory that is
// itself being made: it does not sync, and a crash may leave dst half written.
func CloneFile(ctx context.Context, src, dst string) error {
	from, err := os.Open(src)
	if err != nil {
		return failed("clone "+src, err)
	}
	defer from.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &stat); err != nil {
		return failed("clone "+src, err)
	}
	to, err := os.OpenFile(dst, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failed("make "+dst, err)
	}
	c := &cloning{src: src}
	c.reflink.Store(true)
	if _, _, err = c.fill(ctx, from, to); err == nil {
		err = likeOrigin(to, stat)
	}
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(dst)
		return failed("clone "+src, err)
	}
	return nil
}
