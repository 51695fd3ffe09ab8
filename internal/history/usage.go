package history

import (
	"context"
	"fmt"
	"sync"
)

// Usage is what a branch's history takes, in bytes.
type Usage struct {
	Stored  int64 // at all locations together, compressed, and in snapshots what they alone take
	Logical int64 // once, before compression: WAL, each base backup and each snapshot as if it were a copy
}

// Usage measures the history. It lists every object at every location, so it is not for every moment.
func (a *Archive) Usage(ctx context.Context) (Usage, error) {
	snapshots := a.SnapshotUsage()
	u := Usage{Stored: snapshots.Physical, Logical: snapshots.Logical}
	var mu sync.Mutex
	err := a.mirror.each(ctx, func(ctx context.Context, l Location) error {
		for info, err := range l.List(ctx, a.objects.folder()) {
			if err != nil {
				return fmt.Errorf("measure the history at %s: %w", l.Name, err)
			}
			mu.Lock()
			u.Stored += max(0, info.Stored)
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return Usage{}, err
	}
	err = a.withCatalogue(ctx, func(c *catalogue) error {
		for _, b := range c.bases {
			u.Logical += b.Size
		}
		for _, list := range c.segments {
			for _, s := range list {
				u.Logical += s.end
			}
		}
		return nil
	})
	return u, err
}
