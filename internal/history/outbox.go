package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// outbox keeps objects on this machine's disk until every location has them, and brings them there. What put has accepted
// survives a crash and a location that is down for days.
type outbox struct {
	dir    string
	mirror mirror
	log    *slog.Logger
	stored func(name string) // called when every location has the object

	mu      sync.Mutex
	waiting map[string]*parcel
	warned  time.Time     // when it was last logged that something cannot be brought away
	changed chan struct{} // closed and renewed when waiting or something in it changes
	stop    context.CancelFunc
	workers sync.WaitGroup
}

// parcel is an object on its way.
type parcel struct {
	name    string
	since   time.Time
	version int          // counts replacements
	at      map[int]bool // locations that have this version
	taken   bool         // a worker has it
	retry   time.Time    // not before
	tries   int
	err     error
}

const (
	outboxWorkers  = 2
	outboxFirstTry = time.Second
	outboxLastTry  = time.Minute
)

// openOutbox takes up what lies in dir. It works until close.
func openOutbox(dir string, m mirror, log *slog.Logger, stored func(string)) (*outbox, error) {
	o := &outbox{dir: dir, mirror: m, log: log, stored: stored, waiting: map[string]*parcel{}, changed: make(chan struct{})}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasSuffix(path, ".tmp") { // a crash came before the rename
			return os.Remove(path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			name := filepath.ToSlash(rel)
			o.waiting[name] = &parcel{name: name, since: info.ModTime(), at: map[int]bool{}}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.stop = cancel
	for range outboxWorkers {
		o.workers.Go(func() { o.work(ctx) })
	}
	return o, nil
}

// close stops the workers and returns when they have ended. What is waiting stays on disk.
func (o *outbox) close() {
	o.stop()
	o.workers.Wait()
}

func (o *outbox) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

// put accepts an object: when it returns, the object is on this machine's disk and on its way.
func (o *outbox) put(name string, content []byte) error {
	path := o.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("put %s into the outbox: %w", name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := writeDurable(path, content); err != nil {
		return fmt.Errorf("put %s into the outbox: %w", name, err)
	}
	p := o.waiting[name]
	if p == nil {
		p = &parcel{name: name, since: now()}
		o.waiting[name] = p
	}
	p.version, p.at, p.retry, p.tries = p.version+1, map[int]bool{}, time.Time{}, 0
	o.signal()
	return nil
}

// signal tells everybody who waits for a change. The caller holds mu.
func (o *outbox) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// read gives an object that is still here; ok is false when it is not.
func (o *outbox) read(name string) (file *os.File, ok bool) {
	file, err := os.Open(o.path(name))
	return file, err == nil
}

// has says whether the object is on its way.
func (o *outbox) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting[name] != nil
}

// drop forgets an object that is not needed any more. It may have reached locations already.
func (o *outbox) drop(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting[name] == nil {
		return nil
	}
	delete(o.waiting, name)
	o.signal()
	return o.remove(name)
}

func (o *outbox) remove(name string) error {
	if err := os.Remove(o.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear the outbox: %w", err)
	}
	return nil
}

// names lists what is waiting.
func (o *outbox) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := make([]string, 0, len(o.waiting))
	for name := range o.waiting {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// backlog says how many objects wait, since when the oldest does, and why it could not be brought away yet.
func (o *outbox) backlog() (n int, oldest time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.waiting {
		if oldest.IsZero() || p.since.Before(oldest) {
			oldest, err = p.since, p.err
		}
	}
	return len(o.waiting), oldest, err
}

// wait returns when everything that waits now is at every location. It gives up when nothing gets there for as long as patience.
func (o *outbox) wait(ctx context.Context, patience time.Duration) error {
	stalled := time.NewTimer(patience)
	defer stalled.Stop()
	left := map[string]bool{}
	for _, name := range o.names() {
		left[name] = true
	}
	for {
		o.mu.Lock()
		changed, before := o.changed, len(left)
		var last error
		for name := range left {
			if p := o.waiting[name]; p == nil {
				delete(left, name)
			} else if p.err != nil {
				last = p.err
			}
		}
		o.mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		if len(left) < before {
			stalled.Reset(patience)
		}
		select {
		case <-changed:
		case <-stalled.C:
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("%d objects of the history wait to be stored, and none was for %s", len(left), patience), Cause: last}
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %d objects are at every location: %w", len(left), ctx.Err()), last)
		}
	}
}

// retryNow tries everything again without waiting, as after a location was mended.
func (o *outbox) retryNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.waiting {
		p.retry, p.tries = time.Time{}, 0
	}
	o.signal()
}

func (o *outbox) work(ctx context.Context) {
	for {
		p, version, changed, pause := o.take()
		if p == nil {
			timer := time.NewTimer(pause)
			select {
			case <-changed:
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
			timer.Stop()
			continue
		}
		o.finish(ctx, p, version, o.bring(ctx, p))
		if ctx.Err() != nil {
			return
		}
	}
}

// take gives the parcel that has waited longest and may be tried, or how long to wait for one.
func (o *outbox) take() (p *parcel, version int, changed <-chan struct{}, pause time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pause = time.Hour
	t := time.Now()
	for _, q := range o.waiting {
		switch {
		case q.taken:
		case q.retry.After(t):
			pause = min(pause, q.retry.Sub(t))
		case p == nil || q.since.Before(p.since) || q.since.Equal(p.since) && q.name < p.name:
			p = q
		}
	}
	if p != nil {
		p.taken, version = true, p.version
	}
	return p, version, o.changed, pause
}

// bring puts the object wherever it is not yet.
func (o *outbox) bring(ctx context.Context, p *parcel) error {
	o.mu.Lock()
	have := p.at
	o.mu.Unlock()
	info, err := os.Stat(o.path(p.name))
	if err != nil {
		return gone(err) // dropped meanwhile
	}
	var errs []error
	for i, l := range o.mirror {
		if have[i] {
			continue
		}
		if err := putFileAt(ctx, l, o.path(p.name), p.name, info.Size()); err != nil {
			errs = append(errs, err)
			continue
		}
		o.mu.Lock()
		have[i] = true
		o.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (o *outbox) finish(ctx context.Context, p *parcel, version int, err error) {
	o.mu.Lock()
	p.taken = false
	if o.waiting[p.name] != p || p.version != version { // dropped or replaced meanwhile
		o.signal()
		o.mu.Unlock()
		return
	}
	p.err = err
	if err == nil {
		err = o.remove(p.name)
	}
	if err != nil {
		// All that waits fails in an outage, again and again: one line a minute says enough.
		if ctx.Err() == nil && time.Since(o.warned) > time.Minute {
			o.warned = time.Now()
			o.log.Warn("the history waits to be stored", "objects", len(o.waiting), "object", p.name, "err", err)
		}
		p.retry = time.Now().Add(min(outboxLastTry, outboxFirstTry<<min(p.tries, 10)))
		p.tries++
		o.signal()
		o.mu.Unlock()
		return
	}
	delete(o.waiting, p.name)
	o.signal()
	o.mu.Unlock()
	if o.stored != nil {
		o.stored(p.name)
	}
}
