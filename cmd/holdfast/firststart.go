package main

import (
	"context"
	"fmt"
	"io"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// greeting is what a user is told when a server has started.
type greeting struct {
	url, token string
	data       string
	setup      string // the secret of the set-up link; empty after the first start
	sample     api.NewProject
	first      bool
	copies     string // how copies of a database could be better; empty: not at all
	managed    bool   // under a service manager, which keeps what is printed: connection strings stay out of it
}

// greet tells where everything is and, at the first start, makes the sample project. It speaks to the server as any client does.
func (c *cli) greet(ctx context.Context, g greeting) error {
	say := func(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }
	say("Holdfast %s is running.", version)
	say("  API           %s", g.url)
	say("  admin token   in %s/%s", g.data, adminTokenFile)
	if g.setup != "" {
		say("  set-up link   %s%s#%s  (once, within a day: holdfast login --setup LINK)", g.url, api.SetupPagePath, g.setup)
	}
	if g.copies != "" {
		say("  copies        %s", g.copies)
	}
	if !g.first || g.sample.Name == "" {
		say("")
		return nil
	}
	client, err := api.NewClient(g.url, g.token, "holdfast-serve/"+version)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.makeSample(ctx, client, g.sample); err != nil {
		return fmt.Errorf("create the sample project %s: %w", g.sample.Name, err)
	}
	return c.sayConnections(ctx, client, g)
}

// makeSample creates the sample project, or waits for the job of a first start that was interrupted, which went on by itself.
func (c *cli) makeSample(ctx context.Context, client *api.Client, ask api.NewProject) error {
	job, err := client.CreateProject(ctx, ask)
	if holdfast.KindOf(err) == holdfast.Conflict {
		if job, err = unfinished(ctx, client, ask.Name); err == nil && job.ID == "" {
			return nil
		}
	}
	if err != nil {
		return err
	}
	_, err = c.follow(ctx, client, job)
	return err
}

// unfinished finds the job that is at work on subject; the zero Job when there is none.
func unfinished(ctx context.Context, client *api.Client, subject string) (api.Job, error) {
	jobs, err := client.Jobs(ctx, "", 100)
	for _, j := range jobs {
		if j.Subject == subject && !j.Final() {
			return j, err
		}
	}
	return api.Job{}, err
}

func (c *cli) sayConnections(ctx context.Context, client *api.Client, g greeting) error {
	for _, name := range []string{holdfast.DevelopmentName, holdfast.ProductionName} {
		ref := holdfast.BranchRef{Project: g.sample.Name, Branch: name}
		if g.managed {
			fmt.Fprintf(c.out, "  %-13s holdfast env %s\n", name, ref)
			continue
		}
		con, err := client.Connection(ctx, ref)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "  %-13s %s\n", name, con.URL)
	}
	_, err := io.WriteString(c.out, "\n")
	return err
}
