package schema

import (
	"testing"
	"time"
)

// TestRealHistoriesConverge takes four real projects from an old structure to a newer one, with rows in every table.
func TestRealHistoriesConverge(t *testing.T) {
	for _, name := range []string{"supabase-auth", "pagila", "danbooru", "gitlab"} {
		t.Run(name, func(t *testing.T) {
			production := newDatabase(t, readCase(t, "real", name, "from.sql"))
			development := newDatabase(t, readCase(t, "real", name, "to.sql"))
			from, to := read(t, production.conn), read(t, development.conn)
			begin := time.Now()
			plan, err := Compute(Input{Baseline: from, Development: to, Production: from, Options: Options{Tombstones: true, Answers: answers(t, []string{"drop:*"})}})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d statements planned in %s", name, len(plan.Statements), time.Since(begin))
			begin = time.Now()
			if err := plan.Ready(); err != nil {
				t.Fatal(err)
			}
			if err := execute(t.Context(), production.conn, plan); err != nil {
				t.Fatal(err)
			}
			t.Logf("applied in %s", time.Since(begin))
			left := OracleEqual(dump(t, production.Database), dump(t, development.Database))
			for i, l := range left {
				if i < 60 {
					t.Errorf("%s", l)
				}
			}
		})
	}
}
