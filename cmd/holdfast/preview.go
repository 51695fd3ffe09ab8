package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) branchCreateCommand() *cobra.Command {
	var from, life string
	var ask api.NewBranch
	var m momentFlags
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "create PROJECT/NAME", Short: "Make a preview branch as a copy of another",
		Long: `Make a preview branch as a copy of another.

The branch has all data of its parent, a server and credentials of its own, and is deleted when its life ends. The parent's
passwords do not work on it.`,
		Example: "  holdfast branch create shop/try --from shop/production --ttl 7d\n  holdfast branch create shop/then --from shop/production --at \"1 hour ago\"\n  holdfast branch create shop/demo --from shop/production --masked\n  holdfast branch create shop/empty --from shop/production --schema-only",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := holdfast.ParseBranchRef(args[0])
			if err != nil {
				return usage(cmd, err)
			}
			parent, err := parentOf(ref, from)
			if err != nil {
				return usage(cmd, err)
			}
			d, err := parseSpan(life)
			if err != nil {
				return usage(cmd, err)
			}
			ask.Name, ask.From, ask.Life = ref.Branch, parent.Branch, api.Seconds(d)
			if ask.At, err = m.text(time.Now()); err != nil {
				return usage(cmd, err)
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				job, err := client.CreateBranch(cmd.Context(), ref.Project, ask)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("branch %s is there; `holdfast env %s` shows how to connect", ref, ref))
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", holdfast.ProductionName, "the branch to copy, of the same project")
	cmd.Flags().StringVar(&life, "ttl", "1d", "how long it lives: 1h, 1d, 7d; at most 30d")
	cmd.Flags().BoolVar(&ask.SchemaOnly, "schema-only", false, "without the rows")
	cmd.Flags().BoolVar(&ask.History, "history", false, "keep its every moment until it is deleted, so that it can be restored too")
	cmd.Flags().BoolVar(&ask.Masked, "masked", false, "apply the project's masking rules before anybody can connect")
	cmd.MarkFlagsMutuallyExclusive("schema-only", "masked")
	m.flags(cmd)
	wait.flags(cmd)
	return cmd
}

// parentOf reads --from: a branch of the same project, with or without the project's name.
func parentOf(ref holdfast.BranchRef, from string) (holdfast.BranchRef, error) {
	if !strings.Contains(from, "/") {
		from = ref.Project + "/" + from
	}
	parent, err := holdfast.ParseBranchRef(from)
	if err == nil && parent.Project != ref.Project {
		err = fmt.Errorf("a branch of %s cannot be a copy of one of %s", ref.Project, parent.Project)
	}
	return parent, err
}

func (c *cli) branchProtectCommand() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "protect [PROJECT/BRANCH]", Short: "Keep a branch from being deleted", Example: "  holdfast branch protect shop/try\n  holdfast branch protect shop/try --off",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeBranch(cmd, args, api.BranchChange{Protected: new(!off)})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "take the protection away")
	return cmd
}

func (c *cli) branchExpireCommand() *cobra.Command {
	var life string
	cmd := &cobra.Command{
		Use: "expire [PROJECT/BRANCH] --in 7d", Short: "Change when a preview branch is deleted", Example: "  holdfast branch expire shop/try --in 7d", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseSpan(life)
			if err != nil {
				return usage(cmd, err)
			}
			return c.changeBranch(cmd, args, api.BranchChange{Life: new(api.Seconds(d))})
		},
	}
	cmd.Flags().StringVar(&life, "in", "1d", "how long from now: 1h, 1d, 7d; at most 30d")
	return cmd
}

func (c *cli) changeBranch(cmd *cobra.Command, args []string, change api.BranchChange) error {
	return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
		b, err := client.ChangeBranch(cmd.Context(), ref, change)
		if err != nil {
			return err
		}
		return c.showBranch(b)
	})
}

func (c *cli) branchRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename PROJECT/BRANCH NAME", Short: "Give a preview branch another name and address", Long: "Give a preview branch another name and address.\n\nIts sessions end.",
		Example: "  holdfast branch rename shop/try other", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				job, err := client.RenameBranch(cmd.Context(), ref, args[1])
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, true, fmt.Sprintf("branch %s is now %s/%s", ref, ref.Project, args[1]))
			})
		},
	}
}

func (c *cli) branchResetCommand() *cobra.Command {
	var yes bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "reset [PROJECT/BRANCH]", Short: "Give a preview branch the data that its parent has now",
		Long: "Give a preview branch the data that its parent has now.\n\nIt keeps name, address and credentials, and is masked or emptied again where it was. What it had is kept for seven days as a branch\n" +
			"of its own; \"holdfast restore undo\" puts it back.",
		Example: "  holdfast branch reset shop/try", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if err := c.confirm(yes, fmt.Sprintf("This replaces all data of %s. What it has now is kept for seven days.", ref), ref.String()); err != nil {
					return err
				}
				job, err := client.ResetBranch(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("%s is as its parent is; `holdfast restore undo %s` takes that back", ref, ref))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	wait.flags(cmd)
	return cmd
}

func (c *cli) maskCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "mask", Short: "See and set how masked branches are masked", Example: "  holdfast mask list shop\n  holdfast mask set shop --file rules.json"}
	cmd.AddCommand(c.maskListCommand(), c.maskSetCommand())
	return cmd
}

func (c *cli) maskListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Short: "List a project's masking rules", Example: "  holdfast mask list shop --json > rules.json", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				project, err := c.project(first(args))
				if err != nil {
					return err
				}
				rules, err := client.MaskRules(cmd.Context(), project)
				if err != nil {
					return err
				}
				return showList(c, rules, func(w io.Writer) {
					t := newTable(w, "COLUMN", "KIND", "EXPRESSION")
					for _, r := range rules {
						t.row(r.Schema+"."+r.Table+"."+r.Column, r.Kind, r.Expression)
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) maskSetCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "set [PROJECT] [SCHEMA.TABLE.COLUMN=KIND ...]", Short: "Replace a project's masking rules",
		Long:    "Replace a project's masking rules.\n\nThe kinds are null, hash, fake_name, fake_email, fake_phone, keep_format and expression; an expression is given in a file.\nColumns that foreign keys bind to a masked one are masked with it.",
		Example: "  holdfast mask set shop public.contacts.email=fake_email public.contacts.full_name=fake_name\n  holdfast mask set shop --file rules.json",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			project := ""
			if len(args) > 0 && !strings.Contains(args[0], "=") {
				project, args = args[0], args[1:]
			}
			rules, err := readMaskRules(file, args)
			if err != nil {
				return usage(cmd, err)
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				project, err := c.project(project)
				if err != nil {
					return err
				}
				if err := client.SetMaskRules(cmd.Context(), project, rules); err != nil {
					return err
				}
				return c.say("project %s has %d masking rules", project, len(rules))
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "read the rules from a JSON file as `mask list --json` writes it")
	return cmd
}

func readMaskRules(file string, args []string) ([]api.MaskRule, error) {
	if (file == "") == (len(args) == 0) {
		return nil, fmt.Errorf("give the rules, or a file with them")
	}
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var rules []api.MaskRule
		if err := json.Unmarshal(raw, &rules); err != nil {
			return nil, fmt.Errorf("%s does not hold masking rules: %w", file, err)
		}
		return rules, nil
	}
	var rules []api.MaskRule
	for _, arg := range args {
		column, kind, _ := strings.Cut(arg, "=")
		parts := strings.Split(column, ".")
		if len(parts) != 3 || kind == "" {
			return nil, fmt.Errorf("%q is no rule: write SCHEMA.TABLE.COLUMN=KIND", arg)
		}
		rules = append(rules, api.MaskRule{Schema: parts[0], Table: parts[1], Column: parts[2], Kind: kind})
	}
	return rules, nil
}
