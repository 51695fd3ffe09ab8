package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// Apply runs a plan. What the outcome's state means is said there; an error comes with every state but Published, and says why.
//
// When ctx ends in the middle, Apply stops at once and leaves the database as it is between two groups of statements: Interrupted.
// Call Resume with Back to undo it, or with Forward to go on; both may also be done by another process after a crash.
func Apply(ctx context.Context, o Order) (*Outcome, error) {
	a := newApply(o)
	defer a.close()
	if err := a.begin(ctx); err != nil {
		return &Outcome{State: Refused}, err
	}
	return a.forward(ctx, 0, -1)
}

// Resume ends what an apply left unfinished, in the direction that is asked for. One that was being compensated is compensated
// further, whatever the direction; one that had come to its end is only checked.
func Resume(ctx context.Context, o Order, u Unfinished, direction Direction) (*Outcome, error) {
	if u.Before == nil { // not even begun
		return &Outcome{State: Refused}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the apply had not begun"}
	}
	if state, done := u.finished(); done {
		return &Outcome{State: state}, nil
	}
	a := newApply(o)
	defer a.close()
	a.before, a.run.cursors = u.Before, u.cursors()
	if err := a.run.enterAgain(ctx); err != nil {
		return &Outcome{State: Interrupted}, err
	}
	next, doubtful, err := u.position(ctx, a.run.owner)
	if err != nil {
		return &Outcome{State: Interrupted}, err
	}
	if u.turned() || direction == Back && next < len(a.run.steps) {
		return a.compensate(ctx, &holdfast.Error{Kind: holdfast.Canceled, Message: "the apply was interrupted and is undone"})
	}
	return a.forward(ctx, next, doubtful)
}

// apply is one run of Apply or Resume.
type apply struct {
	order  Order
	run    *runner
	before *schema.Catalog
	dumped string // the structure before, as pg_dump prints it
}

func newApply(o Order) *apply {
	r := &runner{target: o.Target, settings: o.Settings, journal: o.Journal, teller: &teller{tell: o.Progress}, direction: Forward, plan: o.Plan, steps: steps(o.Plan, o.Settings.Extensions), backfills: o.Backfills, cursors: map[int][]string{}, watcher: &watcher{connect: o.Target.Administrator}}
	return &apply{order: o, run: r}
}

func (a *apply) close() { a.run.close() }

// begin makes sure that the plan may still be applied, and notes what there was before.
func (a *apply) begin(ctx context.Context) error {
	if err := a.order.Plan.Ready(); err != nil {
		return err
	}
	for _, u := range a.order.Unchanged {
		c, err := readCatalog(ctx, u.Connect)
		if err != nil {
			return fmt.Errorf("read the structure of %s: %w", u.Name, err)
		}
		if c.Fingerprint() != u.Fingerprint {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: u.Name + " has changed since the plan was rehearsed", Hint: "plan and rehearse again"}
		}
	}
	if err := a.run.enter(ctx); err != nil {
		return err
	}
	var err error
	if a.before, err = readCatalog(ctx, a.order.Target.Administrator); err != nil {
		return err
	}
	if a.before.Fingerprint() != a.order.Plan.From {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "the database has changed since the plan was rehearsed", Hint: "plan and rehearse again"}
	}
	if a.order.Target.Dump != nil {
		if a.dumped, err = a.order.Target.Dump(ctx); err != nil {
			return fmt.Errorf("dump the structure: %w", err)
		}
	}
	if err := a.run.tryLocks(ctx); err != nil {
		return err
	}
	if a.order.Journal == nil {
		return nil
	}
	if err := a.order.Journal.Begin(ctx, a.before); err != nil {
		return fmt.Errorf("begin the journal of the apply: %w", err)
	}
	return nil
}

func readCatalog(ctx context.Context, connect Connector) (*schema.Catalog, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to read the structure: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	return schema.Read(ctx, conn)
}

// forward runs the plan from a step on.
func (a *apply) forward(ctx context.Context, next, doubtful int) (*Outcome, error) {
	err := a.run.run(ctx, next, doubtful)
	switch {
	case err == nil:
		return a.finish(ctx)
	case ctx.Err() != nil:
		return &Outcome{State: Interrupted, Statements: a.run.measures}, err
	}
	return a.compensate(ctx, err)
}

// finish compares the result with what was promised.
func (a *apply) finish(ctx context.Context) (*Outcome, error) {
	out := &Outcome{State: Published, Statements: a.run.measures}
	now, err := readCatalog(ctx, a.order.Target.Administrator)
	if err != nil {
		return &Outcome{State: Interrupted, Statements: a.run.measures}, err
	}
	switch {
	case a.order.Expected != "" && a.order.Target.Dump != nil:
		dump, err := a.order.Target.Dump(ctx)
		if err != nil {
			return &Outcome{State: Interrupted, Statements: a.run.measures}, fmt.Errorf("dump the structure: %w", err)
		}
		for _, l := range schema.OracleEqual(dump, a.order.Expected) {
			out.Differences = append(out.Differences, l.String())
		}
	case a.order.Plan.To != "" && now.Fingerprint() != a.order.Plan.To:
		out.Differences = []string{"the structure is not the one that was planned: somebody changed it meanwhile"}
	}
	return out, a.run.record(ctx, Entry{Kind: EntryFinished, Text: string(Published)})
}

// compensate leads back to the structure of before, from wherever the plan came to: the way is planned from the catalogue as it is
// now, so it can itself be interrupted and begun again. failed is why.
func (a *apply) compensate(ctx context.Context, failed error) (*Outcome, error) {
	out := &Outcome{State: Stuck, Statements: a.run.measures}
	a.run.teller.event(Event{Kind: EventTurned, Direction: Back, Statement: -1, Text: failed.Error()})
	a.run.direction = Back
	if err := a.run.record(ctx, Entry{Kind: EntryTurned, Text: failed.Error()}); err != nil {
		return out, errors.Join(failed, err)
	}
	for attempt := 1; ; attempt++ {
		err := a.back(ctx, out)
		switch {
		case err == nil:
			out.State = Compensated
			if err := a.run.record(ctx, Entry{Kind: EntryFinished, Text: string(Compensated)}); err != nil {
				return out, errors.Join(failed, err)
			}
			return out, failed
		case ctx.Err() != nil:
			out.State = Interrupted
			return out, errors.Join(failed, err)
		case attempt == maxBackAttempts:
			return out, &holdfast.Error{Kind: holdfast.KindOf(err), Message: "the way back failed, too: " + err.Error(), Hint: "mend what is in its way, then resume it", Cause: failed}
		}
		if err := sleep(ctx, pause(attempt)); err != nil {
			out.State = Interrupted
			return out, errors.Join(failed, err)
		}
	}
}

// maxBackAttempts is how often the way back is planned anew and tried.
const maxBackAttempts = 3

// backPatience is for how long at least the way back waits for the locks of a group.
const backPatience = 10 * time.Minute

// back plans and runs the way back once.
func (a *apply) back(ctx context.Context, out *Outcome) error {
	if a.run.owner == nil || a.run.owner.IsClosed() {
		if err := a.run.enterAgain(ctx); err != nil {
			return err
		}
	}
	a.run.reconnects = 0
	for _, b := range a.order.Backfills {
		if b.Quiet { // a crash may have left it allowed
			if err := b.allowQuiet(ctx, a.run.owner, a.order.Target.Administrator, false); err != nil {
				return err
			}
		}
	}
	for _, s := range a.order.Plan.Statements {
		if s.Cleanup != "" {
			if err := a.run.cleanUp(ctx, a.run.owner, s, nil); err != nil {
				return err
			}
		}
	}
	plan, now, err := a.planBack(ctx, out)
	if err != nil {
		return err
	}
	settings := a.order.Settings
	settings.StatementTimeouts = nil                                   // those were measured for other statements
	settings.LockPatience = max(settings.lockPatience(), backPatience) // to stop half-way is worse than to wait
	run := *a.run
	run.backfills, run.cursors = nil, map[int][]string{}
	run.plan, run.steps, run.settings, run.measures = plan, steps(plan, settings.Extensions), settings, nil
	err = run.run(ctx, 0, -1)
	a.run.owner, a.run.admin = run.owner, run.admin
	if err != nil {
		return err
	}
	if err := a.verifyBack(ctx, now, out); err != nil {
		return err
	}
	return a.dropTombstones(ctx, out.Lost)
}

// planBack plans from the structure as it is to that of before. What others made meanwhile is left alone.
func (a *apply) planBack(ctx context.Context, out *Outcome) (plan *schema.Plan, wanted *schema.Catalog, err error) {
	now, err := readCatalog(ctx, a.order.Target.Administrator)
	if err != nil {
		return nil, nil, err
	}
	var owner string
	if err := a.run.owner.QueryRow(ctx, "SELECT current_user").Scan(&owner); err != nil {
		return nil, nil, fmt.Errorf("ask for the owner's name: %w", err)
	}
	now.User = owner
	wanted, out.Kept = withForeign(a.before, now, a.order.Plan)
	used, err := a.newTablesUsed(ctx, wanted, now)
	if err != nil {
		return nil, nil, err
	}
	// What the failed plan made is dropped, not set aside, unless clients wrote rows to it meanwhile, or it cannot be dropped one after
	// the other (tables that refer to each other).
	if !used {
		plan, err = schema.Compute(schema.Input{Development: wanted, Production: now, Options: schema.Options{Restore: true, AllowLossy: true}})
	}
	if used || err != nil {
		if plan, err = schema.Revert(wanted, now, schema.Options{AllowLossy: true}); err != nil {
			return nil, nil, fmt.Errorf("plan the way back: %w", err)
		}
	} else {
		for i, l := range plan.Lost {
			plan.Lost[i] = strings.TrimSuffix(l, ": they are set aside")
		}
	}
	plan.Questions = nil // going back is what was asked for
	plan.Statements = withUndo(a.order.Undo, plan)
	if err := plan.Ready(); err != nil {
		return nil, nil, err
	}
	out.Lost = plan.Lost
	return plan, wanted, nil
}

// withUndo puts what no catalogue shows before the way back.
func withUndo(undo []schema.Statement, plan *schema.Plan) []schema.Statement {
	undo = slices.Clone(undo)
	for i := range undo {
		if plan.Preludes > 0 {
			undo[i].Group = plan.Statements[0].Group
		}
	}
	return slices.Concat(undo, plan.Statements)
}

// verifyBack makes sure that the structure is the one of before.
func (a *apply) verifyBack(ctx context.Context, wanted *schema.Catalog, out *Outcome) error {
	now, err := readCatalog(ctx, a.order.Target.Administrator)
	if err != nil {
		return err
	}
	if now.Fingerprint() != wanted.Fingerprint() {
		again, err := schema.Compute(schema.Input{Development: wanted, Production: now, Options: schema.Options{Restore: true, AllowLossy: true}})
		if err != nil {
			return fmt.Errorf("check the way back: %w", err)
		}
		if !again.Empty() {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "the structure is not yet as it was before: " + again.Statements[0].Description}
		}
	}
	out.Differences = nil
	if a.order.Target.Dump == nil || a.dumped == "" || len(out.Kept) > 0 {
		return nil
	}
	dump, err := a.order.Target.Dump(ctx)
	if err != nil {
		return fmt.Errorf("dump the structure: %w", err)
	}
	for _, l := range schema.OracleEqual(dump, a.dumped) {
		out.Differences = append(out.Differences, l.String())
	}
	return nil
}

// newTablesUsed says whether a table that the plan made holds rows.
func (a *apply) newTablesUsed(ctx context.Context, wanted, now *schema.Catalog) (bool, error) {
	known := map[schema.Identity]bool{}
	for _, o := range wanted.Objects {
		known[o.ID] = true
	}
	for _, address := range now.Addresses() {
		o := now.Objects[address]
		if address.Kind != schema.KindTable || known[o.ID] {
			continue
		}
		used, err := a.holdsRows(ctx, address)
		if err != nil {
			return false, err
		}
		if used {
			return true, nil
		}
	}
	return false, nil
}

func (a *apply) holdsRows(ctx context.Context, table schema.Address) (bool, error) {
	var holds bool
	if err := a.run.owner.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+holdfast.QuoteQualified(table.Schema, table.Name)+")").Scan(&holds); err != nil {
		return false, fmt.Errorf("look whether the new table %s holds rows: %w", table.Label(), err)
	}
	return holds, nil
}
