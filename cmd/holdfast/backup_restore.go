package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) backupRestoreCommand() *cobra.Command {
	var ask api.RestoreBackup
	var to, life string
	var yes bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "restore [BACKUP] --to PROJECT/BRANCH", Short: "Restore a backup into a branch",
		Long: `Restore a backup into development, production, or a new branch.

It is always restored aside and verified first. A whole backup then takes the place of the branch's database; what was there before is kept
for a week, as the database before_restore_... of the same branch, and "backup restore undo" puts it back. With --table only these tables
get the backup's rows, in one transaction. Where something is in the way, it is explained; --clear replaces it. A branch that does not exist
is made as a preview. Production is backed up before.

With --from-time in place of a backup, tables come from that moment of the branch's own history.`,
		Example: `  holdfast backup restore backup_prod_20261120_140311 --to shop/development --clear
  holdfast backup restore backup_prod_20261120_140311 --to shop/look
  holdfast backup restore backup_prod_20261120_140311 --to shop/production --table orders --clear
  holdfast backup restore --to shop/production --table orders --from-time "10 minutes ago" --mode upsert`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (ask.FromTime != "") {
				return usage(cmd, errors.New("name a backup, or a moment with --from-time"))
			}
			ask.Backup = first(args)
			if ask.FromTime != "" {
				point, err := holdfast.ParsePoint(ask.FromTime, time.Now())
				if err != nil {
					return usage(cmd, err)
				}
				if !point.At.IsZero() {
					ask.FromTime = point.At.Format(time.RFC3339Nano)
				}
			}
			if life != "" {
				d, err := parseSpan(life)
				if err != nil {
					return usage(cmd, err)
				}
				ask.Life = api.Seconds(d)
			}
			return c.restoreBackup(cmd, to, ask, yes, wait.wanted())
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the branch to restore into")
	cmd.Flags().StringArrayVar(&ask.Tables, "table", nil, "only this table; can be given several times")
	cmd.Flags().StringVar(&ask.TableSet, "table-set", "", "only the tables of this set")
	cmd.Flags().BoolVar(&ask.DataOnly, "data-only", false, "only the rows, into the tables that are there")
	cmd.Flags().BoolVar(&ask.Clear, "clear", false, "replace what is there")
	cmd.Flags().StringVar(&ask.Mode, "mode", "", "merge into tables that hold rows: upsert or insert-missing")
	cmd.Flags().BoolVar(&ask.Cascade, "cascade", false, "rows of other tables may go or change along, by foreign keys")
	cmd.Flags().StringVar(&ask.FromTime, "from-time", "", `take the tables from this moment of the history: "10 minutes ago"`)
	cmd.Flags().StringVar(&life, "life", "", "how long a branch lives that is made for it: 7d")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.MarkFlagsMutuallyExclusive("clear", "mode")
	wait.flags(cmd)
	cmd.AddCommand(c.backupRestoreUndoCommand())
	return cmd
}

func (c *cli) restoreBackup(cmd *cobra.Command, to string, ask api.RestoreBackup, yes, wait bool) error {
	ref, err := c.ref(to)
	if err != nil {
		return err
	}
	return c.withClient(cmd.Context(), func(client *api.Client) error {
		if ask.Clear || ask.Mode == "upsert" {
			if err := c.confirm(yes, fmt.Sprintf("This replaces what is in %s. What it has now is kept for a week, or in a backup.", ref), ref.String()); err != nil {
				return err
			}
			ask.Confirm = ref.String()
		}
		job, err := client.RestoreBackup(cmd.Context(), ref, ask)
		if err != nil {
			return err
		}
		return c.finishJob(cmd.Context(), client, job, wait, fmt.Sprintf("restored into %s", ref))
	})
}

func (c *cli) backupRestoreUndoCommand() *cobra.Command {
	var yes bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "undo [PROJECT/BRANCH]", Short: "Put back the database that the newest restore of a backup replaced", Long: "Put back the database that the newest restore of a whole backup replaced.\n\nWhat the branch has now is kept for a week in turn.",
		Example: "  holdfast backup restore undo shop/development", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if err := c.confirm(yes, fmt.Sprintf("This undoes the newest restore of a backup into %s. What it has now is kept for a week.", ref), ref.String()); err != nil {
					return err
				}
				job, err := client.UndoRestoreBackup(cmd.Context(), ref, ref.String())
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("%s has again what it had before the restore", ref))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	wait.flags(cmd)
	return cmd
}
