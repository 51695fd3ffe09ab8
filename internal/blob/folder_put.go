package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// copyBuffer is how much a location reads at once.
const copyBuffer = 256 << 10

// Put implements Location: written beside under a lock, synced, renamed, and every folder above it synced.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if !opts.LockedUntil.IsZero() {
		return Info{}, noLock(name, nil)
	}
	root, err := f.open()
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	if opts.IfAbsent {
		if _, err := root.Lstat(filepath.FromSlash(name)); err == nil {
			return Info{}, exists(name, nil)
		}
	}
	partial, err := newPartial(root)
	if err != nil {
		return Info{}, folderError("cannot write object "+name, err)
	}
	defer partial.discard(root)
	src := newSource(ctx, r, opts)
	// Only Read and Write are shown, so that the bytes pass the hash and not the kernel's copy.
	if _, err := io.CopyBuffer(struct{ io.Writer }{partial.file}, src, make([]byte, copyBuffer)); err != nil {
		if src.err != nil {
			return Info{}, fmt.Errorf("put %s: %w", name, src.err)
		}
		return Info{}, folderError("cannot write object "+name, err)
	}
	if err := partial.file.Sync(); err != nil {
		return Info{}, folderError("cannot sync object "+name, err)
	}
	if err := ctx.Err(); err != nil {
		return Info{}, fmt.Errorf("put %s: %w", name, err)
	}
	if err := publish(root, partial, name, opts.IfAbsent); err != nil {
		return Info{}, err
	}
	info := src.info(name)
	info.Stored = info.Size
	return info, nil
}

// partialFile is an object that has no name yet. Its lock says that its writer lives.
type partialFile struct {
	name string // in the folder of partials
	file *os.File
}

func newPartial(root *os.Root) (*partialFile, error) {
	for {
		if err := root.Mkdir(partials, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		p := &partialFile{name: rand.Text()}
		file, err := root.OpenFile(p.path(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		p.file = file
		// A file system without locks keeps its leftovers for a day; see collectPartials.
		_ = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		// Somebody who collects leftovers may have seen the file before it was locked: then it has no name any more.
		if stat, err := root.Lstat(p.path()); err == nil {
			if mine, err := file.Stat(); err == nil && os.SameFile(stat, mine) {
				return p, nil
			}
		}
		p.discard(root)
	}
}

func (p *partialFile) path() string { return filepath.Join(partials, p.name) }

// discard closes the file and removes what publish did not give a name.
func (p *partialFile) discard(root *os.Root) {
	_ = root.Remove(p.path())
	_ = p.file.Close()
}

// publish gives the partial its name and makes that durable.
func publish(root *os.Root, p *partialFile, name string, ifAbsent bool) error {
	path := filepath.FromSlash(name)
	for attempt := 0; ; attempt++ {
		err := publishOnce(root, p, path, ifAbsent)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist) && attempt < 100:
			continue // a deletion took the empty folder away between our making it and our using it
		case errors.Is(err, unix.EEXIST) && ifAbsent:
			return exists(name, err)
		case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY):
			return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("cannot keep object %s: one of its folders is an object, or it is a folder of objects", name), Cause: err}
		}
		return folderError("cannot keep object "+name, err)
	}
}

func publishOnce(root *os.Root, p *partialFile, path string, ifAbsent bool) error {
	parent := filepath.Dir(path)
	if err := makeFolders(root, parent); err != nil {
		return err
	}
	from, err := root.Open(partials)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.Open(parent)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := rename(from, p.name, to, filepath.Base(path), ifAbsent); err != nil {
		return err
	}
	if err := to.Sync(); err != nil {
		return err
	}
	return syncAbove(root, parent)
}

// makeFolders makes the folders on the way to path.
func makeFolders(root *os.Root, path string) error {
	if path == "." {
		return nil
	}
	parts := strings.Split(path, string(filepath.Separator))
	for i := range parts {
		dir := filepath.Join(parts[:i+1]...)
		if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// syncAbove syncs the folders above path: another Put may have made one of them just now and not yet synced it, and then a
// crash would take our object away with the folder. Syncing a clean folder costs next to nothing.
func syncAbove(root *os.Root, path string) error {
	for path != "." {
		path = filepath.Dir(path)
		dir, err := root.Open(path)
		if err != nil {
			return err
		}
		err = dir.Sync()
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// rename moves a file between open folders; with ifAbsent it answers EEXIST rather than replace a file. NFS knows no rename that
// keeps, but hard links; exFAT knows no hard links, but that rename.
func rename(from *os.File, oldName string, to *os.File, newName string, ifAbsent bool) error {
	fromFD, toFD := int(from.Fd()), int(to.Fd())
	if !ifAbsent {
		return unix.Renameat(fromFD, oldName, toFD, newName)
	}
	err := unix.Renameat2(fromFD, oldName, toFD, newName, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if err := unix.Linkat(fromFD, oldName, toFD, newName, 0); err != nil {
		return err
	}
	return unix.Unlinkat(fromFD, oldName, 0)
}

// collectPartials removes partials whose writer is dead.
func collectPartials(root *os.Root) error {
	entries, err := readFolder(root, partials)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(partials, entry.Name())
		if abandoned(root, path) {
			if err := root.Remove(path); err != nil && !gone(err) {
				return err
			}
		}
	}
	return nil
}

// abandoned says whether nobody writes the partial: its lock is free or, where there are no locks, it was not written for a day.
func abandoned(root *os.Root, path string) bool {
	file, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return true
	case errors.Is(err, unix.EWOULDBLOCK):
		return false
	}
	stat, err := file.Stat()
	return err == nil && time.Since(stat.ModTime()) > 24*time.Hour
}
