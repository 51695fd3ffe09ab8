package platform

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// Removed lists what was removed and can be brought back, of what who may see: what is purged first comes first.
func (p *Platform) Removed(ctx context.Context, who holdfast.Principal) ([]holdfast.Removed, error) {
	var projects []store.Project
	var branches []store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if projects, err = tx.DeletedProjects(); err != nil {
			return err
		}
		branches, err = tx.AllBranches()
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []holdfast.Removed
	gone := map[holdfast.ProjectID]bool{}
	for _, project := range projects {
		gone[project.ID] = true
		if project.PurgeAt.After(p.now()) && sees(who, project.ID) {
			out = append(out, holdfast.Removed{Project: project.Name, ProjectID: project.ID, DeletedAt: project.DeletedAt, PurgeAt: project.PurgeAt})
		}
	}
	for _, b := range branches {
		if b.Removed() && !gone[b.ProjectID] && b.PurgeAt.After(p.now()) && sees(who, b.ProjectID) {
			out = append(out, holdfast.Removed{Project: b.Project, Branch: b.Name, ProjectID: b.ProjectID, DeletedAt: b.DeletedAt, PurgeAt: b.PurgeAt})
		}
	}
	slices.SortFunc(out, func(a, b holdfast.Removed) int { return a.PurgeAt.Compare(b.PurgeAt) })
	return out, nil
}

// UndeleteProject brings a removed project back whole: its branches, credentials and history.
func (p *Platform) UndeleteProject(ctx context.Context, who holdfast.Principal, name string) (ProjectView, error) {
	var project store.Project
	var branches []store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		removed, err := tx.DeletedProjects()
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(removed, func(r store.Project) bool { return r.Name == name && r.State != store.Purged }); i >= 0 {
			project = removed[i]
		} else if project, err = tx.ProjectByName(name); err != nil {
			return err
		}
		branches, err = tx.AllBranches()
		return err
	})
	if err == nil {
		err = checkOwner(who, project)
	}
	if err != nil {
		return ProjectView{}, err
	}
	input := removeInput{ProjectID: project.ID}
	for _, b := range branches {
		// What was removed before the project stays removed.
		if b.ProjectID == project.ID && b.Removed() && b.DeletedAt.Equal(project.DeletedAt) {
			input.Branches = append(input.Branches, b.ID)
		}
	}
	err = p.undelete(ctx, input, func(tx *store.Tx) error {
		now, err := tx.Project(project.ID)
		if err == nil {
			err = p.checkRestorable("project "+name, now.DeletedAt, now.PurgeAt)
		}
		if err == nil {
			err = checkUndisturbed(tx, project.ID, "")
		}
		if err != nil {
			return err
		}
		return p.record(tx, who, "project.undelete", name, nil)
	})
	if err != nil {
		return ProjectView{}, err
	}
	return p.Project(ctx, who, name)
}

// UndeleteBranch brings a removed preview branch back whole.
func (p *Platform) UndeleteBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (BranchView, error) {
	var b store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		project, err := tx.ProjectByName(ref.Project)
		if err != nil {
			return err
		}
		all, err := tx.AllBranches()
		for _, other := range all {
			if other.ProjectID == project.ID && other.Name == ref.Branch && other.Removed() {
				b = other // the last removed of them
			}
		}
		if err == nil && b.ID == "" {
			b, err = tx.BranchByRef(ref)
		}
		return err
	})
	if err == nil {
		err = checkBranch(who, b, holdfast.MayWrite)
	}
	if err == nil {
		err = checkOfItsOwn(b)
	}
	if err != nil {
		return BranchView{}, err
	}
	err = p.undelete(ctx, removeInput{Branches: []holdfast.BranchID{b.ID}}, func(tx *store.Tx) error {
		now, err := tx.Branch(b.ID)
		if err == nil {
			err = p.checkRestorable("branch "+ref.String(), now.DeletedAt, now.PurgeAt)
		}
		if err == nil {
			err = checkUndisturbed(tx, b.ProjectID, b.ID)
		}
		if err != nil {
			return err
		}
		if _, err := tx.BranchByRef(ref); err == nil {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "there is another branch " + ref.String() + " now", Hint: "give that one another name first: `holdfast branch rename " + ref.String() + " NAME`"}
		}
		return p.record(tx, who, "branch.undelete", ref.String(), nil)
	})
	if err != nil {
		return BranchView{}, err
	}
	return p.Branch(ctx, who, ref)
}

// checkRestorable refuses to bring back what is not removed, or is being purged.
func (p *Platform) checkRestorable(what string, deleted, purge time.Time) error {
	switch {
	case deleted.IsZero():
		return &holdfast.Error{Kind: holdfast.Conflict, Message: what + " was not removed"}
	case !purge.After(p.now()):
		return &holdfast.Error{Kind: holdfast.Conflict, Message: what + " is being purged: its time is over"}
	}
	return nil
}

func (p *Platform) undelete(ctx context.Context, input removeInput, check func(*store.Tx) error) error {
	back := func(time.Time) (time.Time, time.Time) { return time.Time{}, time.Time{} }
	if err := p.setRemoved(ctx, input, back, check); err != nil {
		return err
	}
	return errors.Join(p.directory.load(ctx, p.store), p.openHistories(ctx))
}
