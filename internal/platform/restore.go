package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// HistoryView is what a branch's history reaches, shown before anything is restored.
type HistoryView struct {
	Window    holdfast.Window
	KeepFor   time.Duration // how far back it is kept
	Bases     []BaseView
	Snapshots history.SnapshotUsage
}

// BaseView is a base backup as its users see it.
type BaseView struct {
	ID           string
	At           time.Time
	Size, Stored int64 // bytes: of the data, and of what this backup stored itself
	Incremental  bool
}

// History shows to which moments a branch can be restored.
func (p *Platform) History(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (HistoryView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return HistoryView{}, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return HistoryView{}, err
	}
	view := HistoryView{KeepFor: b.Settings.HistoryWindow(), Snapshots: archive.SnapshotUsage()}
	if view.Window, err = archive.Window(ctx); err != nil {
		return HistoryView{}, err
	}
	bases, err := archive.Bases(ctx)
	for _, base := range bases {
		view.Bases = append(view.Bases, BaseView{ID: base.ID, At: base.Stopped, Size: base.Size, Stored: base.Stored, Incremental: base.Parent != ""})
	}
	return view, err
}

// RestorePlan is what a restore would do, to be shown before it is done.
type RestorePlan struct {
	Window   holdfast.Window // every moment that can be had
	Point    holdfast.Point
	LSN      holdfast.LSN
	Base     string
	BaseAt   time.Time
	Snapshot bool  // Base is a snapshot on this machine
	Size     int64 // bytes of data
	Fetch    int64 // stored bytes to read
	WAL      int64 // bytes to replay
	Estimate time.Duration
}

// PlanRestore says how a branch would be restored to a point, and refuses a point that cannot be had.
func (p *Platform) PlanRestore(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, point holdfast.Point) (RestorePlan, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return RestorePlan{}, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return RestorePlan{}, err
	}
	window, err := archive.Window(ctx)
	if err != nil {
		return RestorePlan{}, err
	}
	plan, err := p.plan(ctx, b, point)
	if err != nil {
		return RestorePlan{}, err
	}
	return RestorePlan{Window: window, Snapshot: plan.Snapshot, Point: plan.Point, LSN: plan.LSN, Base: plan.Base.ID, BaseAt: plan.Base.Stopped, Size: plan.Size, Fetch: plan.Fetch, WAL: plan.WAL, Estimate: plan.Estimate}, nil
}

func (p *Platform) plan(ctx context.Context, b store.Branch, point holdfast.Point) (*history.Plan, error) {
	if err := point.Validate(); err != nil {
		return nil, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return nil, err
	}
	return archive.Plan(ctx, point)
}

// restoring fills a data directory with a branch's state of a point.
func (p *Platform) restoring(r *run, b store.Branch, into fleet.Spec, point holdfast.Point, continues bool) (fleet.Fill, error) {
	archive, err := p.archive(b)
	if err != nil {
		return nil, err
	}
	parameters, err := p.fleet.Parameters(into)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, server fleet.Server) error {
		plan, err := p.plan(ctx, b, point)
		if err != nil {
			return err
		}
		restored, err := archive.Restore(ctx, history.RestoreRequest{Plan: plan, Server: server, Parameters: parameters, Continues: continues,
			Progress: func(step history.Step, done, total int64) { r.restoreProgress(step, done, total) }})
		for _, d := range restored.Damages {
			r.Log("damaged, taken from elsewhere: " + d.String())
		}
		return err
	}, nil
}

func (r *run) restoreProgress(step history.Step, done, total int64) {
	unit := map[history.Step]string{history.StepBase: "bytes", history.StepWAL: "segments"}[step]
	r.Progress(done, total, unit)
}

const restoreJob = "restore_in_place"

type restoreInput struct {
	BranchID holdfast.BranchID
	Kept     newBranch // what the branch had becomes this one
	Point    holdfast.Point
	From     holdfast.BranchID // instead of a point: the branch whose state is put back
	Reset    bool              // From is the parent: a copy of it is made of its data
}

// keptLife is how long the state before a restore is kept.
const keptLife = 7 * 24 * time.Hour

// Restore takes a branch back to a point, in place: restored aside, verified, then swapped under the same name and credentials, with clients
// held at the front door. What the branch had is kept for seven days as a branch of its own, so that the restore can be undone.
func (p *Platform) Restore(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, point holdfast.Point) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	if _, err := p.plan(ctx, b, point); err != nil {
		return holdfast.Job{}, err
	}
	if point.Latest() {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a restore needs a moment", Hint: `say one with --at "10 minutes ago"`}
	}
	return p.startRestore(ctx, who, b, restoreInput{Point: point}, "restore")
}

// UndoRestore puts back what the branch had before its newest restore. What it has now is kept in turn.
func (p *Platform) UndoRestore(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	var all []store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Branches(b.ProjectID); return err }); err != nil {
		return holdfast.Job{}, err
	}
	var newest store.Branch
	for _, kept := range all {
		if kept.Parent == b.ID && kept.State == store.Ready && isKept(kept.Name, b.Name) && kept.CreatedAt.After(newest.CreatedAt) {
			newest = kept
		}
	}
	if newest.ID == "" {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "there is no restore of " + ref.String() + " to undo", Hint: "what was there before a restore is kept for seven days"}
	}
	return p.startRestore(ctx, who, b, restoreInput{From: newest.ID}, "undo")
}

func (p *Platform) startRestore(ctx context.Context, who holdfast.Principal, b store.Branch, input restoreInput, why string) (holdfast.Job, error) {
	now := p.now().UTC()
	input.BranchID = b.ID
	input.Kept = newBranch{ID: holdfast.BranchID(newID("br")), Name: keptName(b.Name, why, now), Password: newPassword()}
	kept := store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: input.Kept.ID, ProjectID: b.ProjectID, Project: b.Project, Name: input.Kept.Name, Environment: holdfast.Preview, Parent: b.ID,
		Major: b.Major, Settings: b.Settings, CreatedAt: now, ExpiresAt: now.Add(keptLife), Masked: b.Masked, SchemaOnly: b.SchemaOnly, ProductionRows: showsProduction(b)}}
	kept.Settings.History = false // what it was lies in the history of the branch itself
	if err := holdfast.CheckBranchName(kept.Name); err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, restoreJob, b.Ref().String(), input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := onlyOne(tx, restoreJob, b); err != nil {
			return err
		}
		if err := tx.InsertBranch(kept); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "branch."+why, b.Ref().String(), map[string]any{"job": job.ID, "point": input.Point.String(), "kept": kept.Name})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// keptName is the name of what a branch had before a restore, an undo or a reset. A long name is cut: its end tells when.
func keptName(name, why string, at time.Time) string {
	tail := fmt.Sprintf("_before_%s_%s", why, at.Format("20060102_150405"))
	return name[:min(len(name), holdfast.MaxBranchName-len(tail))] + tail
}

// isKept says whether a name is that of what a branch had before a restore or a reset.
func isKept(name, of string) bool {
	for _, why := range []string{"restore", "reset"} {
		if prefix, _ := strings.CutSuffix(keptName(of, why, time.Time{}), "00010101_000000"); strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// onlyOne refuses a job of a kind while another of the same kind works on the branch.
func onlyOne(tx *store.Tx, kind string, b store.Branch) error {
	left, err := tx.UnfinishedJobs()
	if err != nil {
		return err
	}
	for _, j := range left {
		if j.Kind == kind && j.BranchID == b.ID {
			return &holdfast.Error{Kind: holdfast.Busy, Message: b.Ref().String() + " is being worked on already", Hint: "`holdfast job show " + string(j.ID) + "` says how far it is"}
		}
	}
	return nil
}

func (p *Platform) restoreBranches(ctx context.Context, input restoreInput) (b, kept store.Branch, roles []store.RoleVerifier, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) error {
		if b, err = tx.Branch(input.BranchID); err != nil {
			return err
		}
		if kept, err = tx.Branch(input.Kept.ID); err != nil {
			return err
		}
		roles, err = tx.Verifiers(b.ID)
		return err
	})
	return b, kept, roles, err
}

func (p *Platform) runRestore(ctx context.Context, r *run) (any, error) {
	var input restoreInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	b, kept, roles, err := p.restoreBranches(ctx, input)
	if err != nil {
		return nil, err
	}
	r.Steps(3)
	if !p.fleet.Exchanged(spec(b), spec(kept)) {
		if c, err := p.autoCheckpoint(ctx, b, holdfast.BeforeRestoreCheckpoint); err != nil {
			r.Log("no checkpoint before the restore: " + err.Error()) // the state itself is kept as a branch
		} else if c.ID != "" {
			r.Log("checkpoint " + string(c.ID) + " made")
		}
		if err := p.restoreAside(ctx, r, b, input, roles); err != nil {
			return nil, err
		}
		r.Step("putting it in place; clients wait")
		if err := p.exchange(ctx, b, kept); err != nil {
			return nil, err
		}
	}
	r.Step("keeping what was there before as " + kept.Ref().String())
	logins, err := p.fleet.Readmit(ctx, spec(kept), fleet.Handover{OldDatabase: b.Ref().Database(), NewDatabase: kept.Ref().Database(), Owner: holdfast.OwnerRole(b.Project), Password: input.Kept.Password})
	if err != nil {
		return nil, fmt.Errorf("keep what was there before: %w", err)
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		return p.publishBranch(tx, input.Kept, holdfast.OwnerRole(b.Project), roleVerifiers(logins))
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"branch": b.Ref().String(), "kept": kept.Ref().String()}, p.directory.load(ctx, p.store)
}

// exchange lets what was restored aside and the branch change places. Clients that come meanwhile wait at the front door, and so do those
// that are in, with their next message (Rest). Sessions in a transaction end with 57P01: what they have seen is there no more.
func (p *Platform) exchange(ctx context.Context, b, kept store.Branch) error {
	resume := p.doors.hold(b.Ref())
	defer resume()
	var succeed func(ctx context.Context, old, next fleet.Server) error
	if hasHistory(b) {
		archive, err := p.archive(b)
		if err != nil {
			return err
		}
		succeed = archive.Succeed
	}
	return p.fleet.Exchange(ctx, spec(b), spec(kept), succeed)
}

// restoreAside makes the server beside the branch that is to take its place, with the passwords that are valid now.
func (p *Platform) restoreAside(ctx context.Context, r *run, b store.Branch, input restoreInput, roles []store.RoleVerifier) error {
	if live, err := p.fleet.Logins(ctx, b.ID); err == nil {
		roles = roleVerifiers(live)
	}
	replacement := fleet.Replacement{OldDatabase: b.Ref().Database(), NewDatabase: b.Ref().Database()}
	for _, role := range roles {
		replacement.Logins = append(replacement.Logins, fleet.Login{Role: role.Role, Verifier: role.Verifier, ValidUntil: role.ValidUntil})
	}
	if input.From != "" {
		if input.Reset {
			r.Step("copying its parent")
		} else {
			r.Step("copying what was there before")
		}
		var from store.Branch
		if err := p.store.View(ctx, func(tx *store.Tx) (err error) { from, err = tx.Branch(input.From); return err }); err != nil {
			return err
		}
		replacement.OldDatabase = from.Ref().Database()
		if input.Reset {
			var err error
			if replacement.Prepare, err = p.prepareReset(r, b, from); err != nil {
				return err
			}
		}
		return p.fleet.PrepareClone(ctx, from.ID, spec(b), replacement, func(done, total int64) { r.Progress(done, total, "bytes") })
	}
	r.Step("restoring beside")
	fill, err := p.restoring(r, b, spec(b), input.Point, true)
	if err != nil {
		return err
	}
	return p.fleet.Prepare(ctx, spec(b), fill, replacement)
}

// undoRestore gives the branch back what it had, unless the swap is done: then the restore is completed instead.
func (p *Platform) undoRestore(ctx context.Context, r *run) error {
	var input restoreInput
	if err := r.Input(&input); err != nil {
		return err
	}
	b, kept, _, err := p.restoreBranches(ctx, input)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if p.fleet.Exchanged(spec(b), spec(kept)) {
		if r.willRunAgain() {
			return nil // it goes on from there
		}
		_, err := p.runRestore(ctx, r)
		return err
	}
	if err := p.fleet.Retreat(spec(b), spec(kept)); err != nil {
		return err
	}
	if err := p.fleet.Discard(ctx, spec(b)); err != nil {
		return err
	}
	if r.willRunAgain() {
		return nil
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.EraseBranch(input.Kept.ID) })
}
