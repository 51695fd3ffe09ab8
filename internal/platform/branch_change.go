package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// BranchChange says what to change of a branch; what is nil stays.
type BranchChange struct {
	Protected *bool
	Life      *time.Duration // from now; for previews only
}

// ChangeBranch protects a branch or changes when it is deleted.
func (p *Platform) ChangeBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, change BranchChange) (BranchView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return BranchView{}, err
	}
	if change.Protected != nil {
		if err := checkProtection(who, b); err != nil {
			return BranchView{}, err
		}
	}
	err = p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.Branch(b.ID); err != nil {
			return err
		}
		if change.Protected != nil {
			b.Protected = *change.Protected
		}
		if change.Life != nil {
			if err := p.setLife(&b, *change.Life); err != nil {
				return err
			}
		}
		if err := tx.UpdateBranch(b); err != nil {
			return err
		}
		return p.record(tx, who, "branch.change", ref.String(), map[string]any{"protected": b.Protected, "expires_at": b.ExpiresAt})
	})
	if err != nil {
		return BranchView{}, err
	}
	p.describeAgain(ctx, b.ID)
	return p.viewBranch(b), nil
}

func (p *Platform) setLife(b *store.Branch, life time.Duration) error {
	if b.Environment != holdfast.Preview {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: b.Ref().String() + " does not expire: it is no preview"}
	}
	if life < time.Minute || life > MaxPreviewLife {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a preview cannot live for %s", life), Hint: "choose one minute to 30 days: 1h, 1d, 7d"}
	}
	b.ExpiresAt = p.now().Add(life)
	return nil
}

const deleteBranchJob = "delete_branch"

type deleteBranchInput struct{ BranchID holdfast.BranchID }

// deleteBranch deletes a branch with its data for good, unless it was brought back meanwhile.
func (p *Platform) deleteBranch(ctx context.Context, who holdfast.Principal, b store.Branch, why string) (holdfast.Job, error) {
	job, err := p.jobs.newJob(who, deleteBranchJob, b.Ref().String(), deleteBranchInput{BranchID: b.ID})
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Branch(b.ID)
		if err != nil {
			return err
		}
		if now.DeletedAt.IsZero() != b.DeletedAt.IsZero() {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: b.Ref().String() + " was deleted or brought back meanwhile"}
		}
		if now.DeletedAt.IsZero() {
			now.DeletedAt = p.now()
		}
		if err := tx.UpdateBranch(now); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "branch.delete", b.Ref().String(), map[string]any{"job": job.ID, "why": why})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := p.directory.load(ctx, p.store); err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// runDeleteBranch can be repeated; what is deleted is not brought back, so there is nothing to undo.
func (p *Platform) runDeleteBranch(ctx context.Context, r *run) (any, error) {
	var input deleteBranchInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	r.Steps(1)
	r.Step("removing the server and its data")
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(input.BranchID); return err }); err != nil {
		return nil, err
	}
	if err := p.closeHistory(b.ID); err != nil {
		return nil, err
	}
	if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.BranchID}); err != nil {
		return nil, err
	}
	if b.Environment == holdfast.Preview && b.KeepsHistory() { // its history ends with it; that of the others ends with its window
		if err := p.eraseHistory(ctx, b.ProjectID, b.ID); err != nil {
			return nil, err
		}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.Branch(input.BranchID); err != nil {
			return err
		}
		b.State = store.Purged
		return tx.UpdateBranch(b)
	})
	if err != nil {
		return nil, err
	}
	if err := p.doors.empty(ctx, b.Ref()); err != nil {
		r.Log("sessions that were cut off are still leaving: " + err.Error())
	}
	p.doors.forget(b.Ref())
	return nil, nil
}

const renameBranchJob = "rename_branch"

type renameBranchInput struct {
	BranchID holdfast.BranchID
	From, To string
}

// RenameBranch gives a preview branch another name, and with it another address. Its sessions end.
func (p *Platform) RenameBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, to string) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	if b.Environment != holdfast.Preview {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s is the project's %s and keeps its name", ref, b.Environment)}
	}
	if err := holdfast.CheckBranchName(to); err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, renameBranchJob, ref.String(), renameBranchInput{BranchID: b.ID, From: b.Name, To: to})
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.BranchByRef(holdfast.BranchRef{Project: b.Project, Branch: to}); err == nil {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "branch " + b.Project + "/" + to + " exists already"}
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "branch.rename", ref.String(), map[string]any{"job": job.ID, "to": to})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

func (p *Platform) runRenameBranch(ctx context.Context, r *run) (any, error) {
	var input renameBranchInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	r.Steps(1)
	r.Step("renaming the database")
	return nil, p.rename(ctx, input.BranchID, input.From, input.To)
}

func (p *Platform) undoRenameBranch(ctx context.Context, r *run) error {
	var input renameBranchInput
	if err := r.Input(&input); err != nil {
		return err
	}
	return p.rename(ctx, input.BranchID, input.To, input.From)
}

// rename renames a branch's database, then the branch. It can be repeated.
func (p *Platform) rename(ctx context.Context, id holdfast.BranchID, from, to string) error {
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err }); err != nil {
		return err
	}
	was, is := holdfast.BranchRef{Project: b.Project, Branch: from}, holdfast.BranchRef{Project: b.Project, Branch: to}
	resume := p.doors.hold(was)
	defer func() {
		resume()
		p.doors.forget(was)
	}()
	if err := p.doors.empty(ctx, was); err != nil {
		p.log.Warn("sessions are cut off by a rename", "branch", id, "err", err)
	}
	if err := p.fleet.RenameDatabase(ctx, id, was.Database(), is.Database()); err != nil {
		return err
	}
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.Branch(id); err != nil {
			return err
		}
		b.Name = to
		return tx.UpdateBranch(b)
	})
	if err != nil {
		return err
	}
	p.describeAgain(ctx, id)
	return p.directory.load(ctx, p.store)
}
