package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Usage is the size of a directory, in bytes.
type Usage struct {
	Files     int
	Logical   int64 // as the files' sizes add up: what a copy elsewhere takes
	Physical  int64 // in blocks, each file counted as if it shared none
	Exclusive int64 // in blocks that no other file shares: what removing the directory frees. It equals Physical where blocks cannot be shared
}

// Usage measures a directory of the volume. Files that go meanwhile do not count; a file with several names counts once for each.
func (v *Volume) Usage(ctx context.Context, dir string) (Usage, error) {
	var u Usage
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil {
			return err
		}
		err = v.count(&u, path, d)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return Usage{}, failed("measure "+dir, err)
	}
	return u, nil
}

func (v *Volume) count(u *Usage, path string, d fs.DirEntry) error {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return err
	}
	blocks := stat.Blocks * 512
	u.Physical += blocks
	if !d.Type().IsRegular() {
		u.Exclusive += blocks
		return nil
	}
	u.Files++
	u.Logical += stat.Size
	// Asking XFS costs one call for each file; asking btrfs costs a search of its trees for each block.
	if !v.reflinks || v.fileSystem != "xfs" || blocks == 0 {
		u.Exclusive += blocks
		return nil
	}
	shared, err := sharedBytes(path)
	if err != nil {
		return err
	}
	u.Exclusive += max(0, blocks-shared)
	return nil
}

// The structures of the FIEMAP call: Documentation/filesystems/fiemap.rst in the kernel.
type fiemapExtent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

type fiemap struct {
	start, length                  uint64
	flags, mapped, count, reserved uint32
	extents                        [128]fiemapExtent
}

const (
	fiemapCall         = 0xc020660b // _IOWR('f', 11, struct fiemap)
	fiemapExtentLast   = 0x1
	fiemapExtentShared = 0x2000
)

// sharedBytes asks the file system how many bytes of the file lie in blocks that other files share.
func sharedBytes(path string) (int64, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var shared int64
	request := &fiemap{}
	for {
		request.length, request.count, request.mapped = ^uint64(0)-request.start, uint32(len(request.extents)), 0
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), fiemapCall, uintptr(unsafe.Pointer(request)))
		if errno == unix.EOPNOTSUPP {
			return 0, nil
		}
		if errno != 0 {
			return 0, fmt.Errorf("map the blocks of %s: %w", path, errno)
		}
		if request.mapped == 0 {
			return shared, nil
		}
		for _, extent := range request.extents[:request.mapped] {
			if extent.flags&fiemapExtentShared != 0 {
				shared += int64(extent.length)
			}
		}
		last := request.extents[request.mapped-1]
		if last.flags&fiemapExtentLast != 0 {
			return shared, nil
		}
		request.start = last.logical + last.length
	}
}
