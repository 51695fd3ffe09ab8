package publish

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/schema"
)

// watchInterval is shorter than the lock timeout, so that whoever stands in the way is seen.
const watchInterval = 40 * time.Millisecond

// watcher looks from a session of the administrator at what a running statement waits for. It ends an autovacuum that stands in
// the way: the server does so only after deadlock_timeout, which is longer than we let anybody wait.
type watcher struct {
	connect Connector
	conn    *pgx.Conn // of the goroutine that runs

	mu       sync.Mutex
	blockers []Blocker
	held     []HeldLock
	end      chan struct{}
	done     chan struct{}
}

func (w *watcher) watch(ctx context.Context, r *runner, s step, pid uint32) {
	w.end, w.done = make(chan struct{}), make(chan struct{})
	w.mu.Lock()
	w.blockers, w.held = nil, nil
	w.mu.Unlock()
	end, done := w.end, w.done
	go func() {
		defer close(done)
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ctx.Done():
				return
			case <-ticker.C:
				w.look(ctx, r, s, pid)
			}
		}
	}()
}

func (w *watcher) stop() {
	close(w.end)
	<-w.done
}

func (w *watcher) close() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.conn.Close(ctx) // it only looked
	w.conn = nil
}

// last returns who stood in the way of the last attempt.
func (w *watcher) last() []Blocker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.blockers)
}

// locks returns the strongest locks that were seen during the last attempt.
func (w *watcher) locks() []HeldLock {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.held)
}

// look takes one look. What goes wrong with it must not disturb the statement that it looks at: the next look tries again.
func (w *watcher) look(ctx context.Context, r *runner, s step, pid uint32) {
	if w.conn == nil || w.conn.IsClosed() {
		conn, err := w.connect(ctx)
		if err != nil {
			return
		}
		w.conn = conn
	}
	blockers, vacuums, err := readBlockers(ctx, w.conn, pid)
	if err != nil {
		return
	}
	event := Event{Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: -1}
	for _, v := range vacuums {
		if _, err := w.conn.Exec(ctx, "SELECT pg_cancel_backend($1)", v.PID); err == nil {
			event.Kind, event.Blockers = EventEnded, []Blocker{v}
			r.teller.event(event)
		}
	}
	if len(blockers) > 0 {
		w.mu.Lock()
		same := slices.EqualFunc(w.blockers, blockers, func(a, b Blocker) bool { return a.PID == b.PID })
		w.blockers = blockers
		w.mu.Unlock()
		if !same {
			event.Kind, event.Blockers = EventBlocked, blockers
			r.teller.event(event)
		}
	}
	if s.alone {
		w.lookAtLong(ctx, r, s, pid)
	}
}

// lookAtLong notes the locks of a statement outside a transaction, and how far an index is.
func (w *watcher) lookAtLong(ctx context.Context, r *runner, s step, pid uint32) {
	held, err := locksOf(ctx, w.conn, pid)
	if err != nil {
		return
	}
	w.mu.Lock()
	for _, l := range held {
		i := slices.IndexFunc(w.held, func(o HeldLock) bool { return o.Table == l.Table })
		switch {
		case i < 0:
			w.held = append(w.held, l)
		case lockRank(l.Mode) > lockRank(w.held[i].Mode):
			w.held[i] = l
		}
	}
	w.mu.Unlock()
	event := Event{Kind: EventProgress, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: s.statements[0]}
	err = w.conn.QueryRow(ctx, "SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index WHERE pid = $1", int32(pid)).Scan(&event.Text, &event.Done, &event.Total)
	if err == nil {
		r.teller.event(event)
	}
}

// readBlockers lists the sessions that hold what pid waits for; autovacuums that give way are listed apart.
func readBlockers(ctx context.Context, conn *pgx.Conn, pid uint32) (blockers, vacuums []Blocker, err error) {
	rows, err := conn.Query(ctx, `SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''), coalesce(a.state, ''),
			coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, coalesce(extract(epoch FROM clock_timestamp() - a.query_start), 0)::float8,
			coalesce(a.query, ''), a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%(to prevent wraparound)%'
		FROM pg_stat_activity a WHERE a.pid = ANY(pg_blocking_pids($1))`, int32(pid))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b Blocker
		var transaction, query float64
		var vacuum bool
		if err := rows.Scan(&b.PID, &b.Application, &b.Role, &b.State, &transaction, &query, &b.Query, &vacuum); err != nil {
			return nil, nil, err
		}
		b.TransactionAge, b.QueryAge = Duration(transaction*float64(time.Second)), Duration(query*float64(time.Second))
		b.Query = schema.Masked(b.Query)
		if vacuum {
			vacuums = append(vacuums, b)
		} else {
			blockers = append(blockers, b)
		}
	}
	return blockers, vacuums, rows.Err()
}
