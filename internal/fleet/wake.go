package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Wake returns when the branch's server accepts connections, and starts it if it must. Any number of callers share one
// start, and one who stops waiting leaves it to the others. A branch that is Broken is tried again.
func (f *Fleet) Wake(ctx context.Context, id holdfast.BranchID) error {
	b, err := f.find(id)
	if err != nil {
		return err
	}
	return f.wake(ctx, b)
}

func (f *Fleet) wake(ctx context.Context, b *branch) error {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	for {
		t, err := f.wakeTask(b)
		if err != nil || t == nil {
			return err
		}
		if err := wait(ctx, t.done); err != nil {
			return fmt.Errorf("wait until the branch is awake: %w", err)
		}
		if t.wakes && t.err != nil {
			return t.err
		}
	}
}

// wakeTask returns the task to wait for: the one that is under way, else a new one that wakes the branch; nil when it is
// awake.
func (f *Fleet) wakeTask(b *branch) (*task, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.gone:
		return nil, notFound(b.id)
	case b.task != nil:
		if b.callOff != nil {
			b.callOff()
		}
		return b.task, nil
	case b.activity == holdfast.Awake:
		return nil, nil
	case f.draining.Load():
		return nil, errClosed()
	}
	if may := f.config.Hooks.MayWake; may != nil {
		if err := may(b.id); err != nil {
			return nil, err
		}
	}
	t := b.register()
	t.wakes = true
	b.setLocked(holdfast.Waking, nil)
	if !f.spawn(func(ctx context.Context) { f.runWake(ctx, b, t) }) {
		b.endLocked(t, holdfast.Asleep, nil, errClosed())
		return nil, errClosed()
	}
	return t, nil
}

func (f *Fleet) runWake(ctx context.Context, b *branch, t *task) {
	begun := time.Now()
	err := f.start(ctx, b)
	if err == nil {
		f.endAwake(b, t)
		f.config.Logger.Info("awake", "branch", b.id, "took", time.Since(begun))
		return
	}
	f.endBroken(b, t, err)
}

// start starts the server with its present settings. The caller's task is under way.
func (f *Fleet) start(ctx context.Context, b *branch) error {
	server, err := b.serverOrError(f)
	if err != nil {
		return err
	}
	b.mu.Lock()
	spec := b.spec
	b.mu.Unlock()
	if _, err := server.Configure(ctx, spec.parameters(server.Installation())); err != nil {
		return unwritable(err, server.DataDir())
	}
	err = server.Start(ctx)
	if err != nil && ctx.Err() == nil && server.Ended() == nil && f.wasStopping(ctx, server) {
		// What was adopted was on its way down, as when a former control plane died while it put the branch to sleep.
		err = server.Start(ctx)
	}
	return err
}

// wasStopping says whether the server is now shut down cleanly: then its start did not fail, it had only just been stopped.
func (f *Fleet) wasStopping(ctx context.Context, server *postgres.Server) bool {
	control, err := server.Control(ctx)
	return err == nil && control.ShutDownCleanly()
}

func (f *Fleet) endAwake(b *branch, t *task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.nowAwake(b)
	b.endLocked(t, holdfast.Awake, nil, nil)
}

// nowAwake needs b.mu. It begins to watch a server that has been started or adopted.
func (f *Fleet) nowAwake(b *branch) {
	b.generation++
	b.restartNeeded = false
	b.nextCheck = time.Time{}
	b.touch()
	b.setLocked(holdfast.Awake, nil)
	generation, ended := b.generation, b.server.Ended()
	if ended == nil { // it has ended already
		over := make(chan struct{})
		close(over)
		ended = over
	}
	f.spawn(func(ctx context.Context) { f.watchDeath(ctx, b, generation, ended) })
}

func (f *Fleet) endBroken(b *branch, t *task, err error) {
	if f.life.Err() != nil { // nothing is wrong with the branch: we are going
		b.end(t, holdfast.Asleep, nil, errClosed())
		return
	}
	f.config.Logger.Error("the server does not start", "branch", b.id, "err", err)
	err = ownKind(err, holdfast.Unavailable, "the branch cannot be woken")
	b.end(t, holdfast.Broken, err, err)
}

// watchDeath waits until a server has ended, and restarts it if nobody here wanted that.
func (f *Fleet) watchDeath(ctx context.Context, b *branch, generation int, ended <-chan struct{}) {
	if wait(ctx, ended) != nil {
		return
	}
	for {
		b.mu.Lock()
		if b.gone || b.generation != generation || b.activity != holdfast.Awake && b.task == nil {
			b.mu.Unlock()
			return
		}
		other := b.task
		if other == nil {
			t := b.register()
			t.wakes = true
			b.setLocked(holdfast.Waking, nil)
			b.mu.Unlock()
			f.revive(ctx, b, t)
			return
		}
		b.mu.Unlock()
		if wait(ctx, other.done) != nil {
			return
		}
	}
}

// revive restarts a server that died, or accepts that somebody else stopped it properly.
func (f *Fleet) revive(ctx context.Context, b *branch, t *task) {
	server, err := b.serverOrError(f)
	if err != nil {
		f.endBroken(b, t, err)
		return
	}
	if control, err := server.Control(ctx); err == nil && control.ShutDownCleanly() {
		f.config.Logger.Info("the server was stopped by somebody else", "branch", b.id)
		b.end(t, holdfast.Asleep, nil, nil)
		return
	}
	cause := errors.New("the server ended without being asked to")
	for {
		n := b.noteCrash(time.Now())
		f.config.Logger.Warn("a server died", "branch", b.id, "times", n, "err", cause)
		if n > crashLimit {
			f.endBroken(b, t, &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the server died %d times within %s and was left stopped", n, crashWindow),
				Hint: "its last log lines say why; the next connection tries again", Cause: cause})
			return
		}
		pause := time.NewTimer(f.config.Backoff(n))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			f.endBroken(b, t, ctx.Err())
			return
		}
		if cause = f.start(ctx, b); cause == nil {
			f.endAwake(b, t)
			return
		}
		if ctx.Err() != nil {
			f.endBroken(b, t, ctx.Err())
			return
		}
	}
}

// noteCrash counts the deaths within the window.
func (b *branch) noteCrash(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashes = slices.DeleteFunc(append(b.crashes, now), func(at time.Time) bool { return now.Sub(at) > crashWindow })
	return len(b.crashes)
}

// Restart stops the branch's server and starts it again, so that settings and a new executable take effect. Sessions that
// Hooks.Rest leaves are ended. A sleeping branch is only woken.
func (f *Fleet) Restart(ctx context.Context, id holdfast.BranchID) error {
	b, err := f.find(id)
	if err != nil {
		return err
	}
	t, err := b.begin(ctx)
	if err != nil {
		return fmt.Errorf("restart the branch: %w", err)
	}
	b.mu.Lock()
	t.wakes = true
	wasAwake := b.activity == holdfast.Awake
	if wasAwake {
		b.setLocked(holdfast.Sleeping, nil)
	}
	b.mu.Unlock()
	run := func(ctx context.Context) {
		if wasAwake {
			_ = f.rest(ctx, b) // a restart was asked for
			if err := f.stop(ctx, b, postgres.Fast); err != nil {
				f.endBroken(b, t, err)
				return
			}
		}
		b.set(holdfast.Waking, nil)
		f.runWake(ctx, b, t)
	}
	if !f.spawn(run) {
		b.end(t, holdfast.Asleep, nil, errClosed())
		return errClosed()
	}
	if err := wait(ctx, t.done); err != nil {
		return fmt.Errorf("wait until the branch has restarted: %w", err)
	}
	return t.err
}
