package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/schema"
)

// Journal keeps durably what an apply is about to do. Both methods return only once a crash of the machine cannot lose what they
// were told. An error stops the apply before the step.
//
// What was done is not asked of the journal but of the server: an intent names the transaction, and the server knows whether that
// transaction was committed (pg_xact_status). So nothing of ours has to be written into the user's database.
type Journal interface {
	// Begin keeps the structure as it was before the first statement. It is called once per apply.
	Begin(ctx context.Context, before *schema.Catalog) error
	// Record appends an entry.
	Record(ctx context.Context, e Entry) error
}

// EntryKind is what a journal's entry says.
type EntryKind string

// The kinds of entries.
const (
	EntryIntent   EntryKind = "intent"   // a group of statements begins; Transaction is its id where it has one
	EntryDone     EntryKind = "done"     // it is committed
	EntryBatch    EntryKind = "batch"    // a batch of a backfill is committed; Cursor is where it goes on
	EntryTurned   EntryKind = "turned"   // from here on the apply is compensated; Text says why
	EntryFinished EntryKind = "finished" // nothing is left to be done; Text is the State
)

// Entry is one line of a journal.
type Entry struct {
	At        time.Time `json:"at"`
	Kind      EntryKind `json:"kind"`
	Direction Direction `json:"direction"`
	// Step counts the groups of statements of one direction from zero. Those of a compensation are counted anew at each attempt.
	Step int `json:"step"`
	// Transaction is the id under which the server knows the group (xid8), "" for a statement outside a transaction.
	Transaction string   `json:"transaction,omitempty"`
	Cursor      []string `json:"cursor,omitempty"`
	Text        string   `json:"text,omitempty"`
}

// Unfinished is what a journal holds of an apply that did not finish.
type Unfinished struct {
	Before  *schema.Catalog
	Entries []Entry
}

// finished says whether nothing is left to be done.
func (u Unfinished) finished() (State, bool) {
	for _, e := range u.Entries {
		if e.Kind == EntryFinished {
			return State(e.Text), true
		}
	}
	return "", false
}

// turned says whether the apply was being compensated.
func (u Unfinished) turned() bool {
	for _, e := range u.Entries {
		if e.Kind == EntryTurned {
			return true
		}
	}
	return false
}

// cursors are where the backfills of each step had come to.
func (u Unfinished) cursors() map[int][]string {
	out := map[int][]string{}
	for _, e := range u.Entries {
		if e.Kind == EntryBatch && e.Direction == Forward {
			out[e.Step] = e.Cursor
		}
	}
	return out
}

// position returns the next step to run forward, and the one of which nobody knows whether it happened (-1: none): a statement
// outside a transaction.
func (u Unfinished) position(ctx context.Context, conn *pgx.Conn) (next, doubtful int, err error) {
	var open *Entry
	for i, e := range u.Entries {
		if e.Direction != Forward {
			continue
		}
		switch e.Kind {
		case EntryIntent:
			open = &u.Entries[i]
		case EntryDone:
			next, open = e.Step+1, nil
		}
	}
	if open == nil {
		return next, -1, nil
	}
	if open.Transaction == "" {
		return open.Step, open.Step, nil
	}
	committed, err := committed(ctx, conn, open.Transaction)
	if err != nil {
		return 0, -1, err
	}
	if committed {
		return open.Step + 1, -1, nil
	}
	return open.Step, -1, nil
}

// committed asks the server what became of a transaction whose client is gone.
func committed(ctx context.Context, conn *pgx.Conn, transaction string) (bool, error) {
	deadline := time.Now().Add(reconnectTime)
	for attempt := 1; ; attempt++ {
		status, err := transactionStatus(ctx, conn, transaction)
		if err != nil {
			return false, fmt.Errorf("ask what became of transaction %s: %w", transaction, err)
		}
		if status != "in progress" || time.Now().After(deadline) {
			return status == "committed", nil
		}
		if err := sleep(ctx, pause(attempt)); err != nil {
			return false, fmt.Errorf("ask what became of transaction %s: %w", transaction, err)
		}
	}
}

// transactionStatus is "" for a transaction that the server does not know: it was taken back to an earlier moment.
func transactionStatus(ctx context.Context, conn *pgx.Conn, transaction string) (string, error) {
	var known bool
	if err := conn.QueryRow(ctx, "SELECT $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())", transaction).Scan(&known); err != nil || !known {
		return "", err // to ask about a number from the future is an error
	}
	var status *string
	if err := conn.QueryRow(ctx, "SELECT pg_xact_status($1::text::xid8)", transaction).Scan(&status); err != nil || status == nil {
		return "", err
	}
	return *status, nil
}
