package platform

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// ResetBranch gives a preview branch the data that its parent has now. It keeps name, address and credentials, and is masked or emptied again
// where it was; what it had is kept for seven days as a branch of its own.
func (p *Platform) ResetBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	switch {
	case b.Environment != holdfast.Preview:
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s is the project's %s and no copy", ref, b.Environment), Hint: "`holdfast restore` takes it back to a moment"}
	case b.Look:
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Precondition, Message: ref.String() + " shows a moment and cannot be reset"}
	}
	parent, err := p.parentOf(ctx, b)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := checkCopy(who, parent, NewBranch{Masked: b.Masked, SchemaOnly: b.SchemaOnly}); err != nil {
		return holdfast.Job{}, err
	}
	return p.startRestore(ctx, who, b, restoreInput{From: parent.ID, Reset: true}, "reset")
}

func (p *Platform) parentOf(ctx context.Context, b store.Branch) (store.Branch, error) {
	var parent store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { parent, err = tx.Branch(b.Parent); return err })
	if holdfast.KindOf(err) == holdfast.NotFound || err == nil && (parent.State != store.Ready || !parent.DeletedAt.IsZero()) {
		return parent, &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch that " + b.Ref().String() + " was copied from is there no more", Hint: "make a new branch: `holdfast branch create`"}
	}
	return parent, err
}

// prepareReset makes of the parent's data what the branch is: masked or empty, as it was made.
func (p *Platform) prepareReset(r *run, b, parent store.Branch) (func(ctx context.Context, conn *pgx.Conn) error, error) {
	input := createBranchInput{Masked: b.Masked && !parent.Masked, SchemaOnly: b.SchemaOnly && !parent.SchemaOnly}
	var rules []holdfast.MaskRule
	if input.Masked {
		err := p.store.View(context.Background(), func(tx *store.Tx) (err error) { rules, err = tx.MaskRules(b.ProjectID); return err })
		if err != nil {
			return nil, err
		}
		if len(rules) == 0 {
			return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "project " + b.Project + " has no masking rules any more, so a masked branch would show everything", Hint: "set some with `holdfast mask set`"}
		}
	}
	return func(ctx context.Context, conn *pgx.Conn) error { return p.prepareCopy(ctx, r, conn, b, input, rules) }, nil
}
