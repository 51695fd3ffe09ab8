package schema

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// renameExpectation is what a scenario of renames.txt must lead to.
type renameExpectation struct {
	question string
	answers  []string
	shows    string // the rows of its query after the publish
	renames  int    // what keeps its content under another name
	note     string
}

func renameExpectations() map[string]renameExpectation {
	return map[string]renameExpectation{
		"rename column": {shows: "1|ann", renames: 1},
		"rename table + fk + index + pk constraint":                               {shows: "1|x|1", renames: 4},
		"swap two columns":                                                        {shows: "a=was b|b=was a", renames: 2},
		"drop b, rename a to b":                                                   {shows: "1|A", renames: 1},
		"move to other schema + rename schema":                                    {shows: "1|5", renames: 2},
		"enum value rename + type rename":                                         {shows: "finished", renames: 2},
		"rename column used by fk, view, policy, generated, check, partial index": {shows: "1|9|18|9|18", renames: 2},
		"partitioned table rename column and partition":                           {shows: "1|2024-02-02 00:00:00 +0000 UTC", renames: 2},
		"ORM reset: table recreated with renamed column":                          {question: "public.t.fullname", answers: []string{"rename:t.fullname=display_name"}},
		"drop and re-add same name":                                               {shows: "1|keep?", note: "dropped and made again"},
		"function + trigger + policy rename":                                      {renames: 3},
	}
}

// A publish gives things their new names by the identity that they have in development's catalogue, so rows keep their values.
func TestRenamesKeepRows(t *testing.T) {
	for _, c := range parseCases(readCase(t, "renames.txt")) {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			want, known := renameExpectations()[c.title]
			if !known {
				t.Fatal("the case has no expectation")
			}
			production := newDatabase(t, "CREATE TABLE only_to_shift_oids (); DROP TABLE only_to_shift_oids;"+c.sections["BASE"])
			load(t, production.conn, c.sections["DATA"])
			development := newDatabase(t, c.sections["BASE"])
			if _, err := MarkEpoch(t.Context(), development.conn); err != nil {
				t.Fatal(err)
			}
			baseline := read(t, development.conn)
			load(t, development.conn, c.sections["CHANGE"])
			opts := Options{Tombstones: true}
			plan := publishPlan(t, baseline, production, development, opts)
			if want.question != "" {
				if len(plan.Questions) != 1 || plan.Questions[0].ID != want.question {
					t.Fatalf("questions %v, want one about %s", plan.Questions, want.question)
				}
				opts.Answers = answers(t, want.answers)
				plan = publishPlan(t, baseline, production, development, opts)
			} else if len(plan.Renames) != want.renames {
				t.Errorf("renames %v, want %d", plan.Renames, want.renames)
			}
			if want.note != "" && !strings.Contains(fmt.Sprint(plan.Notes), want.note) {
				t.Errorf("notes %v, want %q", plan.Notes, want.note)
			}
			if strings.Contains(plan.SQL(), "DROP COLUMN") && !strings.Contains(c.title, "drop b") {
				t.Errorf("the plan drops a column that was only renamed:\n%s", plan.SQL())
			}
			for _, f := range findings(t, production, plan) {
				if f.Verdict == Blocks {
					t.Errorf("finding: %s", f.Text)
				}
			}
			converge(t, production, development, plan, func() {
				if want.shows == "" {
					return
				}
				if got := show(t, production.conn, c.sections["SHOW"]); got != want.shows {
					t.Errorf("rows %q, want %q", got, want.shows)
				}
			})
		})
	}
}

// Renames in every combination with other changes, in circles, and onto names that something else had.
func TestRenamesKeepRowsInCombinations(t *testing.T) {
	text, err := os.ReadFile("testdata/renames.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parseCases(string(text)) {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			production := newDatabase(t, "CREATE TABLE only_to_shift_oids (); DROP TABLE only_to_shift_oids;"+c.sections["BASE"])
			load(t, production.conn, c.sections["DATA"])
			development := newDatabase(t, c.sections["BASE"])
			if _, err := MarkEpoch(t.Context(), development.conn); err != nil {
				t.Fatal(err)
			}
			baseline := read(t, development.conn)
			load(t, development.conn, c.sections["CHANGE"])
			plan := publishPlan(t, baseline, production, development, Options{Tombstones: true, AllowLossy: true, Answers: answers(t, []string{"drop:*"})})
			for _, f := range findings(t, production, plan) {
				if f.Verdict == Blocks {
					t.Errorf("finding: %s", f.Text)
				}
			}
			converge(t, production, development, plan, func() {
				if want := strings.TrimSpace(c.sections["ROWS"]); want != "" {
					if got := show(t, production.conn, c.sections["SHOW"]); got != want {
						t.Errorf("rows %q, want %q\n%s", got, want, plan.SQL())
					}
				}
			})
		})
	}
}

func publishPlan(t *testing.T, baseline *Catalog, production, development *database, opts Options) *Plan {
	t.Helper()
	plan, err := Compute(Input{Baseline: baseline, Development: read(t, development.conn), Production: read(t, production.conn), Options: opts})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Drift) > 0 {
		t.Errorf("drift where there is none: %v", plan.Drift)
	}
	return plan
}

// show runs a query and prints its rows, columns separated by bars.
func show(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	load(t, conn, "SELECT 1") // sets the search path of a user's session
	rows, err := conn.Query(t.Context(), strings.TrimRight(strings.TrimSpace(query), ";"), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		parts := make([]string, len(values))
		for i, v := range values {
			parts[i] = fmt.Sprint(v)
		}
		return strings.Join(parts, "|"), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
