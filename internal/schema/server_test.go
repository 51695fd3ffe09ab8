package schema

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
)

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

// schemaServer is the package's server: one that can lock thousands of tables in one transaction. It has the roles that the cases
// speak of: roles belong to the whole server, and two cases that made the same one at once failed.
func schemaServer(t testing.TB) *pgtest.Server {
	t.Helper()
	server := pgtest.Start(t, pgtest.Parameter("max_locks_per_transaction", "4096"), pgtest.Parameter("wal_level", "logical"), pgtest.Parameter("autovacuum", "off"))
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.server == server {
		return server
	}
	conn := server.Database(t).Connect(t)
	for _, role := range []string{"app_ro", "app_rw", "owner2", "anon", "authenticated", "service_role", "supabase_auth_admin", "supabase_admin", "gitlab", "danbooru", "postgres"} {
		load(t, conn, fmt.Sprintf(`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') THEN CREATE ROLE %s; END IF; END $$`, role, role))
	}
	prepared.server = server
	return server
}

// prepared is the server of this test process that has the roles.
var prepared struct {
	sync.Mutex
	server *pgtest.Server
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
