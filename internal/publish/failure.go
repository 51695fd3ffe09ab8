package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// The SQLSTATEs that are told apart.
const (
	codeLockNotAvailable = "55P03"
	codeDeadlock         = "40P01"
	codeSerialization    = "40001"
	codeQueryCanceled    = "57014"
	codeNoPrivilege      = "42501"
	codeUndefinedObject  = "42704"
	codeDiskFull         = "53100"
	codeObjectInUse      = "55006"
)

// statementError is a statement that the server refused.
type statementError struct {
	index int
	sql   string
	cause error
}

func (e *statementError) Error() string { return fmt.Sprintf("%.200s: %v", e.sql, e.cause) }
func (e *statementError) Unwrap() error { return e.cause }

// unknownOutcome is a lost connection: nobody told whether the transaction was committed. "" is a statement outside one.
type unknownOutcome struct {
	transaction string
	cause       error
}

func (e *unknownOutcome) Error() string { return fmt.Sprintf("the connection was lost: %v", e.cause) }
func (e *unknownOutcome) Unwrap() error { return e.cause }

// lost turns an error of a session that is gone into an unknownOutcome.
func (r *runner) lost(conn *pgx.Conn, transaction string, err error) error {
	if err == nil || !conn.IsClosed() {
		return err
	}
	return &unknownOutcome{transaction: transaction, cause: err}
}

// waitingHelps says whether the same statement may succeed a moment later.
func waitingHelps(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case codeLockNotAvailable, codeDeadlock, codeSerialization, codeObjectInUse:
		return true
	}
	return false
}

// reconnect makes a lost connection again and asks whether the step happened.
func (r *runner) reconnect(ctx context.Context, s step, u *unknownOutcome) (done bool, err error) {
	r.reconnects++
	if r.reconnects > maxReconnects {
		return false, &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the connection was lost %d times while %s", r.reconnects, r.what(s)), Cause: u.cause}
	}
	if s.elevated {
		_ = r.admin.Close(context.WithoutCancel(ctx)) // it is gone already
		r.admin = nil
	}
	if r.owner.IsClosed() {
		if err := r.enterAgain(ctx); err != nil {
			return false, err
		}
	}
	r.teller.event(Event{Kind: EventReconnected, Direction: r.direction, Step: s.number, Steps: len(r.steps), Statement: -1, Text: u.cause.Error()})
	if u.transaction == "" {
		return false, nil
	}
	return committed(ctx, r.owner, u.transaction)
}

// reconnectTime is for a server that restarts, and for an old session that has yet to notice that its client is gone.
const reconnectTime = time.Minute

// enterAgain enters once the session before has ended. Sessions of ours that nobody speaks to any more are ended.
func (r *runner) enterAgain(ctx context.Context) error {
	deadline := time.Now().Add(reconnectTime)
	for attempt := 1; ; attempt++ {
		err := r.enter(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("enter the database again: %w", err)
		}
		if holdfast.KindOf(err) == holdfast.Busy {
			r.endOrphans(ctx)
		}
		if err := sleep(ctx, pause(attempt)); err != nil {
			return fmt.Errorf("enter the database again: %w", err)
		}
	}
}

// endOrphans ends the session of an apply whose client died. One control plane runs one apply at a time, so it is nobody else's.
func (r *runner) endOrphans(ctx context.Context) {
	conn, err := r.target.Administrator(ctx)
	if err != nil {
		return // the next attempt tells
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written
	_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend(a.pid, 5000) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND (l.classid, l.objid) = (`+lockApply+`) AND l.objsubid = 2 AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND a.application_name = '`+application+`'`) // the next attempt tells whether it helped
}

// what names a group of statements in an error.
func (r *runner) what(s step) string {
	st := r.plan.Statements[s.statements[0]]
	if n := len(s.statements) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", st.Description, n)
	}
	return st.Description
}

// lockError says who holds what a group needs.
func (r *runner) lockError(s step, cause error, waited time.Duration) error {
	message := fmt.Sprintf("could not get the locks to %s within %s", r.what(s), waited.Round(time.Second))
	blockers := r.watcher.last()
	if len(blockers) == 0 {
		return &holdfast.Error{Kind: holdfast.Timeout, Message: message, Cause: cause}
	}
	b := blockers[0]
	message += fmt.Sprintf("; session %d (%s, role %s) is %s for %s: %.120s", b.PID, orNone(b.Application, "no application name"), b.Role, b.State, time.Duration(b.TransactionAge).Round(time.Second), b.Query)
	return &holdfast.Error{Kind: holdfast.Timeout, Message: message, Hint: fmt.Sprintf("wait for it, or end it with SELECT pg_terminate_backend(%d)", b.PID), Cause: cause}
}

func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

// explain puts the server's refusal into words.
func (r *runner) explain(s step, err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", r.what(s), err)
	}
	var at *statementError
	sql := ""
	what := r.what(s)
	if errors.As(err, &at) {
		sql, what = at.sql, r.plan.Statements[at.index].Description
	}
	e := &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s: %s", what, refused.Message), Hint: refused.Hint, Cause: err}
	switch refused.Code {
	case codeQueryCanceled:
		e.Kind, e.Message = holdfast.Timeout, fmt.Sprintf("%s took longer than it was allowed to: %.200s", what, sql)
	case codeNoPrivilege:
		e.Kind, e.Hint = holdfast.NotAllowed, "the plan runs with the rights of the database's owner; what needs a superuser has to be done on the server by hand"
	case codeDiskFull:
		e.Kind = holdfast.Unavailable
	}
	if refused.Detail != "" {
		e.Message += " (" + refused.Detail + ")"
	}
	return e
}
