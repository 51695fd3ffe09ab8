package platform

import (
	"cmp"
	"context"
	"fmt"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// NewLocation asks for a place where the project's history is kept.
type NewLocation struct {
	holdfast.Location
	Secret string // the S3 secret key
}

// Locations lists the places where a project's history is kept, without their secrets.
func (p *Platform) Locations(ctx context.Context, who holdfast.Principal, project string) ([]holdfast.Location, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	var set []store.Location
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { set, err = tx.Locations(found.ID); return err }); err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return []holdfast.Location{p.localRepository}, nil
	}
	out := make([]holdfast.Location, len(set))
	for i, l := range set {
		out[i] = l.Location
	}
	return out, nil
}

// TestLocation tries out everything that a place has to be able to do and returns a line for each step.
func (p *Platform) TestLocation(ctx context.Context, who holdfast.Principal, project string, ask NewLocation) ([]string, error) {
	if _, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin); err != nil {
		return nil, err
	}
	if err := ask.Validate(); err != nil {
		return nil, err
	}
	if err := checkPlace(who, ask.Location); err != nil {
		return nil, err
	}
	return p.testLocation(ctx, store.Location{Location: ask.Location, Secret: ask.Secret})
}

// AddLocation adds a place or replaces the one of that name, after it was tried out. From then on history goes to every place; a new base
// backup is made, because a place without one restores nothing. The first place that is added takes over from the repository in the data
// directory, whose content stays there.
func (p *Platform) AddLocation(ctx context.Context, who holdfast.Principal, project string, ask NewLocation) error {
	found, branches, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	if err := ask.Validate(); err != nil {
		return err
	}
	if err := checkPlace(who, ask.Location); err != nil {
		return err
	}
	if _, err := p.testLocation(ctx, store.Location{Location: ask.Location, Secret: ask.Secret}); err != nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the location %s cannot be used: %v", ask.Name, err),
			Hint: cmp.Or(holdfast.HintOf(err), "`holdfast location test` shows each step"), Cause: err}
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if ask.Encrypt {
			if err := p.ensureRepositoryKey(tx, found.ID); err != nil {
				return err
			}
		}
		if err := tx.PutLocation(found.ID, store.Location{Location: ask.Location, Secret: ask.Secret}, p.now()); err != nil {
			return err
		}
		return p.record(tx, who, "location.add", project+"/"+ask.Name, map[string]any{"location": ask.Location})
	})
	if err != nil {
		return err
	}
	return p.reopenHistories(ctx, branches)
}

func (p *Platform) ensureRepositoryKey(tx *store.Tx, project holdfast.ProjectID) error {
	keys, err := tx.ProjectKeys(project, store.RepositoryKey)
	if err != nil || len(keys) > 0 {
		return err
	}
	key, err := p.newKey()
	if err != nil {
		return err
	}
	return tx.AddProjectKey(project, store.RepositoryKey, key, p.now())
}

// RemoveLocation forgets a place. What lies there stays there.
func (p *Platform) RemoveLocation(ctx context.Context, who holdfast.Principal, project, name string) error {
	found, branches, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteLocation(found.ID, name); err != nil {
			return err
		}
		return p.record(tx, who, "location.remove", project+"/"+name, nil)
	})
	if err != nil {
		return err
	}
	return p.reopenHistories(ctx, branches)
}

// RepositoryKeys shows the keys with which a project's history is encrypted, the newest first: who keeps them elsewhere can read the
// history when this machine is lost.
func (p *Platform) RepositoryKeys(ctx context.Context, who holdfast.Principal, project string) ([]string, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return nil, err
	}
	var out []string
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		keys, err := tx.ProjectKeys(found.ID, store.RepositoryKey)
		for _, key := range keys {
			out = append(out, string(key))
		}
		if err != nil {
			return err
		}
		return p.record(tx, who, "project.keys.view", project, nil)
	})
	return out, err
}

// RotateRepositoryKey makes a new key. What is written from now on is encrypted with it; what was written before stays readable with the old.
func (p *Platform) RotateRepositoryKey(ctx context.Context, who holdfast.Principal, project string) error {
	found, branches, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	key, err := p.newKey()
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.AddProjectKey(found.ID, store.RepositoryKey, key, p.now()); err != nil {
			return err
		}
		return p.record(tx, who, "project.keys.rotate", project, nil)
	})
	if err != nil {
		return err
	}
	return p.reopenHistories(ctx, branches)
}

// reopenHistories lets the branches' archives use the places as they are set now.
func (p *Platform) reopenHistories(ctx context.Context, branches []store.Branch) error {
	for _, b := range branches {
		if !hasHistory(b) {
			continue
		}
		// A base backup that is under way would fail with the archive that it reads for, and keep the one for the new places from beginning.
		if err := p.pauseBase(ctx, b.ID); err != nil {
			return err
		}
		if err := p.closeHistory(b.ID); err != nil {
			return err
		}
		if err := p.openHistory(ctx, b); err != nil {
			return err
		}
		if err := p.startBase(b.ID); err != nil {
			return err
		}
	}
	return nil
}
