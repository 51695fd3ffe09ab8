package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Probe is a table whose rows a plan should leave as they are: its name and the columns that it does not touch, before and after.
type Probe struct {
	Before  Address     `json:"before"`
	After   Address     `json:"after"`
	Columns [][2]string `json:"columns"` // names before and after
	Types   []string    `json:"types"`   // of the columns
}

// Sum is the content of a table's untouched columns, whatever the order of its rows.
type Sum struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// Probes pairs the tables of one database before and after a plan: by identity, and by name where a table was made anew.
func Probes(before, after *Catalog) []Probe {
	byID := map[Identity]*Object{}
	columns := map[Address][]*Object{}
	for a, o := range after.Objects {
		byID[o.ID] = o
		if a.Kind == KindColumn {
			t := Address{KindTable, a.Schema, a.Name, ""}
			columns[t] = append(columns[t], o)
		}
	}
	oldColumns := map[Address][]*Object{}
	for a, o := range before.Objects {
		if a.Kind == KindColumn {
			t := Address{KindTable, a.Schema, a.Name, ""}
			oldColumns[t] = append(oldColumns[t], o)
		}
	}
	var out []Probe
	for _, a := range before.Addresses() {
		if a.Kind != KindTable {
			continue
		}
		t := byID[before.Objects[a].ID]
		if t == nil || t.Kind != KindTable {
			t = after.Objects[a]
		}
		if t == nil {
			continue
		}
		out = append(out, Probe{Before: a, After: t.Address, Columns: untouched(oldColumns[a], columns[t.Address], before.Objects[a].ID.OID == t.ID.OID)})
		p := &out[len(out)-1]
		for _, c := range p.Columns {
			p.Types = append(p.Types, before.Objects[Address{KindColumn, a.Schema, a.Name, c[0]}].attr("type"))
		}
	}
	return out
}

// userType says whether a column's type is a user's own: its inner numbers can differ where its values are the same.
func (p Probe) userType(i int) bool { return i < len(p.Types) && strings.Contains(p.Types[i], ".") }

// untouched pairs columns that have the same type before and after.
func untouched(old, now []*Object, sameTable bool) [][2]string {
	var out [][2]string
	for _, c := range old {
		for _, d := range now {
			same := c.Sub == d.Sub
			if sameTable {
				same = c.ID.Sub == d.ID.Sub || same && !slices.ContainsFunc(now, func(x *Object) bool { return x.ID.Sub == c.ID.Sub })
			}
			if same && c.attr("type") == d.attr("type") && c.attr("generated") == "" && d.attr("generated") == "" {
				out = append(out, [2]string{c.Sub, d.Sub})
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// SumTables reads every probed table once: after chooses which of its names to use. Types that cannot be hashed are summed by
// their text, which is slower.
func SumTables(ctx context.Context, conn *pgx.Conn, probes []Probe, after bool) ([]Sum, error) {
	out := make([]Sum, len(probes))
	for i, p := range probes {
		err := conn.QueryRow(ctx, p.query(after, false)).Scan(&out[i].Rows, &out[i].Digest)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "42883" {
			err = conn.QueryRow(ctx, p.query(after, true)).Scan(&out[i].Rows, &out[i].Digest)
		}
		if err != nil {
			return nil, fmt.Errorf("sum the rows of %s: %w", p.Before, err)
		}
	}
	return out, nil
}

func (p Probe) query(after, asText bool) string {
	table, side := p.Before, 0
	if after {
		table, side = p.After, 1
	}
	columns := make([]string, len(p.Columns))
	for i, c := range p.Columns {
		columns[i] = "t." + quote(c[side])
		if asText || p.userType(i) {
			columns[i] += "::text"
		}
	}
	return "SELECT count(*), coalesce(sum(hash_record_extended(ROW(" + strings.Join(columns, ", ") + "), 0)::numeric), 0)::text FROM " + table.tableName() + " AS t"
}
