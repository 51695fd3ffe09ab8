package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// Plan is what a publish does, in order.
type Plan = schema.Plan

// PublishView is a publish as its users see it.
type PublishView struct {
	holdfast.Publish
	Project string
	Plan    *schema.Plan      // nil in lists
	Report  *RehearsalReport  // of the last rehearsal; nil in lists, and where there was none
	Answers map[string]string // to questions of the plan
}

// publishing is a project with the two branches that a publish is about.
type publishing struct {
	project                 store.Project
	development, production store.Branch
}

// findPublishing finds a project and its two branches; may decides who.
func (p *Platform) findPublishing(ctx context.Context, name string, may func(publishing) error) (publishing, error) {
	var found publishing
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if found.project, err = tx.ProjectByName(name); err != nil {
			return err
		}
		return p.completePublishing(tx, &found)
	})
	if err != nil {
		return found, err
	}
	if err := may(found); err != nil {
		return found, err
	}
	if found.project.State != store.Ready {
		return found, &holdfast.Error{Kind: holdfast.Busy, Message: "project " + name + " is still being created", Hint: "`holdfast job list` shows how far it is"}
	}
	return found, nil
}

func (p *Platform) completePublishing(tx *store.Tx, found *publishing) error {
	branches, err := tx.Branches(found.project.ID)
	for _, b := range branches {
		switch b.Environment {
		case holdfast.Development:
			found.development = b
		case holdfast.Production:
			found.production = b
		}
	}
	return err
}

func mayRead(who holdfast.Principal) func(publishing) error {
	return func(f publishing) error { return checkProject(who, f.project, holdfast.MayRead) }
}

func mayPropose(who holdfast.Principal) func(publishing) error {
	return func(f publishing) error { return checkProposal(who, f.project) }
}

// Publishes lists a project's publishes, the newest first.
func (p *Platform) Publishes(ctx context.Context, who holdfast.Principal, project string) ([]PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayRead(who))
	if err != nil {
		return nil, err
	}
	var all []holdfast.Publish
	err = p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Publishes(found.project.ID, maxPublishes); return err })
	out := []PublishView{}
	for _, one := range all {
		out = append(out, PublishView{Publish: one, Project: project})
	}
	return out, err
}

// maxPublishes bounds a list of publishes.
const maxPublishes = 200

// Publish shows one publish with its plan; number 0 is the newest.
func (p *Platform) Publish(ctx context.Context, who holdfast.Principal, project string, number int) (PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayRead(who))
	if err != nil {
		return PublishView{}, err
	}
	view, err := p.viewPublish(ctx, found, number)
	return shownTo(who, found, view), err
}

// shownTo takes the rows of production out of a report for those who may not see them.
func shownTo(who holdfast.Principal, found publishing, view PublishView) PublishView {
	if view.Report == nil || checkRows(who, found.production) == nil {
		return view
	}
	report := *view.Report
	report.Findings = slices.Clone(report.Findings)
	for i := range report.Findings {
		report.Findings[i].Rows = nil
	}
	report.Hooks = slices.Clone(report.Hooks)
	for i := range report.Hooks {
		report.Hooks[i].Output = ""
	}
	view.Report = &report
	return view
}

func (p *Platform) viewPublish(ctx context.Context, found publishing, number int) (PublishView, error) {
	view := PublishView{Project: found.project.Name}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if view.Publish, err = publishOf(tx, found.project, number); err != nil {
			return err
		}
		if view.Answers, err = tx.PublishAnswers(found.project.ID, view.Number); err != nil {
			return err
		}
		if view.Plan, err = planOf(tx, view.Publish); err != nil {
			return err
		}
		view.Report, err = reportOf(tx, view.Publish)
		return err
	})
	return view, err
}

// publishOf finds a publish; number 0 is the newest.
func publishOf(tx *store.Tx, project store.Project, number int) (holdfast.Publish, error) {
	if number != 0 {
		return tx.Publish(project.ID, number)
	}
	newest, err := tx.Publishes(project.ID, 1)
	if err != nil {
		return holdfast.Publish{}, err
	}
	if len(newest) == 0 {
		return holdfast.Publish{}, &holdfast.Error{Kind: holdfast.NotFound, Message: "project " + project.Name + " has no publish yet", Hint: "`holdfast publish plan " + project.Name + "` makes one"}
	}
	return newest[0], nil
}

func planOf(tx *store.Tx, pub holdfast.Publish) (*schema.Plan, error) {
	raw, err := tx.PublishDoc(pub.ProjectID, pub.Number, holdfast.PublishPlanDoc)
	if err != nil || raw == nil {
		return nil, err
	}
	var plan schema.Plan
	if err := json.Unmarshal(raw, &plan); err != nil {
		return nil, fmt.Errorf("read the plan of publish %d: %w", pub.Number, err)
	}
	return &plan, nil
}

// changePublish reads a publish, lets change change it, and writes it back in one transaction.
func (p *Platform) changePublish(ctx context.Context, project holdfast.ProjectID, number int, change func(*store.Tx, *holdfast.Publish) error) (holdfast.Publish, error) {
	var pub holdfast.Publish
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if pub, err = tx.Publish(project, number); err != nil {
			return err
		}
		if err := change(tx, &pub); err != nil {
			return err
		}
		return tx.UpdatePublish(pub)
	})
	return pub, err
}

// CancelPublish gives up a publish that has changed nothing, and stops the job that works on it. One that is being applied is taken back
// by its job.
func (p *Platform) CancelPublish(ctx context.Context, who holdfast.Principal, project string, number int) (PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayPropose(who))
	if err != nil {
		return PublishView{}, err
	}
	view, err := p.viewPublish(ctx, found, number)
	if err != nil {
		return view, err
	}
	if view.Author != who.Name || view.State == holdfast.PublishApplying {
		if err := checkPublish(who, found.production); err != nil {
			return view, err
		}
	}
	if view.State == holdfast.PublishRehearsing || view.State == holdfast.PublishApplying {
		if !p.jobs.cancelJob(view.Job) {
			return view, &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("publish %d has just ended", view.Number)}
		}
		// The job itself says what became of the publish.
		if _, err := p.jobs.wait(ctx, view.Job); holdfast.KindOf(err) != holdfast.Canceled && err != nil {
			return view, err
		}
		if view.State == holdfast.PublishApplying {
			return p.Publish(ctx, who, project, view.Number)
		}
	}
	_, err = p.changePublish(ctx, found.project.ID, view.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		if err := pub.Become(holdfast.PublishFailed); err != nil {
			return err
		}
		pub.Error, pub.EndedAt = "canceled by "+who.Name, p.now()
		return p.record(tx, who, "publish.cancel", publishSubject(project, pub.Number), nil)
	})
	if err != nil {
		return view, err
	}
	return p.Publish(ctx, who, project, view.Number)
}

func publishSubject(project string, number int) string {
	return fmt.Sprintf("%s publish %d", project, number)
}

// PublishHooks shows a project's checks of rehearsals.
func (p *Platform) PublishHooks(ctx context.Context, who holdfast.Principal, project string) (holdfast.Hooks, error) {
	found, err := p.findPublishing(ctx, project, mayRead(who))
	if err != nil {
		return holdfast.Hooks{}, err
	}
	var hooks holdfast.Hooks
	err = p.store.View(ctx, func(tx *store.Tx) (err error) { hooks, err = tx.PublishHooks(found.project.ID); return err })
	return hooks, err
}

// SetPublishHooks replaces a project's checks of rehearsals.
func (p *Platform) SetPublishHooks(ctx context.Context, who holdfast.Principal, project string, hooks holdfast.Hooks) error {
	found, err := p.findPublishing(ctx, project, mayRead(who))
	if err != nil {
		return err
	}
	if err := hooks.Validate(); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		old, err := tx.PublishHooks(found.project.ID)
		if err != nil {
			return err
		}
		if err := checkHooks(who, found.project, old, hooks); err != nil {
			return err
		}
		if err := tx.SetPublishHooks(found.project.ID, hooks); err != nil {
			return err
		}
		return p.record(tx, who, "publish.hooks", project, map[string]any{"command": hooks.Command, "url": hooks.URL, "allow_private": hooks.AllowPrivate})
	})
}

// readPatience bounds the reading of a catalogue.
const readPatience = time.Minute

// catalog reads a branch's structure. It wakes the branch and lets it sleep again.
func (p *Platform) catalog(ctx context.Context, b store.Branch) (*schema.Catalog, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return readCatalog(ctx, conn, b)
}

func readCatalog(ctx context.Context, conn *fleet.Conn, b store.Branch) (*schema.Catalog, error) {
	c, err := schema.Read(ctx, conn.Conn)
	if err != nil {
		return nil, fmt.Errorf("read the structure of %s: %w", b.Ref(), err)
	}
	// The administrator reads, because only it sees everything. The owner makes and changes: user code that runs meanwhile, such as a
	// default's function, gets no more rights than its author has.
	c.User = holdfast.OwnerRole(b.Project)
	return c, nil
}

// ownerConn opens a session of the project's owner role in a branch's main database, as its users do. It wakes the branch.
func (p *Platform) ownerConn(ctx context.Context, b store.Branch) (*fleet.Conn, error) {
	owner := holdfast.OwnerRole(b.Project)
	password, err := p.ownerPassword(ctx, b)
	if err != nil {
		return nil, err
	}
	conn, err := p.fleet.ConnectAs(ctx, b.ID, owner, password, b.Ref().Database())
	return conn, explainLogin(err, b)
}

// explainLogin says what to do when the owner's password is not the one that is known.
func explainLogin(err error, b store.Branch) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "28P01" {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the password of %s on %s was changed with SQL", holdfast.OwnerRole(b.Project), b.Ref()),
			Hint: "`holdfast credentials rotate " + b.Ref().String() + "` makes one that is known", Cause: err}
	}
	return err
}
