package test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast/holdfast/internal/api"
)

// program skips the test where a client is not installed.
func program(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (%s)", name, install)
	}
	return path
}

// file skips the test where a file of a client is missing, and returns its absolute path.
func file(t *testing.T, path, install string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skipf("%s is missing (%s)", path, install)
	}
	return path
}

// databaseURL is the address of a further database of a branch.
func databaseURL(t *testing.T, con api.Connection, name string) string {
	t.Helper()
	u, err := url.Parse(con.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name + "@" + con.Database
	return u.String()
}

func TestPgDumpAndPsqlMoveADatabase(t *testing.T) {
	t.Parallel()
	program(t, "pg_dump", "apt-get install postgresql-client")
	s, development, production := sharedProject(t, 2000)
	from := s.connection(t, development)
	s.must(t, "psql", production.String(), "--", "-Xc", "CREATE DATABASE restored")
	to := databaseURL(t, s.connection(t, production), "restored")
	user := s.user("", "FROM="+from.URL, "TO="+to)
	user.must(t, "/bin/bash", "-c", `set -o pipefail; pg_dump --no-owner "$FROM" | psql -X -q -v ON_ERROR_STOP=1 "$TO"`)
	if was, is := contents(t, from.URL), contents(t, to); was != is || !strings.Contains(was, "messages") {
		t.Errorf("what was dumped:\n%s\nwhat came:\n%s", was, is)
	}
	dump := filepath.Join(place(t), "dump")
	user.must(t, "pg_dump", "--format=directory", "--jobs=2", "--file", dump, from.URL) // two sessions and a shared snapshot
	if o := user.run(t, "pg_dump", "--format=custom", "--file", os.DevNull, strings.Replace(from.URL, "require", "disable", 1)); o.code == 0 || !strings.Contains(o.err, "not encrypted") {
		t.Errorf("without encryption pg_dump ended with %d: %s", o.code, o.err)
	}
}

// contents is a fingerprint of every table.
func contents(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id pgx.Identifier, err error) {
		id = make(pgx.Identifier, 2)
		err = row.Scan(&id[0], &id[1])
		return id, err
	})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, table := range names {
		print := value[string](t, conn, "SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '') FROM "+table.Sanitize()+" AS r")
		fmt.Fprintln(&all, table[1], print)
	}
	return all.String()
}

func TestPgbench(t *testing.T) {
	t.Parallel()
	program(t, "pgbench", "apt-get install postgresql-contrib or postgresql-client")
	s, development, _ := sharedProject(t, 0)
	con := s.connection(t, development)
	user := s.user("")
	user.must(t, "pgbench", "-i", "-q", "-s", "1", con.URL)
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		if got := user.must(t, "pgbench", "-n", "-M", protocol, "-c", "8", "-j", "2", "-t", "50", con.URL); !strings.Contains(got, "400/400") {
			t.Errorf("%s:\n%s", protocol, got)
		}
	}
	user.must(t, "pgbench", "-n", "-S", "-C", "-c", "4", "-t", "20", con.URL) // a connection for each transaction
}

func TestPgx(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	pool, err := pgxpool.New(t.Context(), s.connection(t, development).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), "CREATE TABLE t (n bigint)"); err != nil {
		t.Fatal(err)
	}
	const rows = 50_000
	copied, err := pool.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"n"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{int64(i)}, nil }))
	if err != nil || copied != rows {
		t.Errorf("copied %d rows, %v", copied, err)
	}
	batch := &pgx.Batch{}
	for n := range 100 {
		batch.Queue("SELECT count(*) FROM t WHERE n % 100 = $1", n)
	}
	results := pool.SendBatch(t.Context(), batch)
	for range 100 {
		var n int
		if err := results.QueryRow().Scan(&n); err != nil || n != rows/100 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
}

// psql with the certificate of the first start as the only one that it trusts.
func TestTheMadeCertificateStandsAFullCheck(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	con := s.connection(t, development)
	check := func(host, root string) outcome {
		return s.user("", "PGPASSWORD="+con.Password).run(t, "psql", "-XAtc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
			fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=verify-full sslrootcert=%s", host, con.Port, con.User, con.Database, root))
	}
	certificate := filepath.Join(s.data, "gateway.crt")
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if o := check(host, certificate); o.code != 0 {
			t.Errorf("%s: %s", host, o.err)
		}
	}
	other := start(t)
	if o := check("127.0.0.1", filepath.Join(other.data, "gateway.crt")); o.code == 0 || !strings.Contains(o.err, "certificate") {
		t.Errorf("another server's certificate is trusted: %d, %s", o.code, o.err)
	}
}

const installTest = "scripts/install.sh test"

func TestNodePostgres(t *testing.T) {
	t.Parallel()
	node := program(t, "node", "apt-get install nodejs npm")
	modules := file(t, "../.tools/node/node_modules", installTest)
	s, development, _ := sharedProject(t, 2000)
	app := s.user("", "NODE_PATH="+modules)
	const want = `{"counts":[2000,4000,6000,8000],"stored":{"deep":["ä",null]},"heard":"heard","code":"22012"}` + "\n"
	query := file(t, "clients/node/query.cjs", "it is part of the repository")
	if got := app.must(t, binary, "run", development.String(), "--", node, query); got != want {
		t.Errorf("by holdfast run it printed %s", got)
	}
	// The printed URL alone: this client reads sslmode=require as a full check, so it has to be told whom to trust.
	app.env = append(app.env, "DATABASE_URL="+s.connection(t, development).URL, "NODE_EXTRA_CA_CERTS="+filepath.Join(s.data, "gateway.crt"))
	if got := app.must(t, node, query); got != want {
		t.Errorf("with the URL it printed %s", got)
	}
}

func TestDrizzleKit(t *testing.T) {
	t.Parallel()
	node := program(t, "node", "apt-get install nodejs npm")
	modules := file(t, "../.tools/node/node_modules", installTest)
	s, development, _ := sharedProject(t, 0)
	// It looks for its modules above the schema, so that is put where an application's would lie.
	dir := place(t)
	for _, name := range []string{"schema.ts", "drizzle.config.js"} {
		raw, err := os.ReadFile(filepath.Join("clients/node/drizzle", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	kit := func(command string) string {
		o := s.user(dir).run(t, binary, "run", development.String(), "--", node, "node_modules/.bin/drizzle-kit", command, "--config", "drizzle.config.js")
		if o.code != 0 {
			t.Fatalf("drizzle-kit %s ended with %d:\n%s%s", command, o.code, o.out, o.err)
		}
		return o.out
	}
	if got := kit("push"); !strings.Contains(got, "Changes applied") {
		t.Errorf("push said:\n%s", got)
	}
	conn := s.connect(t, development)
	execute(t, conn, "INSERT INTO people (name) VALUES ('ann')")
	execute(t, conn, "INSERT INTO notes (person) SELECT id FROM people")
	if got := kit("push"); !strings.Contains(got, "No changes detected") {
		t.Errorf("a second push said:\n%s", got)
	}
	kit("introspect")
	read, err := os.ReadFile(filepath.Join(dir, "out", "schema.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`pgTable("people"`, `pgTable("notes"`, `pgEnum("level"`, `uniqueIndex("people_name")`, "foreignColumns: [people.id]"} {
		if !strings.Contains(string(read), want) {
			t.Errorf("introspect did not see %s:\n%s", want, read)
		}
	}
}

func TestJDBC(t *testing.T) {
	t.Parallel()
	java := program(t, "java", "apt-get install default-jdk-headless")
	program(t, "javac", "apt-get install default-jdk-headless")
	driver := file(t, "/usr/share/java/postgresql.jar", "apt-get install libpostgresql-jdbc-java")
	s, development, _ := sharedProject(t, 0)
	app := s.user("")
	source := file(t, "clients/java/Query.java", "it is part of the repository")
	for _, options := range []string{"sslmode=require", "sslmode=verify-full&sslrootcert=" + filepath.Join(s.data, "gateway.crt")} {
		if got := app.must(t, binary, "run", development.String(), "--", java, "-cp", driver, source, options); got != "2998000 22012\n" {
			t.Errorf("with %s it printed %q", options, got)
		}
	}
}
