// Package publish runs a schema plan on a server and measures it: for real on production, and beforehand on a copy.
//
// What a caller may rely on: while a plan is applied no statement waits for a lock longer than the lock timeout, so nobody stands
// in a queue behind it for longer; a plan that fails in the middle is compensated at once; after a crash the server itself is asked
// how far it came, and the plan is finished or compensated. Users' code never runs with the administrator's rights: statements run
// in a session that logged in as the owner. The administrator's session only looks, ends an autovacuum that stands in the way, and
// runs what needs a superuser and runs nobody's code: CREATE, ALTER, DROP and COMMENT ON EXTENSION of those that the caller names.
//
// It knows connections and plans. It never knows projects, never keeps anything itself and never decides who may publish.
package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/schema"
)

// Connector opens a new session. The package closes it.
type Connector func(ctx context.Context) (*pgx.Conn, error)

// Target is the database that a plan is run on.
type Target struct {
	// Owner logs in as the role that owns the database. SET ROLE from a superuser's session would not do: RESET ROLE undoes it.
	Owner Connector
	// Administrator enters as a superuser, with the settings of postgres.Server.Connect.
	Administrator Connector
	// Dump prints the structure: pg_dump --schema-only --exclude-schema='_holdfast*'. Nil: the catalogue alone is compared.
	Dump func(ctx context.Context) (string, error)
}

// Settings say how patiently a plan is run. The zero value is right for production.
type Settings struct {
	// LockTimeout is how long a statement waits for a lock, and with it how long others can stand behind it. Zero: 100 ms.
	LockTimeout time.Duration
	// LockPatience is for how long a group of statements tries again to get its locks. Zero: 5 min.
	LockPatience time.Duration
	// StatementTimeouts bound each statement of the plan, by its index; see Report.StatementTimeouts. Zero or missing: no bound.
	StatementTimeouts []time.Duration
	// Extensions are those that the administrator may create, alter and drop for the owner.
	Extensions []string
}

func (s Settings) lockTimeout() time.Duration {
	if s.LockTimeout <= 0 {
		return 100 * time.Millisecond
	}
	return s.LockTimeout
}

func (s Settings) lockPatience() time.Duration {
	if s.LockPatience <= 0 {
		return 5 * time.Minute
	}
	return s.LockPatience
}

func (s Settings) statementTimeout(index int) time.Duration {
	if index < 0 || index >= len(s.StatementTimeouts) {
		return 0
	}
	return s.StatementTimeouts[index]
}

// Direction is the way in which a plan is run.
type Direction string

// The two ways.
const (
	Forward Direction = "forward"
	Back    Direction = "back" // what was done is compensated
)

// Order is a plan to be applied.
type Order struct {
	Plan   *schema.Plan
	Target Target
	// Journal keeps durably how far the apply came.
	Journal Journal
	// Progress is told what happens, one event at a time. It must be quick: locks may be held meanwhile. Nil: nobody listens.
	Progress func(Event)
	Settings Settings
	// Unchanged are further databases whose structure must still be the one that the plan was made from: development. That
	// production is still as Plan.From says is always checked.
	Unchanged []Unchanged
	// Backfills say how statements of the plan that are repeated (schema.Statement.Repeat), by their index, are done in batches. Without
	// one such a statement is simply run until it affects no row.
	Backfills map[int]Backfill
	// Undo is what the way back does first, in the transaction in which it gives names back: what no catalogue shows. It may run twice.
	Undo []schema.Statement
	// Expected is the dump that the result must equal, as the rehearsal printed it. "": only the fingerprint is compared.
	Expected string
}

// Unchanged is a database whose structure must have a fingerprint.
type Unchanged struct {
	Name        string // for the error: "development"
	Connect     Connector
	Fingerprint string
}

// State is how an apply ended.
type State string

// The states. Interrupted and Stuck leave an unfinished journal: Resume goes on.
const (
	Published   State = "published"   // the plan is applied
	Refused     State = "refused"     // nothing was done
	Compensated State = "compensated" // it failed, and the structure is as it was before
	Interrupted State = "interrupted" // the context ended in the middle
	Stuck       State = "stuck"       // it failed, and so did the compensation
)

// Outcome is what an apply did.
type Outcome struct {
	State      State     `json:"state"`
	Statements []Measure `json:"statements,omitempty"` // in the order of the plan, as far as they ran
	// Lost is what the compensation could not bring back.
	Lost []string `json:"lost,omitempty"`
	// Differences are how the structure differs from what it should be. Somebody else changed it meanwhile.
	Differences []string `json:"differences,omitempty"`
	// Kept is what others made while the plan ran: the compensation left it alone.
	Kept []string `json:"kept,omitempty"`
}

// Duration is a time that JSON shows in milliseconds.
type Duration time.Duration

// MarshalJSON writes milliseconds with three decimals at most.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(time.Duration(d).Microseconds()) / 1000)
}

// UnmarshalJSON reads milliseconds.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var ms float64
	if err := json.Unmarshal(text, &ms); err != nil {
		return fmt.Errorf("read a duration in milliseconds: %w", err)
	}
	*d = Duration(ms * float64(time.Millisecond))
	return nil
}
