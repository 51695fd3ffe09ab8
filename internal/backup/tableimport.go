package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// TableImport says how to bring a CSV file into one table.
type TableImport struct {
	Database Database
	Table    string            // as in SQL: public.orders
	Map      map[string]string // column of the file to column of the table, or to "": it is left out; those that are not named keep their name
	Upsert   []string          // columns of a unique key: a row that is there is changed; empty: every row is new
	DryRun   bool              // everything is tried, and then taken back
	CSVStyle

	// Begun, unless nil, is told before the first row which columns of the table the file brings, in the order of a rejected row's values.
	Begun func(columns []string)

	// Reject is told the rows that the table does not take, in the file's order, and the others are kept. Nil: the first such row ends the import,
	// and nothing is kept.
	Reject func(RejectedRow) error
}

// RejectedRow is a row that was not taken.
type RejectedRow struct {
	Line   int64 // of the file, where the row begins, from 1
	Reason string
	Values []*string // nil where the line is no CSV
	Text   string    // of such a line
}

// TableImported is what an import did.
type TableImported struct {
	Rows, Rejected int64
}

// importBatch bounds what is sent, and tried again in parts when a row of it is bad.
const (
	importBatchRows  = 5000
	importBatchBytes = 1 << 20
)

// tableImport is an import that runs: one transaction, with a savepoint around every batch, so that a bad row can be found.
type tableImport struct {
	ask    TableImport
	conn   *pgx.Conn
	copy   string       // takes a batch
	merge  string       // moves it from the stage to the table; empty: the copy went there
	skip   map[int]bool // the fields of the file that are left out
	keys   []int        // the fields that are the upsert key, counted without those
	seen   map[string]bool
	result TableImported

	buf   []byte
	ends  []int // of the rows in buf
	lines []int64
}

// ImportTable brings a CSV file into a table in one transaction. Memory does not grow with the file.
func ImportTable(ctx context.Context, ask TableImport, r io.Reader) (TableImported, error) {
	comma, err := ask.comma()
	if err != nil {
		return TableImported{}, err
	}
	enc, err := ask.encoding()
	if err != nil {
		return TableImported{}, err
	}
	conn, err := ask.Database.session(ctx)
	if err != nil {
		return TableImported{}, err
	}
	defer closeConn(conn)
	x := &tableImport{ask: ask, conn: conn, seen: map[string]bool{}}
	t, err := findRelation(ctx, conn, ask.Table)
	if err != nil {
		return TableImported{}, err
	}
	if t.kind == "v" || t.kind == "m" {
		return TableImported{}, &holdfast.Error{Kind: holdfast.Invalid, Message: t.name + " is a view: rows are imported into tables"}
	}
	records := newCSVRecords(stoppable{ctx, decoded(r, enc)}, comma)
	columns, err := x.header(records, t)
	if err != nil {
		return TableImported{}, err
	}
	for _, sql := range []string{"BEGIN", "SET CONSTRAINTS ALL IMMEDIATE"} { // a deferred constraint would not tell which row
		if _, err := conn.Exec(ctx, sql); err != nil {
			return TableImported{}, fmt.Errorf("begin the import: %w", err)
		}
	}
	if err := x.prepare(ctx, t, columns); err != nil {
		return TableImported{}, err
	}
	if ask.Begun != nil {
		ask.Begun(columnNames(columns))
	}
	if err := x.rows(ctx, records, len(columns)); err != nil {
		return TableImported{}, err
	}
	if ask.DryRun {
		return x.result, nil // closing the session takes it back
	}
	if err := x.moveSequences(ctx, t, columns); err != nil {
		return TableImported{}, err
	}
	if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
		return TableImported{}, fmt.Errorf("commit the import: %w", explainConflict(err))
	}
	return x.result, nil
}

func columnNames(columns []relationColumn) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// header reads the first line and says which column of the table each field is.
func (x *tableImport) header(records *csvRecords, t relation) ([]relationColumn, error) {
	var names []string
	if x.ask.NoHeader {
		if len(x.ask.Map) > 0 {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "a file without a header has no names to map"}
		}
		for _, c := range t.columns {
			if !c.computed {
				names = append(names, c.name)
			}
		}
	} else {
		fields, err := records.next()
		if errors.Is(err, io.EOF) {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the file is empty: its first line should name the columns"}
		}
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			names = append(names, string(f))
		}
	}
	return x.mapped(names, t)
}

func (x *tableImport) mapped(names []string, t relation) ([]relationColumn, error) {
	invalid := func(format string, args ...any) error {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf(format, args...), Hint: "--map FILECOLUMN=TABLECOLUMN says which column is which"}
	}
	used := map[string]bool{}
	at := map[string]int{}
	x.skip = map[int]bool{}
	var columns []relationColumn
	for i, name := range names {
		to, given := x.ask.Map[name]
		used[name] = given
		if given && to == "" {
			x.skip[i] = true
			continue
		}
		if !given {
			to = name
		}
		c, err := t.column(to)
		if err != nil && !given && (name == holdfast.RejectedLine || name == holdfast.RejectedReason) {
			x.skip[i] = true
			continue
		}
		if err != nil {
			return nil, invalid("%s has no column %q", t.name, to)
		}
		if c.computed {
			return nil, invalid("the column %q of %s is computed by the database", to, t.name)
		}
		if _, twice := at[to]; twice {
			return nil, invalid("two columns of the file are the column %q of %s", to, t.name)
		}
		at[to] = len(columns)
		columns = append(columns, c)
	}
	if len(columns) == 0 {
		return nil, invalid("no column of the file is one of %s", t.name)
	}
	for name := range x.ask.Map {
		if !used[name] {
			return nil, invalid("the file has no column %q", name)
		}
	}
	for _, key := range x.ask.Upsert {
		i, found := at[key]
		if !found {
			return nil, invalid("the file has no column for %q of the upsert key", key)
		}
		x.keys = append(x.keys, i)
	}
	return columns, nil
}

// prepare makes the statements, and for an upsert the stage.
func (x *tableImport) prepare(ctx context.Context, t relation, columns []relationColumn) error {
	var list, set []string
	for i, c := range columns {
		quoted := holdfast.QuoteIdentifier(c.name)
		list = append(list, quoted)
		isKey := false
		for _, k := range x.keys {
			isKey = isKey || k == i
		}
		if !isKey && !c.always { // only the database gives those
			set = append(set, quoted+" = excluded."+quoted)
		}
	}
	all := strings.Join(list, ", ")
	x.copy = "COPY " + t.name + " (" + all + ") FROM STDIN"
	if len(x.keys) == 0 {
		return nil
	}
	if _, err := x.conn.Exec(ctx, "CREATE TEMPORARY TABLE holdfast_import ON COMMIT DROP AS SELECT "+all+" FROM "+t.name+" WITH NO DATA"); err != nil {
		return fmt.Errorf("make the stage of the import: %w", explain(err))
	}
	var keys []string
	for _, name := range x.ask.Upsert {
		keys = append(keys, holdfast.QuoteIdentifier(name))
	}
	action := "NOTHING"
	if len(set) > 0 {
		action = "UPDATE SET " + strings.Join(set, ", ")
	}
	x.copy = "COPY pg_temp.holdfast_import (" + all + ") FROM STDIN"
	x.merge = "INSERT INTO " + t.name + " (" + all + ") OVERRIDING SYSTEM VALUE SELECT " + all + " FROM pg_temp.holdfast_import ON CONFLICT (" + strings.Join(keys, ", ") + ") DO " + action
	if _, err := x.conn.Exec(ctx, x.merge); err != nil { // the stage is empty; this only finds out whether there is such a key
		return asInvalid(err)
	}
	return nil
}

func (x *tableImport) rows(ctx context.Context, records *csvRecords, columns int) error {
	for {
		fields, err := records.next()
		if errors.Is(err, io.EOF) {
			return x.flush(ctx)
		}
		if err != nil {
			if !records.resumes {
				return err
			}
			if err := x.flush(ctx); err != nil { // the rejected rows come in order
				return err
			}
			reason := strings.TrimPrefix(err.Error(), fmt.Sprintf("line %d: ", records.line))
			if err := records.skipLine(); err != nil {
				return err
			}
			if err := x.reject(RejectedRow{Line: records.line, Reason: reason, Text: validText(bytes.TrimRight(records.raw, "\r\n"))}); err != nil {
				return err
			}
			continue
		}
		if len(fields) == 1 && fields[0] == nil && columns+len(x.skip) > 1 {
			continue // an empty line
		}
		if len(x.skip) > 0 {
			fields = x.without(fields)
		}
		if len(fields) != columns {
			if err := x.flush(ctx); err != nil {
				return err
			}
			row := RejectedRow{Line: records.line, Reason: fmt.Sprintf("it has %d values for %d columns", len(fields), columns), Values: texts(fields)}
			if err := x.reject(row); err != nil {
				return err
			}
			continue
		}
		if err := x.add(ctx, records.line, fields); err != nil {
			return err
		}
	}
}

// without takes the fields that are left out from a record.
func (x *tableImport) without(fields [][]byte) [][]byte {
	kept := fields[:0]
	for i, f := range fields {
		if !x.skip[i] {
			kept = append(kept, f)
		}
	}
	return kept
}

func (x *tableImport) add(ctx context.Context, line int64, fields [][]byte) error {
	if len(x.keys) > 0 {
		var key []byte
		for _, k := range x.keys {
			key = append(appendCopyValue(key, fields[k]), '\t')
		}
		if x.seen[string(key)] { // one statement cannot change a row twice; the later one counts
			if err := x.flush(ctx); err != nil {
				return err
			}
		}
		x.seen[string(key)] = true
	}
	x.buf = appendCopyRow(x.buf, fields)
	x.ends, x.lines = append(x.ends, len(x.buf)), append(x.lines, line)
	if len(x.lines) >= importBatchRows || len(x.buf) >= importBatchBytes {
		return x.flush(ctx)
	}
	return nil
}

func (x *tableImport) flush(ctx context.Context) error {
	err := x.put(ctx, 0, len(x.lines))
	x.buf, x.ends, x.lines = keepSmall(x.buf), x.ends[:0], x.lines[:0]
	clear(x.seen)
	return err
}

// text is COPY's text of the rows from..to.
func (x *tableImport) text(from, to int) []byte {
	begin := 0
	if from > 0 {
		begin = x.ends[from-1]
	}
	return x.buf[begin:x.ends[to-1]]
}

// put brings the rows from..to in. Where the server refuses them it tries smaller parts, until single rows are refused.
func (x *tableImport) put(ctx context.Context, from, to int) error {
	for from < to {
		err := x.try(ctx, from, to)
		if err == nil {
			x.result.Rows += int64(to - from)
			return nil
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || !blamesRow(pg) {
			return fmt.Errorf("import into %s: %w", x.ask.Table, explain(err))
		}
		if to-from == 1 {
			return x.refused(from, pg)
		}
		middle := from + (to-from)/2
		if n := copyLine(pg.Where); n > 1 && n <= to-from {
			middle = from + n - 1 // the rows before it were taken
		} else if n == 1 {
			middle = from + 1
		}
		if err := x.put(ctx, from, middle); err != nil {
			return err
		}
		from = middle
	}
	return nil
}

// try brings rows in, or leaves the transaction as it was.
func (x *tableImport) try(ctx context.Context, from, to int) error {
	if _, err := x.conn.Exec(ctx, "SAVEPOINT batch"); err != nil {
		return err
	}
	_, err := x.conn.PgConn().CopyFrom(ctx, strings.NewReader(string(x.text(from, to))), x.copy)
	if err == nil && x.merge != "" {
		if _, err = x.conn.Exec(ctx, x.merge); err == nil {
			_, err = x.conn.Exec(ctx, "TRUNCATE pg_temp.holdfast_import")
		}
	}
	if err != nil {
		if _, back := x.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT batch"); back != nil {
			return back
		}
		_, _ = x.conn.Exec(ctx, "RELEASE SAVEPOINT batch") // the next statement would find out
		return err
	}
	_, err = x.conn.Exec(ctx, "RELEASE SAVEPOINT batch")
	return err
}

// blamesRow says whether an error is about what a row holds: bad data (22), a constraint (23), a view's condition (44), or what a trigger raised.
// A second change of one row by one statement (21000) ends when the rows come one by one.
func blamesRow(pg *pgconn.PgError) bool {
	switch pg.Code[:min(2, len(pg.Code))] {
	case "21", "22", "23", "44", "P0":
		return true
	}
	return false
}

var copyLinePattern = regexp.MustCompile(`(?m)^COPY .*, line (\d+)`)

// copyLine is the row that COPY was at, from 1; 0: it does not say.
func copyLine(where string) int {
	m := copyLinePattern.FindStringSubmatch(where)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// refused deals with one row that the server refuses.
func (x *tableImport) refused(at int, pg *pgconn.PgError) error {
	reason := pg.Message
	if pg.Detail != "" {
		reason += ": " + pg.Detail
	}
	row := RejectedRow{Line: x.lines[at], Reason: reason}
	line := x.text(at, at+1)
	var s rowSplitter
	fields, err := s.split(line[:len(line)-1], strings.Count(string(line), "\t")+1)
	if err == nil {
		row.Values = texts(fields)
	}
	return x.reject(row)
}

func (x *tableImport) reject(row RejectedRow) error {
	if x.ask.Reject == nil {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d: %s", row.Line, row.Reason), Hint: "nothing was imported; mend the line, or give --rejects FILE to import the others"}
	}
	x.result.Rejected++
	return x.ask.Reject(row)
}

func validText(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

func texts(fields [][]byte) []*string {
	out := make([]*string, len(fields))
	for i, f := range fields {
		if f != nil {
			text := validText(f)
			out[i] = &text
		}
	}
	return out
}

// moveSequences sets the sequences of imported columns behind the largest value, so that the next row does not meet one that came.
func (x *tableImport) moveSequences(ctx context.Context, t relation, columns []relationColumn) error {
	for _, c := range columns {
		if c.sequence == nil || x.result.Rows == 0 {
			continue
		}
		_, err := x.conn.Exec(ctx, fmt.Sprintf(`SELECT pg_catalog.setval(%s::regclass, m.largest) FROM (SELECT max(%s)::bigint AS largest FROM %s) m, %s s
			WHERE m.largest > s.last_value OR m.largest = s.last_value AND NOT s.is_called`, holdfast.QuoteLiteral(*c.sequence), holdfast.QuoteIdentifier(c.name), t.name, *c.sequence))
		if err != nil {
			return fmt.Errorf("set the sequence of %s: %w", c.name, explain(err))
		}
	}
	return nil
}
