package schema

import (
	"slices"
	"strings"
)

// Whole is the first three phases as one plan. Its statements that fill the new columns are repeated; Fills says how to do them in batches.
func (e *Expansion) Whole() *Plan {
	plan := *e.Plan
	plan.Statements = slices.Clone(e.Plan.Statements)
	for _, b := range e.Backfills {
		fill := statement(Address{KindColumn, b.Table.Schema, b.Table.Name, b.Column}, "fill "+b.Table.Label()+"."+b.Column+" in batches",
			"UPDATE "+b.Table.tableName()+" AS t SET "+b.Assignment()+" WHERE "+b.Missing())
		fill.Repeat = true
		plan.Statements = append(plan.Statements, fill)
	}
	plan.Statements = append(plan.Statements, e.Build...)
	for i := range plan.Statements {
		plan.Statements[i].Group = 0
	}
	groupStatements(&plan)
	plan.Notes = append(plan.Notes, e.Ordinary...)
	return &plan
}

// Fills are the backfills by the index of their statement in Whole.
func (e *Expansion) Fills() map[int]Backfill {
	out := map[int]Backfill{}
	for i, b := range e.Backfills {
		out[len(e.Plan.Statements)+i] = b
	}
	return out
}

// Assignment is what an UPDATE of the table, as t, sets.
func (b Backfill) Assignment() string {
	return quote(b.Column) + " = (SELECT " + b.Expression + " FROM (SELECT t.*) AS r)"
}

// Missing chooses the rows that nobody has given a value: those that the trigger filled meanwhile are right already.
func (b Backfill) Missing() string { return "t." + quote(b.Column) + " IS NULL" }

// SwitchBack is what goes into the transaction in which a failed switch gives the old names back.
func (e *Expansion) SwitchBack() []Statement {
	var out []Statement
	for _, x := range e.Columns {
		out = append(out, x.syncFunction(true))
	}
	return out
}

// Contraction is Contract such that the columns are kept alike until, in one transaction, the old ones are gone: a failure in the
// middle leaves the switched structure.
func (e *Expansion) Contraction(in Input) (*Plan, error) {
	plan, err := e.Contract(in)
	if err != nil {
		return nil, err
	}
	plan.From = in.Production.Fingerprint()
	var first, together []Statement
	for _, s := range plan.Statements {
		if !s.Transactional && strings.HasPrefix(s.SQL, "DROP INDEX CONCURRENTLY ") {
			first = append(first, s)
		} else {
			together = append(together, s)
		}
	}
	for i := range first {
		first[i].Group = i + 1
	}
	for i := range together {
		together[i].Group = len(first) + 1
	}
	plan.Statements, plan.Preludes = slices.Concat(first, together), 0
	return plan, nil
}

// GiveUp is Abandon as a plan for a database as it is now, in one transaction; before is its structure before the expansion.
func (e *Expansion) GiveUp(before, now *Catalog) *Plan {
	plan := &Plan{From: now.Fingerprint(), To: before.Fingerprint(), Statements: e.Abandon()}
	for i := range plan.Statements {
		plan.Statements[i].Group = 1
	}
	return plan
}

// Undone plans the way back to the structure before the expansion, from behind the switch or the contraction. The values are in both
// columns, or in the new one alone, and none of them is lost.
func (e *Expansion) Undone(before, now *Catalog, contracted bool, opts Options) (*Plan, error) {
	if contracted {
		opts.Answers = union(opts.Answers, e.Undo)
	}
	plan, err := Revert(before, now, opts)
	if err != nil || contracted {
		return plan, err
	}
	stop := e.Stop()
	for i := range stop {
		stop[i].Group = 1
		if plan.Preludes == 0 {
			stop[i].Group = 0
		}
	}
	plan.Statements = slices.Concat(stop, plan.Statements)
	plan.Preludes += len(stop)
	plan.Lost = slices.DeleteFunc(plan.Lost, func(text string) bool {
		return slices.ContainsFunc(e.Columns, func(x ExpandedColumn) bool {
			return strings.Contains(text, (Address{KindColumn, x.Target.Schema, x.Target.Name, x.New}).String()+",")
		})
	})
	return plan, nil
}
