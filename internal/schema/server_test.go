package schema

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
)

// full runs the tests that plan on real servers with the shared histories and the whole matrix. They take several minutes.
var full = flag.Bool("full", false, "run the cases, the matrix and the real histories on real servers, too")

// casesDir finds the shared test material beside the repository, or beside a folder above it.
func casesDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if found := filepath.Join(dir, "shared", "schema-cases"); isDir(found) {
			return found
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("../shared/schema-cases is not beside the repository")
		}
		dir = up
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readCase reads a file of the test material, plain or compressed.
func readCase(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{casesDir(t)}, parts...)...)
	text, err := os.ReadFile(path)
	if err == nil {
		return string(text)
	}
	f, err := os.Open(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err = io.ReadAll(unzip)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// schemaServer is the package's server: one that can lock thousands of tables in one transaction.
func schemaServer(t testing.TB) *pgtest.Server {
	t.Helper()
	if !*full {
		t.Skip("plans on real servers take several minutes: go test ./internal/schema -full")
	}
	return pgtest.Start(t, pgtest.Parameter("max_locks_per_transaction", "4096"), pgtest.Parameter("wal_level", "logical"), pgtest.Parameter("autovacuum", "off"))
}

// roles are those that the cases speak of.
var roles = []string{"app_ro", "app_rw", "owner2", "anon", "authenticated", "service_role", "supabase_auth_admin", "supabase_admin", "gitlab", "danbooru", "postgres"}

func createRoles(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	for _, role := range roles {
		load(t, conn, fmt.Sprintf(`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') THEN CREATE ROLE %s; END IF; END $$`, role, role))
	}
}

// load runs a script. Lines for psql itself are left out.
func load(t testing.TB, conn *pgx.Conn, script string) {
	t.Helper()
	if err := run(t.Context(), conn, script); err != nil {
		t.Fatalf("%v\nin: %.300s", err, script)
	}
}

func run(ctx context.Context, conn *pgx.Conn, script string) error {
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `\`) || strings.HasPrefix(line, "SET transaction_timeout") {
			lines[i] = ""
		}
	}
	// The administrator's sessions see only pg_catalog; scripts expect what a user's session has.
	_, err := conn.PgConn().Exec(ctx, `SET search_path = "$user", public;`+strings.Join(lines, "\n")).ReadAll()
	return err
}

// dump is the database's structure as pg_dump sees it.
func dump(t testing.TB, db *pgtest.Database) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pgtest.Program(t, "pg_dump"), "--schema-only", "--exclude-schema="+HiddenPrefix+"*", "--dbname", db.AdminURL())
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		t.Fatalf("pg_dump: %v: %s", err, failed.String())
	}
	return out.String()
}

func read(t testing.TB, conn *pgx.Conn) *Catalog {
	t.Helper()
	c, err := Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
