package schedule

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Next returns the first time after t at which the rule is due, in the rule's time zone. It is zero when none comes within five years.
func (r Rule) Next(t time.Time) time.Time {
	if r.elapsed {
		return r.nextElapsed(t)
	}
	for wall := onTheWall(t.In(r.zone)); ; {
		if wall = r.spec.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		// What the wall shows may come again or never: only a real time later than t counts.
		if real := r.realTime(wall); real.After(t) {
			return real
		}
	}
}

// nextElapsed looks at one stretch of constant offset from UTC after the other. In each of them, the wall clock is as regular as real time.
func (r Rule) nextElapsed(t time.Time) time.Time {
	const stretches = 64 // more than thirty years of changes twice a year
	stretch, from := t.In(r.zone), t
	for range stretches {
		_, seconds := stretch.Zone()
		offset := time.Duration(seconds) * time.Second
		wall := r.spec.Next(from.UTC().Add(offset))
		if wall.IsZero() {
			return time.Time{}
		}
		real := wall.Add(-offset)
		_, end := stretch.ZoneBounds()
		if end.IsZero() || real.Before(end) {
			return real.In(r.zone)
		}
		stretch, from = end.In(r.zone), end.Add(-time.Second) // the change itself may be due
	}
	return time.Time{}
}

// onTheWall is what a clock on the wall shows, written as if it were UTC.
func onTheWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// realTime is the first moment at which the wall clock shows that, or where it jumps over it, the moment of the jump.
func (r Rule) realTime(wall time.Time) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, r.zone)
	start, end := t.ZoneBounds()
	if onTheWall(t).Equal(wall) {
		if start.IsZero() {
			return t
		}
		// The clock was set back less than a day ago, perhaps over this very time: then it was shown earlier already.
		_, before := start.Add(-time.Second).Zone()
		_, now := t.Zone()
		if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(start) && onTheWall(earlier).Equal(wall) {
			return earlier
		}
		return t
	}
	if !end.IsZero() && onTheWall(t).Before(wall) && end.Sub(t) <= wall.Sub(onTheWall(t))+24*time.Hour {
		return end.In(r.zone)
	}
	return start.In(r.zone)
}

// Run is one run of a rule that is due.
type Run struct {
	At     time.Time // when it was due
	Missed int       // how many due times before At passed without a run; counted up to MaxMissed
}

// MaxMissed is the highest number of missed runs that is counted.
const MaxMissed = 1000

// Due says which run is to begin at now, when the run that was due at last was the last one that began. (For a new schedule, last is
// when it was made.) However many were missed meanwhile, one run catches up: the last of them.
func (r Rule) Due(last, now time.Time) (Run, bool) {
	next := r.Next(last)
	if next.IsZero() || next.After(now) {
		return Run{}, false
	}
	run := Run{At: next}
	for run.Missed < MaxMissed {
		if next = r.Next(run.At); next.IsZero() || next.After(now) {
			return run, true
		}
		run = Run{At: next, Missed: run.Missed + 1}
	}
	run.At = r.lastUntil(run.At, now)
	return run, true
}

// lastUntil is the last due time that is not after now; known is one of them. It looks back from now by doubling steps.
func (r Rule) lastUntil(known, now time.Time) time.Time {
	for step := time.Minute; now.Add(-step).After(known); step *= 2 {
		if at := r.Next(now.Add(-step)); !at.IsZero() && !at.After(now) {
			known = at
			break
		}
	}
	for {
		next := r.Next(known)
		if next.IsZero() || next.After(now) {
			return known
		}
		known = next
	}
}

// Delay is by how much the run of a schedule that is due at that time begins later: anything from nothing to jitter, always the same for
// the same run, so that a restart in between changes nothing.
func Delay(key string, at time.Time, jitter time.Duration) time.Duration {
	if jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key + " " + strconv.FormatInt(at.Unix(), 10))) // never fails
	return time.Duration(h.Sum64() % uint64(jitter))
}
