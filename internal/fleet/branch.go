package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// branch is the state machine of one server. At most one task works on it at a time; whoever wants something else waits for
// that one to end and looks again.
//
// Invariant: activity is Waking or Sleeping only while a task is under way.
type branch struct {
	id      holdfast.BranchID
	publish func(Event)

	lastUse atomic.Int64 // nanoseconds since 1970: the last client byte, or coming and going of a session
	waiting atomic.Int32 // callers who wait for it to be awake

	received, sent atomic.Uint64 // bytes of clients

	lookup roleLookup

	mu            sync.Mutex
	spec          Spec
	server        *postgres.Server // nil: its installation is missing
	activity      holdfast.Activity
	since         time.Time
	reason        error // why it is Broken
	log           []string
	task          *task
	gone          bool
	generation    int // counts starts and adoptions, so that a watcher knows its own
	sessions      int // admitted, or waiting to be
	holds         int
	crashes       []time.Time
	restartNeeded bool
	nextCheck     time.Time // when to look again whether it is idle
	callOff       func()    // ends the hook of a sleep that nobody asked for; nil when there is none
}

// task is one operation on a branch.
type task struct {
	done  chan struct{}
	err   error // valid when done is closed
	wakes bool  // who waits for the branch to be awake takes this task's error for the answer
}

func (f *Fleet) newBranch(spec Spec) *branch {
	return &branch{id: spec.ID, spec: spec, activity: holdfast.Asleep, since: time.Now(), publish: f.publish}
}

// serverOrError returns the branch's server. That its PostgreSQL is not installed is found out again each time.
func (b *branch) serverOrError(f *Fleet) (*postgres.Server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return b.server, nil
	}
	install, err := f.install(b.spec)
	if err != nil {
		return nil, err
	}
	b.server = f.serverAt(f.Dir(b.spec), install)
	return b.server, nil
}

// begin starts a task of the caller's when no other is under way; it waits for that.
func (b *branch) begin(ctx context.Context) (*task, error) {
	for {
		b.mu.Lock()
		if b.gone {
			b.mu.Unlock()
			return nil, notFound(b.id)
		}
		other := b.task
		if other == nil {
			t := b.register()
			b.mu.Unlock()
			return t, nil
		}
		b.mu.Unlock()
		if err := wait(ctx, other.done); err != nil {
			return nil, err
		}
	}
}

// register needs mu.
func (b *branch) register() *task {
	b.task = &task{done: make(chan struct{})}
	return b.task
}

// end ends a task and says what the server does now.
func (b *branch) end(t *task, activity holdfast.Activity, reason, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endLocked(t, activity, reason, err)
}

func (b *branch) endLocked(t *task, activity holdfast.Activity, reason, err error) {
	b.setLocked(activity, reason)
	b.task = nil
	t.err = err
	close(t.done)
}

func (b *branch) set(activity holdfast.Activity, reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setLocked(activity, reason)
}

func (b *branch) setLocked(activity holdfast.Activity, reason error) {
	b.reason, b.log = reason, nil
	if activity == holdfast.Broken && b.server != nil {
		b.log = b.server.LastLog(20)
	}
	if b.activity == activity {
		return
	}
	now := time.Now()
	event := Event{ID: b.id, Activity: activity, Before: b.activity, At: now, Took: now.Sub(b.since), Reason: reason}
	b.activity, b.since = activity, now
	b.publish(event)
}

func (b *branch) touch() { b.lastUse.Store(time.Now().UnixNano()) }

func (b *branch) unusedFor() time.Duration { return time.Since(time.Unix(0, b.lastUse.Load())) }

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ownKind wraps an error for a person unless it was already meant for one.
func ownKind(err error, kind holdfast.Kind, message string) error {
	var meant *holdfast.Error
	if errors.As(err, &meant) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", message, err)
	}
	return &holdfast.Error{Kind: kind, Message: message, Cause: err}
}
