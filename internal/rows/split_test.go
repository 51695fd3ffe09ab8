package rows

import (
	"slices"
	"testing"
)

func TestAScriptIsCutWhereItsStatementsEnd(t *testing.T) {
	for _, c := range []struct {
		script string
		want   []string
	}{
		{"", nil},
		{" ;; -- nothing\n;/* nor here; */", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1; SELECT ';' ;\nSELECT \"a;\"\"b\" FROM t -- ;\n;", []string{"SELECT 1", "SELECT ';' ", "SELECT \"a;\"\"b\" FROM t -- ;\n"}},
		{`SELECT E'\';', e'a''b;' ; SELECT '\'; x`, []string{`SELECT E'\';', e'a''b;' `, `SELECT '\'`, "x"}},
		{"DO $$ BEGIN; END $$; SELECT $a1$;$$;$a1$, $1;x", []string{"DO $$ BEGIN; END $$", "SELECT $a1$;$$;$a1$, $1", "x"}},
		{"/* /* ; */ ; */ SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); x", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "x"}},
		{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; BEGIN; END",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "BEGIN", "END"}},
		{"SELECT 'open; ", []string{"SELECT 'open;"}},
		{"VALUES (1)\n  ;  \n", []string{"VALUES (1)\n  "}},
		{"SELECT a$b$; SELECT 1", []string{"SELECT a$b$", "SELECT 1"}},
	} {
		var got []string
		for _, s := range Split(c.script) {
			got = append(got, s.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q\n got %q\nwant %q", c.script, got, c.want)
		}
	}
	if s := Split("SELECT 'é';\n rollback to x"); s[1].Start != 13 || s[1].Words != "ROLLBACK TO X" {
		t.Errorf("got %+v", s[1])
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("SELECT $a$;$a$; E'\\'' ; /* ; */ \"")
	f.Fuzz(func(t *testing.T, script string) {
		for _, s := range Split(script) {
			if s.Text == "" {
				t.Errorf("an empty statement in %q", script)
			}
		}
	})
}
