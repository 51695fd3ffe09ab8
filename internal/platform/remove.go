package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// Removal says how something is removed.
type Removal struct {
	Now      bool   // purged as soon as it is removed; it cannot be brought back then
	Confirm  string // with Now: the name once more
	NoBackup bool   // with Now: without the final backup
}

// check refuses a removal for good that was not meant.
func (r Removal) check(name string) error {
	if !r.Now && (r.Confirm != "" || r.NoBackup) {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "a confirmation, and to do without a backup, belong to a removal for good", Hint: "say --now as well, or neither"}
	}
	if r.Now && r.Confirm != name {
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: name + " would be gone for good at once", Hint: "give its name twice: --now --confirm " + name}
	}
	return nil
}

const removeJob = "remove"

// removeInput is what the job needs. A ProjectID says that the whole project goes.
type removeInput struct {
	ProjectID holdfast.ProjectID
	Branches  []holdfast.BranchID
	Removal   Removal
}

// DeleteProject removes a project with its branches: their doors are closed at once, their servers stop, and everything is kept for
// RemovalGrace. It is refused while a branch is protected or an operation of the project is under way.
func (p *Platform) DeleteProject(ctx context.Context, who holdfast.Principal, name string, how Removal) (holdfast.Job, error) {
	project, branches, err := p.findProject(ctx, who, name, holdfast.MayAdmin)
	if err == nil {
		err = checkOwner(who, project)
	}
	if err == nil {
		err = how.check(name)
	}
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.remove(ctx, who, name, removeInput{ProjectID: project.ID, Removal: how}, branches)
}

// DeleteBranch removes a preview branch: its door is closed and its name free at once, its server stops, and everything is kept for
// RemovalGrace. A look is gone for good.
func (p *Platform) DeleteBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, how Removal) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err == nil {
		err = checkRemoval(who, how.Now)
	}
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := checkOfItsOwn(b); err != nil {
		return holdfast.Job{}, err
	}
	if err := checkUnprotected(b); err != nil {
		return holdfast.Job{}, err
	}
	if err := how.check(ref.String()); err != nil {
		return holdfast.Job{}, err
	}
	if b.Look {
		return p.deleteBranch(ctx, who, b, "asked")
	}
	return p.remove(ctx, who, ref.String(), removeInput{Removal: how}, []store.Branch{b})
}

// checkOfItsOwn refuses what goes and comes back with its project only.
func checkOfItsOwn(b store.Branch) error {
	if b.Environment == holdfast.Preview {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s is the project's %s and goes with the project only", b.Ref(), b.Environment), Hint: "`holdfast project delete " + b.Project + "` removes the project"}
}

func checkUnprotected(b store.Branch) error {
	if !b.Protected {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: b.Ref().String() + " is protected", Hint: "take the protection away first: `holdfast branch protect --off " + b.Ref().String() + "`"}
}

// remove marks the branches removed, which closes their doors, and begins the job that stops them.
func (p *Platform) remove(ctx context.Context, who holdfast.Principal, subject string, input removeInput, branches []store.Branch) (holdfast.Job, error) {
	for _, b := range branches {
		if err := p.pauseBase(ctx, b.ID); err != nil {
			return holdfast.Job{}, err
		}
		input.Branches = append(input.Branches, b.ID)
	}
	job, err := p.jobs.newJob(who, removeJob, subject, input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID = input.ProjectID
	if input.ProjectID == "" {
		job.ProjectID, job.BranchID = branches[0].ProjectID, branches[0].ID
	}
	now := p.now()
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := checkUndisturbed(tx, job.ProjectID, job.BranchID); err != nil {
			return err
		}
		for _, id := range input.Branches {
			b, err := tx.Branch(id)
			if err == nil && !b.DeletedAt.IsZero() {
				err = &holdfast.Error{Kind: holdfast.Conflict, Message: b.Ref().String() + " is being deleted already"}
			}
			if err == nil {
				err = checkUnprotected(b)
			}
			if err != nil {
				return err
			}
			b.DeletedAt, b.PurgeAt = now, now.Add(holdfast.RemovalGrace)
			if err := tx.UpdateBranch(b); err != nil {
				return err
			}
		}
		action := "branch.delete"
		if input.ProjectID != "" {
			action = "project.delete"
			if err := tx.SetProjectDeleted(input.ProjectID, now, now.Add(holdfast.RemovalGrace)); err != nil {
				return err
			}
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, action, subject, map[string]any{"job": job.ID, "now": input.Removal.Now, "purge_at": now.Add(holdfast.RemovalGrace)})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := p.directory.load(ctx, p.store); err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// checkUndisturbed refuses while another operation works on the branch, or with no branch on any of the project.
func checkUndisturbed(tx *store.Tx, project holdfast.ProjectID, branch holdfast.BranchID) error {
	left, err := tx.UnfinishedJobs()
	for _, j := range left {
		if j.ProjectID == project && (branch == "" || j.BranchID == branch) && j.Kind != baseBackupJob && j.Kind != deleteBranchJob {
			return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("%s is under way on %s", j.Kind, j.Subject), Hint: "wait for it or cancel it: `holdfast job list`"}
		}
	}
	return err
}

// runRemove can be repeated: what is stopped is not stopped again.
func (p *Platform) runRemove(ctx context.Context, r *run) (any, error) {
	var input removeInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	r.Steps(len(input.Branches) + 1)
	for _, id := range input.Branches {
		b, err := p.branchOf(ctx, id)
		if err == nil && input.Removal.Now && !input.Removal.NoBackup {
			_, err = p.safetyBackup(ctx, r, b, "removal", nil)
		}
		if err != nil {
			return nil, err
		}
	}
	until := p.now()
	for _, id := range input.Branches {
		b, err := p.branchOf(ctx, id)
		if err != nil {
			return nil, err
		}
		until = b.PurgeAt
		r.Step("closing and stopping " + b.Ref().String())
		if err := p.putAway(ctx, r, b); err != nil {
			return nil, err
		}
	}
	if input.Removal.Now {
		until = p.now()
		if err := p.setRemoved(ctx, input, func(at time.Time) (time.Time, time.Time) { return at, until }, nil); err != nil {
			return nil, err
		}
	}
	return map[string]any{"purge_at": until.UTC()}, nil
}

// putAway stops a removed branch cleanly, with its last moment named in its history and the history complete.
func (p *Platform) putAway(ctx context.Context, r *run, b store.Branch) error {
	if err := p.doors.empty(ctx, b.Ref()); err != nil {
		r.Log("sessions that were cut off are still leaving: " + err.Error())
	}
	p.doors.forget(b.Ref())
	if !b.KeepsHistory() {
		return p.fleet.Sleep(ctx, b.ID, true)
	}
	if err := p.openHistory(ctx, b); err != nil { // a restart does not open it for a removed branch
		return err
	}
	// The data directory is kept, so a history that cannot have the moment is no reason to keep the branch.
	if _, err := p.checkpoint(ctx, b, history.CheckpointRequest{Reason: holdfast.BeforeRemovalCheckpoint}); err != nil {
		r.Log("the last moment was not named: " + err.Error())
	}
	if err := p.fleet.Sleep(ctx, b.ID, true); err != nil {
		return err
	}
	p.histories.mu.Lock()
	k := p.histories.kept[b.ID]
	p.histories.mu.Unlock()
	if k != nil {
		k.stop()
		<-k.ended
		if err := k.archive.Detach(ctx); err != nil {
			r.Log("the last of the history waits on this machine: " + err.Error())
		}
	}
	return p.closeHistory(b.ID)
}

// undoRemove brings back what a removal that failed or was canceled has taken away.
func (p *Platform) undoRemove(ctx context.Context, r *run) error {
	var input removeInput
	if err := r.Input(&input); err != nil || r.willRunAgain() {
		return err
	}
	if err := p.setRemoved(ctx, input, func(time.Time) (time.Time, time.Time) { return time.Time{}, time.Time{} }, nil); err != nil {
		return err
	}
	return errors.Join(p.directory.load(ctx, p.store), p.openHistories(ctx))
}

// setRemoved changes since when the branches, and the project where it is one, are removed and when they are purged, with whatever else
// belongs into the transaction.
func (p *Platform) setRemoved(ctx context.Context, input removeInput, to func(deleted time.Time) (deletedAt, purgeAt time.Time), also func(*store.Tx) error) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		for _, id := range input.Branches {
			b, err := tx.Branch(id)
			if err != nil {
				return err
			}
			was := b.DeletedAt
			if b.DeletedAt, b.PurgeAt = to(was); b.DeletedAt.IsZero() && !b.ExpiresAt.IsZero() {
				b.ExpiresAt = b.ExpiresAt.Add(p.now().Sub(was)) // its life stood still
			}
			if err := tx.UpdateBranch(b); err != nil {
				return err
			}
		}
		if input.ProjectID == "" {
			return nil
		}
		project, err := tx.Project(input.ProjectID)
		if err != nil {
			return err
		}
		deletedAt, purgeAt := to(project.DeletedAt)
		return tx.SetProjectDeleted(project.ID, deletedAt, purgeAt)
	})
}

// nameIsFree refuses the name of a removed project: it is kept so that the project can come back under it. A branch's name is free.
func nameIsFree(tx *store.Tx, name string) error {
	removed, err := tx.DeletedProjects()
	if slices.ContainsFunc(removed, func(r store.Project) bool { return r.Name == name && r.State != store.Purged }) {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "the name " + name + " is kept for a project that was removed", Hint: "bring it back with `holdfast undelete " + name + "`, or choose another name"}
	}
	return err
}
