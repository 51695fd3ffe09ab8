package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Backfill gives rows that exist their values in batches, each a short transaction, while clients go on. It may run over a row
// twice (after a crash), so Set must come to the same result then.
type Backfill struct {
	Schema string   `json:"schema"`
	Table  string   `json:"table"`
	Key    []string `json:"key,omitempty"` // the primary key. Without one the table's pages are gone through
	Set    string   `json:"set"`           // what UPDATE sets: "full_name" = first || ' ' || last. The table is t
	Where  string   `json:"where,omitempty"`
	// Quiet: the application's triggers do not fire, because nothing changes that they could mean. The owner is allowed to say so for as
	// long as the backfill runs.
	Quiet bool `json:"quiet,omitempty"`
	// BatchRows is how many rows the first batch looks at. Zero: 1,000. Later ones are made so that each takes about BatchTime.
	BatchRows int `json:"batch_rows,omitempty"`
	// BatchTime is how long a batch should take, and for how long somebody who writes to one of its rows may have to wait. Zero: 100 ms.
	BatchTime Duration `json:"batch_time,omitempty"`
	// Share of the time that is worked; the rest is left to others. Zero: 0.5.
	Share float64 `json:"share,omitempty"`
	// MaxLagBytes is how much WAL a replica, or the history, may be behind before the backfill waits for it. Zero: 64 MiB.
	MaxLagBytes int64 `json:"max_lag_bytes,omitempty"`
}

// BackfillProgress is how far a backfill is.
type BackfillProgress struct {
	Cursor  []string `json:"cursor"` // the last key, or the next page: where Backfill.Run goes on
	Scanned int64    `json:"scanned"`
	Updated int64    `json:"updated"`
	Total   int64    `json:"total"` // rows of the table by its statistics, or its pages where there is no key
	Batch   int      `json:"batch"` // rows or pages of the last batch
	Lag     int64    `json:"lag"`   // bytes, of the replica that is furthest behind
}

// The bounds of a batch, in rows or pages, and how many rows a page may hold.
const (
	rowsOfPage    = 50
	smallestBatch = 1
	largestBatch  = 50_000
)

// Run goes through the table behind from (nil: from its beginning). note is called after each batch, once it is committed; from
// what it was told last a later Run goes on. conn is the owner's and not in a transaction; the administrator looks at the replicas.
func (b Backfill) Run(ctx context.Context, conn *pgx.Conn, administrator Connector, lockTimeout time.Duration, from []string, note func(BackfillProgress) error) (p BackfillProgress, err error) {
	b = b.withDefaults()
	p = BackfillProgress{Cursor: from, Batch: b.BatchRows}
	admin, err := administrator(ctx)
	if err != nil {
		return p, fmt.Errorf("connect to watch the replicas: %w", err)
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }() // it only looked
	if b.Quiet {
		if err := b.allowQuiet(ctx, conn, administrator, true); err != nil {
			return p, err
		}
		// A crash leaves the owner with it until the backfill goes on: it could then write to its own tables past their foreign keys.
		defer func() { err = errors.Join(err, b.allowQuiet(context.WithoutCancel(ctx), conn, administrator, false)) }()
	}
	query, err := b.prepare(ctx, conn, &p)
	if err != nil {
		return p, err
	}
	for refused := 0; ; {
		began := time.Now()
		done, err := b.batch(ctx, conn, lockTimeout, query, &p)
		if err != nil && waitingHelps(err) && refused < maxBatchRetries {
			refused++
			p.Batch = max(p.Batch/2, smallestBatch)
			if err := sleep(ctx, pause(refused)); err != nil {
				return p, fmt.Errorf("fill %s.%s: %w", b.Schema, b.Table, err)
			}
			continue
		}
		if err != nil {
			return p, fmt.Errorf("fill %s.%s: %w", b.Schema, b.Table, err)
		}
		refused = 0
		took := time.Since(began)
		if err := note(p); err != nil || done {
			return p, err
		}
		p.Batch = b.nextBatch(p.Batch, took)
		if err := b.rest(ctx, admin, took, &p); err != nil {
			return p, fmt.Errorf("fill %s.%s: %w", b.Schema, b.Table, err)
		}
	}
}

// maxBatchRetries is how often one batch is tried while others hold its rows.
const maxBatchRetries = 100

func (b Backfill) withDefaults() Backfill {
	if b.BatchRows <= 0 {
		b.BatchRows = 1000
	}
	if b.BatchTime <= 0 {
		b.BatchTime = Duration(100 * time.Millisecond)
	}
	if b.Share <= 0 || b.Share > 1 {
		b.Share = 0.5
	}
	if b.MaxLagBytes <= 0 {
		b.MaxLagBytes = 64 << 20
	}
	return b
}

// allowQuiet lets the owner switch triggers off for a session, or takes that right away. To fill as the administrator, who has it, would
// run users' code (what is set may call functions) with the administrator's rights.
func (b Backfill) allowQuiet(ctx context.Context, conn *pgx.Conn, administrator Connector, allow bool) error {
	admin, err := administrator(ctx)
	if err != nil {
		return fmt.Errorf("connect to let triggers rest: %w", err)
	}
	defer func() { _ = admin.Close(ctx) }() // the right is given, or not
	owner := holdfast.QuoteIdentifier(conn.Config().User)
	sql := "REVOKE SET ON PARAMETER session_replication_role FROM " + owner
	if allow {
		sql = "GRANT SET ON PARAMETER session_replication_role TO " + owner
	}
	if _, err := admin.Exec(ctx, sql); err != nil {
		return fmt.Errorf("let triggers rest while %s.%s is filled: %w", b.Schema, b.Table, err)
	}
	return nil
}

// nextBatch makes the next batch larger or smaller, by twice at most.
func (b Backfill) nextBatch(last int, took time.Duration) int {
	next := int(float64(last) * float64(b.BatchTime) / float64(max(took, time.Microsecond)))
	return min(max(next, last/2, smallestBatch), 2*last, largestBatch)
}

// prepare makes the query of a batch and learns how large the table is.
func (b Backfill) prepare(ctx context.Context, conn *pgx.Conn, p *BackfillProgress) (string, error) {
	table := holdfast.QuoteQualified(b.Schema, b.Table)
	where := ""
	if b.Where != "" {
		where = " AND (" + b.Where + ")"
	}
	if len(b.Key) == 0 {
		p.Batch = max(p.Batch/rowsOfPage, smallestBatch)
		err := conn.QueryRow(ctx, "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint", table).Scan(&p.Total)
		if err != nil {
			return "", fmt.Errorf("look at the size of %s: %w", table, err)
		}
		// Rows that move while it runs were written by somebody whose trigger fills them, or by itself: behind the last page there is nothing to do.
		return "WITH done AS (UPDATE " + table + " AS t SET " + b.Set + " WHERE t.ctid >= format('(%s,0)', $1::bigint)::tid AND t.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid" + where +
			" RETURNING 1) SELECT $2::bigint, count(*), ARRAY[($1::bigint + $2::bigint)::text] FROM done", nil
	}
	types := map[string]string{}
	rows, err := conn.Query(ctx, "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = ANY ($2) AND NOT attisdropped", table, b.Key)
	if err != nil {
		return "", fmt.Errorf("look at the key of %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return "", fmt.Errorf("look at the key of %s: %w", table, err)
		}
		types[name] = kind
	}
	if err := rows.Err(); err != nil {
		return "", fmt.Errorf("look at the key of %s: %w", table, err)
	}
	if len(types) != len(b.Key) {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s has no key (%s)", table, strings.Join(b.Key, ", "))}
	}
	if err := conn.QueryRow(ctx, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::regclass", table).Scan(&p.Total); err != nil {
		return "", fmt.Errorf("look at the size of %s: %w", table, err)
	}
	return b.keyQuery(table, where, types, p.Cursor == nil), nil
}

// keyQuery is the query of a batch by key. $1 is the cursor and $2 the number of rows.
func (b Backfill) keyQuery(table, where string, types map[string]string, first bool) string {
	var keys, same, texts, after, descending []string
	for i, k := range b.Key {
		name := holdfast.QuoteIdentifier(k)
		keys, same = append(keys, name), append(same, "t."+name+" = b."+name)
		texts, descending = append(texts, name+"::text"), append(descending, name+" DESC")
		after = append(after, fmt.Sprintf("($1::text[])[%d]::%s", i+1, types[k]))
	}
	behind := "($1::text[] IS NULL OR (" + strings.Join(keys, ", ") + ") > (" + strings.Join(after, ", ") + "))"
	if !first {
		behind = "(" + strings.Join(keys, ", ") + ") > (" + strings.Join(after, ", ") + ")"
	}
	list := strings.Join(keys, ", ")
	return "WITH batch AS MATERIALIZED (SELECT " + list + " FROM " + table + " WHERE " + behind + " ORDER BY " + list + " LIMIT $2::bigint), " +
		"done AS (UPDATE " + table + " AS t SET " + b.Set + " FROM batch AS b WHERE " + strings.Join(same, " AND ") + where + " RETURNING 1) " +
		"SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM done), (SELECT ARRAY[" + strings.Join(texts, ", ") + "] FROM batch ORDER BY " + strings.Join(descending, ", ") + " LIMIT 1)"
}

// batch does one batch.
func (b Backfill) batch(ctx context.Context, conn *pgx.Conn, lockTimeout time.Duration, query string, p *BackfillProgress) (done bool, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) {
			err = errors.Join(err, rollback)
		}
	}()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = 0", max(1, lockTimeout.Milliseconds()))); err != nil {
		return false, err
	}
	if b.Quiet {
		if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
			return false, err
		}
	}
	var position any = p.Cursor
	if len(b.Key) == 0 {
		page := int64(0)
		if len(p.Cursor) > 0 {
			if _, err := fmt.Sscan(p.Cursor[0], &page); err != nil {
				return false, fmt.Errorf("read where the backfill goes on: %w", err)
			}
		}
		position = page
		if page >= p.Total {
			return true, nil
		}
	} else if p.Cursor == nil {
		position = nil
	}
	var scanned, updated int64
	var cursor []string
	if err := tx.QueryRow(ctx, query, position, int64(p.Batch)).Scan(&scanned, &updated, &cursor); err != nil {
		return false, err
	}
	if err := tx.Commit(ctx); err != nil {
		return false, err
	}
	p.Scanned, p.Updated = p.Scanned+scanned, p.Updated+updated
	if cursor != nil {
		p.Cursor = cursor
	}
	return len(b.Key) > 0 && scanned < int64(p.Batch), nil
}

// rest leaves time to others, and waits for replicas.
func (b Backfill) rest(ctx context.Context, admin *pgx.Conn, took time.Duration, p *BackfillProgress) error {
	if err := sleep(ctx, time.Duration(float64(took)*(1-b.Share)/b.Share)); err != nil {
		return err
	}
	for waits := 1; ; waits++ {
		err := admin.QueryRow(ctx, "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn, sent_lsn))), 0)::bigint FROM pg_stat_replication").Scan(&p.Lag)
		if err != nil || p.Lag <= b.MaxLagBytes || waits > maxLagWaits {
			return err
		}
		if err := sleep(ctx, pause(waits)); err != nil {
			return err
		}
	}
}

// maxLagWaits: a replica that does not come nearer for some minutes is no reason to stand still for ever; one batch goes on.
const maxLagWaits = 100
