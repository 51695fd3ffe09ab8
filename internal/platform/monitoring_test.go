package platform

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

// measureNow measures once and returns when that was.
func measureNow(t *testing.T, p *Platform) time.Time {
	t.Helper()
	if err := p.monitorOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.now()
}

// measuredSince sums up a day or two, so that no hour's end matters.
func measuredSince(t *testing.T, p *Platform, r holdfast.BranchRef, from time.Time) (sum holdfast.MonitoringStep) {
	t.Helper()
	m, err := p.Monitoring(t.Context(), admin, r, from, time.Time{}, 24*time.Hour)
	if err != nil || len(m.Steps) == 0 {
		t.Fatal(m, err)
	}
	for _, s := range m.Steps {
		sum.Commits, sum.Rollbacks, sum.Deadlocks = sum.Commits+s.Commits, sum.Rollbacks+s.Rollbacks, sum.Deadlocks+s.Deadlocks
		sum.BlocksHit, sum.BlocksRead = sum.BlocksHit+s.BlocksHit, sum.BlocksRead+s.BlocksRead
		sum.MaxConnections, sum.Size = max(sum.MaxConnections, s.MaxConnections), s.Size
	}
	return sum
}

func TestWhatABranchDidIsKeptWhileItSleepsAndForgottenAfterTwoWeeks(t *testing.T) {
	h := newHome(t)
	var shift atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 100})
	production := ref(t, "shop/production")
	conn := asOwner(t, p, production)
	begun := measureNow(t, p)
	for range 3 {
		pgtest.Exec(t, conn, `SELECT count(*) FROM sample`)
	}
	deadlock(t, conn, asOwner(t, p, production))
	eventually(t, "the server has counted it", func() bool { // PostgreSQL publishes what a session counted with a delay
		shift.Add(int64(time.Second))
		measureNow(t, p)
		s := measuredSince(t, p, production, begun)
		return s.Deadlocks == 1 && s.Commits > 0 && s.Rollbacks > 0
	})
	_ = conn.Close(t.Context())
	if err := p.fleet.Sleep(t.Context(), mustFind(t, p, production).ID, true); err != nil {
		t.Fatal(err)
	}
	s := measuredSince(t, p, production, begun)
	m, err := p.Monitoring(t.Context(), admin, production, begun.Add(-day), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if hit, ok := s.CacheHit(); !ok || hit <= 0.5 || s.MaxConnections < 2 || s.Size < 1<<20 {
		t.Errorf("got %+v", s)
	}
	if pgtest.Installation(t).HasLibrary("pg_stat_statements") {
		found := false
		for _, statement := range m.Statements {
			found = found || strings.Contains(statement.SQL, "FROM sample") && statement.Calls >= 3 && statement.Time > 0
		}
		if !found {
			t.Errorf("the statements are %+v", m.Statements)
		}
	}
	if b := mustFind(t, p, production); activity(t, p, b.ID) != holdfast.Asleep {
		t.Error("asking woke it")
	}
	if err := p.monitorOnce(t.Context()); err != nil || activity(t, p, mustFind(t, p, production).ID) != holdfast.Asleep {
		t.Errorf("measuring woke it, or %v", err)
	}

	shift.Add(int64(15 * day))
	if err := p.store.Update(t.Context(), func(tx *store.Tx) error { return tx.ForgetMeasurements(p.now().Add(-holdfast.MonitoringKept)) }); err != nil {
		t.Fatal(err)
	}
	m, err = p.Monitoring(t.Context(), admin, production, p.now().Add(-30*day), time.Time{}, 0)
	if err != nil || len(m.Steps) != 0 || len(m.Statements) != 0 || p.now().Sub(m.From) > holdfast.MonitoringKept+4*time.Hour {
		t.Errorf("after two weeks: %+v, %v", m, err)
	}
}

// deadlock lets two sessions wait for each other, until the server ends one.
func deadlock(t *testing.T, one, two *pgx.Conn) {
	t.Helper()
	pgtest.Exec(t, one, `CREATE TABLE a (); CREATE TABLE b ()`)
	pgtest.Exec(t, one, `BEGIN; LOCK a`)
	pgtest.Exec(t, two, `BEGIN; LOCK b`)
	other := make(chan error, 1)
	go func() {
		_, err := two.Exec(t.Context(), `LOCK a`)
		if err == nil {
			_, err = two.Exec(t.Context(), `COMMIT`)
		}
		other <- err
	}()
	_, err := one.Exec(t.Context(), `LOCK b`)
	_, _ = one.Exec(t.Context(), `ROLLBACK`)
	if theirs := <-other; (err == nil) == (theirs == nil) {
		t.Fatalf("no deadlock: %v, %v", err, theirs)
	}
	_, _ = two.Exec(t.Context(), `ROLLBACK`)
}

func activity(t *testing.T, p *Platform, id holdfast.BranchID) holdfast.Activity {
	t.Helper()
	s, err := p.fleet.Status(id)
	if err != nil {
		t.Fatal(err)
	}
	return s.Activity
}

// Measuring is no use of a branch: it leaves the time of the last use alone, and a session that measures at this moment does not put a sleep off.
func TestMeasuringDoesNotKeepABranchAwake(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	development := mustFind(t, p, ref(t, "shop/development"))
	withBase(t, p, development.Ref()) // making it is a use
	before, err := p.fleet.Status(development.ID)
	if err != nil {
		t.Fatal(err)
	}
	looking, stop := context.WithCancel(t.Context())
	defer stop()
	looks, slept := make(chan struct{}), make(chan error, 1)
	go func() {
		slept <- p.fleet.Observe(looking, development.ID, func(conn *pgx.Conn) error {
			close(looks)
			_, err := conn.Exec(looking, `SELECT pg_sleep(600)`)
			return err
		})
	}()
	<-looks
	eventually(t, "the look is seen by the server", func() bool {
		var n int
		err := p.fleet.Observe(t.Context(), development.ID, func(conn *pgx.Conn) error {
			return conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'`).Scan(&n)
		})
		return err == nil && n == 1
	})
	measureNow(t, p)
	if after, err := p.fleet.Status(development.ID); err != nil || !after.LastUse.Equal(before.LastUse) || after.Sessions != before.Sessions {
		t.Errorf("measuring counts as use: %+v, %v", after, err)
	}
	if err := p.fleet.Sleep(t.Context(), development.ID, false); err != nil {
		t.Fatalf("measuring keeps the branch awake: %v", err)
	}
	if err := <-slept; err == nil {
		t.Error("the look outlived its server")
	}
	if err := p.fleet.Observe(t.Context(), development.ID, nil); err != fleet.ErrAsleep {
		t.Errorf("a look at a sleeping branch: %v", err)
	}
}

func TestMonitoringRefusesWhatMakesNoSense(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	now := p.now()
	for what, ask := range map[string]struct {
		from, to time.Time
		step     time.Duration
	}{
		"backwards":     {now, now.Add(-time.Hour), 0},
		"long ago":      {now.Add(-40 * day), now.Add(-20 * day), 0},
		"short steps":   {now.Add(-time.Hour), now, time.Second},
		"too many":      {now.Add(-14 * day), now, time.Minute},
		"in the future": {now.Add(time.Hour), now.Add(2 * time.Hour), 0},
	} {
		if _, err := p.Monitoring(t.Context(), admin, ref(t, "shop/development"), ask.from, ask.to, ask.step); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	stranger := holdfast.Principal{Name: "stranger", Kind: holdfast.UserToken, ProjectID: "other", Right: holdfast.MayWrite}
	if _, err := p.Monitoring(t.Context(), stranger, ref(t, "shop/development"), time.Time{}, time.Time{}, 0); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a stranger: %v", err)
	}
}
