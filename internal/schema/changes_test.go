package schema

import (
	"os"
	"testing"
)

// Every kind of object is added, changed and dropped, with what depends on it, in both directions and back.
func TestChangesConvergeInBothDirections(t *testing.T) {
	text, err := os.ReadFile("testdata/changes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parseCases(string(text)) {
		for _, way := range [][2]string{{"FROM", "TO"}, {"TO", "FROM"}} {
			t.Run(c.title+" "+way[0]+" "+way[1], func(t *testing.T) {
				t.Parallel()
				production := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections[way[0]])
				_ = run(t.Context(), production.conn, c.sections["DATA"]) // the rows are made for FROM; some fit TO as well
				development := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections[way[1]])
				opts := Options{Tombstones: true, AllowLossy: true, Answers: answers(t, []string{"drop:*"})}
				plan := compute(t, production, development, opts)
				for _, f := range findings(t, production, plan) {
					t.Logf("%s: %s", f.Verdict, f.Text)
				}
				converge(t, production, development, plan)
			})
		}
	}
}
