package backup

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast/holdfast"
)

// csvReader is a backup in CSV that was opened.
type csvReader struct {
	*zip.ReadCloser
	manifest csvManifest
}

func openCSV(path string) (*csvReader, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, csvDamage(err)
	}
	c := &csvReader{ReadCloser: z}
	text, err := c.text(csvManifestFile)
	if err == nil {
		err = json.Unmarshal([]byte(text), &c.manifest)
	}
	switch {
	case err != nil:
		err = csvDamage(err)
	case c.manifest.Version == 0:
		err = &holdfast.Error{Kind: holdfast.Invalid, Message: "the zip file is no backup", Hint: "a backup in CSV has a manifest.json that says holdfast_csv"}
	case c.manifest.Version > CSVVersion:
		err = &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the backup has version %d of the format; this program reads up to %d", c.manifest.Version, CSVVersion), Hint: "use a newer program"}
	}
	if err != nil {
		return nil, errors.Join(err, z.Close())
	}
	return c, nil
}

func csvDamage(err error) error {
	var known *holdfast.Error
	if errors.As(err, &known) {
		return err
	}
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the zip file is damaged or ends early", Hint: "take another copy of it", Cause: err}
}

// open opens one file. Reading it to its end checks its bytes.
func (c *csvReader) open(name string) (io.ReadCloser, error) {
	r, err := c.Open(name)
	if err != nil {
		return nil, csvDamage(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{csvDamageReader{r}, r}, nil
}

type csvDamageReader struct{ r io.Reader }

func (d csvDamageReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = csvDamage(err)
	}
	return n, err
}

func (c *csvReader) text(name string) (string, error) {
	r, err := c.open(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 1<<30))
	return string(text), err
}

// inspectCSV reads every file to its end, which checks all bytes.
func inspectCSV(ctx context.Context, path string) (Inspection, error) {
	c, err := openCSV(path)
	if err != nil {
		return Inspection{}, err
	}
	defer c.Close()
	for _, f := range c.File {
		r, err := c.open(f.Name)
		if err != nil {
			return Inspection{}, err
		}
		_, err = io.Copy(io.Discard, stoppable{ctx, r})
		if closed := r.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return Inspection{}, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	m := c.manifest
	in := Inspection{Format: holdfast.CSVFormat, Compression: holdfast.NoCompression, Tool: m.Tool, ServerVersion: m.ServerVersion, Database: m.Database, Major: major(m.ServerVersion),
		DataOnly: m.DataOnly, SchemaOnly: m.SchemaOnly, LargeObjects: int64(len(m.LargeObjects))}
	for _, t := range m.Tables {
		in.Tables = append(in.Tables, holdfast.TableRecords{Schema: t.Schema, Name: t.Name, Records: t.Records})
	}
	return in, nil
}

// restoreCSV carries out a backup in CSV, in the order in which one in JSON is.
func (x *scriptRun) restoreCSV(ctx context.Context, path string) error {
	c, err := openCSV(path)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := x.csvSchema(ctx, c, csvPreData); err != nil {
		return err
	}
	for _, t := range c.manifest.Tables {
		if x.req.SchemaOnly || x.wanted != nil && !x.wanted(t.Schema, t.Name) {
			continue
		}
		if err := x.csvRows(ctx, c, t); err != nil {
			return err
		}
	}
	if err := x.jsonSequences(ctx, c.manifest.Sequences); err != nil {
		return err
	}
	for _, o := range c.manifest.LargeObjects {
		if err := x.csvObject(ctx, c, o); err != nil {
			return err
		}
	}
	if err := x.csvSchema(ctx, c, csvPostData); err != nil {
		return err
	}
	return x.fillViews(ctx, c.manifest.Views)
}

func (x *scriptRun) csvSchema(ctx context.Context, c *csvReader, name string) error {
	if x.req.DataOnly || c.manifest.DataOnly {
		return nil
	}
	script, err := c.text(name)
	if err != nil {
		return err
	}
	return x.jsonSchema(ctx, script)
}

func (x *scriptRun) csvRows(ctx context.Context, c *csvReader, t csvTable) error {
	table := Table{Schema: t.Schema, Name: t.Name}
	for _, name := range t.Columns {
		table.Columns = append(table.Columns, Column{Name: name})
	}
	x.req.Progress.step("restoring "+table.String(), 0, 0, "")
	r, err := c.open(t.File)
	if err != nil {
		return err
	}
	defer r.Close()
	watched := &failingReader{r: r}
	tag, err := x.conn.PgConn().CopyFrom(ctx, watched, "COPY "+table.String()+table.columnList()+" FROM STDIN (FORMAT csv, HEADER)")
	if watched.err != nil {
		return watched.err
	}
	if err != nil {
		return fmt.Errorf("restore the rows of %s: %w", table, explain(err))
	}
	if tag.RowsAffected() != t.Records {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("%s has %d rows and should have %d", table, tag.RowsAffected(), t.Records)}
	}
	x.result.add(t.Schema, t.Name, tag.RowsAffected())
	return nil
}

func (x *scriptRun) csvObject(ctx context.Context, c *csvReader, o JSONLargeObject) error {
	return x.makeObject(ctx, o, func(give func([]byte) error) error {
		r, err := c.open(objectFile(o.OID))
		if err != nil {
			return err
		}
		defer r.Close()
		chunk := make([]byte, objectChunk)
		for {
			n, err := io.ReadFull(r, chunk)
			if n > 0 {
				if err := give(chunk[:n]); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// csv reads a page of a backup in CSV.
func (v *preview) csv(_ context.Context, path string) error {
	c, err := openCSV(path)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, t := range c.manifest.Tables {
		if v.wants(t.Schema, t.Name) {
			return v.csvTable(c, t)
		}
	}
	return nil
}

func (v *preview) csvTable(c *csvReader, t csvTable) error {
	f, err := c.open(t.File)
	if err != nil {
		return err
	}
	defer f.Close()
	v.begin(t.Schema, t.Name, t.Columns)
	r := newCSVRecords(f, ',')
	if _, err := r.next(); err != nil && !errors.Is(err, io.EOF) { // the header
		return err
	}
	for int64(len(v.page.Rows)) < v.limit {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if v.skip > 0 {
			v.skip--
			continue
		}
		v.add(record)
	}
	return nil
}
