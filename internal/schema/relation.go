package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// Relation is a table, a view or a foreign table, for a person to look at. It is not what is compared: see Catalog.
type Relation struct {
	Schema      string
	Name        string
	Kind        string // table, partitioned table, view, materialized view, foreign table
	Owner       string
	Comment     string
	Rows        int64 // as last estimated; below 0: never
	Bytes       int64 // with its indexes and long values
	ColumnCount int
}

// RelationColumn is a column of a relation.
type RelationColumn struct {
	Name      string
	Type      string
	Required  bool   // NOT NULL
	Default   string // the expression, also of a generated column; empty: none
	Identity  string // always, by default; empty: none
	Generated string // stored, virtual; empty: not
	Comment   string
}

// RelationConstraint is a constraint of a relation.
type RelationConstraint struct {
	Name       string
	Kind       string // primary key, unique, foreign key, check, exclusion, not null, trigger
	Definition string // as ALTER TABLE ADD CONSTRAINT takes it
	Table      string // whose it is, as in SQL
	Valid      bool
}

// RelationIndex is an index of a relation.
type RelationIndex struct {
	Name       string
	Definition string // the statement that makes it
	Constraint bool   // it belongs to a constraint and comes and goes with it
	Unique     bool
	Valid      bool // it is whole, and used
	Bytes      int64
}

// RelationTrigger is a trigger of a relation.
type RelationTrigger struct {
	Name       string
	Definition string // the statement that makes it
	Enabled    string // origin, disabled, replica, always
}

// RelationPolicy is a row security policy of a relation.
type RelationPolicy struct {
	Name       string
	Command    string // all, select, insert, update, delete
	Permissive bool
	Roles      []string // public: everybody
	Using      string   // which rows can be seen
	Check      string   // which rows can be written
}

// RelationStructure is everything that belongs to a relation.
type RelationStructure struct {
	Relation
	Definition       string // the query of a view
	PartitionKey     string
	PartitionOf      string // as in SQL
	PartitionBound   string
	RowSecurity      bool
	ForceRowSecurity bool // for its owner too
	Columns          []RelationColumn
	Constraints      []RelationConstraint
	ReferencedBy     []RelationConstraint // foreign keys of other relations
	Indexes          []RelationIndex
	Triggers         []RelationTrigger
	Policies         []RelationPolicy
}

// SQL is the relation's quoted name.
func (r Relation) SQL() string { return holdfast.QuoteQualified(r.Schema, r.Name) }

const relationFields = `'Schema', n.nspname, 'Name', c.relname, 'Owner', pg_get_userbyid(c.relowner), 'Comment', coalesce(obj_description(c.oid, 'pg_class'), ''),
	'Kind', CASE c.relkind WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
	'Rows', c.reltuples::bigint, 'Bytes', CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_total_relation_size(c.oid), 0) ELSE 0 END,
	'ColumnCount', (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`

// ofRelations leaves out what the server, an extension or the product itself keeps.
func ofRelations() string {
	return `c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE '` + `\` + HiddenPrefix + `%' AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid")
}

// Relations lists what a database has, by name.
func Relations(ctx context.Context, conn *pgx.Conn) ([]Relation, error) {
	var out []Relation
	err := inFull(ctx, conn, func(tx pgx.Tx) error {
		return readJSON(ctx, tx, &out, `SELECT coalesce(json_agg(json_build_object(`+relationFields+`) ORDER BY n.nspname, c.relname), '[]')
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE `+ofRelations())
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return out, nil
}

// Relate reads everything that belongs to one relation. name is as in SQL: orders, sales.orders, "Sales"."Orders"; without a schema it is
// one of public.
func Relate(ctx context.Context, conn *pgx.Conn, name string) (RelationStructure, error) {
	var out RelationStructure
	err := inFull(ctx, conn, func(tx pgx.Tx) error {
		var oid *uint32
		err := tx.QueryRow(ctx, `SELECT to_regclass($1)::oid FROM set_config('search_path', 'public', true)`, name).Scan(&oid)
		var refused *pgconn.PgError // what cannot be a name is refused before version 16, and unknown from there on
		if errors.As(err, &refused) || err == nil && oid == nil {
			return pgx.ErrNoRows
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
			return err
		}
		return readJSON(ctx, tx, &out, relationQuery(), *oid)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return out, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no table %q", name), Hint: "its name is written as in SQL: orders, sales.orders"}
	}
	if err != nil {
		return out, fmt.Errorf("read the structure of %s: %w", name, err)
	}
	return out, nil
}

// relationQuery reads one relation as JSON that is a RelationStructure.
func relationQuery() string {
	constraint := `json_build_object('Name', k.conname, 'Definition', pg_get_constraintdef(k.oid), 'Table', ` + qualified("kn.nspname", "kc.relname") + `, 'Valid', k.convalidated,
		'Kind', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' WHEN 'x' THEN 'exclusion' WHEN 'n' THEN 'not null' ELSE 'trigger' END)`
	constraints := func(which string) string {
		return `(SELECT json_agg(` + constraint + ` ORDER BY array_position('{p,u,f,c,x,n,t}'::"char"[], k.contype), k.conname)
			FROM pg_constraint k JOIN pg_class kc ON kc.oid = k.conrelid JOIN pg_namespace kn ON kn.oid = kc.relnamespace WHERE ` + which + `)`
	}
	return `SELECT json_build_object(` + relationFields + `,
	'Definition', CASE WHEN c.relkind IN ('v', 'm') THEN coalesce(pg_get_viewdef(c.oid, true), '') ELSE '' END,
	'PartitionKey', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END,
	'PartitionOf', CASE WHEN c.relispartition THEN (SELECT ` + qualified("pn.nspname", "pc.relname") + ` FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent
		JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE i.inhrelid = c.oid) ELSE '' END,
	'PartitionBound', coalesce(pg_get_expr(c.relpartbound, c.oid), ''),
	'RowSecurity', c.relrowsecurity, 'ForceRowSecurity', c.relforcerowsecurity,
	'Columns', (SELECT json_agg(json_build_object('Name', a.attname, 'Type', format_type(a.atttypid, a.atttypmod), 'Required', a.attnotnull,
			'Default', coalesce(pg_get_expr(d.adbin, d.adrelid), ''), 'Comment', coalesce(col_description(a.attrelid, a.attnum), ''),
			'Identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' ELSE '' END,
			'Generated', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' ELSE '' END) ORDER BY a.attnum)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	'Constraints', ` + constraints(`k.conrelid = c.oid AND k.contype <> 'n'`) + `,
	'ReferencedBy', ` + constraints(`k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0`) + `,
	'Indexes', (SELECT json_agg(json_build_object('Name', ic.relname, 'Definition', pg_get_indexdef(i.indexrelid), 'Unique', i.indisunique, 'Valid', i.indisvalid,
			'Constraint', EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid), 'Bytes', coalesce(pg_relation_size(i.indexrelid), 0)) ORDER BY ic.relname)
		FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid),
	'Triggers', (SELECT json_agg(json_build_object('Name', t.tgname, 'Definition', pg_get_triggerdef(t.oid),
			'Enabled', CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' ELSE 'origin' END) ORDER BY t.tgname)
		FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
	'Policies', (SELECT json_agg(json_build_object('Name', p.polname, 'Permissive', p.polpermissive, 'Using', coalesce(pg_get_expr(p.polqual, p.polrelid), ''),
			'Check', coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''),
			'Command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
			'Roles', (SELECT json_agg(CASE WHEN role = 0 THEN 'public' ELSE pg_get_userbyid(role) END) FROM unnest(p.polroles) AS role)) ORDER BY p.polname)
		FROM pg_policy p WHERE p.polrelid = c.oid))
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 AND ` + ofRelations()
}

// inFull reads in a transaction in which the server prints every name outside pg_catalog with its schema.
func inFull(ctx context.Context, conn *pgx.Conn, read func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return err
	}
	return read(tx)
}

func readJSON(ctx context.Context, tx pgx.Tx, into any, sql string, args ...any) error {
	var raw []byte
	if err := tx.QueryRow(ctx, sql, args...).Scan(&raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
