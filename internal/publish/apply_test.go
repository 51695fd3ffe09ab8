package publish

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

func TestApplyLeadsToDevelopmentsStructure(t *testing.T) {
	production, development, plan := shop(t)
	told := &events{}
	journal := fileJournal{filepath.Join(t.TempDir(), "journal")}
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Journal: journal, Progress: told.tell, Expected: development.dump(t)})
	if err != nil {
		t.Fatalf("%v\n%s", err, describe(plan))
	}
	if out.State != Published || len(out.Differences) > 0 || len(out.Statements) != len(plan.Statements) {
		t.Errorf("outcome %+v", out)
	}
	mustEqual(t, production.dump(t), development.dump(t))
	production.exec(t, newCode, production.owner)
	if n := len(told.of(EventDone)); n != len(plan.Statements) {
		t.Errorf("%d statements were told of, want %d", n, len(plan.Statements))
	}
	if state, done := journal.unfinished(t).finished(); !done || state != Published {
		t.Errorf("the journal ends with %q", state)
	}
	if rows := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM customer"); rows != 201 {
		t.Errorf("%d customers", rows)
	}
	locked := false
	for _, m := range out.Statements {
		for _, l := range m.Locks {
			locked = locked || l.Table == "public.customer" && l.Mode == "ACCESS EXCLUSIVE"
		}
	}
	if !locked {
		t.Error("no statement told of its lock")
	}
}

func TestApplyIsRefusedWhenAnythingChangedSince(t *testing.T) {
	production, development, plan := shop(t)
	order := Order{Plan: plan, Target: production.target(t), Unchanged: []Unchanged{{"development", development.target(t).Administrator, development.read(t).Fingerprint()}}}
	before := production.dump(t)
	development.exec(t, "CREATE TABLE later (id int)", development.owner)
	out, err := Apply(t.Context(), order)
	if holdfast.KindOf(err) != holdfast.Conflict || out.State != Refused || !strings.Contains(err.Error(), "development has changed") {
		t.Errorf("%v, %v", out, err)
	}
	development.exec(t, "DROP TABLE later", development.owner)
	production.exec(t, "ALTER TABLE orders ADD COLUMN hot text", production.owner)
	out, err = Apply(t.Context(), order)
	if holdfast.KindOf(err) != holdfast.Conflict || out.State != Refused {
		t.Errorf("%v, %v", out, err)
	}
	production.exec(t, "ALTER TABLE orders DROP COLUMN hot", production.owner)
	mustEqual(t, production.dump(t), before)
}

func TestTwoAppliesNeverRunAtTheSameTime(t *testing.T) {
	production, _, plan := shop(t)
	production.exec(t, "SELECT pg_advisory_lock("+lockApply+")", production.owner)
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)})
	if holdfast.KindOf(err) != holdfast.Busy || out.State != Refused {
		t.Errorf("%v, %v", out, err)
	}
}

// Rows that came after the rehearsal break a constraint: production is as it was before.
func TestFailureInTheMiddleIsCompensated(t *testing.T) {
	production, _, plan := shop(t)
	production.exec(t, "INSERT INTO orders (customer_id, amount) VALUES (999999, 1)", production.owner)
	before, rows := production.dump(t), pgtest.Value[string](t, production.admin, "SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customer c")
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)})
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "orders_customer") || out.State != Compensated {
		t.Fatalf("%+v, %v\n%s", out, err, describe(plan))
	}
	mustEqual(t, production.dump(t), before)
	production.exec(t, oldCode, production.owner)
	if now := pgtest.Value[string](t, production.admin, "SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customer c WHERE name <> 'old'"); now != rows {
		t.Error("rows are not what they were")
	}
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM pg_index WHERE NOT indisvalid"); n > 0 {
		t.Errorf("%d invalid indexes", n)
	}
}

// Nobody can add what others made while the plan ran to the list of things that go.
func TestCompensationLeavesAloneWhatOthersMade(t *testing.T) {
	production, _, plan := shop(t)
	production.exec(t, "INSERT INTO orders (customer_id, amount) VALUES (999999, 1)", production.owner)
	made := false
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Progress: func(e Event) {
		if e.Kind == EventCommitted && !made {
			made = true
			production.exec(t, "CREATE TABLE theirs (id int PRIMARY KEY); INSERT INTO theirs VALUES (1)", production.owner)
		}
	}})
	if err == nil || out.State != Compensated || len(out.Kept) == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM theirs"); n != 1 {
		t.Errorf("%d rows of theirs", n)
	}
	production.exec(t, oldCode, production.owner)
}

func TestLockNeverObtainedNamesWhoHoldsIt(t *testing.T) {
	production, _, plan := shop(t)
	before := production.dump(t)
	reader := production.ConnectOwner(t)
	production.exec(t, "SET application_name = 'report'; BEGIN; SELECT * FROM orders WHERE note = 'a secret'", reader)
	told := &events{}
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Progress: told.tell, Settings: Settings{LockPatience: time.Second}})
	if out.State != Refused || holdfast.KindOf(err) != holdfast.Timeout || !strings.Contains(err.Error(), "report") || strings.Contains(err.Error(), "secret") {
		t.Fatalf("%+v, %v", out, err)
	}
	if len(told.of(EventBlocked)) == 0 || len(told.of(EventRetry)) < 2 || len(told.of(EventStarted)) > 0 {
		t.Errorf("%d times blocked, %d times tried again, %d statements", len(told.of(EventBlocked)), len(told.of(EventRetry)), len(told.of(EventStarted)))
	}
	mustEqual(t, production.dump(t), before)
}

// The lock was free when the plan began. The way back is patient: it waits until the one who is in the way has gone.
func TestLockNotObtainedInTheMiddleIsCompensated(t *testing.T) {
	production, _, plan := shop(t)
	before := production.dump(t)
	reader := production.ConnectOwner(t)
	refused := 0
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Settings: Settings{LockPatience: time.Second}, Progress: func(e Event) {
		switch {
		case e.Kind == EventCommitted && e.Step == 3 && e.Direction == Forward:
			production.exec(t, "BEGIN; SELECT * FROM orders", reader)
		case e.Kind == EventRetry && e.Direction == Back:
			if refused++; refused == 2 {
				production.exec(t, "COMMIT", reader)
			}
		}
	}})
	if out.State != Compensated || holdfast.KindOf(err) != holdfast.Timeout || refused < 2 {
		t.Fatalf("%+v, %v, refused %d times on the way back", out, err, refused)
	}
	mustEqual(t, production.dump(t), before)
}

func TestValuesAreSetAsideInTheTransactionThatDropsThem(t *testing.T) {
	_, _, plan := shop(t)
	groups := map[int]string{}
	for _, s := range plan.Statements {
		groups[s.Group] += s.SQL + "; "
	}
	for _, sql := range groups {
		if strings.Contains(sql, "AS SELECT") && (!strings.Contains(sql, "LOCK TABLE") || !strings.Contains(sql, "DROP COLUMN")) {
			t.Errorf("what is written meanwhile would be lost: %s", sql)
		}
	}
}

// An owner's settings must not change what a plan's statements mean.
func TestOwnersSettingsChangeNothing(t *testing.T) {
	production, development, _ := shop(t)
	for _, b := range []*base{production, development} {
		name := holdfast.QuoteIdentifier(b.Name)
		b.exec(t, "ALTER DATABASE "+name+" SET default_transaction_read_only = on; ALTER DATABASE "+name+" SET search_path = nowhere", b.admin)
	}
	plan := planned(t, production, development, "drop:public.customer.fax=yes")
	if out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)}); err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	name := holdfast.QuoteIdentifier(production.Name)
	production.exec(t, "ALTER DATABASE "+name+" RESET ALL; ALTER DATABASE "+holdfast.QuoteIdentifier(development.Name)+" RESET ALL", production.admin)
	mustEqual(t, production.dump(t), development.dump(t))
}

// What a failed plan set aside would be in the way of the next attempt.
func TestCompensatedPlanCanBeAppliedAgain(t *testing.T) {
	production, development, plan := shop(t)
	fails := *plan
	fails.Statements = append(slices.Clip(plan.Statements), schema.Statement{SQL: "SELECT 1 / 0", Description: "fail", Transactional: true, Group: 1000})
	for range 2 {
		out, err := Apply(t.Context(), Order{Plan: &fails, Target: production.target(t)})
		if err == nil || out.State != Compensated || len(out.Statements) != len(plan.Statements) {
			t.Fatalf("%+v, %v", out, err)
		}
		if n := pgtest.Value[int](t, production.admin, "SELECT count(fax)::int FROM customer"); n != 200 {
			t.Errorf("%d values of the dropped column came back", n)
		}
	}
	if out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)}); err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), development.dump(t))
}

// New tables that refer to each other cannot be dropped one after the other.
func TestNewTablesInACircleAreTakenBack(t *testing.T) {
	production := newBase(t, "CREATE TABLE t (id int PRIMARY KEY)")
	development := newBase(t, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b")
	plan := planned(t, production, development)
	before := production.dump(t)
	plan.Statements = append(plan.Statements, schema.Statement{SQL: "SELECT 1 / 0", Description: "fail", Transactional: true, Group: 1000})
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t)})
	if err == nil || out.State != Compensated {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), before)
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace('"+schema.TombstoneSchema+"')"); n > 0 {
		t.Errorf("%d tables are set aside", n)
	}
}
