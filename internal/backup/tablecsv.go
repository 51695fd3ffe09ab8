package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	charset "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"

	"github.com/holdfast/holdfast"
)

// CSVStyle is how a CSV file of one table is written.
type CSVStyle struct {
	Delimiter string // one ASCII character; empty: a comma
	Encoding  string // as IANA names it; empty: UTF-8
	NoHeader  bool   // the first line is a row
}

// comma is the delimiter as a byte.
func (s CSVStyle) comma() (byte, error) {
	switch {
	case s.Delimiter == "":
		return ',', nil
	case s.Delimiter == `\t`:
		return '\t', nil
	case len(s.Delimiter) != 1 || s.Delimiter[0] >= 0x80 || s.Delimiter[0] < ' ' && s.Delimiter != "\t" || strings.ContainsAny(s.Delimiter, "\"\x7f"):
		return 0, &holdfast.Error{Kind: holdfast.Invalid, Message: "the delimiter is one ASCII character and no quote", Hint: `write a tabulator as \t`}
	}
	return s.Delimiter[0], nil
}

// charset is the encoding; nil: UTF-8.
func (s CSVStyle) encoding() (charset.Encoding, error) {
	switch strings.ToUpper(s.Encoding) {
	case "", "UTF8", "UTF-8":
		return nil, nil
	}
	e, err := ianaindex.IANA.Encoding(s.Encoding)
	if err != nil || e == nil {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the encoding %q is not known", s.Encoding), Hint: "use an IANA name: UTF-8, UTF-16, ISO-8859-1, windows-1252, Shift_JIS"}
	}
	return e, nil
}

// TableExport says what of one table to write.
type TableExport struct {
	Database Database
	Table    string   // as in SQL: public.orders
	Columns  []string // in this order; empty: all but those that the database computes
	Where    string   // an SQL condition; empty: every row
	CSVStyle
}

// ExportTable writes a table or view as CSV, as COPY does: NULL is nothing, an empty text is in quotes. It returns the number of rows. Nothing
// is written before the first row is there, so that an error before it leaves w untouched.
func ExportTable(ctx context.Context, ask TableExport, w io.Writer) (int64, error) {
	comma, err := ask.comma()
	if err != nil {
		return 0, err
	}
	enc, err := ask.encoding()
	if err != nil {
		return 0, err
	}
	conn, err := ask.Database.session(ctx)
	if err != nil {
		return 0, err
	}
	defer closeConn(conn)
	t, err := findRelation(ctx, conn, ask.Table)
	if err != nil {
		return 0, err
	}
	query, err := t.exportQuery(ask.Columns, ask.Where)
	if err != nil {
		return 0, err
	}
	if _, err := conn.Exec(ctx, "BEGIN READ ONLY"); err != nil {
		return 0, fmt.Errorf("begin to read: %w", err)
	}
	// A condition is somebody else's SQL. COPY goes by the simple protocol, which takes further statements; preparing does not.
	if _, err := conn.Prepare(ctx, "export", query); err != nil {
		return 0, asInvalid(err)
	}
	header := ", HEADER"
	if ask.NoHeader {
		header = ""
	}
	out := w
	var encoded *transform.Writer
	if enc != nil {
		encoded = transform.NewWriter(w, enc.NewEncoder())
		out = encoded
	}
	tag, err := conn.PgConn().CopyTo(ctx, out, fmt.Sprintf("COPY (%s) TO STDOUT (FORMAT csv, DELIMITER %s%s)", query, holdfast.QuoteLiteral(string(comma)), header))
	if err == nil && encoded != nil {
		err = encoded.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("export %s: %w", ask.Table, explain(err))
	}
	return tag.RowsAffected(), nil
}

// relation is a table or a view by the name that a user gave.
type relation struct {
	oid     uint32
	name    string // in SQL
	kind    string
	columns []relationColumn
}

type relationColumn struct {
	name             string
	computed, always bool
	sequence         *string
}

// findRelation finds a table by its name as in SQL. It leaves the session with the search path of the database, which conditions, triggers and
// defaults of the user's expect.
func findRelation(ctx context.Context, conn *pgx.Conn, name string) (relation, error) {
	var r relation
	// The session was opened with another path, so that RESET would bring that one.
	if _, err := conn.Exec(ctx, `SELECT pg_catalog.set_config('search_path', coalesce((
		SELECT substr(setting, length('search_path=') + 1) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS setting
		WHERE setting LIKE 'search\_path=%' AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) AND s.setrole IN (0, current_user::regrole)
		ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), '"$user", public'), false)`); err != nil {
		return r, fmt.Errorf("prepare the session: %w", err)
	}
	var schema, table string
	err := conn.QueryRow(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, name).Scan(&r.oid, &schema, &table, &r.kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no table " + name, Hint: "write it as in SQL: orders, sales.orders, \"Orders\""}
	}
	if err != nil {
		return r, asInvalid(err)
	}
	r.name = holdfast.QuoteQualified(schema, table)
	rows, err := conn.Query(ctx, `SELECT a.attname, a.attgenerated <> '', a.attidentity = 'a', pg_catalog.pg_get_serial_sequence($2, a.attname)
		FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, r.oid, r.name)
	if err != nil {
		return r, fmt.Errorf("list the columns of %s: %w", name, err)
	}
	r.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c relationColumn, err error) {
		return c, row.Scan(&c.name, &c.computed, &c.always, &c.sequence)
	})
	if err != nil {
		return r, fmt.Errorf("list the columns of %s: %w", name, err)
	}
	return r, nil
}

func (r relation) column(name string) (relationColumn, error) {
	for _, c := range r.columns {
		if c.name == name {
			return c, nil
		}
	}
	return relationColumn{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s has no column %q", r.name, name), Hint: "names of columns are compared letter by letter"}
}

func (r relation) exportQuery(columns []string, where string) (string, error) {
	if len(columns) == 0 {
		for _, c := range r.columns {
			if !c.computed {
				columns = append(columns, c.name)
			}
		}
	}
	quoted := make([]string, len(columns))
	for i, name := range columns {
		if _, err := r.column(name); err != nil {
			return "", err
		}
		quoted[i] = holdfast.QuoteIdentifier(name)
	}
	query := "SELECT " + strings.Join(quoted, ", ") + " FROM " + r.name
	if where != "" {
		query += " WHERE (" + where + "\n)" // the line end closes a comment
	}
	return query, nil
}

// asInvalid is explain for SQL that a user wrote.
func asInvalid(err error) error {
	explained := explain(err)
	if holdfast.KindOf(explained) != holdfast.Internal {
		return explained
	}
	return &holdfast.Error{Kind: holdfast.Invalid, Message: explained.Error(), Cause: err}
}

// decoded reads a file in its encoding as UTF-8, without the mark that some programs put before it.
func decoded(r io.Reader, enc charset.Encoding) io.Reader {
	if enc != nil {
		r = transform.NewReader(r, enc.NewDecoder())
	}
	b := bufio.NewReaderSize(r, 64<<10)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3) // it was just seen
	}
	return b
}
