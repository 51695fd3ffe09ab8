package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

const adoptJob = "adopt_schema"

type adoptInput struct {
	ProjectID holdfast.ProjectID
	Objects   []string // as people name them; empty: all
}

// AdoptSchema takes into development what only production has or has changed since the last publish: the objects that are named, or all.
// What development has changed stays. A checkpoint of development is made first.
func (p *Platform) AdoptSchema(ctx context.Context, who holdfast.Principal, project string, objects []string) (holdfast.Job, error) {
	found, err := p.findPublishing(ctx, project, func(f publishing) error {
		if err := checkProposal(who, f.project); err != nil {
			return err
		}
		return checkBranch(who, f.development, holdfast.MayWrite)
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	in, err := p.comparison(ctx, found)
	if err != nil {
		return holdfast.Job{}, err
	}
	if _, err := p.adoption(in, objects); err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, adoptJob, found.development.Ref().String(), adoptInput{ProjectID: found.project.ID, Objects: objects})
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = found.project.ID, found.development.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "publish.adopt", found.development.Ref().String(), map[string]any{"job": job.ID, "objects": objects})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// adoption plans, for development, to take over what is named of production's own.
func (p *Platform) adoption(in schema.Input, objects []string) (*schema.Plan, error) {
	// Whether something is asked does not matter here: only what production has of its own is taken over.
	plan, err := p.computePlan(in)
	if err != nil {
		return nil, err
	}
	var chosen []schema.Drift
	for _, name := range objects {
		i := slices.IndexFunc(plan.Drift, func(d schema.Drift) bool {
			return slices.Contains([]string{d.Object.String(), d.Object.Label(), strings.TrimPrefix(d.Object.Label(), "public.")}, name)
		})
		if i < 0 {
			return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("%q is nothing that only production has or has changed", name), Hint: "`holdfast publish plan` lists the drift"}
		}
		chosen = append(chosen, plan.Drift[i])
	}
	adopted, err := schema.Adopt(in, chosen)
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "development cannot take that over", Cause: err}
	}
	refuseExtensions(adopted)
	return adopted, adopted.Ready()
}

// runAdopt can be repeated: it plans anew from what development has by then, so there is nothing to undo. Its groups of statements are
// transactions, and one that fails takes back those before it.
func (p *Platform) runAdopt(ctx context.Context, r *run) (any, error) {
	var input adoptInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var found publishing
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { found, err = p.publishingByID(tx, input.ProjectID); return err }); err != nil {
		return nil, err
	}
	r.Steps(2)
	r.Step("comparing")
	in, err := p.comparison(ctx, found)
	if err != nil {
		return nil, err
	}
	plan, err := p.adoption(in, input.Objects)
	if err != nil {
		return nil, err
	}
	if plan.Empty() {
		return map[string]any{"statements": 0}, nil
	}
	release, err := p.fleet.Hold(ctx, found.development.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := p.autoCheckpoint(ctx, found.development, holdfast.BeforeSyncCheckpoint); err != nil {
		return nil, err
	}
	r.Step("changing development")
	_, err = publish.Apply(ctx, publish.Order{Plan: plan, Target: p.target(found.development), Settings: publish.Settings{Extensions: allowedExtensions()},
		Progress: func(e publish.Event) {
			if e.Kind == publish.EventCommitted {
				r.Progress(int64(e.Step+1), int64(e.Steps), "groups")
			}
		}})
	if err != nil {
		return nil, err
	}
	for _, s := range plan.Statements {
		r.Log(s.Description)
	}
	return map[string]any{"statements": len(plan.Statements)}, nil
}

// LintSchema lists what can hurt a database in use when a migration script runs. It runs nothing and needs no branch.
func (p *Platform) LintSchema(script string) []schema.LintFinding { return schema.Lint(script) }
