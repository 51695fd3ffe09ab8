package backup

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
)

// split gives the statements of a script, each row of COPY data as one that begins with a bar.
func split(script string) ([]string, error) {
	s := newScriptReader(strings.NewReader(script))
	var out []string
	for {
		stmt, err := s.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, string(stmt))
		if s.copying {
			data, err := io.ReadAll(s.data())
			if err != nil {
				return out, err
			}
			for line := range strings.Lines(string(data)) {
				out = append(out, "|"+strings.TrimSuffix(line, "\n"))
			}
		}
	}
}

func TestScriptsAreSplitAsPsqlDoes(t *testing.T) {
	for _, c := range []struct {
		script string
		want   []string
	}{
		{"-- only a comment;\n/* and; /* nested; */ one; */", nil},
		{"SELECT 1; SELECT\n2;", []string{"SELECT 1;", "SELECT\n2;"}},
		{`SELECT 'a;''b'; SELECT E'a\';b'; SELECT U&'\;'; SELECT "a;""b";`, []string{`SELECT 'a;''b';`, `SELECT E'a\';b';`, `SELECT U&'\;';`, `SELECT "a;""b";`}},
		{`SELECT 'a\'; SELECT 2;`, []string{`SELECT 'a\';`, "SELECT 2;"}},
		{`SET standard_conforming_strings = off; SELECT 'a\';b'; SET standard_conforming_strings = on; SELECT 'a\';`,
			[]string{"SET standard_conforming_strings = off;", `SELECT 'a\';b';`, "SET standard_conforming_strings = on;", `SELECT 'a\';`}},
		{"SELECT $$a;$x$b$$; SELECT $x$;$$;$x$; SELECT $1;", []string{"SELECT $$a;$x$b$$;", "SELECT $x$;$$;$x$;", "SELECT $1;"}},
		{"SELECT a$b$ ; SELECT c$b$;", []string{"SELECT a$b$ ;", "SELECT c$b$;"}},
		{"SELECT 1e5, 0x1F;", []string{"SELECT 1e5, 0x1F;"}},
		{"CREATE RULE r AS ON DELETE TO t DO ALSO (NOTIFY a; NOTIFY b); SELECT 1;", []string{"CREATE RULE r AS ON DELETE TO t DO ALSO (NOTIFY a; NOTIFY b);", "SELECT 1;"}},
		{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3;",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;", "SELECT 3;"}},
		{"CREATE PROCEDURE public.begin(x int) LANGUAGE sql BEGIN ATOMIC SELECT 1; END; BEGIN; COMMIT;",
			[]string{"CREATE PROCEDURE public.begin(x int) LANGUAGE sql BEGIN ATOMIC SELECT 1; END;", "BEGIN;", "COMMIT;"}},
		{"CREATE TABLE begin (end int); SELECT 1;", []string{"CREATE TABLE begin (end int);", "SELECT 1;"}},
		{"COPY t (a) FROM stdin;\n1;2\n\\.x\n'\n\\.\nSELECT 1;", []string{"COPY t (a) FROM stdin;", "|1;2", `|\.x`, "|'", "SELECT 1;"}},
		{"COPY \"a;b\".\"t)\" (\"x)\", y) FROM STDIN;\n\\.\n", []string{"COPY \"a;b\".\"t)\" (\"x)\", y) FROM STDIN;"}},
		{"\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", []string{"SELECT 1;"}},
		{"/* a */ SELECT /* b; */ 1 -- c;\n;", []string{"SELECT   1 \n;"}},
		{"SELECT '\\! not a command';", []string{"SELECT '\\! not a command';"}},
	} {
		got, err := split(c.script)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q:\ngot  %q, %v\nwant %q", c.script, got, err, c.want)
		}
	}
}

func TestBrokenAndHostileScriptsAreRefused(t *testing.T) {
	for _, c := range []struct {
		script string
		kind   holdfast.Kind
	}{
		{"SELECT 1", holdfast.Corrupt}, {"SELECT 'a;", holdfast.Corrupt}, {"SELECT $x$;", holdfast.Corrupt}, {"/* a", holdfast.Corrupt},
		{"COPY t FROM stdin;\n1\n2\n", holdfast.Corrupt}, {"COPY t FROM stdin;", holdfast.Corrupt}, {"COPY t FROM stdin; 1\n\\.\n", holdfast.Corrupt},
		{"SELECT (1; SELECT 2;", holdfast.Corrupt},
		{"\\! rm -rf /\n", holdfast.Invalid}, {"SELECT 1; \\copy t to program 'x'\n", holdfast.Invalid}, {"SELECT 1 \\g |sh\n", holdfast.Invalid},
		{"\\connect other\n", holdfast.Invalid}, {"SELECT 1\\;", holdfast.Invalid}, {"\\restrict x\n\\set a `id`\n", holdfast.Invalid},
	} {
		if got, err := split(c.script); holdfast.KindOf(err) != c.kind {
			t.Errorf("%q: got %q, %v", c.script, got, err)
		}
	}
}

func TestLongRowsPassInPieces(t *testing.T) {
	row := strings.Repeat("x", 3*jsonBuffer) + `\.` // what looks like the end stands in the middle of a line
	s := newScriptReader(strings.NewReader("COPY t FROM stdin;\n" + row + "\n" + row + "\n\\.\nSELECT 1;"))
	if _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(s.data())
	if err != nil || string(data) != row+"\n"+row+"\n" || s.copyRows != 2 {
		t.Errorf("got %d bytes and %d rows, %v", len(data), s.copyRows, err)
	}
	if stmt, err := s.next(); err != nil || string(stmt) != "SELECT 1;" {
		t.Errorf("got %q, %v", stmt, err)
	}
}

func TestStatementsAreClassified(t *testing.T) {
	for _, c := range []struct {
		stmt string
		want statementKind
	}{
		{"ALTER TABLE public.t OWNER TO someone;", ownerStatement}, {`ALTER FUNCTION public.f(a integer) OWNER TO "Some ""One";`, ownerStatement},
		{"ALTER TABLE t ADD COLUMN owner text;", schemaStatement}, {"COMMENT ON TABLE t IS 'x OWNER TO y';", schemaStatement},
		{"CREATE FUNCTION f() RETURNS void AS $$ ALTER TABLE t OWNER TO x; $$;", schemaStatement},
		{"GRANT ALL ON TABLE t TO x;", rightsStatement}, {"ALTER DEFAULT PRIVILEGES FOR ROLE x GRANT SELECT ON TABLES TO y;", rightsStatement},
		{"SELECT pg_catalog.setval('public.s', 5, true);", sequenceStatement}, {"SELECT pg_catalog.lowrite(0, '\\x00');", objectStatement},
		{"SELECT pg_catalog.set_config('search_path', '', false);", sessionStatement}, {"SET SESSION AUTHORIZATION 'x';", ownerStatement},
		{"INSERT INTO public.t VALUES (1);", rowStatement}, {"REFRESH MATERIALIZED VIEW v;", refreshStatement}, {"COPY t TO stdout;", schemaStatement},
	} {
		if got := classify([]byte(c.stmt)); got != c.want {
			t.Errorf("%s: got %d, want %d", c.stmt, got, c.want)
		}
	}
	schema, name, ok := rowTarget([]byte(`INSERT INTO "Odd ""S"."t.x" VALUES (1);`))
	if !ok || schema != `Odd "S` || name != "t.x" {
		t.Errorf("got %q %q", schema, name)
	}
}
