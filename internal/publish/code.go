package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// Query is a normalised statement of running code.
type Query struct {
	SQL         string   `json:"sql"`
	Calls       int64    `json:"calls"`
	CallsPerDay float64  `json:"calls_per_day"`
	TotalTime   Duration `json:"total_time"`
	MeanTime    Duration `json:"mean_time"`
}

// QueryFailure is a statement of running code that the server refuses.
type QueryFailure struct {
	SQL         string  `json:"sql"`
	Calls       int64   `json:"calls"`
	CallsPerDay float64 `json:"calls_per_day"`
	Code        string  `json:"code"` // SQLSTATE
	Error       string  `json:"error"`
}

// ReadWorkload reads the statements that ran in a database from pg_stat_statements, those that took most time first. conn is the
// administrator's, in any database of the same server that has the extension; where it has not, the error's kind is Precondition. What superusers
// and the roles in notCode ran is left out: no program of the user's depends on it.
func ReadWorkload(ctx context.Context, conn *pgx.Conn, database string, notCode ...string) ([]Query, error) {
	if notCode == nil {
		notCode = []string{} // NULL would leave out everybody's
	}
	var space string
	err := conn.QueryRow(ctx, "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'").Scan(&space)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the database does not count its statements", Hint: "add the extension pg_stat_statements to production; what runs from then on can be tried on the next rehearsal"}
	}
	if err != nil {
		return nil, fmt.Errorf("look for pg_stat_statements: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT s.query, sum(s.calls)::bigint, sum(s.calls)::float8 / greatest(extract(epoch FROM now() - max(i.stats_reset))::float8, 1) * 86400, sum(s.total_exec_time)::float8
		FROM `+space+`.pg_stat_statements s CROSS JOIN `+space+`.pg_stat_statements_info i JOIN pg_roles u ON u.oid = s.userid
		WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = $1) AND NOT u.rolsuper AND u.rolname <> ALL ($2) AND s.toplevel
		GROUP BY s.query ORDER BY 4 DESC`, database, notCode)
	if err != nil {
		return nil, fmt.Errorf("read the workload: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Query, error) {
		var q Query
		var total float64
		err := row.Scan(&q.SQL, &q.Calls, &q.CallsPerDay, &total)
		q.TotalTime = Duration(total * float64(time.Millisecond))
		q.MeanTime = q.TotalTime / Duration(max(q.Calls, 1))
		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the workload: %w", err)
	}
	return slices.DeleteFunc(out, func(q Query) bool { return !preparable(q.SQL) }), nil
}

// preparable says whether a statement is one that PREPARE takes.
func preparable(sql string) bool {
	switch schema.Verb(sql) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES":
		return true
	}
	return false
}

// codeCheck tries a workload before and after a plan, in a session of its own.
type codeCheck struct {
	connect  Connector
	queries  []Query
	top      int
	failed   []bool // before
	untried  []QueryFailure
	explains []*explained // of the first queries
}

const defaultTop = 20

func newCodeCheck(connect Connector, workload []Query, top int) *codeCheck {
	if top <= 0 {
		top = defaultTop
	}
	c := &codeCheck{connect: connect, top: top}
	for _, q := range workload {
		if preparable(q.SQL) {
			c.queries = append(c.queries, q)
		}
	}
	slices.SortStableFunc(c.queries, func(a, b Query) int { return int(min(max(b.TotalTime-a.TotalTime, -1), 1)) })
	return c
}

// session opens a session as running code has it: the settings of the role and the database count.
func (c *codeCheck) session(ctx context.Context, tables []string) (*pgx.Conn, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to try the running code: %w", err)
	}
	if _, err := conn.Exec(ctx, "SET application_name = '"+application+"'; SET statement_timeout = 0; SET plan_cache_mode = force_generic_plan; SET jit = off; SET default_transaction_read_only = off"); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a session: %w", err), conn.Close(context.WithoutCancel(ctx)))
	}
	for _, t := range tables { // so that both plans are made from statistics of the same age
		if _, err := conn.Exec(ctx, "ANALYZE "+t); err != nil {
			return nil, errors.Join(fmt.Errorf("analyze %s: %w", t, err), conn.Close(context.WithoutCancel(ctx)))
		}
	}
	return conn, nil
}

func (c *codeCheck) before(ctx context.Context, tables []string) error {
	if len(c.queries) == 0 {
		return nil
	}
	conn, err := c.session(ctx, tables)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only tried
	c.failed = make([]bool, len(c.queries))
	for i, q := range c.queries {
		failure, err := tryPrepare(ctx, conn, q)
		if err != nil {
			return err
		}
		if failure != nil {
			c.failed[i] = true
			c.untried = append(c.untried, *failure)
			continue
		}
		if len(c.explains) < c.top {
			e := &explained{query: q, index: i}
			if err := e.measure(ctx, conn, &e.before); err != nil {
				return err
			}
			c.explains = append(c.explains, e)
		}
		if err := release(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

func (c *codeCheck) after(ctx context.Context, r *Report, tables []string) error {
	r.Queries = len(c.queries) - len(c.untried)
	r.Untried = append(r.Untried, c.untried...)
	if len(c.queries) == 0 {
		return nil
	}
	conn, err := c.session(ctx, tables)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only tried
	used := map[string]bool{}
	for i, q := range c.queries {
		if c.failed[i] {
			continue
		}
		failure, err := tryPrepare(ctx, conn, q)
		if err != nil {
			return err
		}
		if failure != nil {
			r.Broken = append(r.Broken, *failure)
			continue
		}
		if e := c.explainOf(i); e != nil {
			if err := e.measure(ctx, conn, &e.after); err != nil {
				return err
			}
			r.Performance = append(r.Performance, e.change())
			for _, index := range e.after.indexes {
				used[index] = true
			}
		}
		if err := release(ctx, conn); err != nil {
			return err
		}
	}
	r.unusedIndexes(used)
	return nil
}

func (c *codeCheck) explainOf(index int) *explained {
	for _, e := range c.explains {
		if e.index == index {
			return e
		}
	}
	return nil
}

// preparedName is the name of the one statement that is tried at a time.
const preparedName = "holdfast_try"

// tryPrepare returns why the server refuses a statement, or nil.
func tryPrepare(ctx context.Context, conn *pgx.Conn, q Query) (*QueryFailure, error) {
	_, err := conn.Exec(ctx, "PREPARE "+preparedName+" AS "+schema.Preparable(q.SQL))
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &refused) || conn.IsClosed():
		return nil, fmt.Errorf("try the running code: %w", err)
	}
	return &QueryFailure{SQL: q.SQL, Calls: q.Calls, CallsPerDay: q.CallsPerDay, Code: refused.Code, Error: refused.Message}, nil
}

func release(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "DEALLOCATE "+preparedName); err != nil {
		return fmt.Errorf("try the running code: %w", err)
	}
	return nil
}

// unusedIndexes lists the new indexes that no top statement uses. One that keeps rows apart is of use anyhow.
func (r *Report) unusedIndexes(used map[string]bool) {
	if len(r.Performance) == 0 {
		return
	}
	known := map[schema.Identity]bool{}
	for _, o := range r.before.Objects {
		known[o.ID] = true
	}
	for _, a := range r.after.Addresses() {
		o := r.after.Objects[a]
		if a.Kind == schema.KindIndex && !known[o.ID] && r.before.Objects[a] == nil && o.Attrs["unique"] != "true" && !used[a.Name] {
			r.Unused = append(r.Unused, strings.TrimPrefix(a.Label(), "public."))
		}
	}
}
