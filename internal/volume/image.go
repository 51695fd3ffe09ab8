package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// Image is a file system that shares blocks, in a sparse file on one that cannot: XFS, mounted through a loop device.
// It gives clones that take no time and no space to users whose disk is ext4. Only root can make and mount it.
type Image struct {
	File   string // absolute path of the sparse file
	Folder string // absolute path of the folder at which it is mounted
	Size   int64  // bytes; only used when the file is made

	step func(string) // is told what was done last; nil: nobody watches
}

// minImage is the smallest XFS that mkfs.xfs makes.
const minImage = 300 << 20

// Ensure makes the image where it is missing, and mounts it where it is not mounted. It may be called at every start. What it made is whole: a file that a
// crash left half made is made again.
//
// The file takes only the space that is used, and gives back what is removed; but it must fit on its disk when it is full, or else the
// file system inside could run out of disk without knowing.
func (i Image) Ensure(ctx context.Context) error {
	if err := i.check(); err != nil {
		return err
	}
	if mounted, err := i.readyFolder(); mounted || err != nil {
		return err
	}
	switch _, err := os.Stat(i.File); {
	case errors.Is(err, fs.ErrNotExist):
		if err := i.make(ctx); err != nil {
			return err
		}
	case err != nil:
		return failed("look at the image "+i.File, err)
	}
	return i.Mount()
}

func (i Image) check() error {
	if !filepath.IsAbs(i.File) || !filepath.IsAbs(i.Folder) {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the image and the folder at which it is mounted must be absolute paths"}
	}
	if os.Geteuid() != 0 {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "only root can make and mount a volume", Hint: "run this command with sudo"}
	}
	return nil
}

// make makes the file beside, gives it a file system, syncs it and renames it.
func (i Image) make(ctx context.Context) error {
	if i.Size < minImage {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a volume has at least %d MiB", minImage>>20)}
	}
	program, err := findProgram("mkfs.xfs")
	if err != nil {
		return err
	}
	folder := filepath.Dir(i.File)
	if err := os.MkdirAll(folder, parentMode()); err != nil {
		return failed("make the folder "+folder, err)
	}
	space, err := SpaceOf(folder)
	if err != nil {
		return err
	}
	if i.Size > space.Free { // a file system that believes in space which its disk does not have loses data when it is used
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("a volume of %d MiB does not fit in %s, which has %d MiB left", i.Size>>20, folder, space.Free>>20),
			Hint: "make a smaller volume, or one on a larger disk"}
	}
	partial := i.partial()
	file, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return failed("make the image "+i.File, err)
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("the image %s is being made by somebody else", i.File), Cause: err}
	}
	err = i.format(ctx, program, file)
	if err == nil {
		err = failed("make the image "+i.File, unix.Renameat2(unix.AT_FDCWD, partial, unix.AT_FDCWD, i.File, unix.RENAME_NOREPLACE))
	}
	if err != nil {
		_ = os.Remove(partial)
		return err
	}
	return syncFolder(folder)
}

// partial is what the file is called while it is made.
func (i Image) partial() string { return i.File + ".partial" }

func (i Image) format(ctx context.Context, program string, file *os.File) error {
	for _, size := range []int64{0, i.Size} { // nothing that a crash left remains
		if err := file.Truncate(size); err != nil {
			return failed("make the image "+i.File, err)
		}
	}
	output, err := exec.CommandContext(ctx, program, "-q", "-f", "-m", "reflink=1", "-L", "holdfast", file.Name()).CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("make the image %s: %w", i.File, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("make a file system in %s: %w: %s", i.File, err, bytes.TrimSpace(output))
	}
	return failed("sync the image "+i.File, file.Sync())
}

// findProgram finds a program of xfsprogs, also where the search path of a service leaves out the administrator's folders.
func findProgram(program string) (string, error) {
	for _, folder := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(folder + program); err == nil {
			return path, nil
		}
	}
	return "", &holdfast.Error{Kind: holdfast.Precondition, Message: program + " is not installed", Hint: "install the package xfsprogs"}
}

// grow makes the file, its loop device and the file system in it larger. Each step can be repeated, so a call after a crash with the same size finishes.
func (i Image) grow(ctx context.Context, size int64) error {
	if err := i.check(); err != nil {
		return err
	}
	program, err := findProgram("xfs_growfs")
	if err != nil {
		return err
	}
	mounted, err := i.Mounted()
	if err != nil {
		return err
	}
	if !mounted {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the volume %s is not mounted", i.File), Hint: "mount it with `holdfast volume mount`"}
	}
	file, err := os.OpenFile(i.File, os.O_RDWR, 0)
	if err != nil {
		return failed("open the image "+i.File, err)
	}
	defer file.Close()
	if err := i.checkGrowth(file, size); err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Sync()); err != nil {
		return failed("make the image "+i.File+" larger", err)
	}
	if err := resizeLoop(i.Folder); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, program, "-d", i.Folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the file system in %s larger: %w: %s", i.File, err, bytes.TrimSpace(output))
	}
	return nil
}

func (i Image) checkGrowth(file *os.File, size int64) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return failed("look at the image "+i.File, err)
	}
	if size < stat.Size {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the volume has %d MiB already; XFS cannot become smaller", stat.Size>>20)}
	}
	disk, err := SpaceOf(i.File)
	if err != nil {
		return err
	}
	if free := disk.Free + stat.Blocks*512; size > free {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("a volume of %d MiB does not fit on its disk, where it could have %d MiB", size>>20, free>>20), Hint: "make it less large, or free space on the disk"}
	}
	return nil
}

// Mounted says whether the image is mounted at its folder. Something else that is mounted there is a Conflict.
func (i Image) Mounted() (bool, error) {
	folder := i.Folder
	if resolved, err := filepath.EvalSymlinks(folder); err == nil {
		folder = resolved // as the kernel lists it
	}
	m, ok, err := mountAt(folder)
	if err != nil || !ok {
		return false, err
	}
	if !sameFile(loopFile(m.major, m.minor), i.File) {
		return false, &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("something else is mounted at %s: %s", i.Folder, m.fileSystem), Hint: "name another folder"}
	}
	return true, nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// Mount mounts the image, which must exist; one that is mounted stays so.
func (i Image) Mount() error {
	if err := i.check(); err != nil {
		return err
	}
	if mounted, err := i.readyFolder(); mounted || err != nil {
		return err
	}
	if err := isXFS(i.File); err != nil {
		return err
	}
	device, err := attachLoop(i.File)
	if err != nil {
		return err
	}
	defer device.Close() // the mount holds the device; without one it frees itself
	if i.step != nil {
		i.step("a loop device is attached")
	}
	// discard gives the blocks of what was removed back to the disk.
	err = unix.Mount(device.Name(), i.Folder, "xfs", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOATIME, "discard")
	switch {
	case errors.Is(err, unix.ENODEV):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "this kernel cannot mount XFS", Hint: "load its module: modprobe xfs", Cause: err}
	case errors.Is(err, unix.EPERM):
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "mounting is not permitted here", Hint: "a container needs the privilege to mount (CAP_SYS_ADMIN)", Cause: err}
	case err != nil:
		return failed(fmt.Sprintf("mount %s at %s", i.File, i.Folder), err)
	}
	return failed("set the mode of "+i.Folder, os.Chmod(i.Folder, parentMode()))
}

// readyFolder makes the folder at which the image is to be mounted and checks that it can be, unless the image is mounted there already.
func (i Image) readyFolder() (mounted bool, err error) {
	if mounted, err := i.Mounted(); mounted || err != nil {
		return mounted, err
	}
	if err := os.MkdirAll(i.Folder, parentMode()); err != nil {
		return false, failed("make the folder "+i.Folder, err)
	}
	// What lies in the folder would be hidden by the mount, and look lost.
	entries, err := os.ReadDir(i.Folder)
	if err != nil {
		return false, failed("look at "+i.Folder, err)
	}
	if len(entries) > 0 {
		return false, &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s is not empty; mounting would hide what is in it", i.Folder), Hint: "name an empty folder"}
	}
	return false, nil
}

// isXFS checks the first bytes of the image, so that the message is ours and not the kernel's.
func isXFS(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the image %s does not exist", path), Hint: "make it with `holdfast volume create`", Cause: err}
	}
	if err != nil {
		return failed("open the image "+path, err)
	}
	defer file.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(file, magic); err != nil || string(magic) != "XFSB" {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s exists and is not a volume's image", path), Hint: "name another file", Cause: err}
	}
	return nil
}

// Unmount unmounts the image; one that is not mounted is no error. It is Busy while somebody uses it.
func (i Image) Unmount() error {
	mounted, err := i.Mounted()
	if err != nil || !mounted {
		return err
	}
	err = unix.Unmount(i.Folder, 0)
	if errors.Is(err, unix.EBUSY) {
		return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("%s is in use", i.Folder), Hint: "stop the servers whose data lies there", Cause: err}
	}
	return failed("unmount "+i.Folder, err)
}
