package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// rescuing is what the command line asks of a rescue.
type rescuing struct {
	m               momentFlags
	ask             api.Rescue
	out             string
	show            int
	sql, apply, yes bool
}

func (c *cli) rescueCommand() *cobra.Command {
	r := &rescuing{}
	cmd := &cobra.Command{
		Use: "rescue [PROJECT/BRANCH] --table TABLE --at MOMENT", Short: "Bring single rows of a table back from a moment",
		Long: `Compares a table between a moment and now, by primary key, and shows which rows were deleted, changed or added since. Nothing else of the branch
is touched: unlike a restore it keeps all that happened meanwhile.

The repair is SQL: --out writes it to a file, --sql to standard output, --apply runs it in one transaction, after a checkpoint. A row that
somebody changes meanwhile ends the repair, and then nothing was changed. --where limits it to rows for which an SQL condition holds, then
or now.`,
		Example: `  holdfast rescue shop/production --table deals --at "10 minutes ago"
  holdfast rescue shop/production --table deals --at "10 minutes ago" --where "owner_id = 7" --out repair.sql
  holdfast rescue shop/production --table deals --at "10 minutes ago" --where "owner_id = 7" --apply`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			branch, at, err := momentOf(first(args), time.Now())
			if err == nil && at == "" {
				at, err = r.m.text(time.Now())
			}
			if err == nil && (at == "" || r.ask.Table == "") {
				err = errors.New("a rescue needs --table and a moment")
			}
			if err != nil {
				return usage(cmd, err)
			}
			return c.onBranch(cmd.Context(), []string{branch}, func(client *api.Client, ref holdfast.BranchRef) error {
				return c.rescue(cmd.Context(), client, ref, at, r)
			})
		},
	}
	r.m.flags(cmd)
	cmd.Flags().StringVar(&r.ask.Table, "table", "", "the table: deals, sales.deals")
	cmd.Flags().StringVar(&r.ask.Where, "where", "", "only rows for which this SQL condition holds, then or now")
	cmd.Flags().StringVar(&r.out, "out", "", "write the repair to a file")
	cmd.Flags().BoolVar(&r.sql, "sql", false, "write the repair to standard output")
	cmd.Flags().BoolVar(&r.apply, "apply", false, "run the repair")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "with --apply: do not ask")
	cmd.Flags().IntVar(&r.show, "show", 50, "how many differences to show; all are counted and repaired")
	cmd.MarkFlagsMutuallyExclusive("sql", "out")
	return cmd
}

func (c *cli) rescue(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string, r *rescuing) error {
	look, err := c.look(ctx, client, ref, at)
	if err != nil {
		return err
	}
	r.ask.Look = look.Branch
	end, err := c.compareRows(ctx, client, ref, r)
	if err != nil {
		return err
	}
	n := end.Deleted + end.Changed + end.Added
	if !r.apply || n == 0 {
		return nil
	}
	if err := c.confirm(r.yes, fmt.Sprintf("This puts back %d rows of %s, sets back %d and removes %d.", end.Deleted, r.ask.Table, end.Changed, end.Added), ref.String()); err != nil {
		return err
	}
	job, err := client.ApplyRescue(ctx, ref, r.ask)
	if err != nil {
		return err
	}
	return c.finishJob(ctx, client, job, true, fmt.Sprintf("%d rows of %s are as they were", n, r.ask.Table))
}

// compareRows shows the differences and writes the repair where it is wanted.
func (c *cli) compareRows(ctx context.Context, client *api.Client, ref holdfast.BranchRef, r *rescuing) (end api.RescueEnd, err error) {
	repair := io.Writer(io.Discard)
	switch {
	case r.sql:
		repair = c.out
	case r.out != "":
		file, err := os.OpenFile(r.out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // rows of production are in it
		if err != nil {
			return end, fmt.Errorf("write the repair: %w", err)
		}
		defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
		repair = file
	}
	w := bufio.NewWriter(repair)
	human := io.Writer(c.out)
	if r.sql || c.json {
		human = io.Discard
	}
	var table api.RescueTable
	var changes []api.RescueChange
	shown := 0
	err = client.CompareRows(ctx, ref, r.ask, func(e api.RescueEvent) error {
		switch {
		case e.Table != nil:
			table = *e.Table
			fmt.Fprintf(w, "-- Makes rows of %s as they were at %s.\nBEGIN;\n%s\n", printable(table.Name), printable(r.ask.Look), table.Preamble)
		case e.Change != nil:
			if e.Change.SQL != "" {
				fmt.Fprintf(w, "%s;\n", e.Change.SQL)
			}
			if shown++; shown <= r.show {
				fmt.Fprintln(human, printable(describeChange(table, *e.Change)))
				changes = append(changes, *e.Change)
			}
		case e.End != nil:
			end = *e.End
			fmt.Fprintln(w, "COMMIT;")
		}
		return nil
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return end, err
	}
	if shown > r.show {
		fmt.Fprintf(human, "... and %d more\n", shown-r.show)
	}
	fmt.Fprintf(human, "%d deleted, %d changed, %d added since then\n", end.Deleted, end.Changed, end.Added)
	if c.json && !r.apply && !r.sql {
		return end, c.show(map[string]any{"table": table, "changes": changes, "deleted": end.Deleted, "changed": end.Changed, "added": end.Added}, nil)
	}
	return end, nil
}

// describeChange is a difference in one line: deleted id=7; changed id=7: name 'old' -> 'new'.
func describeChange(t api.RescueTable, c api.RescueChange) string {
	value := func(v *string) string {
		if v == nil {
			return "NULL"
		}
		if r := []rune(*v); len(r) > 60 {
			return "'" + string(r[:60]) + "...'"
		}
		return "'" + *v + "'"
	}
	var key, differs []string
	for i, k := range t.Key {
		if i < len(c.Key) {
			key = append(key, k+"="+value(c.Key[i]))
		}
	}
	for i, name := range t.Columns {
		if i < len(c.Then) && i < len(c.Now) && value(c.Then[i]) != value(c.Now[i]) {
			differs = append(differs, fmt.Sprintf("%s %s, now %s", name, value(c.Then[i]), value(c.Now[i])))
		}
	}
	line := c.Kind + " " + strings.Join(key, ", ")
	if len(differs) > 0 {
		line += ": " + strings.Join(differs, "; ")
	}
	return line
}
