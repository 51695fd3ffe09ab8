package platform

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

func rehearse(t *testing.T, p *Platform, number int, keep bool) PublishView {
	t.Helper()
	j, err := p.RehearsePublish(t.Context(), admin, "shop", number, keep)
	if err == nil {
		_, err = p.jobs.wait(t.Context(), j.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Publish(t.Context(), admin, "shop", number)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func apply(t *testing.T, p *Platform, number int, allow ...string) PublishView {
	t.Helper()
	j, err := p.ApplyPublish(t.Context(), admin, "shop", number, allow)
	if err == nil {
		_, err = p.jobs.wait(t.Context(), j.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Publish(t.Context(), admin, "shop", number)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The whole way: rows stay, what is dropped comes back with the rows that were written since, and afterwards there is nothing to do.
func TestAPublishIsRehearsedAppliedAndTakenBack(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY, fullname text, shoe int); INSERT INTO users VALUES (1, 'Ann', 38)`)
	plan(t, p, NewPublish{}) // equal: from here on identity counts
	pgtest.Exec(t, development, `ALTER TABLE users RENAME fullname TO display_name; ALTER TABLE users DROP shoe; CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users); CREATE INDEX ON orders (user_id)`)
	pgtest.Exec(t, production, `CREATE TABLE audit (at timestamptz)`)
	v := plan(t, p, NewPublish{})
	if v.State != holdfast.PublishPlanned || len(v.Plan.Questions) != 0 {
		t.Fatalf("got %+v, %+v", v.Publish, v.Plan)
	}
	if _, err := p.ApplyPublish(t.Context(), admin, "shop", 1, nil); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("what was not rehearsed is applied: %v", err)
	}
	v = rehearse(t, p, 1, false)
	if v.State != holdfast.PublishReady || v.Report == nil || len(v.Report.Statements) != v.Statements {
		t.Fatalf("rehearsed: %+v, %+v", v.Publish, v.Report)
	}
	if again := plan(t, p, NewPublish{}); again.State != holdfast.PublishReady {
		t.Errorf("planned again without a change: %s", again.State)
	}
	if _, err := p.ApplyPublish(t.Context(), admin, "shop", 1, nil); holdfast.KindOf(err) != holdfast.Unsafe || !strings.Contains(holdfast.HintOf(err), "breaking") {
		t.Errorf("what breaks running code is applied without consent: %v", err)
	}
	v = apply(t, p, 1, "lossy", "breaking")
	if v.State != holdfast.PublishPublished || v.Approver != "admin" || v.Checkpoint == "" || v.GraceUntil.IsZero() {
		t.Fatalf("applied: %+v", v.Publish)
	}
	if got := pgtest.Value[string](t, production, `SELECT display_name || (SELECT count(*) FROM orders) FROM users`); got != "Ann0" {
		t.Errorf("production has %s", got)
	}
	if v = plan(t, p, NewPublish{}); v.Number != 2 || v.Statements != 0 || len(v.Plan.Drift) != 1 {
		t.Errorf("a plan after the publish: %+v, %+v", v.Publish, v.Plan)
	}
	lines, err := p.PublishLog(t.Context(), admin, "shop", 1)
	if err != nil || !strings.Contains(lines[len(lines)-1].Phase, "apply") || len(lines) < 4 {
		t.Errorf("the log: %+v, %v", lines, err)
	}

	pgtest.Exec(t, production, `INSERT INTO users VALUES (2, 'Bob')`)
	back, err := p.RevertPublish(t.Context(), admin, "shop", 1, nil)
	if err != nil || back.Kind != holdfast.PublishRevert || back.Reverts != 1 || back.State != holdfast.PublishPlanned {
		t.Fatalf("got %+v, %v", back.Publish, err)
	}
	if v = rehearse(t, p, back.Number, false); v.State != holdfast.PublishReady {
		t.Fatalf("the way back: %+v, %+v", v.Publish, v.Report)
	}
	if v = apply(t, p, back.Number, "lossy", "breaking"); v.State != holdfast.PublishPublished {
		t.Fatalf("the way back: %+v", v.Publish)
	}
	if got := pgtest.Value[string](t, production, `SELECT string_agg(concat(id, fullname, shoe), ' ' ORDER BY id) FROM users`); got != "1Ann38 2Bob" {
		t.Errorf("production has %s", got)
	}
	pgtest.Exec(t, production, `SELECT FROM audit`)
	if v, err = p.Publish(t.Context(), admin, "shop", 1); err != nil || v.State != holdfast.PublishReverted || v.RevertedBy != back.Number {
		t.Errorf("got %+v, %v", v.Publish, err)
	}
	// A publish before it rests on nothing that is there any more.
	if _, err := p.findPublishing(t.Context(), "shop", func(f publishing) error {
		return p.revertible(t.Context(), f, holdfast.Publish{Number: 0, State: holdfast.PublishPublished, GraceUntil: p.now().Add(time.Hour)})
	}); err != nil {
		t.Errorf("an earlier publish cannot be reverted: %v", err)
	}
	// Development is where it was: its changes can be published again, and are known as renames.
	if v = plan(t, p, NewPublish{}); v.State != holdfast.PublishPlanned || len(v.Plan.Renames) == 0 || len(v.Plan.Questions) != 0 {
		t.Errorf("a plan after the way back: %+v, %+v", v.Publish, v.Plan)
	}
}

// When the grace period has ended, what was dropped goes for good, and only a restore leads back.
func TestWhatWasSetAsideGoesAfterTheGracePeriod(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE users (id int PRIMARY KEY, shoe int, mood mood); CREATE TABLE old (id serial PRIMARY KEY); INSERT INTO old DEFAULT VALUES; INSERT INTO users VALUES (1, 40, 'sad')`)
	plan(t, p, NewPublish{})
	pgtest.Exec(t, development, `ALTER TABLE users DROP shoe, DROP mood; DROP TABLE old; DROP TYPE mood`)
	plan(t, p, NewPublish{})
	rehearse(t, p, 1, false)
	v := apply(t, p, 1, "lossy", "breaking")
	if held := heldBackups(t, p, "before a publish"); len(held) != 1 || !strings.HasPrefix(held[0], "prod_backup_before_publish_") {
		t.Errorf("what is held before something is dropped: %q", held)
	}
	aside := func() int {
		return pgtest.Value[int](t, production, `SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('_holdfast_tombstones')::oid AND relkind IN ('r', 'S')`) +
			pgtest.Value[int](t, production, `SELECT count(*) FROM pg_type WHERE typnamespace = to_regnamespace('_holdfast_tombstones')::oid AND typtype = 'e'`)
	}
	if err := p.purgeOnce(t.Context()); err != nil || aside() < 4 {
		t.Fatalf("within the grace period: %d are set aside, %v", aside(), err)
	}
	now := p.now
	p.now = func() time.Time { return now().Add(holdfast.PublishGrace + time.Hour) }
	pgtest.Exec(t, production, `INSERT INTO users VALUES (2)`)
	if err := p.purgeOnce(t.Context()); err != nil || aside() != 0 {
		t.Errorf("after the grace period: %d are set aside, %v", aside(), err)
	}
	_, err := p.RevertPublish(t.Context(), admin, "shop", 1, nil)
	if hint := holdfast.HintOf(err); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(hint, string(v.Checkpoint)) || !strings.Contains(hint, "transactions since") {
		t.Errorf("got %v, %s", err, hint)
	}
}

func TestAChangeSinceTheRehearsalStopsThePublish(t *testing.T) {
	p, development, _ := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	pgtest.Exec(t, development, `ALTER TABLE users ADD name text`)
	plan(t, p, NewPublish{})
	rehearse(t, p, 1, false)
	pgtest.Exec(t, development, `ALTER TABLE users ADD more text`)
	j, err := p.ApplyPublish(t.Context(), admin, "shop", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), j.ID); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("got %v", err)
	}
	v, err := p.Publish(t.Context(), admin, "shop", 1)
	if err != nil || v.State != holdfast.PublishPlanned || !strings.Contains(v.Error, "has changed") {
		t.Errorf("got %+v, %v", v.Publish, err)
	}
}

// A copy that is kept shows production: it is there for an admin, and for nobody who may not see production.
func TestARehearsalRunsTheProjectsOwnChecksAndKeepsItsCopy(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	pgtest.Exec(t, production, `INSERT INTO users VALUES (1)`)
	pgtest.Exec(t, development, `ALTER TABLE users ADD name text`)
	plan(t, p, NewPublish{})
	asked := 0
	ci := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(ci.Close)
	set := func(h holdfast.Hooks) {
		t.Helper()
		if err := p.SetPublishHooks(t.Context(), admin, "shop", h); err != nil {
			t.Fatal(err)
		}
	}
	set(holdfast.Hooks{Command: `case "$DATABASE_URL" in postgresql://shop_owner:*shop_rehearsal_1*) echo "$DATABASE_URL"; exit 3;; esac`, URL: ci.URL})
	v := rehearse(t, p, 1, false)
	if v.State != holdfast.PublishBlocked || len(v.Report.Hooks) != 2 {
		t.Fatalf("got %+v, %+v", v.Publish, v.Report.Hooks)
	}
	command, url := v.Report.Hooks[0], v.Report.Hooks[1]
	if command.OK || command.Status != 3 || !strings.Contains(command.Output, ":********@") {
		t.Errorf("the command: %+v", command)
	}
	if url.OK || asked != 0 || !strings.Contains(url.Error, "not a public address") {
		t.Errorf("a private address: %+v, asked %d times", url, asked)
	}
	set(holdfast.Hooks{Command: `true`, URL: ci.URL, AllowPrivate: true})
	if v = rehearse(t, p, 1, true); v.State != holdfast.PublishBlocked || asked != 1 || v.Report.Hooks[1].Status != http.StatusTeapot || v.Preview != "rehearsal_1" {
		t.Errorf("got %+v, %+v", v.Publish, v.Report.Hooks)
	}
	copied := ref(t, "shop/rehearsal_1")
	if got := pgtest.Value[string](t, asOwner(t, p, copied), `SELECT id || coalesce(name, '-') FROM users`); got != "1-" {
		t.Errorf("the copy has %s", got)
	}
	agent := holdfast.Principal{Name: "agent", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: v.ProjectID}
	if _, err := p.Connection(t.Context(), agent, copied); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent gets a copy of production: %v", err)
	}
	if _, err := p.CreateBranch(t.Context(), agent, NewBranch{Name: "mine", From: copied}); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent copies a copy of production: %v", err)
	}
	if _, err := p.RehearsePublish(t.Context(), agent, "shop", 1, true); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent keeps a copy of production: %v", err)
	}
	if _, err := p.ApplyPublish(t.Context(), agent, "shop", 1, nil); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent publishes: %v", err)
	}
	if _, err := p.RevertPublish(t.Context(), agent, "shop", 1, nil); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent reverts: %v", err)
	}
	set(holdfast.Hooks{Command: `true`})
	if v = rehearse(t, p, 1, false); v.State != holdfast.PublishReady {
		t.Errorf("got %+v, %+v", v.Publish, v.Report)
	}
	if _, err := p.Branch(t.Context(), admin, copied); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the copy is still there: %v", err)
	}
}

// The control plane stops in the middle of an apply; at the next start it goes on from where its journal says.
func TestAnInterruptedApplyIsContinuedAtTheNextStart(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	production := asOwner(t, p, ref(t, "shop/production"))
	pgtest.Exec(t, asOwner(t, p, ref(t, "shop/development")), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, note text)`)
	pgtest.Exec(t, production, `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)`)
	plan(t, p, NewPublish{})
	rehearse(t, p, 1, false)
	// A reader holds table b, so the apply waits in the middle.
	pgtest.Exec(t, production, `BEGIN; SELECT FROM b`)
	j, err := p.ApplyPublish(t.Context(), admin, "shop", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	states, err := p.WatchJob(t.Context(), admin, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	for s := range states {
		if s.Step == "changing production" {
			break
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, production, `COMMIT`)
	p = h.open(t)
	if _, err := p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[int](t, production, `SELECT count(note) + (SELECT count(*) FROM a) + (SELECT count(*) FROM b) FROM b`); got != 1 {
		t.Errorf("got %d", got)
	}
	var pub holdfast.Publish
	if err := h.store.View(t.Context(), func(tx *store.Tx) (err error) { pub, err = tx.Publish(j.ProjectID, 1); return err }); err != nil || pub.State != holdfast.PublishPublished {
		t.Errorf("got %+v, %v", pub, err)
	}
}

func TestAMaintenanceWindowHoldsClientsAtTheFrontDoor(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)`)
	pgtest.Exec(t, development, `ALTER TABLE users ADD name text; CREATE INDEX ON users (name)`)
	if v := plan(t, p, NewPublish{Maintenance: true}); strings.Contains(v.Plan.SQL(), "CONCURRENTLY") {
		t.Errorf("the plan is %s", v.Plan.SQL())
	}
	rehearse(t, p, 1, false)
	var n notebook
	p.SetDoor(&n)
	apply(t, p, 1)
	if want := []string{"hold shop/production", "resume shop/production"}; !slices.Equal(n.notes, want) {
		t.Errorf("got %q", n.notes)
	}
	pgtest.Exec(t, production, `SELECT name FROM users`)
}

func TestAnApplyThatIsCanceledIsTakenBack(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)`)
	pgtest.Exec(t, development, `CREATE TABLE a (id int PRIMARY KEY); ALTER TABLE b ADD note text`)
	plan(t, p, NewPublish{})
	rehearse(t, p, 1, false)
	pgtest.Exec(t, production, `BEGIN; SELECT FROM b`)
	j, err := p.ApplyPublish(t.Context(), admin, "shop", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	states, err := p.WatchJob(t.Context(), admin, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	for s := range states {
		if s.Step == "changing production" {
			break
		}
	}
	v, err := p.CancelPublish(t.Context(), admin, "shop", 1)
	if err != nil || v.State != holdfast.PublishFailed && v.State != holdfast.PublishPlanned {
		t.Errorf("got %+v, %v", v.Publish, err)
	}
	pgtest.Exec(t, production, `COMMIT`)
	if v = plan(t, p, NewPublish{}); v.Statements == 0 || len(v.Plan.Drift) != 0 {
		t.Errorf("production is not as it was: %+v", v.Plan)
	}
}

// Rows that were written while a required column was away have no value for it: the way back says so before anything is done, and a person's
// answer fills them.
func TestAWayBackAsksWhatToFillARequiredColumnWith(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY, plan text NOT NULL); INSERT INTO users VALUES (1, 'paid')`)
	plan(t, p, NewPublish{})
	pgtest.Exec(t, development, `ALTER TABLE users DROP COLUMN plan`)
	plan(t, p, NewPublish{})
	rehearse(t, p, 1, false)
	if v := apply(t, p, 1, "lossy", "breaking"); v.State != holdfast.PublishPublished {
		t.Fatalf("applied: %+v", v.Publish)
	}
	pgtest.Exec(t, production, `INSERT INTO users VALUES (2)`)
	back, err := p.RevertPublish(t.Context(), admin, "shop", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v := rehearse(t, p, back.Number, false); v.State == holdfast.PublishReady || v.State == holdfast.PublishPublished {
		t.Fatalf("a row without a value is passed over: %+v", v.Publish)
	}
	again, err := p.RevertPublish(t.Context(), admin, "shop", 1, []string{"fill:public.users.plan='free'"})
	if err != nil || again.Number != back.Number {
		t.Fatalf("%+v, %v", again.Publish, err)
	}
	if v := rehearse(t, p, back.Number, false); v.State != holdfast.PublishReady {
		t.Fatalf("with an answer: %+v, %+v", v.Publish, v.Report)
	}
	apply(t, p, back.Number, "lossy", "breaking")
	if got := pgtest.Value[string](t, production, `SELECT string_agg(id || plan, ' ' ORDER BY id) FROM users`); got != "1paid 2free" {
		t.Errorf("production has %s", got)
	}
}

func TestALossyPublishWhoseBackupFailsChangesNothing(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", `CREATE TABLE users (id int PRIMARY KEY, shoe int); INSERT INTO users VALUES (1, 40)`)
	change(t, p, "shop/development", `CREATE TABLE users (id int PRIMARY KEY, shoe int); INSERT INTO users VALUES (1, 40)`)
	plan(t, p, NewPublish{})
	change(t, p, "shop/development", `ALTER TABLE users DROP shoe`)
	v := plan(t, p, NewPublish{})
	if !slices.Contains(v.Hazards, "lossy") {
		t.Errorf("its hazards are %q", v.Hazards)
	}
	rehearse(t, p, v.Number, false)
	// Where the backups of the project would lie is a file.
	if err := os.WriteFile(filepath.Join(h.repository, "backups"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := p.ApplyPublish(t.Context(), admin, "shop", v.Number, []string{"lossy", "breaking"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), j.ID); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
	if n := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/production")), `SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'shoe'`); n != 1 {
		t.Error("the column went without a backup")
	}
	if err := os.Remove(filepath.Join(h.repository, "backups")); err != nil {
		t.Fatal(err)
	}
	if v, err = p.Publish(t.Context(), admin, "shop", v.Number); err != nil || v.State == holdfast.PublishApplying || v.State == holdfast.PublishPublished {
		t.Errorf("afterwards it is %s, %v", v.State, err)
	}
}
