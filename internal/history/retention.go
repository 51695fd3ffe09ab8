package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Pruned says what was removed.
type Pruned struct {
	Bases       int
	Segments    int
	Checkpoints int
}

// Prune removes what no moment of the last window, no checkpoint that is pinned or kept for a time, and no base backup that is kept needs. The newest sound base
// backup and its WAL stay whatever their age. A location that is out of reach keeps its copies until the next time.
func (a *Archive) Prune(ctx context.Context, window time.Duration) (Pruned, error) {
	if !a.writing.TryLock() {
		return Pruned{}, &holdfast.Error{Kind: holdfast.Busy, Message: "the history is being read or written; try again when that is done"}
	}
	defer a.writing.Unlock()
	a.keepSnapshotsFor(window)
	// What the locations really hold, leftovers of crashes included.
	a.mu.Lock()
	a.known = nil
	a.mu.Unlock()
	var plan *retention
	err := a.withCatalogue(ctx, func(c *catalogue) error { at := now(); plan = c.retain(at, at.Add(-window)); return nil })
	if err != nil {
		return Pruned{}, err
	}
	orphans, err := a.orphanedData(ctx)
	if err != nil {
		return Pruned{}, err
	}
	pruned, err := a.carryOut(ctx, plan, orphans)
	if err != nil {
		a.mu.Lock()
		a.known = nil // what could not be removed is listed again next time
		a.mu.Unlock()
	}
	return pruned, err
}

// retention is the decision what stays.
type retention struct {
	bases      map[string]bool
	wal        map[walKey][]numberRange
	lineages   map[string]bool
	dropBases  []Base // an increment before its parent
	dropWAL    []storedSegment
	dropPoints []holdfast.CheckpointID
}

// numberRange is a run of segment numbers, both ends included.
type numberRange struct{ first, last uint64 }

// retain decides what moments from since on, checkpoints that are kept beyond it at the moment at, and the newest base need.
func (c *catalogue) retain(at, since time.Time) *retention {
	r := &retention{bases: map[string]bool{}, wal: map[walKey][]numberRange{}, lineages: map[string]bool{}}
	c.retainSpans(r, since)
	c.retainCheckpoints(r, at, since)
	c.retainNewest(r)
	for _, b := range c.bases {
		if !r.bases[b.ID] {
			r.dropBases = append(r.dropBases, b.Base)
		}
	}
	slices.SortFunc(r.dropBases, func(x, y Base) int { return -cmp.Compare(x.Depth, y.Depth) })
	for key, list := range c.segments {
		for _, s := range list {
			if !slices.ContainsFunc(r.wal[key], func(n numberRange) bool { return s.segment.Number >= n.first && s.segment.Number <= n.last }) {
				r.dropWAL = append(r.dropWAL, s)
			}
		}
	}
	slices.SortFunc(r.dropWAL, bySegment)
	r.dropWAL = append(r.dropWAL, c.shorter...)
	c.shorter = nil
	return r
}

// retainSpans keeps, for every time at which something was the branch, the base that leads to the oldest moment wanted of it, every
// base that was made since, and the WAL from there on.
func (c *catalogue) retainSpans(r *retention, since time.Time) {
	for i, s := range c.spans {
		if i+1 < len(c.spans) && c.spans[i+1].Began.Before(since) {
			continue
		}
		key := walKey{s.Lineage, s.Timeline}
		way, err := c.way(key)
		if err != nil {
			continue // nothing of it can be restored; it goes when its time has passed
		}
		r.lineages[s.Lineage] = true
		t := &target{walKey: key, way: way, cut: endless}
		var first *Base
		oldest := later(since, s.Began)
		for _, b := range c.bases {
			if !b.onWay(t) {
				continue
			}
			if b.Stopped.After(oldest) {
				c.keep(r, b.Base, t)
			} else if first == nil || better(b.Base, *first) {
				first = &b.Base
			}
		}
		if first != nil {
			c.keep(r, *first, t)
		}
		if first == nil && i+1 == len(c.spans) && !slices.ContainsFunc(c.baseList(), func(b Base) bool { return b.onWay(t) }) {
			c.keepWAL(r, t, s.From, endless) // nothing can be restored yet; nothing is thrown away either
		}
	}
}

// better says whether a is the better one to begin with: sound before damaged, then the later.
func better(a, b Base) bool {
	if (len(a.Corrupt) == 0) != (len(b.Corrupt) == 0) {
		return len(a.Corrupt) == 0
	}
	return a.StopLSN > b.StopLSN
}

func (c *catalogue) retainCheckpoints(r *retention, at, since time.Time) {
	for id, cp := range c.checkpoints {
		if !cp.KeptBeyond(at) {
			if cp.At.Before(since) {
				r.dropPoints = append(r.dropPoints, id)
			}
			continue
		}
		key := walKey{cp.Lineage, cp.Timeline}
		way, err := c.way(key)
		if err != nil {
			continue
		}
		r.lineages[cp.Lineage] = true
		plan := &Plan{target: target{walKey: key, way: way, cut: cp.LSN}}
		if c.chooseBase(plan) == nil {
			c.keepChain(r, plan.Base)
			c.keepWAL(r, &plan.target, plan.Base.StartLSN, cp.LSN)
		}
	}
}

// retainNewest keeps the newest sound base of the present lineage, so that whatever happens there is one.
func (c *catalogue) retainNewest(r *retention) {
	if len(c.spans) == 0 {
		return
	}
	last := c.spans[len(c.spans)-1]
	r.lineages[last.Lineage] = true
	way, err := c.way(walKey{last.Lineage, last.Timeline})
	if err != nil {
		return
	}
	t := &target{walKey: walKey{last.Lineage, last.Timeline}, way: way, cut: endless}
	var newest *Base
	for _, b := range c.bases {
		if b.onWay(t) && b.everywhere && (newest == nil || better(b.Base, *newest)) {
			newest = &b.Base
		}
	}
	if newest != nil {
		c.keep(r, *newest, t)
	}
}

// keep keeps a base and the WAL that follows it on the way to the target.
func (c *catalogue) keep(r *retention, b Base, t *target) {
	c.keepChain(r, b)
	c.keepWAL(r, t, b.StartLSN, t.cut)
}

func (c *catalogue) keepChain(r *retention, b Base) {
	r.bases[b.ID] = true
	for b.Parent != "" && !r.bases[b.Parent] {
		parent, ok := c.bases[b.Parent]
		if !ok {
			return
		}
		b = parent.Base
		r.bases[b.ID] = true
	}
	// An ancestor that was kept already has its own ancestors kept.
}

func (c *catalogue) keepWAL(r *retention, t *target, from, to holdfast.LSN) {
	size := uint64(c.lineages[t.lineage].SegmentSize)
	if size == 0 {
		size = postgres.DefaultSegmentSize
	}
	begin := holdfast.LSN(0)
	for _, f := range t.way {
		first, last := max(from, begin), min(to, f.end)
		if first <= last {
			key := walKey{t.lineage, f.timeline}
			r.wal[key] = append(r.wal[key], numberRange{uint64(first) / size, uint64(last) / size})
		}
		begin = f.end
	}
}

// orphanedData lists the objects below data/ that belong to no base and to no backup that can still be resumed.
func (a *Archive) orphanedData(ctx context.Context) ([]string, error) {
	listed, _, err := a.mirror.list(ctx, a.objects.data())
	if err != nil {
		return nil, err
	}
	resumable, err := resumableBase(a.path("base-journal"))
	if err != nil {
		return nil, err
	}
	var orphans []string
	err = a.withCatalogue(ctx, func(c *catalogue) error {
		for name := range listed {
			base := path.Base(path.Dir(name))
			if _, ok := c.bases[base]; !ok && base != resumable {
				orphans = append(orphans, name)
			}
		}
		return nil
	})
	slices.Sort(orphans)
	return orphans, err
}

// carryOut removes what is to go. What describes goes first, so that a crash leaves data that nobody counts on, never the reverse.
func (a *Archive) carryOut(ctx context.Context, r *retention, orphans []string) (pruned Pruned, err error) {
	var errs []error
	gone := func(name string) bool {
		err := a.outbox.drop(name)
		if err == nil {
			err = a.mirror.delete(ctx, name)
		}
		errs = append(errs, err)
		return err == nil
	}
	for _, id := range r.dropPoints {
		if gone(a.objects.checkpoint(id)) {
			a.note(func(c *catalogue) { delete(c.checkpoints, id) })
			pruned.Checkpoints++
		}
	}
	for _, b := range r.dropBases {
		if ctx.Err() != nil || !gone(a.objects.base(b.ID)) {
			continue
		}
		a.note(func(c *catalogue) { delete(c.bases, b.ID) })
		pruned.Bases++
		errs = append(errs, a.removeData(ctx, b.ID))
	}
	for _, name := range orphans {
		gone(name)
	}
	for _, s := range r.dropWAL {
		if ctx.Err() != nil {
			break
		}
		if gone(a.objects.segment(s)) {
			a.note(func(c *catalogue) { c.forgetSegment(s) })
			pruned.Segments++
		}
	}
	errs = append(errs, a.removeLineages(ctx, r), ctx.Err())
	if err := errors.Join(errs...); err != nil {
		return pruned, fmt.Errorf("remove old history: %w", err)
	}
	return pruned, nil
}

func (c *catalogue) forgetSegment(s storedSegment) {
	key := walKey{s.lineage, s.segment.Timeline}
	c.segments[key] = slices.DeleteFunc(c.segments[key], func(k storedSegment) bool { return k == s })
	if len(c.segments[key]) == 0 {
		delete(c.segments, key)
	}
}

func (a *Archive) removeData(ctx context.Context, base string) error {
	return a.mirror.each(ctx, func(ctx context.Context, l Location) error {
		for info, err := range l.List(ctx, a.objects.data()+base+"/") {
			if err == nil {
				err = l.Delete(ctx, info.Name)
			}
			if err != nil {
				return fmt.Errorf("remove the base backup %s at %s: %w", base, l.Name, err)
			}
		}
		return nil
	})
}

// removeLineages removes what describes lineages of which nothing is left.
func (a *Archive) removeLineages(ctx context.Context, r *retention) error {
	var names []string
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		for id := range c.lineages {
			if r.lineages[id] || slices.ContainsFunc(c.baseList(), func(b Base) bool { return b.Lineage == id }) {
				continue
			}
			for key := range c.timelines {
				if key.lineage == id {
					names = append(names, a.objects.timeline(id, key.timeline))
				}
			}
			for _, s := range c.spans {
				if s.Lineage == id {
					names = append(names, a.objects.span(s.ID))
				}
			}
			names = append(names, a.objects.lineage(id))
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, a.outbox.drop(name), a.mirror.delete(ctx, name))
	}
	a.mu.Lock()
	a.known = nil
	a.mu.Unlock()
	return errors.Join(errs...)
}

func (c *catalogue) baseList() []Base {
	list := make([]Base, 0, len(c.bases))
	for _, b := range c.bases {
		list = append(list, b.Base)
	}
	return list
}
