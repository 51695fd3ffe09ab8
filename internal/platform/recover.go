package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// Recovery makes an installation again of what a repository holds.
type Recovery struct {
	Found    []history.Found
	Location store.Location // where it was found, and where history goes on; the zero Location: the repository in the data directory
	Keys     [][]byte       // that open it, the newest first, as OpenLocation understands them
	// Progress is told what is being done to which branch; total is zero while it is not known.
	Progress func(ref holdfast.BranchRef, step string, done, total int64, unit string)
}

// RecoveredBranch is what became of one branch.
type RecoveredBranch struct {
	Ref     holdfast.BranchRef
	Until   time.Time // of the last commit that came back
	Bytes   int64
	Roles   []string // that can log in, with the passwords that they had
	Empty   bool     // the repository had no base backup of it, so it is a new, empty database
	Damages []string // objects that were damaged at one place and taken from another
}

// Recover makes projects and branches again, each with the ID that it had, so that its history goes on where it ended. What an earlier call
// has finished is left alone: after an interruption the same call completes the rest. A branch that cannot be recovered keeps none of the
// others from it; the error names each.
func (p *Platform) Recover(ctx context.Context, r Recovery) ([]RecoveredBranch, error) {
	var out []RecoveredBranch
	var errs []error
	for _, found := range byProject(r.Found) {
		if err := p.insertRecovered(ctx, r, found); err != nil {
			return out, err
		}
		whole := true
		for _, f := range found.branches {
			made, err := p.recoverBranch(ctx, r, f)
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			if err != nil {
				errs, whole = append(errs, fmt.Errorf("recover %s: %w", f.Branch.Ref(), err)), false
				continue
			}
			out = append(out, made)
		}
		if whole {
			if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetProjectState(found.ID, store.Ready) }); err != nil {
				return out, err
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return out, err
	}
	return out, errors.Join(p.openHistories(ctx), p.directory.load(ctx, p.store))
}

// foundProject is a project and those of its branches that are to be made again.
type foundProject struct {
	holdfast.Project
	rules    []holdfast.MaskRule
	branches []history.Found
}

// byProject puts together what was found. Deleted branches and what has no description are left out: nobody can say what they were.
func byProject(found []history.Found) []*foundProject {
	var out []*foundProject
	known := map[holdfast.ProjectID]*foundProject{}
	for _, f := range found {
		if f.Project.ID == "" || !f.Project.DeletedAt.IsZero() || !f.Branch.DeletedAt.IsZero() {
			continue
		}
		project := known[f.Project.ID]
		if project == nil {
			project = &foundProject{Project: f.Project, rules: f.MaskRules}
			known[f.Project.ID] = project
			out = append(out, project)
		}
		project.branches = append(project.branches, f)
	}
	for _, project := range out {
		project.addMissing()
	}
	return out
}

// addMissing adds the two branches that every project has, where the repository does not know one.
func (f *foundProject) addMissing() {
	have := map[holdfast.Environment]bool{}
	for _, b := range f.branches {
		have[b.Branch.Environment] = true
	}
	for _, e := range []holdfast.Environment{holdfast.Development, holdfast.Production} {
		if !have[e] {
			b := holdfast.Branch{ID: holdfast.BranchID(newID("br")), ProjectID: f.ID, Project: f.Name, Name: string(e), Environment: e, Major: f.Major,
				Settings: holdfast.DefaultSettings(), CreatedAt: f.CreatedAt}
			f.branches = append(f.branches, history.Found{Description: history.Description{Project: f.Project, Branch: b}})
		}
	}
}

// insertRecovered writes a project and its branches into the metadata, unless an earlier attempt did.
func (p *Platform) insertRecovered(ctx context.Context, r Recovery, found *foundProject) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Project(found.ID)
		known := err == nil
		if holdfast.KindOf(err) == holdfast.NotFound {
			err = tx.InsertProject(store.Project{Project: found.Project, State: store.Creating})
		}
		if err == nil && r.Location.Name != "" {
			err = tx.PutLocation(found.ID, r.Location, p.now())
		}
		if err != nil || known {
			return err
		}
		for i := range r.Keys { // the newest last, as they were added
			if err := tx.AddProjectKey(found.ID, store.RepositoryKey, r.Keys[len(r.Keys)-1-i], p.now()); err != nil {
				return err
			}
		}
		if err := tx.SetMaskRules(found.ID, found.rules); err != nil {
			return err
		}
		for _, f := range found.branches {
			if err := tx.InsertBranch(store.Branch{Branch: f.Branch, State: store.Creating}); err != nil {
				return err
			}
		}
		return p.record(tx, System(), "project.recover", found.Name, map[string]any{"location": r.Location.Location, "branches": len(found.branches)})
	})
}

// recoverBranch makes one branch's server again. A branch that the repository has no base backup of becomes an empty one.
func (p *Platform) recoverBranch(ctx context.Context, r Recovery, f history.Found) (RecoveredBranch, error) {
	made := RecoveredBranch{Ref: f.Branch.Ref(), Until: f.Window.Latest}
	var b store.Branch
	var roles []store.RoleVerifier
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.BranchByRef(f.Branch.Ref()); err != nil {
			return err
		}
		roles, err = tx.Verifiers(b.ID)
		return err
	})
	if err != nil {
		return made, err
	}
	if b.State != store.Ready {
		// An interrupted attempt may have come as far as the directory.
		if err := p.fleet.Remove(ctx, spec(b)); err != nil {
			return made, err
		}
		if len(f.Bases) == 0 && len(f.Problems) > 0 {
			return made, &holdfast.Error{Kind: holdfast.Corrupt, Message: "its base backups cannot be read: " + f.Problems[0], Hint: "recover from another location, if there is one"}
		}
		if len(f.Bases) == 0 {
			made.Empty = true
			roles, err = p.makeEmpty(ctx, b)
		} else {
			roles, err = p.refill(ctx, r, b, &made)
		}
		if err != nil {
			return made, err
		}
	}
	for _, role := range roles {
		made.Roles = append(made.Roles, role.Role)
	}
	return made, nil
}

func (p *Platform) makeEmpty(ctx context.Context, b store.Branch) ([]store.RoleVerifier, error) {
	created := newBranch{ID: b.ID, Name: b.Name, Password: newPassword()}
	roles, err := p.makeDatabase(ctx, b.Project, created)
	if err != nil {
		return nil, err
	}
	return roles, p.store.Update(ctx, func(tx *store.Tx) error { return p.publishBranch(tx, created, holdfast.OwnerRole(b.Project), roles) })
}

// refill restores the last moment of a branch that the repository has. Its roles keep the passwords that they had then.
func (p *Platform) refill(ctx context.Context, r Recovery, b store.Branch, made *RecoveredBranch) (roles []store.RoleVerifier, err error) {
	locations, err := p.openLocations(ctx, b.ProjectID)
	if err != nil {
		return nil, err
	}
	archive, err := p.newArchive(b, locations)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	plan, err := archive.Plan(ctx, holdfast.Point{})
	if err != nil {
		return nil, err
	}
	parameters, err := p.fleet.Parameters(spec(b))
	if err != nil {
		return nil, err
	}
	made.Bytes = plan.Size
	steps := map[history.Step]struct{ name, unit string }{history.StepBase: {"restoring pages", "bytes"}, history.StepWAL: {"fetching WAL", "segments"}, history.StepReplay: {"replaying WAL", ""}}
	fill := func(ctx context.Context, server fleet.Server) error {
		restored, err := archive.Restore(ctx, history.RestoreRequest{Plan: plan, Server: server, Parameters: parameters, Continues: true,
			Progress: func(step history.Step, done, total int64) {
				r.Progress(b.Ref(), steps[step].name, done, total, steps[step].unit)
			}})
		for _, d := range restored.Damages {
			made.Damages = append(made.Damages, d.String())
		}
		return err
	}
	logins, err := p.fleet.CreateFrom(ctx, spec(b), fill, fleet.Handover{Unchanged: true})
	if err != nil {
		return nil, err
	}
	roles = roleVerifiers(logins)
	return roles, p.store.Update(ctx, func(tx *store.Tx) error {
		b, err := tx.Branch(b.ID)
		if err != nil {
			return err
		}
		b.State = store.Ready
		return errors.Join(tx.SetVerifiers(b.ID, roles), tx.UpdateBranch(b))
	})
}
