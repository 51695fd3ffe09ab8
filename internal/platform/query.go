package platform

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/rows"
	"github.com/holdfast/holdfast/internal/store"
)

// Bounds of a query.
const (
	DefaultQueryRows    = 1000
	MaxQueryRows        = 10_000_000
	DefaultQueryTimeout = 30 * time.Second
	MaxQueryTimeout     = time.Hour
	maxQueries          = 16 // at once, over all branches
)

// Query asks for SQL to be run on a branch, as its owner role.
type Query struct {
	ID       string // by which it can be canceled, chosen by the caller; empty: one is made up
	SQL      string // one or more statements
	Write    bool   // it may change something; without it all runs in a read-only transaction that no statement can leave
	MaxRows  int    // of each result; 0: DefaultQueryRows
	MaxBytes int    // of values, over all results
	Timeout  time.Duration

	asAgent    bool // on production, as the role that can only read
	everything bool // no bound on rows and bytes: they are streamed
}

// QueryEvent is one thing that happened while a query ran.
type QueryEvent = rows.Event

// QueryMessage is an error or a notice of PostgreSQL.
type QueryMessage = rows.Message

// queries are those that run now.
type queries struct {
	mu   sync.Mutex
	byID map[string]*query
}

type query struct {
	branch  holdfast.BranchID
	who     string
	asAgent bool
	cancel  context.CancelCauseFunc
	ended   chan struct{}

	mu      sync.Mutex
	pid     uint32 // of its backend; 0: not connected yet
	signals int    // how often the backend was told to cancel
}

func (q *queries) running(id holdfast.BranchID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, one := range q.byID {
		if one.branch == id {
			return true
		}
	}
	return false
}

func (q *queries) begin(id string, one *query) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byID[id] != nil {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "a query with this ID is running", Hint: "choose another, or none"}
	}
	if len(q.byID) >= maxQueries {
		return &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("%d queries are running already", maxQueries), Hint: "wait for one to end, or connect with psql"}
	}
	if q.byID == nil {
		q.byID = map[string]*query{}
	}
	one.ended = make(chan struct{})
	q.byID[id] = one
	return nil
}

func (q *queries) end(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one := q.byID[id]; one != nil {
		close(one.ended)
	}
	delete(q.byID, id)
}

var queryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (q *Query) complete() error {
	switch {
	case q.ID == "":
		q.ID = newID("qry")
	case !queryID.MatchString(q.ID):
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "a query's ID is made of at most 64 letters, digits, dashes and underscores"}
	}
	if q.MaxRows == 0 {
		q.MaxRows = DefaultQueryRows
	}
	if q.Timeout == 0 {
		q.Timeout = DefaultQueryTimeout
	}
	if q.everything {
		q.MaxRows, q.MaxBytes = math.MaxInt, math.MaxInt
	}
	if q.MaxRows < 0 || q.MaxRows > MaxQueryRows && !q.everything || q.Timeout < time.Second || q.Timeout > MaxQueryTimeout {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a query returns 1 to %d rows and runs for one second to %s", MaxQueryRows, MaxQueryTimeout)}
	}
	return nil
}

// RunQuery runs SQL on a branch and tells what happens, in order. begin is called first, with the query's ID, once nothing is left that
// could refuse it. What PostgreSQL refuses is an event; see rows.Run. It wakes the branch.
func (p *Platform) RunQuery(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, q Query, begin func(id string) error, each func(QueryEvent) error) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return err
	}
	if q.asAgent, err = p.agentReads(ctx, who, b, &q); err == nil && !q.asAgent {
		err = checkQuery(who, b, q.Write)
	}
	if err != nil {
		return err
	}
	if err := q.complete(); err != nil {
		return err
	}
	if q.Write && who.Kind == holdfast.AgentToken {
		if err := p.saveBeforeAgent(ctx, b); err != nil {
			return err
		}
	}
	timeout := &holdfast.Error{Kind: holdfast.Timeout, Message: fmt.Sprintf("the query took longer than %s", q.Timeout), Hint: "give it more time, or use psql"}
	ctx, release := context.WithTimeoutCause(ctx, q.Timeout+5*time.Second, timeout) // the statement's own limit comes first
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	running := &query{branch: b.ID, who: who.Name, asAgent: q.asAgent, cancel: cancel}
	if err := p.queries.begin(q.ID, running); err != nil {
		return err
	}
	defer p.queries.end(q.ID)
	// The statements may hold secrets; what is recorded is what they are.
	var kinds []string
	for _, s := range rows.Split(q.SQL) {
		if len(kinds) < 20 {
			kinds = append(kinds, s.Command())
		}
	}
	if err := p.recordAlone(ctx, who, "sql.run", ref.String(), map[string]any{"query": q.ID, "write": q.Write, "statements": kinds, "read_only_role": q.asAgent}); err != nil {
		return err
	}
	return p.runQuery(ctx, b, q, running, begin, each)
}

func (p *Platform) runQuery(ctx context.Context, b store.Branch, q Query, running *query, begin func(id string) error, each func(QueryEvent) error) error {
	open := p.ownerConn
	if q.asAgent {
		open = p.agentConn
	}
	conn, err := open(ctx, b)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	pid := conn.PgConn().PID()
	running.mu.Lock()
	running.pid = pid
	running.mu.Unlock()
	if err := begin(q.ID); err != nil {
		return err
	}
	err = rows.Run(ctx, conn.Conn, rows.Script{SQL: q.SQL, Write: q.Write, MaxRows: q.MaxRows, MaxBytes: q.MaxBytes, StatementTimeout: q.Timeout}, each)
	if err != nil {
		// Whoever asked has gone, or the time is up: a closed connection alone would let the statement run on.
		p.signalBackend(context.WithoutCancel(ctx), b, "pg_terminate_backend", pid)
	}
	return err
}

// signalBackend sends a signal to a backend of a branch. One that has ended meanwhile is fine.
func (p *Platform) signalBackend(ctx context.Context, b store.Branch, signal string, pid uint32) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database())
	if err == nil {
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "SELECT pg_catalog."+signal+"($1)", int32(pid))
	}
	if err != nil {
		p.log.Warn("end a query", "branch", b.ID, "err", err)
	}
}

// CancelQuery ends the running statement of a query, which then fails with 57014. Only who began it may, and an admin.
func (p *Platform) CancelQuery(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id string) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return err
	}
	if err := checkRows(who, b); err != nil {
		return err
	}
	p.queries.mu.Lock()
	running := p.queries.byID[id]
	p.queries.mu.Unlock()
	if running == nil || running.branch != b.ID || running.who != who.Name && checkBranch(who, b, holdfast.MayAdmin) != nil {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "no such query is running"}
	}
	running.mu.Lock()
	pid := running.pid
	running.mu.Unlock()
	if pid == 0 {
		running.cancel(&holdfast.Error{Kind: holdfast.Canceled, Message: "canceled"})
		return nil
	}
	// A backend that has not got the statement yet forgets what it is told, so it is told again until the query has ended.
	ctx, stop := context.WithTimeout(ctx, cancelPatience)
	defer stop()
	tick := time.NewTicker(cancelEvery)
	defer tick.Stop()
	for {
		p.signalBackend(ctx, b, "pg_cancel_backend", pid)
		running.mu.Lock()
		running.signals++
		running.mu.Unlock()
		select {
		case <-running.ended:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// cancelPatience is for a query that was told to end and still sends what it has; it is told every cancelEvery.
const (
	cancelPatience = 10 * time.Second
	cancelEvery    = 200 * time.Millisecond
)
