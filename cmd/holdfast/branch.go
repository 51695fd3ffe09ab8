package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) branchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "branch", Aliases: []string{"branches"}, Short: "See, make and change branches",
		Example: "  holdfast branch list shop\n  holdfast branch settings shop/production --idle never"}
	cmd.AddCommand(c.branchListCommand(), c.branchShowCommand(), c.branchSettingsCommand(), c.branchCreateCommand(), c.branchResetCommand(), c.branchDiffCommand(), c.branchProtectCommand(), c.branchExpireCommand(),
		c.branchRenameCommand(), c.branchDeleteCommand())
	return cmd
}

func (c *cli) branchListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List the branches of one project or of all", Example: "  holdfast branch list\n  holdfast branch list shop --json",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				branches, err := c.branches(cmd, client, first(args))
				if err != nil {
					return err
				}
				return showList(c, branches, func(w io.Writer) { branchTable(w, branches) })
			})
		},
	}
}

func (c *cli) branches(cmd *cobra.Command, client *api.Client, project string) ([]api.Branch, error) {
	if project != "" {
		branches, err := client.Branches(cmd.Context(), project)
		return branches, suggestProject(cmd.Context(), client, project, err)
	}
	projects, err := client.Projects(cmd.Context())
	var all []api.Branch
	for _, p := range projects {
		all = append(all, p.Branches...)
	}
	return all, err
}

func branchTable(w io.Writer, branches []api.Branch) {
	t := newTable(w, "BRANCH", "ENVIRONMENT", "STATE", "SESSIONS", "SIZE", "POSTGRESQL", "IDLE")
	for _, b := range branches {
		version := b.Version
		if version == "" {
			version = strconv.Itoa(b.Major)
		}
		state := b.Activity
		if b.NeedsRestart {
			state += " (restart due)"
		}
		t.row(b.Ref().String(), b.Environment, state, strconv.Itoa(b.Sessions), measured(b.SizeBytes), version, idle(b.IdleTimeout))
	}
	t.flush()
}

func (c *cli) branchShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [PROJECT/BRANCH]", Short: "Show a branch and what its server is doing", Example: "  holdfast branch show shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				b, err := client.Branch(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.showBranch(b)
			})
		},
	}
}

func (c *cli) showBranch(b api.Branch) error {
	return c.show(b, func(w io.Writer) {
		t := newTable(w, "branch", b.Ref().String())
		t.row("environment", b.Environment)
		t.row("state", b.Activity)
		if b.Reason != "" {
			t.row("reason", b.Reason)
		}
		t.row("database", b.Database)
		t.row("PostgreSQL", fmt.Sprintf("%d %s", b.Major, b.Version))
		t.row("sessions", fmt.Sprintf("%d of %d", b.Sessions, b.Connections))
		t.row("size", measured(b.SizeBytes))
		t.row("falls asleep after", idle(b.IdleTimeout))
		t.row("restart due", yes(b.NeedsRestart))
		t.row("protected", yes(b.Protected))
		t.row("created", moment(b.CreatedAt))
		if !b.ExpiresAt.IsZero() {
			t.row("expires", moment(b.ExpiresAt))
		}
		t.flush()
	})
}

func (c *cli) wakeCommand() *cobra.Command {
	return c.powerCommand("wake", "Start a branch's server", "The command returns when the server accepts connections. A connection by itself wakes a branch as well.",
		func(ctx context.Context, client *api.Client, ref holdfast.BranchRef) (api.Branch, error) {
			return client.Wake(ctx, ref)
		})
}

func (c *cli) restartCommand() *cobra.Command {
	return c.powerCommand("restart", "Stop a branch's server and start it again", "Clients are disconnected. Settings that need a restart, and an upgraded PostgreSQL, take effect.",
		func(ctx context.Context, client *api.Client, ref holdfast.BranchRef) (api.Branch, error) {
			return client.Restart(ctx, ref)
		})
}

func (c *cli) sleepCommand() *cobra.Command {
	var force bool
	cmd := c.powerCommand("sleep", "Stop a branch's server; the next connection wakes it", "Sessions with an open transaction or a running query hold the branch, unless --force is said.",
		func(ctx context.Context, client *api.Client, ref holdfast.BranchRef) (api.Branch, error) {
			return client.Sleep(ctx, ref, force)
		})
	cmd.Flags().BoolVar(&force, "force", false, "end the sessions that hold it")
	return cmd
}

func (c *cli) powerCommand(verb, short, long string, do func(context.Context, *api.Client, holdfast.BranchRef) (api.Branch, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " [PROJECT/BRANCH]", Short: short, Long: short + ".\n\n" + long, Example: "  holdfast " + verb + " shop/development", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				b, err := do(cmd.Context(), client, ref)
				if err != nil {
					return err
				}
				return c.show(b, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", ref, b.Activity) })
			})
		},
	}
}
