package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) jobCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "job", Aliases: []string{"jobs"}, Short: "See, follow and cancel operations that take time", Example: "  holdfast job list\n  holdfast job watch job_0123"}
	cmd.AddCommand(c.jobListCommand(), c.jobLogCommand(),
		c.oneJobCommand("show JOB", "Show a job and where it stands", c.showJob),
		c.oneJobCommand("watch JOB", "Follow a job until it has ended; its success is the exit code's", func(ctx context.Context, client *api.Client, id string) error {
			job, err := client.Job(ctx, id)
			if err != nil {
				return err
			}
			return c.finishJob(ctx, client, job, true, "job "+id+" succeeded")
		}),
		c.oneJobCommand("cancel JOB", "Ask a job to stop and to take back what it did", func(ctx context.Context, client *api.Client, id string) error {
			job, err := client.CancelJob(ctx, id)
			if err != nil {
				return err
			}
			return c.show(job, func(w io.Writer) { fmt.Fprintf(w, "job %s is %s\n", job.ID, job.State) })
		}))
	return cmd
}

func (c *cli) oneJobCommand(use, short string, do func(context.Context, *api.Client, string) error) *cobra.Command {
	verb := use[:len(use)-len(" JOB")]
	return &cobra.Command{Use: use, Short: short, Example: "  holdfast job " + verb + " job_0123", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error { return do(cmd.Context(), client, args[0]) })
		}}
}

func (c *cli) showJob(ctx context.Context, client *api.Client, id string) error {
	j, err := client.Job(ctx, id)
	if err != nil {
		return err
	}
	return c.show(j, func(w io.Writer) {
		t := newTable(w, "job", j.ID)
		t.row("what", j.Kind+" "+j.Subject)
		t.row("state", j.State)
		t.row("step", stepTitle(j)+percent(j))
		if j.Error != "" {
			t.row("error", j.Error)
		}
		t.row("asked by", j.Actor)
		t.row("created", moment(j.CreatedAt))
		t.row("took", took(j))
		t.flush()
	})
}

func percent(j api.Job) string {
	if j.Total <= 0 || j.Final() {
		return ""
	}
	return fmt.Sprintf(" %d%%", 100*j.Done/j.Total)
}

func took(j api.Job) string {
	switch {
	case j.StartedAt.IsZero():
		return ""
	case j.EndedAt.IsZero():
		return time.Since(j.StartedAt).Round(time.Second).String() + " so far"
	}
	return j.EndedAt.Sub(j.StartedAt).Round(10 * time.Millisecond).String()
}

func (c *cli) jobListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List jobs, the newest first", Example: "  holdfast job list shop --limit 10", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				jobs, err := client.Jobs(cmd.Context(), first(args), limit)
				if err != nil {
					return suggestProject(cmd.Context(), client, first(args), err)
				}
				return showList(c, jobs, func(w io.Writer) {
					t := newTable(w, "JOB", "WHAT", "ON", "STATE", "STEP", "CREATED", "TOOK")
					for _, j := range jobs {
						step := ""
						if !j.Final() {
							step = stepTitle(j) + percent(j)
						}
						t.row(j.ID, j.Kind, j.Subject, j.State, step, moment(j.CreatedAt), took(j))
					}
					t.flush()
				})
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return cmd
}

func (c *cli) jobLogCommand() *cobra.Command {
	return c.oneJobCommand("log JOB", "Show a job's log", func(ctx context.Context, client *api.Client, id string) error {
		var all []api.JobLine
		for after := int64(0); ; {
			lines, err := client.JobLog(ctx, id, after)
			if err != nil {
				return err
			}
			if len(lines) == 0 {
				break
			}
			after = lines[len(lines)-1].Seq
			if c.json {
				all = append(all, lines...)
				continue
			}
			for _, l := range lines {
				fmt.Fprintf(c.out, "%s  %s\n", moment(l.At), printableLines(l.Text))
			}
		}
		if c.json {
			return showList(c, all, nil)
		}
		return nil
	})
}
