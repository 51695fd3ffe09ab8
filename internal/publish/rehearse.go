package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// Rehearsal is a plan and a copy of production to try it on. The copy is changed; nobody else should use it meanwhile.
type Rehearsal struct {
	Plan *schema.Plan
	// Copy is the copy of production, with its data and its roles.
	Copy Target
	// Development prints development's structure, as Target.Dump does. Nil: the result is compared with the plan's fingerprint only.
	Development func(ctx context.Context) (string, error)
	// Workload is what runs in production; see ReadWorkload. It is tried in sessions of the owner with their usual settings.
	Workload []Query
	// Top is how many statements of the workload are explained and, where they only read, run. Zero: 20.
	Top      int
	Progress func(Event)
	// Backfills are those of the order; see Order.
	Backfills map[int]Backfill
	// Settings: on a copy that nobody uses, no lock has to be waited for.
	Settings Settings
}

// Rehearse runs a plan on a copy of production and reports what it did there, and what it would do in production. It returns an
// error only where the copy cannot be used; a plan that fails is a report that says so.
func Rehearse(ctx context.Context, h Rehearsal) (*Report, error) {
	r := &Report{StartedAt: time.Now(), Blocked: []BlockedTable{}, Findings: []schema.Finding{}, Tables: []TableSum{}, Sequences: []SequenceBehind{}, NewColumns: []ColumnProfile{}, InvalidIndexes: []string{}, Unvalidated: []string{},
		Broken: []QueryFailure{}, Untried: []QueryFailure{}, Performance: []QueryChange{}, Unused: []string{}, Leftovers: []string{}, KeptDrift: []string{}, Reasons: []Reason{}}
	for _, s := range h.Plan.Statements {
		r.Statements = append(r.Statements, StatementReport{SQL: s.SQL, Description: s.Description, Class: s.Class(), Hazards: s.Hazards})
	}
	if len(h.Plan.Problems) > 0 || len(h.Plan.Questions) > 0 {
		r.judge(h.Plan)
		r.FinishedAt = time.Now()
		return r, nil
	}
	re := &rehearsal{Rehearsal: h, report: r, run: &runner{target: h.Copy, settings: h.Settings, teller: &teller{tell: h.Progress}, direction: Forward, plan: h.Plan, steps: steps(h.Plan, h.Settings.Extensions), backfills: h.Backfills, cursors: map[int][]string{}, watcher: &watcher{connect: h.Copy.Administrator}}}
	defer re.run.close()
	if err := re.before(ctx); err != nil {
		return nil, err
	}
	if err := re.execute(ctx); err != nil {
		return nil, err
	}
	if r.Error == "" {
		if err := re.after(ctx); err != nil {
			return nil, err
		}
	}
	r.predict(re.run.steps)
	r.judge(h.Plan)
	r.FinishedAt = time.Now()
	return r, nil
}

// rehearsal is one run of Rehearse.
type rehearsal struct {
	Rehearsal
	report *Report
	run    *runner

	dumped string // the copy's structure before
	sums   map[schema.Address]tableSums
	code   *codeCheck
}

func (re *rehearsal) before(ctx context.Context) error {
	if err := re.run.enter(ctx); err != nil {
		return err
	}
	var err error
	if re.report.before, err = readCatalog(ctx, re.Copy.Administrator); err != nil {
		return err
	}
	if re.report.before.Fingerprint() != re.Plan.From {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "the copy's structure is not the one that the plan was made for", Hint: "plan again, and rehearse on a copy of production as it is now"}
	}
	owner := re.run.owner
	// What the checks evaluate is users' code: it runs as the owner.
	findings, err := schema.RunChecks(ctx, owner, re.Plan)
	if err != nil {
		return err
	}
	re.report.Findings = append(re.report.Findings, findings...)
	if re.sums, err = sumBefore(ctx, owner, re.report.before); err != nil {
		return err
	}
	if err := re.report.noteBehind(ctx, owner); err != nil {
		return err
	}
	re.code = newCodeCheck(re.Copy.Owner, re.Workload, re.Top)
	if err := re.code.before(ctx, touched(re.Plan, re.report.before)); err != nil {
		return err
	}
	if re.Copy.Dump != nil {
		if re.dumped, err = re.Copy.Dump(ctx); err != nil {
			return fmt.Errorf("dump the copy's structure: %w", err)
		}
	}
	re.run.detail, err = newObserver(ctx, owner)
	return err
}

// execute runs the plan. A plan that fails is a finding.
func (re *rehearsal) execute(ctx context.Context) error {
	err := re.run.run(ctx, 0, -1)
	for _, m := range re.run.measures {
		re.report.Statements[m.Statement].Measure, re.report.Statements[m.Statement].Ran = m, true
	}
	var unknown *unknownOutcome
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.As(err, &unknown), holdfast.KindOf(err) == holdfast.Unavailable:
		return err
	}
	re.report.Error = err.Error()
	return nil
}

func (re *rehearsal) after(ctx context.Context) error {
	r, owner := re.report, re.run.owner
	var err error
	if r.after, err = readCatalog(ctx, re.Copy.Administrator); err != nil {
		return err
	}
	if r.Tables, err = sumAfter(ctx, owner, re.sums, r.before, r.after); err != nil {
		return err
	}
	if err := r.sequences(ctx, owner); err != nil {
		return err
	}
	if err := r.newColumns(ctx, owner); err != nil {
		return err
	}
	r.leftBehind()
	if err := re.code.after(ctx, r, touched(re.Plan, r.after)); err != nil {
		return err
	}
	return re.oracle(ctx)
}

// oracle compares the copy with development.
func (re *rehearsal) oracle(ctx context.Context) error {
	r := re.report
	if re.Copy.Dump != nil {
		dump, err := re.Copy.Dump(ctx)
		if err != nil {
			return fmt.Errorf("dump the copy's structure: %w", err)
		}
		r.Structure = dump
	}
	if re.Development == nil || r.Structure == "" {
		if r.after.Fingerprint() != re.Plan.To {
			r.Leftovers = append(r.Leftovers, "its fingerprint is not the planned one")
		}
		return nil
	}
	development, err := re.Development(ctx)
	if err != nil {
		return fmt.Errorf("dump development's structure: %w", err)
	}
	before := map[string]bool{}
	for _, l := range schema.OracleEqual(re.dumped, development) {
		before[l.String()] = true
	}
	for _, l := range schema.OracleEqual(r.Structure, development) {
		// Production's own things stay: they differed before the plan, and the plan says so.
		if before[l.String()] && isDrift(l, re.Plan.Drift) {
			r.KeptDrift = append(r.KeptDrift, l.String())
		} else {
			r.Leftovers = append(r.Leftovers, l.String())
		}
	}
	return nil
}

// isDrift says whether a difference belongs to something that production has of its own.
func isDrift(l schema.Leftover, drift []schema.Drift) bool {
	text := l.Object + " " + l.SQL
	for _, d := range drift {
		if d.Kind != schema.AddedInProduction && d.Kind != schema.ChangedInProduction {
			continue
		}
		if strings.Contains(text, d.Object.Name) && (d.Object.Sub == "" || strings.Contains(text, d.Object.Sub) || strings.Contains(d.Object.Sub, ",")) {
			return true
		}
	}
	return false
}

// touched lists the tables that a plan locks, as far as a structure has them.
func touched(plan *schema.Plan, c *schema.Catalog) []string {
	seen := map[schema.Address]bool{}
	var out []string
	for _, s := range plan.Statements {
		for _, a := range append([]schema.Address{s.Object}, s.Locks...) {
			table := schema.Address{Kind: schema.KindTable, Schema: a.Schema, Name: a.Name}
			if !seen[table] && c.Objects[table] != nil {
				seen[table] = true
				out = append(out, holdfast.QuoteQualified(table.Schema, table.Name))
			}
		}
	}
	return out
}
