package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// NewPublish asks for a plan.
type NewPublish struct {
	Answers     []string // to questions, as schema.ParseAnswers reads them
	AllowLossy  bool     // conversions may cut values that do not fit
	Maintenance bool     // plan for held clients: fewer statements, which make everybody wait
	// ZeroDowntime carries renames and type changes of columns by expanding: old and new code run side by side.
	ZeroDowntime bool
}

// PlanPublish compares development with production and with the last publish, and keeps the plan as the project's open publish: one that
// has changed nothing yet is planned anew, with the answers that were given before. It changes neither database.
func (p *Platform) PlanPublish(ctx context.Context, who holdfast.Principal, project string, ask NewPublish) (PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayPropose(who))
	if err != nil {
		return PublishView{}, err
	}
	answers, err := schema.ParseAnswers(ask.Answers)
	if err != nil {
		return PublishView{}, err
	}
	if ask.ZeroDowntime && ask.Maintenance {
		return PublishView{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a publish is planned for a maintenance window or for none at all, not for both"}
	}
	running, err := p.expandingNow(ctx, found.project.ID)
	if err != nil {
		return PublishView{}, err
	}
	pub, answers, err := p.draftPublish(ctx, who, found, answers)
	if err != nil {
		return PublishView{}, err
	}
	in, err := p.comparison(ctx, found)
	if err != nil {
		return PublishView{}, err
	}
	in.Options = schema.Options{Answers: answers, Tombstones: true, AllowLossy: ask.AllowLossy, Offline: ask.Maintenance, Publish: strconv.Itoa(pub.Number)}
	if running != nil {
		in.Options.Offline = false
		return p.planPhase(ctx, who, project, pub, running, in)
	}
	var notes []string
	if ask.ZeroDowntime {
		plan, expansion, ordinary, err := p.planExpansion(in)
		if err != nil {
			return PublishView{}, err
		}
		if expansion != nil {
			return p.keepPhase(ctx, who, project, pub, holdfast.PublishExpand, plan, expansion, in.Development)
		}
		notes = ordinary
	}
	plan, err := p.computePlan(in)
	if err != nil {
		return PublishView{}, err
	}
	for _, text := range notes {
		plan.Notes = append(plan.Notes, "not expanded: "+text)
	}
	development := in.Development.Fingerprint()
	// Two equal databases are as good as a publish: from here on renames are known for what they are.
	if plan.Empty() && len(plan.Drift) == 0 && (in.Baseline == nil || in.Baseline.Epoch != in.Development.Epoch || in.Baseline.Fingerprint() != development) {
		if err := p.setBaseline(ctx, found, 0); err != nil {
			return PublishView{}, err
		}
	}
	if err := p.keepSource(ctx, pub, in.Development); err != nil {
		return PublishView{}, err
	}
	err = p.keepPlan(ctx, who, pub.ProjectID, pub.Number, plan, func(pub *holdfast.Publish) {
		pub.Kind = holdfast.PublishSchema
		pub.Maintenance, pub.Development, pub.Allowed = ask.Maintenance, development, nil
		if ask.AllowLossy {
			pub.Allowed = []string{string(schema.Lossy)}
		}
	})
	if err != nil {
		return PublishView{}, err
	}
	return p.Publish(ctx, who, project, pub.Number)
}

// keepSource keeps development's catalogue of a plan.
func (p *Platform) keepSource(ctx context.Context, pub holdfast.Publish, development *schema.Catalog) error {
	source, err := json.Marshal(development)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		return tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishSourceDoc, source)
	})
}

// draftPublish finds the project's open publish or makes one, and adds the answers to those that it has.
func (p *Platform) draftPublish(ctx context.Context, who holdfast.Principal, found publishing, answers map[string]string) (holdfast.Publish, map[string]string, error) {
	var pub holdfast.Publish
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		newest, err := tx.Publishes(found.project.ID, 1)
		if err != nil {
			return err
		}
		if len(newest) == 1 && slices.Contains([]holdfast.PublishKind{holdfast.PublishSchema, holdfast.PublishExpand, holdfast.PublishSwitch}, newest[0].Kind) && newest[0].State.Open() {
			pub = newest[0]
		} else if pub, err = p.insertPublish(tx, who, found.project, holdfast.Publish{Kind: holdfast.PublishSchema}); err != nil {
			return err
		}
		if err := notRehearsing(pub); err != nil {
			return err
		}
		answers, err = p.keepAnswers(tx, who, found.project.Name, pub, answers)
		return err
	})
	return pub, answers, err
}

// keepAnswers adds answers to those that a publish has, and returns all.
func (p *Platform) keepAnswers(tx *store.Tx, who holdfast.Principal, project string, pub holdfast.Publish, answers map[string]string) (map[string]string, error) {
	for question, answer := range answers {
		if err := tx.SetPublishAnswer(pub.ProjectID, pub.Number, question, answer, who.Name, p.now()); err != nil {
			return nil, err
		}
	}
	if len(answers) > 0 {
		if err := p.record(tx, who, "publish.answer", publishSubject(project, pub.Number), map[string]any{"answers": answers}); err != nil {
			return nil, err
		}
	}
	return tx.PublishAnswers(pub.ProjectID, pub.Number)
}

// insertPublish makes a draft with the project's next number.
func (p *Platform) insertPublish(tx *store.Tx, who holdfast.Principal, project store.Project, pub holdfast.Publish) (holdfast.Publish, error) {
	pub.ProjectID, pub.State, pub.Author, pub.CreatedAt = project.ID, holdfast.PublishDraft, who.Name, p.now()
	if err := tx.InsertPublish(&pub); err != nil {
		return pub, err
	}
	return pub, p.record(tx, who, "publish.create", publishSubject(project.Name, pub.Number), map[string]any{"kind": pub.Kind})
}

func notRehearsing(pub holdfast.Publish) error {
	if pub.State == holdfast.PublishRehearsing || pub.State == holdfast.PublishApplying {
		return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("publish %d is %s", pub.Number, pub.State), Hint: "`holdfast job watch " + string(pub.Job) + "` shows how far it is"}
	}
	return nil
}

// comparison reads what a plan is made of.
func (p *Platform) comparison(ctx context.Context, found publishing) (schema.Input, error) {
	var in schema.Input
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { in.Development, err = p.catalog(ctx, found.development); return err })
	group.Go(func() (err error) { in.Production, err = p.catalog(ctx, found.production); return err })
	group.Go(func() (err error) { in.Baseline, err = p.baseline(ctx, found.project.ID); return err })
	return in, group.Wait()
}

// baseline is development's catalogue at the last publish; nil when there was none.
func (p *Platform) baseline(ctx context.Context, project holdfast.ProjectID) (*schema.Catalog, error) {
	var raw []byte
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { raw, err = tx.Baseline(project); return err })
	if err != nil || raw == nil {
		return nil, err
	}
	return parseCatalog(raw)
}

func parseCatalog(raw []byte) (*schema.Catalog, error) {
	var c schema.Catalog
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("read a kept catalogue: %w", err)
	}
	return &c, nil
}

// computePlan is schema.Compute with what this product does not carry.
func (p *Platform) computePlan(in schema.Input) (*schema.Plan, error) {
	plan, err := schema.Compute(in)
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "development's changes cannot be planned", Hint: "make them in smaller steps", Cause: err}
	}
	refuseExtensions(plan)
	return plan, nil
}

// refuseExtensions names the extensions that could reach the machine, which nobody may add to a branch.
func refuseExtensions(plan *schema.Plan) {
	for _, s := range plan.Statements {
		if s.Object.Kind == schema.KindExtension && strings.HasPrefix(s.SQL, "CREATE EXTENSION") && slices.Contains(refusedExtensions(), s.Object.Name) {
			plan.Problems = append(plan.Problems, schema.Problem{Object: s.Object, Reason: "the extension could reach files, programs or servers outside this database"})
		}
	}
}

// refusedExtensions are the well-known ones of which that is true. A rehearsal runs as the owner of the database, so any other that the
// server does not trust fails there.
func refusedExtensions() []string {
	return []string{"adminpack", "dblink", "file_fdw", "pg_surgery", "pg_walinspect", "plperlu", "plpython3u", "pltclu"}
}

// keepPlan writes a plan and the state that follows from it. A plan that is the same as before leaves a rehearsed publish ready.
func (p *Platform) keepPlan(ctx context.Context, who holdfast.Principal, project holdfast.ProjectID, number int, plan *schema.Plan, further func(*holdfast.Publish)) error {
	raw, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	_, err = p.changePublish(ctx, project, number, func(tx *store.Tx, pub *holdfast.Publish) error {
		if err := notRehearsing(*pub); err != nil {
			return err
		}
		was := *pub
		further(pub)
		old, err := tx.PublishDoc(project, number, holdfast.PublishPlanDoc)
		if err != nil {
			return err
		}
		if pub.State == holdfast.PublishReady && bytes.Equal(old, raw) && pub.Development == was.Development && pub.Maintenance == was.Maintenance {
			return nil
		}
		if err := pub.Become(planState(plan)); err != nil {
			return err
		}
		pub.Error = planTrouble(plan)
		pub.Statements, pub.Hazards, pub.From, pub.To, pub.PlannedAt = len(plan.Statements), hazardsOf(plan), plan.From, plan.To, p.now()
		if err := tx.SetPublishDoc(project, number, holdfast.PublishPlanDoc, raw); err != nil {
			return err
		}
		if err := tx.DeletePublishDoc(project, number, holdfast.PublishReportDoc); err != nil {
			return err
		}
		return p.record(tx, who, "publish.plan", strconv.Itoa(number), map[string]any{"project": project, "statements": pub.Statements, "hazards": pub.Hazards, "state": pub.State})
	})
	return err
}

func planState(plan *schema.Plan) holdfast.PublishState {
	switch {
	case len(plan.Problems) > 0:
		return holdfast.PublishBlocked
	case len(plan.Questions) > 0:
		return holdfast.PublishNeeds
	}
	return holdfast.PublishPlanned
}

func planTrouble(plan *schema.Plan) string {
	switch n := len(plan.Problems); {
	case n == 1:
		return plan.Problems[0].Object.String() + ": " + plan.Problems[0].Reason
	case n > 1:
		return fmt.Sprintf("%s: %s, and %d further problems", plan.Problems[0].Object, plan.Problems[0].Reason, n-1)
	}
	return ""
}

// hazardsOf lists the classes of hazards in a plan, the worst first.
func hazardsOf(plan *schema.Plan) []string {
	found := map[schema.HazardClass]bool{}
	for _, s := range plan.Statements {
		for _, h := range s.Hazards {
			found[h.Class] = true
		}
	}
	order := []schema.HazardClass{schema.DataBlocks, schema.Lossy, schema.Breaking, schema.Rewrites, schema.Locking}
	out := []string{}
	for _, class := range order {
		if found[class] {
			out = append(out, string(class))
		}
	}
	return out
}

// sortedAnswers writes answers as they were given.
func sortedAnswers(answers map[string]string) []string {
	out := []string{}
	for _, question := range slices.Sorted(maps.Keys(answers)) {
		answer := question
		if answers[question] != "yes" {
			answer += "=" + answers[question]
		}
		out = append(out, answer)
	}
	return out
}

// AnswerList writes the answers of a publish as they were given.
func (v PublishView) AnswerList() []string { return sortedAnswers(v.Answers) }
