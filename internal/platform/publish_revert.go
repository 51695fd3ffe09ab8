package platform

import (
	"context"
	"fmt"
	"strconv"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// RevertPublish plans the way back of a publish as a publish of its own, which is rehearsed and applied like any other. What was set aside
// comes back, with the rows that were written since; the plan lists what cannot. answers are to its questions, as schema.ParseAnswers reads
// them; they are kept for the next plan of the same way back.
func (p *Platform) RevertPublish(ctx context.Context, who holdfast.Principal, project string, number int, list []string) (PublishView, error) {
	answers, err := schema.ParseAnswers(list)
	if err != nil {
		return PublishView{}, err
	}
	found, err := p.findPublishing(ctx, project, func(f publishing) error { return checkPublish(who, f.production) })
	if err != nil {
		return PublishView{}, err
	}
	view, err := p.viewPublish(ctx, found, number)
	if err != nil {
		return PublishView{}, err
	}
	if err := p.revertible(ctx, found, view.Publish); err != nil {
		return PublishView{}, err
	}
	var raw []byte
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		raw, err = tx.PublishDoc(found.project.ID, view.Number, holdfast.PublishBeforeDoc)
		return err
	}); err != nil {
		return PublishView{}, err
	}
	before, err := parseCatalog(raw)
	if err != nil {
		return PublishView{}, err
	}
	now, err := p.catalog(ctx, found.production)
	if err != nil {
		return PublishView{}, err
	}
	var pub holdfast.Publish
	err = p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if pub, err = p.openRevert(tx, who, found.project, view.Number); err != nil {
			return err
		}
		answers, err = p.keepAnswers(tx, who, project, pub, answers)
		return err
	})
	if err != nil {
		return PublishView{}, err
	}
	wanted, kept := publish.Before(before, now, view.Plan)
	options := schema.Options{Answers: answers, AllowLossy: true, Publish: strconv.Itoa(pub.Number)}
	var plan *schema.Plan
	if view.Kind.Phase() {
		plan, err = p.planUndone(ctx, found, view.Publish, now, options)
	} else {
		plan, err = schema.Revert(wanted, now, options)
	}
	if err != nil {
		return PublishView{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the way back of publish %d cannot be planned", view.Number), Hint: p.restoreHint(ctx, found, view.Publish), Cause: err}
	}
	for _, object := range kept {
		plan.Notes = append(plan.Notes, object+" was made since and stays")
	}
	if err := p.keepPlan(ctx, who, pub.ProjectID, pub.Number, plan, func(*holdfast.Publish) {}); err != nil {
		return PublishView{}, err
	}
	return p.Publish(ctx, who, project, pub.Number)
}

// openRevert finds the open way back of a publish, or makes one.
func (p *Platform) openRevert(tx *store.Tx, who holdfast.Principal, project store.Project, number int) (holdfast.Publish, error) {
	all, err := tx.Publishes(project.ID, maxPublishes)
	if err != nil {
		return holdfast.Publish{}, err
	}
	for _, pub := range all {
		if pub.Reverts == number && pub.State.Open() {
			return pub, notRehearsing(pub)
		}
	}
	return p.insertPublish(tx, who, project, holdfast.Publish{Kind: holdfast.PublishRevert, Reverts: number})
}

// revertible refuses a publish of which the way back is not there any more, or would take back others, too.
func (p *Platform) revertible(ctx context.Context, found publishing, pub holdfast.Publish) error {
	refuse := func(message, hint string) error {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: message, Hint: hint}
	}
	if pub.State != holdfast.PublishPublished {
		return refuse(fmt.Sprintf("publish %d is %s: there is nothing to revert", pub.Number, pub.State), "")
	}
	if pub.Purged || p.now().After(pub.GraceUntil) {
		return refuse(fmt.Sprintf("the grace period of publish %d has ended, and what it dropped is gone", pub.Number), p.restoreHint(ctx, found, pub))
	}
	var all []holdfast.Publish
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Publishes(found.project.ID, maxPublishes); return err }); err != nil {
		return err
	}
	for _, later := range all {
		tookBack := later.Reverts > pub.Number // it and what it took back cancel each other out
		if later.Number > pub.Number && later.State == holdfast.PublishPublished && !tookBack {
			return refuse(fmt.Sprintf("publish %d came later and rests on it", later.Number), fmt.Sprintf("revert that one first: `holdfast publish revert %s %d`", found.project.Name, later.Number))
		}
	}
	return nil
}

// restoreHint says how to go back where a publish cannot be reverted, and what that would lose.
func (p *Platform) restoreHint(ctx context.Context, found publishing, pub holdfast.Publish) string {
	if pub.Checkpoint == "" {
		return ""
	}
	hint := fmt.Sprintf("`holdfast restore %s --checkpoint %s` takes everything back to before it", found.production.Ref(), pub.Checkpoint)
	next, err := p.nextTransaction(ctx, found.production)
	if err != nil || next < pub.Transaction || pub.Transaction == 0 {
		return hint
	}
	return fmt.Sprintf("%s, and loses the %d transactions since", hint, next-pub.Transaction)
}

// dumpBefore is production's structure before a publish, as pg_dump wrote it.
func (p *rehearsing) dumpBefore(ctx context.Context, number int) (string, error) {
	var raw []byte
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		raw, err = tx.PublishDoc(p.found.project.ID, number, holdfast.PublishOldDoc)
		return err
	})
	return string(raw), err
}
