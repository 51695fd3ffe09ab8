package history

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
)

// Window says to which times the branch can be restored now.
func (a *Archive) Window(ctx context.Context) (holdfast.Window, error) {
	if err := a.observe(ctx); err != nil {
		return holdfast.Window{}, err
	}
	var ranges []timeRange
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		ranges = c.restorable(a.presentUntil())
		return nil
	})
	return windowOf(ranges), err
}

func windowOf(ranges []timeRange) holdfast.Window {
	if len(ranges) == 0 {
		return holdfast.Window{}
	}
	w := holdfast.Window{Earliest: ranges[0].from, Latest: ranges[len(ranges)-1].to}
	for i := 1; i < len(ranges); i++ {
		w.Gaps = append(w.Gaps, holdfast.Gap{From: ranges[i-1].to, To: ranges[i].from, Reason: ranges[i].before})
	}
	return w
}

// presentUntil is the time up to which the archive knows that nothing else was committed: now, unless the stream is broken or behind;
// then it is when it last was not, and zero when it never was. The caller holds mu.
func (a *Archive) presentUntil() time.Time {
	if st := a.stream; st != nil && (st.caughtUp.Load() == 0 || st.position.Load() < st.sent.Load()) {
		if last := st.lastWhole.Load(); last != 0 {
			return time.UnixMicro(last).UTC()
		}
		return time.Time{}
	}
	return now()
}

// timeRange is a time to whose every moment the branch can be restored.
type timeRange struct {
	from, to time.Time
	before   string // why the time before it cannot
}

// restorable joins the ranges that the base backups open: each from its completion to where its WAL ends.
func (c *catalogue) restorable(present time.Time) []timeRange {
	var ranges []timeRange
	for i, s := range c.spans {
		until := present
		if i+1 < len(c.spans) {
			until = c.spans[i+1].Began
		}
		for _, b := range c.bases {
			if r, ok := c.rangeOf(s, b.Base, until, i+1 == len(c.spans)); ok {
				ranges = append(ranges, r)
			}
		}
	}
	slices.SortFunc(ranges, func(x, y timeRange) int { return x.from.Compare(y.from) })
	var joined []timeRange
	for _, r := range ranges {
		last := len(joined) - 1
		if last >= 0 && !r.from.After(joined[last].to) {
			joined[last].to = later(joined[last].to, r.to)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}

// rangeOf says which moments of a span can be restored from a base.
func (c *catalogue) rangeOf(s span, b Base, until time.Time, current bool) (timeRange, bool) {
	key := walKey{s.Lineage, s.Timeline}
	way, err := c.way(key)
	if err != nil {
		return timeRange{}, false
	}
	t := &target{walKey: key, way: way, cut: endless}
	if !b.onWay(t) {
		return timeRange{}, false
	}
	if _, err := c.chain(b); err != nil {
		return timeRange{}, false
	}
	end, last, whole := c.reach(t, b)
	if end < b.StopLSN {
		return timeRange{}, false
	}
	from := later(b.Stopped, s.Began)
	r := timeRange{from: from, to: until, before: "WAL was lost, and this is when the next base backup was complete"}
	if !whole { // behind the missing segment something may have been committed right after the last commit before it
		r.to = later(from, last)
	}
	if current && until.IsZero() { // the stream is behind: only what was committed is known
		r.to = later(from, last)
	}
	return r, !r.to.Before(r.from)
}

// reach follows the WAL from a base along the way: where it ends, the latest commit before, and whether nothing is known to follow.
func (c *catalogue) reach(t *target, b Base) (end holdfast.LSN, last time.Time, whole bool) {
	list := c.list(t.walKey)
	if len(list) == 0 {
		return c.reachBeforeFork(t, b)
	}
	size := uint64(list[0].segment.Size)
	number := uint64(b.StartLSN) / size
	for {
		seg, ok := c.onWay(t, number, int64(size))
		if !ok {
			break
		}
		end, last = seg.endLSN(), later(last, seg.lastCommit)
		if !seg.complete() {
			break
		}
		number++
	}
	final := list[len(list)-1]
	return end, last, end >= final.endLSN()
}

// reachBeforeFork is for a timeline of which nothing has arrived yet: it is as its parent was at the fork.
func (c *catalogue) reachBeforeFork(t *target, b Base) (holdfast.LSN, time.Time, bool) {
	n := len(t.way)
	if n < 2 {
		return 0, time.Time{}, false
	}
	parent := &target{walKey: walKey{t.lineage, t.way[n-2].timeline}, way: slices.Clone(t.way[:n-1])}
	end, last, _ := c.reach(parent, b)
	return min(end, t.way[n-2].end), last, end >= t.way[n-2].end
}

// Bases lists the base backups, newest first.
func (a *Archive) Bases(ctx context.Context) ([]Base, error) {
	var bases []Base
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		for _, b := range c.bases {
			bases = append(bases, b.Base)
		}
		return nil
	})
	slices.SortFunc(bases, func(x, y Base) int { return -cmp.Compare(x.ID, y.ID) })
	return bases, err
}
