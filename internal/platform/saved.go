package platform

import (
	"context"
	"fmt"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// SavedItem is something that a person keeps for use in a project: a view of a table, or a query.
type SavedItem = store.Saved

// The kinds of what is kept.
const (
	SavedView  = "view"
	SavedQuery = "query"
)

const (
	maxSaved     = 500 // of one person in one project
	maxSavedBody = 100_000
)

// savedOwner is whose it is. Tokens of a person share what that person keeps.
func savedOwner(who holdfast.Principal) string {
	if who.PersonID != "" {
		return string(who.PersonID)
	}
	return who.Name
}

// Saved lists what who asks keeps for a project.
func (p *Platform) Saved(ctx context.Context, who holdfast.Principal, project string) ([]SavedItem, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	var out []SavedItem
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.Saved(found.ID, savedOwner(who))
		return err
	})
	return out, err
}

// Save keeps something for who asks, in the place of what has the same kind, table and name.
func (p *Platform) Save(ctx context.Context, who holdfast.Principal, project string, item SavedItem) (SavedItem, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return item, err
	}
	switch {
	case item.Kind != SavedView && item.Kind != SavedQuery:
		return item, &holdfast.Error{Kind: holdfast.Invalid, Message: "what is kept is a view or a query"}
	case item.Name == "" || len(item.Name) > 400 || len(item.Table) > 1000 || len(item.Body) > maxSavedBody:
		return item, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("it needs a name, and has at most %d bytes", maxSavedBody)}
	}
	item.ID, item.ProjectID, item.Owner, item.UpdatedAt = newID("sav"), found.ID, savedOwner(who), p.now()
	err = p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if item, err = tx.PutSaved(item); err != nil {
			return err
		}
		all, err := tx.Saved(found.ID, item.Owner)
		if err == nil && len(all) > maxSaved {
			err = &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("%d views and queries are kept already", maxSaved), Hint: "delete one first"}
		}
		return err
	})
	return item, err
}

// Forget deletes something that who asks keeps.
func (p *Platform) Forget(ctx context.Context, who holdfast.Principal, project, id string) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSaved(found.ID, savedOwner(who), id) })
}
