package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// fill copies the source's rows into temporary tables of the target, where they can be compared. Only the target's disk holds them.
func (m *merge) fill(ctx context.Context) error {
	for i, p := range m.pairs {
		m.req.Progress.step("copying "+p.to.String(), int64(i), int64(len(m.pairs)), "tables")
		if _, err := m.conn.Exec(ctx, "CREATE TEMPORARY TABLE "+p.stage+" ON COMMIT DROP AS SELECT "+p.list("")+" FROM "+p.only()+" WITH NO DATA"); err != nil {
			return fmt.Errorf("make room for the rows of %s: %w", p.to, explain(err))
		}
		rows, err := pump(ctx, m.from.conn, p.copyOut(m.req.Transform), m.conn, "COPY "+p.stage+" FROM STDIN")
		if err != nil {
			return fmt.Errorf("copy the rows of %s: %w", p.to, explain(err))
		}
		m.report.Tables = append(m.report.Tables, TableMerge{Schema: p.to.Schema, Name: p.to.Name, Source: rows})
		if p.key != nil {
			if _, err := m.conn.Exec(ctx, "CREATE INDEX ON "+p.stage+" ("+quoteList(p.key, "")+")"); err != nil {
				return fmt.Errorf("index the rows of %s: %w", p.to, explain(err))
			}
		}
		if _, err := m.conn.Exec(ctx, "ANALYZE "+p.stage); err != nil {
			return fmt.Errorf("analyze the rows of %s: %w", p.to, explain(err))
		}
	}
	return nil
}

func quoteList(names []string, prefix string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = prefix + holdfast.QuoteIdentifier(n)
	}
	return strings.Join(quoted, ", ")
}

// list is the list of the columns that both tables have.
func (p pair) list(prefix string) string {
	names := make([]string, len(p.columns))
	for i, c := range p.columns {
		names[i] = c.Name
	}
	return quoteList(names, prefix)
}

func (p pair) copyOut(transform func(schema, table, column string) string) string {
	items := make([]string, len(p.columns))
	for i, c := range p.columns {
		items[i] = holdfast.QuoteIdentifier(c.Name)
		if transform == nil {
			continue
		}
		if expression := transform(p.from.Schema, p.from.Name, c.Name); expression != "" {
			items[i] = "(" + expression + ")::" + c.Type
		}
	}
	from := "ONLY " + p.from.String()
	if p.from.Partitioned {
		from = p.from.String()
	}
	return "COPY (SELECT " + strings.Join(items, ", ") + " FROM " + from + " " + p.from.Filter + ") TO STDOUT"
}

// pump copies what one session's COPY gives into another session's COPY and returns the number of rows. The error is that of the side
// that failed first.
func pump(ctx context.Context, from *pgx.Conn, out string, to *pgx.Conn, in string) (int64, error) {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	var read int64
	go func() {
		buffered := bufio.NewWriterSize(w, jsonBuffer)
		tag, err := from.PgConn().CopyTo(ctx, buffered, out)
		if err == nil {
			err = buffered.Flush()
		}
		read = tag.RowsAffected()
		_ = w.CloseWithError(err) // never fails; nil is the end
		sent <- err
	}()
	tag, err := to.PgConn().CopyFrom(ctx, r, in)
	_ = r.CloseWithError(errStopped)
	if failed := <-sent; failed != nil && !errors.Is(failed, errStopped) {
		return 0, failed
	}
	if err == nil && tag.RowsAffected() != read {
		err = fmt.Errorf("%d rows were read and %d written", read, tag.RowsAffected())
	}
	return tag.RowsAffected(), err
}

// sameKey is the condition that a row of the target (t) and one of the source (s) are the same row.
func (p pair) sameKey() string {
	parts := make([]string, len(p.key))
	for i, k := range p.key {
		parts[i] = "t." + holdfast.QuoteIdentifier(k) + " = s." + holdfast.QuoteIdentifier(k)
	}
	return strings.Join(parts, " AND ")
}

// gone is the condition that a row of the target is not in the source.
func (p pair) gone() string {
	if p.key == nil {
		return "true"
	}
	return "NOT EXISTS (SELECT FROM " + p.stage + " s WHERE " + p.sameKey() + ")"
}

// cascades counts the rows of other tables that deletions and changes take along, and refuses them when they were not allowed.
func (m *merge) cascades(ctx context.Context) error {
	if m.req.Mode == InsertMissing {
		return nil
	}
	for _, p := range m.pairs {
		for _, k := range m.keys {
			if k.Refers != p.to.OID || m.chosen(k.Table) {
				continue
			}
			if m.req.Mode == Replace {
				actions := map[string]string{"c": "deleted", "n": "set to NULL", "d": "set to the default"}
				if err := m.countCascade(ctx, p, k, actions[k.OnDelete], p.gone()); err != nil {
					return err
				}
			}
			if p.key == nil || slices.ContainsFunc(k.RefColumns, func(c string) bool { return !p.has(c) }) {
				continue // nothing that the key refers to changes
			}
			actions := map[string]string{"c": "changed", "n": "set to NULL", "d": "set to the default"}
			changed := "EXISTS (SELECT FROM " + p.stage + " s WHERE " + p.sameKey() + " AND ROW(" + quoteList(k.RefColumns, "t.") + ")::record OPERATOR(pg_catalog.*<>) ROW(" + quoteList(k.RefColumns, "s.") + ")::record)"
			if err := m.countCascade(ctx, p, k, actions[k.OnUpdate], changed); err != nil {
				return err
			}
		}
	}
	if len(m.report.Cascades) == 0 || m.req.Cascade || m.req.Dry {
		return nil
	}
	c := m.report.Cascades[0]
	return &holdfast.Error{Kind: holdfast.Unsafe, Message: fmt.Sprintf("%d rows of %s, which was not chosen, would be %s", c.Rows, c.Table, c.Action), Hint: "choose that table too, use the mode upsert, or allow it"}
}

// countCascade counts the rows that refer to rows of the target for which the condition holds.
func (m *merge) countCascade(ctx context.Context, p pair, k foreignKey, action, condition string) error {
	if action == "" {
		return nil
	}
	parts := make([]string, len(k.Columns))
	for i := range k.Columns {
		parts[i] = "r." + holdfast.QuoteIdentifier(k.Columns[i]) + " = t." + holdfast.QuoteIdentifier(k.RefColumns[i])
	}
	var n int64
	sql := "SELECT count(*) FROM " + k.TableName + " r WHERE EXISTS (SELECT FROM " + p.only() + " t WHERE " + strings.Join(parts, " AND ") + " AND " + condition + ")"
	if err := m.conn.QueryRow(ctx, sql).Scan(&n); err != nil {
		return fmt.Errorf("look for rows that go along with those of %s: %w", p.to, explain(err))
	}
	if n > 0 {
		m.report.Cascades = append(m.report.Cascades, Cascade{Table: k.TableName, ForeignKey: k.Name, Action: action, Rows: n})
	}
	return nil
}

func (p pair) has(column string) bool {
	return slices.ContainsFunc(p.columns, func(c Column) bool { return c.Name == column })
}

func (m *merge) chosen(oid uint32) bool {
	for _, p := range m.pairs {
		if p.to.OID == oid {
			return true
		}
	}
	return false
}

// apply deletes from the children to the parents, and then changes and inserts from the parents to the children.
func (m *merge) apply(ctx context.Context) error {
	exec := func(doing string, p pair, sql string) (int64, error) {
		m.req.Progress.step(doing+" "+p.to.String(), 0, 0, "")
		tag, err := m.conn.Exec(ctx, sql)
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w", doing, p.to, explainConflict(err))
		}
		return tag.RowsAffected(), nil
	}
	var err error
	for i := len(m.pairs) - 1; i >= 0 && m.req.Mode == Replace; i-- {
		p := m.pairs[i]
		if m.report.Tables[i].Deleted, err = exec("deleting from", p, "DELETE FROM "+p.only()+" t WHERE "+p.gone()); err != nil {
			return err
		}
	}
	for i, p := range m.pairs {
		done := &m.report.Tables[i]
		if set := p.assignments(); m.req.Mode != InsertMissing && p.key != nil && len(set) > 0 {
			list := p.list("t.")
			sql := "UPDATE " + p.only() + " t SET " + strings.Join(set, ", ") + " FROM " + p.stage + " s WHERE " + p.sameKey() +
				" AND ROW(" + list + ")::record OPERATOR(pg_catalog.*<>) ROW(" + p.list("s.") + ")::record"
			if done.Updated, err = exec("changing rows of", p, sql); err != nil {
				return err
			}
		}
		if done.Inserted, err = exec("inserting into", p, p.insert()); err != nil {
			return err
		}
		if err := m.conn.QueryRow(ctx, "SELECT count(*) FROM "+p.only()).Scan(&done.After); err != nil {
			return fmt.Errorf("count the rows of %s: %w", p.to, explain(err))
		}
	}
	return nil
}

// assignments set every column but those of the key. A column that is always an identity cannot be set, so it stays as it is.
func (p pair) assignments() []string {
	var set []string
	for _, c := range p.columns {
		inKey := false
		for _, k := range p.key {
			inKey = inKey || k == c.Name
		}
		if !inKey && !c.Always {
			name := holdfast.QuoteIdentifier(c.Name)
			set = append(set, name+" = s."+name)
		}
	}
	return set
}

func (p pair) insert() string {
	if len(p.columns) == 0 {
		return "INSERT INTO " + p.to.String() + " SELECT FROM " + p.stage
	}
	sql := "INSERT INTO " + p.to.String() + " (" + p.list("") + ") OVERRIDING SYSTEM VALUE SELECT " + p.list("s.") + " FROM " + p.stage + " s"
	if p.key != nil {
		sql += " WHERE NOT EXISTS (SELECT FROM " + p.only() + " t WHERE " + p.sameKey() + ")"
	}
	return sql
}
