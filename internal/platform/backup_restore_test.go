package platform

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// restoreInto restores a backup and returns what the job tells.
func restoreInto(t *testing.T, p *Platform, ask RestoreBackup) (restoreResult, error) {
	t.Helper()
	job, err := p.RestoreBackup(t.Context(), admin, ask)
	if err != nil {
		return restoreResult{}, err
	}
	return jobResult[restoreResult](t, p, job)
}

func jobResult[T any](t *testing.T, p *Platform, job holdfast.Job) (T, error) {
	t.Helper()
	var out T
	done, err := p.jobs.wait(t.Context(), job.ID)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal([]byte(done.Result), &out)
}

func ordersOf(t *testing.T, p *Platform, branch string) string {
	t.Helper()
	conn := asOwner(t, p, ref(t, branch))
	defer conn.Close(t.Context())
	return pgtest.Value[string](t, conn, `SELECT count(*) || ' ' || coalesce(sum(total), 0) FROM orders`)
}

func change(t *testing.T, p *Platform, branch, sql string) {
	t.Helper()
	conn := asOwner(t, p, ref(t, branch))
	defer conn.Close(t.Context())
	pgtest.Exec(t, conn, sql)
}

func TestABackupIsRestoredAsideAndThenTakesTheDatabasesPlace(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables+`ALTER DATABASE shop_production SET search_path = 'app', "public"; CREATE ROLE app LOGIN PASSWORD 'x'; GRANT CONNECT ON DATABASE shop_production TO app; REVOKE TEMP ON DATABASE shop_production FROM PUBLIC`)
	b := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: holdfast.CustomFormat})
	change(t, p, "shop/production", `DELETE FROM orders WHERE id > 50`)

	_, err := restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/production")})
	if holdfast.KindOf(err) != holdfast.Conflict || !strings.Contains(err.Error(), "public.orders has 50 rows (100 in the backup)") {
		t.Errorf("without --clear: %v", err)
	}
	if _, err = restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/production"), Clear: true, Confirm: "shop/development"}); holdfast.KindOf(err) != holdfast.Unsafe {
		t.Errorf("with the wrong name: %v", err)
	}
	result, err := restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/production"), Clear: true, Confirm: "shop/production"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" {
		t.Errorf("orders are %s", got)
	}
	conn := asOwner(t, p, ref(t, "shop/production"))
	if got := pgtest.Value[string](t, conn, `SELECT current_setting('search_path') || ' ' || has_database_privilege('app', current_database(), 'CONNECT') || ' ' || has_database_privilege('app', current_database(), 'TEMP')`); got != "app, public true false" {
		t.Errorf("what was attached to the database is %s", got)
	}
	before, err := p.Backup(t.Context(), admin, result.Before)
	if err != nil || !before.HeldUntilProof || !strings.HasPrefix(before.Name, "prod_backup_before_restore_") || before.Records() != 60 {
		t.Errorf("the backup before it is %+v, %v", before, err)
	}
	job, err := p.UndoRestoreBackup(t.Context(), admin, ref(t, "shop/production"), "shop/production")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); !strings.HasPrefix(got, "50 ") {
		t.Errorf("after the undo orders are %s", got)
	}

	if _, err := restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/look")}); err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/look"); got != "100 5050" {
		t.Errorf("in the new branch orders are %s", got)
	}
}

func TestRowsOfSingleTablesComeBack(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	dev := ref(t, "shop/development")
	change(t, p, "shop/development", shopTables)
	for _, options := range []holdfast.BackupOptions{{Format: holdfast.CustomFormat}, {Format: holdfast.JSONFormat, Tables: []string{"orders"}}, {Format: holdfast.CSVFormat, DataOnly: true}} {
		b := makeBackup(t, p, "shop/development", options)
		change(t, p, "shop/development", `DELETE FROM orders WHERE id > 50; UPDATE orders SET total = 0 WHERE id = 1`)
		ask := RestoreBackup{Backup: string(b.ID), To: dev, Tables: []string{"orders"}}
		if _, err := restoreInto(t, p, ask); holdfast.KindOf(err) != holdfast.Conflict || !strings.Contains(err.Error(), "public.orders has 50 rows (100 in the backup)") {
			t.Errorf("%+v: rows in the way: %v", options, err)
		}
		ask.Mode = backup.InsertMissing
		if _, err := restoreInto(t, p, ask); err != nil {
			t.Fatalf("%+v: %v", options, err)
		}
		if got := ordersOf(t, p, "shop/development"); got != "100 5049" {
			t.Errorf("%+v: after insert-missing orders are %s", options, got)
		}
		ask.Mode, ask.Clear, ask.Confirm = "", true, "shop/development"
		if _, err := restoreInto(t, p, ask); err != nil {
			t.Fatal(err)
		}
		if got := ordersOf(t, p, "shop/development"); got != "100 5050" {
			t.Errorf("%+v: after --clear orders are %s", options, got)
		}
	}
	if there, err := p.fleet.HasDatabase(t.Context(), branchNamed(t, p, "shop/development").ID, "x"); there || err != nil {
		t.Error(err)
	}
	conn := asOwner(t, p, dev)
	if n := pgtest.Value[int](t, conn, `SELECT count(*) FROM pg_database WHERE datname LIKE 'restoring%'`); n != 0 {
		t.Errorf("%d databases are left aside", n)
	}
}

func TestATableComesBackFromTheHistory(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/production")
	change(t, p, "shop/production", shopTables)
	withBase(t, p, r)
	at := serverTime(t, p, r)
	change(t, p, "shop/production", `DELETE FROM orders; INSERT INTO customers (name) VALUES ('later')`)
	point := holdfast.Point{At: at}
	if _, err := restoreInto(t, p, RestoreBackup{From: point, To: r, Tables: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" {
		t.Errorf("orders are %s", got)
	}
	conn := asOwner(t, p, r)
	if n := pgtest.Value[int](t, conn, `SELECT count(*) FROM customers`); n != 11 {
		t.Errorf("%d customers: other tables were touched", n)
	}
}

func TestABackupThatDoesNotRestoreReplacesNothing(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/development", shopTables)
	b := makeBackup(t, p, "shop/development", holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "none"})
	file := filepath.Join(h.repository, "backups", string(projectID(t, p, "shop")), b.Name, b.Object)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/development"), Clear: true, Confirm: "shop/development"})
	if holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("got %v", err)
	}
	conn := asOwner(t, p, ref(t, "shop/development"))
	if n := pgtest.Value[int](t, conn, `SELECT count(*) FROM pg_database WHERE datname ~ '^(restoring|before)'`); n != 0 {
		t.Errorf("%d databases are left", n)
	}
	if got := ordersOf(t, p, "shop/development"); got != "100 5050" {
		t.Errorf("orders are %s", got)
	}
}

// A restore is cut off at every step that the job tells; production is whole and open after each, and in the end the restore is done.
func TestARestoreThatTheControlPlaneLeavesIsRunAgain(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables)
	b := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: holdfast.CustomFormat})
	change(t, p, "shop/production", `DELETE FROM orders`)
	job, err := p.RestoreBackup(t.Context(), admin, RestoreBackup{Backup: b.Name, To: ref(t, "shop/production"), Clear: true, Confirm: "shop/production"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"restoring aside", "backing up"} {
		states, err := p.WatchJob(t.Context(), admin, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		for s := range states {
			if strings.HasPrefix(s.Step, step) || s.State.Final() {
				break
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = h.open(t)
	}
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" {
		t.Errorf("orders are %s", got)
	}
}

func TestRowsAreSyncedAndTheSyncIsUndone(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables)
	change(t, p, "shop/development", strings.ReplaceAll(shopTables, "100)", "5)"))
	sync := func(ask SyncRows) (syncResult, error) {
		t.Helper()
		job, err := p.SyncRows(t.Context(), admin, ask)
		if err != nil {
			return syncResult{}, err
		}
		return jobResult[syncResult](t, p, job)
	}
	toProd := SyncRows{Target: ref(t, "shop/production"), Source: ref(t, "shop/development"), Mode: backup.Replace}
	if _, err := sync(toProd); holdfast.KindOf(err) != holdfast.Unsafe {
		t.Errorf("an unconfirmed sync gave %v", err)
	}
	dry := toProd
	dry.Dry = true
	result, err := sync(dry)
	if err != nil || len(result.Report.Tables) != 2 || ordersOf(t, p, "shop/production") != "100 5050" {
		t.Errorf("a dry sync told %+v, %v", result, err)
	}
	toProd.Confirm = "shop/production"
	if result, err = sync(toProd); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(result.Name, "prod_backup_before_sync_") || ordersOf(t, p, "shop/production") != "5 15" {
		t.Errorf("after the sync: %+v, %s", result, ordersOf(t, p, "shop/production"))
	}
	job, err := p.UndoSync(t.Context(), admin, ref(t, "shop/production"), "shop/production")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" {
		t.Errorf("after the undo orders are %s", got)
	}
	if _, err := p.UndoSync(t.Context(), admin, ref(t, "shop/production"), "shop/production"); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("a second undo gave %v", err)
	}

	masked := SyncRows{Target: ref(t, "shop/development"), Source: ref(t, "shop/production"), Mode: backup.Upsert, Masked: true, Confirm: "shop/development"}
	if _, err := sync(masked); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("masking without rules gave %v", err)
	}
	if err := p.SetMaskRules(t.Context(), admin, "shop", []holdfast.MaskRule{{Schema: "public", Table: "customers", Column: "name", Kind: holdfast.MaskName}}); err != nil {
		t.Fatal(err)
	}
	if _, err := sync(masked); err != nil {
		t.Fatal(err)
	}
	conn := asOwner(t, p, ref(t, "shop/development"))
	if n := pgtest.Value[int](t, conn, `SELECT count(*) FROM customers WHERE name LIKE 'customer %'`); n != 0 || ordersOf(t, p, "shop/development") != "100 5050" {
		t.Errorf("%d names came as they are", n)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO orders (customer, total) VALUES (1, 1)`, pgx.QueryExecModeExec); err != nil {
		t.Errorf("the sequence was not set: %v", err)
	}
}

func TestASyncWhoseBackupFailsChangesNothing(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables)
	change(t, p, "shop/development", shopTables+`DELETE FROM orders`)
	// Where the backups of the project would lie is a file.
	if err := os.WriteFile(filepath.Join(h.repository, "backups"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	job, err := p.SyncRows(t.Context(), admin, SyncRows{Target: ref(t, "shop/production"), Source: ref(t, "shop/development"), Mode: backup.Replace, Confirm: "shop/production"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), job.ID); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" {
		t.Errorf("orders are %s", got)
	}
}
