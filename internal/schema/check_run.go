package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Finding is what a check found.
type Finding struct {
	Check   Check    `json:"check"`
	Verdict Verdict  `json:"verdict"`
	Count   int64    `json:"count"`
	Rows    []string `json:"rows,omitempty"` // JSON texts that name some of the rows
	Text    string   `json:"text"`
}

// Verdict says what a finding means for the plan.
type Verdict string

// The verdicts, from harmless to final.
const (
	Clean   Verdict = "clean"   // nothing was found
	Unknown Verdict = "unknown" // it cannot be told before the plan has run: the rehearsal tells
	Loses   Verdict = "loses"   // values change or leave: somebody must allow it
	Blocks  Verdict = "blocks"  // the plan would fail
)

// maxSample is how many rows a finding names.
const maxSample = 20

// RunChecks looks at the rows that stand in a plan's way. conn is that of the database as it was planned for, with its rows: a copy
// of production. The plan's renames are done and undone around the checks, so they take locks; on production itself use it only for
// plans without renames. It works in one transaction that it rolls back.
func RunChecks(ctx context.Context, conn *pgx.Conn, plan *Plan) ([]Finding, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin the data checks: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing of it shall stay
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog, pg_temp"); err != nil {
		return nil, fmt.Errorf("begin the data checks: %w", err)
	}
	for _, s := range plan.Statements[:plan.Preludes] {
		if _, err := tx.Exec(ctx, s.SQL); err != nil {
			return nil, fmt.Errorf("rename before the data checks: %s: %w", s.SQL, err)
		}
	}
	var out []Finding
	for _, c := range plan.Checks {
		found, err := runCheck(ctx, tx, c)
		if err != nil {
			return nil, fmt.Errorf("check %s of %s: %w", c.Kind, c.Object, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// runCheck runs one check behind a savepoint, so that one that cannot be asked yet does not end the others.
func runCheck(ctx context.Context, tx pgx.Tx, c Check) ([]Finding, error) {
	inner, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = inner.Rollback(context.WithoutCancel(ctx)) }() // its functions go with it
	found, err := c.run(ctx, inner)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && cannotAskYet(refused.Code) {
		return []Finding{{Check: c, Verdict: Unknown, Text: fmt.Sprintf("%s can be checked only once the plan has run (%s)", c.Object, refused.Message)}}, nil
	}
	return found, err
}

// cannotAskYet: the check speaks of something that the plan makes first.
func cannotAskYet(code string) bool {
	return strings.HasPrefix(code, "42") || strings.HasPrefix(code, "3F") || strings.HasPrefix(code, "0A") || code == "22P02" // a value that an enum does not have yet
}

func (c Check) run(ctx context.Context, tx pgx.Tx) ([]Finding, error) {
	if c.Kind == CheckCast {
		return c.runCast(ctx, tx)
	}
	if c.Kind == CheckPartition {
		return c.runPartition(ctx, tx)
	}
	sql, ok := c.violations()
	if !ok {
		return []Finding{{Check: c, Verdict: Unknown, Text: fmt.Sprintf("%s is checked only when the plan runs", c.Object)}}, nil
	}
	f, err := c.find(ctx, tx, sql)
	if err != nil {
		return nil, err
	}
	if f.Count > 0 {
		f.Verdict = Blocks
		if c.Kind == CheckRowsLeave || c.Kind == CheckValuesLeave {
			f.Verdict = Loses
		}
		f.Text = c.say(f.Count)
	}
	return []Finding{f}, nil
}

// find counts rows and names some.
func (c Check) find(ctx context.Context, tx pgx.Tx, sql string) (Finding, error) {
	f := Finding{Check: c, Verdict: Clean, Text: fmt.Sprintf("no row stands in the way of %s", c.Object)}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT row, count(*) OVER () FROM (%s) AS found(row) LIMIT %d", sql, maxSample))
	if err != nil {
		return f, err
	}
	defer rows.Close()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row, &f.Count); err != nil {
			return f, err
		}
		f.Rows = append(f.Rows, row)
	}
	return f, rows.Err()
}

func (c Check) runCast(ctx context.Context, tx pgx.Tx) ([]Finding, error) {
	for _, sql := range c.castFunctions() {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	fail, change := c.castViolations()
	failed, err := c.find(ctx, tx, fail)
	if err != nil {
		return nil, err
	}
	if failed.Count > 0 {
		failed.Verdict = Blocks
		failed.Text = fmt.Sprintf("%d values of %s cannot be converted to %s", failed.Count, c.Object.Label(), c.Type)
	}
	changed, err := c.find(ctx, tx, change)
	if err != nil {
		return nil, err
	}
	if changed.Count == 0 {
		return []Finding{failed}, nil
	}
	changed.Verdict = Loses
	if c.jsonToBinary() {
		changed.Text = fmt.Sprintf("%d documents of %s repeat a key or have an order of keys: jsonb keeps only the last of repeated keys, and sorts keys", changed.Count, c.Object.Label())
	} else {
		changed.Text = fmt.Sprintf("%d values of %s do not survive the change from %s to %s", changed.Count, c.Object.Label(), c.OldType, c.Type)
	}
	if failed.Count == 0 {
		return []Finding{changed}, nil
	}
	return []Finding{failed, changed}, nil
}

// runPartition finds rows for which no partition is there.
func (c Check) runPartition(ctx context.Context, tx pgx.Tx) ([]Finding, error) {
	for _, sql := range c.partitionTables() {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	var condition string
	if err := tx.QueryRow(ctx, partitionCondition).Scan(&condition); err != nil {
		return nil, err
	}
	f, err := c.find(ctx, tx, "SELECT "+c.rowName(quote(c.Table.Name))+" FROM "+c.Table.tableName()+" WHERE ("+condition+") IS NOT TRUE")
	if err != nil {
		return nil, err
	}
	if f.Count > 0 {
		f.Verdict, f.Text = Blocks, fmt.Sprintf("%d rows of %s belong to none of the partitions", f.Count, c.Table.Label())
	}
	return []Finding{f}, nil
}

// say puts a count of rows into words.
func (c Check) say(n int64) string {
	table := c.Table.Label()
	switch c.Kind {
	case CheckNotNull:
		return fmt.Sprintf("%d rows of %s have no value in %s", n, table, c.Columns[0])
	case CheckNoRows:
		return fmt.Sprintf("%d rows of %s would have no value in the new required column %s; give it a default, or answer fill:%s=EXPRESSION", n, table, c.Object.Sub, c.Object.Label())
	case CheckUnfilled:
		return fmt.Sprintf("%d rows of %s were written since %s was dropped and would have no value in it; answer fill:%s=EXPRESSION", n, table, c.Object, c.Object.Label())
	case CheckUnique:
		return fmt.Sprintf("%d keys of %s appear more than once in %s", n, c.Object, table)
	case CheckExclusion:
		return fmt.Sprintf("%d pairs of rows of %s exclude each other under %s", n, table, c.Object)
	case CheckForeignKey:
		return fmt.Sprintf("%d rows of %s have no partner in %s", n, table, c.RefTable.Label())
	case CheckRowsLeave:
		return fmt.Sprintf("%d rows of %s are set aside with it", n, c.Object.Label())
	case CheckValuesLeave:
		return fmt.Sprintf("%d values of %s are set aside with it", n, c.Object.Label())
	}
	return fmt.Sprintf("%d rows of %s break %s", n, table, c.Object)
}
