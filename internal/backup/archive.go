package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

// archiveHead is what stands at the beginning of pg_dump's archives (custom, and toc.dat of tar and directory).
type archiveHead struct {
	version  [3]byte // of the archive format
	database string
	server   string // the version of the server that was dumped
	tool     string // the version of pg_dump
}

const archiveMagic = "PGDMP"

// readArchiveHead follows ReadHead of PostgreSQL's pg_backup_archiver.c.
func readArchiveHead(r io.Reader) (head archiveHead, err error) {
	broken := func(err error) error {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the head of the archive is damaged", Cause: err}
	}
	b := bufio.NewReaderSize(r, 4096)
	fixed := make([]byte, len(archiveMagic)+6)
	if _, err := io.ReadFull(b, fixed); err != nil || string(fixed[:5]) != archiveMagic {
		return head, broken(err)
	}
	head.version = [3]byte(fixed[5:8])
	intSize := int(fixed[8]) // then the size of an offset, and the format, which is that of tar in directories too
	if intSize < 4 || intSize > 8 || head.version[0] != 1 || head.version[1] < 4 {
		return head, broken(nil)
	}
	number := func() int64 {
		raw := make([]byte, intSize+1)
		if err == nil {
			_, err = io.ReadFull(b, raw)
		}
		var n int64
		for i := intSize; i > 0; i-- {
			n = n<<8 | int64(raw[i])
		}
		if raw[0] != 0 {
			n = -n
		}
		return n
	}
	text := func() string {
		n := number()
		if n < 0 || err != nil {
			return ""
		}
		if n > 1<<16 {
			err = errors.New("a text is too long")
			return ""
		}
		raw := make([]byte, n)
		_, err = io.ReadFull(b, raw)
		return string(raw)
	}
	if head.version[1] >= 15 {
		_, err = b.ReadByte() // the method of compression; before, its level
	} else {
		number()
	}
	for range 7 { // second, minute, hour, day, month, year, daylight saving
		number()
	}
	head.database, head.server, head.tool = text(), text(), text()
	if err != nil {
		return head, broken(err)
	}
	return head, nil
}

// major is the major version in a text like 15.8 (Debian 15.8-1); 0 when there is none.
func major(version string) int {
	digits, _, _ := strings.Cut(version, ".")
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// packDirectory writes the files of a directory dump as a tar, in the order of their names and without the times and owners of the files.
func packDirectory(dir string, w io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the dumped directory: %w", err)
	}
	// The table of contents comes first: whoever reads the tar from its beginning sees what it is.
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int {
		if (a.Name() == tocFile) != (b.Name() == tocFile) {
			if a.Name() == tocFile {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := packFile(t, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return t.Close()
}

const tocFile = "toc.dat"

func packFile(t *tar.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("pack the dumped directory: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("pack the dumped directory: %w", err)
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(path), Size: info.Size(), Mode: 0o600}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// unpackDirectory writes the files of a tar below dir. Names with folders are refused: a directory dump has none, and a tar from
// elsewhere must not write where it likes.
func unpackDirectory(ctx context.Context, r io.Reader, dir string) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the tar file is empty"}
			}
			return nil
		}
		if err != nil {
			return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the tar file is damaged", Cause: err}
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag == tar.TypeDir && name == "" {
			continue
		}
		if h.Typeflag != tar.TypeReg || name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the tar file holds %q, which no directory dump has", h.Name), Hint: "pack only the files of the dump: tar -C DUMP -cf FILE ."}
		}
		if err := unpackFile(t, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
}

func unpackFile(t *tar.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError("unpack the directory dump", err)
	}
	_, err = io.Copy(onlyWriter{f}, t)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the tar file ends early", Cause: err}
	}
	if err != nil {
		return diskError("unpack the directory dump", err)
	}
	return nil
}

// onlyWriter hides ReadFrom, so that errors of reading and writing stay apart.
type onlyWriter struct{ io.Writer }
