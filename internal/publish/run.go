package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// application is the name under which sessions of this package are seen.
const application = "holdfast publish"

// maxReconnects bounds how often a lost connection is made again before the apply is given up.
const maxReconnects = 3

// runner runs the steps of one plan in one direction.
type runner struct {
	target    Target
	settings  Settings
	journal   Journal // nil: none
	teller    *teller
	direction Direction
	plan      *schema.Plan
	steps     []step
	detail    *observer // nil: only times are taken
	backfills map[int]Backfill
	cursors   map[int][]string // where the backfill of a step goes on

	owner      *pgx.Conn
	admin      *pgx.Conn // for elevated statements, opened when first needed
	watcher    *watcher
	reconnects int
	measures   []Measure // of each statement that was committed
}

// prepareSession makes a session such that settings which the owner attached to roles and databases change nothing.
// Row security is off, which makes a statement fail where a policy would hide rows from it.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	settings := []string{
		"application_name = " + holdfast.QuoteLiteral(application), "search_path = pg_catalog, pg_temp", "check_function_bodies = off", "row_security = off",
		"lock_timeout = 0", "statement_timeout = 0", "idle_in_transaction_session_timeout = 0", "idle_session_timeout = 0",
		"default_transaction_read_only = off", "default_transaction_isolation = 'read committed'", "default_transaction_deferrable = off",
		"default_tablespace = ''", "temp_tablespaces = ''", "default_table_access_method = heap", "synchronous_commit = on",
		"datestyle = 'ISO'", "intervalstyle = 'postgres'", "timezone = 'UTC'", "bytea_output = 'hex'", "extra_float_digits = 1", "standard_conforming_strings = on", "transform_null_equals = off",
		// A server whose client is gone goes on with a long statement unless it is told to look.
		"client_connection_check_interval = '1s'",
	}
	if _, err := conn.Exec(ctx, "SET "+strings.Join(settings, "; SET ")); err != nil {
		return fmt.Errorf("prepare a session: %w", err)
	}
	return nil
}

// Two numbers of our own choice, so that they collide with nobody's locks.
const lockApply = "1752130404, 1885697139"

// enter opens the owner's session and makes sure that no other apply runs in the database.
func (r *runner) enter(ctx context.Context) error {
	conn, err := r.target.Owner(ctx)
	if err != nil {
		return fmt.Errorf("connect as the owner: %w", err)
	}
	if err := prepareSession(ctx, conn); err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	var got bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+lockApply+")").Scan(&got); err != nil || !got {
		_ = conn.Close(context.WithoutCancel(ctx)) // nothing was done in it
		if err != nil {
			return fmt.Errorf("ask for the lock of an apply: %w", err)
		}
		return &holdfast.Error{Kind: holdfast.Busy, Message: "another apply runs in this database", Hint: "try again when it has ended"}
	}
	r.owner = conn
	return nil
}

func (r *runner) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, conn := range []*pgx.Conn{r.owner, r.admin} {
		if conn != nil {
			_ = conn.Close(ctx) // whatever was done is committed or rolled back
		}
	}
	r.owner, r.admin = nil, nil
	r.watcher.close()
}

// run runs the steps from next on. doubtful is a step outside a transaction that may have happened already, or -1.
func (r *runner) run(ctx context.Context, next, doubtful int) error {
	for i := next; i < len(r.steps); i++ {
		if err := r.step(ctx, r.steps[i], i == doubtful); err != nil {
			return err
		}
	}
	return nil
}

// step runs one group until it is committed or fails for a reason that waiting does not mend.
func (r *runner) step(ctx context.Context, s step, doubtful bool) error {
	began := time.Now()
	for attempt := 1; ; attempt++ {
		started := time.Now()
		measures, err := r.attempt(ctx, s, doubtful)
		if err == nil {
			return r.committed(ctx, s, measures, attempt, started.Sub(began))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", r.what(s), ctx.Err())
		}
		var unknown *unknownOutcome
		switch {
		case errors.As(err, &unknown):
			done, lost := r.reconnect(ctx, s, unknown)
			if lost != nil {
				return lost
			}
			if done {
				return r.committed(ctx, s, nil, attempt, started.Sub(began))
			}
			doubtful = s.alone
			continue
		case !waitingHelps(err):
			return r.explain(s, err)
		case time.Since(began) > r.settings.lockPatience():
			return r.lockError(s, err, time.Since(began))
		}
		if s.alone {
			doubtful = true // a failed attempt leaves something behind
		}
		wait := pause(attempt)
		r.teller.event(Event{Kind: EventRetry, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: -1, Attempt: attempt, Wait: Duration(wait), Blockers: r.watcher.last(), Text: err.Error()})
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("%s: %w", r.what(s), err)
		}
	}
}

// tryLocks takes each lock that the plan will need once and gives it back: a plan that would wait for somebody's long transaction
// is refused before anything is done.
func (r *runner) tryLocks(ctx context.Context) error {
	modes := map[schema.Address]schema.LockMode{}
	var tables []schema.Address
	for _, s := range r.plan.Statements {
		for _, table := range s.Locks {
			if table.Kind != schema.KindTable || !s.Lock.Stronger(modes[table]) {
				continue
			}
			if modes[table] == "" {
				tables = append(tables, table)
			}
			modes[table] = s.Lock
		}
	}
	for n, table := range tables {
		name := holdfast.QuoteQualified(table.Schema, table.Name)
		var there bool
		if err := r.owner.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p'))", name).Scan(&there); err != nil {
			return fmt.Errorf("look for the table %s: %w", name, err)
		}
		if !there { // the plan makes it, or gives it this name
			continue
		}
		lock := schema.Statement{SQL: "LOCK TABLE " + name + " IN " + string(modes[table]) + " MODE", Description: "lock " + table.Label(), Object: table, Transactional: true}
		probe := *r
		probe.plan, probe.journal, probe.detail, probe.teller = &schema.Plan{Statements: []schema.Statement{lock}}, nil, nil, r.teller.only(EventBlocked, EventRetry, EventEnded)
		probe.steps = []step{{number: n, statements: []int{0}}}
		probe.settings.StatementTimeouts = nil
		err := probe.run(ctx, 0, -1)
		r.owner, r.reconnects = probe.owner, probe.reconnects
		if err != nil {
			return err
		}
	}
	return nil
}

// pause grows from 50 ms to 2 s, with jitter so that it does not keep step with a periodic transaction.
func pause(attempt int) time.Duration {
	wait := 50 * time.Millisecond << min(attempt-1, 5)
	return wait/2 + rand.N(wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *runner) committed(ctx context.Context, s step, measures []Measure, attempt int, waited time.Duration) error {
	whole := Measure{Statement: -1, Attempts: attempt, Waited: Duration(waited)}
	for _, m := range measures {
		whole.Time += m.Time
		whole.WALBytes += m.WALBytes
		whole.Rows += m.Rows
		whole.Locks = m.Locks // the last one has them all
	}
	if len(measures) > 0 {
		measures[0].Waited, measures[0].Attempts = Duration(waited), attempt
	}
	r.measures = append(r.measures, measures...)
	if err := r.record(ctx, Entry{Kind: EntryDone, Step: s.number}); err != nil {
		return err
	}
	r.teller.event(Event{Kind: EventCommitted, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: -1, Measure: &whole})
	return nil
}

func (r *runner) record(ctx context.Context, e Entry) error {
	if r.journal == nil {
		return nil
	}
	e.At, e.Direction = time.Now(), r.direction
	if err := r.journal.Record(ctx, e); err != nil {
		return fmt.Errorf("write the journal of the apply: %w", err)
	}
	return nil
}

// attempt tries a group once.
func (r *runner) attempt(ctx context.Context, s step, doubtful bool) ([]Measure, error) {
	conn, err := r.connFor(ctx, s)
	if err != nil {
		return nil, err
	}
	r.watcher.watch(ctx, r, s, conn.PgConn().PID())
	defer r.watcher.stop()
	if s.alone {
		return r.attemptAlone(ctx, conn, s, doubtful)
	}
	return r.attemptTransaction(ctx, conn, s)
}

// connFor is the session in which a group runs.
func (r *runner) connFor(ctx context.Context, s step) (*pgx.Conn, error) {
	if !s.elevated {
		return r.owner, nil
	}
	if r.admin != nil && !r.admin.IsClosed() {
		return r.admin, nil
	}
	conn, err := r.target.Administrator(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect as the administrator: %w", err)
	}
	if _, err := conn.Exec(ctx, "SET application_name = "+holdfast.QuoteLiteral(application)+"; SET client_connection_check_interval = '1s'"); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a session: %w", err), conn.Close(context.WithoutCancel(ctx)))
	}
	r.admin = conn
	return conn, nil
}

func (r *runner) attemptTransaction(ctx context.Context, conn *pgx.Conn, s step) (_ []Measure, err error) {
	if _, err := conn.Exec(ctx, fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d", max(1, r.settings.lockTimeout().Milliseconds()))); err != nil {
		return nil, r.lost(conn, "", err)
	}
	committing := false
	transaction := ""
	defer func() {
		if err != nil && !committing && !conn.IsClosed() {
			if _, rollback := conn.Exec(context.WithoutCancel(ctx), "ROLLBACK"); rollback != nil {
				err = r.lost(conn, transaction, err)
			}
		}
	}()
	if r.detail != nil {
		r.detail.newTransaction()
	}
	// Before any lock is held: nobody waits while the journal is written.
	if err := conn.QueryRow(ctx, "SELECT pg_current_xact_id()::text").Scan(&transaction); err != nil {
		return nil, r.lost(conn, "", err)
	}
	if err := r.record(ctx, Entry{Kind: EntryIntent, Step: s.number, Transaction: transaction}); err != nil {
		return nil, err
	}
	var out []Measure
	for n, i := range s.statements {
		m, err := r.statement(ctx, conn, s, i, n == len(s.statements)-1)
		if err != nil {
			return nil, r.lost(conn, transaction, err)
		}
		out = append(out, m)
	}
	committing = true
	began := time.Now()
	if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
		return nil, r.lost(conn, transaction, err)
	}
	out[len(out)-1].Time += Duration(time.Since(began))
	return out, nil
}

// statement runs one statement of an open transaction.
func (r *runner) statement(ctx context.Context, conn *pgx.Conn, s step, index int, last bool) (Measure, error) {
	st := r.plan.Statements[index]
	r.teller.event(Event{Kind: EventStarted, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: index, SQL: st.SQL, Text: st.Description})
	m := Measure{Statement: index}
	before, err := walPosition(ctx, conn, fmt.Sprintf("SET LOCAL statement_timeout = %d", r.settings.statementTimeout(index).Milliseconds()))
	if err != nil {
		return m, err
	}
	began := time.Now()
	tag, err := conn.Exec(ctx, st.SQL)
	if err != nil {
		return m, &statementError{index: index, sql: st.SQL, cause: err}
	}
	m.Time, m.Rows = Duration(time.Since(began)), tag.RowsAffected()
	after, err := walPosition(ctx, conn, "")
	if err != nil {
		return m, err
	}
	m.WALBytes = after - before
	if r.detail != nil {
		err = r.detail.look(ctx, conn, &m)
	} else if last {
		m.Locks, err = heldLocks(ctx, conn)
	}
	if err != nil {
		return m, err
	}
	r.teller.event(Event{Kind: EventDone, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: index, Measure: &m})
	return m, nil
}

func walPosition(ctx context.Context, conn *pgx.Conn, first string) (int64, error) {
	if first != "" {
		if _, err := conn.Exec(ctx, first); err != nil {
			return 0, err
		}
	}
	var bytes int64
	return bytes, conn.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&bytes)
}
