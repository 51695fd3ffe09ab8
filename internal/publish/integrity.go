package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// tableSums are the rows of a table, and a sum over each column whatever the order of the rows: of hashes of the values' texts,
// seeded with the hash of the row's key, so that values which change places change the sum, too.
type tableSums struct {
	rows    int64
	key     []string // the primary key, by the names before
	columns map[string]string
}

// sumBefore reads every table once. Which columns the plan leaves alone is known only when it has run, so it sums them all.
func sumBefore(ctx context.Context, conn *pgx.Conn, c *schema.Catalog) (map[schema.Address]tableSums, error) {
	out := map[schema.Address]tableSums{}
	for _, p := range schema.Probes(c, c) {
		key := primaryKey(c, p.Before)
		columns := make([]string, len(p.Columns))
		for i, pair := range p.Columns {
			columns[i] = pair[0]
		}
		sums, err := sumColumns(ctx, conn, p.Before, key, columns)
		if err != nil {
			return nil, err
		}
		out[p.Before] = sums
	}
	return out, nil
}

// sumAfter reads the tables again, under their names after the plan, and compares.
func sumAfter(ctx context.Context, conn *pgx.Conn, sums map[schema.Address]tableSums, before, after *schema.Catalog) ([]TableSum, error) {
	out := []TableSum{}
	for _, p := range schema.Probes(before, after) {
		old, known := sums[p.Before]
		if !known {
			continue
		}
		names := map[string]string{}
		for _, pair := range p.Columns {
			names[pair[0]] = pair[1]
		}
		key := make([]string, 0, len(old.key))
		for _, k := range old.key {
			if names[k] != "" {
				key = append(key, names[k])
			}
		}
		var columns []string
		if len(key) == len(old.key) { // otherwise rows can no longer be recognised
			for _, pair := range p.Columns {
				columns = append(columns, pair[1])
			}
		}
		now, err := sumColumns(ctx, conn, p.After, key, columns)
		if err != nil {
			return nil, err
		}
		t := TableSum{Table: p.Before.Label(), RowsBefore: old.rows, RowsAfter: now.rows, Columns: len(columns)}
		if p.After != p.Before {
			t.After = p.After.Label()
		}
		for _, pair := range p.Columns {
			if sum, ok := now.columns[pair[1]]; ok && sum != old.columns[pair[0]] {
				t.Changed = append(t.Changed, pair[0])
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// primaryKey lists the columns of a table's primary key.
func primaryKey(c *schema.Catalog, table schema.Address) []string {
	for a, o := range c.Objects {
		if a.Kind == schema.KindConstraint && a.Schema == table.Schema && a.Name == table.Name && o.Attrs["type"] == "p" {
			var columns []string
			if json.Unmarshal([]byte(o.Attrs["columns"]), &columns) == nil {
				return columns
			}
		}
	}
	return nil
}

func sumColumns(ctx context.Context, conn *pgx.Conn, table schema.Address, key, columns []string) (tableSums, error) {
	sums := tableSums{key: key, columns: map[string]string{}}
	seed := "0::bigint"
	if len(key) > 0 {
		parts := make([]string, len(key))
		for i, k := range key {
			parts[i] = "t." + holdfast.QuoteIdentifier(k) + "::text"
		}
		seed = "hashtextextended(ROW(" + strings.Join(parts, ", ") + ")::text, 0)"
	}
	list := []string{"count(*)"}
	for _, c := range columns {
		list = append(list, "sum(hashtextextended(coalesce(t."+holdfast.QuoteIdentifier(c)+"::text, E'\\x01null'), k.seed))::text")
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + holdfast.QuoteQualified(table.Schema, table.Name) + " AS t CROSS JOIN LATERAL (SELECT " + seed + ") AS k(seed)"
	targets, texts := []any{&sums.rows}, make([]*string, len(columns))
	for i := range texts {
		targets = append(targets, &texts[i])
	}
	if err := conn.QueryRow(ctx, sql).Scan(targets...); err != nil {
		return sums, fmt.Errorf("sum the rows of %s: %w", table.Label(), err)
	}
	for i, text := range texts {
		if text != nil {
			sums.columns[columns[i]] = *text
		} else {
			sums.columns[columns[i]] = "" // no rows
		}
	}
	return sums, nil
}

// sequences finds sequences that would give a number which their column holds already. The plan may have made or filled either.
func (r *Report) sequences(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT s.oid::regclass::text, d.refobjid::regclass::text, quote_ident(a.attname), q.seqincrement > 0 AND NOT q.seqcycle AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
		FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
		JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = s.relnamespace
		WHERE s.relkind = 'S' AND t.relkind IN ('r', 'p') AND NOT starts_with(n.nspname, '`+schema.HiddenPrefix+`') ORDER BY 1`)
	if err != nil {
		return fmt.Errorf("list the sequences: %w", err)
	}
	type owned struct {
		Sequence, Table, Column string
		Counts                  bool
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[owned])
	if err != nil {
		return fmt.Errorf("list the sequences: %w", err)
	}
	for _, s := range list {
		if !s.Counts {
			continue
		}
		var next int64
		var highest *int64
		sql := "SELECT CASE WHEN is_called THEN last_value + (SELECT seqincrement FROM pg_sequence WHERE seqrelid = $1::regclass) ELSE last_value END, (SELECT max(" + s.Column + ")::bigint FROM " + s.Table + ") FROM " + s.Sequence
		if err := conn.QueryRow(ctx, sql, s.Sequence).Scan(&next, &highest); err != nil {
			return fmt.Errorf("look at the sequence %s: %w", s.Sequence, err)
		}
		if highest != nil && next <= *highest && !r.wasBehind(s.Sequence, s.Table, s.Column) {
			r.Sequences = append(r.Sequences, SequenceBehind{Sequence: s.Sequence, Column: s.Table + "." + s.Column, Next: next, Highest: *highest})
		}
	}
	return nil
}

// newColumns profiles the columns that the plan added to tables that were there before.
func (r *Report) newColumns(ctx context.Context, conn *pgx.Conn) error {
	tables := map[schema.Identity]bool{}
	columns := map[schema.Identity]bool{}
	for a, o := range r.before.Objects {
		if a.Kind == schema.KindTable {
			tables[o.ID] = true
		}
		if a.Kind == schema.KindColumn {
			columns[o.ID] = true
		}
	}
	for _, a := range r.after.Addresses() {
		o := r.after.Objects[a]
		table := r.after.Objects[schema.Address{Kind: schema.KindTable, Schema: a.Schema, Name: a.Name}]
		if a.Kind != schema.KindColumn || columns[o.ID] || table == nil || !tables[table.ID] {
			continue
		}
		p := ColumnProfile{Column: a.Label()}
		column := holdfast.QuoteIdentifier(a.Sub)
		var most *int64
		err := conn.QueryRow(ctx, "SELECT coalesce(sum(n), 0)::bigint, coalesce(sum(n) FILTER (WHERE missing), 0)::bigint, count(*) FILTER (WHERE NOT missing), max(n) FILTER (WHERE NOT missing)::bigint FROM (SELECT "+column+" IS NULL AS missing, count(*) AS n FROM "+
			holdfast.QuoteQualified(a.Schema, a.Name)+" GROUP BY "+column+"::text, "+column+" IS NULL) AS g").Scan(&p.Rows, &p.Nulls, &p.Distinct, &most)
		if err != nil {
			return fmt.Errorf("look at the new column %s: %w", a.Label(), err)
		}
		if most != nil && p.Rows > 0 {
			p.DefaultShare = float64(*most) / float64(p.Rows)
		}
		r.NewColumns = append(r.NewColumns, p)
	}
	return nil
}

// leftBehind finds what a failed online statement leaves: indexes that are not valid, and constraints that are not checked.
func (r *Report) leftBehind() {
	for _, a := range r.after.Addresses() {
		o, was := r.after.Objects[a], r.before.Objects[a]
		switch {
		case a.Kind == schema.KindIndex && o.Attrs["invalid"] == "true" && o.Attrs["partitioned"] != "true" && (was == nil || was.Attrs["invalid"] != "true"):
			r.InvalidIndexes = append(r.InvalidIndexes, a.Label())
		case a.Kind == schema.KindConstraint && unvalidated(o) && !unvalidated(was):
			r.Unvalidated = append(r.Unvalidated, a.Label())
		}
	}
	slices.Sort(r.InvalidIndexes)
}

func unvalidated(o *schema.Object) bool {
	return o != nil && strings.HasSuffix(o.Attrs["definition"], " NOT VALID")
}

// wasBehind says whether the sequence was behind before the plan: that is not the plan's doing.
func (r *Report) wasBehind(sequence, table, column string) bool {
	return slices.Contains(r.behind, sequence+" "+table+" "+column)
}

// noteBehind remembers the sequences that are behind before the plan.
func (r *Report) noteBehind(ctx context.Context, conn *pgx.Conn) error {
	if err := r.sequences(ctx, conn); err != nil {
		return err
	}
	for _, s := range r.Sequences {
		table, column := s.Column, ""
		if i := strings.LastIndexByte(s.Column, '.'); i >= 0 {
			table, column = s.Column[:i], s.Column[i+1:]
		}
		r.behind = append(r.behind, s.Sequence+" "+table+" "+column)
	}
	r.Sequences = []SequenceBehind{}
	return nil
}
