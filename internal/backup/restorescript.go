package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// scriptRun carries out the statements of a script in one session.
type scriptRun struct {
	conn   *pgx.Conn
	req    *RestoreRequest
	known  map[string]bool // settings of the server
	result *RestoreResult
	path   searchPath
	wanted func(schema, name string) bool // nil: every table
	inTx   bool
	total  int64 // bytes to read, for progress; 0: not known
}

func newScriptRun(ctx context.Context, conn *pgx.Conn, req *RestoreRequest, result *RestoreResult) (*scriptRun, error) {
	rows, err := conn.Query(ctx, "SELECT lower(name) FROM pg_catalog.pg_settings")
	if err != nil {
		return nil, fmt.Errorf("list the server's settings: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the server's settings: %w", err)
	}
	run := &scriptRun{conn: conn, req: req, result: result, known: map[string]bool{}}
	for _, name := range names {
		run.known[name] = true
	}
	if len(req.Tables) > 0 {
		run.wanted = req.wants
	}
	return run, nil
}

// run carries out a whole script.
func (x *scriptRun) run(ctx context.Context, r io.Reader) error {
	s := newScriptReader(r)
	for {
		stmt, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x.path.follow(stmt)
		if x.skips(stmt) {
			continue
		}
		if s.copying {
			err = x.copyRows(ctx, s, stmt)
		} else {
			err = x.statement(ctx, stmt, s.begins)
		}
		if err != nil {
			return err
		}
		x.req.Progress.step("restoring", s.bytes, x.total, "bytes")
	}
}

// skips says whether the request leaves the statement out.
func (x *scriptRun) skips(stmt []byte) bool {
	head := stmt[:min(len(stmt), 200)]
	switch classify(stmt) {
	case sessionStatement:
		name, _, isSet := parseSet(stmt)
		if isSet && !x.known[name] && !strings.Contains(name, ".") {
			x.result.note("the server does not know the setting %s; it was left out", name)
			return true
		}
		return isSet && name == "row_security" || beginsWith(head, "set", "role")
	case ownerStatement:
		return !x.req.KeepOwners || x.req.DataOnly
	case rightsStatement:
		return !x.req.KeepRights || x.req.DataOnly
	case rowStatement:
		schema, name, ok := rowTarget(stmt)
		return x.req.SchemaOnly || x.wanted != nil && ok && !x.wanted(x.path.schema(schema), name)
	case sequenceStatement:
		return x.req.SchemaOnly
	case objectStatement:
		transaction := beginsWith(head, "begin") || beginsWith(head, "commit")
		return x.req.SchemaOnly || x.wanted != nil || transaction && x.inTx
	case refreshStatement:
		return x.req.SchemaOnly || x.wanted != nil
	}
	return x.req.DataOnly
}

func (x *scriptRun) copyRows(ctx context.Context, s *scriptReader, stmt []byte) error {
	schema, name, _ := rowTarget(stmt)
	schema = x.path.schema(schema)
	sql, line := string(stmt), s.begins
	x.req.Progress.step("restoring "+holdfast.QuoteQualified(schema, name), s.bytes, x.total, "bytes")
	data := &failingReader{r: s.data()}
	tag, err := x.conn.PgConn().CopyFrom(ctx, data, sql)
	if data.err != nil {
		return data.err // the script's own damage, not what the server says about the end of the rows
	}
	if err != nil {
		return x.failed(err, line, []byte(sql))
	}
	x.result.add(schema, name, tag.RowsAffected())
	return nil
}

// failingReader keeps the error that stopped it.
type failingReader struct {
	r   io.Reader
	err error
}

func (f *failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func (x *scriptRun) statement(ctx context.Context, stmt []byte, line int64) error {
	if beginsWith(stmt[:min(len(stmt), 200)], "create", "extension") && x.req.Extension != nil {
		return x.extension(ctx, stmt, line)
	}
	err := x.conn.PgConn().Exec(ctx, string(stmt)).Close()
	if err == nil {
		return nil
	}
	if why := x.harmless(err, stmt); why != "" {
		x.result.note("%s", why)
		return nil
	}
	return x.failed(err, line, stmt)
}

// harmless says why an error in a statement loses nothing, or "". Dumps of older versions, and such as were made of one schema, make
// things that every new database has.
func (x *scriptRun) harmless(err error, stmt []byte) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || x.inTx {
		return ""
	}
	head := stmt[:min(len(stmt), 200)]
	switch {
	case pg.Code == "42P06" && beginsWith(head, "create", "schema", "public"):
		return "the schema public was there already"
	case pg.Code == "42710" && beginsWith(head, "create", "extension"):
		return pg.Message
	case pg.Code == "42501" && (beginsWith(head, "comment", "on", "extension") || beginsWith(head, "comment", "on", "schema", "public")):
		return "a comment was left out: " + pg.Message
	case pg.Code == "42P01" && x.wanted != nil && beginsWith(head, "alter", "table") && bytes.Contains(stmt, []byte("FOREIGN KEY")):
		return "a foreign key was left out, for only some tables are in the backup: " + pg.Message
	case pg.Code == "23503" && x.wanted != nil && beginsWith(head, "alter", "table"):
		return "a foreign key was left out, for only some tables were restored: " + pg.Message
	}
	return ""
}

// extension lets the caller make an extension; to make one needs more rights than a database's owner may have.
func (x *scriptRun) extension(ctx context.Context, stmt []byte, line int64) error {
	words := strings.Fields(strings.TrimSuffix(string(stmt), ";"))[2:]
	if len(words) > 3 && strings.EqualFold(strings.Join(words[:3], " "), "if not exists") {
		words = words[3:]
	}
	rest := []byte(strings.Join(words, " "))
	parts, rest, ok := parseName(rest)
	if !ok {
		return x.failed(errors.New("the extension's name cannot be read"), line, stmt)
	}
	schema := ""
	if _, after, found := strings.Cut(strings.ToLower(string(rest)), "schema "); found {
		at := len(rest) - len(after)
		if names, _, ok := parseName(rest[at:]); ok {
			schema = names[0]
		}
	}
	if err := x.req.Extension(ctx, parts[0], schema); err != nil {
		return fmt.Errorf("make the extension %s: %w", parts[0], err)
	}
	return nil
}

// failed says which statement could not be carried out.
func (x *scriptRun) failed(err error, line int64, stmt []byte) error {
	text := strings.Join(strings.Fields(string(stmt[:min(len(stmt), 300)])), " ")
	if len(text) > 160 {
		text = strings.ToValidUTF8(text[:160], "") + " ..."
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("restore line %d (%s): %w", line, text, err)
	}
	e := &holdfast.Error{Kind: holdfast.KindOf(explain(err)), Message: fmt.Sprintf("line %d of the dump cannot be restored: %s, in: %s", line, pg.Message, text), Hint: pg.Hint, Cause: err}
	switch pg.Code {
	case "0A000", "58P01":
		if beginsWith(stmt, "create", "extension") {
			e.Kind, e.Hint = holdfast.Precondition, "install the extension's files on this machine, for example with: apt-get install postgresql-contrib"
		}
	case "42704":
		e.Kind = holdfast.Precondition
		if strings.Contains(pg.Message, "role") {
			e.Hint = "restore without owners and rights, or make the role first"
		}
	case "42601":
		e.Kind, e.Hint = holdfast.Precondition, "the dump may come from a newer version of PostgreSQL than this server's"
	}
	return e
}
