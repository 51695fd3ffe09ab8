package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) credentialsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "credentials", Short: "Change a branch's password", Example: "  holdfast credentials rotate shop/development"}
	var yes bool
	rotate := &cobra.Command{
		Use:   "rotate [PROJECT/BRANCH]",
		Short: "Give the owner role a new password on a branch",
		Long: `Gives the owner role a new password on this branch. The old one stops working at once; sessions that are open stay open. The new one
is shown by holdfast env.`,
		Example: "  holdfast credentials rotate shop/development\n  holdfast credentials rotate shop/production --yes",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				b, err := client.Branch(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if b.Environment == string(holdfast.Production) {
					if err := c.confirm(yes, "Programs that have the old password of "+ref.String()+" will be refused.", ref.String()); err != nil {
						return err
					}
				}
				if _, err := client.RotateCredentials(cmd.Context(), ref); err != nil {
					return err
				}
				return c.say("%s has a new password; `holdfast env %s` shows it", ref, ref)
			})
		},
	}
	rotate.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.AddCommand(rotate)
	return cmd
}
