package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) backupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backup", Aliases: []string{"backups"}, Short: "Make, see and restore portable backups",
		Long: "Make, see and restore portable backups: files that the stock tools of PostgreSQL read.\n\nA backup has a name such as backup_prod_20261120_140311 and an ID; commands take either.",
		Example: `  holdfast backup create shop/production
  holdfast backup list shop/production
  holdfast backup download backup_prod_20261120_140311 --output shop.dump`}
	cmd.AddCommand(c.backupCreateCommand(), c.backupListCommand(), c.backupShowCommand(), c.backupDownloadCommand(), c.backupDataCommand(), c.backupDeleteCommand(), c.backupPinCommand(), c.backupStatsCommand(),
		c.backupStatusCommand(), c.backupVerifyCommand(), c.backupReportCommand(), c.backupHooksCommand(), c.backupRestoreCommand(), c.backupTableSetCommand(), c.backupExportFolderCommand(), c.backupAdoptCommand())
	return cmd
}

// backupFlags are the options of a backup as users of pg_dump know them.
type backupFlags struct {
	ask              api.NewBackup
	noOwner, noRight bool
}

func (f *backupFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.ask.Format, "format", "custom", "plain, custom, directory (pg_dump's), json, or csv (a file for each table in a zip file)")
	cmd.Flags().BoolVar(&f.noOwner, "no-owner", true, "without who owns what; --no-owner=false keeps it")
	cmd.Flags().BoolVar(&f.noRight, "no-acl", true, "without who may do what; --no-acl=false keeps it")
	cmd.Flags().BoolVar(&f.ask.DataOnly, "data-only", false, "only the rows")
	cmd.Flags().BoolVar(&f.ask.SchemaOnly, "schema-only", false, "only the schema")
	cmd.Flags().StringArrayVar(&f.ask.Tables, "table", nil, "only this table; can be given several times: orders, sales.*")
	cmd.Flags().StringVar(&f.ask.TableSet, "table-set", "", "only the tables of this set (see holdfast backup table-set)")
	cmd.Flags().IntVar(&f.ask.Jobs, "jobs", 0, "sessions that read at once; for --format directory")
	cmd.Flags().StringVar(&f.ask.Compression, "compress", "", "none, gzip, lz4 or zstd, with a level if need be: zstd:10")
	cmd.MarkFlagsMutuallyExclusive("data-only", "schema-only")
}

// asked is what the flags ask for.
func (f *backupFlags) asked() api.NewBackup {
	ask := f.ask
	ask.KeepOwners, ask.KeepRights = !f.noOwner, !f.noRight
	return ask
}

func (c *cli) backupCreateCommand() *cobra.Command {
	var f backupFlags
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "create [PROJECT/BRANCH]", Short: "Back up a branch", Long: "Back up a branch, with the real pg_dump where the format is one of its own.\n\nIt shows one moment, whatever is written meanwhile. A branch that sleeps is woken.",
		Example: `  holdfast backup create shop/production
  holdfast backup create shop/production --format directory --jobs 4 --compress zstd:10
  holdfast backup create shop/development --format json --table orders --table customers`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				ask := f.asked()
				ask.Project, ask.Branch = ref.Project, ref.Branch
				b, err := client.CreateBackup(cmd.Context(), ask)
				if err != nil {
					return err
				}
				return c.finishBackup(cmd.Context(), client, b, wait.wanted())
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.ask.Name, "name", "", "made from the branch and the time when left out")
	cmd.Flags().BoolVar(&f.ask.Pinned, "pin", false, "no rule ever removes it")
	wait.flags(cmd)
	return cmd
}

// finishBackup waits for a backup, unless that is not wanted, and shows it.
func (c *cli) finishBackup(ctx context.Context, client *api.Client, b api.Backup, wait bool) error {
	if wait {
		if _, err := c.follow(ctx, client, api.Job{ID: b.Job}); err != nil {
			return err
		}
		var err error
		if b, err = client.Backup(ctx, b.ID); err != nil {
			return err
		}
	}
	return c.show(b, func(w io.Writer) {
		if !wait {
			fmt.Fprintf(w, "backup %s began; `holdfast backup show %s` says how it goes\n", b.Name, b.Name)
			return
		}
		fmt.Fprintf(w, "backup %s is completed: %d rows, %s, at %s\n", b.Name, b.Records, size(b.Size), strings.Join(b.Destinations, ", "))
	})
}

func (c *cli) backupListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT[/BRANCH]]", Aliases: []string{"ls"}, Short: "List backups, those of deleted branches too", Example: "  holdfast backup list\n  holdfast backup list shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, branch, _ := strings.Cut(first(args), "/")
			if branch != "" {
				ref, err := holdfast.ParseBranchRef(first(args))
				if err != nil {
					return err
				}
				branch = ref.Branch
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				all, err := client.Backups(cmd.Context(), project, branch)
				if err != nil {
					return err
				}
				return showList(c, all, func(w io.Writer) {
					t := newTable(w, "BACKUP", "BRANCH", "STATUS", "FORMAT", "ROWS", "SIZE", "AT", "PLACES", "VERIFIED", "KEPT")
					for _, b := range all {
						t.row(b.Name, b.Project+"/"+b.Branch, b.Status, b.Format, strconv.FormatInt(b.Records, 10), measured(b.Size), moment(b.CreatedAt), strings.Join(b.Destinations, ", "), moment(b.VerifiedAt), keptWhy(b))
					}
					t.flush()
				})
			})
		},
	}
}

func keptWhy(b api.Backup) string {
	switch {
	case b.Pinned:
		return "pinned"
	case b.Held:
		return "held until verified"
	}
	return ""
}

func (c *cli) backupShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show BACKUP", Short: "Show a backup", Example: "  holdfast backup show backup_prod_20261120_140311", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				b, err := client.Backup(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.show(b, func(w io.Writer) { backupTable(w, b) })
			})
		},
	}
}

func backupTable(w io.Writer, b api.Backup) {
	t := newTable(w, "backup", b.Name)
	line := func(name, value string) {
		if value != "" {
			t.row(name, value)
		}
	}
	line("id", b.ID)
	line("branch", b.Project+"/"+b.Branch)
	line("status", b.Status)
	line("why it failed", b.Error)
	line("what to do", b.ErrorHint)
	line("format", strings.TrimSpace(b.Format+" "+b.Compression))
	line("tables", strings.Join(b.Tables, ", "))
	line("made by", strings.TrimSpace(b.Tool+" of PostgreSQL "+b.ServerVersion))
	line("asked for by", b.CreatedBy)
	line("reason", b.Reason)
	line("began", moment(b.CreatedAt))
	line("shows", moment(b.SnapshotAt))
	if !b.CompletedAt.IsZero() {
		line("took", span(b.CompletedAt.Sub(b.CreatedAt).Round(time.Millisecond)))
	}
	line("rows", strconv.FormatInt(b.Records, 10))
	line("size", measured(b.Size))
	line("SHA-256", b.SHA256)
	line("places", strings.Join(b.Destinations, ", "))
	line("kept", keptWhy(b))
	line("verified", moment(b.VerifiedAt))
	t.flush()
	for _, text := range b.ToolOutput {
		fmt.Fprintln(w, "  |", printable(text))
	}
	if len(b.Counts) == 0 {
		return
	}
	fmt.Fprintln(w)
	countsTable(w, b.Counts)
}

func countsTable(w io.Writer, counts []api.TableRecords) {
	t := newTable(w, "TABLE", "ROWS")
	for _, n := range counts {
		t.row(n.Schema+"."+n.Table, strconv.FormatInt(n.Records, 10))
	}
	t.flush()
}

func (c *cli) backupDeleteCommand() *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use: "delete BACKUP", Aliases: []string{"rm"}, Short: "Remove a backup from every place", Long: "Remove a backup from every place.\n\nOne that is pinned, held until a person marks it verified, or the last good or verified one of its branch is refused without --force.",
		Example: "  holdfast backup delete backup_prod_20261120_140311", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				b, err := client.Backup(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := c.confirm(yes, fmt.Sprintf("This removes the backup %s of %s/%s from %s.", b.Name, b.Project, b.Branch, strings.Join(b.Destinations, ", ")), b.Name); err != nil {
					return err
				}
				if err := client.DeleteBackup(cmd.Context(), b.ID, force); err != nil {
					return err
				}
				return c.say("backup %s is removed", b.Name)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "also when it is pinned, held, or the last good one")
	return cmd
}

func (c *cli) backupPinCommand() *cobra.Command {
	var off, verified bool
	cmd := &cobra.Command{
		Use: "pin BACKUP", Short: "Keep a backup until it is unpinned, or end its being held", Long: "Keep a backup until it is unpinned.\n\nA backup that was made before a major change is held until a person marks it verified: --verified does that, and no pin is set.",
		Example: "  holdfast backup pin backup_prod_20261120_140311\n  holdfast backup pin prod_backup_before_sync_20261120_140311 --verified", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				change, done := api.BackupChange{Pinned: ptr(!off)}, "pinned"
				if off {
					done = "unpinned"
				}
				if verified {
					change, done = api.BackupChange{Verified: ptr(true)}, "marked verified and held no longer"
				}
				b, err := client.ChangeBackup(cmd.Context(), args[0], change)
				if err != nil {
					return err
				}
				return c.say("backup %s is %s", b.Name, done)
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "unpin it")
	cmd.Flags().BoolVar(&verified, "verified", false, "mark it verified: it is held no longer")
	cmd.MarkFlagsMutuallyExclusive("off", "verified")
	return cmd
}

func ptr[T any](v T) *T { return &v }

func (c *cli) backupStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stats [PROJECT/BRANCH]", Short: "Count the rows of a branch's tables now, exactly", Example: "  holdfast backup stats shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				stats, err := client.BackupStats(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.show(stats, func(w io.Writer) { countsTable(w, stats.Tables) })
			})
		},
	}
}

// completeBackups offers the names of backups.
func (c *cli) completeBackups(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		_ = c.withClient(cmd.Context(), func(client *api.Client) error { // without a server there is nothing to offer
			all, err := client.Backups(cmd.Context(), "", "")
			for _, b := range all {
				names = append(names, b.Name)
			}
			return err
		})
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
