package platform

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/volume"
)

// sizeInterval is how often the branches are measured. Measuring reads every directory entry, so nobody waits for it.
const sizeInterval = time.Minute

// historyInterval is how often what is stored of the histories is measured, which lists the objects of every location.
const historyInterval = 10 * time.Minute

// sizes are the last measured sizes of the branches.
type sizes struct {
	mu        sync.Mutex
	data      map[holdfast.BranchID]volume.Usage
	histories map[holdfast.BranchID]history.Usage
	measured  map[holdfast.BranchID]time.Time // when its history was
}

// of is the bytes that a branch's data takes on the disk.
func (s *sizes) of(id holdfast.BranchID) int64 {
	data, _ := s.all(id)
	return data.Physical
}

func (s *sizes) all(id holdfast.BranchID) (volume.Usage, history.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[id], s.histories[id]
}

// measure keeps the sizes of all branches up to date until ctx ends, those of removed ones too: they are kept whole.
func (p *Platform) measure(ctx context.Context) {
	tick := time.NewTicker(sizeInterval)
	defer tick.Stop()
	for {
		var all []store.Branch
		if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.AllBranches(); return err }); err != nil && ctx.Err() == nil {
			p.log.Warn("list the branches to measure", "err", err)
		}
		for _, b := range all {
			if b.State == store.Ready {
				p.measureOne(ctx, b.ID)
				p.measureHistory(ctx, b.ID)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Platform) measureOne(ctx context.Context, id holdfast.BranchID) {
	used, err := p.fleet.Usage(ctx, id)
	if err != nil {
		if ctx.Err() == nil && holdfast.KindOf(err) != holdfast.NotFound {
			p.log.Warn("measure a branch", "branch", id, "err", err)
		}
		return
	}
	p.sizes.mu.Lock()
	defer p.sizes.mu.Unlock()
	if p.sizes.data == nil {
		p.sizes.data = map[holdfast.BranchID]volume.Usage{}
	}
	p.sizes.data[id] = used
}

// measureHistory measures what is stored of a branch's history. Where a location does not answer the last figure stays.
func (p *Platform) measureHistory(ctx context.Context, id holdfast.BranchID) {
	p.sizes.mu.Lock()
	if p.sizes.histories == nil {
		p.sizes.histories, p.sizes.measured = map[holdfast.BranchID]history.Usage{}, map[holdfast.BranchID]time.Time{}
	}
	due := time.Since(p.sizes.measured[id]) >= historyInterval
	p.sizes.mu.Unlock()
	p.histories.mu.Lock()
	k := p.histories.kept[id]
	p.histories.mu.Unlock()
	if k == nil || !due {
		return
	}
	used, err := k.archive.Usage(ctx)
	if ctx.Err() != nil {
		return
	}
	p.sizes.mu.Lock()
	defer p.sizes.mu.Unlock()
	p.sizes.measured[id] = time.Now()
	if err != nil {
		p.log.Warn("measure a history", "branch", id, "err", err)
		return
	}
	p.sizes.histories[id] = used
}
