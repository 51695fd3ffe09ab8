package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// numbered runs do with a client, a project and a publish's number; arguments are [PROJECT] [NUMBER], and number 0 is the newest.
func (c *cli) numbered(cmd *cobra.Command, args []string, do func(client *api.Client, project string, number int) error) error {
	name, number := "", 0
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		switch {
		case err == nil && n > 0 && number == 0:
			number = n
		case err != nil && name == "":
			name = arg
		default:
			return usage(cmd, fmt.Errorf("%q is neither a project nor the number of a publish", arg))
		}
	}
	project, err := c.project(name)
	if err != nil {
		return err
	}
	return c.withClient(cmd.Context(), func(client *api.Client) error {
		return suggestProject(cmd.Context(), client, project, do(client, project, number))
	})
}

// planFlags are how a plan is made.
type planFlags struct{ ask api.NewPublish }

func (f *planFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.ask.Answers, "answer", nil, "answer a question: rename:TABLE.COLUMN=NEW, drop:OBJECT, using:TABLE.COLUMN=EXPRESSION, fill:TABLE.COLUMN=EXPRESSION")
	cmd.Flags().BoolVar(&f.ask.Maintenance, "maintenance", false, "plan for clients that are held meanwhile: fewer statements, which make everybody wait")
	cmd.Flags().BoolVar(&f.ask.ZeroDowntime, "zero-downtime", false, "rename columns and change their types such that old and new code run side by side")
	cmd.MarkFlagsMutuallyExclusive("maintenance", "zero-downtime")
}

func (c *cli) publishPlanCommand() *cobra.Command {
	var f planFlags
	var allowLossy, asSQL bool
	cmd := &cobra.Command{
		Use: "plan [PROJECT]", Short: "Plan how production gets development's structure",
		Long: `Plan how production gets development's structure.

Development, production and what was published last are compared. What only production has, because production changed, is never dropped: it is
shown as drift. Neither database is changed, and planning again replaces a plan that was not applied yet.`,
		Example: "  holdfast publish plan shop\n  holdfast publish plan shop --answer rename:users.fullname=display_name\n  holdfast publish plan shop --zero-downtime\n  holdfast publish plan shop --sql > plan.sql",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := c.project(first(args))
			if err != nil {
				return err
			}
			f.ask.AllowLossy = allowLossy
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				p, err := client.PlanPublish(cmd.Context(), project, f.ask)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return c.showPlan(p, asSQL)
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&allowLossy, "allow-lossy", false, "conversions may cut values that do not fit")
	cmd.Flags().BoolVar(&asSQL, "sql", false, "write the statements only")
	return cmd
}

// showPlan shows a publish with its plan, or its statements alone.
func (c *cli) showPlan(p api.Publish, asSQL bool) error {
	if !asSQL || c.json {
		return c.show(p, func(w io.Writer) { publishText(w, p) })
	}
	for _, s := range planOf(p).Statements {
		if _, err := fmt.Fprintln(c.out, printableLines(s.SQL)+";"); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	}
	return nil
}

func planOf(p api.Publish) api.Plan {
	if p.Plan == nil {
		return api.Plan{}
	}
	return *p.Plan
}

func (c *cli) publishContractCommand() *cobra.Command {
	var asSQL bool
	cmd := &cobra.Command{
		Use: "contract [PROJECT] [NUMBER]", Short: "Plan the removal of the old columns after --zero-downtime",
		Long: `Plan the removal of the old columns, which --zero-downtime left beside the new ones.

Apply it when no code for the old structure runs any more. It is a publish of its own, which is rehearsed and applied like any other.`,
		Example: "  holdfast publish contract shop 8\n  holdfast publish rehearse shop\n  holdfast publish apply shop", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				p, err := client.ContractPublish(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				return c.showPlan(p, asSQL)
			})
		},
	}
	cmd.Flags().BoolVar(&asSQL, "sql", false, "write the statements only")
	return cmd
}

func (c *cli) publishListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List a project's publishes", Example: "  holdfast publish list shop", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, _ int) error {
				all, err := client.Publishes(cmd.Context(), project)
				if err != nil {
					return err
				}
				return showList(c, all, func(w io.Writer) {
					t := newTable(w, "NUMBER", "KIND", "STATE", "STATEMENTS", "HAZARDS", "AUTHOR", "APPROVER", "CREATED", "UNDO UNTIL")
					for _, p := range all {
						t.row(strconv.Itoa(p.Number), kindOf(p), p.State, strconv.Itoa(p.Statements), strings.Join(p.Hazards, ", "), p.Author, p.Approver, moment(p.CreatedAt), undoUntil(p))
					}
					t.flush()
				})
			})
		},
	}
}

func kindOf(p api.Publish) string {
	if p.Reverts > 0 {
		return fmt.Sprintf("revert of %d", p.Reverts)
	}
	return p.Kind
}

// undoUntil is until when a publish can be reverted; "" when it cannot.
func undoUntil(p api.Publish) string {
	if p.State != string(holdfast.PublishPublished) || time.Now().After(p.GraceUntil) {
		return ""
	}
	return moment(p.GraceUntil)
}

func (c *cli) publishShowCommand() *cobra.Command {
	var asSQL bool
	cmd := &cobra.Command{
		Use: "show [PROJECT] [NUMBER]", Short: "Show a publish with its plan", Long: "Show a publish with its plan.\n\nWithout a number it is the newest one.",
		Example: "  holdfast publish show shop 7\n  holdfast publish show shop 7 --json", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				p, err := client.Publish(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				return c.showPlan(p, asSQL)
			})
		},
	}
	cmd.Flags().BoolVar(&asSQL, "sql", false, "write the statements only")
	return cmd
}

func (c *cli) publishCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cancel [PROJECT] [NUMBER]", Short: "Give a publish up", Long: "Give a publish up.\n\nA rehearsal is stopped; a publish that is being applied is taken back.",
		Example: "  holdfast publish cancel shop 7", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				p, err := client.CancelPublish(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				return c.show(p, func(w io.Writer) { fmt.Fprintf(w, "publish %d is %s\n", p.Number, p.State) })
			})
		},
	}
}

func (c *cli) publishHooksCommand() *cobra.Command {
	var hooks api.PublishHooks
	var timeout string
	var off bool
	cmd := &cobra.Command{
		Use: "hooks [PROJECT]", Short: "See and set a project's own checks of rehearsals",
		Long: `See and set a project's own checks of rehearsals.

A command runs on the server's machine, as the account that the databases run as, with DATABASE_URL of the copy in its environment. A URL is
sent a POST with {"project", "publish", "database_url"}. A command that does not end with 0, and an answer that is not 2xx, block the publish.

Commands, and URLs that lead to this machine or into a private network, are set with a token that may change the installation.`,
		Example: "  holdfast publish hooks shop\n  holdfast publish hooks shop --command 'cd /srv/shop && make smoke-test' --timeout 10m\n  holdfast publish hooks shop --url https://ci.example.com/check\n  holdfast publish hooks shop --off",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseSpan(timeout)
			if err != nil {
				return usage(cmd, err)
			}
			hooks.CommandTimeout, hooks.URLTimeout = api.Seconds(d), api.Seconds(d)
			return c.numbered(cmd, args, func(client *api.Client, project string, _ int) error {
				if off || hooks.Command != "" || hooks.URL != "" {
					if err := client.SetPublishHooks(cmd.Context(), project, hooks); err != nil {
						return err
					}
				}
				now, err := client.PublishHooks(cmd.Context(), project)
				if err != nil {
					return err
				}
				return c.show(now, func(w io.Writer) { hooksTable(w, now) })
			})
		},
	}
	cmd.Flags().StringVar(&hooks.Command, "command", "", "a command for a shell on the server's machine")
	cmd.Flags().StringVar(&hooks.URL, "url", "", "an address that is sent a POST")
	cmd.Flags().BoolVar(&hooks.AllowPrivate, "allow-private", false, "the URL may lead to this machine or into a private network")
	cmd.Flags().StringVar(&timeout, "timeout", "5m", "how long a check may take: 90s, 10m; at most 1h")
	cmd.Flags().BoolVar(&off, "off", false, "no checks of the project's own")
	cmd.MarkFlagsMutuallyExclusive("off", "command")
	cmd.MarkFlagsMutuallyExclusive("off", "url")
	return cmd
}

func hooksTable(w io.Writer, h api.PublishHooks) {
	if h.Command == "" && h.URL == "" {
		fmt.Fprintln(w, "no checks of the project's own")
		return
	}
	t := newTable(w, "CHECK", "WHAT", "MAY TAKE", "PRIVATE")
	if h.Command != "" {
		t.row("command", h.Command, span(time.Duration(h.CommandTimeout)*time.Second), "")
	}
	if h.URL != "" {
		t.row("url", h.URL, span(time.Duration(h.URLTimeout)*time.Second), yes(h.AllowPrivate))
	}
	t.flush()
}

func (c *cli) publishAdoptCommand() *cobra.Command {
	var project string
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "adopt [OBJECT...]", Short: "Take into development what only production has or has changed",
		Long: `Take into development what only production has or has changed since the last publish: the objects that are named as a plan's drift names
them, or all. What development has changed stays. A checkpoint of development is made first.`,
		Example: "  holdfast publish adopt --project shop\n  holdfast publish adopt public.audit --project shop", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := c.project(project)
			if err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				return c.adopt(cmd, client, name, args, wait.wanted())
			})
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "the project; else the linked one")
	wait.flags(cmd)
	return cmd
}

func (c *cli) adopt(cmd *cobra.Command, client *api.Client, project string, objects []string, wait bool) error {
	job, err := client.AdoptSchema(cmd.Context(), project, api.Adopt{Objects: objects})
	if err != nil {
		return suggestProject(cmd.Context(), client, project, err)
	}
	return c.finishJob(cmd.Context(), client, job, wait, fmt.Sprintf("%s/%s has taken that over", project, holdfast.DevelopmentName))
}
