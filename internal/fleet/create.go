package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Names of directories that are not whole yet or not wanted any more begin so.
const (
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

// Create makes a branch's server: a data directory with the administrator and the walls around it, and whatever prepare does
// on the running server, for example the owner and the first database. prepare may be nil. It is all or nothing: the work
// is done beside and renamed at the end, and after a crash Open clears it away. The new branch sleeps.
func (f *Fleet) Create(ctx context.Context, spec Spec, prepare func(ctx context.Context, server *postgres.Server) error) error {
	if err := f.reserve(spec); err != nil {
		return err
	}
	defer f.unreserve(spec.ID)
	install, err := postgres.Choose(f.config.Installations, spec.Major)
	if err != nil {
		return err
	}
	spec.Major = install.Major
	return f.beside(ctx, spec, install, func(ctx context.Context, building string) error {
		return f.build(ctx, spec, f.serverAt(building, install), prepare)
	})
}

// beside lets make fill a directory beside the branch's own and gives it its name when it is whole.
func (f *Fleet) beside(ctx context.Context, spec Spec, install postgres.Installation, make func(ctx context.Context, building string) error) error {
	dir := f.Dir(spec)
	building := filepath.Join(filepath.Dir(dir), newPrefix+filepath.Base(dir))
	if err := f.clearLeftover(ctx, building); err != nil {
		return err
	}
	if err := f.config.Account.MkdirAll(building); err != nil {
		return unwritable(err, filepath.Dir(dir))
	}
	if err := make(ctx, building); err != nil {
		// The caller's context may be what ended: clearing up must not end with it.
		return errors.Join(unwritable(err, filepath.Dir(dir)), f.clearLeftover(context.WithoutCancel(ctx), building))
	}
	if err := os.Rename(building, dir); err != nil {
		return errors.Join(fmt.Errorf("put the new server in its place: %w", err), f.clearLeftover(context.WithoutCancel(ctx), building))
	}
	if err := postgres.SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	b := f.newBranch(spec)
	b.server = f.serverAt(dir, install)
	// Its socket's directory has moved. Waking would find that out too, but then somebody waits.
	if err := b.server.Rewrite(spec.parameters(install)); err != nil {
		f.config.Logger.Warn("the settings will be written at the first start", "branch", spec.ID, "err", err)
	}
	return f.admit(b)
}

// reserve makes sure that the branch does not exist and that nobody else creates it.
func (f *Fleet) reserve(spec Spec) error {
	if err := checkID(spec.ID); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.draining.Load() {
		return errClosed()
	}
	_, err := os.Lstat(f.Dir(spec))
	if f.branches[spec.ID] != nil || f.creating[spec.ID] || err == nil {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("branch %q has a server already", spec.ID)}
	}
	f.creating[spec.ID] = true
	return nil
}

func (f *Fleet) unreserve(id holdfast.BranchID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.creating, id)
}

func (f *Fleet) admit(b *branch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.branches[b.id] != nil {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("branch %q has a server already", b.id)}
	}
	f.branches[b.id] = b
	return nil
}

func (f *Fleet) build(ctx context.Context, spec Spec, server *postgres.Server, prepare func(context.Context, *postgres.Server) error) error {
	if err := server.Init(ctx, postgres.InitOptions{Parameters: spec.parameters(server.Installation())}); err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	err = server.Harden(ctx, conn)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	if prepare != nil {
		if err := prepare(ctx, server); err != nil {
			return err
		}
	}
	return stopWhole(ctx, server)
}

// stopWhole stops a server that was made beside and makes sure that it is whole.
func stopWhole(ctx context.Context, server *postgres.Server) error {
	if err := server.Stop(ctx, postgres.Fast); err != nil {
		return err
	}
	if control, err := server.Control(ctx); err != nil {
		return err
	} else if !control.ShutDownCleanly() {
		return died(server.LastLog(20))
	}
	return server.RemoveSocketDir()
}

// Remove stops a branch's server at once and deletes everything that it has on this machine. Removing what is not there is no
// error, so it can be repeated after a crash. Of a branch that the Fleet does not know, spec says where it lies.
func (f *Fleet) Remove(ctx context.Context, spec Spec) error {
	if err := checkID(spec.ID); err != nil {
		return err
	}
	if b, err := f.find(spec.ID); err == nil {
		b.mu.Lock()
		spec = b.spec
		b.mu.Unlock()
		if err := f.dismiss(ctx, b); err != nil {
			return err
		}
	}
	dir := f.Dir(spec)
	gone := filepath.Join(filepath.Dir(dir), gonePrefix+filepath.Base(dir))
	if err := f.clearLeftover(ctx, gone); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// The server, if one runs that the Fleet does not know, must not be moved away alive.
	if err := f.stopStray(ctx, dir); err != nil {
		return err
	}
	if err := os.Rename(dir, gone); err != nil {
		return fmt.Errorf("remove the branch's directory: %w", unwritable(err, filepath.Dir(dir)))
	}
	if err := postgres.SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return f.clearLeftover(ctx, gone)
}

// dismiss stops a branch's server and strikes the branch off. Whoever waits for it learns that it is gone.
func (f *Fleet) dismiss(ctx context.Context, b *branch) error {
	t, err := b.begin(ctx)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the branch: %w", err)
	}
	b.mu.Lock()
	activity, reason, server := b.activity, b.reason, b.server
	b.mu.Unlock()
	if server != nil {
		if err := server.Stop(ctx, postgres.Immediate); err != nil {
			b.end(t, activity, reason, err)
			return fmt.Errorf("stop the server to remove it: %w", err)
		}
		if err := server.RemoveSocketDir(); err != nil {
			b.end(t, holdfast.Asleep, nil, err)
			return err
		}
	}
	f.mu.Lock()
	delete(f.branches, b.id)
	f.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	b.endLocked(t, holdfast.Asleep, nil, nil)
	return nil
}

// clearLeftovers removes what an interrupted Create or Remove left beside the branches.
func (f *Fleet) clearLeftovers(ctx context.Context, specs []Spec) error {
	parents := map[string]bool{f.config.Root: true}
	for _, spec := range specs {
		parents[filepath.Dir(f.Dir(spec))] = true
	}
	for parent := range parents {
		entries, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for what an interrupted operation left: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), newPrefix) || strings.HasPrefix(e.Name(), gonePrefix) || strings.HasPrefix(e.Name(), ".check-") {
				if err := f.clearLeftover(ctx, filepath.Join(parent, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// clearLeftover stops a server that may still run in a directory and removes the directory. What initdb had begun when its
// control plane was killed can start after the look at the processes and write on for a moment: that is ended and removed too.
func (f *Fleet) clearLeftover(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, leftoverLimit)
	defer cancel()
	for {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := f.stopStray(ctx, dir); err != nil {
			return err
		}
		err := os.RemoveAll(dir)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.ENOTEMPTY) {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove %s: %w", dir, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// leftoverLimit is how long a process that nobody waits for may still write below a directory that is being removed.
const leftoverLimit = time.Minute

func (f *Fleet) stopStray(ctx context.Context, dir string) error {
	server := f.serverAt(dir, postgres.Installation{}) // stopping needs no program
	if err := server.Stop(ctx, postgres.Immediate); err != nil {
		return fmt.Errorf("stop a stray server: %w", err)
	}
	if err := server.EndOrphans(ctx); err != nil {
		return fmt.Errorf("end what a stray server left: %w", err)
	}
	return server.RemoveSocketDir()
}
