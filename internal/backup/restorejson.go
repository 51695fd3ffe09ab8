package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast/holdfast"
)

// restoreJSON carries out a backup in JSON: the schema before the rows, the rows, where sequences stand, large objects, the rest of
// the schema, and the materialized views.
func (x *scriptRun) restoreJSON(ctx context.Context, r io.Reader) error {
	j, err := OpenJSON(r)
	if err != nil {
		return err
	}
	after := &JSONSchema{}
	var views []JSONView
	for {
		part, err := j.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch p := part.(type) {
		case *JSONSchema:
			after = p
			err = x.jsonSchema(ctx, p.PreData)
		case *JSONRows:
			err = x.jsonRows(ctx, p)
		case []JSONSequence:
			err = x.jsonSequences(ctx, p)
		case *JSONChunks:
			err = x.jsonObject(ctx, p)
		case []JSONView:
			views = p
		}
		if err != nil {
			return err
		}
	}
	if err := x.jsonSchema(ctx, after.PostData); err != nil {
		return err
	}
	return x.fillViews(ctx, views)
}

// fillViews fills the materialized views, which comes last.
func (x *scriptRun) fillViews(ctx context.Context, views []JSONView) error {
	if x.req.SchemaOnly || x.wanted != nil {
		return nil
	}
	for _, v := range views {
		name := holdfast.QuoteQualified(v.Schema, v.Name)
		x.req.Progress.step("filling the materialized view "+name, 0, 0, "")
		if _, err := x.conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+name); err != nil {
			return fmt.Errorf("fill the materialized view %s: %w", name, explain(err))
		}
	}
	return nil
}

// jsonSchema carries out a part of the schema, and gives the session its settings back: the part may have changed them.
func (x *scriptRun) jsonSchema(ctx context.Context, script string) error {
	if script == "" || x.req.DataOnly {
		return nil
	}
	if err := x.run(ctx, strings.NewReader(script)); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	return prepare(ctx, x.conn)
}

func (x *scriptRun) jsonRows(ctx context.Context, rows *JSONRows) error {
	if x.req.SchemaOnly || x.wanted != nil && !x.wanted(rows.Schema, rows.Name) {
		return nil // Next passes over them
	}
	table := rows.Table()
	x.req.Progress.step("restoring "+table.String(), 0, 0, "")
	data, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		_, err := rows.Copy(w)
		_ = w.CloseWithError(err) // never fails
		read <- err
	}()
	tag, err := x.conn.PgConn().CopyFrom(ctx, data, "COPY "+table.String()+table.columnList()+" FROM STDIN")
	_ = data.CloseWithError(errStopped) // let the goroutine go when the server refused a row
	if damaged := <-read; damaged != nil && !errors.Is(damaged, errStopped) {
		return damaged
	}
	if err != nil {
		return fmt.Errorf("restore the rows of %s: %w", table, explain(err))
	}
	x.result.add(rows.Schema, rows.Name, tag.RowsAffected())
	return nil
}

// errStopped ends a goroutine whose reader has gone.
var errStopped = errors.New("the reader has gone")

func (x *scriptRun) jsonSequences(ctx context.Context, all []JSONSequence) error {
	if x.req.SchemaOnly {
		return nil
	}
	for _, s := range all {
		name := holdfast.QuoteQualified(s.Schema, s.Name)
		if _, err := x.conn.Exec(ctx, "SELECT pg_catalog.setval($1::regclass, $2, $3)", name, s.LastValue, s.IsCalled); err != nil {
			return fmt.Errorf("set the sequence %s: %w", name, explain(err))
		}
	}
	return nil
}

func (x *scriptRun) jsonObject(ctx context.Context, o *JSONChunks) error {
	return x.makeObject(ctx, o.JSONLargeObject, o.Each)
}

// makeObject makes a large object of the bytes that each gives.
func (x *scriptRun) makeObject(ctx context.Context, o JSONLargeObject, each func(give func([]byte) error) error) error {
	if x.req.SchemaOnly || x.wanted != nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("restore the large object %d: %w", o.OID, explain(err)) }
	if _, err := x.conn.Exec(ctx, "SELECT pg_catalog.lo_create($1)", o.OID); err != nil {
		return fail(err)
	}
	var offset int64
	err := each(func(chunk []byte) error {
		_, err := x.conn.Exec(ctx, "SELECT pg_catalog.lo_put($1, $2, $3)", o.OID, offset, chunk)
		offset += int64(len(chunk))
		return err
	})
	if err != nil {
		return fail(err)
	}
	if o.Comment != nil {
		if _, err := x.conn.Exec(ctx, fmt.Sprintf("COMMENT ON LARGE OBJECT %d IS %s", o.OID, holdfast.QuoteLiteral(*o.Comment))); err != nil {
			return fail(err)
		}
	}
	if o.Owner != "" && x.req.KeepOwners {
		if _, err := x.conn.Exec(ctx, fmt.Sprintf("ALTER LARGE OBJECT %d OWNER TO %s", o.OID, holdfast.QuoteIdentifier(o.Owner))); err != nil {
			return fail(err)
		}
	}
	return nil
}
