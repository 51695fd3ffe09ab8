package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) projectAgentsCommand() *cobra.Command {
	var read bool
	var timeout string
	cmd := &cobra.Command{
		Use: "agents [PROJECT]", Short: "See and set what a project's agents may do beyond development and previews",
		Long: `Agents reach development and previews. With --read-production they may also run queries on production (holdfast sql, run_sql), as a role that can only
select, in a read-only transaction and with a time limit for each statement. They see production's rows as they are. Off again with --read-production=false.

Setting it takes an admin of the project; every query is in the audit trail.`,
		Example: "  holdfast project agents shop\n  holdfast project agents shop --read-production --timeout 5s\n  holdfast project agents shop --read-production=false",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, first(args), func(client *api.Client, project string) error {
				now, err := client.AgentSettings(cmd.Context(), project)
				if err != nil {
					return err
				}
				if cmd.Flags().Changed("read-production") || timeout != "" {
					if cmd.Flags().Changed("read-production") {
						now.ReadProduction = read
					}
					if timeout != "" {
						d, err := parseSpan(timeout)
						if err != nil {
							return usage(cmd, err)
						}
						now.StatementTimeout = api.Seconds(d)
					}
					if err := client.SetAgentSettings(cmd.Context(), project, now); err != nil {
						return err
					}
				}
				return c.show(now, func(w io.Writer) {
					if !now.ReadProduction {
						fmt.Fprintf(w, "agents of %s do not reach production\n", project)
						return
					}
					fmt.Fprintf(w, "agents of %s read production, at most %s for each statement\n", project, time.Duration(now.StatementTimeout)*time.Second)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&read, "read-production", false, "agents may run queries on production")
	cmd.Flags().StringVar(&timeout, "timeout", "", "of each statement on production: 1s to 60s (10s unless it was set)")
	return cmd
}

// agentPrefix is how the tokens of agents begin.
const agentPrefix = "hf_agent_"

// writeForAgents chooses JSON in lines where the token is an agent's, unless the command line says what it wants.
func (c *cli) writeForAgents(chosen bool) {
	if chosen && !c.json {
		return
	}
	if t, err := c.target(); err == nil && strings.HasPrefix(t.token, agentPrefix) {
		c.json, c.lines = true, true
	}
}
