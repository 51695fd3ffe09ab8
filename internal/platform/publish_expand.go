package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// Expand and contract is three publishes, each of which is rehearsed, applied and taken back like any other: one adds and fills the
// new columns, one makes them the real ones, one removes the old ones. All carry out one schema.Expansion and the structure that
// development had when the first was planned.

// expanding is an expansion that production is in the middle of.
type expanding struct {
	last      holdfast.Publish // the phase that was published last
	first     holdfast.Publish // the expansion
	expansion *schema.Expansion
	source    *schema.Catalog // development's
	before    *schema.Catalog // production's before the first phase
}

// expandingNow finds the expansion that production is in the middle of; nil when there is none.
func (p *Platform) expandingNow(ctx context.Context, project holdfast.ProjectID) (*expanding, error) {
	return p.expandingAt(ctx, project, func(all []holdfast.Publish) (holdfast.Publish, bool) {
		for _, pub := range all {
			if pub.State == holdfast.PublishPublished && pub.Kind.Phase() {
				return pub, pub.Kind != holdfast.PublishContract
			}
		}
		return holdfast.Publish{}, false
	})
}

// expandingAt reads the expansion of which choose knows a phase among the project's publishes, the newest first.
func (p *Platform) expandingAt(ctx context.Context, project holdfast.ProjectID, choose func([]holdfast.Publish) (holdfast.Publish, bool)) (*expanding, error) {
	var e *expanding
	err := p.store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Publishes(project, maxPublishes)
		if err != nil {
			return err
		}
		last, found := choose(all)
		if !found {
			return nil
		}
		first := slices.IndexFunc(all, func(pub holdfast.Publish) bool {
			return pub.Number <= last.Number && pub.Kind == holdfast.PublishExpand && pub.State == holdfast.PublishPublished
		})
		if first < 0 {
			return fmt.Errorf("publish %d is a phase without an expansion", last.Number)
		}
		e = &expanding{last: last, first: all[first]}
		if e.expansion, err = expansionOf(tx, e.first); err != nil {
			return err
		}
		for doc, into := range map[holdfast.PublishDoc]**schema.Catalog{holdfast.PublishSourceDoc: &e.source, holdfast.PublishBeforeDoc: &e.before} {
			raw, err := tx.PublishDoc(project, e.first.Number, doc)
			if err != nil {
				return err
			}
			if raw == nil {
				return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("what publish %d kept of the structure is gone", e.first.Number)}
			}
			if *into, err = parseCatalog(raw); err != nil {
				return err
			}
		}
		return nil
	})
	return e, err
}

// expansionOf reads how a publish expands columns; nil when it does not.
func expansionOf(tx *store.Tx, pub holdfast.Publish) (*schema.Expansion, error) {
	raw, err := tx.PublishDoc(pub.ProjectID, pub.Number, holdfast.PublishExpansionDoc)
	if err != nil || raw == nil {
		return nil, err
	}
	var e schema.Expansion
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("read the expansion of publish %d: %w", pub.Number, err)
	}
	return &e, nil
}

// planExpansion plans the first phase. Where no column is to be expanded it returns nil, and why.
func (p *Platform) planExpansion(in schema.Input) (*schema.Plan, *schema.Expansion, []string, error) {
	ordinary, err := p.computePlan(in)
	if err != nil {
		return nil, nil, nil, err
	}
	if ordinary.Ready() != nil {
		return nil, nil, []string{"what stands in the way of the plan comes first"}, nil
	}
	e, err := schema.Expand(in, 1)
	if err != nil {
		return nil, nil, nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "development's changes cannot be expanded", Cause: err}
	}
	if len(e.Columns) == 0 {
		return nil, nil, e.Ordinary, nil
	}
	plan := e.Whole()
	plan.Notes = append(plan.Notes, "this adds and fills new columns; when it is applied, `holdfast publish plan` plans the switch, with everything else that development has")
	return plan, e, nil, nil
}

// planSwitch plans the second phase.
func (p *Platform) planSwitch(e *expanding, in schema.Input) (*schema.Plan, error) {
	if e.last.Kind == holdfast.PublishSwitch {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the columns that publish %d expanded still exist twice", e.first.Number),
			Hint: fmt.Sprintf("when no old code runs any more: `holdfast publish contract %d`; or take publish %d back", e.last.Number, e.last.Number)}
	}
	in.Development = e.source
	plan, err := e.expansion.Switch(in)
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the switch cannot be planned", Hint: fmt.Sprintf("take publish %d back and begin anew", e.first.Number), Cause: err}
	}
	plan.From = in.Production.Fingerprint() // it was planned for production as it is after the first statements
	refuseExtensions(plan)
	plan.Notes = append(plan.Notes, fmt.Sprintf("it goes to the structure that development had when publish %d was planned; the old columns stay until `holdfast publish contract`", e.first.Number))
	return plan, nil
}

// planPhase plans the next phase of the expansion that production is in.
func (p *Platform) planPhase(ctx context.Context, who holdfast.Principal, project string, pub holdfast.Publish, running *expanding, in schema.Input) (PublishView, error) {
	var err error
	if in.Options.Answers, err = p.phaseAnswers(ctx, running, in.Options.Answers); err != nil {
		return PublishView{}, err
	}
	plan, err := p.planSwitch(running, in)
	if err != nil {
		return PublishView{}, err
	}
	return p.keepPhase(ctx, who, project, pub, holdfast.PublishSwitch, plan, running.expansion, running.source)
}

// phaseAnswers adds to the answers of one phase those that earlier ones had.
func (p *Platform) phaseAnswers(ctx context.Context, e *expanding, own map[string]string) (map[string]string, error) {
	out := map[string]string{}
	err := p.store.View(ctx, func(tx *store.Tx) error {
		for _, pub := range []holdfast.Publish{e.first, e.last} {
			answers, err := tx.PublishAnswers(pub.ProjectID, pub.Number)
			if err != nil {
				return err
			}
			maps.Copy(out, answers)
		}
		return nil
	})
	maps.Copy(out, own)
	return out, err
}

// keepPhase keeps a phase's plan with what later ones need.
func (p *Platform) keepPhase(ctx context.Context, who holdfast.Principal, project string, pub holdfast.Publish, kind holdfast.PublishKind, plan *schema.Plan, e *schema.Expansion, source *schema.Catalog) (PublishView, error) {
	if err := p.keepExpansion(ctx, pub, e, source); err != nil {
		return PublishView{}, err
	}
	err := p.keepPlan(ctx, who, pub.ProjectID, pub.Number, plan, func(pub *holdfast.Publish) {
		pub.Kind, pub.Maintenance, pub.Development, pub.Allowed = kind, false, source.Fingerprint(), nil
	})
	if err != nil {
		return PublishView{}, err
	}
	return p.Publish(ctx, who, project, pub.Number)
}

// keepExpansion stores what the later phases and the way back need.
func (p *Platform) keepExpansion(ctx context.Context, pub holdfast.Publish, e *schema.Expansion, source *schema.Catalog) error {
	expansion, err := json.Marshal(e)
	if err != nil {
		return err
	}
	catalog, err := json.Marshal(source)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishExpansionDoc, expansion); err != nil {
			return err
		}
		return tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishSourceDoc, catalog)
	})
}

// ContractPublish plans the last phase of expand and contract as a publish of its own: the old columns go, once no old code runs any more.
// number is that of any phase, and 0 the one that production is in.
func (p *Platform) ContractPublish(ctx context.Context, who holdfast.Principal, project string, number int) (PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayPropose(who))
	if err != nil {
		return PublishView{}, err
	}
	e, err := p.expandingNow(ctx, found.project.ID)
	if err != nil {
		return PublishView{}, err
	}
	switch {
	case e == nil || number != 0 && number != e.first.Number && number != e.last.Number:
		return PublishView{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "no column of production exists twice because of it", Hint: "`holdfast publish plan --zero-downtime` expands columns"}
	case e.last.Kind != holdfast.PublishSwitch:
		return PublishView{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("what publish %d expanded is not switched yet", e.first.Number), Hint: "`holdfast publish plan " + project + "` plans the switch"}
	}
	in, err := p.comparison(ctx, found)
	if err != nil {
		return PublishView{}, err
	}
	pub, err := p.draftContraction(ctx, who, found)
	if err != nil {
		return PublishView{}, err
	}
	answers, err := p.phaseAnswers(ctx, e, nil)
	if err != nil {
		return PublishView{}, err
	}
	in.Development = e.source
	in.Options = schema.Options{Answers: answers, Tombstones: true, Publish: strconv.Itoa(pub.Number)}
	plan, err := e.expansion.Contraction(in)
	if err != nil {
		return PublishView{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the contraction cannot be planned", Cause: err}
	}
	if err := p.keepExpansion(ctx, pub, e.expansion, e.source); err != nil {
		return PublishView{}, err
	}
	if err := p.keepPlan(ctx, who, pub.ProjectID, pub.Number, plan, func(pub *holdfast.Publish) { pub.Development = e.source.Fingerprint() }); err != nil {
		return PublishView{}, err
	}
	return p.Publish(ctx, who, project, pub.Number)
}

// draftContraction finds the project's open contraction, or makes one.
func (p *Platform) draftContraction(ctx context.Context, who holdfast.Principal, found publishing) (pub holdfast.Publish, err error) {
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		newest, err := tx.Publishes(found.project.ID, 1)
		if err != nil {
			return err
		}
		if len(newest) > 0 && newest[0].Kind == holdfast.PublishContract && newest[0].State.Open() {
			pub = newest[0]
			return notRehearsing(pub)
		}
		pub, err = p.insertPublish(tx, who, found.project, holdfast.Publish{Kind: holdfast.PublishContract})
		return err
	})
	return pub, err
}

// planUndone plans the way back of a phase. That of the switch and of the contraction leads to before the expansion.
func (p *Platform) planUndone(ctx context.Context, found publishing, pub holdfast.Publish, now *schema.Catalog, opts schema.Options) (*schema.Plan, error) {
	e, err := p.expandingAt(ctx, found.project.ID, func([]holdfast.Publish) (holdfast.Publish, bool) { return pub, true })
	if err != nil {
		return nil, err
	}
	if pub.Kind == holdfast.PublishExpand {
		return e.expansion.GiveUp(e.before, now), nil
	}
	plan, err := e.expansion.Undone(e.before, now, pub.Kind == holdfast.PublishContract, opts)
	if err != nil {
		return nil, err
	}
	plan.Notes = append(plan.Notes, fmt.Sprintf("it takes back the whole expansion, from publish %d on", e.first.Number))
	return plan, nil
}

// batches are the backfills of a publish, by the index of their statement.
func batches(pub holdfast.Publish, e *schema.Expansion) map[int]publish.Backfill {
	if e == nil || pub.Kind != holdfast.PublishExpand {
		return nil
	}
	out := map[int]publish.Backfill{}
	for i, b := range e.Fills() {
		out[i] = publish.Backfill{Schema: b.Table.Schema, Table: b.Table.Name, Key: b.Key, Set: b.Assignment(), Where: b.Missing(), Quiet: true}
	}
	return out
}

// backFirst is what the way back of a failed phase does first.
func backFirst(pub holdfast.Publish, e *schema.Expansion) []schema.Statement {
	switch {
	case e == nil:
	case pub.Kind == holdfast.PublishExpand:
		return e.Stop()
	case pub.Kind == holdfast.PublishSwitch:
		return e.SwitchBack()
	}
	return nil
}

// revertPhases marks the phases before a switch or a contraction that was taken back: the way back led to before all of them.
func revertPhases(tx *store.Tx, reverted holdfast.Publish, by int) error {
	if reverted.Kind != holdfast.PublishSwitch && reverted.Kind != holdfast.PublishContract {
		return nil
	}
	all, err := tx.Publishes(reverted.ProjectID, maxPublishes)
	if err != nil {
		return err
	}
	for _, earlier := range all {
		if earlier.Number >= reverted.Number || !earlier.Kind.Phase() || earlier.State != holdfast.PublishPublished {
			continue
		}
		if err := earlier.Become(holdfast.PublishReverted); err != nil {
			return err
		}
		earlier.RevertedBy = by
		if err := tx.UpdatePublish(earlier); err != nil {
			return err
		}
		if earlier.Kind == holdfast.PublishExpand {
			break
		}
	}
	return nil
}

// dumpBeforeExpansion is production's structure before the expansion of which a publish is a phase.
func (a *applying) dumpBeforeExpansion(ctx context.Context) (string, error) {
	e, err := a.expandingAt(ctx, a.pub.ProjectID, func([]holdfast.Publish) (holdfast.Publish, bool) { return a.pub, true })
	if err != nil {
		return "", err
	}
	var raw []byte
	err = a.store.View(ctx, func(tx *store.Tx) (err error) {
		raw, err = tx.PublishDoc(a.pub.ProjectID, e.first.Number, holdfast.PublishOldDoc)
		return err
	})
	return string(raw), err
}

// acceptsPhase says whether the structure after a rehearsal is the one that is wanted, for development has another: columns exist twice.
func (h *rehearsing) acceptsPhase() bool {
	return h.pub.Kind == holdfast.PublishExpand || h.pub.Kind == holdfast.PublishSwitch
}
