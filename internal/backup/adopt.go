package backup

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// Adopt takes a file that was made elsewhere into the destinations: recognized by its magic, inspected to its end, copied, and read
// back. A directory dump may be given as the directory itself. The request's Database is not used.
func (t Tools) Adopt(ctx context.Context, file string, req DumpRequest) (holdfast.Backup, error) {
	b := req.Backup
	if len(req.Destinations) == 0 || req.Copies > len(req.Destinations) {
		return b, &holdfast.Error{Kind: holdfast.Invalid, Message: "a backup needs a destination"}
	}
	if req.Copies <= 0 {
		req.Copies = len(req.Destinations)
	}
	req.Progress.step("inspecting the file", 0, 0, "")
	in, err := t.Inspect(ctx, file)
	if err != nil {
		return b, fmt.Errorf("adopt the file: %w", err)
	}
	b.Options = holdfast.BackupOptions{Format: in.Format, Compression: in.Compression, SchemaOnly: in.SchemaOnly, DataOnly: in.DataOnly && !in.SchemaOnly}
	b.Database, b.ServerVersion, b.Major, b.Tool = in.Database, in.ServerVersion, in.Major, in.Tool
	b.Tables, b.LargeObjects = in.Tables, in.LargeObjects
	if b.ID == "" {
		b.ID = holdfast.BackupID(rand.Text())
	}
	b.Version, b.State, b.Object = manifestVersion, holdfast.BackupInProgress, adoptedName(in)
	if err := claim(ctx, &b, req.Destinations); err != nil {
		return b, err
	}
	if req.Started != nil {
		req.Started(b)
	}
	err = send(ctx, &req, &b, func(w io.Writer) error { return readInto(ctx, file, w) })
	if err != nil {
		return fail(ctx, b, &req, err), fmt.Errorf("adopt the file: %w", err)
	}
	return b, nil
}

// Receive writes a file that comes from elsewhere into the scratch folder, as path; size is that of all of it, 0 where it is not known. It begins
// with bytes that Inspect knows and comes whole, or it is refused and nothing of it is left.
func (t Tools) Receive(path string, r io.Reader, size int64) (err error) {
	if err := os.MkdirAll(t.Scratch, 0o700); err != nil {
		return diskError("make the scratch folder", err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(t.Scratch, &stat); err == nil && size > int64(stat.Bavail)*stat.Bsize {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the file of %d MB does not fit on the disk of %s, where it is inspected: %d MB are free", size>>20, t.Scratch, int64(stat.Bavail)*stat.Bsize>>20),
			Hint: "free space on that disk"}
	}
	in := bufio.NewReaderSize(r, jsonBuffer)
	magic, err := in.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := recognized(magic); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError("make a scratch file", err)
	}
	_, err = io.CopyBuffer(onlyWriter{f}, onlyReader{in}, make([]byte, jsonBuffer))
	if err == nil {
		err = f.Sync() // a job takes it up after a crash
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return errors.Join(diskError("take the file", err), os.Remove(path))
	}
	return nil
}

// adoptedName is the name for the bytes; a packed directory stays packed as it is.
func adoptedName(in Inspection) string {
	switch {
	case in.Format == holdfast.DirectoryFormat && in.Packed == holdfast.Gzip:
		return "dump.tar.gz"
	case in.Format == holdfast.DirectoryFormat && in.Packed == holdfast.Zstd:
		return "dump.tar.zst"
	}
	return objectName(holdfast.BackupOptions{Format: in.Format, Compression: in.Compression})
}

func readInto(ctx context.Context, file string, w io.Writer) error {
	if info, err := os.Stat(file); err != nil {
		return fmt.Errorf("read the file: %w", err)
	} else if info.IsDir() {
		return packDirectory(file, w)
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the file: %w", err)
	}
	defer f.Close()
	_, err = io.CopyBuffer(onlyWriter{w}, stoppable{ctx, f}, make([]byte, jsonBuffer))
	return err
}

// send writes the bytes to every destination, reads them back, and completes the manifests.
func send(ctx context.Context, req *DumpRequest, b *holdfast.Backup, write func(io.Writer) error) error {
	out := startFanOut(ctx, req.Destinations, b.Name, b.Object, req.Copies)
	if err := write(out); err != nil {
		out.abort(err)
		return err
	}
	req.Progress.step("reading it back", 0, out.size, "bytes")
	copies, err := out.finish(ctx, b.Name, b.Object)
	if err != nil {
		return err
	}
	b.Copies, b.Size, b.SHA256 = copies, out.size, fmt.Sprintf("%x", out.hash.Sum(nil))
	b.State, b.EndedAt = holdfast.BackupCompleted, time.Now().UTC()
	return complete(ctx, b, req)
}

// Replicate copies a completed backup to another destination, reads it back there, and returns it with its new copy. The manifest at
// the source is not changed.
func Replicate(ctx context.Context, from *Catalogue, b holdfast.Backup, to Destination, tell Progress) (holdfast.Backup, error) {
	r, err := from.Open(ctx, b)
	if err != nil {
		return b, err
	}
	defer r.Close()
	out := startFanOut(ctx, []Destination{to}, b.Name, b.Object, 1)
	_, err = io.CopyBuffer(onlyWriter{&countingWriter{w: out, tell: tell}}, onlyReader{r}, make([]byte, jsonBuffer))
	if err != nil {
		out.abort(err)
		return b, fmt.Errorf("copy the backup %s to %s: %w", b.Name, to.Name, err)
	}
	copies, err := out.finish(ctx, b.Name, b.Object)
	if err != nil {
		return b, fmt.Errorf("copy the backup %s: %w", b.Name, err)
	}
	b.Copies = append(b.Copies[:len(b.Copies):len(b.Copies)], copies...)
	return b, to.Catalogue.putLocked(ctx, b, to.Name)
}

// Fetch brings the bytes of a backup to the scratch folder and says where they are. They are those of the manifest, or the answer
// is Corrupt. The caller calls release when it is done with the file.
func (t Tools) Fetch(ctx context.Context, c *Catalogue, b holdfast.Backup, tell Progress) (file string, release func() error, err error) {
	r, err := c.Open(ctx, b)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	dir, err := t.scratchDir()
	if err != nil {
		return "", nil, err
	}
	release = func() error { return os.RemoveAll(dir) }
	file = filepath.Join(dir, b.Object)
	if err := fetch(r, file, b, tell); err != nil {
		return "", nil, errors.Join(fmt.Errorf("fetch the backup %s: %w", b.Name, err), release())
	}
	return file, release, nil
}

func fetch(r io.Reader, file string, b holdfast.Backup, tell Progress) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError("make a scratch file", err)
	}
	_, err = io.CopyBuffer(onlyWriter{&fetchProgress{f, tell, 0, b.Size}}, onlyReader{r}, make([]byte, jsonBuffer))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return diskError("write a scratch file", err)
	}
	return nil
}

type fetchProgress struct {
	w           io.Writer
	tell        Progress
	done, total int64
}

func (p *fetchProgress) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.done += int64(n)
	p.tell.step("fetching the backup", p.done, p.total, "bytes")
	return n, err
}
