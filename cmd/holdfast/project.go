package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/sample"
)

func (c *cli) projectCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "project", Aliases: []string{"projects"}, Short: "Create, see and remove projects",
		Example: "  holdfast project create shop\n  holdfast project list"}
	cmd.AddCommand(c.projectCreateCommand(), c.projectListCommand(), c.projectShowCommand(), c.projectAgentsCommand(), c.projectDeleteCommand())
	return cmd
}

func (c *cli) projectCreateCommand() *cobra.Command {
	var ask api.NewProject
	var withSample bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a project with a development and a production database",
		Example: `  holdfast project create shop
  holdfast project create shop --postgres 16 --sample --rows 100000
  holdfast project create shop --no-wait`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows := cmd.Flags().Changed("rows")
			if withSample && !rows {
				ask.SampleRows = sample.DefaultRows
			}
			if rows && ask.SampleRows < 1 {
				return usage(cmd, fmt.Errorf("--rows %d is not a number of rows", ask.SampleRows))
			}
			ask.Name = args[0]
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				job, err := client.CreateProject(cmd.Context(), ask)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("project %s is there; `holdfast env %s/development` shows how to connect", ask.Name, ask.Name))
			})
		},
	}
	cmd.Flags().IntVar(&ask.Major, "postgres", 0, "PostgreSQL's major version (default: the server's)")
	cmd.Flags().BoolVar(&withSample, "sample", false, "load a sample data set into both databases")
	cmd.Flags().IntVar(&ask.SampleRows, "rows", 0, fmt.Sprintf("size of the sample data set, in rows (default %d); implies --sample", sample.DefaultRows))
	wait.flags(cmd)
	return cmd
}

// waiting is the pair of flags of every command that begins a job.
type waiting struct{ wait, noWait bool }

func (w *waiting) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", true, "wait until it is done and show the progress")
	cmd.Flags().BoolVar(&w.noWait, "no-wait", false, "do not wait; show the job's number")
	cmd.MarkFlagsMutuallyExclusive("wait", "no-wait")
}

func (w *waiting) wanted() bool { return w.wait && !w.noWait }

func (c *cli) projectListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the projects that you may see", Example: "  holdfast project list --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				projects, err := client.Projects(cmd.Context())
				if err != nil {
					return err
				}
				return showList(c, projects, func(w io.Writer) {
					t := newTable(w, "PROJECT", "POSTGRESQL", "BRANCHES", "AWAKE", "SIZE", "CREATED")
					for _, p := range projects {
						awake, bytes := 0, int64(0)
						for _, b := range p.Branches {
							bytes += b.SizeBytes
							if b.Activity == "awake" {
								awake++
							}
						}
						t.row(p.Name, strconv.Itoa(p.Major), strconv.Itoa(len(p.Branches)), strconv.Itoa(awake), measured(bytes), moment(p.CreatedAt))
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) projectShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a project and its branches", Example: "  holdfast project show shop", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				name, err := c.project(first(args))
				if err != nil {
					return err
				}
				p, err := client.Project(cmd.Context(), name)
				if err != nil {
					return suggestProject(cmd.Context(), client, name, err)
				}
				return c.show(p, func(w io.Writer) {
					fmt.Fprintf(w, "project %s, PostgreSQL %d, owner role %s, created %s\n\n", p.Name, p.Major, p.OwnerRole, moment(p.CreatedAt))
					branchTable(w, p.Branches)
				})
			})
		},
	}
}
