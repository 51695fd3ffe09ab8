package rows

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Mask applies rules to every table of the database in one transaction, and follows foreign keys: a column that references a
// masked one, or is referenced by it, is masked the same way, so that references keep holding. salt makes the made-up values those of
// one project; who does not know it cannot find a value by trying candidates.
//
// conn is the administrator's, and nobody else may be able to connect yet. When Mask returns an error nothing was changed and
// the data is not masked: the database must not be handed out. After success the old values are gone from tables, indexes,
// statistics and materialized views.
func Mask(ctx context.Context, conn *pgx.Conn, rules []holdfast.MaskRule, salt []byte) error {
	var masked []Table
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		plan, err := planMask(ctx, tx.Conn(), rules)
		if err != nil {
			return err
		}
		// Triggers and the order of foreign keys would stand in the way; what keys demand is checked afterwards.
		if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
			return err
		}
		if err := createMaskFunctions(ctx, tx, salt); err != nil {
			return err
		}
		for _, t := range plan {
			if err := t.apply(ctx, tx); err != nil {
				return fmt.Errorf("mask %s: %w", t.table, err)
			}
			masked = append(masked, t.table)
		}
		if err := checkReferences(ctx, tx, masked); err != nil {
			return err
		}
		return dropMaskFunctions(ctx, tx)
	})
	if err != nil {
		return err
	}
	return forgetOld(ctx, conn, masked)
}

// maskedTable is a table with the expression for each column that is masked.
type maskedTable struct {
	table Table
	sets  map[int]string
}

// apply updates the table as its owner: the expressions of rules, indexes, checks and generated columns are users' code, and none
// of it may run with an administrator's rights. SET ROLE alone would not do: such code could take the administrator's role again. A function
// with the rights of its owner has no way back.
func (t maskedTable) apply(ctx context.Context, tx pgx.Tx) error {
	const function = "pg_temp.mask_table()"
	for _, statement := range []string{
		"CREATE FUNCTION " + function + ` RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = "$user", public AS ` +
			holdfast.QuoteLiteral("BEGIN EXECUTE "+holdfast.QuoteLiteral(t.update())+"; END"),
		"ALTER FUNCTION " + function + " OWNER TO " + holdfast.QuoteIdentifier(t.table.Owner),
		"SET LOCAL ROLE " + holdfast.QuoteIdentifier(t.table.Owner),
		"SELECT " + function,
		"RESET ROLE",
		"DROP FUNCTION " + function,
	} {
		if r := tx.Conn().PgConn().ExecParams(ctx, statement, nil, nil, nil, nil).Read(); r.Err != nil {
			return explain(r.Err)
		}
	}
	return nil
}

func (t maskedTable) update() string {
	var sets []string
	for _, i := range slices.Sorted(maps.Keys(t.sets)) {
		sets = append(sets, holdfast.QuoteIdentifier(t.table.Columns[i].Name)+" = "+t.sets[i])
	}
	return "UPDATE " + t.table.SQL() + " SET " + strings.Join(sets, ", ")
}

// planMask turns rules into one update per table.
func planMask(ctx context.Context, conn *pgx.Conn, rules []holdfast.MaskRule) ([]maskedTable, error) {
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	rules, err := followKeys(ctx, conn, rules)
	if err != nil {
		return nil, err
	}
	byTable := map[string]*maskedTable{}
	for _, r := range rules {
		name := holdfast.QuoteQualified(r.Schema, r.Table)
		t := byTable[name]
		if t == nil {
			found, err := Find(ctx, conn, name)
			if err != nil {
				return nil, fmt.Errorf("the masking rule for %s: %w", r, err)
			}
			t = &maskedTable{table: found, sets: map[int]string{}}
			byTable[name] = t
		}
		if err := t.add(r); err != nil {
			return nil, err
		}
	}
	var out []maskedTable
	for _, name := range slices.Sorted(maps.Keys(byTable)) {
		out = append(out, *byTable[name])
	}
	return out, nil
}

func (t *maskedTable) add(r holdfast.MaskRule) error {
	i := t.table.columnIndex(r.Column)
	switch {
	case i < 0:
		return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the masking rule for %s: there is no such column", r)}
	case t.table.Columns[i].Generated:
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the masking rule for %s: the column is computed from others", r), Hint: "mask the columns that it is computed from"}
	case t.sets[i] != "":
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("two masking rules disagree on %s", r)}
	}
	column := t.table.Columns[i]
	if r.Kind == holdfast.MaskNull && column.NotNull {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the masking rule for %s: the column cannot be null", r), Hint: "choose another kind of masking"}
	}
	expression, err := maskExpression(r, column)
	if err != nil {
		return err
	}
	t.sets[i] = expression
	return nil
}

// maskExpression is the SQL of a masked value. A null stays null: that a value is missing is no secret and often means something.
func maskExpression(r holdfast.MaskRule, c Column) (string, error) {
	name := holdfast.QuoteIdentifier(c.Name)
	base, _, _ := strings.Cut(c.Base, "(")
	text := slices.Contains([]string{"text", "character varying", "character", "citext", "name"}, base) || strings.HasSuffix(base, ".citext")
	fake := map[holdfast.MaskKind]string{holdfast.MaskName: "mask_name", holdfast.MaskEmail: "mask_email", holdfast.MaskPhone: "mask_phone", holdfast.MaskKeepFormat: "mask_keep_format"}
	switch {
	case r.Kind == holdfast.MaskNull:
		return "NULL", nil
	case r.Kind == holdfast.MaskExpression:
		return "(" + r.Expression + "\n)", nil
	case r.Kind == holdfast.MaskHash && !text:
		return hashExpression(r, c, name, base)
	case r.Kind == holdfast.MaskKeepFormat:
		// Made in the type's text form and read back: it keeps what makes a value legal for the simple types, and fails for others.
		return "pg_temp.mask_keep_format(" + name + "::text)::" + c.Type, nil
	case !text:
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the masking rule for %s: %s makes text, the column is %s", r, r.Kind, c.Type)}
	case r.Kind == holdfast.MaskHash:
		// Explicit casts cut text to the column's length.
		return "pg_temp.mask_hash(" + name + "::text)::" + c.Type, nil
	}
	return "pg_temp." + fake[r.Kind] + "(" + name + "::text)::" + c.Type, nil
}

// hashExpression makes a hash of a type that is not text.
func hashExpression(r holdfast.MaskRule, c Column, name, base string) (string, error) {
	digest := "pg_temp.mask_hash(" + name + "::text)"
	bits := func(n int) string {
		return "('x' || left(" + digest + ", 16))::bit(64)::bigint & " + fmt.Sprint(int64(1)<<n-1)
	}
	switch base {
	case "uuid":
		return "left(" + digest + ", 32)::uuid", nil
	case "bytea":
		return "decode(" + digest + ", 'hex')", nil
	case "bigint":
		return "(" + bits(62) + ")", nil
	case "integer":
		return "((" + bits(30) + ")::integer)", nil
	case "smallint":
		return "((" + bits(14) + ")::smallint)", nil
	case "numeric":
		if c.Base == "numeric" {
			return "((" + bits(62) + ")::numeric)", nil
		}
	}
	return "", &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the masking rule for %s: a column of type %s cannot be hashed", r, c.Type), Hint: "use null, keep_format or an expression"}
}

// followKeys adds, for every masked column that takes part in a foreign key, the same rule for its partner, and theirs in turn.
func followKeys(ctx context.Context, conn *pgx.Conn, rules []holdfast.MaskRule) ([]holdfast.MaskRule, error) {
	pairs, err := keyPairs(ctx, conn)
	if err != nil {
		return nil, err
	}
	type column struct{ schema, table, name string }
	byColumn := map[column]holdfast.MaskRule{}
	queue := []column{}
	for _, r := range rules {
		at := column{r.Schema, r.Table, r.Column}
		if old, ok := byColumn[at]; ok && (old.Kind != r.Kind || old.Expression != r.Expression) {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("two masking rules disagree on %s", r)}
		}
		byColumn[at] = r
		queue = append(queue, at)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		rule := byColumn[at]
		for _, pair := range pairs {
			for _, way := range [][2][3]string{{pair[0], pair[1]}, {pair[1], pair[0]}} {
				if way[0] != [3]string{at.schema, at.table, at.name} {
					continue
				}
				partner := column{way[1][0], way[1][1], way[1][2]}
				if old, ok := byColumn[partner]; ok {
					if old.Kind != rule.Kind {
						return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s and %s are bound by a foreign key and masked in different ways", rule, old)}
					}
					continue
				}
				if rule.Kind == holdfast.MaskExpression || rule.Kind == holdfast.MaskNull {
					return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s is bound by a foreign key to %s.%s.%s and cannot be masked by %s", rule, partner.schema, partner.table, partner.name, rule.Kind),
						Hint: "use hash or keep_format, or give the other column a rule too"}
				}
				next := rule
				next.Schema, next.Table, next.Column = partner.schema, partner.table, partner.name
				byColumn[partner] = next
				queue = append(queue, partner)
			}
		}
	}
	return slices.Collect(maps.Values(byColumn)), nil
}

// keyPairs lists the column pairs of all foreign keys: schema, table and column of the referencing and the referenced side.
func keyPairs(ctx context.Context, conn *pgx.Conn) ([][2][3]string, error) {
	rows, err := conn.Query(ctx, `SELECT n1.nspname, c1.relname, a1.attname, n2.nspname, c2.relname, a2.attname
		FROM pg_catalog.pg_constraint k
		CROSS JOIN LATERAL ROWS FROM (unnest(k.conkey), unnest(k.confkey)) AS u(here, there)
		JOIN pg_catalog.pg_class c1 ON c1.oid = k.conrelid JOIN pg_catalog.pg_namespace n1 ON n1.oid = c1.relnamespace
		JOIN pg_catalog.pg_class c2 ON c2.oid = k.confrelid JOIN pg_catalog.pg_namespace n2 ON n2.oid = c2.relnamespace
		JOIN pg_catalog.pg_attribute a1 ON a1.attrelid = k.conrelid AND a1.attnum = u.here
		JOIN pg_catalog.pg_attribute a2 ON a2.attrelid = k.confrelid AND a2.attnum = u.there
		WHERE k.contype = 'f' AND k.conparentid = 0`)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p [2][3]string, err error) {
		err = row.Scan(&p[0][0], &p[0][1], &p[0][2], &p[1][0], &p[1][1], &p[1][2])
		return p, err
	})
}

// checkReferences makes sure that every foreign key of a masked table still holds; triggers were off. It compares with the very
// operators of the key, which only an administrator can have made, so it may run as one.
func checkReferences(ctx context.Context, tx pgx.Tx, masked []Table) error {
	oids := make([]uint32, len(masked))
	for i, t := range masked {
		oids[i] = t.OID
	}
	rows, err := tx.Query(ctx, `SELECT k.conname, format('%I.%I', n1.nspname, c1.relname), format('%I.%I', n2.nspname, c2.relname), 
		(SELECT string_agg(format('p.%I OPERATOR(%I.%s) c.%I', a2.attname, opn.nspname, op.oprname, a1.attname), ' AND ')
			FROM ROWS FROM (unnest(k.conkey), unnest(k.confkey), unnest(k.conpfeqop)) AS u(here, there, equal)
			JOIN pg_catalog.pg_operator op ON op.oid = u.equal JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace
			JOIN pg_catalog.pg_attribute a1 ON a1.attrelid = k.conrelid AND a1.attnum = u.here
			JOIN pg_catalog.pg_attribute a2 ON a2.attrelid = k.confrelid AND a2.attnum = u.there),
		(SELECT string_agg(format('c.%I IS NOT NULL', a1.attname), ' AND ') FROM unnest(k.conkey) AS u(here)
			JOIN pg_catalog.pg_attribute a1 ON a1.attrelid = k.conrelid AND a1.attnum = u.here)
		FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_class c1 ON c1.oid = k.conrelid JOIN pg_catalog.pg_namespace n1 ON n1.oid = c1.relnamespace
		JOIN pg_catalog.pg_class c2 ON c2.oid = k.confrelid JOIN pg_catalog.pg_namespace n2 ON n2.oid = c2.relnamespace
		WHERE k.contype = 'f' AND k.convalidated AND (k.conrelid = ANY($1) OR k.confrelid = ANY($1))`, oids)
	if err != nil {
		return fmt.Errorf("read the foreign keys: %w", err)
	}
	type key struct{ name, child, parent, match, present string }
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k key, err error) {
		err = row.Scan(&k.name, &k.child, &k.parent, &k.match, &k.present)
		return k, err
	})
	if err != nil {
		return fmt.Errorf("read the foreign keys: %w", err)
	}
	for _, k := range keys {
		var orphans bool
		query := "SELECT EXISTS (SELECT FROM " + k.child + " c WHERE " + k.present + " AND NOT EXISTS (SELECT FROM " + k.parent + " p WHERE " + k.match + "))"
		if err := tx.QueryRow(ctx, query).Scan(&orphans); err != nil {
			return fmt.Errorf("check the foreign key %s: %w", k.name, err)
		}
		if orphans {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("masking breaks the foreign key %s of %s", k.name, k.child)}
		}
	}
	return nil
}

// forgetOld removes the old row versions, and the samples of them that statistics and materialized views keep.
func forgetOld(ctx context.Context, conn *pgx.Conn, masked []Table) error {
	for _, t := range masked {
		if _, err := conn.Exec(ctx, "VACUUM (FULL, ANALYZE) "+t.SQL()); err != nil {
			return fmt.Errorf("remove the old rows of %s: %w", t, err)
		}
	}
	if len(masked) == 0 {
		return nil
	}
	// In the order in which they were made: one can read another.
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid`)
	if err != nil {
		return err
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, v := range views {
		if _, err := conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+v); err != nil {
			return fmt.Errorf("refresh the materialized view %s, which may hold unmasked values: %w", v, err)
		}
	}
	return nil
}
