package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
)

// schemaCase is one case of the shared test material.
type schemaCase struct {
	title    string
	sections map[string]string
}

func parseCases(text string) []schemaCase {
	var out []schemaCase
	section := ""
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "==="):
			out = append(out, schemaCase{strings.TrimSpace(strings.TrimPrefix(line, "===")), map[string]string{}})
			section = ""
		case len(out) == 0:
		case strings.HasPrefix(line, "@"):
			section = strings.TrimPrefix(strings.TrimSpace(line), "@")
		default:
			out[len(out)-1].sections[section] += line + "\n"
		}
	}
	return out
}

// execute runs a plan's statements as Apply does, without its patience.
func execute(ctx context.Context, conn *pgx.Conn, plan *Plan) error {
	if err := run(ctx, conn, "SET check_function_bodies = off; SET search_path = pg_catalog"); err != nil {
		return err
	}
	for i := 0; i < len(plan.Statements); {
		j := i
		for j < len(plan.Statements) && plan.Statements[j].Group == plan.Statements[i].Group {
			j++
		}
		single := !plan.Statements[i].Transactional
		if !single {
			if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
				return err
			}
		}
		for _, s := range plan.Statements[i:j] {
			if _, err := conn.Exec(ctx, s.SQL); err != nil {
				_, _ = conn.Exec(ctx, "ROLLBACK")
				return fmt.Errorf("%s: %w", s.SQL, err)
			}
		}
		if !single {
			if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}

// database is one side of a case.
type database struct {
	*pgtest.Database
	conn     *pgx.Conn
	pristine string
}

// structure is the dump of the database as the case made it. A way back leads there again.
func (d *database) structure(t *testing.T) string {
	t.Helper()
	if d.pristine == "" {
		d.pristine = dump(t, d.Database)
	}
	return d.pristine
}

func newDatabase(t *testing.T, script string) *database {
	t.Helper()
	db := schemaServer(t).Database(t)
	d := &database{Database: db, conn: db.Connect(t)}
	load(t, d.conn, strings.ReplaceAll(script, "mx_to", db.Name))
	return d
}

// compute plans from production to development as if production were what was published last.
func compute(t *testing.T, production, development *database, opts Options) *Plan {
	t.Helper()
	from := read(t, production.conn)
	plan, err := Compute(Input{Baseline: from, Development: read(t, development.conn), Production: from, Options: opts})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// findings runs a plan's checks and returns those that are not clean.
func findings(t *testing.T, db *database, plan *Plan) []Finding {
	t.Helper()
	all, err := RunChecks(t.Context(), db.conn, plan)
	if err != nil {
		t.Fatal(err)
	}
	var out []Finding
	for _, f := range all {
		if f.Verdict != Clean {
			out = append(out, f)
		}
	}
	return out
}

// converge applies a plan and holds the oracle against the result. Planning again must find nothing, and the way back must lead to
// what was before.
func converge(t *testing.T, production, development *database, plan *Plan, then ...func()) {
	t.Helper()
	if err := plan.Ready(); err != nil {
		t.Fatalf("the plan is not ready: %v", err)
	}
	before, structure := snapshot(t, production), production.structure(t)
	sums := sumAll(t, production, before, before)
	if err := execute(t.Context(), production.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if left := OracleEqual(dump(t, production.Database), development.structure(t)); len(left) > 0 {
		t.Errorf("leftovers: %v\n%s", left, plan.SQL())
	}
	again := compute(t, production, development, Options{Tombstones: true})
	if !again.Empty() || len(again.Drift) > 0 {
		t.Errorf("planning again is not empty: %s %v\nfirst: %s", again.SQL(), again.Drift, plan.SQL())
	}
	for _, f := range then {
		f()
	}
	revert(t, production, before, structure, sums)
}

// snapshot reads a catalogue and takes it through the form in which it is kept.
func snapshot(t *testing.T, db *database) *Catalog {
	t.Helper()
	text, err := json.Marshal(read(t, db.conn))
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{}
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// sumAll sums every table of a structure, read under the names of another moment.
func sumAll(t *testing.T, db *database, before, now *Catalog) map[Address]Sum {
	t.Helper()
	probes := Probes(before, now)
	sums, err := SumTables(t.Context(), db.conn, probes, true)
	if err != nil {
		t.Fatal(err)
	}
	out := map[Address]Sum{}
	for i, p := range probes {
		out[p.Before] = sums[i]
	}
	return out
}

// revert goes back and holds the oracle and the rows against what was before.
func revert(t *testing.T, production *database, before *Catalog, structure string, sums map[Address]Sum) {
	t.Helper()
	now := read(t, production.conn)
	back, err := Revert(before, now, Options{AllowLossy: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Ready(); err != nil {
		t.Fatalf("the way back is not ready: %v", err)
	}
	if err := execute(t.Context(), production.conn, back); err != nil {
		t.Fatalf("back: %v\n%s", err, back.SQL())
	}
	if left := OracleEqual(dump(t, production.Database), structure); len(left) > 0 {
		t.Errorf("leftovers on the way back: %v\n%s", left, back.SQL())
	}
	if got := sumAll(t, production, before, read(t, production.conn)); !maps.Equal(got, sums) && len(back.Lost) == 0 {
		t.Errorf("rows after the way back %v, before %v\n%s", got, sums, back.SQL())
	}
}

// expectation is what a case of one-change.txt must lead to where it does not simply converge.
type expectation struct {
	question string   // the plan asks this
	answers  []string // and these let it go on
	blocked  string   // rows forbid it: the finding says this, and names rows
	loses    string   // values would be lost: the finding says this; with consent it converges
}

func expectations() map[string]expectation {
	return map[string]expectation{
		"05 column add not null no default (rows exist)": {blocked: "2 rows of public.a would have no value", answers: []string{"fill:a.x='?'"}},
		"35c FK violated by data":                        {blocked: "1 rows of public.b have no partner in public.a"},
		"44 rename column":                               {question: "public.t.fullname", answers: []string{"rename:t.fullname=display_name"}},
		"49b text->int cast (dirty data)":                {blocked: "1 values of public.t.a cannot be converted to integer"},
		"49h varchar shrink":                             {loses: "1 values of public.t.a do not survive"},
		"49i numeric scale shrink (silent rounding)":     {loses: "1 values of public.t.a do not survive"},
		"50b set not null (null rows)":                   {blocked: "1 rows of public.t have no value in a"},
		"53 move table to other schema":                  {question: "public.t", answers: []string{"rename:t=s.t"}},
	}
}

func TestOneChangeConvergesOrIsRefusedForItsReason(t *testing.T) {
	for _, c := range parseCases(readCase(t, "one-change.txt")) {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			production := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections["FROM"])
			load(t, production.conn, c.sections["DATA"])
			development := newDatabase(t, c.sections["COMMON"]+"\n"+c.sections["TO"])
			expectCase(t, production, development, expectations()[c.title])
		})
	}
}

func expectCase(t *testing.T, production, development *database, want expectation) {
	t.Helper()
	opts := Options{Tombstones: true}
	plan := compute(t, production, development, opts)
	if want.question != "" {
		if len(plan.Questions) != 1 || plan.Questions[0].ID != want.question {
			t.Fatalf("questions %v, want one about %s", plan.Questions, want.question)
		}
		opts.Answers = answers(t, want.answers)
		plan = compute(t, production, development, opts)
	}
	found := findings(t, production, plan)
	switch {
	case want.blocked != "":
		if len(found) != 1 || found[0].Verdict != Blocks || !strings.Contains(found[0].Text, want.blocked) || len(found[0].Rows) == 0 {
			t.Fatalf("findings %v, want one that blocks with %q", found, want.blocked)
		}
		if len(want.answers) == 0 {
			if err := execute(t.Context(), production.conn, plan); err == nil {
				t.Fatal("the plan went through although its check said that it would not")
			}
			return
		}
		opts.Answers = answers(t, want.answers)
		plan = compute(t, production, development, opts)
	case want.loses != "":
		if len(found) != 1 || found[0].Verdict != Loses || !strings.Contains(found[0].Text, want.loses) {
			t.Fatalf("findings %v, want one that loses with %q", found, want.loses)
		}
		opts.AllowLossy = true
		plan = compute(t, production, development, opts)
	case len(found) > 0:
		for _, f := range found {
			if f.Verdict == Blocks {
				t.Errorf("unexpected finding: %s", f.Text)
			}
		}
	}
	converge(t, production, development, plan)
}

func answers(t *testing.T, list []string) map[string]string {
	t.Helper()
	out, err := ParseAnswers(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
