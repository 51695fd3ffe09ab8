package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/rows"
	"github.com/holdfast/holdfast/internal/store"
)

// countPatience bounds the counting of a branch's rows.
const countPatience = 20 * time.Second

// TableCount is how many rows a table has.
type TableCount = rows.TableCount

// RowCounts counts the rows of a branch's tables. It wakes the branch.
func (p *Platform) RowCounts(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]TableCount, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	if err := checkRows(who, b); err != nil {
		return nil, err
	}
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database()) // who counts must see all rows, whatever the policies of a table
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return rows.Count(ctx, conn.Conn, countPatience)
}

// Rescue names rows of a table to be brought back from a moment.
type Rescue struct {
	Look  string // the name of a look at the moment; see Look
	Table string // table or schema.table
	Where string // an SQL condition over the row, then or now; empty: every row
}

// RescueTable is the table that a rescue is about.
type RescueTable struct {
	Name    string
	Columns []string
	Key     []string
	// Preamble makes the session of a script with the repairs read values as they are written there.
	Preamble string
}

// RescueChange is a row that differs between the moment and now.
type RescueChange struct {
	Kind      rows.ChangeKind // what became of it since then
	Key       []rows.Value
	Then, Now []rows.Value // nil: it was not there
	SQL       string       // what makes it as it was; empty when only computed columns differ
}

// rescue is what a rescue works with.
type rescue struct {
	branch, look store.Branch
	ask          Rescue
}

func (p *Platform) findRescue(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask Rescue, write bool) (rescue, error) {
	r := rescue{ask: ask}
	var err error
	if r.branch, err = p.findBranch(ctx, who, ref, holdfast.MayRead); err != nil {
		return r, err
	}
	if err := checkQuery(who, r.branch, write); err != nil {
		return r, err
	}
	if r.look, err = p.findBranch(ctx, who, holdfast.BranchRef{Project: ref.Project, Branch: ask.Look}, holdfast.MayRead); err != nil {
		if holdfast.KindOf(err) == holdfast.NotFound {
			err = &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no look %q", ask.Look), Hint: "make one: `holdfast restore --preview`"}
		}
		return r, err
	}
	if err := checkRows(who, r.look); err != nil {
		return r, err
	}
	if !r.look.Look || r.look.Parent != r.branch.ID {
		return r, &holdfast.Error{Kind: holdfast.Invalid, Message: r.look.Ref().String() + " is no look at a moment of " + ref.String(), Hint: "make one: `holdfast restore --preview`"}
	}
	if ask.Table == "" {
		return r, &holdfast.Error{Kind: holdfast.Invalid, Message: "a rescue needs a table"}
	}
	return r, nil
}

// CompareRows tells how a table's rows differ between a moment and now, by primary key, and how each is repaired. begin is called first.
// Nothing is changed.
func (p *Platform) CompareRows(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask Rescue, begin func(RescueTable) error, each func(RescueChange) error) error {
	r, err := p.findRescue(ctx, who, ref, ask, false)
	if err != nil {
		return err
	}
	if err := p.recordAlone(ctx, who, "rescue.compare", ref.String(), map[string]any{"look": ask.Look, "table": ask.Table}); err != nil {
		return err
	}
	return p.compareRows(ctx, r, pgx.ReadOnly, begin, func(_ pgx.Tx, t rows.Table, c rows.Change) error {
		out := RescueChange{Kind: c.Kind, Then: c.Then, Now: c.Now, SQL: t.Repair(c)}
		for _, k := range t.Key {
			if c.Then != nil {
				out.Key = append(out.Key, c.Then[k])
			} else {
				out.Key = append(out.Key, c.Now[k])
			}
		}
		return each(out)
	})
}

// compareRows compares in one transaction on each side; each may use that of now, which is committed when all went well.
func (p *Platform) compareRows(ctx context.Context, r rescue, mode pgx.TxAccessMode, begin func(RescueTable) error, each func(pgx.Tx, rows.Table, rows.Change) error) error {
	id := newID("qry")
	if err := p.queries.begin(id, &query{branch: r.look.ID}); err != nil { // so that the look is not collected meanwhile
		return err
	}
	defer p.queries.end(id)
	then, err := p.ownerConn(ctx, r.look)
	if err != nil {
		return err
	}
	defer then.Close(context.WithoutCancel(ctx))
	now, err := p.ownerConn(ctx, r.branch)
	if err != nil {
		return err
	}
	defer now.Close(context.WithoutCancel(ctx))
	err = pgx.BeginTxFunc(ctx, then.Conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(then pgx.Tx) error {
		return pgx.BeginTxFunc(ctx, now.Conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: mode}, func(now pgx.Tx) error {
			table, err := rows.Find(ctx, now.Conn(), r.ask.Table)
			if err != nil {
				return err
			}
			if err := begin(describeRescue(table)); err != nil {
				return err
			}
			return rows.Compare(ctx, then, now, rows.Comparison{Table: table, Where: r.ask.Where}, func(c rows.Change) error { return each(now, table, c) })
		})
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "40001" {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "rows of " + r.ask.Table + " were changed by somebody else meanwhile", Hint: "nothing was changed; try again", Cause: err}
	}
	return err
}

func describeRescue(t rows.Table) RescueTable {
	out := RescueTable{Name: t.String(), Preamble: rows.Preamble()}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, c.Name)
	}
	for _, k := range t.Key {
		out.Key = append(out.Key, t.Columns[k].Name)
	}
	return out
}

const rescueJob = "rescue"

type rescueInput struct {
	BranchID, LookID holdfast.BranchID
	Rescue           Rescue
}

// ApplyRescue brings a table's rows back to how they were, in one transaction, after a checkpoint.
func (p *Platform) ApplyRescue(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask Rescue) (holdfast.Job, error) {
	r, err := p.findRescue(ctx, who, ref, ask, true)
	if err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, rescueJob, ref.String(), rescueInput{BranchID: r.branch.ID, LookID: r.look.ID, Rescue: ask})
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = r.branch.ProjectID, r.branch.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := onlyOne(tx, rescueJob, r.branch); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "rescue.apply", ref.String(), map[string]any{"job": job.ID, "look": ask.Look, "table": ask.Table})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// runRescue is one transaction: cut off before its commit it has done nothing, and run again after it there is nothing left to repair.
func (p *Platform) runRescue(ctx context.Context, r *run) (any, error) {
	var input rescueInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	what := rescue{ask: input.Rescue}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if what.branch, err = tx.Branch(input.BranchID); err != nil {
			return err
		}
		what.look, err = tx.Branch(input.LookID)
		return err
	})
	if err == nil && (!what.look.DeletedAt.IsZero() || what.look.State != store.Ready) {
		err = &holdfast.Error{Kind: holdfast.Precondition, Message: "the look at the moment is there no more", Hint: "nothing was changed; begin again"}
	}
	if err != nil {
		return nil, err
	}
	r.Steps(2)
	r.Step("making a checkpoint")
	c, err := p.autoCheckpoint(ctx, what.branch, holdfast.BeforeRestoreCheckpoint)
	if err != nil {
		return nil, err
	}
	r.Step("repairing rows of " + input.Rescue.Table)
	counts := map[rows.ChangeKind]int{rows.Deleted: 0, rows.Changed: 0, rows.Added: 0}
	total := int64(0)
	err = p.compareRows(ctx, what, pgx.ReadWrite, func(RescueTable) error { return nil }, func(tx pgx.Tx, t rows.Table, change rows.Change) error {
		counts[change.Kind]++
		total++
		r.Progress(total, 0, "rows")
		return rows.Apply(ctx, tx, t, change)
	})
	if err != nil {
		return nil, fmt.Errorf("repair %s: %w", input.Rescue.Table, err)
	}
	return map[string]any{"put_back": counts[rows.Deleted], "set_back": counts[rows.Changed], "removed": counts[rows.Added], "checkpoint": c.ID}, nil
}
