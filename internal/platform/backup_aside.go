package platform

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

const swapBackJob = "undo_restore_backup"

type swapBackInput struct {
	BranchID holdfast.BranchID
	Database string // that comes back
	Kept     string // what the present one becomes
}

// keptName is a name for a database that is kept aside, which no other has: whether it is there says whether a swap was done.
func (p *Platform) keptName(why string) string {
	return "before_" + why + "_" + p.now().UTC().Format(holdfast.BackupTimeLayout) + "_" + newID("x")[2:8]
}

// UndoRestoreBackup puts back the database that the newest restore of a backup replaced. What the branch has now is kept for a week in turn.
func (p *Platform) UndoRestoreBackup(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, confirm string) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := confirmed(b, confirm, "replaces what is in"); err != nil {
		return holdfast.Job{}, err
	}
	var kept []store.SetAside
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { kept, err = tx.SetAsides(b.ID); return err }); err != nil {
		return holdfast.Job{}, err
	}
	if len(kept) == 0 {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "no restore of a backup into " + ref.String() + " can be undone", Hint: "what was there before is kept for seven days"}
	}
	input := swapBackInput{BranchID: b.ID, Database: kept[0].Database, Kept: p.keptName("undo")}
	return p.startOn(ctx, who, b, swapBackJob, input, "backup.restore_undo", map[string]any{"database": input.Database})
}

func (p *Platform) runSwapBack(ctx context.Context, r *run) (any, error) {
	var input swapBackInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil {
		return nil, err
	}
	r.Steps(1)
	r.Step("putting back what was there before; sessions end")
	if err := p.fleet.SwapDatabases(ctx, b.ID, b.Ref().Database(), input.Database, input.Kept); err != nil {
		return nil, err
	}
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSetAside(b.ID, input.Database) }); err != nil {
		return nil, err
	}
	return map[string]any{"branch": b.Ref().String(), "kept": input.Kept}, p.keepAside(ctx, b.ID, input.Kept, "undo")
}

// undoSwapBack lets clients in again, whichever of the two has the name.
func (p *Platform) undoSwapBack(ctx context.Context, r *run) error {
	var input swapBackInput
	if err := r.Input(&input); err != nil {
		return err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil {
		return err
	}
	return p.fleet.OpenDatabase(ctx, b.ID, b.Ref().Database())
}

// dropSetAsides drops databases that were kept aside for long enough.
func (p *Platform) dropSetAsides(ctx context.Context) error {
	var all []store.SetAside
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.SetAsides(""); return err }); err != nil {
		return err
	}
	var failed error
	for _, s := range all {
		if p.now().Before(s.DropAt) {
			continue
		}
		b, err := p.branchOf(ctx, s.BranchID)
		if err == nil && b.State == store.Ready && b.DeletedAt.IsZero() {
			err = p.fleet.DropDatabase(ctx, s.BranchID, s.Database)
		}
		if err == nil || holdfast.KindOf(err) == holdfast.NotFound {
			err = p.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSetAside(s.BranchID, s.Database) })
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("drop the database %s: %w", s.Database, err))
		}
	}
	return failed
}
