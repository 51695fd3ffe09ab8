// Package sample makes the data set that a new project can begin with: a small CRM of investors, startups, deals and the
// news about them. The same number of rows gives the same bytes on every machine, in constant memory.
//
// It only writes to the io.Writer that it is handed. Loading goes: run Schema, COPY what Write gives for each of Tables in
// that order, run After; best in one transaction, so that a broken load leaves nothing. The SQL names nothing by schema: it
// goes where search_path points, and belongs to the role that runs it.
package sample

import (
	"bufio"
	_ "embed" // the SQL files
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
)

// DefaultRows is a size that loads in a second or two and still has enough to look at.
const DefaultRows = 5000

// MaxRows keeps every identifier inside PostgreSQL's integer.
const MaxRows = 1 << 31

//go:embed schema.sql
var schemaSQL string

//go:embed after.sql
var afterSQL string

// Table is one table of the sample and the columns, in order, that Write gives values for.
type Table struct {
	Name    string
	Columns []string
}

// table is what is known of a table beyond its name: how many rows it has and what a row is.
type table struct {
	Table
	count func(rows int64) int64
	row   func(*generator, int64)
}

// Schema is the SQL that makes types, tables, triggers and views. It needs an empty database and no superuser.
func Schema() string { return schemaSQL }

// After is the SQL that follows the rows: foreign keys, indexes, the sequences behind the identifiers, statistics. It works
// on tables without rows too.
func After() string {
	var b strings.Builder
	b.WriteString(afterSQL)
	b.WriteByte('\n')
	for _, t := range tables() {
		name := holdfast.QuoteIdentifier(t.Name)
		fmt.Fprintf(&b, "SELECT setval(pg_get_serial_sequence(%s, 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) FROM %s;\n",
			holdfast.QuoteLiteral(name), name)
	}
	for _, t := range tables() {
		fmt.Fprintf(&b, "ANALYZE %s;\n", holdfast.QuoteIdentifier(t.Name))
	}
	return b.String()
}

// Tables lists the tables so that each comes after those it refers to.
func Tables() []Table {
	var out []Table
	for _, t := range tables() {
		out = append(out, t.Table)
	}
	return out
}

// Count is how many rows a table has when the biggest, messages, has the given number of them.
func Count(name string, rows int64) (int64, error) {
	t, err := find(name, rows)
	if err != nil {
		return 0, err
	}
	return t.count(rows), nil
}

// Write writes the rows of one table to w in the text format of COPY ... FROM STDIN. rows is the number of rows of the
// biggest table, messages; the others are smaller in proportion, and none is empty unless rows is 0.
func Write(w io.Writer, name string, rows int64) error {
	t, err := find(name, rows)
	if err != nil {
		return err
	}
	g := newGenerator(rows)
	buffered := bufio.NewWriterSize(w, 64<<10)
	for id := int64(1); id <= t.count(rows); id++ {
		g.begin(name, id)
		t.row(g, id)
		if _, err := buffered.Write(g.line.end()); err != nil {
			return fmt.Errorf("write the rows of %s: %w", name, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write the rows of %s: %w", name, err)
	}
	return nil
}

func find(name string, rows int64) (table, error) {
	if rows < 0 || rows >= MaxRows {
		return table{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a sample of %d rows cannot be made", rows),
			Hint: fmt.Sprintf("choose 0 to %d rows", int64(MaxRows-1))}
	}
	all := tables()
	i := slices.IndexFunc(all, func(t table) bool { return t.Name == name })
	if i < 0 {
		return table{}, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the sample has no table %q", name)}
	}
	return all[i], nil
}

// tables is the plan: order, columns and proportions.
func tables() []table {
	return []table{
		{Table{"regions", columns("id parent_id code name time_zone")}, atMost(int64(len(regions))), (*generator).region},
		{Table{"sources", columns("id region_id name url kind reliability active created_at")}, oneIn(200), (*generator).source},
		{Table{"investment_firms", columns("id region_id name website founded assets focus created_at updated_at")}, oneIn(50), (*generator).firm},
		{Table{"investors", columns("id firm_id full_name email title ticket_min ticket_max sectors preferences created_at updated_at")}, oneIn(20), (*generator).investor},
		{Table{"startups", columns("id region_id name website sector stage founded_on employees valuation tags profile created_at updated_at")}, oneIn(20), (*generator).startup},
		{Table{"contacts", columns("id startup_id full_name email phone position languages details created_at updated_at")}, oneIn(4), (*generator).contact},
		{Table{"deals", columns("id startup_id investor_id stage amount currency probability terms opened_at closed_at updated_at")}, oneIn(10), (*generator).deal},
		{Table{"subscribers", columns("id region_id email full_name token plan topics preferences subscribed_at unsubscribed_at")}, oneIn(5), (*generator).subscriber},
		{Table{"news_articles", columns("id source_id startup_id title url body tags sentiment published_at")}, oneIn(10), (*generator).article},
		{Table{"messages", columns("id contact_id deal_id channel outgoing subject body metadata sent_at read_at")}, oneIn(1), (*generator).message},
	}
}

func columns(names string) []string { return strings.Fields(names) }

// oneIn gives a table one row for each n of the biggest table, rounded up.
func oneIn(n int64) func(int64) int64 {
	return func(rows int64) int64 { return (rows + n - 1) / n }
}

func atMost(n int64) func(int64) int64 {
	return func(rows int64) int64 { return min(rows, n) }
}
