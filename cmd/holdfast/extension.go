package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) extensionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "extension", Aliases: []string{"extensions"}, Short: "See and add PostgreSQL extensions", Example: "  holdfast extension add pg_trgm shop/development"}
	var all bool
	list := &cobra.Command{
		Use: "list [PROJECT/BRANCH]", Aliases: []string{"ls"}, Short: "List the extensions that a branch has or could have", Example: "  holdfast extension list shop/development\n  holdfast extension list --all",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				extensions, err := client.Extensions(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return showList(c, extensions, func(w io.Writer) {
					t := newTable(w, "EXTENSION", "VERSION", "INSTALLED", "CAN BE ADDED", "WHAT IT IS")
					for _, e := range extensions {
						if all || e.Allowed || e.Installed != "" {
							t.row(e.Name, e.Version, e.Installed, yes(e.Allowed), e.Comment)
						}
					}
					t.flush()
				})
			})
		},
	}
	list.Flags().BoolVar(&all, "all", false, "also those that cannot be added")
	add := &cobra.Command{
		Use: "add EXTENSION [PROJECT/BRANCH]", Short: "Create an extension in a branch's database",
		Long:    "Creates an extension of the allow list in the branch's database. One that is there already is left as it is.",
		Example: "  holdfast extension add pg_trgm shop/development", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[1:], func(client *api.Client, ref holdfast.BranchRef) error {
				if err := client.AddExtension(cmd.Context(), ref, args[0]); err != nil {
					return err
				}
				return c.say("%s has the extension %s", ref, args[0])
			})
		},
	}
	cmd.AddCommand(list, add)
	return cmd
}
