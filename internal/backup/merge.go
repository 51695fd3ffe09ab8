package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// MergeMode says what becomes of rows that are in both databases, or in one of them.
type MergeMode string

// The modes of a merge. Rows are told apart by the target's primary key, or where it has none by a unique key without NULLs.
const (
	Replace       MergeMode = "replace"        // afterwards the target has the source's rows and no others
	Upsert        MergeMode = "upsert"         // new rows come, rows that differ are changed, none goes
	InsertMissing MergeMode = "insert-missing" // new rows come, and nothing else happens
)

// MergeRequest says which rows go where.
type MergeRequest struct {
	From, To Database
	Tables   []string // patterns, over the source; empty: all
	Mode     MergeMode

	// Dry does everything and then takes it back: the report is exact, and conflicts show themselves.
	Dry bool

	// Cascade allows that rows of tables that were not chosen go or change along, by foreign keys with CASCADE, SET NULL or SET DEFAULT.
	Cascade bool

	// SkipTriggers keeps the users' triggers on the tables from firing. Otherwise they fire, as they do for everybody.
	SkipTriggers bool

	// Transform gives the SQL expression that stands for a column of the source, for masking; empty: the column itself. It may be nil.
	Transform func(schema, table, column string) string

	LockTimeout time.Duration // for tables of the target that somebody uses; 0: 10 s
	Progress    Progress
}

// TableMerge says what a merge did, or would do, with a table.
type TableMerge struct {
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	Source   int64  `json:"source"` // rows there
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
	After    int64  `json:"after"` // rows in the target afterwards
}

// Cascade says which rows of a table that was not chosen a merge takes along.
type Cascade struct {
	Table      string `json:"table"`
	ForeignKey string `json:"foreign_key"`
	Action     string `json:"action"` // deleted, changed, set to NULL, set to the default
	Rows       int64  `json:"rows"`
}

// MergeReport says what a merge did, or would do.
type MergeReport struct {
	Tables    []TableMerge `json:"tables"`
	Cascades  []Cascade    `json:"cascades,omitempty"`
	Deferred  []string     `json:"deferred,omitempty"` // foreign keys that were checked at the end instead of row by row
	Triggers  []string     `json:"triggers,omitempty"` // that fired, or with SkipTriggers did not
	Sequences []string     `json:"sequences,omitempty"`
	Notes     []string     `json:"notes,omitempty"`
}

// merge is one merge that runs.
type merge struct {
	req    *MergeRequest
	from   *snapshot
	conn   *pgx.Conn
	pairs  []pair
	keys   []foreignKey // of the target
	all    []Table      // of the target
	off    []trigger    // that were switched off
	report MergeReport
}

// pair is a table in both databases.
type pair struct {
	from, to Table
	columns  []Column // in both, as the target has them
	key      []string // nil: rows cannot be told apart
	stage    string
}

// Merge copies rows of tables from one database to another: all tables in one transaction, or nothing. The tables of the target
// are locked against other writers meanwhile. Foreign keys are checked at the end, every one of them; none is switched off.
// Sequences that feed the tables are set, never back. On a conflict (rows that break a rule of the target, other columns, rows that would
// be taken along) nothing is changed, and the report comes with the error.
func Merge(ctx context.Context, req MergeRequest) (MergeReport, error) {
	if !slices.Contains([]MergeMode{Replace, Upsert, InsertMissing}, req.Mode) {
		return MergeReport{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is no mode", req.Mode), Hint: "choose replace, upsert or insert-missing"}
	}
	from, err := openSnapshot(ctx, req.From, req.Tables, 0)
	if err != nil {
		return MergeReport{}, err
	}
	defer from.close()
	conn, err := req.To.session(ctx)
	if err != nil {
		return MergeReport{}, err
	}
	defer closeConn(conn)
	m := &merge{req: &req, from: from, conn: conn}
	err = inTransaction(ctx, conn, func() error { return m.run(ctx) })
	if errors.Is(err, errDry) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("merge %s into %s: %w", req.From.Name, req.To.Name, err)
	}
	return m.report, err
}

// errDry rolls a dry run back.
var errDry = errors.New("it was a dry run")

func (m *merge) run(ctx context.Context) error {
	steps := []func(context.Context) error{m.match, m.lock, m.fill, m.cascades, m.triggersOff}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	tables := make([]Table, len(m.pairs))
	for i, p := range m.pairs {
		tables[i] = p.to
	}
	deferred, err := deferKeys(ctx, m.conn, tables, m.keys)
	if err != nil {
		return err
	}
	for _, k := range deferred.altered {
		m.report.Deferred = append(m.report.Deferred, k.Name+" of "+k.TableName)
	}
	if err := m.apply(ctx); err != nil {
		return err
	}
	m.req.Progress.step("checking the foreign keys", 0, 0, "")
	if err := deferred.check(ctx); err != nil {
		return err
	}
	if err := m.triggersOn(ctx); err != nil {
		return err
	}
	if err := m.sequences(ctx); err != nil {
		return err
	}
	if m.req.Dry {
		return errDry
	}
	return nil
}

// match finds the tables in both databases and refuses what does not fit.
func (m *merge) match(ctx context.Context) error {
	var err error
	if m.all, err = readTables(ctx, m.conn); err != nil {
		return err
	}
	if m.keys, err = readForeignKeys(ctx, m.conn); err != nil {
		return err
	}
	var wrong []string
	var targets []Table
	pairs := map[uint32]pair{}
	for _, t := range m.from.tables {
		if t.Partition {
			continue // its rows come with the partitioned table
		}
		p, why := m.pair(t)
		if why == "" && p.to.OID != 0 {
			if p.key, err = uniqueKey(ctx, m.conn, p.to.OID); err != nil {
				return err
			}
			if p.key == nil && m.req.Mode != Replace {
				why = fmt.Sprintf("%s has no primary key, so its rows cannot be told apart", t)
			}
		}
		if why != "" {
			wrong = append(wrong, why)
			continue
		}
		targets = append(targets, p.to)
		pairs[p.to.OID] = p
	}
	if len(wrong) > 0 {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "the tables do not fit: " + strings.Join(wrong, "; "), Hint: "bring the schemas together first, or choose other tables or the mode replace"}
	}
	if len(targets) == 0 {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "no table was chosen", Hint: "name partitioned tables rather than their partitions"}
	}
	for i, t := range parentsFirst(targets, m.keys) {
		p := pairs[t.OID]
		p.stage = `pg_temp."holdfast_stage_` + strconv.Itoa(i) + `"`
		m.pairs = append(m.pairs, p)
	}
	return nil
}

// pair finds the source's table in the target and says why it does not fit, if it does not.
func (m *merge) pair(t Table) (pair, string) {
	i := slices.IndexFunc(m.all, func(o Table) bool { return o.Schema == t.Schema && o.Name == t.Name })
	if i < 0 {
		return pair{}, fmt.Sprintf("the target has no table %s", t)
	}
	p := pair{from: t, to: m.all[i]}
	if p.to.Partition {
		return pair{}, fmt.Sprintf("%s is a partition in the target", t)
	}
	if why := columnsDiffer(t, p.to); len(why) > 0 {
		return pair{}, fmt.Sprintf("%s: %s", t, strings.Join(why, ", "))
	}
	for _, c := range p.to.Columns {
		if slices.ContainsFunc(t.Columns, func(o Column) bool { return o.Name == c.Name }) {
			p.columns = append(p.columns, c)
		}
	}
	return p, ""
}

// columnsDiffer says what keeps rows of one table from being put into the other. A column that only the target has is no hindrance when it can be left out.
func columnsDiffer(from, to Table) []string {
	var why []string
	for _, c := range from.Columns {
		i := slices.IndexFunc(to.Columns, func(o Column) bool { return o.Name == c.Name })
		switch {
		case i < 0 && slices.Contains(to.Generated, c.Name):
			why = append(why, fmt.Sprintf("the target computes the column %s", c.Name))
		case i < 0:
			why = append(why, fmt.Sprintf("the target has no column %s", c.Name))
		case to.Columns[i].Type != c.Type:
			why = append(why, fmt.Sprintf("the column %s is %s and in the target %s", c.Name, c.Type, to.Columns[i].Type))
		}
	}
	for _, c := range to.Columns {
		if c.NotNull && !c.Default && !c.Identity && !slices.ContainsFunc(from.Columns, func(o Column) bool { return o.Name == c.Name }) {
			why = append(why, fmt.Sprintf("the target needs a value in the column %s", c.Name))
		}
	}
	return why
}

// uniqueKey is the primary key's columns, or those of a unique key without NULLs; nil when there is neither.
func uniqueKey(ctx context.Context, conn *pgx.Conn, table uint32) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, pos) JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
		             WHERE k.pos <= i.indnkeyatts ORDER BY k.pos)
		FROM pg_catalog.pg_index i
		WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		  AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, pos) JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
		                  WHERE k.pos <= i.indnkeyatts AND (NOT a.attnotnull OR a.attgenerated <> ''))
		ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1`, table)
	if err != nil {
		return nil, fmt.Errorf("look for a key: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, fmt.Errorf("look for a key: %w", err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return keys[0], nil
}

// lock keeps other writers out of the tables until the end. Readers are not disturbed.
func (m *merge) lock(ctx context.Context) error {
	timeout := m.req.LockTimeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	names := make([]string, len(m.pairs))
	for i, p := range m.pairs {
		names[i] = p.only()
	}
	slices.Sort(names) // two merges at once wait for each other and do not deadlock
	_, err := m.conn.Exec(ctx, "SET LOCAL lock_timeout = "+strconv.FormatInt(max(1, timeout.Milliseconds()), 10))
	if err == nil {
		_, err = m.conn.Exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN SHARE ROW EXCLUSIVE MODE")
	}
	if err != nil {
		return fmt.Errorf("lock the tables: %w", explain(err))
	}
	return nil
}

// only is the table's name in a statement that means its own rows; of a partitioned table those of its partitions.
func (p pair) only() string {
	if p.to.Partitioned {
		return p.to.String()
	}
	return "ONLY " + p.to.String()
}
