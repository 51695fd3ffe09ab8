package rows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/rows"
)

// tell writes what happens in a line each.
func tell(e rows.Event) string {
	switch {
	case e.Columns != nil:
		var out []string
		for _, c := range e.Columns {
			out = append(out, c.Name+" "+c.Type)
		}
		return strings.Join(out, ", ")
	case e.Rows != nil:
		var out []string
		for _, row := range e.Rows {
			for _, v := range row {
				if v == nil {
					out = append(out, "-")
				} else {
					out = append(out, *v)
				}
			}
		}
		return strings.Join(out, " ")
	case e.Notice != nil:
		return e.Notice.Severity + " " + e.Notice.Message
	case e.Done != nil && e.Done.Truncated:
		return fmt.Sprintf("%s, the first %d", e.Done.Tag, e.Done.Rows)
	case e.Done != nil:
		return e.Done.Tag
	}
	return fmt.Sprintf("failed %s at %d", e.Failed.Code, e.Failed.Position)
}

func run(t *testing.T, conn *pgx.Conn, script rows.Script) string {
	t.Helper()
	if script.MaxRows == 0 {
		script.MaxRows = 1000
	}
	if script.MaxBytes == 0 {
		script.MaxBytes = 1 << 20
	}
	script.StatementTimeout = time.Minute
	var out []string
	if err := rows.Run(t.Context(), conn, script, func(e rows.Event) error { out = append(out, tell(e)); return nil }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "; ")
}

func TestAScriptsResultsComeAsTextInOrder(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	for _, c := range []struct {
		script rows.Script
		want   string
	}{
		{rows.Script{SQL: "SELECT 1 AS a, NULL::numeric(5,2), '{1,2}'::int[] AS \"C\"; SELECT 'x'"}, `a integer, numeric numeric, C integer[]; 1 - {1,2}; SELECT 1; ?column? text; x; SELECT 1`},
		{rows.Script{SQL: "SELECT generate_series(1, 5)", MaxRows: 3}, `generate_series integer; 1 2 3; SELECT, the first 3`},
		{rows.Script{SQL: "SELECT generate_series(1, 3)", MaxRows: 3}, `generate_series integer; 1 2 3; SELECT 3`},
		{rows.Script{SQL: "SELECT repeat('x', 4) FROM generate_series(1, 5); SELECT 1", MaxBytes: 8}, `repeat text; xxxx xxxx; SELECT, the first 2; ?column? integer; SELECT, the first 0`},
		{rows.Script{SQL: "SELECT 'é'; SELECT nothing; SELECT 2"}, "?column? text; é; SELECT 1; failed 42703 at 20"},
		{rows.Script{SQL: "DO $$ BEGIN RAISE NOTICE 'hello'; END $$"}, "NOTICE hello; DO"},
		{rows.Script{SQL: "COPY (SELECT generate_series(1, 3)) TO STDOUT", MaxRows: 2}, "copy text; 1 2; COPY 3, the first 2"},
		{rows.Script{SQL: "-- nothing"}, ""},
		{rows.Script{Write: true, SQL: "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (n int, m mood); INSERT INTO t SELECT n, 'sad' FROM generate_series(1, 4) n RETURNING n, m", MaxRows: 1},
			"CREATE TYPE; CREATE TABLE; n integer, m mood; 1 sad; INSERT, the first 1"},
		{rows.Script{SQL: "SELECT count(*) FROM t"}, "count bigint; 4; SELECT 1"},
		{rows.Script{Write: true, SQL: "BEGIN; DELETE FROM t; ROLLBACK; VACUUM t; SELECT count(*) FROM t"}, "BEGIN; DELETE 4; ROLLBACK; VACUUM; count bigint; 4; SELECT 1"},
		{rows.Script{Write: true, SQL: "BEGIN; DELETE FROM t"}, "BEGIN; DELETE 4; WARNING the script left its transaction open, so it was rolled back"},
		{rows.Script{Write: true, SQL: "COPY t FROM STDIN; SELECT 1"}, "failed 57014 at 0"},
		{rows.Script{Write: true, SQL: "CREATE TABLE d (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO d VALUES (1), (1); SELECT 1"}, "CREATE TABLE; failed 23505 at 0"},
		{rows.Script{SQL: "SELECT count(*) FROM t"}, "count bigint; 4; SELECT 1"},
	} {
		if got := run(t, conn, c.script); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.script.SQL, got, c.want)
		}
	}
}

// Every way that is known out of a read-only transaction, each followed by a write.
func TestAScriptThatMayOnlyReadCannotWrite(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE t (n int); CREATE PROCEDURE leave() LANGUAGE plpgsql AS $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END $$;
		CREATE FUNCTION sneak() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END $$`)
	for _, way := range []string{
		"INSERT INTO t VALUES (1)", "COMMIT; INSERT INTO t VALUES (1)", "END; INSERT INTO t VALUES (1)", "/* x */ commit AND CHAIN; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1)",
		"ROLLBACK; INSERT INTO t VALUES (1)", "ABORT; INSERT INTO t VALUES (1)", "SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1)", "SET transaction_read_only = off; INSERT INTO t VALUES (1)",
		"SAVEPOINT s; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1)", "SAVEPOINT s; ROLLBACK TO s; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1)",
		"SELECT set_config('transaction_read_only', 'off', false); INSERT INTO t VALUES (1)", "CALL leave()", "SELECT sneak()", "DO $$ BEGIN COMMIT; INSERT INTO t VALUES (1); END $$",
		"PREPARE TRANSACTION 'x'; INSERT INTO t VALUES (1)", "SET default_transaction_read_only = off; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; INSERT INTO t VALUES (1)",
		"PREPARE p AS INSERT INTO t VALUES (1); EXECUTE p", "EXPLAIN ANALYZE INSERT INTO t VALUES (1)", "WITH w AS (INSERT INTO t VALUES (1) RETURNING n) SELECT * FROM w",
		"CREATE TABLE u ()", "SELECT nextval(pg_get_serial_sequence('t', 'n'))::text; COPY t FROM STDIN", "BEGIN; INSERT INTO t VALUES (1)", "SELECT lo_put(lo_from_bytea(0, 'x'), 0, 'y')",
	} {
		got := run(t, conn, rows.Script{SQL: way})
		if !strings.Contains(got, "failed") && !strings.Contains(way, "lo_put") {
			t.Errorf("%s: %s", way, got)
		}
	}
	if n := pgtest.Value[int](t, conn, `SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM pg_largeobject_metadata)`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

func TestAScriptEndsWithItsContext(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	var seen []string
	err := rows.Run(ctx, conn, rows.Script{SQL: "SELECT 1; SELECT pg_sleep(600)", MaxRows: 10, MaxBytes: 10}, func(e rows.Event) error {
		seen = append(seen, tell(e))
		if e.Done != nil {
			cancel()
		}
		return nil
	})
	if err == nil || ctx.Err() == nil || !slices.Contains(seen, "SELECT 1") {
		t.Errorf("got %v after %q", err, seen)
	}
}
