package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast/internal/schema"
)

// attemptAlone runs a statement outside a transaction.
func (r *runner) attemptAlone(ctx context.Context, conn *pgx.Conn, s step, doubtful bool) ([]Measure, error) {
	index := s.statements[0]
	st := r.plan.Statements[index]
	if err := r.record(ctx, Entry{Kind: EntryIntent, Step: s.number}); err != nil {
		return nil, err
	}
	if doubtful {
		done, err := r.settleDoubt(ctx, conn, st)
		if err != nil || done {
			return nil, err
		}
	}
	r.teller.event(Event{Kind: EventStarted, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: index, SQL: st.SQL, Text: st.Description})
	before, err := walPosition(ctx, conn, r.aloneSettings(index))
	if err != nil {
		return nil, r.lost(conn, "", err)
	}
	if r.detail != nil {
		if err := r.detail.before(ctx, conn); err != nil {
			return nil, r.lost(conn, "", err)
		}
	}
	m := Measure{Statement: index}
	began := time.Now()
	if m.Rows, err = r.runAlone(ctx, conn, s, doubtful); err != nil {
		return nil, r.lost(conn, "", err)
	}
	m.Time = Duration(time.Since(began))
	after, err := walPosition(ctx, conn, "")
	if err != nil {
		return nil, r.lost(conn, "", err)
	}
	m.WALBytes, m.Locks = after-before, r.watcher.locks()
	if len(m.Locks) == 0 { // it was over before anybody looked
		for _, table := range st.Locks {
			m.Locks = append(m.Locks, HeldLock{Table: table.Label(), Mode: string(st.Lock)})
		}
	}
	if r.detail != nil {
		if err := r.detail.after(ctx, conn, &m); err != nil {
			return nil, r.lost(conn, "", err)
		}
	}
	r.teller.event(Event{Kind: EventDone, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: index, Measure: &m})
	return []Measure{m}, nil
}

// aloneSettings bounds a statement outside a transaction. Nobody stands in a queue behind the locks that these take, and they wait for
// every older transaction: patience is all.
func (r *runner) aloneSettings(index int) string {
	lock, timeout := r.settings.lockPatience(), r.settings.statementTimeout(index)
	if r.plan.Statements[index].Repeat {
		lock = r.settings.lockTimeout()
	}
	if timeout > 0 {
		timeout += r.settings.lockPatience() // the time that it waits for older transactions counts, too
	}
	return fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = %d", lock.Milliseconds(), timeout.Milliseconds())
}

// runAlone runs the statement, again and again where the plan says so, and returns how many rows it affected.
func (r *runner) runAlone(ctx context.Context, conn *pgx.Conn, s step, doubtful bool) (int64, error) {
	index := s.statements[0]
	st := r.plan.Statements[index]
	if b, ok := r.backfills[index]; ok {
		return r.fill(ctx, conn, s, b)
	}
	var rows int64
	for {
		tag, err := conn.Exec(ctx, st.SQL)
		var refused *pgconn.PgError
		if err != nil && doubtful && strings.HasPrefix(st.SQL, "DROP ") && errors.As(err, &refused) && refused.Code == codeUndefinedObject {
			return rows, nil // it was dropped by the attempt of which nobody knew
		}
		if err != nil {
			return rows, r.cleanUp(ctx, conn, st, &statementError{index: index, sql: st.SQL, cause: err})
		}
		rows += tag.RowsAffected()
		if !st.Repeat || tag.RowsAffected() == 0 {
			return rows, nil
		}
	}
}

// FillingRows is the text of the events that tell how far a backfill is: they count rows.
const FillingRows = "rows are filled"

// fill does a backfill in place of a statement.
func (r *runner) fill(ctx context.Context, conn *pgx.Conn, s step, b Backfill) (int64, error) {
	p, err := b.Run(ctx, conn, r.target.Administrator, r.settings.lockTimeout(), r.cursors[s.number], func(p BackfillProgress) error {
		r.cursors[s.number] = p.Cursor
		r.teller.event(Event{Kind: EventProgress, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: s.statements[0], Text: FillingRows, Done: p.Scanned, Total: p.Total})
		return r.record(ctx, Entry{Kind: EntryBatch, Step: s.number, Cursor: p.Cursor})
	})
	return p.Updated, err
}

// settleDoubt finds out whether a statement outside a transaction happened. What is half done is removed.
func (r *runner) settleDoubt(ctx context.Context, conn *pgx.Conn, st schema.Statement) (done bool, err error) {
	index, made := strings.CutPrefix(st.Cleanup, dropConcurrently)
	if !made {
		return false, nil // doing it twice is harmless
	}
	valid, err := indexValid(ctx, conn, index)
	if err != nil {
		return false, r.lost(conn, "", err)
	}
	if valid != nil && *valid {
		return true, nil
	}
	return false, r.lost(conn, "", r.cleanUp(ctx, conn, st, nil))
}

// dropConcurrently begins the clean-up of an index that is built concurrently.
const dropConcurrently = "DROP INDEX CONCURRENTLY IF EXISTS "

// indexValid returns nil where there is no such index.
func indexValid(ctx context.Context, conn *pgx.Conn, name string) (*bool, error) {
	var valid *bool
	err := conn.QueryRow(ctx, "SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1))", name).Scan(&valid)
	if err != nil {
		return nil, fmt.Errorf("look at the index %s: %w", name, err)
	}
	return valid, nil
}

// cleanUp removes what a failed statement outside a transaction left, and returns its error with that of the removal.
func (r *runner) cleanUp(ctx context.Context, conn *pgx.Conn, st schema.Statement, failed error) error {
	if st.Cleanup == "" || conn.IsClosed() {
		return failed
	}
	if index, ok := strings.CutPrefix(st.Cleanup, dropConcurrently); ok {
		if valid, err := indexValid(ctx, conn, index); err != nil || valid == nil || *valid {
			return errors.Join(failed, err)
		}
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = 0", r.settings.lockPatience().Milliseconds())); err != nil {
		return errors.Join(failed, err)
	}
	if _, err := conn.Exec(ctx, st.Cleanup); err != nil {
		return errors.Join(failed, fmt.Errorf("remove what a failed statement left: %w", err))
	}
	return failed
}
