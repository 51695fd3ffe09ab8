package volume

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// Remove removes the directory dir, below the root, and everything in it. Its name is free, durably, before the first file goes; what a crash or the
// end of ctx leaves lies in the trash until the volume is opened again or Collect is called. A directory that does not exist is no error.
func (v *Volume) Remove(ctx context.Context, dir string) error {
	dir, err := v.inside(dir)
	if err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return failed("remove "+dir, err)
	}
	if !info.IsDir() {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s is not a directory", dir)}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	bin := filepath.Join(v.own(trash), rand.Text())
	err = os.Rename(dir, bin)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot remove %s: a file system is mounted there", dir), Hint: "unmount it first", Cause: err}
	}
	if err != nil {
		return failed("remove "+dir, err)
	}
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := removeTree(ctx, bin); err != nil && ctx.Err() == nil {
		return failed("remove "+dir, err)
	}
	return nil
}

// Collect removes what crashes left: directories half made whose maker is dead, and the trash. Open does it too.
func (v *Volume) Collect(ctx context.Context) error {
	for _, own := range []string{partials, trash} {
		entries, err := os.ReadDir(v.own(own))
		if err != nil {
			return failed("collect what a crash left", err)
		}
		for _, entry := range entries {
			path := filepath.Join(v.own(own), entry.Name())
			if own == partials && inUse(path) {
				continue
			}
			if err := removeTree(ctx, path); err != nil {
				return failed("collect what a crash left", err)
			}
		}
	}
	return nil
}

// inUse says whether somebody holds the lock on what is being made.
func inUse(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	return errors.Is(unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// removeTree removes a file or a directory with everything in it. It follows no symbolic link, also when somebody puts one there meanwhile, and what
// somebody else has removed is no error.
func removeTree(ctx context.Context, path string) error {
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return removeIn(ctx, parent, filepath.Base(path))
}

func removeIn(ctx context.Context, parent *os.Root, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := parent.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info, statErr := parent.Lstat(name); statErr != nil || !info.IsDir() {
		return err
	}
	if err := emptyFolder(ctx, parent, name); err != nil {
		return err
	}
	if err := parent.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func emptyFolder(ctx context.Context, parent *os.Root, name string) error {
	folder, err := parent.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	listing, err := folder.Open(".")
	if err != nil {
		return err
	}
	entries, err := listing.ReadDir(-1)
	listing.Close()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := removeIn(ctx, folder, entry.Name()); err != nil {
			return err
		}
	}
	return nil
}
