package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// RestoreRequest says where a plan is carried out.
type RestoreRequest struct {
	Plan *Plan
	// Server has a data directory that does not exist or is empty, and does not run. Whatever happens, it is left stopped; after an
	// error, what lies in the data directory is to be removed.
	Server *postgres.Server
	// Parameters are the restored server's settings.
	Parameters map[string]string
	// Continues says that the restored data is to take the branch's place: its WAL goes on in the branch's lineage, on a new timeline. For
	// a new branch it is false.
	Continues bool
	// Progress is told of each step; it may be nil.
	Progress func(Step, int64, int64)
}

// Step is a part of a restore.
type Step string

// The steps of a restore, in order. The first counts bytes, the second segments; replay cannot tell how far it is.
const (
	StepBase   Step = "base"
	StepWAL    Step = "wal"
	StepReplay Step = "replay"
)

// Restored is what a restore came to.
type Restored struct {
	Timeline uint32       // the new one
	LSN      holdfast.LSN // where it left the old one
	Damages  []Damage     // objects that could not be used and were taken from elsewhere
	Took     time.Duration
}

// Restore carries a plan out: base, WAL, replay. The data directory then holds exactly the state of the moment, shut down cleanly, on a timeline of
// its own, with sessions' leftovers (unlogged tables, temporary files, replication slots) gone and prepared transactions kept.
func (a *Archive) Restore(ctx context.Context, r RestoreRequest) (Restored, error) {
	began := time.Now()
	if !a.writing.TryRLock() {
		return Restored{}, &holdfast.Error{Kind: holdfast.Busy, Message: "old history is being removed; try again in a moment"}
	}
	defer a.writing.RUnlock()
	damage := &damageLog{}
	result, err := a.restore(ctx, r, damage)
	result.Damages, result.Took = damage.all(), time.Since(began)
	for _, d := range result.Damages {
		a.alerts.event(ObjectBroken, d.String())
	}
	return result, err
}

func (a *Archive) restore(ctx context.Context, r RestoreRequest, damage *damageLog) (Restored, error) {
	dir, t := r.Server.DataDir(), &r.Plan.target
	progress := r.Progress
	if progress == nil {
		progress = func(Step, int64, int64) {}
	}
	if err := prepareEmpty(r.Server); err != nil {
		return Restored{}, err
	}
	plan, err := a.fill(ctx, r.Plan, r.Server, damage, progress)
	if err != nil {
		return Restored{}, err
	}
	err = a.materialise(ctx, t, plan.needed, dir, r.Server.Account(), damage, func(done, total int) { progress(StepWAL, int64(done), int64(total)) })
	if err != nil {
		return Restored{}, fmt.Errorf("fetch the WAL: %w", err)
	}
	progress(StepReplay, 0, 0)
	timeline, err := replay(ctx, r.Server, t, r.Parameters)
	if err != nil {
		return Restored{}, err
	}
	if r.Continues {
		if err := writeMarker(dir, r.Server.Account(), marker{Branch: a.config.Branch, Lineage: t.lineage, Since: now(), Timeline: timeline, From: t.end}); err != nil {
			return Restored{}, err
		}
	}
	return Restored{Timeline: timeline, LSN: t.end}, nil
}

// fill brings the plan's base into the data directory. A snapshot that cannot be used is no reason to fail while there is a base backup.
func (a *Archive) fill(ctx context.Context, plan *Plan, server *postgres.Server, damage *damageLog, progress func(Step, int64, int64)) (*Plan, error) {
	tell := func(done, total int64) { progress(StepBase, done, total) }
	if plan.Snapshot {
		a.reading.RLock()
		err := a.fromSnapshot(ctx, plan.Base, server, tell)
		a.reading.RUnlock()
		if err == nil {
			return plan, nil
		}
		if plan.instead == nil || ctx.Err() != nil {
			return nil, fmt.Errorf("restore the snapshot %s: %w", plan.Base.ID, err)
		}
		a.log.Warn("a snapshot cannot be used, and a base backup is restored instead", "snapshot", plan.Base.ID, "err", err)
		if err := prepareEmpty(server); err != nil {
			return nil, err
		}
		plan = plan.instead
	}
	base := &baseReader{mirror: a.mirror, objects: a.objects, scratch: a.config.Dir, account: server.Account(), damage: damage, progress: tell}
	if err := base.restore(ctx, plan.chain, server.DataDir()); err != nil {
		return nil, fmt.Errorf("restore the base backup %s: %w", plan.Base.ID, err)
	}
	return plan, nil
}

// prepareEmpty makes the data directory, and refuses one with anything in it.
func prepareEmpty(server *postgres.Server) error {
	dir := server.DataDir()
	if err := server.Account().CheckReachable(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look into the directory to restore to: %w", err)
	}
	if len(entries) > 0 {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s is not empty; a restore writes into an empty directory only", dir)}
	}
	return server.Account().MkdirAll(dir)
}

// replay lets PostgreSQL replay the WAL that lies in pg_wal, to its last byte, and end on a new timeline. It verifies that the
// end is where it must be: a damaged record would end the WAL early, and PostgreSQL would call that a success.
func replay(ctx context.Context, server *postgres.Server, t *target, parameters map[string]string) (timeline uint32, err error) {
	if err := server.Secure(); err != nil {
		return 0, err
	}
	recovery := maps.Clone(parameters)
	if recovery == nil {
		recovery = map[string]string{}
	}
	maps.Copy(recovery, map[string]string{
		"restore_command":           "exit 1", // everything that is needed lies in pg_wal
		"recovery_target_timeline":  fmt.Sprint(t.timeline),
		"hot_standby":               "off", // nobody looks meanwhile, and the settings need not be as large as the origin's
		"max_prepared_transactions": "1000",
		"archive_mode":              "off",
		"autovacuum":                "off",
	})
	if _, err := server.Configure(ctx, recovery); err != nil {
		return 0, fmt.Errorf("configure the recovery: %w", err)
	}
	signal := filepath.Join(server.DataDir(), "recovery.signal")
	if err := errors.Join(writeSynced(signal, nil), server.Account().Own(signal), postgres.SyncDir(server.DataDir())); err != nil {
		return 0, fmt.Errorf("ask for recovery: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Stop(context.WithoutCancel(ctx), postgres.Immediate))
		}
	}()
	if err := server.Start(ctx); err != nil {
		return 0, fmt.Errorf("replay the WAL: %w", err)
	}
	if err := server.Stop(ctx, postgres.Fast); err != nil {
		return 0, fmt.Errorf("stop the restored server: %w", err)
	}
	if _, err := server.Configure(ctx, parameters); err != nil {
		return 0, fmt.Errorf("configure the restored server: %w", err)
	}
	return verifyEnd(ctx, server, t)
}

// verifyEnd reads from the history of the new timeline where recovery arrived.
func verifyEnd(ctx context.Context, server *postgres.Server, t *target) (uint32, error) {
	control, err := server.Control(ctx)
	if err != nil {
		return 0, err
	}
	content, err := os.ReadFile(filepath.Join(server.DataDir(), "pg_wal", timelineFile(control.Timeline)))
	if err != nil {
		return 0, fmt.Errorf("read the restored server's timeline: %w", err)
	}
	way, err := timelineHistory{Timeline: control.Timeline, Content: string(content)}.forks()
	if err != nil {
		return 0, err
	}
	if len(way) < 2 {
		return 0, &holdfast.Error{Kind: holdfast.Corrupt, Message: "the restored server did not leave its old timeline"}
	}
	left := way[len(way)-2]
	if left.timeline != t.timeline || left.end != t.end {
		return 0, &holdfast.Error{Kind: holdfast.Corrupt,
			Message: fmt.Sprintf("the WAL was to be replayed to %s on timeline %d, but it ended at %s on timeline %d", t.end, t.timeline, left.end, left.timeline),
			Hint:    "a WAL segment in the repository is damaged; restore another moment, or from another location"}
	}
	return control.Timeline, nil
}
