package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

const expandBase = `CREATE TABLE users (id int PRIMARY KEY, fullname text NOT NULL DEFAULT 'nobody', amount int NOT NULL DEFAULT 1 CHECK (amount >= 0), touched int DEFAULT 0);
	CREATE INDEX users_name ON users (fullname); CREATE INDEX users_amount ON users (amount) WHERE amount > 5;
	CREATE VIEW rich AS SELECT fullname, amount FROM users WHERE amount > 5;
	CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'begin new.touched := old.touched + 1; return new; end';
	CREATE TRIGGER touching BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()`

const expandChange = `ALTER TABLE users RENAME fullname TO display_name; DROP VIEW rich; ALTER TABLE users ALTER amount TYPE bigint;
	CREATE VIEW rich AS SELECT display_name, amount FROM users WHERE amount > 5; ALTER TABLE users ADD born date; ALTER TABLE users ALTER display_name SET DEFAULT 'somebody'`

// expanding is a publish that goes through its phases.
type expanding struct {
	production, development *database
	in                      func() Input
	expansion               *Expansion
}

func expand(t *testing.T) expanding {
	t.Helper()
	e := expanding{}
	var baseline *Catalog
	e.production, e.development, baseline = published(t, expandBase)
	load(t, e.production.conn, "INSERT INTO users SELECT g, 'user ' || g, g FROM generate_series(1, 12) g")
	load(t, e.development.conn, expandChange)
	e.in = func() Input { return publishInput(t, baseline, e.production, e.development) }
	expansion, err := Expand(e.in(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(expansion.Columns) != 2 || len(expansion.Ordinary) != 0 {
		t.Fatalf("columns %+v, ordinary %v", expansion.Columns, expansion.Ordinary)
	}
	text, err := json.Marshal(expansion) // it is kept between its phases
	if err != nil {
		t.Fatal(err)
	}
	e.expansion = &Expansion{}
	if err := json.Unmarshal(text, e.expansion); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e expanding) run(t *testing.T, plan *Plan) {
	t.Helper()
	if err := plan.Ready(); err != nil {
		t.Fatal(err)
	}
	if len(plan.Drift) > 0 {
		t.Errorf("drift where there is none: %v", plan.Drift)
	}
	if err := execute(t.Context(), e.production.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
}

func (e expanding) fill(t *testing.T) {
	t.Helper()
	for _, b := range e.expansion.Backfills {
		b.Batch = 5
		var after []string
		total := int64(0)
		for {
			next, rows, err := b.Next(t.Context(), e.production.conn, after)
			if err != nil {
				t.Fatal(err)
			}
			total += rows
			if next == nil {
				break
			}
			after = next
		}
		if total < 12 {
			t.Errorf("%d rows of %s were filled", total, b.Column)
		}
	}
	plan := &Plan{Statements: slices.Clone(e.expansion.Build)}
	groupStatements(plan)
	e.run(t, plan)
}

// works writes and reads as code of one generation does: under the names and with the types that it knows.
func (e expanding) works(t *testing.T, phase, name string, id int) {
	t.Helper()
	statements := strings.NewReplacer("NAME", name, "ID", string(rune('0'+id/10))+string(rune('0'+id%10))).Replace(
		"INSERT INTO users (id, NAME, amount) VALUES (ID, 'new', 7); INSERT INTO users (id, NAME) VALUES (ID + 100, 'x'); UPDATE users SET NAME = 'changed', amount = amount + 1 WHERE id = ID; UPDATE users SET NAME = NAME || '!' WHERE id = 3")
	load(t, e.production.conn, statements)
	if got := show(t, e.production.conn, strings.NewReplacer("NAME", name, "ID", string(rune('0'+id/10))+string(rune('0'+id%10))).Replace("SELECT NAME, amount::int FROM users WHERE id = ID")); got != "changed|8" {
		t.Errorf("%s, %s: row %q", phase, name, got)
	}
}

// Between all phases code for the old and for the new structure works, each sees what the other wrote, and the end is development's
// structure with every row.
func TestOldAndNewCodeWorkBetweenThePhases(t *testing.T) {
	t.Parallel()
	e := expand(t)
	e.works(t, "before", "fullname", 30)
	e.run(t, e.expansion.Plan)
	e.works(t, "expanded", "fullname", 31)
	e.works(t, "expanded", "display_name", 32)
	touched := show(t, e.production.conn, "SELECT sum(touched) FROM users")
	e.fill(t)
	if now := show(t, e.production.conn, "SELECT sum(touched) FROM users"); now != touched {
		t.Errorf("filling fired the application's trigger: %s, before %s", now, touched)
	}
	e.works(t, "filled", "fullname", 33)
	e.works(t, "filled", "display_name", 34)
	plan, err := e.expansion.Switch(e.in())
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, plan)
	e.works(t, "switched", "fullname", 35)
	e.works(t, "switched", "display_name", 36)
	if differ := show(t, e.production.conn, "SELECT count(*) FROM users WHERE fullname IS DISTINCT FROM display_name OR amount <> _holdfast_old_amount"); differ != "0" {
		t.Errorf("%s rows differ between the old and the new columns", differ)
	}
	if got := show(t, e.production.conn, "SELECT pg_typeof(amount)::text, amount, display_name FROM users WHERE id = 3"); got != "bigint|3|user 3!!!!!!!" {
		t.Errorf("row %q", got)
	}
	if plan, err = e.expansion.Contract(e.in()); err != nil {
		t.Fatal(err)
	}
	e.run(t, plan)
	e.works(t, "contracted", "display_name", 37)
	if left := OracleEqual(dump(t, e.production.Database), e.development.structure(t)); len(left) > 0 {
		t.Errorf("leftovers: %v\n%s", left, plan.SQL())
	}
	if again := compute(t, e.production, e.development, Options{Tombstones: true}); !again.Empty() {
		t.Errorf("planning again is not empty: %s", again.SQL())
	}
	if rows := show(t, e.production.conn, "SELECT count(*), count(display_name) FROM users"); rows != "28|28" {
		t.Errorf("rows %s", rows)
	}
}

// Given up before the switch, nothing of it stays.
func TestAnExpansionIsGivenUp(t *testing.T) {
	t.Parallel()
	e := expand(t)
	structure := e.production.structure(t)
	e.run(t, e.expansion.Plan)
	e.works(t, "expanded", "display_name", 32)
	e.fill(t)
	for range 2 {
		e.run(t, &Plan{Statements: e.expansion.Abandon()})
	}
	if left := OracleEqual(dump(t, e.production.Database), structure); len(left) > 0 {
		t.Errorf("leftovers: %v", left)
	}
	e.works(t, "given up", "fullname", 31)
}

// Undone after the contraction, what was written under the new name comes back under the old one.
func TestAnExpansionIsUndone(t *testing.T) {
	t.Parallel()
	e := expand(t)
	before, structure := snapshot(t, e.production), e.production.structure(t)
	e.run(t, e.expansion.Plan)
	e.fill(t)
	for _, phase := range []func(Input) (*Plan, error){e.expansion.Switch, e.expansion.Contract} {
		plan, err := phase(e.in())
		if err != nil {
			t.Fatal(err)
		}
		e.run(t, plan)
	}
	e.works(t, "contracted", "display_name", 37)
	back, err := Revert(before, read(t, e.production.conn), Options{AllowLossy: true, Answers: maps.Clone(e.expansion.Undo)})
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, back)
	if left := OracleEqual(dump(t, e.production.Database), structure); len(left) > 0 {
		t.Errorf("leftovers: %v\n%s", left, back.SQL())
	}
	e.works(t, "undone", "fullname", 38)
	if got := show(t, e.production.conn, "SELECT fullname, amount FROM users WHERE id = 37"); got != "changed|8" {
		t.Errorf("row %q", got)
	}
}

// What cannot be expanded is named with its reason and carried in the ordinary way.
func TestWhatIsNotExpandedIsNamed(t *testing.T) {
	t.Parallel()
	production, development, baseline := published(t, `CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, g int GENERATED ALWAYS AS (id + 1) STORED); CREATE TABLE nokey (a int); CREATE TABLE empty (id int PRIMARY KEY, a int);
		CREATE TABLE p (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT`)
	load(t, production.conn, "INSERT INTO t VALUES (1, 1); INSERT INTO nokey VALUES (1); INSERT INTO p VALUES (1)")
	load(t, development.conn, "ALTER TABLE t RENAME u TO v; ALTER TABLE nokey ALTER a TYPE bigint; ALTER TABLE empty RENAME a TO b; ALTER TABLE p RENAME id TO key")
	e, err := Expand(publishInput(t, baseline, production, development), 1)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(e.Ordinary, "\n")
	for _, want := range []string{"public.t.v: the constraint t_u_key is built on it", "public.nokey.a: its table has no primary key", "public.empty.b: its table is small", "public.p.key: its table has partitions"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in:\n%s", want, said)
		}
	}
	if len(e.Columns) != 0 {
		t.Errorf("expanded: %+v", e.Columns)
	}
}
