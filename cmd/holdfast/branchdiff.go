package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// branchDifference is how two branches differ.
type branchDifference struct {
	Schema api.Plan        `json:"schema"`
	Rows   []rowDifference `json:"rows"`
}

// rowDifference is a table whose numbers of rows are shown beside each other; nil: the branch does not have the table.
type rowDifference struct {
	Table     string `json:"table"`
	From      *int64 `json:"from"`
	To        *int64 `json:"to"`
	Estimated bool   `json:"estimated"`
}

func (c *cli) branchDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff FROM TO", Short: "Show how two branches differ: structure, and rows per table",
		Long: "Show how two branches differ: the statements that lead from the one's structure to the other's, and how many rows each table has.\n\n" +
			"Neither branch is changed. Counts that would take too long are taken from the statistics and marked with ~.",
		Example: "  holdfast branch diff shop/production shop/try", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := c.ref(args[0])
			if err != nil {
				return err
			}
			to, err := c.ref(args[1])
			if err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				plan, err := client.DiffSchemas(cmd.Context(), from, to)
				if err != nil {
					return suggestBranch(cmd.Context(), client, from, err)
				}
				var counts [2][]api.TableCount
				for i, ref := range []holdfast.BranchRef{from, to} {
					if counts[i], err = client.RowCounts(cmd.Context(), ref); err != nil {
						return err
					}
				}
				d := branchDifference{Schema: plan, Rows: rowDifferences(counts[0], counts[1])}
				return c.show(d, func(w io.Writer) { differenceText(w, from, to, d) })
			})
		},
	}
}

func rowDifferences(from, to []api.TableCount) []rowDifference {
	byName := map[string]*rowDifference{}
	for i, counts := range [][]api.TableCount{from, to} {
		for _, t := range counts {
			name := t.Schema + "." + t.Name
			if byName[name] == nil {
				byName[name] = &rowDifference{Table: name}
			}
			d, n := byName[name], t.Rows
			d.Estimated = d.Estimated || t.Estimated
			if i == 0 {
				d.From = &n
			} else {
				d.To = &n
			}
		}
	}
	out := []rowDifference{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[name])
	}
	return out
}

func differenceText(w io.Writer, from, to holdfast.BranchRef, d branchDifference) {
	planText(w, d.Schema)
	fmt.Fprintln(w)
	number := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	t := newTable(w, "TABLE", from.Branch, to.Branch, "DIFFERENCE")
	for _, r := range d.Rows {
		difference := ""
		if r.From != nil && r.To != nil && *r.From != *r.To {
			difference = fmt.Sprintf("%+d", *r.To-*r.From)
		}
		if r.Estimated {
			difference = "~" + difference
		}
		t.row(r.Table, number(r.From), number(r.To), difference)
	}
	t.flush()
}
