package test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/servetest"
)

// Where a project allows it, an agent reads production and writes nothing, whatever it tries. A publish does not notice what the role was granted.
func TestAnAgentReadsProductionWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	project := development.Project
	const structure = `CREATE TABLE orders (id serial PRIMARY KEY, total int);
		CREATE FUNCTION add() RETURNS bigint LANGUAGE sql AS 'INSERT INTO orders (total) VALUES (9); SELECT 1::bigint';
		CREATE FUNCTION add_as_owner() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO orders (total) VALUES (9); SELECT 1::bigint';
		CREATE FUNCTION next_as_owner() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT nextval(''orders_id_seq'')'`
	s.psql(t, development, structure)
	s.must(t, "publish", project, "--yes")
	s.psql(t, production, "INSERT INTO orders (total) VALUES (1), (2), (3)")
	session := s.mcp(t, s.agent(t, project))
	read := func(sql string) (string, bool) {
		return use(t, session, "run_sql", map[string]any{"branch": production.String(), "sql": sql})
	}
	if text, refused := read("SELECT sum(total) FROM orders"); !refused {
		t.Errorf("before it is allowed: %s", text)
	}
	if o := s.user("", "HOLDFAST_URL=http://"+s.http, "HOLDFAST_TOKEN="+s.agent(t, project)).run(t, binary, "project", "agents", project, "--read-production"); o.code != 4 {
		t.Errorf("an agent allows itself: %+v", o)
	}
	s.must(t, "project", "agents", project, "--read-production", "--timeout", "5s")
	if text, refused := read("SELECT sum(total) AS sum, current_user FROM orders"); refused || !strings.Contains(text, `"6"`) || !strings.Contains(text, postgres.AgentRole) {
		t.Fatalf("it reads %s", text)
	}
	for _, sql := range []string{
		"INSERT INTO orders (total) VALUES (9)", "UPDATE orders SET total = 0", "DELETE FROM orders", "TRUNCATE orders", "SELECT add()", "SELECT add_as_owner()", "SELECT nextval('orders_id_seq')",
		"SELECT next_as_owner()", "SELECT setval('orders_id_seq', 99)", "COPY orders FROM STDIN", "COPY orders TO PROGRAM 'cat'", "COPY orders TO '/tmp/x'", "SELECT * FROM orders FOR UPDATE",
		"SET ROLE " + project + "_owner", "SET SESSION AUTHORIZATION " + project + "_owner", "SET TRANSACTION READ WRITE", "SET transaction_read_only = off; SELECT add_as_owner()",
		"COMMIT; BEGIN; SELECT add_as_owner()", "ROLLBACK; SELECT add_as_owner()", "SET default_transaction_read_only = off; SELECT add_as_owner()", "DO 'BEGIN PERFORM add_as_owner(); END'",
		"CREATE TABLE mine ()", "CREATE TEMP TABLE mine ()", "ALTER TABLE orders ADD x int", "DROP TABLE orders", "SELECT rolpassword FROM pg_authid", "SELECT pg_read_file('PG_VERSION')",
		"EXPLAIN ANALYZE INSERT INTO orders (total) VALUES (9)", "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone", "LOCK TABLE orders IN EXCLUSIVE MODE", "SELECT pg_sleep(30)",
	} {
		if text, refused := read(sql); !refused && !strings.Contains(text, `"error":{`) {
			t.Errorf("%s: %s", sql, text)
		}
	}
	if text, refused := read("SET statement_timeout = 0; SELECT pg_sleep(59)"); !refused || !strings.Contains(text, "longer than 5s") {
		t.Errorf("a query that takes its time: %s", text)
	}
	for _, sql := range []string{"SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'mine')", "SELECT set_config('default_transaction_read_only', 'off', false)"} { // before version 16 the first two are not refused: what they make is rolled back
		_, _ = read(sql)
	}
	if text, refused := use(t, session, "run_sql", map[string]any{"branch": production.String(), "sql": "DELETE FROM orders", "write": true}); !refused {
		t.Errorf("a write that is asked for: %s", text)
	}
	if got := s.psql(t, production, "SELECT count(*) || ' ' || sum(total) || ' ' || (SELECT last_value FROM orders_id_seq) || ' ' || (SELECT count(*) FROM pg_largeobject_metadata) FROM orders"); got != "3 6 3 0" {
		t.Errorf("production has %s", got)
	}
	config, err := pgx.ParseConfig(s.connection(t, production).URL)
	if err != nil {
		t.Fatal(err)
	}
	config.User = postgres.AgentRole
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the front door lets the role in")
	}
	if got := s.must(t, "schema", "diff", production.String(), development.String(), "--sql"); got != "" {
		t.Errorf("the role's rights are a difference:\n%s", got)
	}
	if got := s.must(t, "schema", "dump", production.String()); strings.Contains(got, postgres.AgentRole) {
		t.Error("the role is part of the structure")
	}
	s.psql(t, development, "CREATE TABLE later (id int)")
	s.must(t, "publish", project, "--yes")
	if text, refused := read("SELECT count(*) FROM later"); refused || !strings.Contains(text, `"0"`) {
		t.Errorf("a table that came later: %s", text)
	}
	endOfReading(t, s, production, read)
	if trail := s.must(t, "audit", "--json", "--what", "project.agents", "--on", project); !strings.Contains(trail, "project.agents") {
		t.Error("the setting is not in the audit trail")
	}
}

// endOfReading switches reading off: what runs is ended, and the role is gone, where the server sleeps with its next wake.
func endOfReading(t *testing.T, s *server, production holdfast.BranchRef, read func(sql string) (string, bool)) {
	const role = "SELECT coalesce((SELECT 'login ' || rolcanlogin FROM pg_roles WHERE rolname = 'holdfast_agent'), 'none')"
	allow := func(yes string, more ...string) {
		t.Helper()
		s.must(t, append([]string{"project", "agents", production.Project, "--read-production=" + yes}, more...)...)
	}
	if got := s.psql(t, production, role); got != "login false" {
		t.Errorf("between queries the role is %s", got)
	}
	allow("true", "--timeout", "60s")
	type answer struct {
		text    string
		refused bool
	}
	ended := make(chan answer, 1)
	began := time.Now()
	go func() {
		text, refused := read("SELECT pg_sleep(59)")
		ended <- answer{text, refused}
	}()
	servetest.Until(t, "the query", func() bool {
		return s.psql(t, production, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'holdfast_agent' AND state = 'active'") == "1"
	})
	allow("false")
	if got := <-ended; !got.refused && !strings.Contains(got.text, `"error":{`) || time.Since(began) > 58*time.Second {
		t.Errorf("the query that ran: %+v", got)
	}
	if got := s.psql(t, production, role); got != "none" {
		t.Errorf("when it is allowed no more the role is %s", got)
	}
	if text, refused := read("SELECT 1"); !refused {
		t.Errorf("when it is allowed no more: %s", text)
	}

	allow("true")
	if text, refused := read("SELECT 1 AS one"); refused || !strings.Contains(text, `"1"`) {
		t.Errorf("when it is allowed again: %s", text)
	}
	s.sleep(t, production)
	allow("false")
	if got := s.branch(t, production).Activity; got != "asleep" {
		t.Errorf("switching it off left production %s", got)
	}
	servetest.Until(t, "the end of the role", func() bool { return s.psql(t, production, role) == "none" })
}
