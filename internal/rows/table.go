// Package rows looks after the rows of tables: it runs SQL within bounds, compares a table between two moments, writes the SQL that repairs one from
// the other, and masks what must not leave production. Values travel as PostgreSQL's own text and are never interpreted
// here, so no type loses anything. It works in constant memory whatever the size of a table.
//
// It runs on the connections that it is given and decides nothing about who may do so.
package rows

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Table is what must be known of a table to read and write its rows.
type Table struct {
	OID     uint32
	Schema  string
	Name    string
	Owner   string
	Columns []Column
	Key     []int // indexes into Columns of the primary key, in its order; empty when it has none
}

// Column is a column that holds a value of its own or a computed one.
type Column struct {
	Name      string
	Type      string // as format_type prints it, with its modifier
	Base      string // the type under it where it is a domain, else the same
	Generated bool   // computed from others: cannot be written
	NotNull   bool
}

// SQL is the table's quoted name.
func (t Table) SQL() string { return holdfast.QuoteQualified(t.Schema, t.Name) }

func (t Table) String() string { return t.Schema + "." + t.Name }

// stored lists the indexes of the columns that can be written.
func (t Table) stored() []int {
	var out []int
	for i, c := range t.Columns {
		if !c.Generated {
			out = append(out, i)
		}
	}
	return out
}

// Find reads a table's description. name is table or schema.table, quoted where SQL would need it; a name without a schema is
// looked up as SQL does, then in every schema when only one has it.
func Find(ctx context.Context, conn *pgx.Conn, name string) (Table, error) {
	var oid *uint32
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass($1)::oid`, name).Scan(&oid); err != nil {
		return Table{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is not a table's name", name), Cause: err}
	}
	if oid == nil {
		found, err := findAnywhere(ctx, conn, name)
		if err != nil {
			return Table{}, err
		}
		oid = &found
	}
	return describe(ctx, conn, *oid)
}

func findAnywhere(ctx context.Context, conn *pgx.Conn, name string) (uint32, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT 2`, name)
	if err != nil {
		return 0, err
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return 0, err
	}
	switch len(oids) {
	case 0:
		return 0, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no table %q", name)}
	case 1:
		return oids[0], nil
	}
	return 0, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("several schemas have a table %q", name), Hint: "write it with its schema: schema.table"}
}

func describe(ctx context.Context, conn *pgx.Conn, oid uint32) (Table, error) {
	t := Table{OID: oid}
	var kind string
	err := conn.QueryRow(ctx, `SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner), c.relkind::text FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`, oid).Scan(&t.Schema, &t.Name, &t.Owner, &kind)
	if err != nil {
		return t, fmt.Errorf("read a table's name: %w", err)
	}
	if kind != "r" && kind != "p" {
		return t, &holdfast.Error{Kind: holdfast.Invalid, Message: t.String() + " is not a table"}
	}
	rows, err := conn.Query(ctx, `WITH RECURSIVE base (domain, type, modifier) AS (
			SELECT oid, typbasetype, typtypmod FROM pg_catalog.pg_type WHERE typtype = 'd'
			UNION ALL SELECT b.domain, t.typbasetype, CASE WHEN b.modifier >= 0 THEN b.modifier ELSE t.typtypmod END
			FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd'
		)
		SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
		coalesce((SELECT pg_catalog.format_type(b.type, b.modifier) FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd' WHERE b.domain = a.atttypid),
			pg_catalog.format_type(a.atttypid, a.atttypmod)), a.attgenerated <> '', a.attnotnull,
		coalesce(pg_catalog.array_position(i.indkey::int2[], a.attnum), -1), coalesce(i.indnkeyatts, 0)
		FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid)
	if err != nil {
		return t, fmt.Errorf("read the columns of %s: %w", t, err)
	}
	keyAt := map[int]int{}
	var c Column
	var position, keyColumns int
	_, err = pgx.ForEachRow(rows, []any{&c.Name, &c.Type, &c.Base, &c.Generated, &c.NotNull, &position, &keyColumns}, func() error {
		if position >= 0 && position < keyColumns { // behind them stand the columns that the index only includes
			keyAt[position] = len(t.Columns)
		}
		t.Columns = append(t.Columns, c)
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("read the columns of %s: %w", t, err)
	}
	// indkey is an int2vector, which counts from 0; array_position of its cast keeps that. So the key's columns are at 0, 1, ...
	for i := 0; len(t.Key) < len(keyAt); i++ {
		if at, ok := keyAt[i]; ok {
			t.Key = append(t.Key, at)
		}
	}
	return t, nil
}

// columnIndex finds a column by name; -1 when there is none.
func (t Table) columnIndex(name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// selectText lists all columns as text.
func (t Table) selectText(alias string) string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = alias + "." + holdfast.QuoteIdentifier(c.Name) + "::text"
	}
	return strings.Join(parts, ", ")
}
