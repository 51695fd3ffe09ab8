package backup

import (
	"context"
	"fmt"
	"slices"

	"github.com/holdfast/holdfast"
)

// TableComparison says how a table of one database compares with that of another.
type TableComparison struct {
	Schema      string   `json:"schema"`
	Name        string   `json:"name"`
	From        int64    `json:"from"` // rows; -1 where there is no such table
	To          int64    `json:"to"`
	Differences []string `json:"differences,omitempty"` // of the columns, as they matter for a merge
}

// CompareTables compares tables of two databases: whether they are there, how many rows they have, and whether rows of the first fit
// into the second. What a merge would do row by row, a dry Merge tells.
func CompareTables(ctx context.Context, from, to Database, patterns []string) ([]TableComparison, error) {
	a, err := openSnapshot(ctx, from, nil, 0)
	if err != nil {
		return nil, err
	}
	defer a.close()
	b, err := openSnapshot(ctx, to, nil, 0)
	if err != nil {
		return nil, err
	}
	defer b.close()
	chosen, err := chooseTables(append(slices.Clone(a.all), onlyIn(b.all, a.all)...), patterns)
	if err != nil {
		return nil, err
	}
	var out []TableComparison
	for _, t := range chosen {
		if t.Partition {
			continue
		}
		c := TableComparison{Schema: t.Schema, Name: t.Name, From: -1, To: -1}
		here, there := find(a.all, t), find(b.all, t)
		if here != nil {
			if c.From, err = countAll(ctx, a, *here); err != nil {
				return nil, err
			}
		}
		if there != nil {
			if c.To, err = countAll(ctx, b, *there); err != nil {
				return nil, err
			}
		}
		if here != nil && there != nil {
			c.Differences = columnsDiffer(*here, *there)
		}
		out = append(out, c)
	}
	return out, nil
}

func find(tables []Table, t Table) *Table {
	i := slices.IndexFunc(tables, func(o Table) bool { return o.Schema == t.Schema && o.Name == t.Name })
	if i < 0 {
		return nil
	}
	return &tables[i]
}

func onlyIn(tables, others []Table) []Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool { return find(others, t) != nil })
}

// countAll counts a table's rows, those of partitions included.
func countAll(ctx context.Context, s *snapshot, t Table) (n int64, err error) {
	name := "ONLY " + t.String()
	if t.Partitioned {
		name = t.String()
	}
	if err := s.conn.QueryRow(ctx, "SELECT count(*) FROM "+name+" "+t.Filter).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", holdfast.QuoteQualified(t.Schema, t.Name), explain(err))
	}
	return n, nil
}
