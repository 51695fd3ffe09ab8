package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) scheduleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Aliases: []string{"schedules"}, Short: "See and set what is done with a branch again and again",
		Long:    "See and set what is done with a branch again and again: checkpoints, backups, and drills that restore the newest backup and check it.\n\nA new production has a daily checkpoint, a weekly dump kept three months, a monthly export kept a year, and a nightly drill. Of runs that were missed one catches up.",
		Example: "  holdfast schedule list shop/production\n  holdfast schedule set shop/production nightly --work backup --rule \"daily at 03:30\" --zone Europe/Berlin --keep-daily 7 --keep-weekly 4"}
	cmd.AddCommand(c.scheduleListCommand(), c.scheduleSetCommand(), c.scheduleDeleteCommand())
	return cmd
}

func (c *cli) scheduleListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT/BRANCH]", Aliases: []string{"ls"}, Short: "List a branch's schedules", Example: "  holdfast schedule list shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				all, err := client.Schedules(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return showList(c, all, func(w io.Writer) {
					t := newTable(w, "SCHEDULE", "WORK", "RULE", "ZONE", "LAST RUN", "NEXT", "PAUSED", "JOB")
					for _, s := range all {
						t.row(s.Name, s.Work, s.Rule, s.Zone, moment(s.LastRun), moment(s.Next), yes(s.Paused), s.Job)
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) scheduleSetCommand() *cobra.Command {
	var s api.Schedule
	var keep, jitter string
	cmd := &cobra.Command{
		Use: "set PROJECT/BRANCH NAME", Short: "Add a schedule, or replace the one of that name",
		Long:    "Add a schedule, or replace the one of that name.\n\nA backup stays when any of the rules keeps it; without a rule it stays for ever. The last good and the last verified backup, pinned and held ones are never removed.",
		Example: "  holdfast schedule set shop/production nightly --work backup --rule \"30 3 * * *\" --keep 30d\n  holdfast schedule set shop/production nightly --work backup --rule \"30 3 * * *\" --paused",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Name = args[1]
			for text, into := range map[*string]*int64{&keep: &s.KeepFor, &jitter: &s.Jitter} {
				if *text == "" {
					continue
				}
				d, err := parseSpan(*text)
				if err != nil {
					return usage(cmd, err)
				}
				*into = api.Seconds(d)
			}
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				if err := client.SetSchedule(cmd.Context(), ref, s); err != nil {
					return err
				}
				return c.say("%s of %s: %s, %s", s.Name, ref, s.Work, s.Rule)
			})
		},
	}
	cmd.Flags().StringVar(&s.Work, "work", "backup", "checkpoint, backup or drill")
	cmd.Flags().StringVar(&s.Rule, "rule", "daily at 03:00", `"hourly", "daily at 03:30", "weekly on sunday at 03:30", "monthly on 1 at 04:00", or five fields of cron`)
	cmd.Flags().StringVar(&s.Zone, "zone", "UTC", "the time zone of the rule: Europe/Berlin")
	cmd.Flags().StringVar(&jitter, "jitter", "", "begin up to so much later, so that not everything begins at once: 30m")
	cmd.Flags().StringVar(&s.Format, "format", "custom", "of backups: plain, custom, directory, json or csv")
	cmd.Flags().StringArrayVar(&s.Tables, "table", nil, "only this table; can be given several times")
	cmd.Flags().StringVar(&s.Compression, "compress", "", "none, gzip, lz4 or zstd, with a level if need be")
	cmd.Flags().StringVar(&keep, "keep", "", "keep everything younger than that: 30d")
	cmd.Flags().IntVar(&s.KeepLast, "keep-last", 0, "keep so many of the newest")
	cmd.Flags().IntVar(&s.Daily, "keep-daily", 0, "keep the newest of each of so many days")
	cmd.Flags().IntVar(&s.Weekly, "keep-weekly", 0, "keep the newest of each of so many weeks")
	cmd.Flags().IntVar(&s.Monthly, "keep-monthly", 0, "keep the newest of each of so many months")
	cmd.Flags().IntVar(&s.Yearly, "keep-yearly", 0, "keep the newest of each of so many years")
	cmd.Flags().Int64Var(&s.MaxBytes, "max-bytes", 0, "at most so many bytes in all; the oldest go first")
	cmd.Flags().BoolVar(&s.Paused, "paused", false, "nothing begins until it is set without this")
	return cmd
}

func (c *cli) scheduleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete PROJECT/BRANCH NAME", Aliases: []string{"rm"}, Short: "Forget a schedule; what it made stays", Example: "  holdfast schedule delete shop/production nightly", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				if err := client.DeleteSchedule(cmd.Context(), ref, args[1]); err != nil {
					return err
				}
				return c.say("the schedule %s of %s is forgotten", args[1], ref)
			})
		},
	}
}

func (c *cli) backupVerifyCommand() *cobra.Command {
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "verify BACKUP", Short: "Prove that a backup restores", Long: "Prove that a backup restores.\n\nIt is restored on a scratch server and checked: tables and exact numbers of rows, foreign keys, sequences, indexes, the pages themselves (amcheck), roles and a login. A signed report is kept beside the backup.",
		Example: "  holdfast backup verify backup_prod_20261120_140311", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				job, err := client.VerifyBackup(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("the backup %s restores, and every check passed; `holdfast backup report` shows them", args[0]))
			})
		},
	}
	wait.flags(cmd)
	return cmd
}

func (c *cli) backupReportCommand() *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use: "report BACKUP", Short: "Show the last proof that a backup restores", Example: "  holdfast backup report backup_prod_20261120_140311 --page report.html", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				report, err := client.BackupReport(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if page == "" {
					c.json = true
					return c.show(report.Report, nil)
				}
				if err := os.WriteFile(page, []byte(report.Page), 0o600); err != nil {
					return fmt.Errorf("write the page: %w", err)
				}
				return c.say("written to %s", page)
			})
		},
	}
	cmd.Flags().StringVar(&page, "page", "", "write it as a page for people to this file")
	return cmd
}
