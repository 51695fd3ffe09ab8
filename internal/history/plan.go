package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
)

// Plan is how a point would be restored, to be shown before it is done.
type Plan struct {
	Point    holdfast.Point
	Lineage  string
	Timeline uint32
	LSN      holdfast.LSN  // where the WAL ends that is replayed
	Base     Base          // the base backup, or the snapshot on this machine, that it begins with
	Snapshot bool          // whether Base is a snapshot
	Fetch    int64         // stored bytes to read: packs of the base and of those before it
	Size     int64         // bytes of the data directory
	WAL      int64         // bytes of WAL to replay
	Estimate time.Duration // rough

	target  target
	chain   []Base // newest first
	needed  []storedSegment
	instead *Plan // from a base backup, should the snapshot not be usable; nil when there is none
}

// Plan finds the way to restore a point: the newest snapshot, or the base backup with the least WAL to replay, among those that are
// sound, whole and joined to the target by WAL without a gap; of the two the quicker. A point that cannot be restored is refused, with the reason.
func (a *Archive) Plan(ctx context.Context, p holdfast.Point) (*Plan, error) {
	t, err := a.resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Point: p, Lineage: t.lineage, Timeline: t.timeline, LSN: t.end, target: t}
	err = a.withCatalogue(ctx, func(c *catalogue) error { return c.choose(plan) })
	if err != nil {
		return nil, err
	}
	plan.estimate()
	return plan, nil
}

// estimate adds up what is to be done. The speeds are about those of a small machine.
func (p *Plan) estimate() {
	p.Fetch = 0
	for _, b := range p.chain {
		p.Fetch += b.Stored
	}
	p.Size, p.WAL = p.Base.Size, int64(p.target.cut-p.Base.StartLSN)
	p.Estimate = 2*time.Second + time.Duration(float64(p.WAL)/100e6*float64(time.Second))
	if !p.Snapshot {
		p.Estimate += time.Duration(float64(p.Size) / 300e6 * float64(time.Second))
	}
}

// choose picks base and WAL for the plan's target: the newest snapshot on the way to it, unless a base backup gets there sooner though it has
// to be fetched and written.
func (c *catalogue) choose(plan *Plan) error {
	t := &plan.target
	reason := c.chooseBase(plan)
	if reason == nil {
		plan.estimate()
	}
	for _, b := range slices.Backward(c.snapshots) {
		needed, err := c.neededWAL(t, b.StartLSN)
		if !b.onWay(t) || err != nil {
			continue
		}
		cloned := *plan
		cloned.Base, cloned.chain, cloned.needed, cloned.Snapshot = b, nil, needed, true
		cloned.estimate()
		if reason == nil {
			if b.StopLSN < plan.Base.StopLSN && cloned.Estimate > plan.Estimate {
				return nil
			}
			instead := *plan
			cloned.instead = &instead
		}
		*plan = cloned
		return nil
	}
	return reason
}

// chooseBase picks a base backup for the plan's target.
func (c *catalogue) chooseBase(plan *Plan) error {
	t := &plan.target
	var candidates []Base
	for _, b := range c.bases {
		if b.onWay(t) {
			candidates = append(candidates, b.Base)
		}
	}
	if len(candidates) == 0 {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no base backup before the moment asked for"}
	}
	slices.SortFunc(candidates, func(x, y Base) int {
		return cmp.Or(cmp.Compare(min(len(x.Corrupt), 1), min(len(y.Corrupt), 1)), -cmp.Compare(x.StopLSN, y.StopLSN))
	})
	var reason error
	for _, b := range candidates {
		chain, err := c.chain(b)
		if err == nil {
			plan.needed, err = c.neededWAL(t, b.StartLSN)
		}
		if err == nil {
			plan.Base, plan.chain = b, chain
			return nil
		}
		if reason == nil {
			reason = err
		}
	}
	return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the moment asked for cannot be restored: %v", reason), Cause: reason}
}

// onWay says whether recovery from the base leads to the target.
func (b Base) onWay(t *target) bool {
	if b.Lineage != t.lineage || b.StopLSN > t.cut || !t.after.IsZero() && b.Stopped.After(t.after) {
		return false
	}
	for _, f := range t.way {
		if f.timeline == b.Timeline {
			return b.StopLSN <= f.end
		}
	}
	return false
}

// chain lists a base and its parents.
func (c *catalogue) chain(b Base) ([]Base, error) {
	chain := []Base{b}
	for b.Parent != "" {
		parent, ok := c.bases[b.Parent]
		if !ok || len(chain) > maxChain {
			return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the base backup %s, on which %s builds, is missing", b.Parent, b.ID)}
		}
		b = parent.Base
		chain = append(chain, b)
	}
	return chain, nil
}
