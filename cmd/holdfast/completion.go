package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
)

// completionPatience bounds what a pressed Tab waits for.
const completionPatience = 2 * time.Second

// completeBranches offers the branches of the server for a first argument.
func (c *cli) completeBranches(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(p api.Project) (names []string) {
		for _, b := range p.Branches {
			names = append(names, b.Ref().String())
		}
		return names
	})
}

// completeProjects offers the projects of the server for a first argument.
func (c *cli) completeProjects(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(p api.Project) []string { return []string{p.Name} })
}

// complete is silent about errors: there is nowhere to show them while somebody types.
func (c *cli) complete(cmd *cobra.Command, args []string, names func(api.Project) []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	var out []string
	err := c.withClient(ctx, func(client *api.Client) error {
		projects, err := client.Projects(ctx)
		for _, p := range projects {
			out = append(out, names(p)...)
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
