package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// RehearsalReport is what a rehearsal found, with the project's own checks.
type RehearsalReport struct {
	publish.Report
	Hooks []HookResult `json:"hooks"`
}

const rehearseJob = "rehearse_publish"

type rehearseInput struct {
	ProjectID holdfast.ProjectID
	Number    int
	Copy      newBranch
	Keep      bool
}

// RehearsePublish runs a plan on a copy of production with its data and reports what it did. The copy is removed afterwards, unless it
// is to be kept: then it is a preview branch, for those who may see production's rows.
func (p *Platform) RehearsePublish(ctx context.Context, who holdfast.Principal, project string, number int, keep bool) (holdfast.Job, error) {
	found, err := p.findPublishing(ctx, project, mayPropose(who))
	if err != nil {
		return holdfast.Job{}, err
	}
	if keep {
		if err := checkCopy(who, found.production, NewBranch{}); err != nil {
			return holdfast.Job{}, err
		}
	}
	view, err := p.viewPublish(ctx, found, number)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := p.rehearsable(view); err != nil {
		return holdfast.Job{}, err
	}
	if err := p.removeCopies(ctx, found, view.Number); err != nil {
		return holdfast.Job{}, err
	}
	input := rehearseInput{ProjectID: found.project.ID, Number: view.Number, Keep: keep,
		Copy: newBranch{ID: holdfast.BranchID(newID("br")), Password: newPassword()}}
	job, err := p.jobs.newJob(who, rehearseJob, publishSubject(project, view.Number), nil)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = found.project.ID, input.Copy.ID
	_, err = p.changePublish(ctx, found.project.ID, view.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		if err := pub.Become(holdfast.PublishRehearsing); err != nil {
			return err
		}
		pub.Job, pub.Error, pub.Preview = job.ID, "", ""
		if input.Copy.Name, err = freeCopyName(tx, project, view.Number); err != nil {
			return err
		}
		if job.Input, err = json.Marshal(input); err != nil {
			return err
		}
		now := p.now()
		b := store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: input.Copy.ID, ProjectID: found.project.ID, Name: input.Copy.Name, Environment: holdfast.Preview,
			Parent: found.production.ID, Major: found.production.Major, Settings: found.production.Settings, ProductionRows: true, CreatedAt: now, ExpiresAt: now.Add(DefaultPreviewLife)}}
		if err := tx.InsertBranch(b); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "publish.rehearse", publishSubject(project, pub.Number), map[string]any{"job": job.ID, "keep": keep})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// rehearsable refuses a publish that has nothing to rehearse.
func (p *Platform) rehearsable(view PublishView) error {
	switch {
	case view.Plan == nil:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("publish %d has no plan", view.Number), Hint: "`holdfast publish plan " + view.Project + "` makes one"}
	case view.State == holdfast.PublishRehearsing, view.State == holdfast.PublishApplying:
		return notRehearsing(view.Publish)
	case view.Plan.Empty():
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("publish %d has nothing to do", view.Number)}
	}
	return view.Plan.Ready()
}

// removeCopies removes the copies that were kept of earlier rehearsals of a publish.
func (p *Platform) removeCopies(ctx context.Context, found publishing, number int) error {
	var all []store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Branches(found.project.ID); return err }); err != nil {
		return err
	}
	for _, b := range all {
		if b.IsRehearsal() && b.State == store.Ready && !b.Protected && strings.HasPrefix(b.Name+"_", copyName(number, 1)+"_") {
			if _, err := p.deleteBranch(ctx, System(), b, "rehearsed again"); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyName is the name of the copy for a rehearsal.
func copyName(number, attempt int) string {
	name := fmt.Sprintf("%s%d", holdfast.RehearsalPrefix, number)
	if attempt > 1 {
		name += fmt.Sprintf("_%d", attempt)
	}
	return name
}

func freeCopyName(tx *store.Tx, project string, number int) (string, error) {
	for attempt := 1; ; attempt++ {
		name := copyName(number, attempt)
		_, err := tx.BranchByRef(holdfast.BranchRef{Project: project, Branch: name})
		if holdfast.KindOf(err) == holdfast.NotFound {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// rehearsing is one run of a rehearsal's job.
type rehearsing struct {
	*Platform
	run       *run
	input     rehearseInput
	found     publishing
	pub       holdfast.Publish
	plan      *schema.Plan
	expansion *schema.Expansion
	copy      store.Branch
	hooks     holdfast.Hooks

	production *schema.Catalog // as it was when the rehearsal began
}

func (p *Platform) runRehearse(ctx context.Context, r *run) (any, error) {
	h := &rehearsing{Platform: p, run: r}
	if err := r.Input(&h.input); err != nil {
		return nil, err
	}
	result, err := h.all(ctx)
	if err != nil && ctx.Err() == nil {
		_, noted := p.changePublish(ctx, h.input.ProjectID, h.input.Number, func(_ *store.Tx, pub *holdfast.Publish) error {
			pub.Error = describe(err)
			return nil
		})
		err = errors.Join(err, noted)
	}
	return result, err
}

// all does every step of the rehearsal.
func (h *rehearsing) all(ctx context.Context) (any, error) {
	p, r := h.Platform, h.run
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if h.found, err = p.publishingByID(tx, h.input.ProjectID); err != nil {
			return err
		}
		if h.pub, err = tx.Publish(h.input.ProjectID, h.input.Number); err != nil {
			return err
		}
		if h.plan, err = planOf(tx, h.pub); err != nil {
			return err
		}
		if h.expansion, err = expansionOf(tx, h.pub); err != nil {
			return err
		}
		if h.hooks, err = tx.PublishHooks(h.input.ProjectID); err != nil {
			return err
		}
		if err := tx.ClearPublish(store.PublishStatements, h.pub.ProjectID, h.pub.Number); err != nil {
			return err
		}
		h.copy, err = tx.Branch(h.input.Copy.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Steps(4)
	if err := h.unchanged(ctx); err != nil {
		return nil, err
	}
	logins, err := h.makeCopy(ctx)
	if err != nil {
		return nil, err
	}
	report, err := h.rehearse(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.acceptResult(ctx, report); err != nil {
		return nil, err
	}
	if h.input.Keep || (h.hooks.Command != "" || h.hooks.URL != "") && report.Error == "" {
		if err := h.openDoor(ctx, logins); err != nil {
			return nil, err
		}
	}
	r.Step("running the project's own checks")
	if err := h.runHooks(ctx, report); err != nil {
		return nil, err
	}
	return h.finish(ctx, report)
}

// publishingByID finds a project and its two branches for a job.
func (p *Platform) publishingByID(tx *store.Tx, id holdfast.ProjectID) (publishing, error) {
	var found publishing
	var err error
	if found.project, err = tx.Project(id); err != nil {
		return found, err
	}
	return found, p.completePublishing(tx, &found)
}

// unchanged makes sure, before anything is copied, that development and production are those of the plan.
func (h *rehearsing) unchanged(ctx context.Context) error {
	in, err := h.comparison(ctx, h.found)
	if err != nil {
		return err
	}
	h.production = in.Production
	if h.pub.Kind == holdfast.PublishSchema && in.Development.Fingerprint() != h.pub.Development {
		return changedSince(h.found.development, "planned", h.found.project.Name)
	}
	if in.Production.Fingerprint() != h.plan.From {
		return changedSince(h.found.production, "planned", h.found.project.Name)
	}
	return nil
}

func changedSince(b store.Branch, what, project string) error {
	return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the structure of %s has changed since the publish was %s", b.Ref(), what), Hint: "plan again: `holdfast publish plan " + project + "`"}
}

func (h *rehearsing) makeCopy(ctx context.Context) ([]fleet.Login, error) {
	owner := holdfast.OwnerRole(h.found.project.Name)
	handover := fleet.Handover{OldDatabase: h.found.production.Ref().Database(), NewDatabase: h.copy.Ref().Database(), Owner: owner, Password: h.input.Copy.Password}
	logins, err := h.copyBranch(ctx, h.run, h.copy, h.found.production, holdfast.Point{}, handover)
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w", h.found.production.Ref(), err)
	}
	// Nobody can log in before openDoor; the rehearsal itself can.
	return logins, h.store.Update(ctx, func(tx *store.Tx) error { return tx.SetPassword(h.copy.ID, owner, h.input.Copy.Password, h.now()) })
}

// rehearse runs the plan on the copy.
func (h *rehearsing) rehearse(ctx context.Context) (*RehearsalReport, error) {
	h.run.Step("rehearsing on a copy of production")
	release, err := h.fleet.Hold(ctx, h.copy.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	workload, err := h.workload(ctx)
	if err != nil {
		return nil, err
	}
	log := h.newEventLog(h.run, h.pub, rehearsalPhase)
	report, err := publish.Rehearse(ctx, publish.Rehearsal{Plan: h.plan, Copy: h.target(h.copy), Development: h.wanted(), Workload: workload, Progress: log.add, Backfills: batches(h.pub, h.expansion),
		Settings: publish.Settings{Extensions: allowedExtensions()}})
	log.close()
	if err != nil {
		return nil, err
	}
	return &RehearsalReport{Report: *report, Hooks: []HookResult{}}, nil
}

// wanted prints the structure that production shall have.
func (h *rehearsing) wanted() func(context.Context) (string, error) {
	switch h.pub.Kind {
	case holdfast.PublishSchema:
		return func(ctx context.Context) (string, error) { return h.dump(ctx, h.found.development) }
	case holdfast.PublishRevert:
		return func(ctx context.Context) (string, error) { return h.dumpBefore(ctx, h.pub.Reverts) }
	}
	return nil
}

// workload reads what runs in production. Where statements are not counted there is nothing to try.
func (h *rehearsing) workload(ctx context.Context) ([]publish.Query, error) {
	conn, err := h.fleet.Admin(ctx, h.found.production.ID, fleet.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	queries, err := publish.ReadWorkload(ctx, conn.Conn, h.found.production.Ref().Database(), fleet.OwnRoles()...)
	if holdfast.KindOf(err) == holdfast.Precondition {
		h.run.Log(err.Error())
		return nil, nil
	}
	return queries, err
}

// openDoor lets the copy be reached: by the project's own checks, and by those who may see production's rows.
func (h *rehearsing) openDoor(ctx context.Context, logins []fleet.Login) error {
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		return h.publishBranch(tx, h.input.Copy, holdfast.OwnerRole(h.found.project.Name), roleVerifiers(logins))
	})
	if err != nil {
		return err
	}
	return h.directory.load(ctx, h.store)
}

// finish keeps the report and the verdict, and the copy where that is wanted.
func (h *rehearsing) finish(ctx context.Context, report *RehearsalReport) (any, error) {
	h.run.Step("tidying up")
	if !h.input.Keep {
		if err := h.removeCopy(ctx, h.input); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	plan, err := json.Marshal(h.plan)
	if err != nil {
		return nil, err
	}
	verdict, reasons := report.Gate("lossy", "breaking")
	pub, err := h.changePublish(ctx, h.pub.ProjectID, h.pub.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		next := holdfast.PublishReady
		if verdict != publish.Ready {
			next = holdfast.PublishBlocked
			pub.Error = reasons[0].Text
			if n := len(reasons) - 1; n > 0 {
				pub.Error += fmt.Sprintf(" (and %d further reasons)", n)
			}
		}
		if err := pub.Become(next); err != nil {
			return err
		}
		pub.RehearsedAt, pub.To = h.now(), h.plan.To
		if h.input.Keep {
			pub.Preview = h.copy.Name
		}
		if pub.Kind == holdfast.PublishMigrations || pub.Kind.Phase() {
			if err := tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishPlanDoc, plan); err != nil {
				return err
			}
		}
		if err := tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishDumpDoc, []byte(report.Structure)); err != nil {
			return err
		}
		return tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishReportDoc, raw)
	})
	if err != nil {
		return nil, err
	}
	result := map[string]any{"publish": pub.Number, "state": pub.State}
	if h.input.Keep {
		result["branch"] = h.copy.Ref().String()
	}
	return result, nil
}

// removeCopy removes the copy. What is gone already is fine.
func (p *Platform) removeCopy(ctx context.Context, input rehearseInput) error {
	if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.Copy.ID}); err != nil {
		return err
	}
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.EraseBranch(input.Copy.ID) }); err != nil {
		return err
	}
	return p.directory.load(ctx, p.store)
}

func (p *Platform) undoRehearse(ctx context.Context, r *run) error {
	var input rehearseInput
	if err := r.Input(&input); err != nil {
		return err
	}
	if r.willRunAgain() {
		// The copy's row stays: its name remains taken, and nobody can log in.
		if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.Copy.ID}); err != nil {
			return err
		}
		return p.store.Update(ctx, func(tx *store.Tx) error {
			b, err := tx.Branch(input.Copy.ID)
			if err != nil {
				return err
			}
			b.State = store.Creating
			return tx.UpdateBranch(b)
		})
	}
	if err := p.removeCopy(ctx, input); err != nil {
		return err
	}
	_, err := p.changePublish(ctx, input.ProjectID, input.Number, func(_ *store.Tx, pub *holdfast.Publish) error {
		if pub.State != holdfast.PublishRehearsing {
			return nil
		}
		if pub.Error == "" {
			pub.Error = "the rehearsal was stopped"
		}
		return pub.Become(holdfast.PublishPlanned)
	})
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil
	}
	return err
}

// reportOf reads what a publish's rehearsal found; nil when there was none.
func reportOf(tx *store.Tx, pub holdfast.Publish) (*RehearsalReport, error) {
	raw, err := tx.PublishDoc(pub.ProjectID, pub.Number, holdfast.PublishReportDoc)
	if err != nil || raw == nil {
		return nil, err
	}
	var report RehearsalReport
	if err := json.Unmarshal(raw, &report); err != nil {
		return nil, errors.Join(fmt.Errorf("read the report of publish %d", pub.Number), err)
	}
	return &report, nil
}
