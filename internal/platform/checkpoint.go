package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// NewCheckpoint asks for a named moment.
type NewCheckpoint struct {
	Label  string
	Code   string // the commit of the code that belongs to this moment; may be empty
	Pinned bool
}

// CreateCheckpoint names the present moment of a branch. It takes milliseconds whatever the size, and wakes nothing.
func (p *Platform) CreateCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask NewCheckpoint) (holdfast.Checkpoint, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if len(ask.Code) > 100 {
		return holdfast.Checkpoint{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a commit's name has at most 100 bytes"}
	}
	c, err := p.checkpoint(ctx, b, history.CheckpointRequest{Label: ask.Label, Code: ask.Code, Pinned: ask.Pinned, Reason: holdfast.ManualCheckpoint})
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	// Reading a large schema takes longer than making a checkpoint may.
	p.checkpoints.reading.Go(func() { p.fingerprint(context.WithoutCancel(ctx), b, c.ID) })
	if archive, archiveErr := p.archive(b); archiveErr == nil { // whether it can be restored is told at once: the first base backup may still be in the making
		if judged, judgeErr := archive.CheckpointByID(ctx, c.ID); judgeErr == nil {
			c.Lost = judged.Lost
		}
	}
	return c, p.recordAlone(ctx, who, "checkpoint.create", ref.String(), map[string]any{"checkpoint": c.ID, "label": c.Label})
}

func (p *Platform) checkpoint(ctx context.Context, b store.Branch, r history.CheckpointRequest) (holdfast.Checkpoint, error) {
	archive, err := p.archive(b)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if r.Server, err = p.fleet.Server(b.ID); err != nil {
		return holdfast.Checkpoint{}, err
	}
	c, err := archive.Checkpoint(ctx, r)
	if !errors.Is(err, history.ErrNeverStreamed) {
		return c, err
	}
	// A branch that has just become awake for the first time is about to be streamed.
	release, awakeErr := p.fleet.HoldAwake(b.ID)
	if awakeErr != nil {
		return c, err
	}
	defer release()
	patience, cancel := context.WithTimeout(ctx, firstStreamPatience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for errors.Is(err, history.ErrNeverStreamed) {
		select {
		case <-tick.C:
			c, err = archive.Checkpoint(ctx, r)
		case <-patience.Done():
			return c, errors.Join(err, ctx.Err())
		}
	}
	return c, err
}

// firstStreamPatience is for the first connection of a branch's history.
const firstStreamPatience = 20 * time.Second

// autoCheckpoint names the moment before the product does something to a branch that cannot be taken back otherwise. A branch without a
// history gets none, which is no error: the zero checkpoint is returned then.
func (p *Platform) autoCheckpoint(ctx context.Context, b store.Branch, reason holdfast.CheckpointReason) (holdfast.Checkpoint, error) {
	return p.autoCheckpointKept(ctx, b, history.CheckpointRequest{Reason: reason})
}

func (p *Platform) autoCheckpointKept(ctx context.Context, b store.Branch, ask history.CheckpointRequest) (holdfast.Checkpoint, error) {
	if !hasHistory(b) {
		return holdfast.Checkpoint{}, nil
	}
	c, err := p.checkpoint(ctx, b, ask)
	if err != nil {
		return holdfast.Checkpoint{}, fmt.Errorf("make a checkpoint of %s: %w", b.Ref(), err)
	}
	p.fingerprint(ctx, b, c.ID) // before the caller changes the schema
	return c, nil
}

// scheduledCheckpoint makes the checkpoint of a schedule. One that is to outlive the window comes right after a base backup where the branch is
// awake: to keep it then takes the pages that changed since the last one, and not a day's WAL. The number is of the job that makes it, where one does.
func (p *Platform) scheduledCheckpoint(ctx context.Context, b store.Branch, rules holdfast.Retention) (holdfast.JobID, error) {
	var until time.Time
	if rules.KeepFor > 0 {
		until = p.now().Add(rules.KeepFor).UTC()
	}
	if s, err := p.fleet.Status(b.ID); err == nil && s.Activity == holdfast.Awake && hasHistory(b) && !until.IsZero() {
		if job, begun, err := p.beginBase(baseBackupInput{BranchID: b.ID, KeptUntil: until}); err != nil || begun {
			return job.ID, err
		}
	}
	_, err := p.autoCheckpointKept(ctx, b, history.CheckpointRequest{Reason: holdfast.DailyCheckpoint, KeptUntil: until})
	return "", err
}

// keptCheckpoint makes the checkpoint that a base backup was made for; without a time there is none.
func (p *Platform) keptCheckpoint(ctx context.Context, b store.Branch, until time.Time) error {
	if until.IsZero() {
		return nil
	}
	_, err := p.autoCheckpointKept(ctx, b, history.CheckpointRequest{Reason: holdfast.DailyCheckpoint, KeptUntil: until})
	return err
}

// checkpoints is what is done to checkpoints beside the calls that make them.
type checkpoints struct {
	change  sync.Mutex // a checkpoint is read, changed and written under it
	reading sync.WaitGroup
}

// fingerprintPatience bounds the reading of a schema.
const fingerprintPatience = time.Minute

// fingerprint notes what the schema of a checkpoint is that was just made. A branch that sleeps is not woken for it; then it stays
// unknown.
func (p *Platform) fingerprint(ctx context.Context, b store.Branch, id holdfast.CheckpointID) {
	ctx, cancel := context.WithTimeout(ctx, fingerprintPatience)
	defer cancel()
	catalog, err := p.readSchemaAwake(ctx, b)
	var archive *history.Archive
	if err == nil {
		archive, err = p.archive(b)
	}
	if err == nil {
		p.checkpoints.change.Lock()
		err = archive.SetSchemaFingerprint(ctx, id, catalog.Fingerprint())
		p.checkpoints.change.Unlock()
	}
	if err != nil && !errors.Is(err, fleet.ErrAsleep) && holdfast.KindOf(err) != holdfast.NotFound {
		p.log.Warn("note the schema of a checkpoint", "branch", b.ID, "checkpoint", id, "err", err)
	}
}

// readSchemaAwake reads a branch's schema; it is fleet.ErrAsleep when the branch is not awake.
func (p *Platform) readSchemaAwake(ctx context.Context, b store.Branch) (*schema.Catalog, error) {
	release, err := p.fleet.HoldAwake(b.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return readCatalog(ctx, conn, b)
}

// Checkpoints lists a branch's checkpoints, the newest first.
func (p *Platform) Checkpoints(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]holdfast.Checkpoint, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return nil, err
	}
	return archive.Checkpoints(ctx)
}

// Checkpoint shows one checkpoint.
func (p *Platform) Checkpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id holdfast.CheckpointID) (holdfast.Checkpoint, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	return archive.CheckpointByID(ctx, id)
}

// PinCheckpoint keeps a checkpoint, and the history that it needs, until it is unpinned.
func (p *Platform) PinCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id holdfast.CheckpointID, pinned bool) error {
	return p.changeCheckpoint(ctx, who, ref, "checkpoint.pin", id, func(a *history.Archive) error { return a.PinCheckpoint(ctx, id, pinned) })
}

// DeleteCheckpoint forgets a checkpoint. The moment itself can be restored as long as the history reaches back to it.
func (p *Platform) DeleteCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id holdfast.CheckpointID) error {
	return p.changeCheckpoint(ctx, who, ref, "checkpoint.delete", id, func(a *history.Archive) error { return a.DeleteCheckpoint(ctx, id) })
}

func (p *Platform) changeCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, action string, id holdfast.CheckpointID, do func(*history.Archive) error) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return err
	}
	archive, err := p.archive(b)
	if err != nil {
		return err
	}
	p.checkpoints.change.Lock()
	err = do(archive)
	p.checkpoints.change.Unlock()
	if err != nil {
		return err
	}
	return p.recordAlone(ctx, who, action, ref.String(), map[string]any{"checkpoint": id})
}

// tendInterval is how often what is due by time is looked for.
const tendInterval = 10 * time.Minute

// tendHistories makes the daily checkpoints and removes history that no window needs, until ctx ends.
func (p *Platform) tendHistories(ctx context.Context) {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	var collected time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if time.Since(collected) > 24*time.Hour {
			collected = time.Now()
			p.collectAllUploads(ctx)
		}
		for _, id := range p.histories.ids() {
			if err := p.tendHistory(ctx, id); err != nil && ctx.Err() == nil {
				p.log.Warn("look after a history", "branch", id, "err", err)
			}
		}
	}
}

// collectAllUploads removes, at every location, what interrupted uploads left.
func (p *Platform) collectAllUploads(ctx context.Context) {
	var projects []store.Project
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { projects, err = tx.Projects(); return err }); err != nil {
		p.log.Warn("collect unfinished uploads", "err", err)
		return
	}
	for _, project := range projects {
		var set []store.Location
		err := p.store.View(ctx, func(tx *store.Tx) (err error) { set, err = tx.Locations(project.ID); return err })
		for _, l := range set {
			n, collectErr := p.collectUploads(ctx, l)
			err = errors.Join(err, collectErr)
			if n > 0 {
				p.log.Info("unfinished uploads were removed", "project", project.Name, "location", l.Name, "number", n)
			}
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn("collect unfinished uploads", "project", project.Name, "err", err)
		}
	}
}

// tendHistory looks after one branch's history. It wakes nothing: what sleeps does not change.
func (p *Platform) tendHistory(ctx context.Context, id holdfast.BranchID) error {
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err }); err != nil {
		return err
	}
	archive, err := p.archive(b)
	if err != nil {
		return err
	}
	if s, err := p.fleet.Status(id); err == nil && s.Activity == holdfast.Awake {
		if k := p.histories.keeper(id); k != nil { // one that failed, as for a location that was out of reach
			p.baseIfNeeded(ctx, id, k)
		}
		if err := p.dailyCheckpoint(ctx, b, archive); err != nil {
			return err
		}
	}
	if _, err := archive.Prune(ctx, b.Settings.HistoryWindow()); err != nil {
		return fmt.Errorf("remove old history: %w", err)
	}
	return nil
}

// dailyAfter is when a branch's last daily checkpoint was too long ago: a day, and what its schedule's jitter and base backup may take.
const dailyAfter = 26 * time.Hour

// dailyCheckpoint makes the checkpoint of the day for a branch whose schedules make none.
func (p *Platform) dailyCheckpoint(ctx context.Context, b store.Branch, archive *history.Archive) error {
	all, err := archive.Checkpoints(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Reason == holdfast.DailyCheckpoint && p.now().Sub(c.At) < dailyAfter {
			return nil
		}
	}
	if _, err = p.autoCheckpoint(ctx, b, holdfast.DailyCheckpoint); err != nil {
		return err
	}
	return p.startBase(b.ID) // an increment of the pages that changed: no restore has more than a day to replay
}
