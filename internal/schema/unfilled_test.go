package schema

import (
	"fmt"
	"strings"
	"testing"
)

// A required column without a default came back only where no row had been written since: otherwise the way back failed in its middle.
func TestRowsWrittenSinceARequiredColumnWentAreCountedBeforeItComesBack(t *testing.T) {
	for name, key := range map[string]string{"by the primary key": "PRIMARY KEY", "by a digest of the row": ""} {
		t.Run(name, func(t *testing.T) {
			table := fmt.Sprintf("CREATE TABLE t (id int %s, a text", key)
			production, development := newDatabase(t, table+", b text NOT NULL); INSERT INTO t VALUES (1, 'x', 'one'), (2, 'x', 'two');"), newDatabase(t, table+");")
			before := snapshot(t, production)
			plan := compute(t, production, development, Options{Tombstones: true})
			if err := execute(t.Context(), production.conn, plan); err != nil {
				t.Fatalf("%v\n%s", err, plan.SQL())
			}
			back := func(opts Options) *Plan {
				opts.AllowLossy = true
				plan, err := Revert(before, read(t, production.conn), opts)
				if err != nil {
					t.Fatal(err)
				}
				return plan
			}
			if found := blocking(t, production, back(Options{})); len(found) > 0 {
				t.Errorf("nothing was written, but the way back is blocked: %v", found)
			}
			load(t, production.conn, "INSERT INTO t VALUES (3, 'x'), (4, 'y')")
			found := blocking(t, production, back(Options{}))
			if len(found) != 1 || found[0].Count != 2 || len(found[0].Rows) != 2 || !strings.Contains(found[0].Text, "answer fill:public.t.b=") {
				t.Fatalf("findings %v, want one that counts two rows and asks for a value", found)
			}
			answered := back(Options{Answers: answers(t, []string{"fill:t.b='?'"})})
			if found := blocking(t, production, answered); len(found) > 0 {
				t.Errorf("answered, but still blocked: %v", found)
			}
			if err := execute(t.Context(), production.conn, answered); err != nil {
				t.Fatalf("%v\n%s", err, answered.SQL())
			}
			var values string
			if err := production.conn.QueryRow(t.Context(), "SELECT string_agg(b, ' ' ORDER BY id) FROM public.t").Scan(&values); err != nil || values != "one two ? ?" {
				t.Errorf("values %q (%v), want those of before and the answer", values, err)
			}
		})
	}
}

func blocking(t *testing.T, db *database, plan *Plan) []Finding {
	t.Helper()
	var out []Finding
	for _, f := range findings(t, db, plan) {
		if f.Verdict != Loses {
			out = append(out, f)
		}
	}
	return out
}

// White space alone once made every change from json to jsonb lossy: json has no equality, and the comparison failed for all.
func TestJSONToJSONBLosesRepeatedKeysAndTheirOrder(t *testing.T) {
	production, development := newDatabase(t, `CREATE TABLE t (id int PRIMARY KEY, doc json)`), newDatabase(t, `CREATE TABLE t (id int PRIMARY KEY, doc jsonb)`)
	load(t, production.conn, `INSERT INTO t VALUES (1, '{ "a" : 1,  "b" : [ 1, {"c": null} ] }'), (2, NULL), (3, ' "text" '), (4, '[1,  2.50]')`)
	plan := compute(t, production, development, Options{Tombstones: true})
	if found := findings(t, production, plan); len(found) > 0 {
		t.Errorf("white space counts as a loss: %v", found)
	}
	for _, s := range plan.Statements {
		for _, h := range s.Hazards {
			if h.Class == Lossy {
				t.Errorf("%s is called lossy before a row was looked at", s.SQL)
			}
		}
	}
	load(t, production.conn, `INSERT INTO t VALUES (5, '{"a": 1, "a": 2}'), (6, '[{"b": 1, "a": 2}]')`)
	found := findings(t, production, plan)
	if len(found) != 1 || found[0].Verdict != Loses || found[0].Count != 2 || !strings.Contains(found[0].Text, "keeps only the last of repeated keys, and sorts keys") {
		t.Fatalf("findings %v, want one that names two documents", found)
	}
	load(t, production.conn, `INSERT INTO t VALUES (7, '{"a": "\u0000"}')`)
	if found := findings(t, production, plan); len(found) != 2 || found[0].Verdict != Blocks || found[0].Count != 1 {
		t.Errorf("findings %v, want a document that jsonb cannot hold", found)
	}
}
