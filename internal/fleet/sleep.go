package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// sleepOrder says how a sleep was asked for.
type sleepOrder struct {
	force bool // end running queries and open transactions
	idle  bool // nobody asked: it seems unused, and whoever comes meanwhile wins
	last  bool // the Fleet is shutting down: a failing hook does not keep the server running
}

// Sleep stops the branch's server cleanly and returns Busy when a query runs, a transaction is open or somebody holds the
// branch, unless force is set. Idle sessions that Hooks.Rest leaves are ended. Calling it on a sleeping branch does nothing. A connection that comes
// meanwhile waits, and wakes the branch again.
func (f *Fleet) Sleep(ctx context.Context, id holdfast.BranchID, force bool) error {
	b, err := f.find(id)
	if err != nil {
		return err
	}
	return f.sleep(ctx, b, sleepOrder{force: force})
}

func (f *Fleet) sleep(ctx context.Context, b *branch, order sleepOrder) error {
	t, err := b.begin(ctx)
	if err != nil {
		return fmt.Errorf("put the branch to sleep: %w", err)
	}
	b.mu.Lock()
	activity, reason := b.activity, b.reason
	if activity != holdfast.Awake {
		b.endLocked(t, activity, reason, nil)
		b.mu.Unlock()
		return nil
	}
	// From here on nobody new is admitted: whoever comes waits for this task.
	b.setLocked(holdfast.Sleeping, nil)
	b.mu.Unlock()
	if !f.spawn(func(ctx context.Context) { f.runSleep(ctx, b, t, order) }) {
		b.end(t, holdfast.Awake, nil, errClosed())
		return errClosed()
	}
	if err := wait(ctx, t.done); err != nil {
		return fmt.Errorf("wait until the branch sleeps: %w", err)
	}
	return t.err
}

func (f *Fleet) runSleep(ctx context.Context, b *branch, t *task, order sleepOrder) {
	if err := f.maySleep(ctx, b, order); err != nil {
		b.end(t, holdfast.Awake, nil, err)
		return
	}
	begun := time.Now()
	if err := f.stop(ctx, b, postgres.Fast); err != nil {
		// It may be stopping still, or dead; waking it again finds out.
		if f.life.Err() != nil {
			b.end(t, holdfast.Asleep, nil, err)
			return
		}
		f.endBroken(b, t, err)
		return
	}
	f.config.Logger.Info("asleep", "branch", b.id, "took", time.Since(begun))
	b.end(t, holdfast.Asleep, nil, nil)
}

// maySleep runs the hook and then, at the last moment, looks whether somebody uses the branch.
func (f *Fleet) maySleep(ctx context.Context, b *branch, order sleepOrder) error {
	if !order.last {
		if err := f.rest(ctx, b); err != nil && !order.force {
			return err
		}
	}
	unused := b.lastUse.Load() // after the sessions that rest let the branch go: that is no use
	if err := f.beforeSleep(ctx, b, order); err != nil {
		return err
	}
	if order.force {
		return nil
	}
	b.mu.Lock()
	held, idleTimeout := b.holds > 0, b.spec.IdleTimeout
	b.mu.Unlock()
	if held {
		return busy("an operation is using it")
	}
	u, err := f.lookAtUse(ctx, b)
	for began := time.Now(); err == nil && u.transactions > 0 && !order.idle && time.Since(began) < endingPatience; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		u, err = f.lookAtUse(ctx, b)
	}
	if err != nil {
		return err
	}
	switch {
	case u.transactions > 0:
		return busy("a query is running or a transaction is open")
	case u.backups > 0:
		return busy("it is being backed up")
	case order.idle && u.keepsAwake(idleTimeout):
		return busy("it was used just now")
	case order.idle && (b.waiting.Load() > 0 || b.lastUse.Load() != unused):
		return busy("somebody has come")
	}
	return nil
}

// rest lets the sessions go that can wait without a server process. A failure is said in the log: it may not matter.
func (f *Fleet) rest(ctx context.Context, b *branch) error {
	hook := f.config.Hooks.Rest
	if hook == nil {
		return nil
	}
	err := hook(ctx, b.id)
	if err != nil && holdfast.KindOf(err) != holdfast.Busy && ctx.Err() == nil {
		f.config.Logger.Warn("not every session could be kept", "branch", b.id, "err", err)
	}
	return err
}

// beforeSleep runs the hook. It may wait for something far away; where nobody asked for the sleep, whoever comes does not
// wait for that.
func (f *Fleet) beforeSleep(ctx context.Context, b *branch, order sleepOrder) error {
	hook := f.config.Hooks.BeforeSleep
	if hook == nil {
		return nil
	}
	hookCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if order.idle {
		b.setCallOff(cancel)
		defer b.setCallOff(nil)
		if b.waiting.Load() > 0 { // who came before there was anything to call off
			return busy("somebody has come")
		}
	}
	err := hook(hookCtx, b.id)
	switch {
	case err == nil:
		return nil
	case hookCtx.Err() != nil && ctx.Err() == nil:
		return busy("somebody has come")
	case order.last:
		f.config.Logger.Warn("stopping although the last step before it failed", "branch", b.id, "err", err)
		return nil
	}
	return fmt.Errorf("prepare the branch for sleep: %w", err)
}

func (b *branch) setCallOff(callOff func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.callOff = callOff
}

// endingPatience is how long somebody who asks for the sleep waits for work that is about to end: the process of a session that has ended
// is there for a moment longer, and so is a short query of the control plane's own.
const endingPatience = 2 * time.Second

func busy(why string) error {
	return &holdfast.Error{Kind: holdfast.Busy, Message: "the branch cannot be put to sleep: " + why, Hint: "try again later, or insist"}
}

// use is what a server's own view says about who uses it.
type use struct {
	transactions int // sessions with a running query or an open transaction
	vacuums      int
	backups      int
	quiet        time.Duration // since a session last began or ended a query
}

// keepsAwake says whether a branch that nobody asked to sleep should stay awake.
func (u use) keepsAwake(idleTimeout time.Duration) bool {
	return u.transactions > 0 || u.backups > 0 || u.vacuums > 0 || u.quiet < idleTimeout
}

func (f *Fleet) lookAtUse(ctx context.Context, b *branch) (use, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	server, err := b.serverOrError(f)
	if err != nil {
		return use{}, err
	}
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return use{}, err
	}
	defer conn.Close(ctx)
	// Prepared transactions are not counted: they outlive a shutdown.
	var u use
	var quietSeconds *float64
	err = conn.QueryRow(ctx, `SELECT
			count(*) FILTER (WHERE backend_type = 'client backend' AND state IS DISTINCT FROM 'idle' AND NOT coalesce(usename = $1 AND application_name = $2, false)),
			count(*) FILTER (WHERE backend_type = 'autovacuum worker'),
			(SELECT count(*) FROM pg_stat_progress_basebackup),
			extract(epoch FROM clock_timestamp() - max(state_change) FILTER (WHERE backend_type = 'client backend' AND usename <> $1))::float8
		FROM pg_stat_activity WHERE pid <> pg_backend_pid()`, postgres.AdminRole, postgres.ObserverName).Scan(&u.transactions, &u.vacuums, &u.backups, &quietSeconds)
	if err != nil {
		return use{}, fmt.Errorf("look who uses the branch: %w", err)
	}
	u.quiet = holdfast.MaxIdleTimeout
	if quietSeconds != nil {
		u.quiet = min(u.quiet, time.Duration(*quietSeconds*float64(time.Second)))
	}
	return u, nil
}

// stop stops the server, at once where a clean shutdown takes too long.
func (f *Fleet) stop(ctx context.Context, b *branch, mode postgres.StopMode) error {
	server, err := b.serverOrError(f)
	if err != nil {
		return err
	}
	b.lookup.close(ctx)
	patient, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err = server.Stop(patient, mode)
	if err != nil && ctx.Err() == nil && patient.Err() != nil {
		f.config.Logger.Warn("a clean shutdown takes too long; stopping at once", "branch", b.id)
		err = server.Stop(ctx, postgres.Immediate)
	}
	return err
}

// watchIdle puts branches to sleep that nobody uses, and keeps their logs short.
func (f *Fleet) watchIdle(ctx context.Context) {
	ticks := f.config.Ticks
	if ticks == nil {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case now := <-ticks:
			for _, b := range f.all() {
				f.considerSleep(b, now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// checkPause is how often a branch is looked at, at most; a short idle time is looked at more often.
const checkPause = 15 * time.Second

func (f *Fleet) considerSleep(b *branch, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.activity != holdfast.Awake || b.task != nil || now.Before(b.nextCheck) {
		return
	}
	timeout := b.spec.IdleTimeout
	pause := checkPause
	if timeout > 0 {
		pause = min(pause, timeout/20)
	}
	b.nextCheck = now.Add(pause)
	if err := b.server.TrimLog(); err != nil {
		f.config.Logger.Warn("the server's log cannot be kept short", "branch", b.id, "err", err)
	}
	if timeout <= 0 || b.holds > 0 || b.unusedFor() < timeout {
		return
	}
	f.spawn(func(ctx context.Context) {
		// Look first without stopping anybody: a long query makes this come around many times.
		u, err := f.lookAtUse(ctx, b)
		if err == nil && u.keepsAwake(timeout) {
			return
		}
		if err == nil {
			err = f.sleep(ctx, b, sleepOrder{idle: true})
		}
		if err != nil && holdfast.KindOf(err) != holdfast.Busy && ctx.Err() == nil {
			f.config.Logger.Warn("an unused branch cannot be put to sleep", "branch", b.id, "err", err)
		}
	})
}
