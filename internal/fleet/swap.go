package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Server is one PostgreSQL server, for what other rooms do with it.
type Server = *postgres.Server

// Fill makes the data directory of a server that does not run yet, and leaves it stopped.
type Fill func(ctx context.Context, server Server) error

// CreateFrom makes a branch's server of what fill puts there, a restored base backup for example, and hands it over. It is all or
// nothing, as Create; the new branch sleeps. It returns the roles that can log in.
func (f *Fleet) CreateFrom(ctx context.Context, spec Spec, fill Fill, h Handover) ([]Login, error) {
	if err := f.reserve(spec); err != nil {
		return nil, err
	}
	defer f.unreserve(spec.ID)
	install, err := postgres.Choose(f.config.Installations, spec.Major)
	if err != nil {
		return nil, err
	}
	var logins []Login
	err = f.beside(ctx, spec, install, func(ctx context.Context, building string) error {
		server := f.serverAt(building, install)
		if err := fill(ctx, server); err != nil {
			return err
		}
		return f.settle(ctx, spec, server, func(ctx context.Context, server *postgres.Server) (err error) {
			logins, err = handOver(ctx, server, h)
			return err
		})
	})
	return logins, err
}

// Parameters are the settings that a branch's server is started with, for whoever fills its data directory.
func (f *Fleet) Parameters(spec Spec) (map[string]string, error) {
	install, err := postgres.Choose(f.config.Installations, spec.Major)
	if err != nil {
		return nil, err
	}
	return spec.parameters(install), nil
}

// Replacement says how data that came from elsewhere takes a branch's place.
type Replacement struct {
	OldDatabase string // the main database's name in the data
	NewDatabase string // and as it has to be
	// Logins are the passwords that shall hold, of the roles that the data has. Its other roles are locked.
	Logins []Login
	// Prepare works on the main database under its new name, in data that came from another branch: masking, emptying. The transactions
	// that wait there for their second phase are rolled back first: they are the other branch's. May be nil.
	Prepare func(ctx context.Context, conn *pgx.Conn) error
}

// PrepareClone is Prepare with a copy of another branch as it is now.
func (f *Fleet) PrepareClone(ctx context.Context, from holdfast.BranchID, spec Spec, replacement Replacement, progress func(done, total int64)) error {
	if f.config.Volume == nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "this fleet has no volume to clone on"}
	}
	release, err := f.Hold(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	origin, err := f.Server(from)
	if err != nil {
		return err
	}
	return f.Prepare(ctx, spec, func(ctx context.Context, server Server) error {
		return f.copyRunning(ctx, spec.ID, origin, server, progress)
	}, replacement)
}

// Prepare makes a data directory that is to replace a branch's in Exchange. What an earlier attempt left is removed first.
func (f *Fleet) Prepare(ctx context.Context, spec Spec, fill Fill, replacement Replacement) error {
	install, err := postgres.Choose(f.config.Installations, spec.Major)
	if err != nil {
		return err
	}
	building := f.besideDir(spec)
	if err := f.clearLeftover(ctx, building); err != nil {
		return err
	}
	if err := f.config.Account.MkdirAll(building); err != nil {
		return unwritable(err, filepath.Dir(building))
	}
	server := f.serverAt(building, install)
	err = fill(ctx, server)
	if err == nil {
		err = f.settle(ctx, spec, server, func(ctx context.Context, server *postgres.Server) error { return replacement.apply(ctx, server) })
	}
	if err != nil {
		return errors.Join(unwritable(err, filepath.Dir(building)), f.clearLeftover(context.WithoutCancel(ctx), building))
	}
	return postgres.SyncDir(filepath.Dir(building))
}

func (r Replacement) apply(ctx context.Context, server *postgres.Server) error {
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if r.Prepare != nil {
		if err := cutTies(ctx, server, conn); err != nil {
			return err
		}
	}
	if err := postgres.RenameDatabase(ctx, conn, r.OldDatabase, r.NewDatabase); err != nil {
		return err
	}
	if r.Prepare != nil {
		if err := prepareDatabase(ctx, server, Handover{NewDatabase: r.NewDatabase, Prepare: r.Prepare}); err != nil {
			return err
		}
	}
	if err := postgres.LockLogins(ctx, conn); err != nil {
		return err
	}
	for _, l := range r.Logins {
		var exists bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)`, l.Role).Scan(&exists); err != nil {
			return fmt.Errorf("look for the role %q: %w", l.Role, err)
		}
		if !exists {
			continue // it was made later than the moment that was restored
		}
		if err := postgres.SetVerifier(ctx, conn, l.Role, l.Verifier); err != nil {
			return err
		}
	}
	return nil
}

// besideDir is where the data directory waits that is to replace a branch's.
func (f *Fleet) besideDir(spec Spec) string {
	dir := f.Dir(spec)
	return filepath.Join(filepath.Dir(dir), replacePrefix+filepath.Base(dir))
}

// replacePrefix begins the name of a directory that is to replace a branch's. It is not cleared away when the Fleet opens: whoever
// prepared it takes it up again or discards it.
const replacePrefix = ".replace-"

// Discard removes what Prepare made. What is not there is fine.
func (f *Fleet) Discard(ctx context.Context, spec Spec) error {
	return f.clearLeftover(ctx, f.besideDir(spec))
}

// Exchange puts what Prepare made in a branch's place and keeps what the branch had as a branch of its own, kept. Clients wait meanwhile and
// their sessions end. succeed, which may be nil, is called while neither server runs, before the first rename; what it writes into the new data
// directory comes into force together with it. Exchange can be repeated after a crash at any point, and then completes; before the
// first rename Retreat takes it back.
func (f *Fleet) Exchange(ctx context.Context, spec, kept Spec, succeed func(ctx context.Context, old, next Server) error) error {
	resume, err := f.Suspend(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer resume()
	dir, keptDir, beside := f.Dir(spec), f.Dir(kept), f.besideDir(spec)
	if exists(beside) {
		if exists(dir) {
			if exists(keptDir) {
				return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("branch %q has a server already", kept.ID)}
			}
			if err := f.succession(ctx, spec, succeed); err != nil {
				return fmt.Errorf("prepare the branch's new data: %w", err)
			}
			if err := os.Rename(dir, keptDir); err != nil {
				return fmt.Errorf("set the branch's data aside: %w", err)
			}
		}
		if err := os.Rename(beside, dir); err != nil {
			return errors.Join(fmt.Errorf("put the new data in the branch's place: %w", err), os.Rename(keptDir, dir))
		}
		if err := postgres.SyncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if !exists(keptDir) || !exists(dir) {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "there is nothing prepared to take the branch's place"}
	}
	return nil
}

func (f *Fleet) succession(ctx context.Context, spec Spec, succeed func(ctx context.Context, old, next Server) error) error {
	if succeed == nil {
		return nil
	}
	install, err := postgres.Choose(f.config.Installations, spec.Major)
	if err != nil {
		return err
	}
	return succeed(ctx, f.serverAt(f.Dir(spec), install), f.serverAt(f.besideDir(spec), install))
}

// Retreat takes back an Exchange that a crash cut off: a branch whose data was set aside and not yet replaced gets it back.
func (f *Fleet) Retreat(spec, kept Spec) error {
	dir, keptDir := f.Dir(spec), f.Dir(kept)
	if exists(dir) || !exists(keptDir) {
		return nil
	}
	if err := os.Rename(keptDir, dir); err != nil {
		return fmt.Errorf("give the branch its data back: %w", err)
	}
	return postgres.SyncDir(filepath.Dir(dir))
}

// Exchanged says whether the branch's data was replaced: what it had lies under kept.
func (f *Fleet) Exchanged(spec, kept Spec) bool {
	return exists(f.Dir(spec)) && exists(f.Dir(kept)) && !exists(f.besideDir(spec))
}

// Readmit makes a directory that Exchange set aside a branch and hands it over. It can be repeated.
func (f *Fleet) Readmit(ctx context.Context, spec Spec, h Handover) ([]Login, error) {
	if _, err := f.Put(ctx, spec); err != nil {
		return nil, err
	}
	release, err := f.Hold(ctx, spec.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	server, err := f.Server(spec.ID)
	if err != nil {
		return nil, err
	}
	return handOver(ctx, server, h)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
