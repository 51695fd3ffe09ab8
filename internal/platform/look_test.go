package platform

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

// look makes a look and waits for it.
func look(t *testing.T, p *Platform, r holdfast.BranchRef, at time.Time) holdfast.BranchRef {
	t.Helper()
	j, err := p.Look(t.Context(), admin, r, holdfast.Point{At: at})
	if err != nil {
		t.Fatal(err)
	}
	if j, err = p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	return ref(t, strings.TrimSuffix(strings.TrimPrefix(j.Result, `{"branch":"`), `"}`))
}

// A look is read-only, cannot be reached with its origin's password, is there while somebody uses it, and is collected afterwards: by the
// next control plane, too.
func TestALookShowsAMomentAndIsCollectedWhenNobodyLooks(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	conn := asOwner(t, p, production)
	at := serverTime(t, p, production)
	pgtest.Exec(t, conn, `DELETE FROM sample`)
	conn.Close(t.Context())
	shown := look(t, p, production, at)
	conn = asOwner(t, p, shown)
	if n := pgtest.Value[int](t, conn, `SELECT count(*)::int FROM sample`); n != 3 {
		t.Errorf("the moment has %d rows", n)
	}
	var pg *pgconn.PgError
	if _, err := conn.Exec(t.Context(), `DELETE FROM sample`); !asPgError(err, &pg) || pg.Code != "25006" {
		t.Errorf("a write: %v", err)
	}
	theirs, _ := p.Connection(t.Context(), admin, shown)
	ours, _ := p.Connection(t.Context(), admin, production)
	if theirs.Password == ours.Password {
		t.Error("the look has its origin's password")
	}
	b, err := p.findBranch(t.Context(), admin, shown, holdfast.MayRead)
	if err != nil || !b.Look || !b.ProductionRows {
		t.Fatalf("got %+v, %v", b, err)
	}
	viewer := holdfast.Principal{Name: "v", Kind: holdfast.UserToken, Right: holdfast.MayWrite, ProjectID: b.ProjectID}
	if _, err := p.Connection(t.Context(), viewer, shown); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("who may not read production's rows got the way to its copy: %v", err)
	}
	conn.Close(t.Context())
	if p.unused(b) {
		t.Error("a look that was just used is collected")
	}
	session, err := p.Acquire(t.Context(), shown)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now
	p.now = func() time.Time { return clock().Add(time.Hour) }
	if p.unused(b) {
		t.Error("a look with a session is collected")
	}
	session.Release()
	p.now = clock
	later := clock().Add(time.Minute)
	p.now = func() time.Time { return later }
	if !p.unused(b) {
		t.Error("a look that nobody has used for a minute is kept")
	}
	if err := p.KeepLook(t.Context(), admin, shown); err != nil || p.unused(b) {
		t.Errorf("a look that somebody looks at is collected (%v)", err)
	}
	p.now = func() time.Time { return later.Add(lookIdle) }
	if !p.unused(b) {
		t.Error("a look is kept for somebody who has left")
	}
	if err := p.KeepLook(t.Context(), viewer, shown); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("who may not read its rows keeps a look: %v", err)
	}
	p.now = clock
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}

	p = h.open(t)
	if p.unused(b) {
		t.Error("a look is collected at once by the next control plane")
	}
	p.now = func() time.Time { return clock().Add(time.Minute) }
	eventually(t, "the look is collected", func() bool {
		if err := p.expireOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		var now store.Branch
		err := h.store.View(t.Context(), func(tx *store.Tx) (err error) { now, err = tx.Branch(b.ID); return err })
		return err == nil && now.State == store.Purged
	})
	if _, err := p.Branch(t.Context(), admin, shown); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the look is still there: %v", err)
	}
}
