package rows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// EditKind is what an edit does to a row.
type EditKind string

// The kinds of edits.
const (
	Insert EditKind = "insert"
	Update EditKind = "update"
	Delete EditKind = "delete"
)

// Edit is one change of a row that somebody made by hand. Values are PostgreSQL's text, as its output functions write it and its input
// functions read it.
type Edit struct {
	Kind  EditKind
	Table string // as Find takes it
	// Old is the row as it was read, by column: at least the primary key, or every stored column where there is none. Each value must still
	// be there when the edit is made.
	Old map[string]Value
	Set map[string]Value // new values, by column; of an insert the others get their defaults
}

// Edited is what one edit came to.
type Edited struct {
	Kind          EditKind
	Table         string
	Row           string           // says which row it is: its key, for a person
	Before, After map[string]Value // nil: the row was, or is, not there
	SQL           string           // the statement with its values
}

// EditConflict says that a row is not what it was when it was read.
type EditConflict struct {
	Edit  int // which one, from 0
	Table string
	Row   string
	Gone  bool // the row is not there any more, or has another key
	Alike bool // several rows are the same, and nothing tells them apart
	// Then and Now hold the columns that differ.
	Then, Now map[string]Value
}

// maxEdits bounds the edits of one transaction: people make them by hand.
const maxEdits = 2000

// Editing is a transaction of edits.
type Editing struct {
	tx     pgx.Tx
	tables map[string]Table
	done   []Edited
	undo   []string
}

// BeginEdits prepares a transaction for edits.
func BeginEdits(tx pgx.Tx) *Editing { return &Editing{tx: tx, tables: map[string]Table{}} }

// Run makes the edits in order, each on its row as it was read, and returns the conflicts. When there is one the transaction is to be
// rolled back. An error says what PostgreSQL refused, and on which edit.
func (e *Editing) Run(ctx context.Context, edits []Edit) ([]EditConflict, error) {
	if len(edits) == 0 || len(edits) > maxEdits {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("1 to %d changes are saved at once", maxEdits)}
	}
	var conflicts []EditConflict
	for i, edit := range edits {
		conflict, err := e.run(ctx, edit)
		if err != nil {
			return nil, inEdit(i, edit, err)
		}
		if conflict != nil {
			conflict.Edit, conflict.Table = i, edit.Table
			conflicts = append(conflicts, *conflict)
		}
	}
	if len(conflicts) > 0 {
		return conflicts, nil
	}
	// What is only checked at the end shall fail here, where it can be said, and before anything is recorded.
	if _, err := e.tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return nil, refusedBy(err)
	}
	return nil, nil
}

// Done lists what the edits came to.
func (e *Editing) Done() []Edited { return e.done }

// inEdit says in which of several edits something was refused.
func inEdit(i int, edit Edit, err error) error {
	err = refusedBy(err)
	var known *holdfast.Error
	if !errors.As(err, &known) {
		return fmt.Errorf("change %d: %w", i+1, err)
	}
	return &holdfast.Error{Kind: known.Kind, Message: fmt.Sprintf("change %d (%s %s): %s", i+1, edit.Kind, edit.Table, known.Message), Hint: known.Hint, Cause: err}
}

// refusedBy is explain, for whatever a table's triggers and locks may answer.
func refusedBy(err error) error {
	err = explain(err)
	var pg *pgconn.PgError
	if known := (*holdfast.Error)(nil); errors.As(err, &known) || !errors.As(err, &pg) {
		return err
	}
	out := &holdfast.Error{Kind: holdfast.Conflict, Message: pg.Message, Hint: pg.Hint, Cause: err}
	switch pg.Code {
	case "55P03", "40P01", "57014":
		out.Kind, out.Hint = holdfast.Busy, "somebody else is working on these rows; nothing was saved, try again"
	}
	return out
}

func (e *Editing) table(ctx context.Context, name string) (Table, error) {
	if t, ok := e.tables[name]; ok {
		return t, nil
	}
	t, err := Find(ctx, e.tx.Conn(), name)
	if err == nil {
		e.tables[name] = t
	}
	return t, err
}

func (e *Editing) run(ctx context.Context, edit Edit) (*EditConflict, error) {
	t, err := e.table(ctx, edit.Table)
	if err != nil {
		return nil, err
	}
	if err := t.checkEdit(edit); err != nil {
		return nil, err
	}
	if edit.Kind == Insert {
		return nil, e.insert(ctx, t, edit)
	}
	row, place, conflict, err := e.lock(ctx, t, edit)
	if err != nil || conflict != nil {
		return conflict, err
	}
	if edit.Kind == Delete {
		return nil, e.remove(ctx, t, row, place)
	}
	return nil, e.update(ctx, t, row, place, edit)
}

func (t Table) checkEdit(edit Edit) error {
	invalid := func(format string, args ...any) error {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf(format, args...)}
	}
	for _, values := range []map[string]Value{edit.Old, edit.Set} {
		for name, v := range values {
			if t.columnIndex(name) < 0 {
				return invalid("%s has no column %q", t, name)
			}
			if v != nil && strings.ContainsRune(*v, 0) {
				return invalid("the value of %q holds a zero byte, which PostgreSQL does not keep", name)
			}
		}
	}
	for name := range edit.Set {
		if t.Columns[t.columnIndex(name)].Generated {
			return invalid("%q is computed from other columns", name)
		}
	}
	switch {
	case edit.Kind != Insert && edit.Kind != Update && edit.Kind != Delete:
		return invalid("a change is insert, update or delete")
	case edit.Kind == Update && len(edit.Set) == 0:
		return invalid("nothing is set")
	case edit.Kind == Insert:
		return nil
	}
	for _, i := range t.identity() {
		if _, ok := edit.Old[t.Columns[i].Name]; !ok {
			return invalid("the value that %q had is needed to find the row", t.Columns[i].Name)
		}
	}
	return nil
}

// identity lists the columns by which a row is found: the primary key, or all that are stored.
func (t Table) identity() []int {
	if len(t.Key) > 0 {
		return t.Key
	}
	return t.stored()
}

// place is where a locked row lies. It stays there until its transaction changes it.
type place struct{ table, ctid string }

// lock finds the row of an edit, locks it and compares it with what was read.
func (e *Editing) lock(ctx context.Context, t Table, edit Edit) (row []Value, at place, conflict *EditConflict, err error) {
	var conditions []string
	var args []Value
	for _, i := range t.identity() {
		name, v := t.Columns[i].Name, edit.Old[t.Columns[i].Name]
		switch {
		case v == nil:
			conditions = append(conditions, "r."+holdfast.QuoteIdentifier(name)+" IS NULL")
			continue
		case len(t.Key) > 0:
			conditions = append(conditions, fmt.Sprintf("r.%s = $%d", holdfast.QuoteIdentifier(name), len(args)+1))
		default:
			conditions = append(conditions, fmt.Sprintf("%s = $%d", outputOf(name), len(args)+1))
		}
		args = append(args, v)
	}
	conflict = &EditConflict{Row: t.rowName(edit.Old)}
	query := fmt.Sprintf("SELECT r.tableoid, r.ctid, %s FROM %s r WHERE %s LIMIT 2 FOR UPDATE", t.columnList("r."), t.SQL(), strings.Join(conditions, " AND "))
	found, _, err := e.exec(ctx, query, args)
	if err != nil {
		return nil, at, nil, err
	}
	switch len(found) {
	case 0:
		conflict.Gone = true
		return nil, at, conflict, nil
	case 2:
		conflict.Alike = true
		return nil, at, conflict, nil
	}
	at = place{table: *found[0][0], ctid: *found[0][1]}
	row = found[0][2:]
	for i, c := range t.Columns {
		if then, told := edit.Old[c.Name]; told && !same(then, row[i]) {
			if conflict.Then == nil {
				conflict.Then, conflict.Now = map[string]Value{}, map[string]Value{}
			}
			conflict.Then[c.Name], conflict.Now[c.Name] = then, row[i]
		}
	}
	if conflict.Then == nil {
		conflict = nil
	}
	return row, at, conflict, nil
}

// outputOf is a column as its output function writes it, which a cast to text does not always do (boolean, char).
func outputOf(column string) string {
	return "pg_catalog.format('%s', r." + holdfast.QuoteIdentifier(column) + ")"
}

func (t Table) columnList(prefix string) string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = prefix + holdfast.QuoteIdentifier(c.Name)
	}
	return strings.Join(parts, ", ")
}

// exec runs one statement with values that PostgreSQL gives the types that it wants, and returns its rows in their text form.
func (e *Editing) exec(ctx context.Context, sql string, args []Value) ([][]Value, int64, error) {
	params := make([][]byte, len(args))
	for i, v := range args {
		if v != nil {
			params[i] = []byte(*v)
		}
	}
	result := e.tx.Conn().PgConn().ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, 0, result.Err
	}
	out := make([][]Value, len(result.Rows))
	for i, raw := range result.Rows {
		out[i] = make([]Value, len(raw))
		for j, v := range raw {
			if v != nil {
				text := string(v)
				out[i][j] = &text
			}
		}
	}
	return out, result.CommandTag.RowsAffected(), nil
}

func (e *Editing) insert(ctx context.Context, t Table, edit Edit) error {
	var names, marks, literals []string
	var args []Value
	for _, c := range t.Columns {
		if v, ok := edit.Set[c.Name]; ok {
			args = append(args, v)
			names, marks, literals = append(names, holdfast.QuoteIdentifier(c.Name)), append(marks, fmt.Sprintf("$%d", len(args))), append(literals, literalOf(v))
		}
	}
	statement := func(values []string) string {
		if len(names) == 0 {
			return "INSERT INTO " + t.SQL() + " DEFAULT VALUES"
		}
		return "INSERT INTO " + t.SQL() + " (" + strings.Join(names, ", ") + ") OVERRIDING SYSTEM VALUE VALUES (" + strings.Join(values, ", ") + ")"
	}
	rows, _, err := e.exec(ctx, statement(marks)+" RETURNING "+t.columnList(""), args)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return untouched(t)
	}
	e.keep(t, Insert, statement(literals), nil, rows[0])
	e.undo = append(e.undo, "DELETE FROM "+t.SQL()+" r WHERE "+t.isStill(rows[0], t.stored()))
	return nil
}

func untouched(t Table) error {
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "a trigger or a rule of " + t.String() + " kept the row as it was", Hint: "nothing was saved"}
}

func (e *Editing) update(ctx context.Context, t Table, row []Value, at place, edit Edit) error {
	var marks, literals []string
	args := []Value{&at.table, &at.ctid}
	for _, c := range t.Columns {
		if v, ok := edit.Set[c.Name]; ok {
			args = append(args, v)
			marks = append(marks, fmt.Sprintf("%s = $%d", holdfast.QuoteIdentifier(c.Name), len(args)))
			literals = append(literals, holdfast.QuoteIdentifier(c.Name)+" = "+literalOf(v))
		}
	}
	rows, _, err := e.exec(ctx, "UPDATE "+t.SQL()+" r SET "+strings.Join(marks, ", ")+" WHERE r.tableoid = $1 AND r.ctid = $2 RETURNING "+t.columnList("r."), args)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return untouched(t)
	}
	e.keep(t, Update, "UPDATE "+t.SQL()+" r SET "+strings.Join(literals, ", ")+" WHERE "+t.is(row), row, rows[0])
	var back []string
	var touched []int
	for _, i := range t.stored() {
		if !same(row[i], rows[0][i]) {
			back = append(back, holdfast.QuoteIdentifier(t.Columns[i].Name)+" = "+literalOf(row[i]))
			touched = append(touched, i)
		}
	}
	if len(back) > 0 {
		if len(t.Key) == 0 {
			touched = t.stored()
		}
		e.undo = append(e.undo, "UPDATE "+t.SQL()+" r SET "+strings.Join(back, ", ")+" WHERE "+t.isStill(rows[0], touched))
	}
	return nil
}

func (e *Editing) remove(ctx context.Context, t Table, row []Value, at place) error {
	_, touched, err := e.exec(ctx, "DELETE FROM "+t.SQL()+" r WHERE r.tableoid = $1 AND r.ctid = $2", []Value{&at.table, &at.ctid})
	if err != nil {
		return err
	}
	if touched != 1 {
		return untouched(t)
	}
	e.keep(t, Delete, "DELETE FROM "+t.SQL()+" r WHERE "+t.is(row), row, nil)
	var names, literals []string
	for _, i := range t.stored() {
		names, literals = append(names, holdfast.QuoteIdentifier(t.Columns[i].Name)), append(literals, literalOf(row[i]))
	}
	e.undo = append(e.undo, "INSERT INTO "+t.SQL()+" ("+strings.Join(names, ", ")+") OVERRIDING SYSTEM VALUE VALUES ("+strings.Join(literals, ", ")+")")
	return nil
}

func (e *Editing) keep(t Table, kind EditKind, sql string, before, after []Value) {
	done := Edited{Kind: kind, Table: t.String(), SQL: sql, Before: t.byName(before), After: t.byName(after)}
	if done.Row = t.rowName(done.Before); before == nil {
		done.Row = t.rowName(done.After)
	}
	e.done = append(e.done, done)
}

func (t Table) byName(row []Value) map[string]Value {
	if row == nil {
		return nil
	}
	out := make(map[string]Value, len(row))
	for i, c := range t.Columns {
		out[c.Name] = row[i]
	}
	return out
}

// rowName says which row it is, for a person: the key, or the first values.
func (t Table) rowName(row map[string]Value) string {
	columns := t.identity()
	if len(t.Key) == 0 {
		columns = columns[:min(3, len(columns))]
	}
	parts := make([]string, len(columns))
	for i, k := range columns {
		text := "NULL"
		if v := row[t.Columns[k].Name]; v != nil {
			text = Shorten(*v, 80)
		}
		parts[i] = t.Columns[k].Name + " " + text
	}
	return strings.Join(parts, ", ")
}

// Shorten cuts text that is longer than so many characters, and says so.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + fmt.Sprintf("… (%d characters)", len(runes))
}

// is is the condition that finds a row: by its key, or by all that it stores.
func (t Table) is(row []Value) string {
	if len(t.Key) == 0 {
		return t.isStill(row, t.stored())
	}
	return t.isStill(row, nil)
}

// isStill is the condition that finds a row by its key, with these columns as they are in it.
func (t Table) isStill(row []Value, columns []int) string {
	var parts []string
	for _, i := range t.Key {
		parts = append(parts, "r."+holdfast.QuoteIdentifier(t.Columns[i].Name)+" = "+literalOf(row[i]))
	}
	for _, i := range columns {
		name := t.Columns[i].Name
		if row[i] == nil {
			parts = append(parts, "r."+holdfast.QuoteIdentifier(name)+" IS NULL")
		} else {
			parts = append(parts, outputOf(name)+" = "+literalOf(row[i]))
		}
	}
	return strings.Join(parts, " AND ")
}

func literalOf(v Value) string {
	if v == nil {
		return "NULL"
	}
	return strings.TrimSpace(holdfast.QuoteLiteral(*v))
}

// Undo is a script that takes the edits back, the last one first, as a whole or not at all: it fails when a row is not what the edits made
// of it. It sets what the text of values depends on to what it is in this session.
func (e *Editing) Undo(ctx context.Context) (string, error) {
	if len(e.undo) == 0 {
		return "", nil
	}
	var b strings.Builder
	b.WriteString("BEGIN;\n")
	for _, name := range []string{"datestyle", "intervalstyle", "timezone", "bytea_output"} {
		var value string
		if err := e.tx.QueryRow(ctx, "SELECT pg_catalog.current_setting($1)", name).Scan(&value); err != nil {
			return "", fmt.Errorf("read the session's settings: %w", err)
		}
		fmt.Fprintf(&b, "SET LOCAL %s = %s;\n", name, literalOf(&value))
	}
	var body strings.Builder
	body.WriteString("\nDECLARE touched bigint;\nBEGIN\n")
	for i := len(e.undo) - 1; i >= 0; i-- {
		body.WriteString("  " + e.undo[i] + ";\n  GET DIAGNOSTICS touched = ROW_COUNT;\n  IF touched <> 1 THEN\n" +
			"    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'a row was changed since', HINT = 'Nothing was taken back.';\n  END IF;\n")
	}
	body.WriteString("END\n")
	tag := "$undo$"
	for n := 1; strings.Contains(body.String(), tag); n++ {
		tag = fmt.Sprintf("$undo%d$", n)
	}
	b.WriteString("DO " + tag + body.String() + tag + ";\nCOMMIT;\n")
	return b.String(), nil
}
