package schema

import (
	"os"
	"testing"
)

// Every kind of object is added, changed and dropped, with what depends on it, in both directions and back. The two databases of a
// case take turns: what was taken to the other structure and back is what the other then develops towards.
func TestChangesConvergeInBothDirections(t *testing.T) {
	text, err := os.ReadFile("testdata/changes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parseCases(string(text)) {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			first := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections["FROM"])
			load(t, first.conn, c.sections["DATA"])
			second := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections["TO"])
			_ = run(t.Context(), second.conn, c.sections["DATA"]) // the rows are made for FROM; some fit TO as well
			for _, way := range [][2]*database{{first, second}, {second, first}} {
				opts := Options{Tombstones: true, AllowLossy: true, Answers: answers(t, []string{"drop:*"})}
				plan := compute(t, way[0], way[1], opts)
				for _, f := range findings(t, way[0], plan) {
					t.Logf("%s: %s", f.Verdict, f.Text)
				}
				converge(t, way[0], way[1], plan)
				if t.Failed() {
					return
				}
			}
		})
	}
}
