package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// partials is the folder in which objects are written before they get their name. No object's name begins with a dot.
const partials = ".partial"

// Folder is a location in a folder of this machine: an object's name is its path. Folders are made with mode 0700 and files with 0600.
//
// It holds nothing open between calls, so that an external disk can be unmounted, and never makes the folder itself anew: a folder
// that is missing is a disk that is not mounted, and is Unavailable. A symbolic link that leads out of the folder is refused.
type Folder struct {
	path string
}

var _ Location = (*Folder)(nil)

// OpenFolder returns the location in the folder at path, which must be absolute. What a crash left half written is removed,
// but not what another process is writing now. The folder may be missing: then every call is Unavailable until it is there.
func OpenFolder(path string) (*Folder, error) {
	if !filepath.IsAbs(path) {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the location %q must be an absolute path", path)}
	}
	f := &Folder{path: filepath.Clean(path)}
	root, err := f.open()
	if holdfast.KindOf(err) == holdfast.Unavailable {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := collectPartials(root); err != nil {
		return nil, fmt.Errorf("collect what a crash left in %s: %w", f.path, err)
	}
	return f, nil
}

// CreateFolder makes the folder, with its parents, where it is missing, and opens it. It is for the moment at which somebody names a new location.
func CreateFolder(path string) (*Folder, error) {
	if !filepath.IsAbs(path) {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the location %q must be an absolute path", path)}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, folderError(fmt.Sprintf("cannot make the folder %s", path), err)
	}
	return OpenFolder(path)
}

// Path is the folder's absolute path.
func (f *Folder) Path() string { return f.path }

// Get implements Location.
func (f *Folder) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(name, offset); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	root, err := f.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Without O_NONBLOCK a named pipe that lies where an object should would stop us for good.
	file, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, objectError(name, err)
	}
	stat, err := file.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, objectError(name, err)
	}
	if offset > stat.Size() {
		file.Close()
		return nil, beyondEnd(name, offset, stat.Size())
	}
	if length < 0 || length > stat.Size()-offset {
		length = stat.Size() - offset
	}
	return &body{ctx: ctx, from: fileRange{io.NewSectionReader(file, offset, length), file}, kind: func(err error) error {
		return folderError("cannot read object "+name, err)
	}}, nil
}

type fileRange struct {
	*io.SectionReader
	io.Closer
}

// Stat implements Location.
func (f *Folder) Stat(ctx context.Context, name string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return Info{}, fmt.Errorf("stat %s: %w", name, err)
	}
	root, err := f.open()
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	stat, err := root.Stat(filepath.FromSlash(name))
	if err == nil && !stat.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Info{}, objectError(name, err)
	}
	return fileInfo(name, stat), nil
}

func fileInfo(name string, stat fs.FileInfo) Info {
	return Info{Name: name, Size: stat.Size(), Stored: stat.Size(), Time: stat.ModTime()}
}

// List implements Location.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		root, err := f.open()
		if err != nil {
			yield(Info{}, err)
			return
		}
		defer root.Close()
		folder, rest := splitPrefix(prefix)
		walkFolder(ctx, root, folder, rest, yield)
	}
}

// walkFolder gives the objects below folder whose path in it begins with rest, and says whether to go on.
func walkFolder(ctx context.Context, root *os.Root, folder, rest string, yield func(Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(Info{}, fmt.Errorf("list: %w", err))
		return false
	}
	entries, err := readFolder(root, folder)
	if gone(err) {
		return true
	}
	if err != nil {
		yield(Info{}, folderError("cannot list the folder "+folder, err))
		return false
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), rest) || checkPart(entry.Name()) != "" {
			continue
		}
		name := entry.Name()
		if folder != "" {
			name = folder + "/" + name
		}
		if entry.IsDir() {
			if !walkFolder(ctx, root, name, "", yield) {
				return false
			}
			continue
		}
		stat, err := root.Stat(filepath.FromSlash(name))
		if gone(err) || err == nil && !stat.Mode().IsRegular() {
			continue
		}
		if err != nil {
			yield(Info{}, objectError(name, err))
			return false
		}
		if !yield(fileInfo(name, stat), nil) {
			return false
		}
	}
	return true
}

// readFolder reads a folder in the order of the names of the objects in it: a folder sorts as its name with a slash, for a-b comes before a/b.
func readFolder(root *os.Root, folder string) ([]fs.DirEntry, error) {
	if folder == "" {
		folder = "."
	}
	dir, err := root.Open(filepath.FromSlash(folder))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(key(a), key(b)) })
	return entries, nil
}

// Delete implements Location. Folders that became empty go with the object. It is not synced: a deletion that a crash forgets is made again.
func (f *Folder) Delete(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	root, err := f.open()
	if err != nil {
		return err
	}
	defer root.Close()
	path := filepath.FromSlash(name)
	if stat, err := root.Lstat(path); err == nil && stat.IsDir() {
		return nil // a folder of objects is not an object
	}
	if err := root.Remove(path); err != nil && !gone(err) {
		return folderError("cannot delete object "+name, err)
	}
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if root.Remove(dir) != nil {
			break // holds other objects
		}
	}
	return nil
}

// open opens the folder itself for one call.
func (f *Folder) open() (*os.Root, error) {
	root, err := os.OpenRoot(f.path)
	if gone(err) {
		return nil, &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the folder %s is missing", f.path),
			Hint: "mount its disk, or make the folder if the location is new", Cause: err}
	}
	if err != nil {
		return nil, folderError("cannot open the folder "+f.path, err)
	}
	return root, nil
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

func objectError(name string, err error) error {
	if gone(err) {
		return notFound(name, err)
	}
	return folderError("cannot reach object "+name, err)
}

// folderError gives an error of the file system the kind that says what to do about it.
func folderError(doing string, err error) error {
	e := &holdfast.Error{Message: doing, Cause: err}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.Kind, e.Message, e.Hint = holdfast.Precondition, doing+": the disk is full", "free space on it or give the location a larger disk"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		e.Kind, e.Hint = holdfast.NotAllowed, "the folder must belong to the user that Holdfast runs as, on a disk that is not read-only"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ESTALE), errors.Is(err, unix.ENOTCONN):
		e.Kind, e.Hint = holdfast.Unavailable, "look at the disk: it may have been unplugged or be failing"
	case strings.Contains(err.Error(), "path escapes from parent"): // os.Root does not export its error
		e.Kind, e.Hint = holdfast.NotAllowed, "a symbolic link leads out of the location; remove it"
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return e
}
