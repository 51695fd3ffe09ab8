package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// lockModes are the table locks from weak to strong, as pg_locks and as LOCK TABLE name them.
var lockModes = [...][2]string{
	{"AccessShareLock", "ACCESS SHARE"}, {"RowShareLock", "ROW SHARE"}, {"RowExclusiveLock", "ROW EXCLUSIVE"}, {"ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"},
	{"ShareLock", "SHARE"}, {"ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"}, {"ExclusiveLock", "EXCLUSIVE"}, {"AccessExclusiveLock", "ACCESS EXCLUSIVE"},
}

func lockRank(mode string) int {
	return slices.IndexFunc(lockModes[:], func(m [2]string) bool { return m[1] == mode })
}

// stopsWriters and stopsReaders say whom a lock lets wait.
func stopsWriters(mode string) bool { return lockRank(mode) >= lockRank("SHARE") }
func stopsReaders(mode string) bool { return mode == "ACCESS EXCLUSIVE" }

// lockQuery lists the tables that a session locks more strongly than its users do.
const lockQuery = `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), l.mode, c.oid
	FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE l.pid = $1 AND l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND c.relkind IN ('r', 'p', 'm', 'f', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
		AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
	ORDER BY 1`

// heldLocks lists the locks of a session's own transaction.
func heldLocks(ctx context.Context, conn *pgx.Conn) ([]HeldLock, error) {
	return locksOf(ctx, conn, conn.PgConn().PID())
}

// locksOf lists the locks of another session's transaction.
func locksOf(ctx context.Context, conn *pgx.Conn, pid uint32) ([]HeldLock, error) {
	rows, err := conn.Query(ctx, lockQuery, int32(pid))
	if err != nil {
		return nil, fmt.Errorf("list the locks: %w", err)
	}
	defer rows.Close()
	var out []HeldLock
	for rows.Next() {
		var l HeldLock
		var oid uint32
		if err := rows.Scan(&l.Table, &l.Mode, &oid); err != nil {
			return nil, fmt.Errorf("list the locks: %w", err)
		}
		out = addLock(out, l)
	}
	return out, rows.Err()
}

// addLock keeps the strongest lock on each table.
func addLock(list []HeldLock, l HeldLock) []HeldLock {
	for _, m := range lockModes {
		if m[0] == l.Mode {
			l.Mode = m[1]
		}
	}
	i := slices.IndexFunc(list, func(o HeldLock) bool { return o.Table == l.Table })
	switch {
	case i < 0:
		return append(list, l)
	case lockRank(l.Mode) > lockRank(list[i].Mode):
		list[i] = l
	}
	return list
}

// observer measures on a copy what nobody would measure in production: what is rewritten, and what is scanned.
type observer struct {
	filenodes map[uint32]uint32 // of every relation, as last seen
	scanned   map[uint32]int64  // rows read from whole tables, as last seen in this transaction or, outside one, ever
	known     map[string]bool   // tables that were there before the plan
}

func newObserver(ctx context.Context, conn *pgx.Conn) (*observer, error) {
	o := &observer{filenodes: map[uint32]uint32{}, scanned: map[uint32]int64{}, known: map[string]bool{}}
	rows, err := conn.Query(ctx, `SELECT c.oid, coalesce(pg_relation_filenode(c.oid), 0), quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I', 'S', 't', 'v', 'f')`)
	if err != nil {
		return nil, fmt.Errorf("look at the tables before the plan: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid, filenode uint32
		var name string
		if err := rows.Scan(&oid, &filenode, &name); err != nil {
			return nil, fmt.Errorf("look at the tables before the plan: %w", err)
		}
		o.filenodes[oid], o.known[name] = filenode, true
	}
	return o, rows.Err()
}

// look measures the statement that just ran in an open transaction.
func (o *observer) look(ctx context.Context, conn *pgx.Conn, m *Measure) error {
	rows, err := conn.Query(ctx, `SELECT l.mode, c.oid, coalesce(pg_relation_filenode(c.oid), 0), c.relkind::text, n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
			CASE WHEN c.relkind IN ('r', 'm', 'i', 't') THEN pg_relation_size(c.oid) ELSE 0 END
		FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') ORDER BY 6`)
	if err != nil {
		return fmt.Errorf("look at what the statement did: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l HeldLock
		var oid, filenode uint32
		var kind, space string
		var size int64
		if err := rows.Scan(&l.Mode, &oid, &filenode, &kind, &space, &l.Table, &size); err != nil {
			return fmt.Errorf("look at what the statement did: %w", err)
		}
		o.compare(m, oid, filenode, size, space, l.Table)
		if strings.Contains("rpmfv", kind) && o.known[l.Table] && space != "pg_catalog" && space != "pg_toast" {
			m.Locks = addLock(m.Locks, l)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look at what the statement did: %w", err)
	}
	return o.scans(ctx, conn, m, "SELECT relid, coalesce(seq_tup_read, 0) FROM pg_stat_xact_user_tables WHERE seq_tup_read > 0")
}

// compare notes what was written anew, and what is new.
func (o *observer) compare(m *Measure, oid, filenode uint32, size int64, space, name string) {
	before, existed := o.filenodes[oid]
	o.filenodes[oid] = filenode
	if filenode == 0 || existed && before == filenode {
		return
	}
	m.NewBytes += size
	if existed && space != "pg_toast" && space != "pg_catalog" {
		m.Rewritten = append(m.Rewritten, name)
	}
}

func (o *observer) scans(ctx context.Context, conn *pgx.Conn, m *Measure, query string) error {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("look at what the statement read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid uint32
		var read int64
		if err := rows.Scan(&oid, &read); err != nil {
			return fmt.Errorf("look at what the statement read: %w", err)
		}
		if before := o.scanned[oid]; read > before {
			m.RowsScanned += read - before
		}
		o.scanned[oid] = read
	}
	return rows.Err()
}

// newTransaction forgets the counters of the transaction before.
func (o *observer) newTransaction() { clear(o.scanned) }

// cumulative are the counters of the whole server, which a session's own numbers reach only when it is told to send them.
const cumulative = "SELECT relid, coalesce(seq_tup_read, 0) FROM pg_stat_user_tables"

// before notes the counters before a statement outside a transaction.
func (o *observer) before(ctx context.Context, conn *pgx.Conn) error {
	clear(o.scanned)
	if _, err := conn.Exec(ctx, "SELECT pg_stat_force_next_flush(); SELECT pg_stat_clear_snapshot()"); err != nil {
		return fmt.Errorf("read the statistics: %w", err)
	}
	return o.scans(ctx, conn, &Measure{}, cumulative)
}

// after measures a statement outside a transaction.
func (o *observer) after(ctx context.Context, conn *pgx.Conn, m *Measure) error {
	if _, err := conn.Exec(ctx, "SELECT pg_stat_force_next_flush(); SELECT pg_stat_clear_snapshot()"); err != nil {
		return fmt.Errorf("read the statistics: %w", err)
	}
	if err := o.scans(ctx, conn, m, cumulative); err != nil {
		return err
	}
	clear(o.scanned)
	rows, err := conn.Query(ctx, `SELECT c.oid, coalesce(pg_relation_filenode(c.oid), 0), n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_relation_size(c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'i', 't')`)
	if err != nil {
		return fmt.Errorf("look at what the statement did: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid, filenode uint32
		var size int64
		var space, name string
		if err := rows.Scan(&oid, &filenode, &space, &name, &size); err != nil {
			return fmt.Errorf("look at what the statement did: %w", err)
		}
		o.compare(m, oid, filenode, size, space, name)
	}
	return rows.Err()
}
