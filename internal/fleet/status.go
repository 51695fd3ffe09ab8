package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
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

// Size adds up what a branch's files occupy, in bytes. Blocks that a copy-on-write clone shares are counted in full. It
// reads every directory entry, so it is not for every moment.
func (f *Fleet) Size(ctx context.Context, id holdfast.BranchID) (int64, error) {
	b, err := f.find(id)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	dir := f.Dir(b.spec)
	b.mu.Unlock()
	var size int64
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) { // a running server removes files
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			size += stat.Blocks * 512
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the branch: %w", err)
	}
	return size, nil
}
