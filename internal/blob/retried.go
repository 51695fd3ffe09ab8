package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/holdfast/holdfast"
)

// Retried is a location that tries again what may succeed later: calls that were Unavailable, Busy or took too long, a Put that was read back as
// Corrupt, and a Get or a List that broke off, which goes on where it was. Everything else is answered at once.
//
// A Put can be tried again when its source can be read again: when it is an io.Seeker, small, or kept in a spool folder while it is sent.
// Any other source is tried once. After a lost answer a Put with IfAbsent may find its own object: one with the same bytes is success.
type Retried struct {
	inner   Location
	backoff Backoff
	spool   string
}

var _ Location = (*Retried)(nil)

// NewRetried wraps inner. spool is the folder for what must be kept while it is sent; empty: nothing large is kept.
func NewRetried(inner Location, backoff Backoff, spool string) *Retried {
	return &Retried{inner: inner, backoff: backoff, spool: spool}
}

// Put implements Location.
func (l *Retried) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	from, err := newRewinder(ctx, r, l.spool)
	if err != nil {
		return Info{}, fmt.Errorf("put %s: %w", name, err)
	}
	defer from.Close()
	var info Info
	var src *source
	worth := func(err error) bool {
		return src.err == nil && from.canRewind() && (transient(err) || holdfast.KindOf(err) == holdfast.Corrupt)
	}
	err = l.backoff.do(ctx, worth, func(retry int) (err error) {
		if retry > 0 {
			if err := from.rewind(); err != nil {
				return fmt.Errorf("put %s again: %w", name, err)
			}
		}
		src = newSource(ctx, from, opts)
		info, err = l.inner.Put(ctx, name, src, opts)
		if retry > 0 && opts.IfAbsent && err != nil && holdfast.KindOf(err) == holdfast.Conflict {
			info, err = l.mine(ctx, name, from, err)
		}
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// mine describes the object when it holds what the source gives: an earlier try put it and only the answer was lost. Otherwise it returns the conflict.
func (l *Retried) mine(ctx context.Context, name string, from *rewinder, conflict error) (Info, error) {
	if err := from.rewind(); err != nil {
		return Info{}, conflict
	}
	ours := newSource(ctx, from, PutOptions{})
	if _, err := io.Copy(io.Discard, ours); err != nil {
		return Info{}, fmt.Errorf("put %s: %w", name, err)
	}
	object, err := l.inner.Get(ctx, name, 0, -1)
	if err != nil {
		return Info{}, err
	}
	defer object.Close()
	theirs := newSource(ctx, object, PutOptions{})
	if _, err := io.Copy(io.Discard, theirs); err != nil {
		return Info{}, err
	}
	info := ours.info(name)
	if theirs.info(name) != info {
		return Info{}, conflict
	}
	info.Stored = -1
	return info, nil
}

// Get implements Location.
func (l *Retried) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r := &resumed{ctx: ctx, location: l, name: name, next: offset, left: length}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// resumed is a body that asks for the rest when it breaks off.
type resumed struct {
	ctx      context.Context
	location *Retried
	name     string
	next     int64
	left     int64 // negative: to the end
	from     io.ReadCloser
	broken   error // the last thing that Read answered, when that was final
}

func (r *resumed) open() error {
	return r.location.backoff.do(r.ctx, transient, func(int) (err error) {
		r.from, err = r.location.inner.Get(r.ctx, r.name, r.next, r.left)
		return err
	})
}

func (r *resumed) Read(p []byte) (int, error) {
	for broke := 0; r.broken == nil; broke++ {
		n, err := r.from.Read(p)
		r.next += int64(n)
		if r.left > 0 {
			r.left -= min(r.left, int64(n))
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) || !transient(err) || r.ctx.Err() != nil || broke+1 >= r.location.backoff.tries():
			r.broken = err
			return n, err
		}
		r.from.Close()
		r.from = emptyBody()
		if r.location.backoff.wait(r.ctx, broke) != nil {
			r.broken = r.ctx.Err()
		} else if openErr := r.open(); openErr != nil {
			r.broken = openErr
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.broken
}

func (r *resumed) Close() error { return r.from.Close() }

// Stat implements Location.
func (l *Retried) Stat(ctx context.Context, name string) (info Info, err error) {
	err = l.backoff.do(ctx, transient, func(int) error {
		info, err = l.inner.Stat(ctx, name)
		return err
	})
	return info, err
}

// List implements Location.
func (l *Retried) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		last := ""
		for retry := 0; ; retry++ {
			var broke error
			for info, err := range l.inner.List(ctx, prefix) {
				if err != nil {
					broke = err
					break
				}
				if info.Name <= last {
					continue // given before the listing broke off
				}
				last, retry = info.Name, 0
				if !yield(info, nil) {
					return
				}
			}
			if broke == nil {
				return
			}
			if ctx.Err() != nil || !transient(broke) || retry+1 >= l.backoff.tries() || l.backoff.wait(ctx, retry) != nil {
				yield(Info{}, broke)
				return
			}
		}
	}
}

// Delete implements Location.
func (l *Retried) Delete(ctx context.Context, name string) error {
	return l.backoff.do(ctx, transient, func(int) error { return l.inner.Delete(ctx, name) })
}
