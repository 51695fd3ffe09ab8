package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

func text(s string) *string { return &s }

// edits in the audit trail, the newest first, as their JSON.
func recordedEdits(t *testing.T, p *Platform, action string) []string {
	t.Helper()
	entries, err := p.Audit(t.Context(), admin, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Action == action {
			out = append(out, e.Detail)
		}
	}
	return out
}

func TestRowsAreEditedByWhoMayAndTheTrailSaysWhatTheyWere(t *testing.T) {
	var later atomic.Int64
	h := newHome(t)
	h.now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 1})
	development, production := ref(t, "shop/development"), ref(t, "shop/production")
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	person := func(name string, role holdfast.MemberRole) holdfast.Principal {
		id := holdfast.PersonID("per_" + name)
		return holdfast.Principal{Name: name, Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, PersonID: id, SessionID: "ses_" + name,
			Members: map[holdfast.ProjectID]holdfast.Member{b.ProjectID: {ProjectID: b.ProjectID, PersonID: id, Role: role}}}
	}
	ada, dan, vera := person("ada", holdfast.Admin), person("dan", holdfast.Developer), person("vera", holdfast.Viewer)
	agent := holdfast.Principal{Name: "a", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: b.ProjectID}
	for _, on := range []holdfast.BranchRef{development, production} {
		pgtest.Exec(t, asOwner(t, p, on), `CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'one'), (2, 'two')`)
	}
	set := func(from, to string) []RowEdit {
		return []RowEdit{{Kind: "update", Table: "t", Old: map[string]*string{"id": text("1"), "note": text(from)}, Set: map[string]*string{"note": text(to)}}}
	}
	note := func(on holdfast.BranchRef) string {
		return pgtest.Value[string](t, asOwner(t, p, on), `SELECT note FROM t WHERE id = 1`)
	}

	for who, want := range map[*holdfast.Principal]holdfast.Kind{&vera: holdfast.NotAllowed, &dan: 0, &agent: 0} {
		got, err := p.SaveRows(t.Context(), *who, development, set("one", "by "+who.Name), true)
		if holdfast.KindOf(err) != want && !(want == 0 && err == nil) || got.Saved || want == 0 && (len(got.Edits) != 1 || got.Undo == "") {
			t.Errorf("a trial of %s: %+v, %v", who.Name, got, err)
		}
	}
	if got := note(development); got != "one" || len(recordedEdits(t, p, "data.edit")) != 0 {
		t.Errorf("a trial changed something: %q", got)
	}
	if got, err := p.SaveRows(t.Context(), dan, development, set("one", "eins"), false); err != nil || !got.Saved || note(development) != "eins" {
		t.Errorf("saved on development: %+v, %v", got, err)
	}
	var told struct {
		Changes []struct {
			Kind, Table, Row string
			Before, After    map[string]*string
		}
	}
	if trail := recordedEdits(t, p, "data.edit"); len(trail) != 1 || json.Unmarshal([]byte(trail[0]), &told) != nil || len(told.Changes) != 1 || *told.Changes[0].Before["note"] != "one" ||
		*told.Changes[0].After["note"] != "eins" || told.Changes[0].Row != "id 1" || len(told.Changes[0].Before) != 1 {
		t.Errorf("the trail says %v", trail)
	}
	if got, err := p.SaveRows(t.Context(), dan, development, set("one", "uno"), false); err != nil || got.Saved || len(got.Conflicts) != 1 || *got.Conflicts[0].Now["note"] != "eins" {
		t.Errorf("over a row that changed: %+v, %v", got, err)
	}

	// Production: an admin, who has asked for it, for a quarter of an hour, and only that one.
	save := func(who holdfast.Principal, to string) holdfast.Kind {
		t.Helper()
		got, err := p.SaveRows(t.Context(), who, production, set(note(production), to), false)
		if err == nil && got.Saved {
			return 0
		}
		return holdfast.KindOf(err)
	}
	for who, want := range map[*holdfast.Principal]holdfast.Kind{&dan: holdfast.NotAllowed, &agent: holdfast.NotAllowed, &ada: holdfast.Precondition} {
		if got := save(*who, "x"); got != want {
			t.Errorf("%s saves on production: %v, want %v", who.Name, got, want)
		}
	}
	if _, err := p.OpenEditing(t.Context(), agent, production); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent asks to edit production: %v", err)
	}
	until, err := p.OpenEditing(t.Context(), ada, production)
	if err != nil || until.Sub(h.now()) > editWindow || len(recordedEdits(t, p, "data.edit_opened")) != 1 {
		t.Fatalf("until %s, %v", until, err)
	}
	if got := save(ada, "by ada"); got != 0 || note(production) != "by ada" {
		t.Errorf("ada's change: %v", got)
	}
	other := ada
	other.SessionID = "ses_elsewhere"
	if got := save(other, "x"); got != holdfast.Precondition {
		t.Errorf("another session of ada's: %v", got)
	}
	later.Store(int64(editWindow))
	if got := save(ada, "x"); got != holdfast.Precondition {
		t.Errorf("after the time: %v", got)
	}
	if _, err := p.OpenEditing(t.Context(), ada, production); err != nil {
		t.Fatal(err)
	}
	if err := p.CloseEditing(t.Context(), ada, production); err != nil {
		t.Fatal(err)
	}
	if got := save(ada, "x"); got != holdfast.Precondition {
		t.Errorf("after ada has stopped: %v", got)
	}

	// What breaks off before its commit is neither done nor recorded.
	recorded := len(recordedEdits(t, p, "data.edit"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := p.SaveRows(ctx, dan, development, set("eins", "zwei"), false); err == nil || got.Saved || note(development) != "eins" {
		t.Errorf("an edit that nobody waits for: %+v, %v", got, err)
	}
	pgtest.Exec(t, asOwner(t, p, development), `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END$$;
		CREATE TRIGGER die AFTER UPDATE ON t FOR EACH ROW WHEN (NEW.note = 'die') EXECUTE FUNCTION die()`)
	if got, err := p.SaveRows(t.Context(), dan, development, set("eins", "die"), false); err == nil || got.Saved || note(development) != "eins" {
		t.Errorf("an edit whose connection is lost: %+v, %v", got, err)
	}
	if got := len(recordedEdits(t, p, "data.edit")); got != recorded {
		t.Errorf("%d edits are recorded that were not made", got-recorded)
	}

	var file bytes.Buffer
	if n, err := p.ExportQuery(t.Context(), vera, development, "", "SELECT id, note FROM t ORDER BY id", "csv", &file); err != nil || n != 2 || file.String() != "id,note\r\n1,eins\r\n2,two\r\n" {
		t.Errorf("exported %d rows: %q, %v", n, file.String(), err)
	}
	for sql, want := range map[string]string{"DELETE FROM t": "read-only transaction", "SELECT 1; SELECT 2": "one statement", "CHECKPOINTS": "syntax error", "RESET work_mem": "no rows to export"} {
		file.Reset()
		if _, err := p.ExportQuery(t.Context(), vera, development, "", sql, "csv", &file); err == nil || !strings.Contains(err.Error(), want) || file.Len() > 0 {
			t.Errorf("%s is exported as %q, %v", sql, file.String(), err)
		}
	}
	if _, err := p.ExportQuery(t.Context(), dan, production, "", "SELECT 1", "csv", &file); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a developer exports production: %v", err)
	}
	testSaved(t, p, vera, dan)
}

// testSaved shows that everybody keeps one's own, and that a project takes them along when it goes.
func testSaved(t *testing.T, p *Platform, vera, dan holdfast.Principal) {
	t.Helper()
	first, err := p.Save(t.Context(), vera, "shop", SavedItem{Kind: SavedView, Table: "public.t", Name: "mine", Body: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Save(t.Context(), vera, "shop", SavedItem{Kind: SavedView, Table: "public.t", Name: "mine", Body: `{"a":1}`})
	if err != nil || again.ID != first.ID || again.Body != `{"a":1}` {
		t.Errorf("kept again: %+v, %v", again, err)
	}
	if all, err := p.Saved(t.Context(), vera, "shop"); err != nil || len(all) != 1 || all[0].Body != `{"a":1}` {
		t.Errorf("vera keeps %+v, %v", all, err)
	}
	if all, err := p.Saved(t.Context(), dan, "shop"); err != nil || len(all) != 0 {
		t.Errorf("dan sees %+v, %v", all, err)
	}
	if err := p.Forget(t.Context(), dan, "shop", first.ID); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("dan deletes what is vera's: %v", err)
	}
	if err := p.Forget(t.Context(), vera, "shop", first.ID); err != nil {
		t.Error(err)
	}
	for _, bad := range []SavedItem{{Kind: "x", Name: "a"}, {Kind: SavedQuery}, {Kind: SavedQuery, Name: "a", Body: strings.Repeat("x", maxSavedBody+1)}} {
		if _, err := p.Save(t.Context(), vera, "shop", bad); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%.50v is kept: %v", bad, err)
		}
	}
	item, err := p.Save(t.Context(), vera, "shop", SavedItem{Kind: SavedQuery, Name: "q", Body: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	err = p.store.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.EraseProject(item.ProjectID); err != nil {
			return err
		}
		left, err := tx.Saved(item.ProjectID, item.Owner)
		if err == nil && len(left) > 0 {
			t.Errorf("the project is gone, and these are left: %+v", left)
		}
		return errNotKept // the project's servers are still there
	})
	if err != errNotKept {
		t.Error(err)
	}
}
