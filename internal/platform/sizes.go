package platform

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// sizeInterval is how often the branches are measured. Measuring reads every directory entry, so nobody waits for it.
const sizeInterval = time.Minute

// sizes are the last measured sizes of the branches, in bytes.
type sizes struct {
	mu    sync.Mutex
	bytes map[holdfast.BranchID]int64
}

func (s *sizes) of(id holdfast.BranchID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[id]
}

// measure keeps the sizes of all branches up to date until ctx ends.
func (p *Platform) measure(ctx context.Context) {
	tick := time.NewTicker(sizeInterval)
	defer tick.Stop()
	for {
		for _, id := range p.directory.all() {
			p.measureOne(ctx, id)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Platform) measureOne(ctx context.Context, id holdfast.BranchID) {
	n, err := p.fleet.Size(ctx, id)
	if err != nil {
		if ctx.Err() == nil && holdfast.KindOf(err) != holdfast.NotFound {
			p.log.Warn("measure a branch", "branch", id, "err", err)
		}
		return
	}
	p.sizes.mu.Lock()
	defer p.sizes.mu.Unlock()
	if p.sizes.bytes == nil {
		p.sizes.bytes = map[holdfast.BranchID]int64{}
	}
	p.sizes.bytes[id] = n
}
