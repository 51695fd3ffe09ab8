package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Put makes a branch be as spec says. A branch that the Fleet does not know yet must have its data directory, as after a
// clone or a restore. Settings that PostgreSQL refuses are Invalid, with its own words, and then nothing changes. A running
// server takes over what it can at once; restartNeeded says whether something waits for a restart.
func (f *Fleet) Put(ctx context.Context, spec Spec) (restartNeeded bool, err error) {
	if err := checkID(spec.ID); err != nil {
		return false, err
	}
	b, err := f.find(spec.ID)
	if err != nil {
		return false, f.takeOver(ctx, spec)
	}
	t, err := b.begin(ctx)
	if err != nil {
		return false, fmt.Errorf("change the branch's settings: %w", err)
	}
	b.mu.Lock()
	activity, reason, old := b.activity, b.reason, b.spec
	b.mu.Unlock()
	defer func() { b.end(t, activity, reason, nil) }()
	if f.Dir(old) != f.Dir(spec) {
		return false, &holdfast.Error{Kind: holdfast.Invalid, Message: "a branch's directory cannot be changed"}
	}
	if spec.Major == 0 {
		spec.Major = old.Major
	}
	if old.Major != spec.Major {
		if activity == holdfast.Awake {
			return false, &holdfast.Error{Kind: holdfast.Busy, Message: "the version of PostgreSQL cannot be changed while the branch is awake", Hint: "put it to sleep first"}
		}
		b.mu.Lock()
		b.spec, b.server = spec, nil
		b.mu.Unlock()
	}
	return f.apply(ctx, b, spec, activity == holdfast.Awake)
}

// takeOver takes charge of a data directory that another room has made.
func (f *Fleet) takeOver(ctx context.Context, spec Spec) error {
	if !f.serverAt(f.Dir(spec), postgres.Installation{}).Exists() {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("branch %q has no data directory", spec.ID)}
	}
	install, err := f.install(spec)
	if err != nil {
		return err
	}
	b, server := f.newBranch(spec), f.serverAt(f.Dir(spec), install)
	// The walls of its origin may name other users.
	if err := server.Secure(); err != nil {
		return err
	}
	if _, err := server.Configure(ctx, spec.parameters(install)); err != nil {
		return err
	}
	if err := f.admit(b); err != nil {
		return err
	}
	f.takeCharge(b)
	return nil
}

func (f *Fleet) apply(ctx context.Context, b *branch, spec Spec, awake bool) (restartNeeded bool, err error) {
	server, err := b.serverOrError(f)
	if err != nil {
		return false, err
	}
	before := time.Time{}
	if awake {
		if before, _, err = loadState(ctx, server); err != nil {
			return false, err
		}
	}
	changed, err := server.Configure(ctx, spec.parameters(server.Installation()))
	if err != nil {
		return false, unwritable(err, server.DataDir())
	}
	b.mu.Lock()
	b.spec = spec
	b.nextCheck = time.Time{}
	restartNeeded = b.restartNeeded
	b.mu.Unlock()
	if !changed || !awake {
		return restartNeeded, nil
	}
	if restartNeeded, err = reload(ctx, server, before); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restartNeeded = restartNeeded
	return restartNeeded, nil
}

// reload makes the server read its settings and waits until it has: new sessions inherit what its postmaster knows.
func reload(ctx context.Context, server *postgres.Server, before time.Time) (restartNeeded bool, err error) {
	if err := server.Reload(); err != nil {
		return false, fmt.Errorf("reload the settings: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		loaded, pending, err := loadState(ctx, server)
		if err != nil {
			return false, err
		}
		if loaded.After(before) {
			return pending, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, fmt.Errorf("wait until the settings are loaded: %w", ctx.Err())
		}
	}
}

func loadState(ctx context.Context, server *postgres.Server) (loaded time.Time, restartPending bool, err error) {
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return time.Time{}, false, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT pg_conf_load_time(), EXISTS (SELECT FROM pg_settings WHERE pending_restart)").Scan(&loaded, &restartPending)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("ask when the settings were loaded: %w", err)
	}
	return loaded, restartPending, nil
}
