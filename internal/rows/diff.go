package rows

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// ChangeKind is what became of a row between then and now.
type ChangeKind string

// The kinds of changes.
const (
	Deleted ChangeKind = "deleted" // it was there then and is gone now
	Changed ChangeKind = "changed" // it differs
	Added   ChangeKind = "added"   // it was not there then
)

// Value is a column's value as PostgreSQL's text; nil is NULL.
type Value = *string

// Change is one row that differs between then and now. Then is nil for an added row, Now for a deleted one; both hold a value for
// each of the table's columns.
type Change struct {
	Kind ChangeKind
	Then []Value
	Now  []Value
}

// Comparison is what to compare.
type Comparison struct {
	Table Table  // as it is now
	Where string // an SQL condition over the row; empty: every row
}

// Compare walks the table on both connections in the order of its primary key and calls each for every row that differs. A row
// counts when the condition holds for it then or now. Both connections must be in a transaction; what a condition does is
// confined by that transaction's rights and mode.
//
// The table must have a primary key, the same then as now, and columns of the same names. Columns that only one side has are an
// error: the repair of such rows is a matter of the schema first.
func Compare(ctx context.Context, then, now pgx.Tx, c Comparison, each func(Change) error) error {
	if len(c.Table.Key) == 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: c.Table.String() + " has no primary key, so its rows cannot be told apart", Hint: "restore to a new branch and compare by hand"}
	}
	if err := checkSame(ctx, then, c.Table); err != nil {
		return err
	}
	old, err := openCursor(ctx, then, c)
	if err != nil {
		return fmt.Errorf("read %s as it was: %w", c.Table, err)
	}
	cur, err := openCursor(ctx, now, c)
	if err != nil {
		return fmt.Errorf("read %s as it is: %w", c.Table, err)
	}
	for {
		a, err := old.peek(ctx)
		if err != nil {
			return fmt.Errorf("read %s as it was: %w", c.Table, err)
		}
		b, err := cur.peek(ctx)
		if err != nil {
			return fmt.Errorf("read %s as it is: %w", c.Table, err)
		}
		change, err := c.step(ctx, old, cur, a, b)
		if err != nil {
			return err
		}
		if a == nil && b == nil {
			return nil
		}
		if change != nil {
			if err := each(*change); err != nil {
				return err
			}
		}
	}
}

// step consumes the smaller of the two rows, or both when they have the same key, and says how they differ.
func (c Comparison) step(ctx context.Context, old, cur *cursor, a, b []Value) (*Change, error) {
	order := 0
	switch {
	case a == nil && b == nil:
		return nil, nil
	case a == nil:
		order = 1
	case b == nil:
		order = -1
	default:
		order = c.Table.compareKeys(a, b)
	}
	var err error
	switch {
	case order < 0: // the condition may hold only for the old version of a row that is still there
		old.take()
		if c.Where != "" {
			if b, err = cur.lookup(ctx, a); err != nil {
				return nil, err
			}
		} else {
			b = nil
		}
	case order > 0:
		cur.take()
		if c.Where != "" {
			if a, err = old.lookup(ctx, b); err != nil {
				return nil, err
			}
		} else {
			a = nil
		}
	default:
		old.take()
		cur.take()
	}
	return difference(a, b), nil
}

func difference(then, now []Value) *Change {
	switch {
	case then == nil:
		return &Change{Kind: Added, Now: now}
	case now == nil:
		return &Change{Kind: Deleted, Then: then}
	}
	for i := range then {
		if !same(then[i], now[i]) {
			return &Change{Kind: Changed, Then: then, Now: now}
		}
	}
	return nil
}

func same(a, b Value) bool { return a == b || a != nil && b != nil && *a == *b }

// compareKeys orders rows as the cursors do: by the bytes of the key columns' text.
func (t Table) compareKeys(a, b []Value) int {
	for _, k := range t.Key {
		if order := bytes.Compare([]byte(*a[k]), []byte(*b[k])); order != 0 {
			return order
		}
	}
	return 0
}

func checkSame(ctx context.Context, then pgx.Tx, t Table) error {
	old, err := describeByName(ctx, then.Conn(), t)
	if err != nil {
		return err
	}
	differs := len(old.Columns) != len(t.Columns) || len(old.Key) != len(t.Key)
	for i := 0; !differs && i < len(t.Columns); i++ {
		differs = old.Columns[i].Name != t.Columns[i].Name
	}
	for i := 0; !differs && i < len(t.Key); i++ {
		differs = old.Key[i] != t.Key[i]
	}
	if differs {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: t.String() + " had other columns or another primary key then", Hint: "choose a later moment, or restore to a new branch and copy what you need"}
	}
	return nil
}

func describeByName(ctx context.Context, conn *pgx.Conn, t Table) (Table, error) {
	old, err := Find(ctx, conn, t.SQL())
	if holdfast.KindOf(err) == holdfast.NotFound {
		return old, &holdfast.Error{Kind: holdfast.NotFound, Message: "the table " + t.String() + " did not exist then"}
	}
	return old, err
}

// batch is how many rows a cursor holds at once. Rows can be large, so it is small.
const batch = 256

// Preamble is the SQL that makes the text forms of values those of Compare. A script of Repair's statements begins with it.
func Preamble() string {
	return "SET LOCAL row_security = off; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL intervalstyle = 'postgres'; " +
		"SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex';"
}

// cursor reads a table's rows in key order, a batch at a time.
type cursor struct {
	tx    pgx.Tx
	table Table
	rows  [][]Value
	ended bool
}

func openCursor(ctx context.Context, tx pgx.Tx, c Comparison) (*cursor, error) {
	// A row that a policy hides would look deleted; then it shall fail instead. Text forms must not depend on either session.
	if _, err := tx.Exec(ctx, Preamble(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	where := ""
	if c.Where != "" {
		where = " WHERE (" + c.Where + "\n)" // the line break ends a comment that the condition may end with
	}
	order := make([]string, len(c.Table.Key))
	for i, k := range c.Table.Key {
		order[i] = "r." + holdfast.QuoteIdentifier(c.Table.Columns[k].Name) + `::text COLLATE "C"`
	}
	// A condition is somebody else's SQL: it must not bring further statements in. Exec would send it in the simple protocol, which takes many.
	declare := "DECLARE holdfast_rows NO SCROLL CURSOR FOR SELECT " + c.Table.selectText("r") + " FROM " + c.Table.SQL() + " r" + where + " ORDER BY " + strings.Join(order, ", ")
	if r := tx.Conn().PgConn().ExecParams(ctx, declare, nil, nil, nil, nil).Read(); r.Err != nil {
		return nil, explain(r.Err)
	}
	return &cursor{tx: tx, table: c.Table}, nil
}

// peek returns the next row without taking it; nil at the end.
func (c *cursor) peek(ctx context.Context) ([]Value, error) {
	if len(c.rows) == 0 && !c.ended {
		var err error
		if c.rows, err = c.read(ctx, fmt.Sprintf("FETCH %d FROM holdfast_rows", batch)); err != nil {
			return nil, explain(err)
		}
		c.ended = len(c.rows) < batch
	}
	if len(c.rows) == 0 {
		return nil, nil
	}
	return c.rows[0], nil
}

func (c *cursor) take() { c.rows = c.rows[1:] }

// lookup finds the row with the same key, whatever the condition says of it; nil when there is none.
func (c *cursor) lookup(ctx context.Context, like []Value) ([]Value, error) {
	found, err := c.read(ctx, "SELECT "+c.table.selectText("r")+" FROM "+c.table.SQL()+" r WHERE "+c.table.keyCondition("r", like))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func (c *cursor) read(ctx context.Context, query string) ([][]Value, error) {
	rows, err := c.tx.Query(ctx, query, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]Value, error) {
		values := make([]Value, len(c.table.Columns))
		for i, raw := range row.RawValues() {
			if raw != nil {
				s := string(raw)
				values[i] = &s
			}
		}
		return values, nil
	})
}

// keyCondition is the SQL that finds the row with the same key.
func (t Table) keyCondition(alias string, row []Value) string {
	parts := make([]string, len(t.Key))
	for i, k := range t.Key {
		parts[i] = alias + "." + holdfast.QuoteIdentifier(t.Columns[k].Name) + " = " + t.literal(k, row[k])
	}
	return strings.Join(parts, " AND ")
}

// literal is a value as SQL, of the column's own type.
func (t Table) literal(column int, v Value) string {
	if v == nil {
		return "NULL"
	}
	return "(" + strings.TrimSpace(holdfast.QuoteLiteral(*v)) + ")::" + t.Columns[column].Type
}
