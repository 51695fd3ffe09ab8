package platform

import (
	"context"
	"os"
	"path/filepath"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// describe writes into the repository who the branch is, so that it can be made again from that alone.
func (p *Platform) describe(ctx context.Context, b store.Branch, archive *history.Archive) error {
	var project store.Project
	var rules []holdfast.MaskRule
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if project, err = tx.Project(b.ProjectID); err != nil {
			return err
		}
		rules, err = tx.MaskRules(b.ProjectID)
		return err
	})
	if err != nil {
		return err
	}
	return archive.Describe(history.Description{Project: project.Project, Branch: b.Branch, MaskRules: rules})
}

// describeAgain follows a change of a branch. The change is made already, so a description that cannot be written is no error; the next
// start writes it again.
func (p *Platform) describeAgain(ctx context.Context, id holdfast.BranchID) {
	var b store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err })
	if err == nil && hasHistory(b) {
		var archive *history.Archive
		if archive, err = p.archive(b); err == nil {
			err = p.describe(ctx, b, archive)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("describe a branch in its repository", "branch", id, "err", err)
	}
}

// describeProject follows a change that concerns all branches of a project.
func (p *Platform) describeProject(ctx context.Context, project holdfast.ProjectID) {
	var branches []store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { branches, err = tx.Branches(project); return err })
	if err != nil {
		p.log.Warn("describe a project in its repository", "project", project, "err", err)
	}
	for _, b := range branches {
		if hasHistory(b) {
			p.describeAgain(ctx, b.ID)
		}
	}
}

// snapshotsDir lies beside the branches' directories, because a snapshot shares its blocks with its origin.
const snapshotsDir = ".snapshots"

// snapshots says where a branch's frozen copies are kept; nil where the volume cannot share blocks.
func (p *Platform) snapshots(b store.Branch) *history.Snapshots {
	if p.volume == nil || !p.volume.Reflinks() {
		return nil
	}
	return &history.Snapshots{Volume: p.volume, Dir: filepath.Join(p.volume.Root(), snapshotsDir, string(b.ID)), KeepFor: b.Settings.HistoryWindow()}
}

// eraseHistory removes all that is kept of a branch's history, here and at every location, for good.
func (p *Platform) eraseHistory(ctx context.Context, project holdfast.ProjectID, id holdfast.BranchID) error {
	if err := p.closeHistory(id); err != nil {
		return err
	}
	if p.volume != nil {
		if err := p.volume.Remove(ctx, filepath.Join(p.volume.Root(), snapshotsDir, string(id))); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(p.spool, string(id))); err != nil {
		return err
	}
	locations, err := p.openLocations(ctx, project)
	if err != nil {
		return err
	}
	return history.Erase(ctx, locations, id)
}

// removeStraySnapshots removes the frozen copies of branches that are no more.
func (p *Platform) removeStraySnapshots(ctx context.Context, alive []store.Branch) error {
	if p.volume == nil {
		return nil
	}
	dir := filepath.Join(p.volume.Root(), snapshotsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	known := map[string]bool{}
	for _, b := range alive {
		known[string(b.ID)] = b.KeepsHistory() && (b.State == store.Ready || !b.DeletedAt.IsZero())
	}
	for _, entry := range entries {
		if !known[entry.Name()] {
			if err := p.volume.Remove(ctx, filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
