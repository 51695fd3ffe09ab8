package platform

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

const (
	twoGenerations = `CREATE TABLE users (id int PRIMARY KEY, fullname text NOT NULL, amount int NOT NULL DEFAULT 1); CREATE INDEX users_fullname ON users (fullname); INSERT INTO users SELECT g, 'user ' || g, g FROM generate_series(1, 5000) g; ANALYZE users`
	oneGeneration  = `ALTER TABLE users RENAME fullname TO display_name; ALTER INDEX users_fullname RENAME TO users_display_name; ALTER TABLE users ALTER amount TYPE bigint; CREATE TABLE logins (id int PRIMARY KEY)`
)

// writes does what code that knows the column under a name does.
func writes(t *testing.T, conn *pgx.Conn, name string, id string) {
	t.Helper()
	pgtest.Exec(t, conn, strings.NewReplacer("NAME", name, "ID", id).Replace(`INSERT INTO users (id, NAME, amount) VALUES (ID, 'new', 7); UPDATE users SET NAME = 'changed', amount = amount + 1 WHERE id = ID; UPDATE users SET NAME = NAME || '!' WHERE id = 3`))
	if got := pgtest.Value[string](t, conn, strings.NewReplacer("NAME", name, "ID", id).Replace(`SELECT NAME || amount FROM users WHERE id = ID`)); got != "changed8" {
		t.Errorf("code that knows %s reads %s", name, got)
	}
}

func published(t *testing.T, p *Platform, v PublishView, kind holdfast.PublishKind) PublishView {
	t.Helper()
	if v.Kind != kind || v.State != holdfast.PublishPlanned {
		t.Fatalf("planned: %+v, %+v", v.Publish, v.Plan)
	}
	if v = rehearse(t, p, v.Number, false); v.State != holdfast.PublishReady {
		t.Fatalf("rehearsed: %+v, %+v, %s", v.Publish, v.Report, v.Plan.SQL())
	}
	if v = apply(t, p, v.Number, "lossy", "breaking"); v.State != holdfast.PublishPublished {
		t.Fatalf("applied: %+v", v.Publish)
	}
	return v
}

// Code for the old and for the new structure writes between the phases, each sees what the other wrote, and in the end production
// is what development is. Undone after that, all of it is there under the old names.
func TestColumnsAreExpandedSwitchedAndContracted(t *testing.T) {
	p, development, production := shopFor(t, twoGenerations)
	plan(t, p, NewPublish{})
	pgtest.Exec(t, development, oneGeneration)
	ask := NewPublish{ZeroDowntime: true}
	published(t, p, plan(t, p, ask), holdfast.PublishExpand)
	if n := pgtest.Value[int](t, production, `SELECT count(*) FROM users WHERE display_name = fullname AND _holdfast_new_amount = amount`); n != 5000 {
		t.Errorf("%d rows are filled", n)
	}
	writes(t, production, "fullname", "6001")
	writes(t, production, "display_name", "6002")
	if _, err := p.ContractPublish(t.Context(), admin, "shop", 0); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("contracted before the switch: %v", err)
	}
	published(t, p, plan(t, p, ask), holdfast.PublishSwitch)
	held := len(heldBackups(t, p, "before a publish"))
	writes(t, production, "fullname", "6003")
	writes(t, production, "display_name", "6004")
	if n := pgtest.Value[int](t, production, `SELECT count(*) FROM users WHERE display_name = fullname AND _holdfast_old_amount = amount`); n != 5004 {
		t.Errorf("%d rows are alike under both names", n)
	}
	// However long it takes until the old code is gone, the last phase finds what it needs.
	now := p.now
	p.now = func() time.Time { return now().Add(30 * 24 * time.Hour) }
	if err := p.purgeOnce(t.Context()); err != nil {
		t.Error(err)
	}
	p.now = now
	pgtest.Exec(t, development, `CREATE TABLE later (id int)`)
	if _, err := p.PlanPublish(t.Context(), admin, "shop", NewPublish{}); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(holdfast.HintOf(err), "contract") {
		t.Errorf("planned while columns exist twice: %v", err)
	}
	v, err := p.ContractPublish(t.Context(), admin, "shop", 0)
	if err != nil {
		t.Fatal(err)
	}
	last := published(t, p, v, holdfast.PublishContract)
	if n := len(heldBackups(t, p, "before a publish")); n != held+1 {
		t.Errorf("%d backups are held of the time before the contraction, want one more than %d", n, held)
	}
	writes(t, production, "display_name", "6005")
	if v := plan(t, p, NewPublish{}); v.Kind != holdfast.PublishSchema || v.Statements != 1 || len(v.Plan.Questions) != 0 || len(v.Plan.Drift) != 0 {
		t.Errorf("what is left to publish: %+v, %+v", v.Publish, v.Plan)
	}
	undone(t, p, last.Number)
	writes(t, production, "fullname", "6006")
	if got := pgtest.Value[string](t, production, `SELECT fullname || pg_typeof(amount) FROM users WHERE id = 6005`); got != "changedinteger" {
		t.Errorf("after the way back: %s", got)
	}
}

// undone takes a phase back, and with it all before.
func undone(t *testing.T, p *Platform, number int) {
	t.Helper()
	back, err := p.RevertPublish(t.Context(), admin, "shop", number, nil)
	if err != nil {
		t.Fatal(err)
	}
	published(t, p, back, holdfast.PublishRevert)
	all, err := p.Publishes(t.Context(), admin, "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Kind.Phase() && one.State != holdfast.PublishReverted {
			t.Errorf("publish %d, %s, is %s", one.Number, one.Kind, one.State)
		}
	}
}

// The expansion, and the switch, are taken back: nothing of them stays, and what either code wrote is there.
func TestAnExpansionIsTakenBackBeforeTheContraction(t *testing.T) {
	p, development, production := shopFor(t, twoGenerations)
	plan(t, p, NewPublish{})
	pgtest.Exec(t, development, oneGeneration)
	ask := NewPublish{ZeroDowntime: true}
	first := published(t, p, plan(t, p, ask), holdfast.PublishExpand)
	writes(t, production, "display_name", "6001")
	undone(t, p, first.Number)
	nothingLeft(t, production)
	writes(t, production, "fullname", "6002")
	published(t, p, plan(t, p, ask), holdfast.PublishExpand)
	second := published(t, p, plan(t, p, ask), holdfast.PublishSwitch)
	writes(t, production, "display_name", "6003")
	undone(t, p, second.Number)
	nothingLeft(t, production)
	writes(t, production, "fullname", "6004")
	if got := pgtest.Value[string](t, production, `SELECT string_agg(fullname || amount, ' ') FROM users WHERE id IN (6001, 6003)`); got != "changed8 changed8" {
		t.Errorf("what new code wrote: %s", got)
	}
}

func nothingLeft(t *testing.T, production *pgx.Conn) {
	t.Helper()
	if n := pgtest.Value[int](t, production, `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\_holdfast%') + (SELECT count(*) FROM pg_proc WHERE proname LIKE '\_holdfast%')
		+ (SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'fullname', 'amount'))`); n != 0 {
		t.Errorf("%d things are left", n)
	}
}
