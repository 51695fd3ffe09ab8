package publish

import (
	"slices"
	"sync"
	"time"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	EventStarted     EventKind = "started"     // a statement begins
	EventDone        EventKind = "done"        // a statement ran; Measure says how. It counts once its group is committed
	EventCommitted   EventKind = "committed"   // a group of statements is committed; Measure is that of the group
	EventBlocked     EventKind = "blocked"     // others hold what the statement needs
	EventRetry       EventKind = "retry"       // a group did not get its locks and was rolled back; it is tried again after Wait
	EventEnded       EventKind = "ended"       // an autovacuum was asked to give way
	EventReconnected EventKind = "reconnected" // the connection was lost and made again
	EventTurned      EventKind = "turned"      // something failed (Text): what was done is compensated from here on
	EventProgress    EventKind = "progress"    // how far a long statement is
)

// Event is something that happened while a plan ran.
type Event struct {
	At        time.Time `json:"at"`
	Kind      EventKind `json:"kind"`
	Direction Direction `json:"direction"`
	Step      int       `json:"step"`      // the group of statements, from zero; -1 while the locks are tried before the plan begins
	Steps     int       `json:"steps"`     // how many groups there are
	Statement int       `json:"statement"` // index in the plan that runs; -1 for events of a whole group
	SQL       string    `json:"sql,omitempty"`
	Text      string    `json:"text,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Wait      Duration  `json:"wait,omitempty"`
	Blockers  []Blocker `json:"blockers,omitempty"`
	Measure   *Measure  `json:"measure,omitempty"`
	// Done and Total are blocks of an index that is being built, or rows of a backfill.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
}

// Blocker is a session that holds what a statement needs.
type Blocker struct {
	PID            int      `json:"pid"`
	Application    string   `json:"application,omitempty"`
	Role           string   `json:"role,omitempty"`
	State          string   `json:"state,omitempty"` // as in pg_stat_activity: active, idle in transaction
	TransactionAge Duration `json:"transaction_age"`
	QueryAge       Duration `json:"query_age"`
	Query          string   `json:"query,omitempty"` // its values are masked
}

// Measure is what a statement, or a group of them, cost.
type Measure struct {
	Statement int      `json:"statement"` // index in the plan
	Time      Duration `json:"time"`
	Waited    Duration `json:"waited,omitempty"` // earlier attempts and the pauses between them
	Attempts  int      `json:"attempts,omitempty"`
	// WALBytes is what the whole server wrote meanwhile: on a busy one more than the statement itself.
	WALBytes    int64      `json:"wal_bytes"`
	Rows        int64      `json:"rows,omitempty"`         // that the statement affected
	RowsScanned int64      `json:"rows_scanned,omitempty"` // read from whole tables; only in a rehearsal
	Locks       []HeldLock `json:"locks,omitempty"`
	Rewritten   []string   `json:"rewritten,omitempty"` // tables and indexes written anew; only in a rehearsal
	NewBytes    int64      `json:"new_bytes,omitempty"` // size of what was written anew and of what is new; only in a rehearsal
}

// HeldLock is a lock on a table that was there before the plan.
type HeldLock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"` // as PostgreSQL names it in LOCK TABLE: ACCESS EXCLUSIVE
}

// teller passes events on, one at a time.
type teller struct {
	mu   sync.Mutex
	tell func(Event)
}

// only tells of these kinds and of no group or statement: what is done is not yet a part of the plan.
func (t *teller) only(kinds ...EventKind) *teller {
	return &teller{tell: func(e Event) {
		if slices.Contains(kinds, e.Kind) {
			e.Step, e.Statement = -1, -1
			t.event(e)
		}
	}}
}

func (t *teller) event(e Event) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e.At = time.Now()
	t.tell(e)
}
