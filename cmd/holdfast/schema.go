package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) schemaCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "See and compare the structure of branches", Example: "  holdfast schema diff shop/production shop/development\n  holdfast schema dump shop/production"}
	cmd.AddCommand(c.schemaDiffCommand(), c.schemaDumpCommand(), c.schemaLintCommand())
	return cmd
}

func (c *cli) schemaDiffCommand() *cobra.Command {
	var asSQL bool
	cmd := &cobra.Command{
		Use: "diff FROM TO", Short: "Show what would lead from one branch's structure to another's",
		Long:    "Show what would lead from one branch's structure to another's, as statements in order.\n\nNeither branch is changed. What only FROM has would be dropped. A moment is written behind an @.",
		Example: "  holdfast schema diff shop/production shop/development\n  holdfast schema diff shop/production shop/try --sql\n  holdfast schema diff 'shop/production@1 hour ago' shop/production", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				var sides [2]holdfast.BranchRef
				for i, arg := range args {
					var err error
					if sides[i], err = c.sideOfDiff(cmd, client, arg); err != nil {
						return err
					}
				}
				plan, err := client.DiffSchemas(cmd.Context(), sides[0], sides[1])
				if err != nil {
					return suggestBranch(cmd.Context(), client, sides[0], err)
				}
				return c.showPlanOnly(plan, asSQL)
			})
		},
	}
	cmd.Flags().BoolVar(&asSQL, "sql", false, "write the statements only")
	return cmd
}

// sideOfDiff is the branch that an argument names, or a read-only copy of its moment.
func (c *cli) sideOfDiff(cmd *cobra.Command, client *api.Client, arg string) (holdfast.BranchRef, error) {
	name, at, err := momentOf(arg, time.Now())
	if err != nil {
		return holdfast.BranchRef{}, usage(cmd, err)
	}
	ref, err := c.ref(name)
	if err != nil || at == "" {
		return ref, err
	}
	look, err := c.look(cmd.Context(), client, ref, at)
	return look, suggestBranch(cmd.Context(), client, ref, err)
}

// showPlanOnly shows a plan that belongs to no publish.
func (c *cli) showPlanOnly(plan api.Plan, asSQL bool) error {
	if c.json || !asSQL {
		return c.show(plan, func(w io.Writer) { planText(w, plan) })
	}
	return c.showPlan(api.Publish{Plan: &plan}, true)
}

func (c *cli) schemaDumpCommand() *cobra.Command {
	var table string
	cmd := &cobra.Command{
		Use: "dump [PROJECT/BRANCH]", Short: "Write a branch's structure as SQL", Example: "  holdfast schema dump shop/production > schema.sql\n  holdfast schema dump shop/production --table sales.orders", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				var dump api.SchemaDump
				var err error
				if table == "" {
					dump, err = client.DumpSchema(cmd.Context(), ref)
				} else {
					dump, err = client.TableSQL(cmd.Context(), ref, table)
				}
				if err != nil {
					return err
				}
				return c.show(dump, func(w io.Writer) { fmt.Fprint(w, printableLines(dump.SQL)) })
			})
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "only this table or view, with its indexes, triggers and policies; its name as in SQL")
	return cmd
}

func (c *cli) schemaLintCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lint FILE...", Short: "Find what can hurt a database in use in migration files",
		Long:    "Find what can hurt a database in use in migration files: locks that make others wait, tables that are written anew, values that go.\n\nNothing is run. The exit status is 1 when something was found.",
		Example: "  holdfast schema lint migrations/*.sql", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				found := map[string][]api.LintFinding{}
				n := 0
				for _, path := range args {
					raw, err := os.ReadFile(path)
					if err != nil {
						return err
					}
					if found[path], err = client.LintSchema(cmd.Context(), string(raw)); err != nil {
						return err
					}
					n += len(found[path])
				}
				if err := c.show(found, func(w io.Writer) { lintText(w, args, found) }); err != nil {
					return err
				}
				if n > 0 {
					return fmt.Errorf("%d statements deserve a look", n)
				}
				return nil
			})
		},
	}
}

func lintText(w io.Writer, paths []string, found map[string][]api.LintFinding) {
	for _, path := range paths {
		for _, f := range found[path] {
			fmt.Fprintf(w, "%s:%d: %s: %s\n", printable(path), f.Line, f.Class, printable(f.Why))
			if f.Better != "" {
				fmt.Fprintf(w, "    %s\n", printable(f.Better))
			}
		}
	}
}
