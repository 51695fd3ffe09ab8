package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

const applyJob = "apply_publish"

type applyInput struct {
	ProjectID holdfast.ProjectID
	Number    int
}

// ApplyPublish runs a rehearsed plan on production, while development and production are still as they were rehearsed. allowed are the
// classes of hazards that who consents to: lossy, breaking.
func (p *Platform) ApplyPublish(ctx context.Context, who holdfast.Principal, project string, number int, allowed []string) (holdfast.Job, error) {
	found, err := p.findPublishing(ctx, project, func(f publishing) error { return checkPublish(who, f.production) })
	if err != nil {
		return holdfast.Job{}, err
	}
	view, err := p.viewPublish(ctx, found, number)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := applicable(view, allowed); err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, applyJob, publishSubject(project, view.Number), applyInput{ProjectID: found.project.ID, Number: view.Number})
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = found.project.ID, found.production.ID
	_, err = p.changePublish(ctx, found.project.ID, view.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		if err := onlyOnePublish(tx, found.project.ID); err != nil {
			return err
		}
		if err := pub.Become(holdfast.PublishApplying); err != nil {
			return err
		}
		pub.Job, pub.Approver, pub.Allowed, pub.Error, pub.StartedAt = job.ID, who.Name, allowed, "", p.now()
		if err := tx.ClearPublish(store.PublishJournal, pub.ProjectID, pub.Number); err != nil {
			return err
		}
		if err := tx.DeletePublishDoc(pub.ProjectID, pub.Number, holdfast.PublishBeforeDoc); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "publish.apply", publishSubject(project, pub.Number), map[string]any{"job": job.ID, "allowed": allowed, "hazards": pub.Hazards})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// applicable refuses what was not rehearsed, and what somebody has to consent to first.
func applicable(view PublishView, allowed []string) error {
	for _, a := range allowed {
		if a != "lossy" && a != "breaking" {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q cannot be allowed", a), Hint: "what can be is lossy and breaking"}
		}
	}
	if view.State != holdfast.PublishReady || view.Report == nil {
		if err := notRehearsing(view.Publish); err != nil {
			return err
		}
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("publish %d is %s, and only one that was rehearsed with success is applied", view.Number, view.State),
			Hint: fmt.Sprintf("`holdfast publish rehearse %s %d`", view.Project, view.Number)}
	}
	verdict, reasons := view.Report.Gate(allowed...)
	if verdict == publish.Ready {
		return nil
	}
	wanted, texts := []string{}, []string{}
	for _, r := range reasons {
		texts = append(texts, r.Text)
		if r.Allow != "" && !strings.Contains(strings.Join(wanted, ","), r.Allow) {
			wanted = append(wanted, r.Allow)
		}
	}
	message := texts[0]
	if n := len(texts) - 1; n > 0 {
		message += fmt.Sprintf(" (and %d further reasons)", n)
	}
	return &holdfast.Error{Kind: holdfast.Unsafe, Message: message, Hint: "consent with --allow " + strings.Join(wanted, ",")}
}

func onlyOnePublish(tx *store.Tx, project holdfast.ProjectID) error {
	applying, err := tx.PublishesIn(holdfast.PublishApplying)
	for _, other := range applying {
		if other.ProjectID == project {
			return notRehearsing(other)
		}
	}
	return err
}

// storeJournal keeps an apply's journal in the metadata.
type storeJournal struct {
	platform *Platform
	pub      holdfast.Publish
}

// Begin implements publish.Journal.
func (j storeJournal) Begin(ctx context.Context, before *schema.Catalog) error {
	raw, err := json.Marshal(before)
	if err != nil {
		return err
	}
	return j.platform.store.Update(ctx, func(tx *store.Tx) error {
		return tx.SetPublishDoc(j.pub.ProjectID, j.pub.Number, holdfast.PublishBeforeDoc, raw)
	})
}

// Record implements publish.Journal.
func (j storeJournal) Record(ctx context.Context, e publish.Entry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return j.platform.store.Update(ctx, func(tx *store.Tx) error {
		return tx.AppendPublish(store.PublishJournal, j.pub.ProjectID, j.pub.Number, e.At, raw)
	})
}

// unfinished reads an apply's journal.
func (j storeJournal) unfinished(tx *store.Tx) (publish.Unfinished, error) {
	var u publish.Unfinished
	raw, err := tx.PublishDoc(j.pub.ProjectID, j.pub.Number, holdfast.PublishBeforeDoc)
	if err != nil || raw == nil {
		return u, err
	}
	if u.Before, err = parseCatalog(raw); err != nil {
		return u, err
	}
	lines, err := tx.PublishList(store.PublishJournal, j.pub.ProjectID, j.pub.Number)
	if err != nil {
		return u, err
	}
	for _, line := range lines {
		var e publish.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return u, fmt.Errorf("read the journal of publish %d: %w", j.pub.Number, err)
		}
		u.Entries = append(u.Entries, e)
	}
	return u, nil
}

// applying is one run of an apply's job.
type applying struct {
	*Platform
	run       *run
	input     applyInput
	found     publishing
	pub       holdfast.Publish
	plan      *schema.Plan
	report    *RehearsalReport
	dump      string
	expansion *schema.Expansion
	journal   storeJournal
	left      publish.Unfinished
}

func (p *Platform) loadApply(ctx context.Context, r *run) (*applying, error) {
	a := &applying{Platform: p, run: r}
	if err := r.Input(&a.input); err != nil {
		return nil, err
	}
	return a, p.store.View(ctx, func(tx *store.Tx) (err error) {
		if a.found, err = p.publishingByID(tx, a.input.ProjectID); err != nil {
			return err
		}
		if a.pub, err = tx.Publish(a.input.ProjectID, a.input.Number); err != nil {
			return err
		}
		if a.plan, err = planOf(tx, a.pub); err != nil {
			return err
		}
		if a.report, err = reportOf(tx, a.pub); err != nil {
			return err
		}
		if a.expansion, err = expansionOf(tx, a.pub); err != nil {
			return err
		}
		raw, err := tx.PublishDoc(a.pub.ProjectID, a.pub.Number, holdfast.PublishDumpDoc)
		if err != nil {
			return err
		}
		a.dump, a.journal = string(raw), storeJournal{p, a.pub}
		a.left, err = a.journal.unfinished(tx)
		return err
	})
}

func (p *Platform) runApply(ctx context.Context, r *run) (any, error) {
	a, err := p.loadApply(ctx, r)
	if err != nil {
		return nil, err
	}
	r.Steps(3)
	releases, err := a.holdAwake(ctx)
	if err != nil {
		return nil, err
	}
	defer releases()
	if a.left.Before == nil {
		if err := a.prepare(ctx); err != nil {
			return nil, err
		}
	}
	r.Step("changing production")
	if a.pub.Maintenance {
		// Whoever comes waits at the front door and is let in afterwards; who is in already stays.
		resume := a.doors.hold(a.found.production.Ref())
		defer resume()
	}
	outcome, err := a.change(ctx, publish.Forward)
	if ctx.Err() != nil && outcome.State != publish.Published {
		return nil, ctx.Err()
	}
	if err := a.settle(context.WithoutCancel(ctx), outcome, err); err != nil {
		return nil, err
	}
	result := map[string]any{"publish": a.pub.Number, "state": holdfast.PublishPublished}
	if len(outcome.Differences) > 0 {
		result["differences"] = outcome.Differences
	}
	return result, nil
}

// holdAwake keeps both branches awake while they are worked on.
func (a *applying) holdAwake(ctx context.Context) (release func(), err error) {
	production, err := a.fleet.Hold(ctx, a.found.production.ID)
	if err != nil {
		return nil, err
	}
	development, err := a.fleet.Hold(ctx, a.found.development.ID)
	if err != nil {
		production()
		return nil, err
	}
	return func() { development(); production() }, nil
}

// prepare makes the checkpoint, and notes what the way back will be compared with.
func (a *applying) prepare(ctx context.Context) error {
	if a.major() {
		if _, err := a.safetyBackup(ctx, a.run, a.found.production, "publish", nil); err != nil {
			return err
		}
	}
	a.run.Step("making a checkpoint of production")
	checkpoint, err := a.autoCheckpoint(ctx, a.found.production, holdfast.BeforePublishCheckpoint)
	if err != nil {
		return err
	}
	old, err := a.Platform.dump(ctx, a.found.production)
	if err != nil {
		return err
	}
	if a.pub.Kind == holdfast.PublishSwitch || a.pub.Kind == holdfast.PublishContract {
		// Its way back leads to before the expansion.
		if old, err = a.dumpBeforeExpansion(ctx); err != nil {
			return err
		}
	}
	next, err := a.nextTransaction(ctx, a.found.production)
	if err != nil {
		return err
	}
	a.pub, err = a.changePublish(ctx, a.pub.ProjectID, a.pub.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		pub.Checkpoint, pub.Transaction = checkpoint.ID, next
		base, err := tx.Baseline(pub.ProjectID)
		if err != nil {
			return err
		}
		if base != nil {
			if err := tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishBaseDoc, base); err != nil {
				return err
			}
		}
		return tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishOldDoc, []byte(old))
	})
	return err
}

// major says whether the publish can lose values for good: a backup is made before it, and held until a person marks it verified. The grace period
// of what is set aside ends by itself.
func (a *applying) major() bool {
	return a.pub.Kind == holdfast.PublishContract || slices.Contains(a.pub.Hazards, string(schema.Lossy))
}

// nextTransaction is the number that a branch's next transaction will have.
func (p *Platform) nextTransaction(ctx context.Context, b store.Branch) (uint64, error) {
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database())
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var next uint64
	err = conn.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&next)
	return next, err
}

// change runs the plan, or goes on with one that was interrupted.
func (a *applying) change(ctx context.Context, direction publish.Direction) (*publish.Outcome, error) {
	log := a.newEventLog(a.run, a.pub, applyPhase)
	defer log.close()
	order := publish.Order{Plan: a.plan, Target: a.target(a.found.production), Journal: a.journal, Progress: log.add, Expected: a.dump,
		Settings: publish.Settings{Extensions: allowedExtensions()}, Backfills: batches(a.pub, a.expansion), Undo: backFirst(a.pub, a.expansion)}
	if a.report != nil {
		order.Settings.StatementTimeouts = a.report.StatementTimeouts()
	}
	if a.pub.Kind == holdfast.PublishSchema {
		order.Unchanged = []publish.Unchanged{{Name: a.found.development.Ref().String(), Connect: a.adminConnector(a.found.development), Fingerprint: a.pub.Development}}
	}
	if a.left.Before != nil {
		a.run.Log("going on where it was interrupted")
		return publish.Resume(ctx, order, a.left, direction)
	}
	return publish.Apply(ctx, order)
}

// settle writes down how the apply ended. failed is its error.
func (a *applying) settle(ctx context.Context, outcome *publish.Outcome, failed error) error {
	if outcome.State == publish.Interrupted || outcome.State == publish.Stuck {
		return failed
	}
	for _, text := range outcome.Lost {
		a.run.Log("could not be brought back: " + text)
	}
	for _, text := range outcome.Differences {
		a.run.Log("differs: " + text)
	}
	raw, err := json.Marshal(outcome)
	if err != nil {
		return err
	}
	if outcome.State == publish.Published {
		a.run.Step("keeping what was published")
		if err := a.keepBaseline(ctx); err != nil {
			// Production is as it should be. Without a new baseline the next plan asks where it could have known.
			a.log.Warn("keep the baseline of a publish", "project", a.found.project.Name, "publish", a.pub.Number, "err", err)
			a.run.Log("no new baseline: " + err.Error())
		}
	}
	_, err = a.changePublish(ctx, a.pub.ProjectID, a.pub.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		return a.settled(tx, pub, outcome.State, raw, failed)
	})
	return errors.Join(failed, err)
}

func (a *applying) settled(tx *store.Tx, pub *holdfast.Publish, state publish.State, outcome []byte, failed error) error {
	next := map[publish.State]holdfast.PublishState{publish.Published: holdfast.PublishPublished, publish.Compensated: holdfast.PublishFailed, publish.Refused: holdfast.PublishPlanned}[state]
	if pub.State == next {
		return nil // an earlier run of the job came this far
	}
	if err := pub.Become(next); err != nil {
		return err
	}
	if failed != nil {
		pub.Error = describe(failed)
	}
	if err := tx.SetPublishDoc(pub.ProjectID, pub.Number, holdfast.PublishResultDoc, outcome); err != nil {
		return err
	}
	if next == holdfast.PublishPlanned {
		return nil
	}
	pub.EndedAt = a.now()
	if next != holdfast.PublishPublished {
		return nil
	}
	pub.GraceUntil = pub.EndedAt.Add(holdfast.PublishGrace)
	if pub.Reverts == 0 {
		return nil
	}
	reverted, err := tx.Publish(pub.ProjectID, pub.Reverts)
	if err != nil {
		return err
	}
	if err := reverted.Become(holdfast.PublishReverted); err != nil {
		return err
	}
	reverted.RevertedBy = pub.Number
	if err := revertPhases(tx, reverted, pub.Number); err != nil {
		return err
	}
	return tx.UpdatePublish(reverted)
}

// undoApply takes back what an apply did. One that came to its end is published, whatever failed afterwards.
func (p *Platform) undoApply(ctx context.Context, r *run) error {
	if r.willRunAgain() {
		return nil // it goes on from where the journal says
	}
	a, err := p.loadApply(ctx, r)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if a.pub.State != holdfast.PublishApplying {
		return nil
	}
	if a.left.Before == nil {
		return p.settleNothing(ctx, a)
	}
	release, err := a.holdAwake(ctx)
	if err != nil {
		return err
	}
	defer release()
	outcome, failed := a.change(ctx, publish.Back)
	if outcome.State == publish.Interrupted || outcome.State == publish.Stuck {
		return failed
	}
	if err := a.settle(ctx, outcome, failed); err != nil && !errors.Is(err, failed) {
		return err
	}
	return nil
}

// settleNothing: the apply ended before it had changed anything.
func (p *Platform) settleNothing(ctx context.Context, a *applying) error {
	_, err := p.changePublish(ctx, a.pub.ProjectID, a.pub.Number, func(_ *store.Tx, pub *holdfast.Publish) error {
		if pub.Error == "" {
			pub.Error = "it ended before anything was changed; its job says why"
		}
		return pub.Become(holdfast.PublishPlanned)
	})
	return err
}
