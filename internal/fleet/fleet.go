// Package fleet keeps every branch's PostgreSQL server on this machine as it is asked to be: it starts a server when somebody
// comes, stops it when nobody has used it for a while, restarts it when it dies, and adopts those that a former control
// plane left running.
//
// A caller may rely on this: however many ask at once, a server is started once and all of them wait for it; one who stops
// waiting takes nothing from the others. A server is put to sleep only by a clean shutdown, and not while a transaction is
// open or a query runs, unless that was insisted on. Closing a Fleet leaves its servers running.
//
// It does not decide who may do what, keeps no record of its own beside the data directories, and knows no name of a branch.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// Config is what a Fleet needs. Everything without a remark is required.
type Config struct {
	Installations []postgres.Installation
	Account       postgres.Account
	Root          string // below it each branch has a directory named after its ID; made where absent
	Logger        *slog.Logger
	Hooks         Hooks
	// Volume clones data directories below Root. Nil: Clone is refused.
	Volume *volume.Volume
	// Ticks drives the search for idle branches. Nil: once a second.
	Ticks <-chan time.Time
	// Backoff says how long to wait before the n-th restart of a server that died; n counts from 1. Nil: none for the first,
	// then from half a second, doubling.
	Backoff func(n int) time.Duration
}

// Hooks let the caller take part. Each may be nil.
type Hooks struct {
	// BeforeSleep is called while the branch still runs and admits nobody new. It may connect through the Server of the
	// branch. An error keeps the branch awake. When nobody asked for the sleep and somebody comes meanwhile, ctx ends.
	BeforeSleep func(ctx context.Context, id holdfast.BranchID) error
	// Rest is called before the server is stopped for a while, whatever for: it takes the sessions off that can wait without a server
	// process. Those that it leaves are ended. An error keeps the branch awake, except where the stop was insisted on.
	Rest func(ctx context.Context, id holdfast.BranchID) error
	// MayWake is asked before a sleeping branch is woken, whoever wants it. It is called under locks: it must not wait, nor call the Fleet. An
	// error keeps the branch asleep, and whoever wanted it gets it.
	MayWake func(id holdfast.BranchID) error
}

// A server that dies more than crashLimit times within crashWindow is left stopped.
const (
	crashLimit  = 4
	crashWindow = 10 * time.Minute
)

// stopTimeout is how long a clean shutdown may take (it writes what is dirty in memory) before the server is stopped at once.
const stopTimeout = 10 * time.Minute

// Fleet is all servers of this machine. Its methods may be called at any time by anybody.
type Fleet struct {
	config Config

	life   context.Context // ends with Close; carries work that no single caller owns
	cancel context.CancelFunc
	work   sync.WaitGroup

	recovering chan struct{} // a place for each recovery that goes on at once
	draining   atomic.Bool   // Shutdown has begun: nothing is started any more

	mu          sync.Mutex
	closed      bool
	branches    map[holdfast.BranchID]*branch
	creating    map[holdfast.BranchID]bool
	subscribers map[*Subscription]bool
}

// Open takes charge of the branches that specs describe: servers that run are adopted, and one that was not shut down
// cleanly, as after a crash of the machine, is started so that it recovers. It also clears away what an interrupted Create or Remove
// left. A branch that cannot be taken charge of is Broken; that is no error of Open.
func Open(ctx context.Context, config Config, specs []Spec) (*Fleet, error) {
	if err := config.Account.MkdirAll(config.Root); err != nil {
		return nil, unwritable(err, config.Root)
	}
	if err := config.Account.CheckReachable(filepath.Join(config.Root, "x")); err != nil {
		return nil, err
	}
	if config.Backoff == nil {
		config.Backoff = defaultBackoff
	}
	f := &Fleet{config: config, branches: map[holdfast.BranchID]*branch{}, creating: map[holdfast.BranchID]bool{}, subscribers: map[*Subscription]bool{}}
	f.recovering = make(chan struct{}, max(2, runtime.NumCPU()/2))
	f.life, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := f.clearLeftovers(ctx, specs); err != nil {
		f.cancel()
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, spec := range specs {
		if err := checkID(spec.ID); err != nil {
			f.cancel()
			return nil, errors.Join(err, group.Wait())
		}
		b := f.newBranch(spec)
		f.branches[spec.ID] = b
		group.Go(func() error { f.takeCharge(b); return nil })
	}
	_ = group.Wait() // its functions return nil
	f.spawn(f.watchIdle)
	return f, nil
}

func defaultBackoff(n int) time.Duration {
	if n == 1 {
		return 0
	}
	return min(500*time.Millisecond<<(n-2), 30*time.Second)
}

// takeCharge finds out what a branch's server does and lets that go on.
func (f *Fleet) takeCharge(b *branch) {
	server, err := b.serverOrError(f)
	if err != nil {
		b.set(holdfast.Broken, err)
		return
	}
	running, err := server.Adopt()
	if err != nil {
		b.set(holdfast.Broken, err)
		return
	}
	if running && server.Ready() {
		b.mu.Lock()
		f.nowAwake(b)
		b.mu.Unlock()
		f.config.Logger.Info("adopted a running server", "branch", b.spec.ID)
		return
	}
	control, err := server.Control(f.life)
	switch {
	case err != nil:
		b.set(holdfast.Broken, err)
	case !running && control.ShutDownCleanly():
		b.set(holdfast.Asleep, nil)
	default:
		// It is starting or stopping, or it was cut off. Waking it waits, or recovers. After a crash of the machine that is all
		// of them, which would starve each other; whoever is asked for does not stand in this queue.
		f.spawn(func(ctx context.Context) {
			select {
			case f.recovering <- struct{}{}:
				defer func() { <-f.recovering }()
				_ = f.wake(ctx, b) // the branch's status says what became of it
			case <-ctx.Done():
			}
		})
	}
}

// Close lets go of every server; they run on and the next Open adopts them. It returns when nothing of the Fleet works any
// more. A second Close does nothing.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.work.Wait()
	for _, b := range f.all() {
		b.lookup.close(context.Background()) // Close has no context of its own, and this is brief
		b.mu.Lock()
		if b.server != nil {
			b.server.Detach()
		}
		b.mu.Unlock()
	}
	return nil
}

// Shutdown stops every server cleanly, several at a time, and closes the Fleet. What could not be stopped when ctx ends runs on
// and is named in the error.
func (f *Fleet) Shutdown(ctx context.Context) error {
	f.draining.Store(true)
	var group errgroup.Group
	group.SetLimit(8)
	var mu sync.Mutex
	var errs []error
	for _, b := range f.all() {
		group.Go(func() error {
			if err := f.sleep(ctx, b, sleepOrder{force: true, last: true}); err != nil && holdfast.KindOf(err) != holdfast.NotFound {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("stop %s: %w", b.spec.ID, err))
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	return errors.Join(append(errs, f.Close())...)
}

// spawn runs work that ends with the Fleet. It says whether it was started: a closed Fleet starts nothing.
func (f *Fleet) spawn(work func(ctx context.Context)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.work.Go(func() { work(f.life) })
	return true
}

func (f *Fleet) find(id holdfast.BranchID) (*branch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.branches[id]; b != nil {
		return b, nil
	}
	return nil, notFound(id)
}

func notFound(id holdfast.BranchID) error {
	return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("no server belongs to branch %q", id)}
}

func errClosed() error {
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: "Holdfast is shutting down", Hint: "try again in a moment"}
}

// all returns every branch, in the order of their IDs.
func (f *Fleet) all() []*branch {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*branch
	for _, b := range f.branches {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *branch) int { return strings.Compare(string(a.id), string(b.id)) })
	return all
}

// unwritable explains an error of writing below a directory.
func unwritable(err error, dir string) error {
	switch {
	case errors.Is(err, os.ErrPermission) || isReadOnly(err):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: dir + " cannot be written to", Hint: "make it writable, or choose another data directory", Cause: err}
	case isFull(err):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the disk of " + dir + " is full", Hint: "free space on the disk, or choose another data directory", Cause: err}
	}
	return err
}
