package backup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Table is a table as the catalogue describes it.
type Table struct {
	OID         uint32
	Schema      string
	Name        string
	Partitioned bool     // its rows are in its partitions
	Partition   bool     // it is one
	Parents     []uint32 // tables that it inherits from or is a partition of
	Columns     []Column // in the table's order, without generated ones
	Generated   []string // columns that the database computes
	Filter      string   // of an extension's table: which rows are the user's
	Bytes       int64    // on disk, with indexes
}

// Column is a column whose values are kept.
type Column struct {
	Name     string
	Type     string // as format_type writes it
	Identity bool
	Always   bool // an identity that only the database gives
	NotNull  bool
	Default  bool
	enc      encoding
}

// String is the table's name in SQL.
func (t Table) String() string { return holdfast.QuoteQualified(t.Schema, t.Name) }

// columnList is the list of the columns in SQL with parentheses, or nothing for a table without any: "()" is no list.
func (t Table) columnList() string {
	if len(t.Columns) == 0 {
		return ""
	}
	list := " ("
	for i, c := range t.Columns {
		if i > 0 {
			list += ", "
		}
		list += holdfast.QuoteIdentifier(c.Name)
	}
	return list + ")"
}

// copyOut is the statement that gives the table's own rows, not those of tables that inherit from it.
func (t Table) copyOut(options string) string {
	if t.Filter == "" {
		return "COPY " + t.String() + t.columnList() + " TO STDOUT" + options
	}
	columns := ""
	for i, c := range t.Columns {
		if i > 0 {
			columns += ", "
		}
		columns += holdfast.QuoteIdentifier(c.Name)
	}
	return "COPY (SELECT " + columns + " FROM ONLY " + t.String() + " " + t.Filter + ") TO STDOUT" + options
}

// readTables lists the user's tables, partitioned ones too, sorted by name. Of an extension's tables only those appear whose rows
// the extension leaves to the user (pg_extension_config_dump).
func readTables(ctx context.Context, conn *pgx.Conn) ([]Table, error) {
	return listTables(ctx, pgxSession{conn})
}

func listTables(ctx context.Context, conn session) ([]Table, error) {
	var (
		tables  []Table
		t       Table
		parents string
	)
	err := conn.each(ctx, []any{&t.OID, &t.Schema, &t.Name, &t.Partitioned, &t.Partition, &t.Filter, &t.Bytes, &parents}, func() error {
		row := t
		for _, oid := range strings.Fields(parents) {
			n, err := strconv.ParseUint(oid, 10, 32)
			if err != nil {
				return err
			}
			row.Parents = append(row.Parents, uint32(n))
		}
		tables = append(tables, row)
		return nil
	}, `
		SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relispartition, coalesce(ext.condition, ''), coalesce(pg_catalog.pg_total_relation_size(c.oid), 0),
		       pg_catalog.array_to_string(ARRAY(SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno), ' ')
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN (SELECT config.oid, config.condition FROM pg_catalog.pg_extension e, unnest(e.extconfig, e.extcondition) AS config(oid, condition)) ext ON ext.oid = c.oid
		WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		  AND (ext.oid IS NOT NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	slices.SortFunc(tables, func(a, b Table) int { return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name)) })
	return tables, readColumns(ctx, conn, tables)
}

// readColumns fills in the tables' columns.
func readColumns(ctx context.Context, conn session, tables []Table) error {
	types, err := readTypes(ctx, conn)
	if err != nil {
		return err
	}
	byOID := make(map[uint32]*Table, len(tables))
	oids := make([]uint32, len(tables))
	for i := range tables {
		byOID[tables[i].OID], oids[i] = &tables[i], tables[i].OID
	}
	var (
		table, typ uint32
		column     Column
		generated  bool
	)
	err = conn.each(ctx, []any{&table, &column.Name, &column.Type, &typ, &column.Identity, &column.Always, &column.NotNull, &column.Default, &generated}, func() error {
		t := byOID[table]
		if generated {
			t.Generated = append(t.Generated, column.Name)
			return nil
		}
		column.enc = types.encoding(typ)
		t.Columns = append(t.Columns, column)
		return nil
	}, `
		SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.attidentity <> '', a.attidentity = 'a', a.attnotnull, a.atthasdef, a.attgenerated <> ''
		FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`, oidList(oids))
	if err != nil {
		return fmt.Errorf("list the columns: %w", err)
	}
	return nil
}

// chooseTables keeps the tables that the patterns choose, with their partitions and the tables that inherit from them. Without a
// pattern it keeps all. A pattern that chooses none is NotFound.
func chooseTables(tables []Table, patterns []string) ([]Table, error) {
	if len(patterns) == 0 {
		return tables, nil
	}
	chosen := map[uint32]bool{}
	for _, text := range patterns {
		pattern, err := holdfast.ParseTablePattern(text)
		if err != nil {
			return nil, err
		}
		found := false
		for _, t := range tables {
			if pattern.Matches(t.Schema, t.Name) {
				chosen[t.OID], found = true, true
			}
		}
		if !found {
			return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("no table is called %s", text), Hint: `names with capital letters or odd characters need double quotes`}
		}
	}
	for grown := true; grown; {
		grown = false
		for _, t := range tables {
			if !chosen[t.OID] && slices.ContainsFunc(t.Parents, func(parent uint32) bool { return chosen[parent] }) {
				chosen[t.OID], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool { return !chosen[t.OID] }), nil
}

// holders are the tables that hold rows themselves.
func holders(tables []Table) []Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool { return t.Partitioned })
}
