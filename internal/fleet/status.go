package fleet

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// Status is what a branch's server does now.
type Status struct {
	Activity holdfast.Activity
	Since    time.Time
	Sessions int // clients admitted, or waiting to be
	LastUse  time.Time
	Major    int
	Version  string // of the installation: 16.4; empty when it is missing
	// Reason and Log say why the branch is Broken: an error for a person, and the server's last lines.
	Reason error
	Log    []string
	// RestartNeeded: a setting waits for a restart.
	RestartNeeded bool
	// Received and Sent are bytes from and to clients since the Fleet was opened.
	Received, Sent uint64
	// Replaced: the running server's program was replaced on disk, as by a package upgrade. The next sleep or restart mends it.
	Replaced bool
}

// Status says what a branch's server does. It wakes nothing.
func (f *Fleet) Status(id holdfast.BranchID) (Status, error) {
	b, err := f.find(id)
	if err != nil {
		return Status{}, err
	}
	b.mu.Lock()
	s := Status{Activity: b.activity, Since: b.since, Sessions: b.sessions, Major: b.spec.Major, Reason: b.reason, Log: b.log, RestartNeeded: b.restartNeeded}
	server := b.server
	b.mu.Unlock()
	if nanoseconds := b.lastUse.Load(); nanoseconds != 0 {
		s.LastUse = time.Unix(0, nanoseconds)
	}
	s.Received, s.Sent = b.received.Load(), b.sent.Load()
	if server != nil {
		s.Version = server.Installation().Version
		s.Replaced = s.Activity == holdfast.Awake && server.Replaced()
	}
	return s, nil
}

// Log returns the last lines of a branch's server log, at most n.
func (f *Fleet) Log(id holdfast.BranchID, n int) ([]string, error) {
	server, err := f.Server(id)
	if err != nil {
		return nil, err
	}
	return server.LastLog(n), nil
}

// Usage measures a branch's directory. It looks at every file, so it is not for every moment.
func (f *Fleet) Usage(ctx context.Context, id holdfast.BranchID) (volume.Usage, error) {
	b, err := f.find(id)
	if err != nil {
		return volume.Usage{}, err
	}
	b.mu.Lock()
	dir := f.Dir(b.spec)
	b.mu.Unlock()
	v := f.config.Volume
	if v == nil {
		v = &volume.Volume{} // one that shares no blocks
	}
	return v.Usage(ctx, dir)
}

// Started says since when a branch's server has been running, to the second and never too early; zero: it does not run.
func (f *Fleet) Started(id holdfast.BranchID) (time.Time, error) {
	server, err := f.Server(id)
	if err != nil {
		return time.Time{}, err
	}
	return server.Started()
}

// Position says how far a branch's WAL goes, and of which server that is: a data directory that took the place of another one, and a timeline that
// branched off, have another. It wakes nothing and is no use of the branch. It is ErrAsleep while the server starts or stops.
func (f *Fleet) Position(ctx context.Context, id holdfast.BranchID) (server string, at holdfast.LSN, err error) {
	b, err := f.find(id)
	if err != nil {
		return "", 0, err
	}
	pg, err := b.serverOrError(f)
	if err != nil {
		return "", 0, err
	}
	b.mu.Lock()
	activity, busy := b.activity, b.task != nil
	b.mu.Unlock()
	if busy || activity != holdfast.Awake && activity != holdfast.Asleep {
		return "", 0, ErrAsleep
	}
	var stat unix.Stat_t
	if err := unix.Stat(pg.DataDir(), &stat); err != nil {
		return "", 0, fmt.Errorf("look at the data directory: %w", err)
	}
	timeline := uint32(0)
	if activity == holdfast.Awake {
		timeline, at, err = pg.Position(ctx)
	} else {
		var control postgres.Control
		control, err = pg.Control(ctx)
		timeline, at = control.Timeline, control.Checkpoint
	}
	return fmt.Sprintf("%d/%d", stat.Ino, timeline), at, err
}
