package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// TableCount is how many rows a table has.
type TableCount struct {
	Schema, Name string
	Rows         int64
	Estimated    bool // what the statistics say: counting would have taken too long
}

// Count counts the rows of every table that a user made, in the order of their names. What cannot be counted in the time given is taken from
// the statistics. Rows in partitions count for the table that is divided.
func Count(ctx context.Context, conn *pgx.Conn, patience time.Duration) ([]TableCount, error) {
	found, err := conn.Query(ctx, `SELECT n.nspname, c.relname, greatest(CASE c.relkind WHEN 'p' THEN coalesce((SELECT sum(greatest(l.reltuples, 0)) FROM pg_catalog.pg_partition_tree(c.oid) t
			JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf), 0) ELSE c.reltuples END, 0)::bigint
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	out, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (c TableCount, err error) {
		err = row.Scan(&c.Schema, &c.Name, &c.Rows)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	deadline := time.Now().Add(patience)
	for i := range out {
		if err := out[i].count(ctx, conn, time.Until(deadline)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *TableCount) count(ctx context.Context, conn *pgx.Conn, patience time.Duration) error {
	if patience < time.Millisecond {
		c.Estimated = true
		return nil
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d", patience.Milliseconds())); err != nil {
		return fmt.Errorf("count the rows of %s.%s: %w", c.Schema, c.Name, err)
	}
	err := conn.QueryRow(ctx, "SELECT pg_catalog.count(*) FROM "+holdfast.QuoteQualified(c.Schema, c.Name)).Scan(&c.Rows)
	var late *pgconn.PgError
	if errors.As(err, &late) && (late.Code == "57014" || late.Code == "55P03") {
		c.Estimated = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("count the rows of %s.%s: %w", c.Schema, c.Name, err)
	}
	return nil
}
