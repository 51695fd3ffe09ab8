package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// ImportRequest says which database comes from where.
type ImportRequest struct {
	From, To   Database // To is empty
	KeepOwners bool
	KeepRights bool
	Extension  func(ctx context.Context, name, schema string) error // see RestoreRequest
	Free       int64                                                // bytes that the target's disk can still take; 0: not known
	Looked     func(Preflight)                                      // unless nil: told what was found before anything is brought over
	Progress   Progress
}

// ImportReport says what was brought over.
type ImportReport struct {
	Preflight Preflight               `json:"preflight"`
	Tool      string                  `json:"tool"`
	Snapshot  time.Time               `json:"snapshot_at"` // the moment that came
	Tables    []holdfast.TableRecords `json:"tables"`      // rows of each table, counted in the source and again in the target
	Notes     []string                `json:"notes,omitempty"`
}

// Import brings a whole foreign database into an empty one, without a file in between: pg_dump writes, and our session carries it out.
// It looks first (Preflight) and refuses problems, and counts every table's rows in the source's snapshot and in the target. When it fails,
// the target holds a part and is to be dropped; the source is only read.
func (t Tools) Import(ctx context.Context, req ImportRequest) (ImportReport, error) {
	var report ImportReport
	req.Progress.step("looking at "+req.From.Name, 0, 0, "")
	var err error
	if report.Preflight, err = t.Preflight(ctx, req.From, req.To, req.Free); err != nil {
		return report, err
	}
	if req.Looked != nil {
		req.Looked(report.Preflight)
	}
	if err := report.Preflight.Err(req.From.Name); err != nil {
		return report, err
	}
	s, err := openSnapshot(ctx, req.From, nil, 0)
	if err != nil {
		return report, err
	}
	defer s.close()
	report.Snapshot = s.at
	if err := t.transfer(ctx, &req, s, &report); err != nil {
		return report, fmt.Errorf("import %s: %w", req.From.Name, withoutSecret(err, req.From.password()))
	}
	return report, verifyCounts(ctx, req.To, report.Tables)
}

// transfer lets pg_dump write and carries it out; meanwhile the rows of the same moment are counted.
func (t Tools) transfer(ctx context.Context, req *ImportRequest, s *snapshot, report *ImportReport) error {
	program, err := t.program(ctx, "pg_dump", s.server.Major)
	if err != nil {
		return err
	}
	version, err := toolVersion(ctx, program)
	if err != nil {
		return err
	}
	report.Tool = "pg_dump " + version
	conn, err := req.To.session(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	restore := &RestoreRequest{Target: req.To, KeepOwners: req.KeepOwners, KeepRights: req.KeepRights, Extension: req.Extension, Progress: req.Progress}
	var result RestoreResult
	run, err := newScriptRun(ctx, conn, restore, &result)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	counted := make(chan error, 1)
	go func() {
		var err error
		if report.Tables, err = s.count(ctx); err != nil {
			stop(err)
		}
		counted <- err
	}()
	options := holdfast.BackupOptions{KeepOwners: req.KeepOwners, KeepRights: req.KeepRights}
	tool, pipe, err := startTool(ctx, program, append(s.dumpArguments(options), "--format=plain"), &s.db, nil)
	if err == nil {
		dumped := &toolReader{tool: tool, pipe: pipe}
		err = run.run(ctx, dumped)
		if closed := dumped.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		stop(err)
	}
	if failed := <-counted; err == nil {
		err = failed
	}
	report.Notes = result.Notes
	return err
}

// verifyCounts counts the rows of a database and compares them with those that are expected.
func verifyCounts(ctx context.Context, db Database, want []holdfast.TableRecords) error {
	s, err := openSnapshot(ctx, db, nil, 0)
	if err != nil {
		return err
	}
	defer s.close()
	f, err := checkCounts(ctx, s.conn, s.tables, want)
	if err != nil {
		return err
	}
	if f.State == Failed {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "not all rows came over: " + strings.Join(f.Items, "; "), Hint: "drop the database and import again"}
	}
	return nil
}

// checkCounts compares the rows of every table with what is expected, both ways.
func checkCounts(ctx context.Context, conn *pgx.Conn, tables []Table, want []holdfast.TableRecords) (Finding, error) {
	counts, err := countTables(ctx, conn, tables)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Check: "rows", State: Passed}
	var rows int64
	for _, w := range want {
		i := slices.IndexFunc(counts, func(c holdfast.TableRecords) bool { return c.Schema == w.Schema && c.Name == w.Name })
		switch {
		case i < 0:
			f.item("%s is missing", holdfast.QuoteQualified(w.Schema, w.Name))
		case counts[i].Records != w.Records:
			f.item("%s has %d rows and should have %d", holdfast.QuoteQualified(w.Schema, w.Name), counts[i].Records, w.Records)
		}
		rows += w.Records
	}
	for _, c := range counts {
		if !slices.ContainsFunc(want, func(w holdfast.TableRecords) bool { return c.Schema == w.Schema && c.Name == w.Name }) {
			f.item("%s was not expected", holdfast.QuoteQualified(c.Schema, c.Name))
		}
	}
	f.Detail = fmt.Sprintf("%d tables with %d rows, as expected", len(want), rows)
	if len(f.Items) > 0 {
		f.State, f.Detail = Failed, "tables or rows differ from what is expected"
	}
	return f, nil
}

// CopyTables makes the tables of one database in another that is empty, without rows, keys, indexes and triggers: a place for rows that have no
// schema of their own. Extensions are made as in Restore.
func (t Tools) CopyTables(ctx context.Context, from, to Database, extension func(ctx context.Context, name, schema string) error) error {
	s, err := openSnapshot(ctx, from, nil, 0)
	if err != nil {
		return err
	}
	defer s.close()
	schema, err := s.schema(ctx, t, holdfast.BackupOptions{Format: holdfast.PlainFormat})
	if err != nil {
		return err
	}
	conn, err := to.session(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	run, err := newScriptRun(ctx, conn, &RestoreRequest{Target: to, Extension: extension}, &RestoreResult{})
	if err != nil {
		return err
	}
	if err := run.jsonSchema(ctx, schema.PreData); err != nil {
		return fmt.Errorf("copy the tables of %s: %w", from.Name, withoutSecret(err, from.password()))
	}
	return nil
}
