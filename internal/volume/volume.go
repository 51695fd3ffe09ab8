// Package volume keeps data directories on one file system: clones them, by sharing blocks where the file system can, measures them and
// removes them.
//
// A caller may rely on this: a directory appears under its name whole and synced or not at all, what a crash left half is collected when the
// volume is opened, and nothing outside the root is ever removed. What is in a directory is none of this room's business.
package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// The folders under the root that are the volume's own: what is being made, and what is being removed.
const (
	partials = ".partial"
	trash    = ".trash"
)

// Volume is a folder on a file system, under which data directories lie, at any depth.
type Volume struct {
	root       string
	fileSystem string
	reflinks   bool
	backing    string // the image file that the file system lies in; empty when it lies on a disk
}

// Open makes the folder root, an absolute path, where it is missing, finds out what its file system can, and removes what a crash left half made
// or half removed, but not what another process works on now.
func Open(ctx context.Context, root string) (*Volume, error) {
	if !filepath.IsAbs(root) {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the volume %q must be an absolute path", root)}
	}
	v := &Volume{root: filepath.Clean(root)}
	for _, dir := range []string{v.root, v.own(partials), v.own(trash)} {
		mode := fs.FileMode(0o700)
		if dir == v.root {
			mode = parentMode()
		}
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, failed("make the folder "+dir, err)
		}
	}
	if err := v.Collect(ctx); err != nil {
		return nil, err
	}
	if err := v.probe(temporary(v.own(partials))); err != nil {
		return nil, err
	}
	return v, nil
}

// Inspect looks at the folder root, or at the nearest folder above it that exists, and changes nothing. What it returns measures; it is not for cloning.
func Inspect(root string) (*Volume, error) {
	v := &Volume{root: filepath.Clean(root)}
	for v.root != "/" {
		if info, err := os.Stat(v.root); err == nil && info.IsDir() {
			break
		}
		v.root = filepath.Dir(v.root)
	}
	return v, v.probe(nameless(v.root))
}

// parentMode is the mode of a folder above data directories: servers that run as a user of their own pass through it, and see nothing.
func parentMode() fs.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// Root is the absolute path of the folder.
func (v *Volume) Root() string { return v.root }

// FileSystem is the name of the file system that the root lies on: ext4, xfs, btrfs.
func (v *Volume) FileSystem() string { return v.fileSystem }

// Reflinks says whether a clone shares its blocks with its origin, so that it takes milliseconds and next to no space.
func (v *Volume) Reflinks() bool { return v.reflinks }

// Describe says for a person what the volume can, and what could be better.
func (v *Volume) Describe() string {
	where := v.fileSystem
	if v.backing != "" {
		where += " in the image " + v.backing
	}
	switch {
	case v.reflinks:
		return fmt.Sprintf("%s on %s: a clone shares its blocks with its origin and takes no space of its own until either changes", v.root, where)
	case v.fileSystem == "nfs", v.fileSystem == "smb", v.fileSystem == "fuse":
		return fmt.Sprintf("%s on %s: not a place for a PostgreSQL data directory; use a local disk", v.root, where)
	case v.fileSystem == "tmpfs":
		return fmt.Sprintf("%s on %s: everything is lost when the machine stops", v.root, where)
	}
	return fmt.Sprintf("%s on %s, which cannot share blocks: a clone is a full copy. An XFS or btrfs file system makes clones instant; `holdfast volume create` makes one", v.root, where)
}

// Space is the room on a file system, in bytes.
type Space struct {
	Total int64
	Used  int64
	Free  int64 // what an ordinary user can still write
}

// Space tells the room that is left. For a volume in an image file it is also bounded by the disk under the image.
func (v *Volume) Space() (Space, error) {
	space, err := SpaceOf(v.root)
	if err != nil || v.backing == "" {
		return space, err
	}
	under, err := SpaceOf(v.backing)
	if err != nil {
		return Space{}, err
	}
	space.Free = min(space.Free, under.Free)
	return space, nil
}

// SpaceOf measures the file system that holds path.
func SpaceOf(path string) (Space, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Space{}, failed("measure the space of "+path, err)
	}
	return Space{Total: int64(stat.Blocks) * stat.Bsize, Used: int64(stat.Blocks-stat.Bfree) * stat.Bsize, Free: int64(stat.Bavail) * stat.Bsize}, nil
}

func (v *Volume) own(name string) string { return filepath.Join(v.root, name) }

// inside checks that path is an absolute path below the root and not one of the volume's own folders.
func (v *Volume) inside(path string) (string, error) {
	path = filepath.Clean(path)
	rel, err := filepath.Rel(v.root, path)
	first, _, _ := strings.Cut(rel, string(filepath.Separator))
	if err != nil || !filepath.IsAbs(path) || rel == "." || first == ".." || first == partials || first == trash {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s is not a directory of the volume %s", path, v.root)}
	}
	return path, nil
}

// makeParents makes the folders above path and syncs those that it made.
func (v *Volume) makeParents(path string) error {
	parent := filepath.Dir(path)
	var missing []string
	for dir := parent; dir != v.root; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(parent, parentMode()); err != nil {
		return failed("make the folder "+parent, err)
	}
	for _, dir := range missing {
		if err := syncFolder(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes durable which names a folder has.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return failed("sync the folder "+path, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return failed("sync the folder "+path, err)
	}
	return nil
}

// Sync makes durable everything that was written to the file system that path lies on. For many files this is far cheaper than one by one.
func Sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return failed("sync "+path, err)
	}
	defer file.Close()
	if err := unix.Syncfs(int(file.Fd())); err != nil {
		return failed("sync "+path, err)
	}
	return nil
}

// failed says what was being done and gives an error of the file system the kind that says what to do about it.
func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "cannot " + doing + ": the disk is full", Hint: "free space, or give the volume a larger disk", Cause: err}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "cannot " + doing + ": not permitted", Hint: "the volume must belong to the user that Holdfast runs as, on a disk that is not read-only", Cause: err}
	case errors.Is(err, unix.EIO):
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "cannot " + doing + ": the disk fails", Hint: "look at the kernel's log and replace the disk", Cause: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
