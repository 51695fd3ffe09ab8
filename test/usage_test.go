package test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// span is a time from one moment to another.
type span struct{ from, to time.Time }

func (s span) overlap(o span) time.Duration {
	from, to := s.from, s.to
	if o.from.After(from) {
		from = o.from
	}
	if o.to.Before(to) {
		to = o.to
	}
	return max(0, to.Sub(from))
}

// period is a time in which a branch was awake, as it is known from outside: at most, and surely.
type period struct {
	most   span
	surely []span
}

// watchedBranch is what is known from outside of when a branch was awake.
type watchedBranch struct {
	s               *server
	ref             holdfast.BranchRef
	periods         []period
	since, sureFrom time.Time // when the period of now began, and since when the branch is surely awake; zero: it is not
	sure            []span    // of the period of now
}

// turns begins to wake the branch, or to put it to sleep.
func (w *watchedBranch) turns(wake bool) {
	now := time.Now()
	if wake && w.since.IsZero() {
		w.since = now
	}
	if !wake && !w.sureFrom.IsZero() {
		w.sure = append(w.sure, span{w.sureFrom, now})
		w.sureFrom = time.Time{}
	}
}

// look asks what the branch does, once it has come to rest, and says whether it is awake.
func (w *watchedBranch) look(t *testing.T) bool {
	t.Helper()
	var activity string
	servetest.Until(t, w.ref.String()+" to come to rest", func() bool {
		activity = w.s.branch(t, w.ref).Activity
		return activity == "awake" || activity == "asleep"
	})
	now := time.Now()
	if activity == "awake" {
		if w.since.IsZero() {
			t.Fatal("it woke by itself")
		}
		if w.sureFrom.IsZero() {
			w.sureFrom = now
		}
		return true
	}
	if !w.sureFrom.IsZero() {
		t.Fatal("it fell asleep by itself")
	}
	if !w.since.IsZero() {
		w.periods = append(w.periods, period{span{w.since, now}, w.sure})
		w.since, w.sure = time.Time{}, nil
	}
	return false
}

// bounds says for how long the branch was awake: at least what somebody who is left has seen, and at most. slept are the lives of the control plane in
// which it was put to sleep: nobody is left who saw what it did in them before.
func (w *watchedBranch) bounds(slept []span) (least, most time.Duration) {
	for _, p := range w.periods {
		most += p.most.to.Sub(p.most.from)
		seen := -time.Second // when a server that is found running began is known to the second, and never too early
		for _, sure := range p.surely {
			seen += sure.to.Sub(sure.from)
			for _, life := range slept {
				seen -= sure.overlap(life)
			}
		}
		least += max(0, seen)
	}
	return least, most
}

// used is the awake time that was counted.
func (w *watchedBranch) used(t *testing.T) time.Duration {
	t.Helper()
	report, err := w.s.Usage(t.Context(), w.ref.Project, w.ref.Branch, api.UsageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(report.Total.ActiveTimeSeconds * float64(time.Second))
}

// The control plane is killed at any moment, again and again, while its branch is awake, asleep, or between the two. What is counted in the end is never
// more than the branch was awake. Less it is only by what it was awake in the life in which it was also put to sleep: nobody is left who saw that.
func TestUsageIsCountedOnceThoughTheControlPlaneIsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, _ := s.project(t, api.NewProject{Name: "shop"})
	s.sleep(t, development)
	s.signal(t, syscall.SIGTERM)
	s.start(t)
	w := &watchedBranch{s: s, ref: development}
	before := w.used(t)
	awake := false
	var slept []span // lives in which the branch was put to sleep
	const nothing, turn, half = "nothing", "turn", "half a turn"
	lives := []string{nothing, turn, half, turn, half, nothing, turn, half}
	rand.Shuffle(len(lives), func(i, j int) { lives[i], lives[j] = lives[j], lives[i] })
	// Before that it is awake for a while, through many lives.
	lives = append([]string{turn, nothing, nothing, nothing, nothing, nothing, turn}, lives...)
	for n, life := range lives {
		begun := time.Now()
		if n > 0 {
			s.start(t)
			awake = w.look(t)
		}
		act := func() error {
			if awake {
				_, err := s.Sleep(t.Context(), development, true)
				return err
			}
			_, err := s.Wake(t.Context(), development)
			return err
		}
		wake, done := !awake, make(chan error, 1)
		if life != nothing {
			w.turns(wake)
			go func() { done <- act() }()
		}
		if life == turn {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			awake = w.look(t)
		}
		moment := time.Duration(rand.IntN(300)) * time.Millisecond
		if life == nothing {
			moment += 400 * time.Millisecond // long enough to be missed
		}
		<-time.After(moment)
		s.signal(t, syscall.SIGKILL)
		if life == half {
			<-done // it may have ended in time, or not
		}
		if life != nothing && !wake {
			slept = append(slept, span{begun, time.Now()})
		}
		t.Logf("life %d: %s, killed after %s", n, life, time.Since(begun).Round(time.Millisecond))
	}
	s.start(t)
	if w.look(t) {
		w.turns(false)
		s.sleep(t, development)
		w.look(t)
	}
	s.signal(t, syscall.SIGTERM)
	s.start(t)

	least, most := w.bounds(slept)
	counted := w.used(t) - before
	t.Logf("counted %s, want %s to %s", counted, least, most)
	if counted > most || counted < least || least <= 0 {
		t.Errorf("counted %s, want %s to %s", counted, least, most)
	}
	s.signal(t, syscall.SIGKILL)
	s.start(t)
	if again := w.used(t) - before; again != counted {
		t.Errorf("after one more kill, while it sleeps, it is %s", again)
	}
}
