package publish

import (
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// A check, a default and a conversion are users' code: in a plan they run with the owner's rights, whoever would like to have others.
func TestUsersCodeNeverRunsAsTheAdministrator(t *testing.T) {
	code := `CREATE TABLE seen (who text); CREATE FUNCTION spy(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (session_user); RESET ROLE; INSERT INTO public.seen VALUES (current_user); RETURN true; END';
		CREATE TABLE t (id int%s); `
	production := newBase(t, strings.ReplaceAll(code, "%s", "")+"INSERT INTO t VALUES (1)")
	development := newBase(t, strings.ReplaceAll(code, "%s", ", CONSTRAINT c CHECK (spy(id))"))
	plan := planned(t, production, development)
	r := rehearse(t, Rehearsal{Plan: plan, Copy: production.target(t)})
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	if who := pgtest.Value[string](t, production.admin, "SELECT string_agg(DISTINCT who, ' ') FROM seen"); who != pgtest.Owner {
		t.Errorf("users' code ran as %s", who)
	}
}

func TestExtensionIsMadeByTheAdministratorWhereTheCallerNamesIt(t *testing.T) {
	if !pgtest.Installation(t).HasLibrary("pg_stat_statements") {
		t.Skip("this installation has no pg_stat_statements")
	}
	production, development := newBase(t, "CREATE TABLE t (id int)"), newBase(t, "CREATE TABLE t (id int, note text)")
	development.exec(t, "CREATE EXTENSION pg_stat_statements SCHEMA public", development.admin)
	plan := planned(t, production, development)
	before := production.dump(t)
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)})
	if holdfast.KindOf(err) != holdfast.NotAllowed || out.State != Compensated {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), before)
	out, err = Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Settings: Settings{Extensions: []string{"pg_stat_statements"}}})
	if err != nil || out.State != Published || len(out.Differences) > 0 {
		t.Fatalf("%+v, %v\n%s", out, err, describe(plan))
	}
	mustEqual(t, production.dump(t), development.dump(t))
}

// The server ends an autovacuum only for somebody who waits for a second. We never wait for so long, so we ask.
func TestAutovacuumGivesWay(t *testing.T) {
	s := pgtest.New(t, pgtest.Parameter("autovacuum_naptime", "1s"), pgtest.Parameter("autovacuum_vacuum_cost_delay", "100ms"), pgtest.Parameter("autovacuum_vacuum_cost_limit", "1"))
	db := s.Database(t)
	b := &base{db, db.ConnectOwner(t), db.Connect(t)}
	b.exec(t, "GRANT USAGE, CREATE ON SCHEMA public TO "+pgtest.Owner, b.admin)
	b.exec(t, "CREATE TABLE t (id int, filler text) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0); INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i; UPDATE t SET id = id + 1", b.owner)
	plan := planned(t, b, newBase(t, "CREATE TABLE t (id int, filler text, more int) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)"))
	eventually(t, "an autovacuum of the table", func() bool {
		return pgtest.Value[bool](t, b.admin, "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 't'::regclass AND phase = 'scanning heap')")
	})
	told := &events{}
	out, err := Apply(t.Context(), Order{Plan: plan, Target: b.target(t), Progress: told.tell})
	if err != nil || out.State != Published {
		t.Fatalf("%+v, %v", out, err)
	}
	if len(told.of(EventEnded)) == 0 {
		t.Error("no autovacuum was asked to give way")
	}
}
