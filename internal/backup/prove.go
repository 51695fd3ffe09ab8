package backup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// ReportVersion is the version of the report that is written.
const ReportVersion = 1

// Report says what was proved about a backup, when, and on which bytes: docs/formats/backup-report.md.
type Report struct {
	Version int               `json:"version"`
	Backup  holdfast.BackupID `json:"backup"`
	Name    string            `json:"name"`
	Project string            `json:"project"`
	Branch  string            `json:"branch"`
	SHA256  string            `json:"sha256"` // of the bytes that were restored
	Size    int64             `json:"size"`

	SnapshotAt    time.Time `json:"snapshot_at"` // the moment that the backup shows
	StartedAt     time.Time `json:"started_at"`
	EndedAt       time.Time `json:"ended_at"`
	ServerVersion string    `json:"server_version"` // on which it was restored
	By            string    `json:"by,omitempty"`

	Passed   bool      `json:"passed"` // no finding failed
	Findings []Finding `json:"findings"`
	Notes    []string  `json:"notes,omitempty"` // of the restore
}

// HookResult is how a check of the user's own turned out: SQL assertions, a command, an HTTP request.
type HookResult struct {
	Name   string
	Err    error // nil: it passed
	Detail string
	Output []string // lines of it

	Skipped bool // it was not run; the detail says why
}

// ProofRequest says what is to be proved, and where.
type ProofRequest struct {
	Backup holdfast.Backup
	Path   string // its bytes, as Fetch brought them: they are those of the manifest

	Scratch   Database                                             // empty; it is filled and may be dropped afterwards
	Admin     *Database                                            // the same database as a superuser, for amcheck; nil: that check is skipped
	Extension func(ctx context.Context, name, schema string) error // see RestoreRequest
	Restored  func(ctx context.Context) []HookResult               // called when the backup is restored; nil: there are no hooks
	Login     func(ctx context.Context) error                      // logs in as the users' programs do; nil: skipped
	Roles     []string                                             // that must be there
	Jobs      int
	By        string
	Progress  Progress

	KeepRights bool // see RestoreRequest; the roles are there
}

// Prove restores a backup into a scratch database and checks what came: tables and exact numbers of rows, foreign keys, sequences,
// indexes, the pages themselves, roles, a login, and the users' own checks. A check that fails is a finding in the report and no error;
// an error means that nothing could be proved.
func (t Tools) Prove(ctx context.Context, req ProofRequest) (Report, error) {
	b := req.Backup
	if b.State != holdfast.BackupCompleted || b.Options.DataOnly {
		return Report{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the backup %s cannot be proved: it is not completed, or holds rows only", b.Name)}
	}
	r := Report{Version: ReportVersion, Backup: b.ID, Name: b.Name, Project: b.Project, Branch: b.Branch, SHA256: b.SHA256, Size: b.Size, SnapshotAt: b.SnapshotAt, StartedAt: time.Now().UTC(), By: req.By}
	result, err := t.Restore(ctx, RestoreRequest{Target: req.Scratch, Path: req.Path, Extension: req.Extension, Jobs: req.Jobs, SchemaOnly: b.Options.SchemaOnly, KeepRights: req.KeepRights, Progress: req.Progress})
	if err != nil && ctx.Err() != nil {
		return r, err
	}
	restored := Finding{Check: "restore", State: Passed, Detail: "it was restored without an error"}
	if err != nil {
		restored.State, restored.Detail, restored.Hint = Failed, withoutSecret(err, req.Scratch.password()).Error(), holdfast.HintOf(err)
	}
	r.Findings, r.Notes = append(r.Findings, restored), result.Notes
	if err == nil {
		if err := r.check(ctx, &req); err != nil {
			return r, err
		}
	}
	r.EndedAt = time.Now().UTC()
	r.Passed = !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.State == Failed })
	return r, nil
}

// check runs every check on the restored database.
func (r *Report) check(ctx context.Context, req *ProofRequest) error {
	req.Progress.step("checking what was restored", 0, 0, "checks")
	s, err := openSnapshot(ctx, req.Scratch, nil, 0)
	if err != nil {
		return err
	}
	defer s.close()
	r.ServerVersion = s.server.Version
	checks := []func(context.Context, *ProofRequest, *snapshot) (Finding, error){checkManifest, checkLargeObjects, checkOrphans, checkFeeds, checkIndexes, checkPages, checkRoles}
	for _, check := range checks {
		req.Progress.step("checking what was restored", int64(len(r.Findings)), int64(len(checks)+1), "checks")
		f, err := check(ctx, req, s)
		if err != nil {
			return fmt.Errorf("check what was restored: %w", err)
		}
		r.Findings = append(r.Findings, f)
	}
	s.close()
	r.Findings = append(r.Findings, checkLogin(ctx, req))
	if req.Restored != nil {
		for _, h := range req.Restored(ctx) {
			f := Finding{Check: "hook: " + h.Name, State: Passed, Detail: h.Detail}
			if h.Err != nil {
				f.State, f.Detail, f.Hint = Failed, h.Err.Error(), holdfast.HintOf(h.Err)
			}
			if h.Skipped {
				f.State = Skipped
			}
			for _, line := range h.Output {
				f.item("%s", line)
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return ctx.Err()
}

func checkManifest(ctx context.Context, req *ProofRequest, s *snapshot) (Finding, error) {
	if len(req.Backup.Tables) == 0 && !req.Backup.Options.SchemaOnly {
		return Finding{Check: "rows", State: Skipped, Detail: "the manifest does not say how many rows there should be"}, nil
	}
	want := req.Backup.Tables
	if req.Backup.Options.SchemaOnly {
		for _, t := range holders(s.tables) {
			want = append(want, holdfast.TableRecords{Schema: t.Schema, Name: t.Name})
		}
	}
	return checkCounts(ctx, s.conn, s.tables, want)
}

func checkLargeObjects(ctx context.Context, req *ProofRequest, s *snapshot) (Finding, error) {
	f := Finding{Check: "large objects", State: Passed}
	var n int64
	if err := s.conn.QueryRow(ctx, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").Scan(&n); err != nil {
		return f, err
	}
	f.Detail = fmt.Sprintf("%d, as expected", n)
	if n != req.Backup.LargeObjects {
		f.State, f.Detail = Failed, fmt.Sprintf("there are %d and should be %d", n, req.Backup.LargeObjects)
	}
	return f, nil
}

// checkOrphans looks for rows that refer to rows that are not there. PostgreSQL checks that too when it makes a foreign key, but not for one
// that is NOT VALID; rows that break such a one were so in the database as well.
func checkOrphans(ctx context.Context, _ *ProofRequest, s *snapshot) (Finding, error) {
	f := Finding{Check: "foreign keys", State: Passed}
	keys, err := readForeignKeys(ctx, s.conn)
	if err != nil {
		return f, err
	}
	f.Detail = fmt.Sprintf("no row of %d foreign keys refers to a row that is missing", len(keys))
	for _, k := range keys {
		var n int64
		if err := s.conn.QueryRow(ctx, orphanQuery(k, s.tables)).Scan(&n); err != nil {
			return f, fmt.Errorf("foreign key %s of %s: %w", k.Name, k.TableName, explain(err))
		}
		if n == 0 {
			continue
		}
		f.item("%d rows of %s break %s", n, k.TableName, k.Name)
		if k.Validated {
			f.State = Failed
		} else if f.State == Passed {
			f.State, f.Hint = Warning, "the foreign key is NOT VALID: the rows were so in the database as well"
		}
	}
	if len(f.Items) > 0 {
		f.Detail = "rows refer to rows that are missing"
	}
	return f, nil
}

func orphanQuery(k foreignKey, tables []Table) string {
	own := func(oid uint32, name string) string {
		i := slices.IndexFunc(tables, func(t Table) bool { return t.OID == oid })
		if i >= 0 && !tables[i].Partitioned {
			return "ONLY " + name // heirs have foreign keys of their own, and are not referred to
		}
		return name
	}
	set, same := "", ""
	for i := range k.Columns {
		if i > 0 {
			set, same = set+" AND ", same+" AND "
		}
		column := "c." + holdfast.QuoteIdentifier(k.Columns[i])
		set += column + " IS NOT NULL"
		same += "p." + holdfast.QuoteIdentifier(k.RefColumns[i]) + " = " + column
	}
	return "SELECT count(*) FROM " + own(k.Table, k.TableName) + " c WHERE " + set + " AND NOT EXISTS (SELECT FROM " + own(k.Refers, k.RefersName) + " p WHERE " + same + ")"
}

// checkFeeds looks for sequences whose next value a column has already. Programs that give all values themselves leave them so.
func checkFeeds(ctx context.Context, _ *ProofRequest, s *snapshot) (Finding, error) {
	f := Finding{Check: "sequences", State: Passed}
	feeds, err := readFeeds(ctx, s.conn)
	if err != nil {
		return f, err
	}
	f.Detail = fmt.Sprintf("%d sequences are ahead of the columns that they feed", len(feeds))
	for _, q := range feeds {
		extreme := "max"
		if q.Step < 0 {
			extreme = "min"
		}
		var reached *int64
		if err := s.conn.QueryRow(ctx, "SELECT "+extreme+"("+holdfast.QuoteIdentifier(q.Column)+")::bigint FROM "+holdfast.QuoteQualified(q.Schema, q.Table)).Scan(&reached); err != nil {
			return f, fmt.Errorf("sequence %s: %w", q.Sequence, explain(err))
		}
		if reached != nil && (q.ahead(*reached, q.Last) || *reached == q.Last && !q.Called) {
			f.State, f.Detail, f.Hint = Warning, "sequences are behind the columns that they feed", "if the program does not give these values itself, its next insert fails, here and in the database that was backed up"
			f.item("%s stands at %d, %s of %s has %d", q.Sequence, q.Last, q.Column, holdfast.QuoteQualified(q.Schema, q.Table), *reached)
		}
	}
	return f, nil
}

func checkIndexes(ctx context.Context, _ *ProofRequest, s *snapshot) (Finding, error) {
	f := Finding{Check: "indexes", State: Passed, Detail: "every index is valid"}
	rows, err := s.conn.Query(ctx, `SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) ORDER BY 1`)
	if err != nil {
		return f, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		f.State, f.Detail = Failed, "indexes are not valid"
		f.item("%s", name)
	}
	return f, err
}

func checkRoles(ctx context.Context, req *ProofRequest, s *snapshot) (Finding, error) {
	f := Finding{Check: "roles", State: Passed, Detail: fmt.Sprintf("all %d are there", len(req.Roles))}
	if len(req.Roles) == 0 {
		return Finding{Check: "roles", State: Skipped, Detail: "none was named"}, nil
	}
	rows, err := s.conn.Query(ctx, "SELECT want FROM unnest($1::text[]) want WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = want) ORDER BY 1", req.Roles)
	if err != nil {
		return f, err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range missing {
		f.State, f.Detail = Failed, "roles are missing"
		f.item("%s", name)
	}
	return f, err
}

func checkLogin(ctx context.Context, req *ProofRequest) Finding {
	if req.Login == nil {
		return Finding{Check: "login", State: Skipped, Detail: "no login was given to try"}
	}
	if err := req.Login(ctx); err != nil {
		return Finding{Check: "login", State: Failed, Detail: err.Error()}
	}
	return Finding{Check: "login", State: Passed, Detail: "the users' programs can log in"}
}
