package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holdfast/holdfast"
)

// PreviewPage is some rows of one table of a backup. Values are texts as PostgreSQL writes them; nil is NULL.
type PreviewPage struct {
	Schema  string      `json:"schema"`
	Name    string      `json:"name"`
	Columns []string    `json:"columns"`
	Rows    [][]*string `json:"rows"`
}

// errEnough ends the reading of a backup of which enough was seen.
var errEnough = errors.New("enough was read")

// Preview reads some rows of one table of a backup's file, from the row at offset (from 0) on, at most limit. A table that the file does not
// have is NotFound. It reads no more of the file than it needs, so it says nothing about the rest of it.
func (t Tools) Preview(ctx context.Context, path, table string, offset, limit int64) (PreviewPage, error) {
	pattern, err := holdfast.ParseTablePattern(table)
	if err != nil {
		return PreviewPage{}, err
	}
	v := &preview{wants: pattern.Matches, skip: offset, limit: limit}
	err = v.file(ctx, t, path)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && !v.found {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the backup holds no rows of a table called %s", table)}
	}
	return v.page, err
}

type preview struct {
	wants       func(schema, name string) bool
	skip, limit int64
	found       bool
	page        PreviewPage
}

func (v *preview) file(ctx context.Context, t Tools, path string) error {
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
	b := bufio.NewReaderSize(r, jsonBuffer)
	magic, err := b.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, []byte(zipMagic)):
		return v.csv(ctx, path)
	case bytes.HasPrefix(magic, []byte(archiveMagic)):
		return v.archive(ctx, t, path)
	case len(magic) >= 262 && string(magic[257:262]) == "ustar":
		return t.withDirectory(ctx, path, func(dir string) error { return v.archive(ctx, t, dir) })
	case bytes.HasPrefix(bytes.TrimLeft(magic, " \t\r\n"), []byte("{")):
		return v.json(b)
	}
	return v.script(newScriptReader(b))
}

func (v *preview) archive(ctx context.Context, t Tools, path string) error {
	head, err := archiveHeadOf(path)
	if err != nil {
		return err
	}
	script, err := t.archiveScript(ctx, path, head, []string{"--data-only"})
	if err != nil {
		return err
	}
	err = v.script(newScriptReader(script))
	if closed := script.Close(); err == nil {
		err = closed
	}
	return err
}

func (v *preview) json(r io.Reader) error {
	j, err := OpenJSON(r)
	if err != nil {
		return err
	}
	for {
		part, err := j.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, ok := part.(*JSONRows)
		if !ok || !v.wants(rows.Schema, rows.Name) {
			continue
		}
		columns := make([]string, len(rows.Columns))
		for i, c := range rows.Columns {
			columns[i] = c.Name
		}
		out := v.begin(rows.Schema, rows.Name, columns)
		if _, err := rows.Copy(out); err != nil {
			return err
		}
		return errEnough
	}
}

func (v *preview) script(s *scriptReader) error {
	var path searchPath
	for {
		stmt, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path.follow(stmt)
		schema, name, ok := rowTarget(stmt)
		if !ok || !s.copying || !v.wants(path.schema(schema), name) {
			continue
		}
		if _, err := io.Copy(v.begin(path.schema(schema), name, copyColumns(stmt)), s.data()); err != nil {
			return err
		}
		return errEnough
	}
}

// copyColumns are the columns that a COPY statement names.
func copyColumns(stmt []byte) []string {
	_, list, found := bytes.Cut(stmt, []byte("("))
	if _, rest, ok := parseName(stmt[len("copy"):]); ok {
		list, found = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("("))
	}
	var columns []string
	for found {
		parts, rest, ok := parseName(list)
		if !ok || len(parts) != 1 {
			return columns
		}
		columns = append(columns, parts[0])
		list, found = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(","))
	}
	return columns
}

// begin returns a writer of rows in COPY's text format that keeps those that are wanted.
func (v *preview) begin(schema, name string, columns []string) io.Writer {
	v.found = true
	v.page = PreviewPage{Schema: schema, Name: name, Columns: columns, Rows: [][]*string{}}
	var rows rowSplitter
	return &lines{each: func(line []byte) error {
		if v.skip > 0 {
			v.skip--
			return nil
		}
		if int64(len(v.page.Rows)) >= v.limit {
			return errEnough
		}
		values, err := rows.split(line, len(columns))
		if err != nil {
			return err
		}
		v.add(values)
		return nil
	}}
}

func (v *preview) add(values [][]byte) {
	row := make([]*string, len(values))
	for i, value := range values {
		if value != nil {
			text := string(value)
			row[i] = &text
		}
	}
	v.page.Rows = append(v.page.Rows, row)
}

// Plain gives the bytes of a packed file unpacked, and others as they are. Closing it closes r.
func Plain(r io.ReadCloser) (io.ReadCloser, error) {
	out, _, err := unpack(r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{out, closers{out, r}}, nil
}

type closers []io.Closer

func (c closers) Close() error {
	var err error
	for _, one := range c {
		err = errors.Join(err, one.Close())
	}
	return err
}

// Preview reads some rows of one table of a completed backup in JSON as Tools.Preview does, but from where it is kept.
func (c *Catalogue) Preview(ctx context.Context, b holdfast.Backup, table string, offset, limit int64) (PreviewPage, error) {
	pattern, err := holdfast.ParseTablePattern(table)
	if err != nil {
		return PreviewPage{}, err
	}
	r, err := c.Open(ctx, b)
	if err != nil {
		return PreviewPage{}, err
	}
	defer r.Close()
	plain, _, err := unpack(stoppable{ctx, r})
	if err != nil {
		return PreviewPage{}, err
	}
	defer plain.Close()
	v := &preview{wants: pattern.Matches, skip: offset, limit: limit}
	err = v.json(plain)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && !v.found {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the backup holds no rows of a table called %s", table)}
	}
	return v.page, err
}
