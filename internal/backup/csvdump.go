package backup

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/holdfast/holdfast"
)

// zipMagic begins a backup in CSV: a zip file with one CSV file for each table (docs/formats/backup-csv.md).
const zipMagic = "PK\x03\x04"

// CSVVersion is the version of the format that is written.
const CSVVersion = 1

// csvManifest is the last file of a backup in CSV: what the others are.
type csvManifest struct {
	Version int `json:"holdfast_csv"`
	JSONHeader
	Tables       []csvTable        `json:"tables"`
	Sequences    []JSONSequence    `json:"sequences"`
	LargeObjects []JSONLargeObject `json:"large_objects"`
	Views        []JSONView        `json:"materialized_views"`
}

type csvTable struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	File    string   `json:"file"`
	Columns []string `json:"columns"`
	Records int64    `json:"records"`
}

const (
	csvManifestFile = "manifest.json"
	csvPreData      = "schema/pre-data.sql"
	csvPostData     = "schema/post-data.sql"
)

// csvWriter writes a zip file as a stream: nothing of it is kept in memory or on disk.
type csvWriter struct {
	zip    *zip.Writer
	method uint16
	at     time.Time
}

func newCSVWriter(w io.Writer, how holdfast.Compression, at time.Time) *csvWriter {
	c := &csvWriter{zip: zip.NewWriter(w), method: zip.Deflate, at: at.UTC()}
	method, level := how.Split()
	if method == holdfast.NoCompression {
		c.method = zip.Store
	}
	if level == 0 {
		level = 3 // as for gzip
	}
	c.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, level) })
	return c
}

func (c *csvWriter) file(name string) (io.Writer, error) {
	return c.zip.CreateHeader(&zip.FileHeader{Name: name, Method: c.method, Modified: c.at})
}

func (c *csvWriter) text(name, text string) error {
	w, err := c.file(name)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	return err
}

// dumpCSV writes the snapshot as CSV files in a zip file and returns the numbers of rows and of large objects.
func (s *snapshot) dumpCSV(ctx context.Context, tools Tools, b holdfast.Backup, w io.Writer, tell Progress) (counts []holdfast.TableRecords, objects int64, err error) {
	manifest := csvManifest{Version: CSVVersion, JSONHeader: headerOf(b), Tables: []csvTable{}}
	manifest.Encoding = s.encoding
	c := newCSVWriter(w, b.Options.Compression, s.at)
	var schema JSONSchema
	if !b.Options.DataOnly {
		if schema, err = s.schema(ctx, tools, b.Options); err != nil {
			return nil, 0, err
		}
		if err := c.text(csvPreData, schema.PreData); err != nil {
			return nil, 0, err
		}
	}
	if !b.Options.SchemaOnly {
		if counts, err = s.dumpCSVTables(ctx, c, &manifest, tell); err != nil {
			return nil, 0, err
		}
		if err := s.dumpCSVRest(ctx, c, &manifest, b.Options); err != nil {
			return nil, 0, err
		}
	}
	if !b.Options.DataOnly {
		if err := c.text(csvPostData, schema.PostData); err != nil {
			return nil, 0, err
		}
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err == nil {
		err = c.text(csvManifestFile, string(text)+"\n")
	}
	if err == nil {
		err = c.zip.Close()
	}
	return counts, int64(len(manifest.LargeObjects)), err
}

func (s *snapshot) dumpCSVTables(ctx context.Context, c *csvWriter, manifest *csvManifest, tell Progress) ([]holdfast.TableRecords, error) {
	counts := []holdfast.TableRecords{}
	tables := holders(s.tables)
	for i, t := range tables {
		tell.step("dumping "+t.String(), int64(i), int64(len(tables)), "tables")
		// The number keeps names apart that differ only in what a file's name cannot have.
		entry := csvTable{Schema: t.Schema, Name: t.Name, File: fmt.Sprintf("tables/%04d_%s.csv", i+1, fileName(t.Schema+"."+t.Name)), Columns: []string{}}
		for _, column := range t.Columns {
			entry.Columns = append(entry.Columns, column.Name)
		}
		w, err := c.file(entry.File)
		if err != nil {
			return nil, err
		}
		tag, err := s.conn.PgConn().CopyTo(ctx, w, t.copyOut(" (FORMAT csv, HEADER)"))
		if err != nil {
			return nil, fmt.Errorf("dump the rows of %s: %w", t, explain(err))
		}
		entry.Records = tag.RowsAffected()
		manifest.Tables = append(manifest.Tables, entry)
		counts = append(counts, holdfast.TableRecords{Schema: t.Schema, Name: t.Name, Records: entry.Records})
	}
	return counts, nil
}

// fileName is a name with only such characters as every file system takes.
func fileName(name string) string {
	out := []byte(name)
	for i, b := range out {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' {
			out[i] = '_'
		}
	}
	return string(out[:min(len(out), 100)])
}

// dumpCSVRest writes sequences, large objects and the names of materialized views.
func (s *snapshot) dumpCSVRest(ctx context.Context, c *csvWriter, manifest *csvManifest, options holdfast.BackupOptions) error {
	var owners []uint32
	for _, t := range s.tables {
		if len(options.Tables) > 0 {
			owners = append(owners, t.OID)
		}
	}
	sequences, err := readSequences(ctx, pgxSession{s.conn}, owners)
	if err != nil {
		return err
	}
	for _, q := range sequences {
		manifest.Sequences = append(manifest.Sequences, q.JSONSequence)
	}
	if len(options.Tables) > 0 {
		return nil // as pg_dump: chosen tables come without large objects and views
	}
	err = eachObject(ctx, s.conn, options.KeepOwners, func(o JSONLargeObject) error {
		w, err := c.file(objectFile(o.OID))
		if err != nil {
			return err
		}
		manifest.LargeObjects = append(manifest.LargeObjects, o)
		return eachChunk(ctx, s.conn, o.OID, func(chunk []byte) error { _, err := w.Write(chunk); return err })
	})
	if err != nil {
		return fmt.Errorf("dump the large objects: %w", explain(err))
	}
	manifest.Views, err = readViews(ctx, s.conn)
	return err
}

func objectFile(oid uint32) string { return fmt.Sprintf("large_objects/%d", oid) }
