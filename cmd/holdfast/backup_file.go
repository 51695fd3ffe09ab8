package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) backupDownloadCommand() *cobra.Command {
	var output string
	var packed bool
	cmd := &cobra.Command{
		Use: "download BACKUP", Short: "Save the file of a backup", Long: "Save the file of a backup.\n\nIts bytes are checked on the way. A file that did not come whole is not left behind.",
		Example: "  holdfast backup download backup_prod_20261120_140311\n  holdfast backup download backup_prod_20261120_140311 --output - | pg_restore --list", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				return c.download(cmd.Context(), client, args[0], output, packed)
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write; - is standard output. Named as the backup when left out")
	cmd.Flags().BoolVar(&packed, "packed", false, "leave a backup in JSON packed, as it is kept")
	return cmd
}

func (c *cli) download(ctx context.Context, client *api.Client, id, output string, packed bool) error {
	name, total, body, err := client.DownloadBackup(ctx, id, packed)
	if err != nil {
		return err
	}
	defer body.Close()
	if output == "-" {
		return copyStream(c.out, body)
	}
	if output == "" {
		output = filepath.Base(name)
	}
	if err := saveStream(output, body, total); err != nil {
		return err
	}
	return c.say("saved as %s", output)
}

func copyStream(w io.Writer, r io.Reader) error {
	if _, err := io.Copy(w, r); err != nil {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: "it did not come whole", Hint: "try again; the server's log says more", Cause: err}
	}
	return nil
}

// saveStream writes a file that is whole or not there. One that exists is replaced only by a whole one.
func saveStream(path string, r io.Reader, total int64) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("make the file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = copyStream(f, r)
	if info, failed := f.Stat(); err == nil && (failed != nil || total >= 0 && info.Size() != total) {
		err = &holdfast.Error{Kind: holdfast.Unavailable, Message: "it did not come whole", Hint: "try again"}
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (c *cli) backupDataCommand() *cobra.Command {
	var table string
	var page, limit int
	cmd := &cobra.Command{
		Use: "data BACKUP", Short: "Look at rows in a backup", Example: "  holdfast backup data backup_prod_20261120_140311 --table orders --page 2", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				data, err := client.BackupData(cmd.Context(), args[0], table, page, limit)
				if err != nil {
					return err
				}
				return c.show(data, func(w io.Writer) {
					t := newTable(w, data.Columns...)
					for _, row := range data.Rows {
						cells := make([]string, len(data.Columns))
						for i, column := range data.Columns {
							cells[i] = "NULL"
							if v := row[column]; v != nil {
								cells[i] = *v
							}
						}
						t.row(cells...)
					}
					t.flush()
					fmt.Fprintf(w, "\n%s.%s, page %d of %d (%d rows)\n", data.Schema, data.Table, data.Page, (data.Total+data.Limit-1)/data.Limit, data.Total)
				})
			})
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "the table; the first one with rows when left out")
	cmd.Flags().IntVar(&page, "page", 1, "which page")
	cmd.Flags().IntVar(&limit, "limit", 20, "rows on a page")
	return cmd
}

func (c *cli) backupStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [PROJECT/BRANCH]", Short: "Show how a branch stands with its backups: places, the last good one, alerts", Long: "Show how a branch stands with its backups.\n\nA branch is protected when its newest good backup has copies at two places or more. The 3-2-1 rule asks for three copies (the database is one), on two\nmedia, one of them away from this machine.",
		Example: "  holdfast backup status shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				h, err := client.BackupHealth(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.show(h, func(w io.Writer) { healthTable(w, ref, h) })
			})
		},
	}
}

func healthTable(w io.Writer, ref holdfast.BranchRef, h api.BackupHealth) {
	state := "not protected: the newest good backup is at fewer than two places"
	if h.Protected {
		state = "protected: the newest good backup is at two places or more"
	}
	fmt.Fprintf(w, "%s is %s\n", ref, state)
	describe := func(name string, b *api.Backup, at func(*api.Backup) string) {
		if b == nil {
			fmt.Fprintf(w, "%s: none\n", name)
			return
		}
		fmt.Fprintf(w, "%s: %s, %s\n", name, b.Name, at(b))
	}
	describe("last good backup", h.LastGood, func(b *api.Backup) string { return moment(b.CreatedAt) })
	describe("last verified backup", h.LastVerified, func(b *api.Backup) string { return "verified " + moment(b.VerifiedAt) })
	if h.Held > 0 {
		fmt.Fprintf(w, "%d backups wait for a person to mark them verified\n", h.Held)
	}
	rule := "kept"
	if !h.Rule.Kept {
		rule = strings.Join(h.Rule.Missing, "; ")
	}
	fmt.Fprintf(w, "3-2-1 rule: %d of 3 copies, on %d of 2 media, %d off site: %s\n", h.Rule.Copies, h.Rule.Media, h.Rule.Offsite, rule)
	for _, alert := range h.Alerts {
		fmt.Fprintln(w, "ALERT:", printable(alert))
	}
	fmt.Fprintln(w)
	t := newTable(w, "PLACE", "KIND", "OFF SITE", "COPIES", "BEHIND", "NEWEST", "STATE")
	for _, p := range h.Places {
		state := ""
		if p.Mounted != nil {
			state = "not mounted"
			if *p.Mounted {
				state = "mounted"
			}
			if !p.LastSync.IsZero() {
				state += ", had everything " + moment(p.LastSync)
			}
		}
		t.row(p.Name, p.Kind, yes(p.Offsite), strconv.Itoa(p.Copies), strconv.Itoa(p.Behind), moment(p.Newest), state)
	}
	t.flush()
}

func (c *cli) backupTableSetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "table-set", Short: "Name sets of tables for backups and syncs", Example: "  holdfast backup table-set set shop catalogue products prices\n  holdfast backup create shop/production --table-set catalogue"}
	set := &cobra.Command{Use: "set PROJECT NAME TABLE...", Short: "Name a set of tables", Example: "  holdfast backup table-set set shop catalogue products prices 'sales.*'", Args: cobra.MinimumNArgs(3), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.SetTableSet(cmd.Context(), project, args[1], args[2:]); err != nil {
					return err
				}
				return c.say("the table set %s is %s", args[1], strings.Join(args[2:], ", "))
			})
		}}
	list := &cobra.Command{Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List a project's table sets", Example: "  holdfast backup table-set list shop", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, first(args), func(client *api.Client, project string) error {
				sets, err := client.TableSets(cmd.Context(), project)
				if err != nil {
					return err
				}
				return showList(c, sets, func(w io.Writer) {
					t := newTable(w, "SET", "TABLES")
					for _, s := range sets {
						t.row(s.Name, strings.Join(s.Tables, ", "))
					}
					t.flush()
				})
			})
		}}
	remove := &cobra.Command{Use: "remove PROJECT NAME", Aliases: []string{"rm"}, Short: "Forget a table set", Example: "  holdfast backup table-set remove shop catalogue", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.DeleteTableSet(cmd.Context(), project, args[1]); err != nil {
					return err
				}
				return c.say("the table set %s is forgotten", args[1])
			})
		}}
	cmd.AddCommand(set, list, remove)
	return cmd
}

func (c *cli) backupExportFolderCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "export-folder", Short: "Keep further copies of backups in a folder, for example on an external disk",
		Long:    "Keep further copies of every completed backup of a project in a folder of the server's machine.\n\nIt may be on a disk that is not always there: whenever it is, what is missing is brought there. `holdfast backup status` shows whether it is, and when it had everything last.",
		Example: "  holdfast backup export-folder set shop /mnt/disk/backups --encrypt"}
	var encrypt bool
	set := &cobra.Command{Use: "set PROJECT FOLDER", Short: "Choose the folder", Example: "  holdfast backup export-folder set shop /mnt/disk/backups", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.SetExportFolder(cmd.Context(), project, api.ExportFolder{Folder: args[1], Encrypt: encrypt}); err != nil {
					return err
				}
				return c.say("backups of %s are copied to %s whenever it is there", project, args[1])
			})
		}}
	set.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt with the project's key")
	remove := &cobra.Command{Use: "remove PROJECT", Aliases: []string{"rm"}, Short: "Forget the folder; what lies there stays", Example: "  holdfast backup export-folder remove shop", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.RemoveExportFolder(cmd.Context(), project); err != nil {
					return err
				}
				return c.say("backups of %s have no export folder any more", project)
			})
		}}
	cmd.AddCommand(set, remove)
	return cmd
}
