package publish

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

// rehearse runs a rehearsal on a copy of the shop.
func rehearse(t *testing.T, h Rehearsal) *Report {
	t.Helper()
	r, err := Rehearse(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRehearsalReportsWhatProductionWillFeel(t *testing.T) {
	production, development, plan := shop(t)
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t), Development: func(context.Context) (string, error) { return development.dump(t), nil },
		Workload: []Query{
			{SQL: "SELECT fax FROM customer WHERE id = $1", Calls: 10, CallsPerDay: 5000},
			{SQL: "SELECT * FROM orders WHERE customer_id = $1 LIMIT $2", Calls: 10, CallsPerDay: 7, TotalTime: Duration(time.Second)},
			{SQL: "SELECT * FROM orders WHERE note = $1", Calls: 1, CallsPerDay: 1},
			{SQL: "INSERT INTO customer (name) VALUES ($1)", Calls: 1, CallsPerDay: 1},
			{SQL: "SELECT now() - interval $1", Calls: 1, CallsPerDay: 1},
			{SQL: "SELECT gone FROM nowhere", Calls: 1, CallsPerDay: 1},
			{SQL: "BEGIN", Calls: 1},
		}})
	if r.Error != "" || len(r.Leftovers) > 0 || len(r.KeptDrift) > 0 {
		t.Fatalf("error %q, leftovers %v", r.Error, r.Leftovers)
	}
	for _, s := range r.Statements {
		if !s.Ran || s.Measure.Time <= 0 {
			t.Errorf("%s: ran %v, %v", s.SQL, s.Ran, s.Measure.Time)
		}
	}
	if len(r.Broken) != 1 || r.Broken[0].Code != "42703" || r.Broken[0].CallsPerDay != 5000 || len(r.Untried) != 1 || r.Queries != 5 {
		t.Errorf("broken %+v, untried %+v, %d queries", r.Broken, r.Untried, r.Queries)
	}
	i := slices.IndexFunc(r.Performance, func(c QueryChange) bool { return strings.Contains(c.SQL, "customer_id") })
	if i < 0 || !r.Performance[i].Executed || !strings.Contains(r.Performance[i].ShapeAfter, "orders_customer_id") || r.Performance[i].Regressed {
		t.Errorf("performance %+v", r.Performance)
	}
	if len(r.Unused) != 0 {
		t.Errorf("unused indexes %v", r.Unused)
	}
	for _, table := range r.Tables {
		if table.RowsBefore != table.RowsAfter || len(table.Changed) > 0 {
			t.Errorf("%+v", table)
		}
	}
	if len(r.Tables) != 2 || len(r.NewColumns) != 1 || r.NewColumns[0].Rows != 200 || r.NewColumns[0].Distinct != 1 || r.NewColumns[0].DefaultShare != 1 {
		t.Errorf("tables %+v, new columns %+v", r.Tables, r.NewColumns)
	}
	i = slices.IndexFunc(r.Blocked, func(b BlockedTable) bool { return b.Table == "public.customer" })
	if i < 0 || r.Blocked[i].Reads <= 0 || r.Blocked[i].Writes < r.Blocked[i].Reads || r.WALBytes <= 0 || r.DiskBytes <= 0 {
		t.Errorf("blocked %+v, WAL %d, disk %d", r.Blocked, r.WALBytes, r.DiskBytes)
	}
	if verdict, _ := r.Gate(); verdict != NeedsAnswer {
		t.Errorf("verdict %s", verdict)
	}
	if verdict, open := r.Gate("lossy", "breaking"); verdict != Ready {
		t.Errorf("verdict %s: %+v", verdict, open)
	}
	if len(r.StatementTimeouts()) != len(plan.Statements) || r.StatementTimeouts()[0] < 10*time.Second {
		t.Errorf("timeouts %v", r.StatementTimeouts())
	}
	mustEqual(t, r.Structure, development.dump(t))
}

func TestRehearsalSeesRewritesAndScans(t *testing.T) {
	production := newBase(t, "CREATE TABLE big (id int PRIMARY KEY, n int, word text, full_name text); INSERT INTO big SELECT i, i, 'w', 'n' || i FROM generate_series(1, 5000) i")
	development := newBase(t, "CREATE TABLE big (id int PRIMARY KEY, n bigint, word varchar(5), full_name text NOT NULL); CREATE INDEX big_full_name ON big (full_name)")
	plan := planned(t, production, development)
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t), Development: func(context.Context) (string, error) { return development.dump(t), nil },
		Workload: []Query{{SQL: "SELECT * FROM big WHERE id = $1"}}})
	var rewritten []string
	scans := map[string]int64{}
	for _, s := range r.Statements {
		rewritten = append(rewritten, s.Measure.Rewritten...)
		for _, word := range []string{"VALIDATE", "CREATE INDEX", "TYPE bigint"} {
			if strings.Contains(s.SQL, word) {
				scans[word] += s.Measure.RowsScanned
			}
		}
	}
	if !slices.Contains(rewritten, "public.big") {
		t.Errorf("rewritten %v", rewritten)
	}
	for word, n := range scans {
		if n < 5000 {
			t.Errorf("%s scanned %d rows", word, n)
		}
	}
	if len(scans) != 3 {
		t.Errorf("scans %v\n%s", scans, describe(plan))
	}
	if !slices.Equal(r.Unused, []string{"big_full_name"}) {
		t.Errorf("unused %v", r.Unused)
	}
	if len(r.Leftovers) > 0 || r.Error != "" {
		t.Errorf("%v %s", r.Leftovers, r.Error)
	}
}

func TestRehearsalIsBlockedByRows(t *testing.T) {
	production, _, plan := shop(t)
	production.exec(t, "INSERT INTO orders (customer_id, amount) VALUES (999999, -1)", production.owner)
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t)})
	verdict, _ := r.Gate("lossy", "breaking")
	if verdict != Blocked || r.Error == "" {
		t.Fatalf("verdict %s, error %q", verdict, r.Error)
	}
	i := slices.IndexFunc(r.Findings, func(f schema.Finding) bool {
		return f.Check.Kind == schema.CheckForeignKey && f.Verdict == schema.Blocks
	})
	if i < 0 || r.Findings[i].Count != 1 || !strings.Contains(r.Findings[i].Rows[0], "1001") {
		t.Errorf("findings %+v", r.Findings)
	}
}

// A dropped index makes a statement read the whole table.
func TestRehearsalFlagsARegression(t *testing.T) {
	table := "CREATE TABLE item (id int PRIMARY KEY, code text NOT NULL, filler text);"
	production := newBase(t, table+"CREATE INDEX item_code ON item (code); INSERT INTO item SELECT i, 'c' || i, repeat('x', 200) FROM generate_series(1, 20000) i")
	plan := planned(t, production, newBase(t, table))
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t), Workload: []Query{{SQL: "SELECT * FROM item WHERE code = $1"}, {SQL: "SELECT * FROM item WHERE id = ANY ($1)"}}})
	if len(r.Performance) != 2 || !r.Performance[0].Executed || !r.Performance[0].Regressed || r.Performance[0].BuffersAfter < 10*r.Performance[0].BuffersBefore || r.Performance[1].Regressed {
		t.Errorf("%+v", r.Performance)
	}
}

// A function that is not known only to read might send a message: its statement is explained and not run.
func TestRehearsalRunsNothingThatMightDoMoreThanRead(t *testing.T) {
	structure := "CREATE TABLE t (id int PRIMARY KEY%s); CREATE FUNCTION send(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; CREATE VIEW hidden AS SELECT send(id) AS sent FROM t;"
	production := newBase(t, strings.ReplaceAll(structure, "%s", ""))
	development := newBase(t, strings.ReplaceAll(structure, "%s", ", n int"))
	r := rehearse(t, Rehearsal{Plan: planned(t, production, development), Copy: production.target(t), Workload: []Query{{SQL: "SELECT * FROM hidden"}, {SQL: "SELECT send($1)"}, {SQL: "SELECT pg_sleep(1)"}, {SQL: "SELECT count(*) FROM t"}}})
	var ran []string
	for _, c := range r.Performance {
		if c.Executed {
			ran = append(ran, c.SQL)
		}
	}
	if !slices.Equal(ran, []string{"SELECT count(*) FROM t"}) {
		t.Errorf("ran %v", ran)
	}
}

// Rows must not leave without a word: here a trigger of production's own deletes while the plan fills a column.
func TestRehearsalNoticesLostRowsAndSequencesThatFellBehind(t *testing.T) {
	before := `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
		CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM b WHERE id = NEW.id; UPDATE b SET v = ''other'' WHERE id = NEW.id + 1; RETURN NEW; END';
		CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f();`
	production := newBase(t, "SET search_path = public; "+strings.ReplaceAll(before, "FROM b", "FROM public.b")+"INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'x'), (2, 'y')")
	development := newBase(t, strings.ReplaceAll(strings.ReplaceAll(before, "FROM b", "FROM public.b"), "a (id int PRIMARY KEY, v text)", "a (id int PRIMARY KEY, v text, w text NOT NULL)"))
	for _, b := range []*base{production, development} {
		b.exec(t, "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.b WHERE id = NEW.id; UPDATE public.b SET v = ''other'' WHERE id = NEW.id + 1; RETURN NEW; END'", b.owner)
	}
	plan := planned(t, production, development, "fill:a.w='?'")
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t)})
	verdict, reasons := r.Gate("lossy", "breaking")
	if verdict != Blocked || !slices.ContainsFunc(reasons, func(reason Reason) bool {
		return reason.Code == "rows" && strings.Contains(reason.Text, "public.b had 2 rows and has 1")
	}) {
		t.Errorf("%s: %+v\n%s", verdict, reasons, describe(plan))
	}
}

func TestSequenceBehindItsColumnIsReported(t *testing.T) {
	production := newBase(t, "CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s VALUES (7); CREATE SEQUENCE q; SELECT setval('q', 3)")
	r := &Report{Sequences: []SequenceBehind{}}
	if err := r.noteBehind(t.Context(), production.owner); err != nil || len(r.behind) > 0 {
		t.Fatal(r.behind, err)
	}
	production.exec(t, "ALTER SEQUENCE q OWNED BY s.id", production.owner)
	if err := r.sequences(t.Context(), production.owner); err != nil {
		t.Fatal(err)
	}
	if len(r.Sequences) != 1 || r.Sequences[0].Next != 4 || r.Sequences[0].Highest != 7 {
		t.Errorf("%+v", r.Sequences)
	}
}

func TestWorkloadIsReadFromProduction(t *testing.T) {
	production, _, _ := shop(t)
	if _, err := ReadWorkload(t.Context(), production.admin, production.admin.Config().Database); err == nil {
		t.Error("a workload without pg_stat_statements")
	}
	if !pgtest.Installation(t).HasLibrary("pg_stat_statements") {
		t.Skip("this installation has no pg_stat_statements")
	}
	production.exec(t, "CREATE EXTENSION pg_stat_statements", production.admin)
	production.exec(t, "SELECT amount FROM orders WHERE id = 5", production.owner)
	production.exec(t, "SELECT count(*) FROM customer WHERE email = 'admin'", production.admin)
	queries, err := ReadWorkload(t.Context(), production.admin, production.admin.Config().Database)
	if err != nil {
		t.Fatal(err)
	}
	const read = "SELECT amount FROM orders WHERE id = $1"
	i := slices.IndexFunc(queries, func(q Query) bool { return q.SQL == read })
	if i < 0 || queries[i].Calls != 1 || queries[i].CallsPerDay <= 0 {
		t.Errorf("%+v", queries)
	}
	if slices.ContainsFunc(queries, func(q Query) bool { return strings.Contains(q.SQL, "WHERE email") }) {
		t.Error("the administrator's own statements are in the workload")
	}
	var owner string
	if err := production.owner.QueryRow(t.Context(), "SELECT current_user").Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if rest, err := ReadWorkload(t.Context(), production.admin, production.admin.Config().Database, owner); err != nil || slices.ContainsFunc(rest, func(q Query) bool { return q.SQL == read }) {
		t.Errorf("what a role ran that is left out: %+v, %v", rest, err)
	}
}
