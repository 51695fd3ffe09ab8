package rows

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
)

// Script is SQL to run, and its bounds.
type Script struct {
	SQL string
	// Write lets it change something. Then each statement is a transaction of its own unless the script says otherwise, as in psql.
	// Without it all run in one read-only transaction that no statement can leave, and that is rolled back in the end.
	Write            bool
	MaxRows          int // that are handed out of each result
	MaxBytes         int // of values that are handed out, over all results
	StatementTimeout time.Duration
}

// Event is one thing that happened while a script ran. One of its fields beside Statement is set.
type Event struct {
	Statement int // which of the script's statements, from 0
	Columns   []ResultColumn
	Rows      [][]Value
	Notice    *Message
	Done      *Done
	Failed    *Message // the last event: what follows in the script is not run
}

// ResultColumn is a column of a result.
type ResultColumn struct {
	Name string
	Type string // as format_type prints it
	OID  uint32
}

// Done says that a statement has succeeded.
type Done struct {
	SQL       string
	Tag       string // PostgreSQL's: SELECT 5, INSERT 0 1; of a result that was cut it counts no rows
	Rows      int    // that were handed out
	Truncated bool   // there are more
	Took      time.Duration
}

// Message is what PostgreSQL says: an error or a notice.
type Message struct {
	Severity, Code, Message, Detail, Hint, Where string
	Schema, Table, Column, Constraint            string
	Position                                     int // in characters of the script, from 1; 0: none
}

const (
	rowsAtOnce = 200
	// maxMessage bounds what one message of the server may take of our memory: a row of the greatest size would take a gigabyte.
	maxMessage = 32 << 20
)

// Run runs a script and tells what happens, in order. An error of the SQL is an event; an error that is returned is one of the
// connection, of each, or of the context, after which the connection is to be closed.
//
// Values are PostgreSQL's own text. The connection is used for nothing else meanwhile, and its settings are the script's afterwards.
func Run(ctx context.Context, conn *pgx.Conn, script Script, each func(Event) error) (err error) {
	r := &runner{front: conn.PgConn().Frontend(), script: script, each: each, types: map[uint32]string{}}
	r.front.SetMaxBodyLen(maxMessage)
	// A context that ends must end a read as well.
	stop := context.AfterFunc(ctx, func() { _ = conn.PgConn().Conn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	if err := r.prepare(); err != nil {
		return err
	}
	for i, statement := range Split(script.SQL) {
		r.index, r.statement = i, statement
		goOn, err := r.run()
		if err != nil {
			return err
		}
		if !goOn {
			break
		}
	}
	return r.end()
}

type runner struct {
	front  *pgproto3.Frontend
	script Script
	each   func(Event) error
	types  map[uint32]string

	index     int
	statement Statement
	handed    int  // bytes
	status    byte // of the transaction, as the server said last
	stale     bool // types may have been made since they were read
}

func (r *runner) prepare() error {
	settings := []string{"SET client_encoding = 'UTF8'", fmt.Sprintf("SET statement_timeout = %d", r.script.StatementTimeout.Milliseconds())}
	if !r.script.Write {
		settings = append(settings, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	}
	for _, s := range settings {
		if _, err := r.ask(s); err != nil {
			return err
		}
	}
	return r.readTypes()
}

// ask runs a statement of our own and returns its rows.
func (r *runner) ask(sql string) ([][]Value, error) {
	quiet := &runner{front: r.front, script: Script{MaxRows: 1 << 20, MaxBytes: 64 << 20}, statement: Statement{Text: sql}}
	var out [][]Value
	var failed *Message
	quiet.each = func(e Event) error {
		out = append(out, e.Rows...)
		failed = e.Failed
		return nil
	}
	if _, err := quiet.exchange(); err != nil {
		return nil, err
	}
	if r.status = quiet.status; failed != nil {
		return nil, fmt.Errorf("prepare to run SQL: %s (SQLSTATE %s)", failed.Message, failed.Code)
	}
	return out, nil
}

func (r *runner) readTypes() error {
	found, err := r.ask(`SELECT oid, pg_catalog.format_type(oid, NULL) FROM pg_catalog.pg_type`)
	for _, row := range found {
		oid, _ := strconv.ParseUint(*row[0], 10, 32) // PostgreSQL prints an oid so
		r.types[uint32(oid)] = *row[1]
	}
	r.stale = false
	return err
}

// run runs one statement, and says whether the script goes on.
func (r *runner) run() (goOn bool, err error) {
	if !r.script.Write {
		if refused := leavesTransaction(r.statement.Words); refused != "" {
			return false, r.refuse(refused + " is not possible where the script may only read")
		}
		// Were the transaction no longer read-only, by whatever way, nothing more may be run. Asking takes the snapshot, too, and after
		// that PostgreSQL itself refuses to make the transaction writable.
		mode, err := r.ask(`SELECT pg_catalog.current_setting('transaction_read_only')`)
		if err != nil {
			return false, err
		}
		if r.status != 'T' || len(mode) != 1 || *mode[0][0] != "on" {
			return false, r.refuse("the read-only transaction has ended")
		}
	}
	if r.stale && r.status != 'E' {
		if err := r.readTypes(); err != nil {
			return false, err
		}
	}
	return r.exchange()
}

func (r *runner) refuse(message string) error {
	return r.each(Event{Statement: r.index, Failed: &Message{Severity: "ERROR", Code: "25006", Message: message, Hint: "ask for the right to write", Position: r.statement.Start + 1}})
}

// leavesTransaction names the command that would end the transaction a script runs in; "" for any other.
func leavesTransaction(words string) string {
	w := strings.Fields(words + " - -")
	switch w[0] {
	case "BEGIN", "START", "COMMIT", "END", "ABORT":
		return w[0]
	case "ROLLBACK":
		if w[1] != "TO" && (w[1] != "WORK" && w[1] != "TRANSACTION" || w[2] != "TO") {
			return w[0]
		}
	case "PREPARE":
		if w[1] == "TRANSACTION" {
			return "PREPARE TRANSACTION"
		}
	}
	return ""
}

// exchange sends the statement in the extended protocol, which takes one and no more, and fetches its rows piece by piece.
func (r *runner) exchange() (goOn bool, err error) {
	begun := time.Now()
	r.front.SendParse(&pgproto3.Parse{Query: r.statement.Text})
	r.front.SendBind(&pgproto3.Bind{})
	r.front.SendDescribe(&pgproto3.Describe{ObjectType: 'P'})
	done := &Done{SQL: r.statement.Text}
	failed, err := r.fetch(done)
	if err != nil {
		return false, err
	}
	late, err := r.sync()
	if failed == nil {
		failed = late
	}
	if failed != nil { // also where the server said why it ends the session
		return false, r.each(Event{Statement: r.index, Failed: failed})
	}
	if err != nil {
		return false, err
	}
	done.Took = time.Since(begun)
	// PostgreSQL counts the rows of the last piece only.
	switch {
	case done.Truncated && (done.Tag == "" || strings.HasPrefix(done.Tag, "SELECT ")):
		done.Tag = r.statement.Command()
	case strings.HasPrefix(done.Tag, "SELECT ") && done.Rows > 0:
		done.Tag = fmt.Sprintf("SELECT %d", done.Rows)
	}
	r.stale = r.stale || !strings.HasPrefix(done.Tag, "SELECT") && !strings.HasPrefix(done.Tag, "INSERT") && !strings.HasPrefix(done.Tag, "UPDATE")
	return true, r.each(Event{Statement: r.index, Done: done})
}

// sync ends the exchange. An error may come as late as here: that of a deferred constraint.
func (r *runner) sync() (late *Message, err error) {
	r.status = 0
	r.front.SendSync(&pgproto3.Sync{})
	if err := r.front.Flush(); err != nil {
		return nil, fmt.Errorf("run SQL: %w", err)
	}
	for {
		message, err := r.receive()
		if err != nil {
			return late, err
		}
		switch m := message.(type) {
		case *pgproto3.ErrorResponse:
			late = r.message((*pgproto3.NoticeResponse)(m))
		case *pgproto3.ReadyForQuery:
			r.status = m.TxStatus
			return late, nil
		}
	}
}

// fetch executes the statement until it has ended or enough was handed out.
func (r *runner) fetch(done *Done) (failed *Message, err error) {
	for {
		want := min(rowsAtOnce, r.script.MaxRows-done.Rows)
		if want <= 0 {
			want = 1 // to see whether there are more
		}
		r.front.SendExecute(&pgproto3.Execute{MaxRows: uint32(want)})
		r.front.Send(&pgproto3.Flush{})
		if err := r.front.Flush(); err != nil {
			return nil, err
		}
		failed, suspended, err := r.fetchPiece(done)
		if err != nil || failed != nil || !suspended || done.Truncated {
			return failed, err
		}
	}
}

// fetchPiece reads what one Execute brings.
func (r *runner) fetchPiece(done *Done) (failed *Message, suspended bool, err error) {
	var piece [][]Value
	for {
		message, err := r.receive()
		if err != nil {
			return nil, false, err
		}
		switch m := message.(type) {
		case *pgproto3.RowDescription:
			err = r.each(Event{Statement: r.index, Columns: r.columns(m)})
		case *pgproto3.DataRow:
			piece = r.take(done, piece, m.Values)
		case *pgproto3.CopyOutResponse:
			err = r.each(Event{Statement: r.index, Columns: []ResultColumn{{Name: "copy", Type: "text", OID: 25}}})
		case *pgproto3.CopyData:
			if line := strings.TrimSuffix(string(m.Data), "\n"); m.Data != nil {
				piece = r.take(done, piece, [][]byte{[]byte(line)})
			}
		case *pgproto3.CopyInResponse:
			r.front.Send(&pgproto3.CopyFail{Message: "there is no way to send rows from here"})
			err = r.front.Flush()
		case *pgproto3.ErrorResponse:
			return r.message((*pgproto3.NoticeResponse)(m)), false, r.flushRows(piece)
		case *pgproto3.CommandComplete:
			done.Tag = string(m.CommandTag)
			return nil, false, r.flushRows(piece)
		case *pgproto3.EmptyQueryResponse:
			return nil, false, nil
		case *pgproto3.PortalSuspended:
			return nil, true, r.flushRows(piece)
		}
		if err == nil && len(piece) >= rowsAtOnce {
			err = r.flushRows(piece)
			piece = nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// take keeps a row to hand out, unless there were enough.
func (r *runner) take(done *Done, piece [][]Value, raw [][]byte) [][]Value {
	if done.Truncated || done.Rows >= r.script.MaxRows || r.handed >= r.script.MaxBytes {
		done.Truncated = true
		return piece
	}
	row := make([]Value, len(raw))
	for i, v := range raw {
		if v != nil {
			text := string(v)
			row[i] = &text
			r.handed += len(v)
		}
	}
	done.Rows++
	return append(piece, row)
}

func (r *runner) flushRows(piece [][]Value) error {
	if len(piece) == 0 {
		return nil
	}
	return r.each(Event{Statement: r.index, Rows: piece})
}

// receive returns the server's next message. What it says beside comes as notices.
func (r *runner) receive() (pgproto3.BackendMessage, error) {
	for {
		message, err := r.front.Receive()
		if err != nil {
			var large *pgproto3.ExceededMaxBodyLenErr
			if errors.As(err, &large) {
				return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a row is larger than %d MiB", maxMessage>>20), Hint: "select less of it, or use `holdfast psql`", Cause: err}
			}
			return nil, fmt.Errorf("run SQL: %w", err)
		}
		notice, ok := message.(*pgproto3.NoticeResponse)
		if !ok {
			return message, nil
		}
		if err := r.each(Event{Statement: r.index, Notice: r.message(notice)}); err != nil {
			return nil, err
		}
	}
}

func (r *runner) columns(d *pgproto3.RowDescription) []ResultColumn {
	out := make([]ResultColumn, len(d.Fields))
	for i, f := range d.Fields {
		name := r.types[f.DataTypeOID]
		if name == "" {
			name = strconv.FormatUint(uint64(f.DataTypeOID), 10)
		}
		out[i] = ResultColumn{Name: string(f.Name), Type: name, OID: f.DataTypeOID}
	}
	return out
}

func (r *runner) message(m *pgproto3.NoticeResponse) *Message {
	out := &Message{Severity: m.SeverityUnlocalized, Code: m.Code, Message: m.Message, Detail: m.Detail, Hint: m.Hint, Where: m.Where,
		Schema: m.SchemaName, Table: m.TableName, Column: m.ColumnName, Constraint: m.ConstraintName}
	if m.Position > 0 {
		out.Position = int(m.Position) + r.statement.Start
	}
	return out
}

// end leaves no transaction open.
func (r *runner) end() error {
	if r.status != 'T' && r.status != 'E' {
		return nil
	}
	if _, err := r.ask("ROLLBACK"); err != nil {
		return err
	}
	if !r.script.Write {
		return nil
	}
	return r.each(Event{Statement: r.index, Notice: &Message{Severity: "WARNING", Code: "25P01", Message: "the script left its transaction open, so it was rolled back"}})
}
