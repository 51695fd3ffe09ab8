package fleet

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Suspend takes a branch out of service: its server is stopped cleanly, sessions that Hooks.Rest leaves are ended, and whoever comes waits until
// resume is called. Between the two the data directory belongs to the caller, who may replace it. A second resume does nothing.
func (f *Fleet) Suspend(ctx context.Context, id holdfast.BranchID) (resume func(), err error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	t, err := b.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("take the branch out of service: %w", err)
	}
	b.mu.Lock()
	awake := b.activity == holdfast.Awake
	if awake {
		b.setLocked(holdfast.Sleeping, nil)
	}
	b.mu.Unlock()
	if awake {
		if err := f.maySleep(ctx, b, sleepOrder{force: true}); err != nil {
			b.end(t, holdfast.Awake, nil, nil)
			return nil, err
		}
		if err := f.stop(ctx, b, postgres.Fast); err != nil {
			b.end(t, holdfast.Asleep, nil, nil) // it may be stopping still: the next wake finds out
			return nil, fmt.Errorf("take the branch out of service: %w", err)
		}
		b.set(holdfast.Asleep, nil)
	}
	return sync.OnceFunc(func() { b.end(t, holdfast.Asleep, nil, nil) }), nil
}
