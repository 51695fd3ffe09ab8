package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// trigger is a user's trigger that is on.
type trigger struct {
	Table, Name string // the table in SQL
	Always      bool
}

func (m *merge) userTriggers(ctx context.Context) ([]trigger, error) {
	var oids []uint32
	for _, p := range m.pairs {
		oids = append(oids, p.to.OID)
		for _, t := range m.all {
			for _, parent := range t.Parents {
				if t.Partition && parent == p.to.OID {
					oids = append(oids, t.OID)
				}
			}
		}
	}
	rows, err := m.conn.Query(ctx, `
		SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), t.tgname, t.tgenabled = 'A'
		FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE t.tgrelid = ANY($1::oid[]) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgparentid = 0 ORDER BY 1, 2`, oids)
	if err != nil {
		return nil, fmt.Errorf("list the triggers: %w", err)
	}
	triggers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t trigger, err error) {
		err = row.Scan(&t.Table, &t.Name, &t.Always)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the triggers: %w", err)
	}
	return triggers, nil
}

// triggersOff names the users' triggers in the report and, when asked, switches them off until triggersOn.
func (m *merge) triggersOff(ctx context.Context) error {
	triggers, err := m.userTriggers(ctx)
	if err != nil {
		return err
	}
	for _, t := range triggers {
		m.report.Triggers = append(m.report.Triggers, t.Name+" on "+t.Table)
	}
	if !m.req.SkipTriggers {
		return nil
	}
	m.off = triggers
	return m.alterTriggers(ctx, func(trigger) string { return "DISABLE" })
}

func (m *merge) triggersOn(ctx context.Context) error {
	return m.alterTriggers(ctx, func(t trigger) string {
		if t.Always {
			return "ENABLE ALWAYS"
		}
		return "ENABLE"
	})
}

func (m *merge) alterTriggers(ctx context.Context, how func(trigger) string) error {
	for _, t := range m.off {
		if _, err := m.conn.Exec(ctx, "ALTER TABLE "+t.Table+" "+how(t)+" TRIGGER "+holdfast.QuoteIdentifier(t.Name)); err != nil {
			return fmt.Errorf("switch the trigger %s on %s: %w", t.Name, t.Table, explain(err))
		}
	}
	return nil
}

// feed is a sequence that gives a column its values: it belongs to it, or is in its default.
type feed struct {
	Schema, Table, Column string
	Sequence              string // in SQL
	Step                  int64
	Last                  int64
	Called                bool
}

func readFeeds(ctx context.Context, conn *pgx.Conn) ([]feed, error) {
	rows, err := conn.Query(ctx, `
		SELECT DISTINCT tn.nspname, t.relname, a.attname, quote_ident(sn.nspname) || '.' || quote_ident(s.relname), q.seqincrement
		FROM (SELECT d.objid AS seq, d.refobjid AS tab, d.refobjsubid AS col FROM pg_catalog.pg_depend d
		      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
		      UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
		      WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass) u
		JOIN pg_catalog.pg_class s ON s.oid = u.seq AND s.relkind = 'S' JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
		JOIN pg_catalog.pg_class t ON t.oid = u.tab JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = u.tab AND a.attnum = u.col
		WHERE sn.nspname !~ '^pg_' ORDER BY 1, 2, 3, 4`)
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	feeds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f feed, err error) {
		err = row.Scan(&f.Schema, &f.Table, &f.Column, &f.Sequence, &f.Step)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	for i := range feeds {
		if err := conn.QueryRow(ctx, "SELECT last_value, is_called FROM "+feeds[i].Sequence).Scan(&feeds[i].Last, &feeds[i].Called); err != nil {
			return nil, fmt.Errorf("read the sequence %s: %w", feeds[i].Sequence, explain(err))
		}
	}
	return feeds, nil
}

// ahead says whether the value is further along in the direction of the sequence.
func (f feed) ahead(value, than int64) bool {
	if f.Step < 0 {
		return value < than
	}
	return value > than
}

// sequences sets the sequences that feed the tables: to where the source's stand when that is further, and never behind a value that a
// column has already. A sequence is not part of a transaction, but one that is too far on does no harm.
func (m *merge) sequences(ctx context.Context) error {
	source, err := readFeeds(ctx, m.from.conn)
	if err != nil {
		return err
	}
	target, err := readFeeds(ctx, m.conn)
	if err != nil {
		return err
	}
	for _, p := range m.pairs {
		for _, f := range target {
			if f.Schema != p.to.Schema || f.Table != p.to.Name {
				continue
			}
			if err := m.setSequence(ctx, p, f, source); err != nil {
				return fmt.Errorf("set the sequence %s: %w", f.Sequence, explain(err))
			}
		}
	}
	return nil
}

func (m *merge) setSequence(ctx context.Context, p pair, f feed, source []feed) error {
	last, called := f.Last, f.Called
	for _, o := range source {
		if o.Schema == f.Schema && o.Table == f.Table && o.Column == f.Column && (f.ahead(o.Last, last) || o.Last == last && o.Called) {
			last, called = o.Last, o.Called
		}
	}
	extreme := "max"
	if f.Step < 0 {
		extreme = "min"
	}
	var reached *int64
	column := holdfast.QuoteIdentifier(f.Column)
	if err := m.conn.QueryRow(ctx, "SELECT "+extreme+"("+column+")::bigint FROM "+p.only()).Scan(&reached); err != nil {
		return err
	}
	if reached != nil && (f.ahead(*reached, last) || *reached == last) {
		last, called = *reached, true
	}
	if last == f.Last && called == f.Called {
		return nil
	}
	m.report.Sequences = append(m.report.Sequences, fmt.Sprintf("%s = %d", f.Sequence, last))
	if m.req.Dry {
		return nil
	}
	_, err := m.conn.Exec(ctx, "SELECT pg_catalog.setval($1::regclass, $2, $3)", f.Sequence, last, called)
	return err
}
