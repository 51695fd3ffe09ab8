package schema

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// published is a pair of databases after a publish: equal, with development's catalogue as the baseline.
func published(t *testing.T, script string) (production, development *database, baseline *Catalog) {
	t.Helper()
	production, development = newDatabase(t, script), newDatabase(t, script)
	if _, err := MarkEpoch(t.Context(), development.conn); err != nil {
		t.Fatal(err)
	}
	return production, development, read(t, development.conn)
}

func publishInput(t *testing.T, baseline *Catalog, production, development *database, given ...string) Input {
	t.Helper()
	return Input{Baseline: baseline, Development: read(t, development.conn), Production: read(t, production.conn), Options: Options{Tombstones: true, AllowLossy: true, Answers: answers(t, given)}}
}

func computed(t *testing.T, in Input) *Plan {
	t.Helper()
	plan, err := Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Ready(); err != nil {
		t.Fatal(err)
	}
	return plan
}

const driftBase = `CREATE TABLE users (id int PRIMARY KEY, name text, note text); CREATE TABLE logs (id int PRIMARY KEY, line text);
	CREATE INDEX logs_line ON logs (line); CREATE VIEW names AS SELECT name FROM users; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'`

// driftInProduction is what somebody does to production by hand, and driftInDevelopment is what development does meanwhile.
const driftInProduction = `CREATE INDEX CONCURRENTLY_MADE ON users (name); ALTER TABLE users ADD hot_fix int DEFAULT 3; CREATE TABLE audit (id serial PRIMARY KEY, u int REFERENCES users);
	CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'; DROP INDEX logs_line; COMMENT ON TABLE logs IS 'by hand'; GRANT SELECT ON logs TO app_ro;
	INSERT INTO users VALUES (1, 'a', 'n', 7); INSERT INTO audit(u) VALUES (1)`

const driftInDevelopment = `ALTER TABLE users RENAME TO people; ALTER TABLE people ADD born date; CREATE TABLE fresh (x int)`

var driftWanted = []string{
	"constraint public.audit", "column public.people.hot_fix", "index public.concurrently_made", "table public.audit", "function public.f()", "index public.logs_line", "table public.logs",
}

// What only production has, or changed alone, is shown and stays; it is never dropped, and rows stay with it.
func TestDriftIsShownAndKept(t *testing.T) {
	production, development, baseline := published(t, driftBase)
	load(t, production.conn, driftInProduction)
	load(t, development.conn, driftInDevelopment)
	plan := computed(t, publishInput(t, baseline, production, development))
	var shown []string
	for _, d := range plan.Drift {
		shown = append(shown, d.Object.String())
		if !slices.ContainsFunc(driftWanted, func(w string) bool { return strings.HasPrefix(d.Object.String(), w) }) && d.Object.Kind != KindSequence {
			t.Errorf("unexpected drift: %s", d.Text)
		}
	}
	for _, w := range driftWanted[1:] {
		if !slices.Contains(shown, w) {
			t.Errorf("%s is not shown among %v", w, shown)
		}
	}
	if err := execute(t.Context(), production.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if got := show(t, production.conn, "SELECT p.name, p.hot_fix, p.born, a.id, f() FROM people p JOIN audit a ON a.u = p.id"); got != "a|7|<nil>|1|2" {
		t.Errorf("rows after the publish: %s\n%s", got, plan.SQL())
	}
	again := computed(t, publishInput(t, read(t, development.conn), production, development))
	if !again.Empty() {
		t.Errorf("planning again is not empty: %s", again.SQL())
	}
}

// Adopted, the differences are in development too: nothing is left to show, and nothing that development made is touched.
func TestDriftIsAdoptedIntoDevelopment(t *testing.T) {
	production, development, baseline := published(t, driftBase)
	load(t, production.conn, driftInProduction)
	load(t, development.conn, driftInDevelopment)
	load(t, development.conn, "INSERT INTO people (id, born) VALUES (5, '2000-01-01'); INSERT INTO fresh VALUES (1)")
	in := publishInput(t, baseline, production, development)
	plan, err := Adopt(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), development.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if got := show(t, development.conn, "SELECT id, born::text, hot_fix, f() FROM people, fresh"); got != "5|2000-01-01|3|2" {
		t.Errorf("development's rows: %s\n%s", got, plan.SQL())
	}
	then := computed(t, publishInput(t, baseline, production, development))
	for _, d := range then.Drift {
		if d.Kind != DroppedInProduction {
			t.Errorf("drift after adopting: %s\n%s", d.Text, plan.SQL())
		}
	}
	if err := execute(t.Context(), production.conn, then); err != nil {
		t.Fatal(err)
	}
	if left := OracleEqual(dump(t, production.Database), dump(t, development.Database)); len(left) > 0 {
		t.Errorf("leftovers: %v\n%s", left, then.SQL())
	}
}

// One difference alone can be adopted, with what it needs; and only what is one.
func TestOneDifferenceIsAdopted(t *testing.T) {
	production, development, baseline := published(t, driftBase)
	load(t, production.conn, driftInProduction)
	load(t, development.conn, driftInDevelopment)
	in := publishInput(t, baseline, production, development)
	table := Drift{Object: Address{Kind: KindTable, Schema: "public", Name: "audit"}, Kind: AddedInProduction}
	plan, err := Adopt(in, []Drift{table})
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), development.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if strings.Contains(plan.SQL(), "hot_fix") {
		t.Errorf("more than was asked for:\n%s", plan.SQL())
	}
	for _, d := range computed(t, publishInput(t, baseline, production, development)).Drift {
		if d.Object.Name == "audit" || d.Object.Kind == KindSequence {
			t.Errorf("still drift: %s", d.Text)
		}
	}
	table.Object.Name = "people"
	if _, err := Adopt(in, []Drift{table}); err == nil {
		t.Error("something that is no drift was adopted")
	}
}

// On purpose, by an answer, what only production has goes; its rows are set aside.
func TestDriftIsDroppedOnPurpose(t *testing.T) {
	production, development, baseline := published(t, driftBase)
	load(t, production.conn, driftInProduction)
	load(t, development.conn, driftInDevelopment)
	plan := computed(t, publishInput(t, baseline, production, development, "drop:audit", "drop:people.hot_fix"))
	for _, d := range plan.Drift {
		if d.Object.Name == "audit" || d.Object.Sub == "hot_fix" {
			t.Errorf("still drift: %s", d.Text)
		}
	}
	if err := execute(t.Context(), production.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if got := show(t, production.conn, "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND (table_name = 'audit' OR column_name = 'hot_fix')"); got != "0" {
		t.Errorf("%s columns are still there", got)
	}
	if got := show(t, production.conn, "SELECT count(*) FROM pg_class WHERE relnamespace = '"+TombstoneSchema+"'::regnamespace AND relkind = 'r'"); got != "2" {
		t.Errorf("%s tables are set aside", got)
	}
}

// What development dropped while production built on it is a conflict that a person settles.
func TestDriftOnSomethingThatGoesIsAProblem(t *testing.T) {
	production, development, baseline := published(t, driftBase)
	load(t, production.conn, "CREATE VIEW mine AS SELECT note FROM users")
	load(t, development.conn, "ALTER TABLE users DROP note")
	plan, err := Compute(publishInput(t, baseline, production, development))
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Problems) != 1 || plan.Problems[0].Object.Name != "mine" || !strings.Contains(plan.Problems[0].Reason, "drop:public.mine") {
		t.Errorf("problems: %v", plan.Problems)
	}
	if _, err := Compute(publishInput(t, baseline, production, development, "drop:mine")); err != nil {
		t.Error(fmt.Sprint(err))
	}
}
