package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// Place is a folder of data directories that may lie in an image of its own. A note beside it says which, so that the image is mounted again after the
// machine has started.
//
// A crash at any moment leaves the data where they were or in the image, whole; Ready finishes or takes back the rest. Whoever calls Ready, Create or
// Remove has the place for itself, and no server runs in it during Create and Remove.
type Place struct {
	Note   string            // absolute path of the note
	Folder string            // absolute path of the folder
	Step   func(step string) // is told what is done next; nil: nobody watches
}

// state is what a note says about its image.
type state string

const (
	making  state = "making"  // the data lie in the folder; the image is being made and may hold copies of some
	moved   state = "moved"   // the data lie in the image; what is in or beside the folder is the old copy
	ready   state = "ready"   // the data lie in the image, and nowhere else
	leaving state = "leaving" // the data lie in the image, and are being copied out of it
	left    state = "left"    // the data lie in or beside the folder; the image is an old copy
)

// note is the content of the note's file; docs/formats/data-directory.md describes it.
type note struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	State   state  `json:"state"`
}

const noteVersion = 1

// aside is where the image is mounted while data are copied into it, and before is where the old copy waits to be removed.
func (p Place) aside() string  { return p.Folder + ".image" }
func (p Place) before() string { return p.Folder + ".before" }

func (p Place) image(file string) Image { return Image{File: file, Folder: p.Folder, step: p.Step} }

func (p Place) step(format string, args ...any) {
	if p.Step != nil {
		p.Step(fmt.Sprintf(format, args...))
	}
}

// Ready finishes or takes back what a crash interrupted, and mounts the image where there is one. It says whether there is one. It may be called at
// every start. An image that cannot be mounted is an error: without it the data would seem to be lost.
func (p Place) Ready(ctx context.Context) (bool, error) {
	n, err := p.read()
	if err != nil || n.State == "" {
		return false, err
	}
	image := p.image(n.File)
	switch n.State {
	case making:
		return false, p.takeBack(image)
	case left:
		return false, p.moveOut(image)
	case moved:
		return true, p.moveIn(ctx, image)
	case leaving:
		if err := p.stay(ctx, image); err != nil {
			return true, err
		}
	}
	if err := image.Mount(); err != nil {
		return true, p.explain(err)
	}
	return true, nil
}

// explain says which data are missing while their image cannot be mounted.
func (p Place) explain(err error) error {
	hint := holdfast.HintOf(err)
	if holdfast.KindOf(err) == holdfast.NotFound {
		hint = "mount the disk on which it lies, or put the file back"
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the volume of %s cannot be mounted: %v", p.Folder, err), Hint: hint, Cause: err}
}

// Create makes an image with size bytes in the file, which must not exist, and moves what is in the folder into it.
func (p Place) Create(ctx context.Context, file string, size int64) error {
	image := p.image(filepath.Clean(file))
	image.Size = size
	if err := p.checkNew(ctx, image); err != nil {
		return err
	}
	p.step("noting the volume")
	if err := p.write(note{File: image.File, State: making}); err != nil {
		return err
	}
	err := p.fill(ctx, image)
	if err == nil {
		err = p.write(note{File: image.File, State: moved})
	}
	if err != nil {
		if back := p.takeBack(image); back != nil {
			err = fmt.Errorf("%w; and what was made of the volume remains until the next start: %w", err, back)
		}
		return err
	}
	return p.moveIn(ctx, image)
}

func (p Place) checkNew(ctx context.Context, image Image) error {
	if err := image.check(); err != nil {
		return err
	}
	n, err := p.read()
	if err != nil {
		return err
	}
	if n.State != "" {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s lies in the volume %s already", p.Folder, n.File), Hint: "make it larger with `holdfast volume grow`"}
	}
	if inside(image.File, p.Folder) {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the volume %s cannot lie in the folder at which it is mounted", image.File)}
	}
	if _, err := os.Lstat(image.File); err == nil {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s exists already", image.File), Hint: "name another file"}
	}
	for _, dir := range []string{p.aside(), p.before()} {
		if _, err := os.Lstat(dir); err == nil {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s is in the way", dir), Hint: "look at what is in it, and move it away"}
		}
	}
	if err := os.MkdirAll(p.Folder, parentMode()); err != nil {
		return failed("make the folder "+p.Folder, err)
	}
	if err := p.checkUnused(); err != nil {
		return err
	}
	used, err := (&Volume{}).Usage(ctx, p.Folder)
	if err != nil {
		return err
	}
	if need := used.Physical + used.Physical/10 + minImage; image.Size < need && used.Files > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("what is in %s does not fit into a volume of %d MiB", p.Folder, image.Size>>20), Hint: fmt.Sprintf("make it at least %d MiB", need>>20+1)}
	}
	return nil
}

// fill makes the image and copies into it what is in the folder.
func (p Place) fill(ctx context.Context, image Image) error {
	p.step("making the file system in %s", image.File)
	if err := image.make(ctx); err != nil {
		return err
	}
	image.Folder = p.aside()
	p.step("mounting it at %s", image.Folder)
	if err := image.Mount(); err != nil {
		return err
	}
	into, err := Open(ctx, image.Folder)
	if err != nil {
		return err
	}
	if err := p.copyAll(ctx, into, p.Folder); err != nil {
		return err
	}
	return p.leave(image)
}

// copyAll clones every data directory in the folder from into a volume.
func (p Place) copyAll(ctx context.Context, into *Volume, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return failed("look at "+from, err)
	}
	for _, entry := range entries {
		if entry.Name() == partials || entry.Name() == trash || !entry.IsDir() {
			continue // what is half made or removed is nobody's, and the servers' directories are all that lies here
		}
		p.step("copying %s", entry.Name())
		if _, err := into.Clone(ctx, filepath.Join(from, entry.Name()), filepath.Join(into.Root(), entry.Name()), CloneOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// leave unmounts an image where it was only for a while and removes the folder.
func (p Place) leave(image Image) error {
	p.step("unmounting it from %s", image.Folder)
	if err := image.Unmount(); err != nil {
		return err
	}
	if err := os.Remove(image.Folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("remove the folder "+image.Folder, err)
	}
	return nil
}

// takeBack undoes what was done of a Create before the data had moved.
func (p Place) takeBack(image Image) error {
	image.Folder = p.aside()
	if err := p.leave(image); err != nil {
		return err
	}
	return p.clear(image)
}

// moveIn gives the image, which holds all data, the folder's place, and removes the old copy. It can be repeated.
func (p Place) moveIn(ctx context.Context, image Image) error {
	mounted, err := image.Mounted()
	if err != nil {
		return err
	}
	if !mounted {
		p.step("putting the old folder aside")
		if err := p.putAside(); err != nil {
			return err
		}
		p.step("mounting it at %s", image.Folder)
		if err := image.Mount(); err != nil {
			return p.explain(err)
		}
	}
	p.step("removing the old copy")
	if err := removeTree(ctx, p.before()); err != nil {
		return failed("remove the old copy "+p.before(), err)
	}
	p.step("noting that it is done")
	return p.write(note{File: image.File, State: ready})
}

// putAside frees the folder's name. A folder that was already put aside is not replaced: then the one in its place is the new, empty one.
func (p Place) putAside() error {
	err := unix.Renameat2(unix.AT_FDCWD, p.Folder, unix.AT_FDCWD, p.before(), unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOENT) {
		return failed("put "+p.Folder+" aside", err)
	}
	if err := os.MkdirAll(p.Folder, parentMode()); err != nil {
		return failed("make the folder "+p.Folder, err)
	}
	return syncFolder(filepath.Dir(p.Folder))
}

// Grow makes the image larger, also while servers run in it.
func (p Place) Grow(ctx context.Context, size int64) error {
	n, err := p.read()
	if err != nil {
		return err
	}
	if n.State != ready {
		return noVolume(p.Folder)
	}
	return p.image(n.File).grow(ctx, size)
}

// Remove moves the data out of the image, back to the folder's own disk, and removes it. It is Busy while somebody works in it.
func (p Place) Remove(ctx context.Context) error {
	n, err := p.read()
	if err != nil {
		return err
	}
	if n.State != ready {
		return noVolume(p.Folder)
	}
	image := p.image(n.File)
	if err := image.Mount(); err != nil {
		return p.explain(err)
	}
	if err := p.checkRoom(ctx); err != nil {
		return err
	}
	p.step("noting that the volume goes")
	if err := p.write(note{File: n.File, State: leaving}); err != nil {
		return err
	}
	err = p.empty(ctx, image)
	if err == nil {
		err = p.write(note{File: n.File, State: left})
	}
	if err != nil {
		// Not with ctx: its end may be why we are here.
		if back := p.stay(context.WithoutCancel(ctx), image); back != nil {
			err = fmt.Errorf("%w; and the copy remains until the next start: %w", err, back)
		}
		return err
	}
	return p.moveOut(image)
}

// checkRoom refuses to move data out of the image while they are used, or to a disk on which they do not fit: there nothing is shared.
func (p Place) checkRoom(ctx context.Context) error {
	if err := p.checkUnused(); err != nil {
		return err
	}
	used, err := (&Volume{}).Usage(ctx, p.Folder)
	if err != nil {
		return err
	}
	disk, err := SpaceOf(filepath.Dir(p.Folder))
	if err != nil {
		return err
	}
	if need := used.Physical + used.Physical/10; need > disk.Free {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("outside of the volume the databases take %d MiB, and %s has %d MiB left", need>>20, filepath.Dir(p.Folder), disk.Free>>20),
			Hint: "remove copies of databases first: only in the volume do they share their blocks"}
	}
	return nil
}

func (p Place) checkUnused() error {
	if pids := working(p.Folder); len(pids) > 0 {
		return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("processes run in %s (%s)", p.Folder, strings.Join(pids, ", ")), Hint: "stop the databases first: start holdfast serve and stop it without --keep-servers"}
	}
	return nil
}

// empty copies what is in the image to the disk, and unmounts it.
func (p Place) empty(ctx context.Context, image Image) error {
	into, err := Open(ctx, p.aside())
	if err != nil {
		return err
	}
	if err := p.copyAll(ctx, into, p.Folder); err != nil {
		return err
	}
	p.step("unmounting it from %s", image.Folder)
	return image.Unmount()
}

// stay undoes what was done of a Remove before the data had moved.
func (p Place) stay(ctx context.Context, image Image) error {
	p.step("removing the copy")
	if err := removeTree(ctx, p.aside()); err != nil {
		return failed("remove the copy "+p.aside(), err)
	}
	if err := image.Mount(); err != nil {
		return p.explain(err)
	}
	return p.write(note{File: image.File, State: ready})
}

// moveOut gives the copy on the disk the folder's place, and removes the image. It can be repeated.
func (p Place) moveOut(image Image) error {
	if err := image.Unmount(); err != nil {
		return err
	}
	if _, err := os.Lstat(p.aside()); err == nil {
		p.step("putting the copy in its place")
		if err := os.Remove(p.Folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("free the name of "+p.Folder, err)
		}
		if err := os.Rename(p.aside(), p.Folder); err != nil {
			return failed("put the copy in the place of "+p.Folder, err)
		}
		if err := syncFolder(filepath.Dir(p.Folder)); err != nil {
			return err
		}
	}
	return p.clear(image)
}

// clear removes an image whose data lie elsewhere, and then its note.
func (p Place) clear(image Image) error {
	if err := image.Unmount(); err != nil {
		return err
	}
	p.step("removing %s", image.File)
	for _, path := range []string{image.partial(), image.File} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("remove "+path, err)
		}
	}
	p.step("forgetting the volume")
	if err := os.Remove(p.Note); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("forget the volume", err)
	}
	return syncFolder(filepath.Dir(p.Note))
}

func noVolume(folder string) error {
	return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("%s lies in no volume of its own", folder), Hint: "`holdfast volume create` makes one"}
}

// Status is what there is to know about a place. Sizes are in bytes.
type Status struct {
	File      string // the image; empty when the folder lies on a disk
	Mounted   bool
	Size      int64 // of the image when it is full
	Allocated int64 // what the image takes of its disk now
	Disk      Space // of the disk under the image, or under the folder when there is no image
}

// Look tells how things are and changes nothing.
func (p Place) Look() (Status, error) {
	n, err := p.read()
	if err != nil {
		return Status{}, err
	}
	if n.State != ready && n.State != moved && n.State != leaving {
		var s Status
		s.Disk, err = SpaceOf(filepath.Dir(p.Note))
		return s, err
	}
	s := Status{File: n.File}
	if s.Mounted, err = p.image(n.File).Mounted(); err != nil {
		return s, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(n.File, &stat); err != nil {
		return s, p.explain(failed("look at the image "+n.File, err))
	}
	s.Size, s.Allocated = stat.Size, stat.Blocks*512
	s.Disk, err = SpaceOf(n.File)
	return s, err
}

// read reads the note; its state is empty where there is none.
func (p Place) read() (note, error) {
	raw, err := os.ReadFile(p.Note)
	if errors.Is(err, fs.ErrNotExist) {
		return note{}, nil
	}
	if err != nil {
		return note{}, failed("read "+p.Note, err)
	}
	var n note
	err = json.Unmarshal(raw, &n)
	switch {
	case err == nil && n.Version > noteVersion:
		return note{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s was written by a newer version", p.Note), Hint: "install that version"}
	case err != nil, n.Version != noteVersion, !filepath.IsAbs(n.File), n.State != making && n.State != moved && n.State != ready && n.State != leaving && n.State != left:
		return note{}, &holdfast.Error{Kind: holdfast.Corrupt, Message: p.Note + " is not the note of a volume", Hint: "put it back from a copy of the data directory, or mend it as docs/formats/data-directory.md says", Cause: err}
	}
	return n, nil
}

// write replaces the note, durably.
func (p Place) write(n note) error {
	n.Version = noteVersion
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(p.Note+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return failed("write "+p.Note, err)
	}
	_, err = file.Write(append(raw, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return failed("write "+p.Note, err)
	}
	if err := os.Rename(p.Note+".new", p.Note); err != nil {
		return failed("write "+p.Note, err)
	}
	return syncFolder(filepath.Dir(p.Note))
}

func inside(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
}

// working lists the processes whose working directory is the folder or below it, as that of every PostgreSQL server is.
func working(folder string) (pids []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is right
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && inside(dir, folder) {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}
