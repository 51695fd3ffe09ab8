package backup

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// foreignKey is a foreign key as a whole, not its copies on partitions.
type foreignKey struct {
	Name       string
	Table      uint32 // that refers
	Refers     uint32 // to this one
	TableName  string // quoted
	RefersName string
	Deferrable bool
	Deferred   bool
	OnDelete   string // as pg_constraint writes it: a no action, r restrict, c cascade, n set null, d set default
	OnUpdate   string
	Validated  bool
	Definition string // its columns in SQL, for a check: see orphanQuery
	Columns    []string
	RefColumns []string
	MatchFull  bool
}

func readForeignKeys(ctx context.Context, conn *pgx.Conn) ([]foreignKey, error) {
	rows, err := conn.Query(ctx, `
		SELECT k.conname, k.conrelid, k.confrelid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(fn.nspname) || '.' || quote_ident(f.relname),
		       k.condeferrable, k.condeferred, k.confdeltype::text, k.confupdtype::text, k.convalidated, pg_catalog.pg_get_constraintdef(k.oid), k.confmatchtype = 'f',
		       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(num, pos) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.pos),
		       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(num, pos) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.pos)
		FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_class f ON f.oid = k.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
		WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 4, 1`)
	if err != nil {
		return nil, fmt.Errorf("list the foreign keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k foreignKey, err error) {
		err = row.Scan(&k.Name, &k.Table, &k.Refers, &k.TableName, &k.RefersName, &k.Deferrable, &k.Deferred, &k.OnDelete, &k.OnUpdate, &k.Validated, &k.Definition, &k.MatchFull, &k.Columns, &k.RefColumns)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the foreign keys: %w", err)
	}
	return keys, nil
}

// parentsFirst sorts the tables so that a table comes after those that its foreign keys refer to, as far as there are no cycles.
func parentsFirst(tables []Table, keys []foreignKey) []Table {
	index := map[uint32]int{}
	for i, t := range tables {
		index[t.OID] = i
	}
	var sorted []Table
	seen := make([]bool, len(tables))
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, k := range keys {
			if parent, chosen := index[k.Refers]; k.Table == tables[i].OID && chosen {
				visit(parent)
			}
		}
		for _, p := range tables[i].Parents { // a partition's foreign keys stand at its parent
			for _, k := range keys {
				if parent, chosen := index[k.Refers]; k.Table == p && chosen {
					visit(parent)
				}
			}
		}
		sorted = append(sorted, tables[i])
	}
	for i := range tables {
		visit(i)
	}
	return sorted
}

// deferral lets the foreign keys of a transaction be checked at its end, every one of them, instead of row by row. It switches no check
// off. Keys that were not made deferrable are made so for the transaction only, which needs the right to alter their tables.
type deferral struct {
	conn    *pgx.Conn
	altered []foreignKey
}

// deferKeys defers every foreign key from or to one of the tables. It must be called inside a transaction.
func deferKeys(ctx context.Context, conn *pgx.Conn, tables []Table, keys []foreignKey) (*deferral, error) {
	d := &deferral{conn: conn}
	chosen := func(oid uint32) bool {
		return slices.ContainsFunc(tables, func(t Table) bool { return t.OID == oid || slices.Contains(t.Parents, oid) })
	}
	for _, k := range keys {
		if k.Deferrable || !chosen(k.Table) && !chosen(k.Refers) {
			continue
		}
		if _, err := conn.Exec(ctx, "ALTER TABLE "+k.TableName+" ALTER CONSTRAINT "+holdfast.QuoteIdentifier(k.Name)+" DEFERRABLE INITIALLY DEFERRED"); err != nil {
			return nil, fmt.Errorf("defer the foreign key %s of %s: %w", k.Name, k.TableName, explain(err))
		}
		d.altered = append(d.altered, k)
	}
	if _, err := conn.Exec(ctx, "SET CONSTRAINTS ALL DEFERRED"); err != nil {
		return nil, fmt.Errorf("defer the foreign keys: %w", err)
	}
	return d, nil
}

// check checks every deferred key now and gives each its own rules back.
func (d *deferral) check(ctx context.Context) error {
	if _, err := d.conn.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return fmt.Errorf("check the foreign keys: %w", explainConflict(err))
	}
	for _, k := range d.altered {
		if _, err := d.conn.Exec(ctx, "ALTER TABLE "+k.TableName+" ALTER CONSTRAINT "+holdfast.QuoteIdentifier(k.Name)+" NOT DEFERRABLE"); err != nil {
			return fmt.Errorf("give the foreign key %s of %s its rules back: %w", k.Name, k.TableName, err)
		}
	}
	return nil
}
