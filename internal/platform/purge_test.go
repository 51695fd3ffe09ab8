package platform

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/store"
)

func TestAttemptsToPurgeAreSpacedOut(t *testing.T) {
	var p purges
	now := time.Unix(0, 0)
	attempts := 0
	for range 24 * 60 * 12 { // a day, a round every five seconds
		if p.begin("it", now) {
			attempts++
		}
		now = now.Add(expireInterval)
	}
	if attempts < 24 || attempts > 40 {
		t.Errorf("%d attempts in a day", attempts)
	}
	if !p.begin("another", now) {
		t.Error("one that fails holds another up")
	}
	p.done("it")
	if !p.begin("it", now) {
		t.Error("what was done is remembered")
	}
}

// A purge that failed, as while a location was out of reach, was a new job every five seconds, and kept every other from being purged.
func TestAPurgeThatFailsIsTriedAgainEverLessOftenUntilItWorks(t *testing.T) {
	h := newHome(t)
	var shift atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	branch(t, p, NewBranch{Name: "try", From: ref(t, "shop/development"), History: true})
	branch(t, p, NewBranch{Name: "other", From: ref(t, "shop/development")})
	try, other := mustFind(t, p, ref(t, "shop/try")), mustFind(t, p, ref(t, "shop/other"))
	for _, b := range []store.Branch{try, other} {
		job, err := p.DeleteBranch(t.Context(), admin, b.Ref(), Removal{})
		done(t, p, job, err)
	}
	away := h.repository + ".away"
	if err := os.Rename(h.repository, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.repository, nil, 0o600); err != nil { // what lies there now is no folder
		t.Fatal(err)
	}
	attempts := func() (n int, busy bool) {
		t.Helper()
		if err := p.store.View(t.Context(), func(tx *store.Tx) error {
			all, err := tx.Jobs(try.ProjectID, 1000)
			for _, j := range all {
				if j.Kind == deleteBranchJob && j.Subject == "shop/try" {
					n, busy = n+1, busy || !j.State.Final()
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n, busy
	}
	shift.Store(int64(8 * day))
	purged(t, p, other.ID)
	eventually(t, "the first attempt", func() bool { n, busy := attempts(); return n == 1 && !busy })
	for range 100 {
		if err := p.expireOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := attempts(); n > 2 { // the second is due after ten seconds of the clock
		t.Errorf("%d attempts at once", n)
	}
	if err := os.Remove(h.repository); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, h.repository); err != nil {
		t.Fatal(err)
	}
	shift.Store(int64(9 * day))
	purged(t, p, try.ID)
}
