package backup

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// objectChunk is how much of a large object is read and written at once.
const objectChunk = 1 << 20

// dumpJSON writes the snapshot as JSON and returns the numbers of rows and of large objects.
func (s *snapshot) dumpJSON(ctx context.Context, tools Tools, b holdfast.Backup, w io.Writer, tell Progress) (counts []holdfast.TableRecords, objects int64, err error) {
	header := headerOf(b)
	header.Encoding = s.encoding
	j := NewJSONWriter(w, header)
	if !b.Options.DataOnly {
		schema, err := s.schema(ctx, tools, b.Options)
		if err != nil {
			return nil, 0, err
		}
		if err := j.Schema(schema); err != nil {
			return nil, 0, err
		}
	}
	if !b.Options.SchemaOnly {
		if counts, err = s.dumpTables(ctx, j, tell); err != nil {
			return nil, 0, err
		}
		if objects, err = s.dumpRest(ctx, j, b.Options); err != nil {
			return nil, 0, err
		}
	}
	return counts, objects, j.Close()
}

// schema asks pg_dump for the schema in two parts: before the rows and after them.
func (s *snapshot) schema(ctx context.Context, tools Tools, options holdfast.BackupOptions) (JSONSchema, error) {
	program, err := tools.program(ctx, "pg_dump", s.server.Major)
	if err != nil {
		return JSONSchema{}, err
	}
	part := func(section string) (string, error) {
		var text strings.Builder
		args := append(s.dumpArguments(options), "--schema-only", "--section="+section)
		t, _, err := startTool(ctx, program, args, &s.db, &text)
		if err == nil {
			err = t.wait()
		}
		if err != nil {
			return "", fmt.Errorf("dump the schema of %s: %w", s.db.Name, err)
		}
		return text.String(), nil
	}
	pre, err := part("pre-data")
	if err != nil {
		return JSONSchema{}, err
	}
	post, err := part("post-data")
	return JSONSchema{PreData: pre, PostData: post}, err
}

// dumpArguments are the arguments of pg_dump that every format shares. The database is named by the environment.
func (s *snapshot) dumpArguments(options holdfast.BackupOptions) []string {
	args := []string{"--no-password", "--snapshot=" + s.id, "--encoding=UTF8", "--lock-wait-timeout=" + fmt.Sprint(defaultLockTimeout.Milliseconds())}
	if s.encoding == "SQL_ASCII" {
		args = slices.Delete(args, 2, 3) // its bytes have no known encoding; they stay as they are
	}
	if !options.KeepOwners {
		args = append(args, "--no-owner")
	}
	if !options.KeepRights {
		args = append(args, "--no-acl")
	}
	if len(options.Tables) > 0 {
		for _, t := range s.tables {
			args = append(args, "--table="+t.String())
		}
	}
	return args
}

// dumpTables writes the rows of every chosen table.
func (s *snapshot) dumpTables(ctx context.Context, j *JSONWriter, tell Progress) ([]holdfast.TableRecords, error) {
	counts := []holdfast.TableRecords{}
	tables := holders(s.tables)
	for i, t := range tables {
		tell.step("dumping "+t.String(), int64(i), int64(len(tables)), "tables")
		if err := j.Table(t); err != nil {
			return nil, err
		}
		var rows rowSplitter
		var failed error
		out := &lines{each: func(line []byte) error {
			values, err := rows.split(line, len(t.Columns))
			if err == nil {
				err = j.Row(values)
			}
			failed = err
			return err
		}}
		if _, err := s.conn.PgConn().CopyTo(ctx, out, t.copyOut("")); err != nil {
			if failed != nil {
				err = failed
			}
			return nil, fmt.Errorf("dump the rows of %s: %w", t, explain(err))
		}
		n, err := j.EndTable()
		if err != nil {
			return nil, err
		}
		counts = append(counts, holdfast.TableRecords{Schema: t.Schema, Name: t.Name, Records: n})
	}
	return counts, nil
}

// dumpRest writes sequences, large objects and the names of materialized views.
func (s *snapshot) dumpRest(ctx context.Context, j *JSONWriter, options holdfast.BackupOptions) (objects int64, err error) {
	var owners []uint32
	if len(options.Tables) > 0 {
		for _, t := range s.tables {
			owners = append(owners, t.OID)
		}
	}
	sequences, err := readSequences(ctx, pgxSession{s.conn}, owners)
	if err != nil {
		return 0, err
	}
	all := make([]JSONSequence, len(sequences))
	for i, q := range sequences {
		all[i] = q.JSONSequence
	}
	if err := j.Sequences(all); err != nil {
		return 0, err
	}
	if len(options.Tables) > 0 {
		return 0, nil // as pg_dump: chosen tables come without large objects and views
	}
	if objects, err = dumpObjects(ctx, s.conn, j, options.KeepOwners); err != nil {
		return 0, fmt.Errorf("dump the large objects: %w", explain(err))
	}
	views, err := readViews(ctx, s.conn)
	if err != nil {
		return 0, err
	}
	return objects, j.Views(views)
}

// sequence is a sequence with the table and column that it feeds, if it does.
type sequence struct {
	JSONSequence
	Table    uint32
	Column   string
	Min, Max int64
	Step     int64
}

func (s sequence) String() string { return holdfast.QuoteQualified(s.Schema, s.Name) }

// readSequences lists the user's sequences; when owners is not nil, only those that feed a column of these tables.
func readSequences(ctx context.Context, conn session, owners []uint32) ([]sequence, error) {
	var all []sequence
	var s sequence
	err := conn.each(ctx, []any{&s.Schema, &s.Name, &s.Table, &s.Column, &s.Min, &s.Max, &s.Step}, func() error {
		all = append(all, s)
		return nil
	}, `
		SELECT n.nspname, c.relname, coalesce(d.refobjid, 0::oid), coalesce(a.attname, ''), q.seqmin, q.seqmax, q.seqincrement
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_sequence q ON q.seqrelid = c.oid
		LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
		     AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
		LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
		  AND ($1::oid[] IS NULL OR d.refobjid = ANY($1::oid[]))
		  AND (EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY(e.extconfig))
		       OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e'))
		ORDER BY 1, 2`, oidList(owners))
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	for i := range all {
		s := &all[i]
		if err := conn.each(ctx, []any{&s.LastValue, &s.IsCalled}, func() error { return nil }, "SELECT last_value, is_called FROM "+s.String()); err != nil {
			return nil, fmt.Errorf("read the sequence %s: %w", s, explain(err))
		}
	}
	return all, nil
}

// dumpObjects writes the large objects.
func dumpObjects(ctx context.Context, conn *pgx.Conn, j *JSONWriter, owners bool) (n int64, err error) {
	err = eachObject(ctx, conn, owners, func(o JSONLargeObject) error {
		n++
		if err := j.LargeObject(o); err != nil {
			return err
		}
		if err := eachChunk(ctx, conn, o.OID, j.Chunk); err != nil {
			return err
		}
		return j.EndLargeObject()
	})
	return n, err
}

// eachObject gives every large object, listing them in portions: there can be millions.
func eachObject(ctx context.Context, conn *pgx.Conn, owners bool, give func(JSONLargeObject) error) error {
	var last uint32
	for {
		rows, err := conn.Query(ctx, `
			SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner), pg_catalog.obj_description(m.oid, 'pg_largeobject')
			FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid > $1 ORDER BY m.oid LIMIT 1000`, last)
		if err != nil {
			return err
		}
		portion, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o JSONLargeObject, err error) {
			err = row.Scan(&o.OID, &o.Owner, &o.Comment)
			return o, err
		})
		if err != nil || len(portion) == 0 {
			return err
		}
		for _, o := range portion {
			if !owners {
				o.Owner = ""
			}
			if err := give(o); err != nil {
				return fmt.Errorf("large object %d: %w", o.OID, err)
			}
			last = o.OID
		}
	}
}

// eachChunk gives the bytes of a large object.
func eachChunk(ctx context.Context, conn *pgx.Conn, oid uint32, give func([]byte) error) error {
	for offset := int64(0); ; offset += objectChunk {
		var chunk []byte
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.lo_get($1, $2, $3)", oid, offset, objectChunk).Scan(&chunk); err != nil {
			return err
		}
		if len(chunk) > 0 {
			if err := give(chunk); err != nil {
				return err
			}
		}
		if len(chunk) < objectChunk {
			return nil
		}
	}
}

// readViews lists the materialized views that are filled, each after those that it reads from.
func readViews(ctx context.Context, conn *pgx.Conn) ([]JSONView, error) {
	rows, err := conn.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, c.relkind = 'm' AND c.relispopulated,
		       ARRAY(SELECT DISTINCT d.refobjid FROM pg_catalog.pg_rewrite r
		             JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
		             JOIN pg_catalog.pg_class v ON v.oid = d.refobjid AND v.relkind IN ('v', 'm')
		             WHERE r.ev_class = c.oid AND d.refobjid <> c.oid ORDER BY 1)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')
		ORDER BY 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("list the materialized views: %w", err)
	}
	type view struct {
		JSONView
		filled bool
		reads  []uint32
	}
	views := map[uint32]*view{}
	var order []uint32
	var v view
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&oid, &v.Schema, &v.Name, &v.filled, &v.reads}, func() error {
		c := v
		c.reads = slices.Clone(v.reads)
		views[oid], order = &c, append(order, oid)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the materialized views: %w", err)
	}
	var sorted []JSONView
	seen := map[uint32]bool{}
	var visit func(uint32)
	visit = func(oid uint32) {
		if seen[oid] || views[oid] == nil {
			return
		}
		seen[oid] = true
		for _, below := range views[oid].reads {
			visit(below)
		}
		if views[oid].filled {
			sorted = append(sorted, views[oid].JSONView)
		}
	}
	for _, oid := range order {
		visit(oid)
	}
	return sorted, nil
}
