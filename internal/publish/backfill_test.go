package publish

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

func TestBackfillFillsEveryRowByKeyOrByPage(t *testing.T) {
	db := newBase(t, `CREATE TABLE keyed (a int, b text, old int, new text, PRIMARY KEY (a, b)); INSERT INTO keyed SELECT i % 10, 'k' || i, i FROM generate_series(1, 3000) i;
		CREATE TABLE plain (old int, new text); INSERT INTO plain SELECT i FROM generate_series(1, 3000) i;
		CREATE TABLE none (id int PRIMARY KEY, new text)`)
	for table, key := range map[string][]string{"keyed": {"a", "b"}, "plain": nil, "none": {"id"}} {
		set, where := `new = 'v' || old`, "new IS NULL"
		if table == "none" {
			set, where = "new = ''", ""
		}
		batches := 0
		p, err := Backfill{Schema: "public", Table: table, Key: key, Set: set, Where: where, BatchRows: 7, Share: 1, BatchTime: Duration(time.Millisecond)}.Run(t.Context(), db.owner, db.target(t).Administrator, time.Second, nil, func(BackfillProgress) error {
			batches++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if table == "none" {
			continue
		}
		if p.Updated != 3000 || batches < 3 {
			t.Errorf("%s: %+v in %d batches", table, p, batches)
		}
		if n := pgtest.Value[int](t, db.admin, "SELECT count(*)::int FROM "+table+" WHERE new = 'v' || old"); n != 3000 {
			t.Errorf("%s: %d rows are filled", table, n)
		}
	}
}

func TestBackfillGoesOnWhereItWas(t *testing.T) {
	db := newBase(t, "CREATE TABLE big (id bigint PRIMARY KEY, n int DEFAULT 0); INSERT INTO big SELECT i FROM generate_series(1, 1000) i")
	b := Backfill{Schema: "public", Table: "big", Key: []string{"id"}, Set: "n = n + 1", BatchRows: 100, Share: 1, BatchTime: Duration(time.Hour)}
	stop := errors.New("stop")
	var last BackfillProgress
	_, err := b.Run(t.Context(), db.owner, db.target(t).Administrator, time.Second, nil, func(p BackfillProgress) error {
		if last = p; p.Scanned >= 300 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := b.Run(t.Context(), db.owner, db.target(t).Administrator, time.Second, last.Cursor, func(BackfillProgress) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, db.admin, "SELECT count(*)::int FROM big WHERE n = 1"); n != 1000 {
		t.Errorf("%d rows were written exactly once", n)
	}
}

// Somebody holds a row: the batch waits no longer than the lock timeout, comes again, and nobody queues behind it.
func TestBackfillIsPatientWithLockedRows(t *testing.T) {
	db := newBase(t, "CREATE TABLE big (id bigint PRIMARY KEY, n int); INSERT INTO big SELECT i FROM generate_series(1, 100) i")
	other := db.ConnectOwner(t)
	db.exec(t, "BEGIN; UPDATE big SET n = 0 WHERE id = 50", other)
	done := make(chan error)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		_, err := Backfill{Schema: "public", Table: "big", Key: []string{"id"}, Set: "n = 1", BatchRows: 1000}.Run(ctx, db.owner, db.target(t).Administrator, 20*time.Millisecond, nil, func(BackfillProgress) error { return nil })
		done <- err
	}()
	eventually(t, "the batch is refused the row", func() bool {
		return pgtest.Value[int](t, db.admin, "SELECT xact_rollback::int FROM pg_stat_database WHERE datname = current_database()") > 0
	})
	db.exec(t, "COMMIT", other)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, db.admin, "SELECT count(*)::int FROM big WHERE n = 1"); n != 100 {
		t.Errorf("%d rows are filled", n)
	}
}

// A column gets another type without the table being locked for longer than a moment: a new column, a trigger for what is written
// meanwhile, batches for what is there, and the switch. The process dies in the middle of the batches.
func TestBackfillOfAPlanGoesOnAfterACrash(t *testing.T) {
	structure := "CREATE TABLE big (id bigint PRIMARY KEY, n text%s); CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.m := NEW.n::bigint; RETURN NEW; END'; %s"
	trigger := "CREATE TRIGGER follow BEFORE INSERT OR UPDATE OF n ON big FOR EACH ROW EXECUTE FUNCTION follow()"
	production := newBase(t, fmt.Sprintf(structure, "", "")+"INSERT INTO big SELECT i, i FROM generate_series(1, 5000) i")
	development := newBase(t, fmt.Sprintf(structure, ", m bigint", trigger))
	plan := planned(t, production, development)
	address := schema.Address{Kind: schema.KindColumn, Schema: "public", Name: "big", Sub: "m"}
	plan.Statements = append(plan.Statements, schema.Statement{SQL: "UPDATE public.big SET m = n::bigint WHERE m IS NULL", Object: address, Description: "fill m", Repeat: true, Group: 1000})
	fill := Backfill{Schema: "public", Table: "big", Key: []string{"id"}, Set: "m = n::bigint", Where: "m IS NULL", BatchRows: 500, Share: 1, BatchTime: Duration(time.Microsecond)}
	journal := fileJournal{filepath.Join(t.TempDir(), "journal")}
	order := Order{Plan: plan, Target: production.target(t), Journal: journal, Backfills: map[int]Backfill{len(plan.Statements) - 1: fill}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	order.Progress = func(e Event) {
		if e.Kind == EventProgress && e.Done >= 500 {
			cancel()
		}
	}
	if out, err := Apply(ctx, order); err == nil || out.State != Interrupted {
		t.Fatalf("%+v, %v", out, err)
	}
	filled := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM big WHERE m IS NOT NULL")
	if filled == 0 || filled == 5000 {
		t.Fatalf("%d rows were filled before the crash", filled)
	}
	order.Progress = nil
	out, err := Resume(t.Context(), order, journal.unfinished(t), Forward)
	if err != nil || out.State != Published {
		t.Fatalf("%+v, %v", out, err)
	}
	if rows := out.Statements[0].Rows; rows != int64(5000-filled) {
		t.Errorf("%d rows were filled after the crash, %d before", rows, filled)
	}
	production.exec(t, "INSERT INTO big VALUES (6000, '7')", production.owner)
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM big WHERE m = n::bigint"); n != 5001 {
		t.Errorf("%d rows are filled", n)
	}
	mustEqual(t, production.dump(t), development.dump(t))
}

func TestQuietBackfillFiresNoTrigger(t *testing.T) {
	db := newBase(t, `CREATE TABLE big (id int PRIMARY KEY, n int, changed int DEFAULT 0); INSERT INTO big SELECT i FROM generate_series(1, 100) i;
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changed := 1; RETURN NEW; END'; CREATE TRIGGER note BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION note()`)
	_, err := Backfill{Schema: "public", Table: "big", Key: []string{"id"}, Set: "n = t.id", Quiet: true}.Run(t.Context(), db.owner, db.target(t).Administrator, time.Second, nil, func(BackfillProgress) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, db.admin, "SELECT count(*)::int FROM big WHERE n = id AND changed = 0"); n != 100 {
		t.Errorf("%d rows are filled and otherwise unchanged", n)
	}
	if pgtest.Value[bool](t, db.admin, "SELECT has_parameter_privilege('"+pgtest.Owner+"', 'session_replication_role', 'SET')") {
		t.Error("the owner may still switch triggers off")
	}
}
