package backup_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// database describes a test's database as the administrator reaches it.
func database(db *pgtest.Database) backup.Database {
	return backup.Database{Name: db.Name, Socket: db.Server.SocketDir(), Environment: db.Server.ClientEnvironment(db.Name),
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return db.Server.Connect(ctx, db.Name) }}
}

func tools(t *testing.T) backup.Tools {
	t.Helper()
	return backup.Tools{Directories: pgtest.Setting(), Scratch: filepath.Join(t.TempDir(), "scratch")}
}

// everything makes a database with everything that a backup must carry.
func everything(t *testing.T, server *pgtest.Server) *pgtest.Database {
	t.Helper()
	script, err := os.ReadFile("testdata/everything.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := server.Database(t)
	run(t, db, string(script))
	return db
}

// run runs a script and says where it fails.
func run(t *testing.T, db *pgtest.Database, script string) {
	t.Helper()
	_, err := db.Connect(t).Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Position > 0 {
		r := []rune(script)
		at := int(pg.Position) - 1
		t.Fatalf("line %d, at %q: %v", 1+strings.Count(string(r[:at]), "\n"), string(r[at:min(at+60, len(r))]), err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func checksums(t *testing.T, db *pgtest.Database) []holdfast.TableRecords {
	t.Helper()
	all, err := backup.RowChecksums(t.Context(), db.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// facts is what a database holds beside its tables' rows.
type facts struct {
	Sequences, Views, Objects, Schema []string
}

func list(t *testing.T, db *pgtest.Database, sql string) []string {
	t.Helper()
	rows, err := db.Connect(t).Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sequencesOf(t *testing.T, db *pgtest.Database) []string {
	t.Helper()
	return list(t, db, `SELECT schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, 'unused') || ' ' || min_value || ' ' || increment_by FROM pg_sequences ORDER BY 1`)
}

func factsOf(t *testing.T, db *pgtest.Database) facts {
	t.Helper()
	list := func(sql string) []string { return list(t, db, sql) }
	return facts{
		Sequences: sequencesOf(t, db),
		Views: append(list(`SELECT matviewname || ' ' || ispopulated FROM pg_matviews ORDER BY 1`),
			list(`SELECT row(kind, n)::text FROM z_first UNION ALL SELECT row(total)::text FROM a_second ORDER BY 1`)...),
		Objects: list(`SELECT oid || ' ' || md5(lo_get(oid)) || ' ' || coalesce(obj_description(oid, 'pg_largeobject'), '') FROM pg_largeobject_metadata ORDER BY 1`),
		Schema: append(append(append(append(list(`SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace <> 'pg_catalog'::regnamespace ORDER BY 1`),
			list(`SELECT indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg\_%' ORDER BY 1`)...),
			list(`SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c') ORDER BY 1`)...),
			list(`SELECT tgrelid::regclass || ' ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`)...),
			list(`SELECT tablename || ' ' || policyname || ' ' || qual FROM pg_policies ORDER BY 1`)...),
	}
}

// sameDatabase fails the test when the two databases differ in anything that a backup carries.
func sameDatabase(t *testing.T, want, got *pgtest.Database) {
	t.Helper()
	if d := cmp.Diff(checksums(t, want), checksums(t, got)); d != "" {
		t.Errorf("rows differ (-was +is):\n%s", d)
	}
	if d := cmp.Diff(factsOf(t, want), factsOf(t, got)); d != "" {
		t.Errorf("the rest differs (-was +is):\n%s", d)
	}
}

func writeFile(t *testing.T, write func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
