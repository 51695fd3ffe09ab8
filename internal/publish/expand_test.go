package publish

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

// expansionOrder is an expansion of two columns of a table with 5,000 rows, as an order.
func expansionOrder(t *testing.T) (production *base, in schema.Input, e *schema.Expansion, o Order) {
	t.Helper()
	structure := "CREATE TABLE big (id bigint PRIMARY KEY, fullname text NOT NULL, amount int NOT NULL DEFAULT 1); "
	production = newBase(t, structure+"INSERT INTO big SELECT i, 'user ' || i, i FROM generate_series(1, 5000) i; ANALYZE big")
	development := newBase(t, structure)
	if _, err := schema.MarkEpoch(t.Context(), development.owner); err != nil {
		t.Fatal(err)
	}
	in.Baseline = development.read(t)
	development.exec(t, "ALTER TABLE big RENAME fullname TO display_name; ALTER TABLE big ALTER amount TYPE bigint", development.owner)
	in.Development, in.Production = development.read(t), production.read(t)
	e, err := schema.Expand(in, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Columns) != 2 {
		t.Fatalf("expanded: %+v, %v", e.Columns, e.Ordinary)
	}
	o = Order{Plan: e.Whole(), Target: production.target(t), Journal: fileJournal{filepath.Join(t.TempDir(), "journal")}, Backfills: map[int]Backfill{}, Undo: e.Stop()}
	for i, b := range e.Fills() {
		o.Backfills[i] = Backfill{Schema: b.Table.Schema, Table: b.Table.Name, Key: b.Key, Set: b.Assignment(), Where: b.Missing(), Quiet: true, BatchRows: 500, Share: 1, BatchTime: Duration(time.Microsecond)}
	}
	return production, in, e, o
}

// interrupted applies an order until its second backfill is in the middle.
func interrupted(t *testing.T, production *base, o Order) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(e Event) {
		if e.Kind == EventProgress && e.Done >= 500 {
			cancel()
		}
	}
	if out, err := Apply(ctx, o); err == nil || out.State != Interrupted {
		t.Fatalf("%+v, %v", out, err)
	}
	// Clients go on while nobody fills.
	production.exec(t, "INSERT INTO big (id, fullname, amount) VALUES (7001, 'old', 7); INSERT INTO big (id, display_name) VALUES (7002, 'new'); UPDATE big SET display_name = 'changed' WHERE id = 4999; UPDATE big SET fullname = 'changed', amount = 8 WHERE id = 2", production.owner)
}

// The process dies in the middle of the filling, clients of both generations write meanwhile, and the resumed apply finds every value.
func TestAnExpansionGoesOnAfterACrash(t *testing.T) {
	production, _, _, o := expansionOrder(t)
	interrupted(t, production, o)
	filled := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM big WHERE display_name IS NOT NULL")
	if filled == 0 || filled >= 5000 {
		t.Fatalf("%d rows were filled before the crash", filled)
	}
	out, err := Resume(t.Context(), o, o.Journal.(fileJournal).unfinished(t), Forward)
	if err != nil || out.State != Published {
		t.Fatalf("%+v, %v", out, err)
	}
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM big WHERE display_name = fullname AND _holdfast_new_amount = amount"); n != 5002 {
		t.Errorf("%d of 5002 rows are alike", n)
	}
	if pgtest.Value[bool](t, production.admin, "SELECT has_parameter_privilege('"+pgtest.Owner+"', 'session_replication_role', 'SET')") {
		t.Error("the owner may still switch triggers off")
	}
}

// Taken back in the middle, nothing of it is left, and what new code wrote is there.
func TestAnExpansionIsCompensated(t *testing.T) {
	production, _, _, o := expansionOrder(t)
	before := production.dump(t)
	interrupted(t, production, o)
	if out, err := Resume(t.Context(), o, o.Journal.(fileJournal).unfinished(t), Back); err == nil || out.State != Compensated {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), before)
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM pg_trigger WHERE tgname LIKE '\\_holdfast%'"); n != 0 {
		t.Errorf("%d triggers are left", n)
	}
	production.exec(t, "INSERT INTO big VALUES (7003, 'x', 1)", production.owner)
	if got := pgtest.Value[string](t, production.admin, "SELECT string_agg(fullname, ' ' ORDER BY id) FROM big WHERE id IN (2, 4999, 7001, 7002)"); got != "changed changed old new" {
		t.Errorf("rows %s", got)
	}
}

// A switch that fails at its end leaves what the expansion made, in which code of both generations still writes.
func TestAFailedSwitchLeavesTheExpansion(t *testing.T) {
	production, in, e, o := expansionOrder(t)
	if out, err := Apply(t.Context(), o); err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	before := production.dump(t)
	in.Production = production.read(t)
	plan, err := e.Switch(in)
	if err != nil {
		t.Fatal(err)
	}
	plan.From = in.Production.Fingerprint()
	plan.Statements = append(plan.Statements, schema.Statement{SQL: "SELECT 1 / 0", Description: "fail", Transactional: true, Group: 1000})
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Journal: fileJournal{filepath.Join(t.TempDir(), "journal")}, Undo: e.SwitchBack()})
	if err == nil || out.State != Compensated {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), before)
	production.exec(t, "INSERT INTO big (id, fullname, amount) VALUES (7001, 'old', 7); INSERT INTO big (id, display_name, amount) VALUES (7002, 'new', 8); UPDATE big SET amount = 9 WHERE id = 7001", production.owner)
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM big WHERE display_name = fullname AND _holdfast_new_amount = amount"); n != 5002 {
		t.Errorf("%d of 5002 rows are alike", n)
	}
}
