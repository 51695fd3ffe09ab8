package volume

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystemName is what a person calls the file system of which statfs(2) gave this magic number.
func fileSystemName(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "smb"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case 0x2fc12fc1:
		return "zfs"
	case 0xca451a4e:
		return "bcachefs"
	}
	return fmt.Sprintf("file system %#x", magic)
}

// probe finds out what the file system is and tries whether it can share blocks: XFS can only when it was made so. scratch makes a file there that goes
// with its descriptor.
func (v *Volume) probe(scratch func() (*os.File, error)) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(v.root, &stat); err != nil {
		return failed("look at the file system of "+v.root, err)
	}
	v.fileSystem = fileSystemName(int64(stat.Type))
	v.backing = backingFile(v.root)
	var err error
	v.reflinks, err = tryReflink(scratch)
	return err
}

// tryReflink clones a small file.
func tryReflink(scratch func() (*os.File, error)) (bool, error) {
	from, err := scratch()
	if errors.Is(err, errNoScratch) {
		return false, nil
	}
	if err != nil {
		return false, failed("try the file system", err)
	}
	defer from.Close()
	to, err := scratch()
	if err != nil {
		return false, failed("try the file system", err)
	}
	defer to.Close()
	if _, err := from.Write(make([]byte, 64<<10)); err != nil {
		return false, failed("try the file system", err)
	}
	err = unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
	if err != nil && !cannotReflink(err) {
		return false, failed("try the file system", err)
	}
	return err == nil, nil
}

// temporary makes files in dir whose name is removed at once.
func temporary(dir string) func() (*os.File, error) {
	return func() (*os.File, error) {
		file, err := os.CreateTemp(dir, "probe-*")
		if err != nil {
			return nil, err
		}
		if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			file.Close()
			return nil, err
		}
		return file, nil
	}
}

// errNoScratch says that nothing can be tried without leaving a trace. File systems that share blocks can be tried so.
var errNoScratch = errors.New("no file without a name can be made")

// nameless makes files in dir that never have a name.
func nameless(dir string) func() (*os.File, error) {
	return func() (*os.File, error) {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, errNoScratch
		}
		return os.NewFile(uintptr(fd), dir), nil
	}
}

// cannotReflink says whether the error means that these files cannot share blocks, rather than that something broke.
func cannotReflink(err error) bool {
	for _, no := range []error{unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, unix.EXDEV, unix.EINVAL, unix.ETXTBSY} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// backingFile returns the image file that the file system of path lies in, or "".
func backingFile(path string) string {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return ""
	}
	return loopFile(unix.Major(stat.Dev), unix.Minor(stat.Dev))
}

// loopFile returns the file behind a loop device, or "".
func loopFile(major, minor uint32) string {
	raw, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/loop/backing_file", major, minor))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(raw), "\n")
}

// mount is a line of the kernel's list of mounts.
type mount struct {
	major, minor uint32
	point        string
	fileSystem   string
}

// mountAt returns what is mounted at exactly this path; the last of several mounts is the visible one.
func mountAt(path string) (found mount, ok bool, err error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mount{}, false, fmt.Errorf("read the list of mounts: %w", err)
	}
	defer file.Close()
	path = filepath.Clean(path)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if m, parsed := parseMount(lines.Text()); parsed && m.point == path {
			found, ok = m, true
		}
	}
	if err := lines.Err(); err != nil {
		return mount{}, false, fmt.Errorf("read the list of mounts: %w", err)
	}
	return found, ok, nil
}

// parseMount reads a line as proc_pid_mountinfo(5) describes it: id, parent, major:minor, root, mount point, options, optional fields, a hyphen, type.
func parseMount(line string) (m mount, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	fields, rest := strings.Fields(before), strings.Fields(after)
	if !found || len(fields) < 5 || len(rest) < 1 {
		return mount{}, false
	}
	if _, err := fmt.Sscanf(fields[2], "%d:%d", &m.major, &m.minor); err != nil {
		return mount{}, false
	}
	// Space, tab, newline and backslash are written in octal.
	m.point = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
	m.fileSystem = rest[0]
	return m, true
}
