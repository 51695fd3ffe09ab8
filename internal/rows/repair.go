package rows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// Repair is the statement that makes the row what it was then: it puts back a deleted row, sets changed columns back, or deletes
// an added row. It touches a row only in the state in which it was compared, so that a change made meanwhile is not lost: then
// it touches no row, which Apply takes as a conflict.
func (t Table) Repair(c Change) string {
	switch c.Kind {
	case Deleted:
		var names, values []string
		for _, i := range t.stored() {
			names = append(names, holdfast.QuoteIdentifier(t.Columns[i].Name))
			values = append(values, t.literal(i, c.Then[i]))
		}
		// A value of GENERATED ALWAYS AS IDENTITY is put back as it was.
		return "INSERT INTO " + t.SQL() + " (" + strings.Join(names, ", ") + ") OVERRIDING SYSTEM VALUE VALUES (" + strings.Join(values, ", ") + ") ON CONFLICT DO NOTHING"
	case Added:
		return "DELETE FROM " + t.SQL() + " r WHERE " + t.keyCondition("r", c.Now) + t.unchanged(c.Now, t.stored())
	}
	var sets []string
	var touched []int
	for _, i := range t.stored() {
		if !same(c.Then[i], c.Now[i]) {
			sets = append(sets, holdfast.QuoteIdentifier(t.Columns[i].Name)+" = "+t.literal(i, c.Then[i]))
			touched = append(touched, i)
		}
	}
	if len(sets) == 0 { // only generated columns differ: their expression changed, which is the schema's matter
		return ""
	}
	return "UPDATE " + t.SQL() + " r SET " + strings.Join(sets, ", ") + " WHERE " + t.keyCondition("r", c.Now) + t.unchanged(c.Now, touched)
}

// unchanged is the condition that the columns still have the values that were compared, in their text form: not every type has
// an equality (json, point).
func (t Table) unchanged(now []Value, columns []int) string {
	var b strings.Builder
	for _, i := range columns {
		b.WriteString(" AND r." + holdfast.QuoteIdentifier(t.Columns[i].Name) + "::text IS NOT DISTINCT FROM ")
		if now[i] == nil {
			b.WriteString("NULL")
		} else {
			b.WriteString("(" + strings.TrimSpace(holdfast.QuoteLiteral(*now[i])) + ")::text")
		}
	}
	return b.String()
}

// Apply runs a repair statement and checks that it touched the one row that it is about.
func Apply(ctx context.Context, tx pgx.Tx, t Table, c Change) error {
	statement := t.Repair(c)
	if statement == "" {
		return nil
	}
	tag, err := tx.Exec(ctx, statement, pgx.QueryExecModeExec)
	if err != nil {
		return fmt.Errorf("repair %s: %w", t, explain(err))
	}
	if tag.RowsAffected() != 1 {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("a row of %s (%s) was changed meanwhile", t, t.describeKey(c)), Hint: "nothing was changed; compare again"}
	}
	return nil
}

func (t Table) describeKey(c Change) string {
	row := c.Then
	if row == nil {
		row = c.Now
	}
	parts := make([]string, len(t.Key))
	for i, k := range t.Key {
		parts[i] = t.Columns[k].Name + " " + *row[k]
	}
	return strings.Join(parts, ", ")
}

// explain gives the errors of a user's own SQL and data their kind.
func explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code[:2] {
	case "42": // syntax, unknown names, missing rights
		kind := holdfast.Invalid
		if pg.Code == "42501" {
			kind = holdfast.NotAllowed
		}
		return &holdfast.Error{Kind: kind, Message: pg.Message, Hint: pg.Hint}
	case "23": // constraints
		return &holdfast.Error{Kind: holdfast.Conflict, Message: pg.Message, Hint: pg.Detail}
	case "22":
		return &holdfast.Error{Kind: holdfast.Invalid, Message: pg.Message, Hint: pg.Detail}
	}
	return err
}
