package platform

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// histories are the archives of the branches that have a history: development and production of every project. An archive streams
// its branch's WAL whenever the branch is awake.
type histories struct {
	mu   sync.Mutex
	kept map[holdfast.BranchID]*keeper
}

// keeper holds a branch's archive and lets it follow the branch: attached while the branch is awake, detached when it sleeps.
type keeper struct {
	archive *history.Archive
	want    chan bool // the newest wish; holds at most one
	stop    context.CancelFunc
	ended   chan struct{}
	streams chan struct{} // closed when it was attached for the first time
}

// attachPatience bounds one attempt to begin streaming; the next one follows at once.
const attachPatience = time.Minute

// hasHistory says whether a branch's every moment is kept now.
func hasHistory(b store.Branch) bool {
	return b.KeepsHistory() && b.State == store.Ready && b.DeletedAt.IsZero()
}

// openHistories opens the archive of every branch that has one.
func (p *Platform) openHistories(ctx context.Context) error {
	var all []store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.AllBranches(); return err })
	if err != nil {
		return err
	}
	if err := p.removeStraySnapshots(ctx, all); err != nil {
		return fmt.Errorf("clear the snapshots: %w", err)
	}
	for _, b := range all {
		if hasHistory(b) {
			if err := p.openHistory(ctx, b); err != nil {
				return fmt.Errorf("open the history of %s: %w", b.Ref(), err)
			}
		}
	}
	return nil
}

// openHistory opens one branch's archive and begins to follow the branch. One that is open already is fine.
func (p *Platform) openHistory(ctx context.Context, b store.Branch) error {
	p.histories.mu.Lock()
	defer p.histories.mu.Unlock()
	if p.histories.kept[b.ID] != nil {
		return nil
	}
	locations, err := p.openLocations(ctx, b.ProjectID)
	if err != nil {
		return err
	}
	archive, err := p.newArchive(b, locations)
	if err != nil {
		return err
	}
	if err := p.describe(ctx, b, archive); err != nil {
		return errors.Join(err, archive.Close())
	}
	life, stop := context.WithCancel(context.Background())
	k := &keeper{archive: archive, want: make(chan bool, 1), stop: stop, ended: make(chan struct{}), streams: make(chan struct{})}
	go p.follow(life, b.ID, k)
	if p.histories.kept == nil {
		p.histories.kept = map[holdfast.BranchID]*keeper{}
	}
	p.histories.kept[b.ID] = k
	if s, err := p.fleet.Status(b.ID); err == nil && s.Activity == holdfast.Awake {
		k.wish(true)
	}
	return nil
}

func (p *Platform) newArchive(b store.Branch, locations []history.Location) (*history.Archive, error) {
	return history.Open(history.Config{Branch: b.ID, Dir: filepath.Join(p.spool, string(b.ID)), Locations: locations, Log: p.log, Alert: p.historyAlert,
		Snapshots: p.snapshots(b), Server: func() (fleet.Server, error) { return p.fleet.Server(b.ID) }})
}

// wish says whether the branch is awake. It does not wait.
func (k *keeper) wish(awake bool) {
	select {
	case <-k.want:
	default:
	}
	select {
	case k.want <- awake:
	default: // somebody else wished meanwhile, and what the branch does now is asked again with the next event
	}
}

// follow attaches and detaches the archive as wished until life ends.
func (p *Platform) follow(life context.Context, id holdfast.BranchID, k *keeper) {
	defer close(k.ended)
	p.settle(life, id, k)
	attached, wished := false, false
	first := sync.OnceFunc(func() { close(k.streams) })
	for {
		if wished == attached {
			select {
			case wished = <-k.want:
			case <-life.Done():
				return
			}
			continue
		}
		var err error
		if wished {
			err = p.attach(life, id, k, &wished)
			if attached = err == nil; attached {
				first()
				p.baseIfNeeded(life, id, k)
			}
		} else {
			err = k.archive.Detach(life)
			attached = false
		}
		if err != nil && life.Err() == nil && wished {
			p.log.Warn("the history cannot follow the branch; trying again", "branch", id, "err", err)
		}
		if life.Err() != nil {
			return
		}
	}
}

// baseIfNeeded begins a base backup where the history has none that reaches the present, as after one that was interrupted.
func (p *Platform) baseIfNeeded(life context.Context, id holdfast.BranchID, k *keeper) {
	needed, err := k.archive.BaseNeeded(life)
	if err == nil && needed {
		err = p.startBase(id)
	}
	if err != nil && life.Err() == nil {
		p.log.Warn("begin a base backup", "branch", id, "err", err)
	}
}

// pauseBase ends a base backup of a branch that somebody puts to sleep. What it stored is kept, and the next wake goes on.
func (p *Platform) pauseBase(ctx context.Context, id holdfast.BranchID) error {
	var left []store.Job
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { left, err = tx.UnfinishedJobs(); return err }); err != nil {
		return err
	}
	for _, j := range left {
		if j.Kind != baseBackupJob || j.BranchID != id || !p.jobs.cancelJob(j.ID) {
			continue
		}
		if _, err := p.jobs.wait(ctx, j.ID); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// settle takes what a server wrote after the control plane was gone, when it has stopped since.
func (p *Platform) settle(life context.Context, id holdfast.BranchID, k *keeper) {
	server, err := p.fleet.Server(id)
	if err == nil {
		err = k.archive.Settle(life, server)
	}
	if err != nil && life.Err() == nil {
		p.log.Warn("take the last WAL of a stopped server", "branch", id, "err", err)
	}
}

// keeper finds the keeper of a branch's archive; nil where it has none now.
func (h *histories) keeper(id holdfast.BranchID) *keeper {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept[id]
}

// attach begins to stream. A wish that comes meanwhile ends the attempt.
func (p *Platform) attach(life context.Context, id holdfast.BranchID, k *keeper, wished *bool) error {
	server, err := p.fleet.Server(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(life, attachPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- k.archive.Attach(ctx, server) }()
	for {
		select {
		case err := <-done:
			return err
		case *wished = <-k.want:
			if !*wished {
				cancel()
			}
		}
	}
}

// watchActivity tells the archives what their branches do, until ctx ends.
func (p *Platform) watchActivity(ctx context.Context) {
	events := p.fleet.Subscribe()
	defer events.Close()
	for _, id := range p.histories.ids() { // what happened before the subscription
		if s, err := p.fleet.Status(id); err == nil {
			p.histories.tell(id, s.Activity)
		}
	}
	for {
		event, err := events.Next(ctx)
		if err != nil {
			return
		}
		p.histories.tell(event.ID, event.Activity)
		if event.Activity == holdfast.Awake {
			p.wg.Go(func() { p.removeAgentRole(ctx, event.ID) })
		}
	}
}

func (h *histories) ids() []holdfast.BranchID {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []holdfast.BranchID
	for id := range h.kept {
		out = append(out, id)
	}
	return out
}

func (h *histories) tell(id holdfast.BranchID, activity holdfast.Activity) {
	h.mu.Lock()
	k := h.kept[id]
	h.mu.Unlock()
	if k == nil {
		return
	}
	switch activity {
	case holdfast.Awake:
		k.wish(true)
	case holdfast.Asleep, holdfast.Broken:
		k.wish(false)
	}
}

// closeHistory ends one branch's archive; what waits stays on disk.
func (p *Platform) closeHistory(id holdfast.BranchID) error {
	p.histories.mu.Lock()
	k := p.histories.kept[id]
	delete(p.histories.kept, id)
	p.histories.mu.Unlock()
	if k == nil {
		return nil
	}
	k.stop()
	<-k.ended
	return k.archive.Close()
}

func (p *Platform) closeHistories() error {
	var errs []error
	for _, id := range p.histories.ids() {
		errs = append(errs, p.closeHistory(id))
	}
	return errors.Join(errs...)
}

// detachHistories makes sure that the archives have the last bytes of servers that were stopped.
func (p *Platform) detachHistories(ctx context.Context) error {
	var errs []error
	for _, id := range p.histories.ids() {
		p.histories.mu.Lock()
		k := p.histories.kept[id]
		p.histories.mu.Unlock()
		k.stop()
		<-k.ended
		errs = append(errs, k.archive.Detach(ctx))
	}
	return errors.Join(errs...)
}

// archive finds a branch's archive.
func (p *Platform) archive(b store.Branch) (*history.Archive, error) {
	p.histories.mu.Lock()
	defer p.histories.mu.Unlock()
	if k := p.histories.kept[b.ID]; k != nil {
		return k.archive, nil
	}
	return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: b.Ref().String() + " has no history", Hint: "development and production have one, and a preview that was created with --history"}
}

// openLocations opens the places where a project's history is kept: those that were set, or the repository in the data directory.
func (p *Platform) openLocations(ctx context.Context, project holdfast.ProjectID) ([]history.Location, error) {
	var set []store.Location
	var keys [][]byte
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if set, err = tx.Locations(project); err != nil {
			return err
		}
		keys, err = tx.ProjectKeys(project, store.RepositoryKey)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(set) == 0 {
		set = []store.Location{{Location: p.localRepository}}
	}
	var out []history.Location
	for _, l := range set {
		opened, err := p.openLocation(ctx, l, keys)
		if err != nil {
			return nil, fmt.Errorf("open the location %s: %w", l.Name, err)
		}
		out = append(out, opened)
	}
	return out, nil
}

const baseBackupJob = "base_backup"

// baseBackupInput is what a base backup needs to run. With KeptUntil a checkpoint is made when it is done, so that keeping that moment takes the
// pages and next to no WAL.
type baseBackupInput struct {
	BranchID  holdfast.BranchID
	KeptUntil time.Time
}

// startBase begins a base backup of a branch unless one is under way.
func (p *Platform) startBase(id holdfast.BranchID) error {
	_, _, err := p.beginBase(baseBackupInput{BranchID: id})
	return err
}

// beginBase begins a base backup of a branch, and says whether it did: it does not when one is under way.
func (p *Platform) beginBase(input baseBackupInput) (job store.Job, begun bool, err error) {
	id := input.BranchID
	err = p.store.Update(context.Background(), func(tx *store.Tx) error {
		left, err := tx.UnfinishedJobs()
		if err != nil {
			return err
		}
		for _, j := range left {
			if j.Kind == baseBackupJob && j.BranchID == id {
				return nil
			}
		}
		b, err := tx.Branch(id)
		if err != nil {
			return err
		}
		if job, err = p.jobs.newJob(System(), baseBackupJob, b.Ref().String(), input); err != nil {
			return err
		}
		job.ProjectID, job.BranchID = b.ProjectID, b.ID
		begun = true
		return tx.InsertJob(job)
	})
	if err != nil || !begun {
		return job, false, err
	}
	_, err = p.jobs.start(job)
	return job, true, err
}

// awaitStream waits for a while until the WAL of a branch that woke a moment ago is streamed: without it a base backup is refused.
func (p *Platform) awaitStream(ctx context.Context, id holdfast.BranchID) {
	k := p.histories.keeper(id)
	if k == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, attachPatience)
	defer cancel()
	select {
	case <-k.streams:
	case <-k.ended:
	case <-ctx.Done():
	}
}

// runBaseBackup goes on after an interruption with what is there already, so there is nothing to take back.
func (p *Platform) runBaseBackup(ctx context.Context, r *run) (any, error) {
	var input baseBackupInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(input.BranchID); return err }); err != nil {
		return nil, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return nil, err
	}
	// A backup is no reason to wake a branch: what sleeps does not change, and its next wake asks again.
	release, err := p.fleet.HoldAwake(b.ID)
	if errors.Is(err, fleet.ErrAsleep) {
		r.Log("the branch sleeps; its next wake asks again")
		return map[string]any{"postponed": true}, p.keptCheckpoint(ctx, b, input.KeptUntil)
	}
	if err != nil {
		return nil, err
	}
	defer release()
	server, err := p.fleet.Server(b.ID)
	if err != nil {
		return nil, err
	}
	r.Steps(1)
	p.awaitStream(ctx, b.ID)
	r.Step("reading and storing the pages")
	base, err := archive.Backup(ctx, history.BackupRequest{Server: server, Fast: true, Progress: func(done, total int64) { r.Progress(done, total, "bytes") }})
	if ctx.Err() != nil {
		return nil, err // it is run again, or somebody ended it
	}
	if err := errors.Join(err, p.keptCheckpoint(ctx, b, input.KeptUntil)); err != nil {
		return nil, err
	}
	return map[string]any{"base": base.ID, "size": base.Size, "stored": base.Stored}, nil
}
