package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Backfill gives the rows of a table their values of a new column, batch by batch along the primary key.
type Backfill struct {
	Table      Address  `json:"table"`
	Column     string   `json:"column"`
	Expression string   `json:"expression"` // over the row's columns
	Key        []string `json:"key"`
	KeyTypes   []string `json:"key_types"`
	Batch      int      `json:"batch"` // rows
}

// SQL is one batch: the rows behind the key after (nil: from the beginning). It returns the last key of the batch as a JSON array of
// texts and the number of rows, or no row when there is nothing behind.
func (b Backfill) SQL(after []string) string {
	keys, casts, texts, same := make([]string, len(b.Key)), make([]string, len(b.Key)), make([]string, len(b.Key)), make([]string, len(b.Key))
	for i, k := range b.Key {
		keys[i] = quote(k)
		texts[i] = quote(k) + "::text"
		same[i] = "t." + quote(k) + " = b." + quote(k)
		if after != nil {
			casts[i] = literal(after[i]) + "::" + b.KeyTypes[i]
		}
	}
	list, where := strings.Join(keys, ", "), ""
	if after != nil {
		where = " WHERE (" + list + ") > (" + strings.Join(casts, ", ") + ")"
	}
	descending := strings.Join(keys, " DESC, ") + " DESC"
	return fmt.Sprintf("WITH b AS MATERIALIZED (SELECT %[1]s FROM %[2]s%[3]s ORDER BY %[1]s LIMIT %[4]d), u AS (UPDATE %[2]s AS t SET %[5]s = (SELECT %[6]s FROM (SELECT t.*) AS r) FROM b WHERE %[7]s) "+
		"SELECT jsonb_build_array(%[8]s)::text, (SELECT count(*) FROM b) FROM b ORDER BY %[9]s LIMIT 1",
		list, b.Table.tableName(), where, b.Batch, quote(b.Column), b.Expression, strings.Join(same, " AND "), strings.Join(texts, ", "), descending)
}

// Next does one batch in a transaction of its own and returns the key to go on behind, or nil when it is done. The application's
// triggers do not fire: no row changes for it. conn's role must be allowed to say so (a superuser's may).
func (b Backfill) Next(ctx context.Context, conn *pgx.Conn, after []string) (next []string, rows int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("fill %s.%s: %w", b.Table.Label(), b.Column, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
		return nil, 0, fmt.Errorf("fill %s.%s: %w", b.Table.Label(), b.Column, err)
	}
	var key string
	err = tx.QueryRow(ctx, b.SQL(after), pgx.QueryExecModeSimpleProtocol).Scan(&key, &rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, nil
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("fill %s.%s: %w", b.Table.Label(), b.Column, err)
	}
	return (&Object{Attrs: map[string]string{"key": key}}).list("key"), rows, nil
}
