package backup_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func prove(t *testing.T, d backup.Destination, b holdfast.Backup, req backup.ProofRequest) backup.Report {
	t.Helper()
	tools := tools(t)
	file, release, err := tools.Fetch(t.Context(), d.Catalogue, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	req.Backup, req.Path = b, file
	r, err := tools.Prove(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func states(r backup.Report) map[string]backup.FindingState {
	out := map[string]backup.FindingState{}
	for _, f := range r.Findings {
		out[f.Check] = f.State
	}
	return out
}

func TestABackupIsProvedAndTheReportSigned(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []holdfast.BackupFormat{holdfast.CustomFormat, holdfast.JSONFormat, holdfast.CSVFormat} {
		d, _ := destination(t, "folder")
		b := dump(t, from, holdfast.BackupOptions{Format: format}, d)
		scratch := server.Database(t)
		admin := database(scratch)
		r := prove(t, d, b, backup.ProofRequest{Scratch: database(scratch), Admin: &admin, Roles: []string{pgtest.Owner}, Login: func(ctx context.Context) error {
			conn, err := server.ConnectAs(ctx, pgtest.Owner, pgtest.OwnerPassword, scratch.Name)
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		}, Restored: func(context.Context) []backup.HookResult { return []backup.HookResult{{Name: "users can buy"}} }, By: "nightly drill"})
		want := map[string]backup.FindingState{"restore": backup.Passed, "rows": backup.Passed, "large objects": backup.Passed, "foreign keys": backup.Passed, "sequences": backup.Passed,
			"indexes": backup.Passed, "amcheck": backup.Passed, "roles": backup.Passed, "login": backup.Passed, "hook: users can buy": backup.Passed}
		if d := cmp.Diff(want, states(r)); d != "" || !r.Passed || r.SHA256 != b.SHA256 {
			t.Errorf("(-want +got):\n%s\n%+v", d, r)
		}
		kept, err := d.Catalogue.KeepReport(t.Context(), r, private)
		if err != nil || kept.VerifiedAt.IsZero() {
			t.Fatalf("got %+v, %v", kept, err)
		}
		read, err := d.Catalogue.ReportOf(t.Context(), kept, public)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, read); d != "" {
			t.Errorf("the report reads otherwise:\n%s", d)
		}
		if left := list(t, scratch, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'`); len(left) != 0 {
			t.Errorf("the check left %q", left)
		}
		var page bytes.Buffer
		if err := r.WritePage(&page); err != nil || !strings.Contains(page.String(), "every check passed") || !strings.Contains(page.String(), b.SHA256) {
			t.Errorf("the page: %v\n%s", err, page.String())
		}
	}
}

func TestAReportThatWasChangedIsNotBelieved(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := backup.Sign(backup.Report{Version: 1, Name: "b", Findings: []backup.Finding{{Check: "rows", State: backup.Failed, Detail: "<&>"}}}, private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.ReadReport(signed, public); err != nil {
		t.Error(err)
	}
	if _, err := backup.ReadReport(bytes.ReplaceAll(signed, []byte("\n"), []byte("\n  ")), public); err != nil {
		t.Errorf("white space matters: %v", err)
	}
	if _, err := backup.ReadReport(signed, other); holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("another key: %v", err)
	}
	if _, err := backup.ReadReport(bytes.Replace(signed, []byte("failed"), []byte("passed"), 1), public); holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("changed: %v", err)
	}
	if _, err := backup.Sign(backup.Report{}, nil); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("no key: %v", err)
	}
}

// What is damaged between the restore and the checks stands for what a restore might do wrong.
func TestEveryCheckFindsWhatItLooksFor(t *testing.T) {
	server := pgtest.Start(t)
	from := server.Database(t)
	run(t, from, `CREATE TABLE parent (id serial PRIMARY KEY); CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent, v text);
		INSERT INTO parent SELECT FROM generate_series(1, 10); INSERT INTO child SELECT g, g, 'v' || g FROM generate_series(1, 10) g;
		CREATE FUNCTION mangle(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE INDEX mangled ON child (mangle(v)); SELECT lo_create(0)`)
	d, _ := destination(t, "folder")
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	for _, c := range []struct {
		damage, check string
		state         backup.FindingState
		says          string
	}{
		{`DELETE FROM child WHERE id = 10`, "rows", backup.Failed, `"public"."child" has 9 rows and should have 10`},
		{`DROP TABLE child`, "rows", backup.Failed, `"public"."child" is missing`},
		{`CREATE TABLE stranger ()`, "rows", backup.Failed, `"public"."stranger" was not expected`},
		{`SELECT lo_create(0)`, "large objects", backup.Failed, ``},
		{`SET session_replication_role = replica; DELETE FROM parent WHERE id = 3`, "foreign keys", backup.Failed, `1 rows of public.child break child_parent_fkey`},
		{`SET session_replication_role = replica; UPDATE child SET parent = 99 WHERE id = 3; UPDATE pg_constraint SET convalidated = false WHERE conname = 'child_parent_fkey'`, "foreign keys", backup.Warning, `child_parent_fkey`},
		{`SELECT setval('parent_id_seq', 5)`, "sequences", backup.Warning, `public.parent_id_seq stands at 5`},
		{`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mangled'::regclass`, "indexes", backup.Failed, `mangled`},
		{`CREATE OR REPLACE FUNCTION mangle(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1 || 'x'$$`, "amcheck", backup.Failed, `mangled`},
	} {
		scratch := server.Database(t)
		admin := database(scratch)
		damaged := false
		r := prove(t, d, b, backup.ProofRequest{Scratch: database(scratch), Admin: &admin, Progress: func(step string, _, _ int64, _ string) {
			if step == "checking what was restored" && !damaged {
				damaged = true
				run(t, scratch, c.damage)
			}
		}})
		i := slices.IndexFunc(r.Findings, func(f backup.Finding) bool { return f.Check == c.check })
		if i < 0 || r.Findings[i].State != c.state || !strings.Contains(strings.Join(r.Findings[i].Items, "\n"), c.says) || r.Passed == (c.state == backup.Failed) {
			t.Errorf("%s: %+v", c.damage, r.Findings)
		}
	}
	r := prove(t, d, b, backup.ProofRequest{Scratch: database(server.Database(t)), Roles: []string{"nobody_here"}, Login: func(context.Context) error { return errors.New("no") },
		Restored: func(context.Context) []backup.HookResult {
			return []backup.HookResult{{Name: "h", Err: errors.New("no")}}
		}})
	if s := states(r); s["roles"] != backup.Failed || s["login"] != backup.Failed || s["hook: h"] != backup.Failed || s["amcheck"] != backup.Skipped || r.Passed {
		t.Errorf("got %v", s)
	}
	r = prove(t, d, b, backup.ProofRequest{Scratch: database(from)})
	if s := states(r); s["restore"] != backup.Failed || r.Passed {
		t.Errorf("over a database that is not empty: %v", s)
	}
}

func TestAForeignDatabaseIsImported(t *testing.T) {
	server := pgtest.Start(t)
	from, to := everything(t, server), server.Database(t)
	report, err := tools(t).Import(t.Context(), backup.ImportRequest{From: database(from), To: database(to)})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Preflight.Findings) < 7 || report.Preflight.Bytes == 0 || len(report.Tables) != report.Preflight.Tables {
		t.Errorf("got %+v", report)
	}
	sameDatabase(t, from, to)
	if _, err := tools(t).Import(t.Context(), backup.ImportRequest{From: database(from), To: database(to)}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("imported over a database that is not empty: %v", err)
	}
}

func TestAnImportIsRefusedForWhatCannotBeRead(t *testing.T) {
	server := pgtest.Start(t)
	from, to := server.Database(t), server.Database(t)
	run(t, from, `CREATE TABLE open (a integer); INSERT INTO open VALUES (1); GRANT SELECT ON open TO `+pgtest.Owner+`; CREATE TABLE closed (a integer); CREATE SCHEMA hidden; CREATE TABLE hidden.t (a integer); CREATE SEQUENCE s;
		CREATE TABLE filtered (a integer); GRANT SELECT ON filtered TO `+pgtest.Owner+`; ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; SELECT lo_create(0)`)
	owner, err := backup.ParseDatabase(from.URL())
	if err != nil {
		t.Fatal(err)
	}
	p, err := tools(t).Preflight(t.Context(), owner, database(to), 0)
	if err != nil {
		t.Fatal(err)
	}
	problems := p.Problems()
	if len(problems) != 1 {
		t.Fatalf("got %+v", problems)
	}
	got := strings.Join(problems[0].Items, "\n")
	for _, want := range []string{"public.closed: it cannot be read", "hidden.t: its schema cannot be used", "public.filtered: policies hide rows of it", "public.s: it cannot be read", "1 large objects"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	small, err := tools(t).Preflight(t.Context(), owner, database(to), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := small.Err("elsewhere"); !strings.Contains(err.Error(), "are free here; not everything can be read") {
		t.Errorf("a small disk gave %v", err)
	}
	if strings.Contains(got, "open") {
		t.Errorf("too much is named:\n%s", got)
	}
	if _, err := tools(t).Import(t.Context(), backup.ImportRequest{From: owner, To: database(to)}); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
	untouched(t, to)
}
