package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast/holdfast"
)

// Inspection is what a file is and holds. A file that passed it is whole.
type Inspection struct {
	Format        holdfast.BackupFormat
	Compression   holdfast.Compression // of the file; an archive's own is not told
	Packed        holdfast.Compression // how a directory's tar file is packed
	Tool          string               // what wrote it, as far as the file says
	ServerVersion string
	Database      string
	Major         int                     // of the server that was dumped; 0 when the file does not say
	Tables        []holdfast.TableRecords // as far as the rows stand in COPY data
	LargeObjects  int64
	SchemaOnly    bool // it holds no rows
	DataOnly      bool // it holds no schema
	toolMajor     int
}

// Inspect recognizes a file by its magic and reads all of it: one that is broken, truncated or no backup is refused. A path of a
// directory is a directory dump that was not packed.
func (t Tools) Inspect(ctx context.Context, path string) (Inspection, error) {
	if info, err := os.Stat(path); err != nil {
		return Inspection{}, fmt.Errorf("open the backup: %w", err)
	} else if info.IsDir() {
		return t.inspectArchive(ctx, path, holdfast.DirectoryFormat)
	}
	f, err := os.Open(path)
	if err != nil {
		return Inspection{}, fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	r, packed, err := unpack(stoppable{ctx, f})
	if err != nil {
		return Inspection{}, err
	}
	defer r.Close()
	in, err := t.inspect(ctx, path, bufio.NewReaderSize(r, jsonBuffer), packed)
	if in.Compression == "" {
		in.Compression = packed
	}
	return in, err
}

// stoppable is a reader that fails once ctx has ended.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}

func (t Tools) inspect(ctx context.Context, path string, r *bufio.Reader, packed holdfast.Compression) (Inspection, error) {
	magic, err := r.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Inspection{}, err
	}
	if err := recognized(magic); err != nil {
		return Inspection{}, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte(archiveMagic)):
		if packed != holdfast.NoCompression {
			return Inspection{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the archive was packed with %s once more", packed), Hint: "unpack it first; pg_dump's archives are packed inside"}
		}
		return t.inspectArchive(ctx, path, holdfast.CustomFormat)
	case bytes.HasPrefix(magic, []byte(zipMagic)):
		return inspectCSV(ctx, path)
	case len(magic) >= 262 && string(magic[257:262]) == "ustar":
		in, err := t.inspectTar(ctx, path, r)
		in.Packed = packed
		return in, err
	case bytes.HasPrefix(bytes.TrimLeft(magic, " \t\r\n"), []byte("{")):
		return inspectJSON(r)
	}
	return inspectScript(r)
}

// magicSize is how many of a file's first bytes tell what it is.
const magicSize = 512

// recognized refuses a file whose first bytes are none of a backup, packed or not. A text may be SQL: reading it to its end tells.
func recognized(magic []byte) error {
	if len(magic) == 0 {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the file is empty"}
	}
	for _, known := range [][]byte{[]byte(archiveMagic), []byte(zipMagic), gzipMagic, zstdMagic, lz4Magic} {
		if bytes.HasPrefix(magic, known) {
			return nil
		}
	}
	if len(magic) >= 262 && string(magic[257:262]) == "ustar" || bytes.IndexByte(magic, 0) < 0 {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.Invalid, Message: "the file is no backup that is known", Hint: "give a file that pg_dump wrote (plain, custom, tar or a packed directory), or a backup in JSON or CSV"}
}

// inspectTar takes a packed directory, and pg_dump's tar format, which is a directory dump once it is unpacked.
func (t Tools) inspectTar(ctx context.Context, path string, r io.Reader) (Inspection, error) {
	h, err := tar.NewReader(r).Next()
	if err != nil || h.Typeflag != tar.TypeDir && strings.TrimPrefix(h.Name, "./") != tocFile && !strings.HasSuffix(h.Name, ".dat.gz") && !strings.HasSuffix(h.Name, ".dat") {
		return Inspection{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "the tar file is no dump", Hint: "pack the files of a directory dump: tar -C DUMP -cf FILE ."}
	}
	return t.inspectDirectory(ctx, path)
}

func (t Tools) inspectDirectory(ctx context.Context, path string) (in Inspection, err error) {
	err = t.withDirectory(ctx, path, func(dir string) error {
		in, err = t.inspectArchive(ctx, dir, holdfast.DirectoryFormat)
		return err
	})
	return in, err
}

// withDirectory unpacks a directory dump, for as long as do runs.
func (t Tools) withDirectory(ctx context.Context, path string, do func(dir string) error) (err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return do(path)
	}
	dir, err := t.scratchDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	r, _, err := unpack(stoppable{ctx, f})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := unpackDirectory(ctx, r, dir); err != nil {
		return err
	}
	return do(dir)
}

// inspectArchive lets pg_restore write the whole archive as a script, which reads and unpacks all of it, and inspects the script.
func (t Tools) inspectArchive(ctx context.Context, path string, format holdfast.BackupFormat) (Inspection, error) {
	head, err := archiveHeadOf(path)
	if err != nil {
		return Inspection{}, err
	}
	script, err := t.archiveScript(ctx, path, head, nil)
	if err != nil {
		return Inspection{}, err
	}
	defer script.Close()
	in, err := inspectScript(script)
	if err != nil {
		return Inspection{}, archiveDamage(err)
	}
	in.Format, in.Tool, in.ServerVersion, in.Database = format, "pg_dump "+head.tool, head.server, head.database
	in.Major, in.toolMajor, in.Compression = major(head.server), major(head.tool), holdfast.NoCompression
	return in, nil
}

// archiveDamage says that an archive is damaged when pg_restore could not read it.
func archiveDamage(err error) error {
	var failed *toolError
	if !errors.As(err, &failed) {
		return err
	}
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the archive is damaged", Hint: "take another copy of it", Cause: err}
}

func archiveHeadOf(path string) (archiveHead, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, tocFile)
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return archiveHead{}, &holdfast.Error{Kind: holdfast.Corrupt, Message: "the directory dump has no toc.dat", Cause: err}
	}
	if err != nil {
		return archiveHead{}, fmt.Errorf("open the archive: %w", err)
	}
	defer f.Close()
	return readArchiveHead(f)
}

// archiveScript is the archive as a script. A pg_restore reads the archives of its own pg_dump and of older ones.
func (t Tools) archiveScript(ctx context.Context, path string, head archiveHead, args []string) (io.ReadCloser, error) {
	program, err := t.program(ctx, "pg_restore", major(head.tool))
	if err != nil {
		return nil, err
	}
	run, pipe, err := startTool(ctx, program, append(args, "--file=-", path), nil, nil)
	if err != nil {
		return nil, err
	}
	return &toolReader{tool: run, pipe: pipe}, nil
}

func inspectJSON(r io.Reader) (Inspection, error) {
	j, err := OpenJSON(r)
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{Format: holdfast.JSONFormat, Tool: j.Header.Tool, ServerVersion: j.Header.ServerVersion, Database: j.Header.Database,
		Major: major(j.Header.ServerVersion), DataOnly: j.Header.DataOnly, SchemaOnly: j.Header.SchemaOnly}
	for {
		part, err := j.Next()
		if errors.Is(err, io.EOF) {
			return in, nil
		}
		if err != nil {
			return Inspection{}, err
		}
		switch p := part.(type) {
		case *JSONRows:
			n, err := p.Copy(nil)
			if err != nil {
				return Inspection{}, err
			}
			in.Tables = append(in.Tables, holdfast.TableRecords{Schema: p.Schema, Name: p.Name, Records: n})
		case *JSONChunks:
			in.LargeObjects++
		}
	}
}

// inspectScript reads a whole script. One that does not end as pg_dump's do was cut off or is none.
func inspectScript(r io.Reader) (Inspection, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return Inspection{}, err
	}
	in := Inspection{Format: holdfast.PlainFormat, SchemaOnly: true, DataOnly: true}
	in.ServerVersion, in.Tool = commentValue(head, "-- Dumped from database version "), commentValue(head, "-- Dumped by pg_dump version ")
	in.Major, in.toolMajor = major(in.ServerVersion), major(in.Tool)
	if in.Tool != "" {
		in.Tool = "pg_dump " + in.Tool
	}
	s := newScriptReader(b)
	if err := in.readScript(s); err != nil {
		return Inspection{}, err
	}
	if !s.complete {
		return Inspection{}, &holdfast.Error{Kind: holdfast.Corrupt, Message: "the script does not end as a dump does: it was cut off, or pg_dump did not write it",
			Hint: fmt.Sprintf("take another copy of it; a whole dump ends with %q", dumpEnd)}
	}
	return in, nil
}

// readScript reads to the end and counts rows and large objects.
func (in *Inspection) readScript(s *scriptReader) error {
	var path searchPath
	index := map[[2]string]int{}
	for {
		stmt, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path.follow(stmt)
		switch classify(stmt) {
		case schemaStatement:
			in.DataOnly = false
		case objectStatement:
			if objectCreation(stmt) {
				in.LargeObjects++
			}
		case rowStatement:
			in.SchemaOnly = false
			schema, name, ok := rowTarget(stmt)
			if !ok || !s.copying {
				continue
			}
			if _, err := io.Copy(io.Discard, s.data()); err != nil {
				return err
			}
			key := [2]string{path.schema(schema), name}
			if _, known := index[key]; !known {
				index[key] = len(in.Tables)
				in.Tables = append(in.Tables, holdfast.TableRecords{Schema: key[0], Name: name})
			}
			in.Tables[index[key]].Records += s.copyRows
		}
	}
}

// searchPath follows the search path of a script: dumps from before 2018 set it before each table and name the table alone.
type searchPath struct{ first string }

func (p *searchPath) follow(stmt []byte) {
	if name, value, ok := parseSet(stmt); ok && name == "search_path" {
		if parts, _, ok := parseName([]byte(strings.Trim(value, "'"))); ok {
			_, p.first = tableName(parts)
		}
	}
}

func (p *searchPath) schema(written string) string {
	if written == "" {
		return p.first
	}
	return written
}

// commentValue is what follows a prefix on its line.
func commentValue(head []byte, prefix string) string {
	_, rest, found := bytes.Cut(head, []byte(prefix))
	if !found {
		return ""
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(string(line))
}
