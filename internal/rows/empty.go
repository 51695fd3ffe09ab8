package rows

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Empty removes every row of every table of the database, materialized views' and large objects too, and restarts the sequences
// that belong to columns. What remains is the schema. conn is the administrator's, and nobody else may be connected.
func Empty(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tables, err := names(ctx, tx, `c.relkind IN ('r', 'p') AND NOT c.relispartition`)
		if err != nil {
			return err
		}
		if err := truncate(ctx, tx, tables); err != nil {
			return err
		}
		views, err := names(ctx, tx, `c.relkind = 'm' AND c.relispopulated`)
		if err != nil {
			return err
		}
		for _, v := range views {
			if _, err := tx.Exec(ctx, "REFRESH MATERIALIZED VIEW "+v); err != nil {
				return fmt.Errorf("empty %s: %w", v, err)
			}
		}
		if _, err := tx.Exec(ctx, `SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata`); err != nil {
			return fmt.Errorf("remove the large objects: %w", err)
		}
		return nil
	})
}

// truncate empties all tables in one statement, which is how foreign keys allow it. Triggers that a user made fire always would run with
// the administrator's rights, so they are off meanwhile.
func truncate(ctx context.Context, tx pgx.Tx, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	const byTruncate = 32 // TRIGGER_TYPE_TRUNCATE in PostgreSQL's pg_trigger.h
	rows, err := tx.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname), t.tgname::text FROM pg_catalog.pg_trigger t
		JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE t.tgenabled = 'A' AND NOT t.tgisinternal AND t.tgtype::int & $1 <> 0`, byTruncate)
	if err != nil {
		return fmt.Errorf("read the triggers: %w", err)
	}
	type trigger struct{ table, name string }
	triggers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t trigger, err error) {
		err = row.Scan(&t.table, &t.name)
		return t, err
	})
	if err != nil {
		return fmt.Errorf("read the triggers: %w", err)
	}
	var statements []string
	for _, t := range triggers {
		statements = append(statements, "ALTER TABLE "+t.table+" DISABLE TRIGGER "+holdfast.QuoteIdentifier(t.name))
	}
	statements = append(statements, "SET LOCAL session_replication_role = replica", "TRUNCATE "+strings.Join(tables, ", ")+" RESTART IDENTITY CASCADE",
		"SET LOCAL session_replication_role = origin")
	for _, t := range triggers {
		statements = append(statements, "ALTER TABLE "+t.table+" ENABLE ALWAYS TRIGGER "+holdfast.QuoteIdentifier(t.name))
	}
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s, pgx.QueryExecModeExec); err != nil {
			return fmt.Errorf("empty the tables: %w", err)
		}
	}
	return nil
}

// names lists users' relations that meet a condition, quoted, in the order in which they were made.
func names(ctx context.Context, tx pgx.Tx, condition string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND `+condition+` ORDER BY c.oid`)
	if err != nil {
		return nil, fmt.Errorf("list the relations: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
