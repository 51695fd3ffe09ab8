package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) syncCommand() *cobra.Command {
	var ask api.SyncRows
	var yes, schemaOnly bool
	var from string
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "sync SOURCE TARGET", Short: "Bring rows of one branch to another",
		Long: `Bring rows of the branch SOURCE to the branch TARGET, in the order of cp. "sync TARGET --from SOURCE" says the same.

The target is backed up first (of production as prod_backup_before_sync_...); when that fails nothing happens. All tables are changed in one
transaction, parents before children, every foreign key is checked, and sequences are set. "sync undo" takes it back.

Modes: replace (afterwards the target has the source's rows and no others), upsert (new rows come, rows that differ are changed, none goes),
insert-missing (new rows come, and nothing else happens).

With --schema no rows are brought, but what only production has or has changed of the structure is taken into development; what
development has changed stays.`,
		Example: `  holdfast sync shop/production shop/development --masked
  holdfast sync shop/development shop/production --tables products,prices --mode upsert --dry-run
  holdfast sync shop/development --from shop/production --schema
  holdfast sync undo shop/development`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" && len(args) == 2 {
				from, args = args[0], args[1:]
			} else if from == "" || len(args) == 2 {
				return usage(cmd, fmt.Errorf("name the source and the target once each"))
			}
			source, err := c.ref(from)
			if err != nil {
				return err
			}
			if schemaOnly {
				return c.syncSchema(cmd, args, source, wait.wanted())
			}
			ask.Source = source.String()
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				return c.syncRows(cmd, client, ref, ask, yes, wait.wanted())
			})
		},
	}
	cmd.Flags().StringSliceVar(&ask.Tables, "tables", nil, "only these tables, with commas between: orders,sales.*")
	cmd.Flags().StringVar(&ask.TableSet, "table-set", "", "only the tables of this set (see holdfast backup table-set)")
	cmd.Flags().StringVar(&ask.Mode, "mode", "replace", "replace, upsert or insert-missing")
	cmd.Flags().BoolVar(&ask.Masked, "masked", false, "mask by the project's rules on the way")
	cmd.Flags().BoolVar(&ask.Dry, "dry-run", false, "only show what would happen")
	cmd.Flags().BoolVar(&ask.Cascade, "cascade", false, "rows of other tables may go or change along, by foreign keys")
	cmd.Flags().BoolVar(&ask.SkipTriggers, "skip-triggers", false, "the target's own triggers do not fire")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&from, "from", "", "the source, where only the target is an argument")
	cmd.Flags().BoolVar(&schemaOnly, "schema", false, "take production's changes of structure into development, and no rows")
	wait.flags(cmd)
	cmd.AddCommand(c.syncUndoCommand())
	return cmd
}

// syncSchema takes over what only production has or has changed.
func (c *cli) syncSchema(cmd *cobra.Command, args []string, source holdfast.BranchRef, wait bool) error {
	return c.onBranch(cmd.Context(), args, func(client *api.Client, target holdfast.BranchRef) error {
		if target.Project != source.Project || target.Branch != holdfast.DevelopmentName || source.Branch != holdfast.ProductionName {
			return usage(cmd, fmt.Errorf("a structure is taken from a project's production to its development; the other way is `holdfast publish`"))
		}
		return c.adopt(cmd, client, target.Project, nil, wait)
	})
}

func (c *cli) syncRows(cmd *cobra.Command, client *api.Client, ref holdfast.BranchRef, ask api.SyncRows, yes, wait bool) error {
	if !ask.Dry {
		what := "all tables"
		if chosen := append(ask.Tables[:len(ask.Tables):len(ask.Tables)], ask.TableSet); strings.Join(chosen, "") != "" {
			what = strings.Trim(strings.Join(chosen, ", "), ", ")
		}
		if err := c.confirm(yes, fmt.Sprintf("This changes rows of %s (%s, %s) to those of %s.", ref, what, ask.Mode, ask.Source), ref.String()); err != nil {
			return err
		}
		ask.Confirm = ref.String()
	}
	job, err := client.SyncRows(cmd.Context(), ref, ask)
	if err != nil {
		return err
	}
	if !wait {
		return c.finishJob(cmd.Context(), client, job, false, "")
	}
	if job, err = c.follow(cmd.Context(), client, job); err != nil {
		return err
	}
	return c.show(job, func(w io.Writer) { syncTable(w, ref, job) })
}

// mergeSummary is what the result of a job says of a merge.
type mergeSummary struct {
	Dry    bool   `json:"dry"`
	Backup string `json:"backup_name"`
	Report struct {
		Tables []struct {
			Schema, Name                              string
			Source, Inserted, Updated, Deleted, After int64
		} `json:"tables"`
		Cascades []struct {
			Table, Action string
			Rows          int64
		} `json:"cascades"`
		Notes []string `json:"notes"`
	} `json:"report"`
}

func syncTable(w io.Writer, ref holdfast.BranchRef, job api.Job) {
	var result mergeSummary
	raw, err := json.Marshal(job.Result)
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	if err != nil {
		fmt.Fprintf(w, "rows of %s were changed\n", ref)
		return
	}
	t := newTable(w, "TABLE", "SOURCE", "INSERTED", "UPDATED", "DELETED", "AFTER")
	for _, m := range result.Report.Tables {
		n := func(v int64) string { return strconv.FormatInt(v, 10) }
		t.row(m.Schema+"."+m.Name, n(m.Source), n(m.Inserted), n(m.Updated), n(m.Deleted), n(m.After))
	}
	t.flush()
	for _, along := range result.Report.Cascades {
		fmt.Fprintf(w, "%d rows of %s are %s along\n", along.Rows, printable(along.Table), along.Action)
	}
	for _, note := range result.Report.Notes {
		fmt.Fprintln(w, printable(note))
	}
	if result.Dry {
		fmt.Fprintln(w, "this is what would happen; nothing was changed")
		return
	}
	fmt.Fprintf(w, "what %s had before is in the backup %s; `holdfast sync undo %s` brings it back\n", ref, result.Backup, ref)
}

func (c *cli) syncUndoCommand() *cobra.Command {
	var yes bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "undo [PROJECT/BRANCH]", Short: "Bring back what a branch's tables had before its newest sync", Long: "Bring back what a branch's tables had before its newest sync, from the backup that was made then.\n\nRows that were written to these tables since are lost; they are in the backup that this makes.",
		Example: "  holdfast sync undo shop/development", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if err := c.confirm(yes, fmt.Sprintf("This gives the tables of %s that were synced last the rows that they had before.", ref), ref.String()); err != nil {
					return err
				}
				job, err := client.UndoSync(cmd.Context(), ref, ref.String())
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("the tables of %s are as they were before the sync", ref))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	wait.flags(cmd)
	return cmd
}
