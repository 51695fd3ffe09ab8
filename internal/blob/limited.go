package blob

import (
	"context"
	"io"
	"iter"
	"sync"
	"time"
)

// Limited is a location that moves no more than so many bytes a second, however many calls are under way: it leaves the rest of the line to
// the users.
type Limited struct {
	inner    Location
	up, down *pace
}

var _ Location = (*Limited)(nil)

// NewLimited wraps inner. up and down are bytes a second for Put and Get; 0: no limit.
func NewLimited(inner Location, up, down int64) *Limited {
	return &Limited{inner: inner, up: &pace{rate: up}, down: &pace{rate: down}}
}

// Put implements Location.
func (l *Limited) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	return l.inner.Put(ctx, name, &paced{ctx: ctx, from: r, pace: l.up}, opts)
}

// Get implements Location.
func (l *Limited) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r, err := l.inner.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return readCloser{&paced{ctx: ctx, from: r, pace: l.down}, r}, nil
}

// Stat implements Location.
func (l *Limited) Stat(ctx context.Context, name string) (Info, error) {
	return l.inner.Stat(ctx, name)
}

// List implements Location.
func (l *Limited) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return l.inner.List(ctx, prefix)
}

// Delete implements Location.
func (l *Limited) Delete(ctx context.Context, name string) error { return l.inner.Delete(ctx, name) }

// pace is shared by everybody who is limited together: each byte moves the moment at which the next may follow.
type pace struct {
	rate int64
	mu   sync.Mutex
	next time.Time
}

// step is how much is read at once, a tenth of a second's bytes at most, so that many share fairly.
func (p *pace) step(size int) int {
	if p.rate <= 0 {
		return size
	}
	return min(size, int(max(1, min(p.rate/10, 64<<10))))
}

// wait waits until n bytes more may have moved.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate <= 0 || n == 0 {
		return nil
	}
	p.mu.Lock()
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	until := p.next
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type paced struct {
	ctx  context.Context
	from io.Reader
	pace *pace
}

func (r *paced) Read(p []byte) (int, error) {
	n, err := r.from.Read(p[:r.pace.step(len(p))])
	if waitErr := r.pace.wait(r.ctx, n); waitErr != nil {
		return n, waitErr
	}
	return n, err
}
