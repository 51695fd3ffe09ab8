package platform

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/rows"
	"github.com/holdfast/holdfast/internal/store"
)

// Lifetimes of preview branches.
const (
	DefaultPreviewLife = 24 * time.Hour
	MaxPreviewLife     = 30 * 24 * time.Hour
)

// NewBranch asks for a preview branch with all the data of another branch.
type NewBranch struct {
	Name       string
	From       holdfast.BranchRef
	At         holdfast.Point // of the branch's history; the zero point: as it is now
	Life       time.Duration  // after which it is deleted; zero: DefaultPreviewLife
	SchemaOnly bool           // no rows
	History    bool           // its every moment is kept until it is deleted
	Masked     bool           // the project's masking rules are applied before anybody can connect
}

const createBranchJob = "create_branch"

type createBranchInput struct {
	Branch     newBranch
	From       holdfast.BranchID
	At         holdfast.Point
	SchemaOnly bool
	Masked     bool
	Look       bool
}

// CreateBranch makes a preview branch. It has a server, credentials and a life of its own, and no way back to its parent.
func (p *Platform) CreateBranch(ctx context.Context, who holdfast.Principal, ask NewBranch) (holdfast.Job, error) {
	return p.createBranch(ctx, who, ask, false)
}

func (p *Platform) createBranch(ctx context.Context, who holdfast.Principal, ask NewBranch, look bool) (holdfast.Job, error) {
	var none holdfast.Job
	from, err := p.findBranch(ctx, who, ask.From, holdfast.MayRead)
	if err != nil {
		return none, err
	}
	if err := checkCopy(who, from, ask); err != nil {
		return none, err
	}
	if err := holdfast.CheckBranchName(ask.Name); err != nil {
		return none, err
	}
	if ask.Life == 0 {
		ask.Life = DefaultPreviewLife
	}
	if ask.Life < time.Minute || ask.Life > MaxPreviewLife {
		return none, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a preview cannot live for %s", ask.Life), Hint: "choose one minute to 30 days: 1h, 1d, 7d"}
	}
	if !ask.At.Latest() {
		if _, err := p.plan(ctx, from, ask.At); err != nil {
			return none, err
		}
	}
	input := createBranchInput{Branch: newBranch{ID: holdfast.BranchID(newID("br")), Name: ask.Name, Password: newPassword()}, From: from.ID, At: ask.At, SchemaOnly: ask.SchemaOnly, Masked: ask.Masked, Look: look}
	now := p.now()
	b := store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: input.Branch.ID, ProjectID: from.ProjectID, Name: ask.Name, Environment: holdfast.Preview, Parent: from.ID,
		Major: from.Major, Settings: from.Settings, CreatedAt: now, ExpiresAt: now.Add(ask.Life), Look: look,
		Masked: ask.Masked || from.Masked, SchemaOnly: ask.SchemaOnly || from.SchemaOnly, ProductionRows: showsProduction(from) && !ask.Masked && !ask.SchemaOnly}}
	b.Settings.History = ask.History
	ref := holdfast.BranchRef{Project: from.Project, Branch: ask.Name}
	job, err := p.jobs.newJob(who, createBranchJob, ref.String(), input)
	if err != nil {
		return none, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.BranchByRef(ref); err == nil {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "branch " + ref.String() + " exists already"}
		}
		if err := tx.InsertBranch(b); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "branch.create", ref.String(), map[string]any{"job": job.ID, "from": ask.From.String(), "masked": ask.Masked, "schema_only": ask.SchemaOnly})
	})
	if err != nil {
		return none, err
	}
	return p.jobs.start(job)
}

func (p *Platform) runCreateBranch(ctx context.Context, r *run) (any, error) {
	var input createBranchInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var b, from store.Branch
	var rules []holdfast.MaskRule
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.Branch(input.Branch.ID); err != nil {
			return err
		}
		if from, err = tx.Branch(input.From); err != nil {
			return err
		}
		rules, err = tx.MaskRules(b.ProjectID)
		return err
	})
	if err != nil {
		return nil, err
	}
	if input.Masked && len(rules) == 0 {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "project " + b.Project + " has no masking rules, so a masked branch would show everything", Hint: "set some with `holdfast mask set`"}
	}
	r.Steps(2)
	handover := fleet.Handover{OldDatabase: from.Ref().Database(), NewDatabase: b.Ref().Database(), Owner: holdfast.OwnerRole(b.Project), Password: input.Branch.Password,
		Prepare: func(ctx context.Context, conn *pgx.Conn) error { return p.prepareCopy(ctx, r, conn, b, input, rules) }}
	logins, err := p.copyBranch(ctx, r, b, from, input.At, handover)
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w", from.Ref(), err)
	}
	r.Step("opening the front door")
	p.measureOne(ctx, b.ID)
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		return p.publishBranch(tx, input.Branch, handover.Owner, roleVerifiers(logins))
	})
	if err != nil {
		return nil, err
	}
	p.measureOne(ctx, b.ID)
	if err := p.openHistories(ctx); err != nil {
		return nil, err
	}
	return map[string]any{"branch": b.Ref().String()}, p.directory.load(ctx, p.store)
}

// copyBranch makes the branch's server: a clone of its parent as it is now, or of one of its moments.
func (p *Platform) copyBranch(ctx context.Context, r *run, b, from store.Branch, at holdfast.Point, handover fleet.Handover) ([]fleet.Login, error) {
	if at.Latest() {
		r.Step("copying " + from.Ref().String())
		return p.fleet.CloneAs(ctx, from.ID, spec(b), handover, func(done, total int64) { r.Progress(done, total, "bytes") })
	}
	r.Step("restoring " + from.Ref().String() + " as of " + at.String())
	fill, err := p.restoring(r, from, spec(b), at, false)
	if err != nil {
		return nil, err
	}
	return p.fleet.CreateFrom(ctx, spec(b), fill, handover)
}

func (p *Platform) prepareCopy(ctx context.Context, r *run, conn *pgx.Conn, b store.Branch, input createBranchInput, rules []holdfast.MaskRule) error {
	if input.Look {
		return makeReadOnly(ctx, conn, b.Ref().Database())
	}
	if input.SchemaOnly {
		r.Log("removing the rows")
		return rows.Empty(ctx, conn)
	}
	if !input.Masked {
		return nil
	}
	r.Log(fmt.Sprintf("masking by %d rules", len(rules)))
	salt, err := p.maskingSalt(ctx, b.ProjectID)
	if err != nil {
		return err
	}
	return rows.Mask(ctx, conn, rules, salt)
}

// maskingSalt is the project's secret behind its made-up values; it is made when first needed.
func (p *Platform) maskingSalt(ctx context.Context, project holdfast.ProjectID) ([]byte, error) {
	var salt []byte
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		keys, err := tx.ProjectKeys(project, store.MaskingKey)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			salt = keys[0]
			return nil
		}
		salt = make([]byte, 32)
		rand.Read(salt) // never fails: crypto/rand ends the process instead
		return tx.AddProjectKey(project, store.MaskingKey, salt, p.now())
	})
	return salt, err
}

func (p *Platform) undoCreateBranch(ctx context.Context, r *run) error {
	var input createBranchInput
	if err := r.Input(&input); err != nil {
		return err
	}
	if err := p.closeHistory(input.Branch.ID); err != nil {
		return err
	}
	if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.Branch.ID}); err != nil {
		return err
	}
	if r.willRunAgain() {
		return nil
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.EraseBranch(input.Branch.ID) })
	if err != nil {
		return err
	}
	return p.directory.load(ctx, p.store)
}

// MaskRules lists a project's masking rules.
func (p *Platform) MaskRules(ctx context.Context, who holdfast.Principal, project string) ([]holdfast.MaskRule, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	var out []holdfast.MaskRule
	err = p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.MaskRules(found.ID); return err })
	return out, err
}

// SetMaskRules replaces a project's masking rules. They hold for branches made from now on.
func (p *Platform) SetMaskRules(ctx context.Context, who holdfast.Principal, project string, rules []holdfast.MaskRule) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetMaskRules(found.ID, rules); err != nil {
			return err
		}
		return p.record(tx, who, "project.mask_rules", project, map[string]any{"rules": rules})
	})
	if err == nil {
		p.describeProject(ctx, found.ID)
	}
	return err
}
