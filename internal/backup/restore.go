package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// RestoreRequest says what is to be restored where.
type RestoreRequest struct {
	Target Database // empty, but for a restore of rows only; the role that its sessions have will own everything
	Path   string   // the file, or the directory of a directory dump

	Tables     []string // patterns; only these tables get rows, and foreign keys that need others are left out
	DataOnly   bool     // the tables are there, and empty
	SchemaOnly bool
	KeepOwners bool
	KeepRights bool
	Jobs       int // sessions at once, for archives that are restored whole

	// Extension makes an extension (in a schema, when it is not empty) that the backup needs. Nil: the target's role makes it, with the rights that it has.
	Extension func(ctx context.Context, name, schema string) error

	Progress Progress

	patterns []holdfast.TablePattern
}

// RestoreResult says what was restored.
type RestoreResult struct {
	Inspection Inspection
	Tables     []holdfast.TableRecords // rows that were put into each table; empty when pg_restore worked by itself
	Notes      []string                // what was left out, and why that loses nothing
}

const maxNotes = 1000

func (r *RestoreResult) note(format string, args ...any) {
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

func (r *RestoreResult) add(schema, name string, rows int64) {
	for i := range r.Tables {
		if r.Tables[i].Schema == schema && r.Tables[i].Name == name {
			r.Tables[i].Records += rows
			return
		}
	}
	r.Tables = append(r.Tables, holdfast.TableRecords{Schema: schema, Name: name, Records: rows})
}

func (req *RestoreRequest) wants(schema, name string) bool {
	return slices.ContainsFunc(req.patterns, func(p holdfast.TablePattern) bool { return p.Matches(schema, name) })
}

// Restore restores a file into a database. The whole file is inspected first: one that is broken, truncated or does not hold what is
// asked for is refused before the database is touched, and so is a database that is not empty. When it fails later, the database holds
// a part of the backup and is to be dropped; a restore of rows only leaves it as it was.
func (t Tools) Restore(ctx context.Context, req RestoreRequest) (RestoreResult, error) {
	if req.DataOnly && req.SchemaOnly {
		return RestoreResult{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "data only and schema only exclude each other"}
	}
	for _, text := range req.Tables {
		p, err := holdfast.ParseTablePattern(text)
		if err != nil {
			return RestoreResult{}, err
		}
		req.patterns = append(req.patterns, p)
	}
	req.Progress.step("inspecting the backup", 0, 0, "")
	in, err := t.Inspect(ctx, req.Path)
	if err != nil {
		return RestoreResult{}, err
	}
	result := RestoreResult{Inspection: in}
	if err := req.fits(in); err != nil {
		return result, err
	}
	conn, err := req.Target.session(ctx)
	if err != nil {
		return result, err
	}
	defer closeConn(conn)
	if err := req.checkTarget(ctx, conn, in); err != nil {
		return result, err
	}
	err = t.restore(ctx, conn, &req, &result)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return result, err
}

// fits refuses what the file does not hold.
func (req *RestoreRequest) fits(in Inspection) error {
	if in.SchemaOnly && req.DataOnly {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the backup holds no rows"}
	}
	if in.DataOnly && !req.DataOnly {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the backup holds rows only, no schema", Hint: "restore it as data only, into a database that has the tables"}
	}
	for i, p := range req.patterns {
		if in.Tables != nil && !slices.ContainsFunc(in.Tables, func(t holdfast.TableRecords) bool { return p.Matches(t.Schema, t.Name) }) {
			return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the backup holds no rows of a table called %s", req.Tables[i])}
		}
	}
	return nil
}

// checkTarget refuses a database that holds something.
func (req *RestoreRequest) checkTarget(ctx context.Context, conn *pgx.Conn, in Inspection) error {
	if req.DataOnly {
		return req.checkEmptyTables(ctx, conn, in)
	}
	var found int64
	var example *string
	err := conn.QueryRow(ctx, `
		SELECT count(*), min(n.nspname || '.' || o.name) FROM (
			SELECT 'pg_catalog.pg_class'::regclass::oid AS class, oid, relname AS name, relnamespace AS ns FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
			UNION ALL SELECT 'pg_catalog.pg_proc'::regclass::oid, oid, proname, pronamespace FROM pg_catalog.pg_proc
			UNION ALL SELECT 'pg_catalog.pg_type'::regclass::oid, oid, typname, typnamespace FROM pg_catalog.pg_type WHERE typtype IN ('d', 'e', 'r')) o
		JOIN pg_catalog.pg_namespace n ON n.oid = o.ns
		WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')`).Scan(&found, &example)
	if err != nil {
		return fmt.Errorf("look into the target: %w", explain(err))
	}
	if found > 0 {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the database %s is not empty: it holds %s and %d other things", req.Target.Name, *example, found-1), Hint: "restore into an empty database, and merge from there"}
	}
	return nil
}

func (req *RestoreRequest) checkEmptyTables(ctx context.Context, conn *pgx.Conn, in Inspection) error {
	tables, err := readTables(ctx, conn)
	if err != nil {
		return err
	}
	for _, r := range in.Tables {
		if len(req.patterns) > 0 && !req.wants(r.Schema, r.Name) {
			continue
		}
		i := slices.IndexFunc(tables, func(t Table) bool { return t.Schema == r.Schema && t.Name == r.Name })
		if i < 0 {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the database %s has no table %s", req.Target.Name, holdfast.QuoteQualified(r.Schema, r.Name)), Hint: "restore the schema first"}
		}
		var filled bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM ONLY "+tables[i].String()+")").Scan(&filled); err != nil {
			return fmt.Errorf("look into %s: %w", tables[i], explain(err))
		}
		if filled {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the table %s of %s holds rows", tables[i], req.Target.Name), Hint: "restore into an empty database, and merge from there"}
		}
	}
	return nil
}

func (t Tools) restore(ctx context.Context, conn *pgx.Conn, req *RestoreRequest, result *RestoreResult) error {
	archive := result.Inspection.Format == holdfast.CustomFormat || result.Inspection.Format == holdfast.DirectoryFormat
	whole := len(req.Tables) == 0 && !req.DataOnly && !req.SchemaOnly && req.Extension == nil
	// A newer pg_restore sets what an older server does not know, and that can only be mended in a script.
	if archive && whole && req.Jobs > 1 && result.Inspection.toolMajor <= serverOf(conn).Major {
		return t.restoreArchive(ctx, req, result)
	}
	if !req.DataOnly {
		return t.restoreStream(ctx, conn, req, result, false)
	}
	return inTransaction(ctx, conn, func() error {
		tables, err := readTables(ctx, conn)
		if err != nil {
			return err
		}
		keys, err := readForeignKeys(ctx, conn)
		if err != nil {
			return err
		}
		deferred, err := deferKeys(ctx, conn, tables, keys)
		if err != nil {
			return err
		}
		if err := t.restoreStream(ctx, conn, req, result, true); err != nil {
			return err
		}
		return deferred.check(ctx)
	})
}

// inTransaction commits when do succeeds and rolls back otherwise.
func inTransaction(ctx context.Context, conn *pgx.Conn, do func() error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(); err != nil {
		over, cancel := afterEnd(ctx)
		defer cancel()
		_ = tx.Rollback(over) // a session that is lost rolls back by itself
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", explainConflict(err))
	}
	return nil
}

// restoreStream reads the file from its beginning to its end and carries it out in one session.
func (t Tools) restoreStream(ctx context.Context, conn *pgx.Conn, req *RestoreRequest, result *RestoreResult, inTx bool) error {
	run, err := newScriptRun(ctx, conn, req, result)
	if err != nil {
		return err
	}
	run.inTx = inTx
	switch result.Inspection.Format {
	case holdfast.DirectoryFormat:
		return t.withDirectory(ctx, req.Path, func(dir string) error { return t.restoreScript(ctx, run, dir) })
	case holdfast.CustomFormat:
		return t.restoreScript(ctx, run, req.Path)
	case holdfast.CSVFormat:
		return run.restoreCSV(ctx, req.Path)
	}
	f, err := os.Open(req.Path)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && result.Inspection.Compression == holdfast.NoCompression {
		run.total = info.Size()
	}
	r, _, err := unpack(stoppable{ctx, f})
	if err != nil {
		return err
	}
	defer r.Close()
	if result.Inspection.Format == holdfast.JSONFormat {
		return run.restoreJSON(ctx, r)
	}
	return run.run(ctx, r)
}

// restoreScript lets pg_restore write the archive as a script and carries that out.
func (t Tools) restoreScript(ctx context.Context, run *scriptRun, path string) error {
	head, err := archiveHeadOf(path)
	if err != nil {
		return err
	}
	script, err := t.archiveScript(ctx, path, head, run.req.archiveArguments())
	if err != nil {
		return err
	}
	err = run.run(ctx, script)
	if closed := script.Close(); err == nil && closed != nil {
		err = closed
	}
	return err
}

func (req *RestoreRequest) archiveArguments() []string {
	var args []string
	if !req.KeepOwners {
		args = append(args, "--no-owner")
	}
	if !req.KeepRights {
		args = append(args, "--no-acl")
	}
	return args
}

// restoreArchive lets pg_restore restore a whole archive with several sessions.
func (t Tools) restoreArchive(ctx context.Context, req *RestoreRequest, result *RestoreResult) error {
	program, err := t.program(ctx, "pg_restore", result.Inspection.toolMajor)
	if err != nil {
		return err
	}
	run := func(path string) error {
		// The name of the database comes from the environment; an empty one here would mean no database at all.
		args := append(req.archiveArguments(), "--no-password", "--exit-on-error", "--jobs="+strconv.Itoa(req.Jobs), "--dbname=application_name=holdfast", path)
		req.Progress.step("restoring with pg_restore", 0, 0, "")
		tool, _, err := startTool(ctx, program, args, &req.Target, io.Discard)
		if err != nil {
			return err
		}
		return tool.wait()
	}
	if result.Inspection.Format == holdfast.DirectoryFormat {
		return t.withDirectory(ctx, req.Path, run)
	}
	return run(req.Path)
}
