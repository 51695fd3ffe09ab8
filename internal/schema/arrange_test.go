package schema

import (
	"strings"
	"testing"
)

// What is made anew is missing only within one transaction. Everything that stood between its removal and its return was once done in
// that transaction too, so that an index of another table was built while its writers waited.
func TestWhatIsMadeAnewTakesNothingElseIntoItsTransaction(t *testing.T) {
	production := newDatabase(t, `CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t SELECT g, g, g FROM generate_series(1, 100) g;
		CREATE VIEW v AS SELECT id FROM t;`)
	development := newDatabase(t, `CREATE TABLE t (id int PRIMARY KEY, a int, b int CONSTRAINT b_once UNIQUE);
		CREATE INDEX by_a ON t (a); CREATE VIEW v AS SELECT a, id FROM t; CREATE VIEW w AS SELECT a FROM v;`)
	plan := compute(t, production, development, Options{Tombstones: true})
	groups := map[int]string{}
	for _, s := range plan.Statements {
		groups[s.Group] += s.SQL + ";\n"
	}
	together := false
	for _, sql := range groups {
		gone, back := strings.Contains(sql, "DROP VIEW"), strings.Contains(sql, `CREATE VIEW "public"."v"`)
		if gone != back {
			t.Errorf("the view is missing between two transactions:\n%s", plan.SQL())
		}
		together = together || gone && back
		if strings.Contains(sql, "INDEX") && (gone || strings.Count(sql, "CREATE") > 1) {
			t.Errorf("an index is built in the view's transaction:\n%s", sql)
		}
	}
	if !together || strings.Count(plan.SQL(), "CONCURRENTLY") != 2 {
		t.Errorf("want the view made anew and two indexes built while clients go on:\n%s", plan.SQL())
	}
	converge(t, production, development, plan)
}

func TestCirclesAreFoundAndTheRestIsAlone(t *testing.T) {
	next := map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"e"}}
	got := circles([]string{"a", "b", "c", "d", "e"}, func(n string) []string { return next[n] })
	var sizes []int
	for _, part := range got {
		sizes = append(sizes, len(part))
	}
	if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 1 || sizes[2] != 3 {
		t.Errorf("circles %v, want e, d and the circle of a, b and c", got)
	}
}
