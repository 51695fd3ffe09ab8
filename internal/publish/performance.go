package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// QueryChange compares how a statement runs before and after a plan.
type QueryChange struct {
	SQL         string  `json:"sql"`
	CallsPerDay float64 `json:"calls_per_day"`
	ShapeBefore string  `json:"shape_before"` // the plan's nodes, outermost first: "Limit > Index Scan[orders_pkey]"
	ShapeAfter  string  `json:"shape_after"`
	// Executed: it only reads, and values for its parameters were found, so it was run. Otherwise only the planner's cost is known.
	Executed      bool     `json:"executed"`
	BuffersBefore int64    `json:"buffers_before"`
	BuffersAfter  int64    `json:"buffers_after"`
	TimeBefore    Duration `json:"time_before"`
	TimeAfter     Duration `json:"time_after"`
	CostBefore    float64  `json:"cost_before"`
	CostAfter     float64  `json:"cost_after"`
	Regressed     bool     `json:"regressed"`
	Why           string   `json:"why,omitempty"`
}

// explained is a statement of the workload with its plan before and after.
type explained struct {
	query         Query
	index         int
	values        []*string // for its parameters, found before the plan; nil: none were found
	before, after look
}

// look is one plan.
type look struct {
	shape    string
	indexes  []string
	cost     float64
	executed bool
	buffers  int64
	time     Duration
}

// planNode is what matters of EXPLAIN's JSON.
type planNode struct {
	Type       string     `json:"Node Type"`
	Relation   string     `json:"Relation Name"`
	Schema     string     `json:"Schema"`
	Alias      string     `json:"Alias"`
	Index      string     `json:"Index Name"`
	Cost       float64    `json:"Total Cost"`
	Hit        int64      `json:"Shared Hit Blocks"`
	Read       int64      `json:"Shared Read Blocks"`
	Conditions string     `json:"Index Cond"`
	Filter     string     `json:"Filter"`
	Recheck    string     `json:"Recheck Cond"`
	Plans      []planNode `json:"Plans"`
}

type planOutput struct {
	Plan          planNode `json:"Plan"`
	ExecutionTime float64  `json:"Execution Time"`
	text          string   // all of it
}

// executionLimit bounds how long a statement of the workload may run on the copy.
const executionLimit = 10 * time.Second

// measure explains the prepared statement and runs it where that is safe.
func (e *explained) measure(ctx context.Context, conn *pgx.Conn, into *look) error {
	var types []string
	if err := conn.QueryRow(ctx, "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = $1", preparedName).Scan(&types); err != nil {
		return fmt.Errorf("look at a statement's parameters: %w", err)
	}
	plan, err := explain(ctx, conn, "VERBOSE", make([]*string, len(types)))
	if err != nil || plan == nil {
		return err
	}
	into.shape, into.cost = plan.Plan.shape(), plan.Plan.Cost
	into.indexes = plan.Plan.indexes(nil)
	if schema.Verb(e.query.SQL) != "SELECT" && schema.Verb(e.query.SQL) != "WITH" {
		return nil
	}
	if into == &e.before {
		safe, err := callsNothingVolatile(ctx, conn, e.query.SQL+" "+plan.text)
		if err != nil || !safe {
			return err
		}
		e.values = e.findValues(ctx, conn, plan.Plan, types)
	}
	if len(e.values) != len(types) || e.values == nil || into == &e.after && !e.before.executed {
		return nil
	}
	for range 2 { // the second run finds the pages in memory
		ran, err := explain(ctx, conn, "ANALYZE, BUFFERS, TIMING OFF", e.values)
		if err != nil || ran == nil {
			return err
		}
		into.executed, into.buffers, into.time = true, ran.Plan.Hit+ran.Plan.Read, Duration(ran.ExecutionTime*float64(time.Millisecond))
		into.indexes = ran.Plan.indexes(into.indexes)
	}
	return nil
}

// explain returns nil where the server refuses: a statement that writes in spite of its name, or takes too long.
func explain(ctx context.Context, conn *pgx.Conn, options string, values []*string) (*planOutput, error) {
	sql := "EXPLAIN (" + options + ", FORMAT JSON) EXECUTE " + preparedName
	if len(values) > 0 {
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = "NULL"
			if v != nil {
				list[i] = holdfast.QuoteLiteral(*v)
			}
		}
		sql += "(" + strings.Join(list, ", ") + ")"
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("explain a statement: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = "+strconv.FormatInt(executionLimit.Milliseconds(), 10)); err != nil {
		return nil, fmt.Errorf("explain a statement: %w", err)
	}
	var text []byte
	err = tx.QueryRow(ctx, sql, pgx.QueryExecModeSimpleProtocol).Scan(&text)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !conn.IsClosed() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("explain a statement: %w", err)
	}
	var out []planOutput
	if err := json.Unmarshal(text, &out); err != nil || len(out) == 0 {
		return nil, fmt.Errorf("read the plan of a statement: %w", err)
	}
	out[0].text = string(text)
	return &out[0], nil
}

// called finds what may be the name of a function.
var called = regexp.MustCompile(`(\w+)"?\(`)

// callsNothingVolatile says whether a statement calls no function that might do something beyond reading: send a message, take a
// number, call another server. A read-only transaction does not keep it from that. text is the statement and its verbose plan, in which
// views and policies are resolved.
func callsNothingVolatile(ctx context.Context, conn *pgx.Conn, text string) (bool, error) {
	names := []string{}
	for _, m := range called.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1], strings.ToLower(m[1]))
	}
	var volatile bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = ANY ($1) AND provolatile = 'v')", names).Scan(&volatile); err != nil {
		return false, fmt.Errorf("look at what a statement calls: %w", err)
	}
	return !volatile, nil
}

// shape is the plan's outline: what it does to which tables by which index.
func (n planNode) shape() string {
	own := n.Type
	switch {
	case n.Index != "":
		own += "[" + n.Index + "]"
	case n.Relation != "":
		own += "[" + n.Relation + "]"
	}
	var parts []string
	for _, c := range n.Plans {
		parts = append(parts, c.shape())
	}
	switch len(parts) {
	case 0:
		return own
	case 1:
		return own + " > " + parts[0]
	}
	return own + " > (" + strings.Join(parts, ", ") + ")"
}

func (n planNode) indexes(list []string) []string {
	if n.Index != "" && !slices.Contains(list, n.Index) {
		list = append(list, n.Index)
	}
	for _, c := range n.Plans {
		list = c.indexes(list)
	}
	return list
}

// comparison finds a column that is compared with a parameter.
var comparison = regexp.MustCompile(`\(?(?:(\w+|"[^"]+")\.)?(\w+|"[^"]+")\)?(?:::[\w ]+)? (?:=|<|>|<=|>=|~~|~~\*|<>) (ANY \()?\$(\d+)`)

// findValues looks for a value of each parameter: one that is there in the column that it is compared with. nil: not for all.
func (e *explained) findValues(ctx context.Context, conn *pgx.Conn, plan planNode, types []string) []*string {
	found := make([]*string, len(types))
	e.collect(ctx, conn, plan, types, found)
	for i, v := range found {
		if v == nil && limitParameter(e.query.SQL, i+1) {
			ten := "10"
			if offsetParameter(e.query.SQL, i+1) {
				ten = "0"
			}
			found[i] = &ten
		}
		if found[i] == nil {
			return nil
		}
	}
	return found
}

func limitParameter(sql string, n int) bool {
	return regexp.MustCompile(`(?i)\b(LIMIT|OFFSET)\s+\$` + strconv.Itoa(n) + `\b`).MatchString(sql)
}

func offsetParameter(sql string, n int) bool {
	return regexp.MustCompile(`(?i)\bOFFSET\s+\$` + strconv.Itoa(n) + `\b`).MatchString(sql)
}

func (e *explained) collect(ctx context.Context, conn *pgx.Conn, node planNode, types []string, found []*string) {
	if node.Relation != "" {
		for _, condition := range []string{node.Conditions, node.Recheck, node.Filter} {
			for _, m := range comparison.FindAllStringSubmatch(condition, -1) {
				n, err := strconv.Atoi(m[4])
				if err != nil || n < 1 || n > len(types) || found[n-1] != nil {
					continue
				}
				value := sample(ctx, conn, node.Schema, node.Relation, strings.Trim(m[2], `"`))
				if value != nil && (m[3] != "" || strings.HasSuffix(types[n-1], "[]")) {
					array := `{"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(*value) + `"}`
					value = &array
				}
				found[n-1] = value
			}
		}
	}
	for _, c := range node.Plans {
		e.collect(ctx, conn, c, types, found)
	}
}

// sample is a value in the middle of what the column holds, as the statistics have it, or any one.
func sample(ctx context.Context, conn *pgx.Conn, space, table, column string) *string {
	var value *string
	err := conn.QueryRow(ctx, `SELECT coalesce((histogram_bounds::text::text[])[1 + array_length(histogram_bounds::text::text[], 1) / 2], (most_common_vals::text::text[])[1])
		FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 ORDER BY inherited DESC LIMIT 1`, space, table, column).Scan(&value)
	if err == nil && value != nil {
		return value
	}
	name := holdfast.QuoteIdentifier(column)
	if err := conn.QueryRow(ctx, "SELECT "+name+"::text FROM "+holdfast.QuoteQualified(space, table)+" WHERE "+name+" IS NOT NULL LIMIT 1").Scan(&value); err != nil {
		return nil // no row, or an expression that looked like a column: the statement is explained, not run
	}
	return value
}

// change compares the two looks. Buffers are what can be compared between machines and moments.
func (e *explained) change() QueryChange {
	b, a := e.before, e.after
	c := QueryChange{SQL: e.query.SQL, CallsPerDay: e.query.CallsPerDay, ShapeBefore: b.shape, ShapeAfter: a.shape, Executed: b.executed && a.executed, CostBefore: b.cost, CostAfter: a.cost}
	if c.Executed {
		c.BuffersBefore, c.BuffersAfter, c.TimeBefore, c.TimeAfter = b.buffers, a.buffers, b.time, a.time
	}
	switch {
	case c.Executed && b.shape != a.shape && 2*a.buffers > 3*b.buffers && a.buffers-b.buffers > 100:
		c.Regressed, c.Why = true, fmt.Sprintf("another plan that reads %d pages instead of %d", a.buffers, b.buffers)
	case c.Executed && a.time > 2*b.time && a.time-b.time > Duration(10*time.Millisecond) && 2*a.buffers > 3*b.buffers:
		c.Regressed, c.Why = true, fmt.Sprintf("it takes %.1f ms instead of %.1f ms", time.Duration(a.time).Seconds()*1000, time.Duration(b.time).Seconds()*1000)
	case !c.Executed && b.shape != a.shape && a.cost > 2*b.cost && a.cost-b.cost > 100:
		c.Regressed, c.Why = true, fmt.Sprintf("another plan that the planner thinks costs %.0f instead of %.0f", a.cost, b.cost)
	}
	return c
}
