package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// removing is what the commands that remove something are told.
type removing struct {
	api.Removal
	yes bool
}

func (r *removing) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&r.Now, "now", false, "for good at once, without the seven days")
	cmd.Flags().StringVar(&r.Confirm, "confirm", "", "with --now: the name once more")
	cmd.Flags().BoolVar(&r.NoBackup, "no-backup", false, "with --now: without the final backup")
}

// ask has a person confirm the removal. For good takes the name a second time, also of a script: --yes is not enough.
func (r *removing) ask(c *cli, name string) error {
	if !r.Now {
		return c.confirm(r.yes, fmt.Sprintf("This removes %s. It is kept for seven days: `holdfast undelete %s` brings it back.", name, name), name)
	}
	if r.Confirm != "" {
		return nil // the server compares it
	}
	if err := c.confirm(false, fmt.Sprintf("This deletes %s with all its data for good. There is no way back.", name), name); err != nil {
		if !isTerminal(c.in) {
			return &holdfast.Error{Kind: holdfast.Unsafe, Message: err.Error(), Hint: "give the name a second time: --confirm " + name}
		}
		return err
	}
	r.Confirm = name
	return nil
}

func (r *removing) done(name string) string {
	if r.Now {
		return name + " is removed for good"
	}
	return name + " is removed; `holdfast undelete " + name + "` brings it back within seven days"
}

const removalLong = `Its door is closed at once and its server stops. Everything is kept for seven days, in which holdfast undelete brings it back whole; then it is
purged. With --now it is gone for good at once: that takes the name a second time, and a backup is made first unless --no-backup is said.
Protected branches are not removed.`

func (c *cli) branchDeleteCommand() *cobra.Command {
	var r removing
	cmd := &cobra.Command{
		Use: "delete PROJECT/BRANCH", Aliases: []string{"rm"}, Short: "Remove a preview branch; it can be brought back for seven days", Long: "Remove a preview branch. Its name is free at once.\n\n" + removalLong,
		Example: "  holdfast branch delete shop/try\n  holdfast branch delete shop/try --yes\n  holdfast branch delete shop/try --now --confirm shop/try --no-backup", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if err := r.ask(c, ref.String()); err != nil {
					return err
				}
				job, err := client.DeleteBranch(cmd.Context(), ref, r.Removal)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, true, "branch "+r.done(ref.String()))
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func (c *cli) projectDeleteCommand() *cobra.Command {
	var r removing
	cmd := &cobra.Command{
		Use: "delete PROJECT", Aliases: []string{"rm"}, Short: "Remove a project; it can be brought back for seven days", Long: "Remove a project with its branches. Its name is kept for it until it is purged.\n\n" + removalLong,
		Example: "  holdfast project delete shop\n  holdfast project delete shop --yes\n  holdfast project delete shop --now --confirm shop", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				name := args[0]
				if _, err := client.Project(cmd.Context(), name); err != nil {
					return suggestProject(cmd.Context(), client, name, err)
				}
				if err := r.ask(c, name); err != nil {
					return err
				}
				job, err := client.DeleteProject(cmd.Context(), name, r.Removal)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, true, "project "+r.done(name))
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func (c *cli) undeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "undelete [PROJECT|PROJECT/BRANCH]", Short: "Bring back what was removed, or list what can be brought back", Args: cobra.MaximumNArgs(1),
		Long:    "Bring a removed project or branch back whole: data, names, credentials and history. Without a name, list what can be brought back and for how long.",
		Example: "  holdfast undelete\n  holdfast undelete shop\n  holdfast undelete shop/try",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				switch {
				case len(args) == 0:
					return c.showRemoved(cmd.Context(), client)
				case !strings.Contains(args[0], "/"):
					if _, err := client.UndeleteProject(cmd.Context(), args[0]); err != nil {
						return err
					}
				default:
					ref, err := holdfast.ParseBranchRef(args[0])
					if err != nil {
						return usage(cmd, err)
					}
					if _, err := client.UndeleteBranch(cmd.Context(), ref); err != nil {
						return err
					}
				}
				return c.say("%s is back", args[0])
			})
		},
	}
}

func (c *cli) showRemoved(ctx context.Context, client *api.Client) error {
	removed, err := client.Removed(ctx)
	if err != nil {
		return err
	}
	return showList(c, removed, func(w io.Writer) {
		t := newTable(w, "NAME", "REMOVED", "PURGED", "LEFT")
		for _, r := range removed {
			t.row(r.Name, moment(r.DeletedAt), moment(r.PurgeAt), countdown(time.Duration(r.Left)*time.Second))
		}
		t.flush()
	})
}

// countdown writes the time that is left: days and hours, or less when it is less.
func countdown(d time.Duration) string {
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd %dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
	return span(d.Truncate(time.Minute))
}
