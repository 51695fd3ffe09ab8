package blob

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast/holdfast"
)

// Backoff says how often and how soon something is tried again. The wait before try n is random between half and all of First doubled n
// times, but no longer than Most, so that many who failed together do not come back together. The zero value is 5 tries within about 8 seconds.
type Backoff struct {
	Tries int           // in all; 0: 5
	First time.Duration // 0: half a second
	Most  time.Duration // 0: 30 seconds
}

func (b Backoff) tries() int {
	if b.Tries <= 0 {
		return 5
	}
	return b.Tries
}

// wait waits before the given retry, counted from 0. It returns the error of a context that ends meanwhile.
func (b Backoff) wait(ctx context.Context, retry int) error {
	first, most := b.First, b.Most
	if first <= 0 {
		first = 500 * time.Millisecond
	}
	if most <= 0 {
		most = 30 * time.Second
	}
	full := most
	if retry < 30 && first<<retry < most {
		full = first << retry
	}
	timer := time.NewTimer(full/2 + rand.N(full/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do calls try until it succeeds, fails in a way that is not worth another try, or was called often enough. The error is the last try's.
func (b Backoff) do(ctx context.Context, worth func(error) bool, try func(retry int) error) error {
	for retry := 0; ; retry++ {
		err := try(retry)
		if err == nil || ctx.Err() != nil || !worth(err) || retry+1 >= b.tries() {
			return err
		}
		if b.wait(ctx, retry) != nil {
			return err
		}
	}
}

// transient says whether the same call may succeed later.
func transient(err error) bool {
	switch holdfast.KindOf(err) {
	case holdfast.Unavailable, holdfast.Busy, holdfast.Timeout:
		return true
	}
	return false
}
