package postgres

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// programName is what the server's executable is called, wherever it lies.
const programName = "postgres"

// deletedMark is what the kernel appends to the path of a file that was removed or replaced.
const deletedMark = " (deleted)"

// isPostgres looks at the executable, and, for a server that runs under a dynamic loader of its own, at the command line, which
// the server rewrites as "postgres: ...".
func isPostgres(proc string) bool {
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	if err == nil && filepath.Base(strings.TrimSuffix(exe, deletedMark)) == programName {
		return true
	}
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return false
	}
	for arg := range strings.SplitSeq(string(line), "\x00") {
		if filepath.Base(arg) == programName || strings.HasPrefix(arg, programName+":") {
			return true
		}
	}
	return false
}

// replaced says whether the server's program that a process runs is no longer the one that lies on disk under that path.
func replaced(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	exe := filepath.Join(proc, "exe")
	path, err := os.Readlink(exe)
	if err != nil {
		return false
	}
	if filepath.Base(strings.TrimSuffix(path, deletedMark)) != programName {
		// Where a dynamic loader was started by its own path (a private prefix with its own C library), the executable is the
		// loader, which no upgrade of PostgreSQL touches; the server's program is a file that the loader has mapped.
		if mapped, inode, found := mappedProgram(proc); found {
			return strings.HasSuffix(mapped, deletedMark) || inodeOf(mapped) != inode
		}
	}
	if strings.HasSuffix(path, deletedMark) {
		return true
	}
	runs, errRuns := os.Stat(exe)
	lies, errLies := os.Stat(path)
	return errRuns == nil && (errLies != nil || !os.SameFile(runs, lies))
}

// mappedProgram finds the server's program among the files that a process has mapped. The path carries the kernel's mark of a
// file that is gone.
func mappedProgram(proc string) (path string, inode uint64, found bool) {
	maps, err := os.Open(filepath.Join(proc, "maps"))
	if err != nil {
		return "", 0, false
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// Addresses, permissions, offset, device, inode, and then the path, which may hold spaces.
		fields := strings.Fields(lines.Text())
		slash := strings.IndexByte(lines.Text(), '/')
		if len(fields) < 6 || slash < 0 {
			continue
		}
		path := lines.Text()[slash:]
		if filepath.Base(strings.TrimSuffix(path, deletedMark)) != programName {
			continue
		}
		// The device is left out: some file systems show another one here than to stat.
		inode, err := strconv.ParseUint(fields[4], 10, 64)
		return path, inode, err == nil
	}
	return "", 0, false
}

// inodeOf returns a file's number, 0 when it is not there.
func inodeOf(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return stat.Ino
}
