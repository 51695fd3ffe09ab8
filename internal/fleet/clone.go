package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// CloneOptions say what happens to a clone before it is a branch, and who watches.
type CloneOptions struct {
	// Prepare works on the running clone before anybody can reach it: renaming, locking, masking. An error undoes the clone.
	Prepare func(ctx context.Context, server *postgres.Server) error
	// Progress is told how many bytes are cloned. May be nil.
	Progress func(done, total int64)
}

// Clone makes a branch's server as a copy of another's of this moment: every transaction that was committed before the call is in
// it. The origin goes on working meanwhile; one that sleeps is woken. Where the file system can share blocks this takes as long for a large
// database as for a small one. As Create it is all or nothing, and the new branch sleeps.
//
// The copy is taken under PostgreSQL's backup API and recovers from the WAL that was written meanwhile, so it is consistent whatever
// the origin was doing. Replication slots are not copied, unlogged tables are empty.
func (f *Fleet) Clone(ctx context.Context, from holdfast.BranchID, spec Spec, opts CloneOptions) error {
	if f.config.Volume == nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "this fleet has no volume to clone on"}
	}
	if err := f.reserve(spec); err != nil {
		return err
	}
	defer f.unreserve(spec.ID)
	release, err := f.Hold(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	origin, err := f.Server(from)
	if err != nil {
		return err
	}
	install := origin.Installation()
	spec.Major = install.Major
	return f.beside(ctx, spec, install, func(ctx context.Context, building string) error {
		server := f.serverAt(building, install)
		if err := f.copyRunning(ctx, spec.ID, origin, server, opts.Progress); err != nil {
			return err
		}
		return f.settle(ctx, spec, server, opts.Prepare)
	})
}

// settle starts a copied server, whose files are on the disk, for the first time, which recovers it, lets prepare work on it and stops it cleanly.
func (f *Fleet) settle(ctx context.Context, spec Spec, server *postgres.Server, prepare func(context.Context, *postgres.Server) error) error {
	lap := f.laps(spec.ID)
	// The walls of its origin may name other users, its settings another socket.
	if err := server.Secure(); err != nil {
		return err
	}
	if _, err := server.Configure(ctx, spec.parameters(server.Installation())); err != nil {
		return err
	}
	lap("configuring it")
	// What is in the directory is on the disk. Recovery, the new names and the stop would each sync again, and recovery even every file that there is; so
	// nothing is synced until the server has stopped, and then what it has changed.
	before, err := volume.Mark(ctx, server.DataDir())
	if err != nil {
		return err
	}
	if err := server.StartUnsynced(ctx); err != nil {
		return err
	}
	lap("starting and recovering it")
	if prepare != nil {
		if err := prepare(ctx, server); err != nil {
			return err
		}
	}
	lap("handing it over")
	if err := stopWhole(ctx, server); err != nil {
		return err
	}
	lap("stopping it")
	err = before.SyncChanged(ctx)
	lap("syncing what changed")
	return err
}

// ownFile begins the names of the files that Holdfast itself puts into a data directory. They are about that directory only.
const ownFile = "holdfast."

// notCloned are the folders whose files belong to the running origin alone. WAL is copied afterwards, as much as is needed.
var notCloned = []string{"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}

// skipInClone leaves out what a copy does not need. The folders themselves must be there.
func skipInClone(rel string) bool {
	for _, dir := range notCloned {
		if strings.HasPrefix(rel, dir+"/") {
			return true
		}
	}
	switch base := filepath.Base(rel); {
	case rel == "postmaster.pid", rel == "postmaster.opts", rel == "backup_label", rel == "tablespace_map", rel == "recovery.signal", rel == "standby.signal":
		return true
	case strings.HasPrefix(rel, ownFile): // what the other rooms noted about the origin, such as whose WAL it writes
		return true
	default:
		return strings.HasPrefix(base, "pgsql_tmp") || base == "pg_internal.init"
	}
}

// copyRunning copies the data directory of a running server under the backup API.
func (f *Fleet) copyRunning(ctx context.Context, id holdfast.BranchID, origin, server *postgres.Server, progress func(done, total int64)) (err error) {
	lap := f.laps(id)
	conn, err := origin.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := checkClonable(ctx, conn); err != nil {
		return err
	}
	// A slot of this session keeps the WAL from being recycled until the copy is done, and is gone with the session.
	if _, err := conn.Exec(ctx, `SELECT pg_catalog.pg_create_physical_replication_slot('holdfast_clone_' || pg_catalog.pg_backend_pid(), true, true)`); err != nil {
		return fmt.Errorf("keep the WAL while cloning: %w", err)
	}
	var begun string
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_backup_start('holdfast clone', true)::text`).Scan(&begun); err != nil {
		return fmt.Errorf("begin to clone: %w", err)
	}
	lap("the origin's checkpoint")
	_, err = f.config.Volume.Clone(ctx, origin.DataDir(), server.DataDir(), volume.CloneOptions{Skip: skipInClone, Last: []string{"global/pg_control"}, Progress: progress})
	if err != nil {
		return err // the end of the session ends the backup
	}
	lap("cloning the files")
	var ended, label string
	if err := conn.QueryRow(ctx, `SELECT lsn::text, labelfile FROM pg_catalog.pg_backup_stop(false)`).Scan(&ended, &label); err != nil {
		return fmt.Errorf("end the clone: %w", err)
	}
	lap("ending the backup")
	if err := f.writeOwned(filepath.Join(server.DataDir(), "backup_label"), label); err != nil {
		return err
	}
	err = f.copyWAL(ctx, conn, origin, server, begun, ended)
	lap("copying the WAL")
	return err
}

// laps tells what each step of a copy took since the one before, for whoever looks for the slow one.
func (f *Fleet) laps(id holdfast.BranchID) func(step string) {
	began := time.Now()
	return func(step string) {
		f.config.Logger.Debug("copying a server", "branch", id, "step", step, "took", time.Since(began))
		began = time.Now()
	}
}

// checkClonable refuses tablespaces: a copy would share their files with its origin.
func checkClonable(ctx context.Context, conn *pgx.Conn) error {
	var names []string
	err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(spcname::text), '{}') FROM pg_catalog.pg_tablespace WHERE oid NOT IN (1663, 1664)`).Scan(&names)
	if err != nil {
		return fmt.Errorf("look for tablespaces: %w", err)
	}
	if len(names) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch has tablespaces of its own (" + strings.Join(names, ", ") + "), which cannot be cloned", Hint: "move their tables to the default tablespace"}
	}
	return nil
}

// copyWAL copies the segments from the position where the backup began to the one where it ended.
func (f *Fleet) copyWAL(ctx context.Context, conn *pgx.Conn, origin, server *postgres.Server, begun, ended string) error {
	var timeline uint32
	var size int64
	err := conn.QueryRow(ctx, `SELECT c.timeline_id, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) FROM pg_catalog.pg_control_checkpoint() c`).Scan(&timeline, &size)
	if err != nil {
		return fmt.Errorf("read the WAL's shape: %w", err)
	}
	first, err := holdfast.ParseLSN(begun)
	if err != nil {
		return err
	}
	last, err := holdfast.ParseLSN(ended)
	if err != nil {
		return err
	}
	// A position at a segment's very beginning is the end of the segment before it.
	for segment := postgres.SegmentAt(timeline, first, size); segment.Start() < last; segment = segment.Next() {
		from := filepath.Join(origin.DataDir(), "pg_wal", segment.Name())
		to := filepath.Join(server.DataDir(), "pg_wal", segment.Name())
		if err := volume.CloneFile(ctx, from, to); err != nil {
			return fmt.Errorf("copy the WAL: %w", err)
		}
		if err := syncFile(to); err != nil {
			return err
		}
	}
	return postgres.SyncDir(filepath.Join(server.DataDir(), "pg_wal"))
}

func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Base(path), err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Base(path), err)
	}
	return nil
}

// writeOwned writes a file that belongs to the servers' account, beside and renamed.
func (f *Fleet) writeOwned(path, content string) (err error) {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = io.WriteString(file, content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := f.config.Account.Own(path + ".new"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return postgres.SyncDir(filepath.Dir(path))
}
