package schema

import (
	"fmt"
	"strings"
	"testing"
)

func TestOracleLooksPastOrderAndLayout(t *testing.T) {
	first := `
\restrict abc
SET statement_timeout = 0;
SET default_table_access_method = heap;
-- Name: t; Type: TABLE
CREATE TABLE public.t (
    a integer DEFAULT 5 NOT NULL,
    b numeric(10,2) DEFAULT ('x;y'::text || ')')::numeric,
    CONSTRAINT c CHECK ((a > 0))
);
CREATE FUNCTION public.f() RETURNS bigint
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
 SELECT count(*) FROM public.t;
END;
ALTER TABLE public.t OWNER TO x;
CREATE STATISTICS public.s ON a, b FROM public.t;
\unrestrict abc`
	second := `
ALTER TABLE public.t OWNER TO x;
CREATE STATISTICS public.s ON b, a FROM public.t;
CREATE TABLE public.t (
    b numeric(10,2) DEFAULT ('x;y'::text || ')')::numeric,
    a integer NOT NULL
);
ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT 5;
ALTER TABLE public.t
    ADD CONSTRAINT c CHECK ((a > 0));
CREATE FUNCTION public.f() RETURNS bigint
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
 SELECT count(*) FROM public.t;
END;`
	if left := OracleEqual(first, second); len(left) > 0 {
		t.Errorf("leftovers: %v", left)
	}
}

func TestOracleNamesWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		first, second string
		want          int
	}{
		"a column's type":       {"CREATE TABLE t (a integer);", "CREATE TABLE t (a bigint);", 2},
		"a default":             {"CREATE TABLE t (a integer DEFAULT 1);", "CREATE TABLE t (a integer);", 1},
		"white space in a text": {"COMMENT ON TABLE t IS 'a  b';", "COMMENT ON TABLE t IS 'a b';", 2},
		"a function's body":     {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ select 1; $$;", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ select 2; $$;", 2},
		"a tablespace":          {"SET default_tablespace = fast; CREATE TABLE t (a integer);", "CREATE TABLE t (a integer);", 2},
		"something twice":       {"GRANT x TO y; GRANT x TO y;", "GRANT x TO y;", 1},
	} {
		t.Run(name, func(t *testing.T) {
			if left := OracleEqual(c.first, c.second); len(left) != c.want {
				t.Errorf("%d leftovers, want %d: %v", len(left), c.want, left)
			}
		})
	}
}

func FuzzTokensKeepEveryByte(f *testing.F) {
	f.Add(`select E'a\'b', $1, $x$ ; $x$, "q""r" -- c
/* a /* b */ c */ from t;`)
	f.Fuzz(func(t *testing.T, sql string) {
		if got := joinTokens(tokenize(sql)); got != sql {
			t.Errorf("%q became %q", sql, got)
		}
	})
}

// A view that is grouped by its table's primary key is dumped as a stand-in that is replaced behind the key. It counts as the view that
// it becomes, every time: a dump is a map of facts, which no order of a walk may change.
func TestOracleTakesAReplacedStandInForTheView(t *testing.T) {
	standIn := "CREATE VIEW public.v AS\nSELECT\n    NULL::integer AS id,\n    NULL::bigint AS n;\nCREATE TABLE public.t (\n    id integer NOT NULL\n);\n" +
		"ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);\nCREATE OR REPLACE VIEW public.v AS\n SELECT id, count(*) AS n FROM public.t GROUP BY id;"
	whole := "CREATE TABLE public.t (\n    id integer NOT NULL\n);\nALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n" +
		"CREATE VIEW public.v AS\n SELECT id, count(*) AS n FROM public.t GROUP BY id;"
	for i := range 40 { // a map of many
		table := fmt.Sprintf("\nCREATE TABLE public.t%d (\n    id integer NOT NULL\n);", i)
		standIn, whole = standIn+table, whole+table
	}
	for range 100 {
		if left := OracleEqual(standIn, whole); len(left) > 0 {
			t.Fatalf("they differ: %v", left)
		}
		if left := OracleEqual(standIn, standIn); len(left) > 0 {
			t.Fatalf("a dump differs from itself: %v", left)
		}
	}
	if left := OracleEqual(standIn, strings.Replace(whole, "CREATE VIEW public.v AS\n SELECT id, count(*) AS n FROM public.t GROUP BY id;", "", 1)); len(left) != 1 {
		t.Errorf("a missing view is not told: %v", left)
	}
}
