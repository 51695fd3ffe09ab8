package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "history [PROJECT/BRANCH]", Short: "Show to which moments a branch can be restored", Example: "  holdfast history shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				h, err := client.History(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.show(h, func(w io.Writer) { historyTable(w, h) })
			})
		},
	}
}

func historyTable(w io.Writer, h api.History) {
	if h.Latest.IsZero() {
		fmt.Fprintln(w, "There is no base backup yet, so nothing can be restored; the first one is made when the branch is awake.")
		return
	}
	const zoned = "2006-01-02 15:04:05 MST"
	fmt.Fprintf(w, "every moment from %s to %s\n", h.Earliest.Local().Format(zoned), h.Latest.Local().Format(zoned))
	for _, g := range h.Gaps {
		fmt.Fprintf(w, "but not from %s to %s: %s\n", g.From.Local().Format(zoned), g.To.Local().Format(zoned), g.Reason)
	}
	fmt.Fprintf(w, "history is kept for %s\n", span(time.Duration(h.Window)*time.Second))
	if n := h.Snapshots.Count; n > 0 {
		fmt.Fprintf(w, "%d snapshots on the server's disk: %s in all, of which %s are theirs alone\n", n, size(h.Snapshots.Logical), size(h.Snapshots.Physical))
	}
	fmt.Fprintln(w)
	t := newTable(w, "BASE BACKUP", "AT", "SIZE", "STORED", "KIND")
	for _, b := range h.Bases {
		kind := "full"
		if b.Incremental {
			kind = "incremental"
		}
		t.row(b.ID, moment(b.At), size(b.Size), size(b.Stored), kind)
	}
	t.flush()
}

// restoring is what the command line asks of a restore.
type restoring struct {
	m                  momentFlags
	yes, plan, preview bool
	to, life           string
	code, withCode     bool
	wait               waiting
}

func (c *cli) restoreCommand() *cobra.Command {
	r := &restoring{wait: waiting{wait: true}}
	cmd := &cobra.Command{
		Use: "restore [PROJECT/BRANCH] --at MOMENT", Short: "Take a branch back to a moment, or look at the moment beside it",
		Long: `Brings a moment of a branch back. There are three ways, the safest first:

  --preview     look: a read-only copy of the moment beside the branch, deleted when nobody has used it for half a minute
  --to NAME     a new branch of the moment, with credentials and a life of its own
  (neither)     in place: the moment is restored beside the branch and verified, then takes its place under the same name and with the same
                credentials. Clients who come meanwhile wait; sessions that are open end with 57P01. What the branch had is kept for seven
                days as a branch of its own, so that the restore can be undone.

And three scopes, where a checkpoint knows the commit of the code that belongs to it:

  (none)        database only
  --code        code only: prints the git command that checks the commit out
  --with-code   both: restores the database, and checks the commit out in the git checkout that holds the link file .holdfast, which must have
                nothing uncommitted; --code --with-code checks it out and leaves the database

The code is that of the checkpoint, or of the newest one before the moment that knows it. A moment is "10 minutes ago", "yesterday 14:03" or
"2026-11-20 14:03:11+01"; without a zone it is in this machine's.`,
		Example: `  holdfast restore shop/production --at "10 minutes ago" --plan
  holdfast restore shop/production --at "10 minutes ago" --preview
  holdfast restore shop/production --at "yesterday 14:03" --to before-import --ttl 7d
  holdfast restore shop/production --at "2026-11-20 14:03:11+01"
  holdfast restore shop/production --checkpoint 20261120T140311123Z-1a2b3c4d --with-code
  holdfast restore undo shop/production`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := r.m.text(time.Now())
			if err != nil {
				return usage(cmd, err)
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				return c.restore(cmd.Context(), client, ref, at, r)
			})
		},
	}
	r.m.flags(cmd)
	cmd.Flags().BoolVar(&r.plan, "plan", false, "only show what would be done")
	cmd.Flags().BoolVar(&r.preview, "preview", false, "make a read-only copy of the moment, to look at it")
	cmd.Flags().StringVar(&r.to, "to", "", "make a new branch of that name")
	cmd.Flags().StringVar(&r.life, "ttl", "1d", "with --to: how long the branch lives: 1h, 1d, 7d; at most 30d")
	cmd.Flags().BoolVar(&r.code, "code", false, "code only: print the git command for it")
	cmd.Flags().BoolVar(&r.withCode, "with-code", false, "check the code out, too")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask")
	cmd.MarkFlagsMutuallyExclusive("plan", "preview", "to", "code")
	cmd.MarkFlagsMutuallyExclusive("preview", "with-code")
	cmd.MarkFlagsMutuallyExclusive("to", "with-code")
	r.wait.flags(cmd)
	cmd.AddCommand(c.restoreUndoCommand())
	return cmd
}

func (c *cli) restore(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string, r *restoring) error {
	var checkout *checkout
	if r.code || r.withCode {
		var err error
		if checkout, err = c.findCode(ctx, client, ref, at, r.withCode); err != nil {
			return err
		}
	}
	if r.code {
		if r.withCode {
			return checkout.run(ctx, c)
		}
		return c.show(map[string]string{"commit": checkout.commit, "checkpoint": checkout.checkpoint, "command": checkout.command()}, func(w io.Writer) { fmt.Fprintln(w, checkout.command()) })
	}
	plan, err := client.PlanRestore(ctx, ref, at)
	if err != nil {
		return err
	}
	if r.plan {
		return c.show(plan, func(w io.Writer) { planTable(w, plan) })
	}
	planTable(c.errOut, plan)
	switch {
	case r.preview:
		return c.restorePreview(ctx, client, ref, at, plan)
	case r.to != "":
		return c.restoreTo(ctx, client, ref, at, plan, r)
	}
	if err := c.confirm(r.yes, fmt.Sprintf("This takes %s back to %s. What it has now is kept for seven days.", ref, plan.Moment), ref.String()); err != nil {
		return err
	}
	job, err := client.Restore(ctx, ref, at)
	if err != nil {
		return err
	}
	err = c.finishJob(ctx, client, job, r.wait.wanted() || checkout != nil, fmt.Sprintf("%s is as it was at %s; `holdfast restore undo %s` takes that back", ref, plan.Moment, ref))
	if err != nil || checkout == nil {
		return err
	}
	return checkout.run(ctx, c)
}

func (c *cli) restorePreview(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string, plan api.RestorePlan) error {
	look, err := c.look(ctx, client, ref, at)
	if err != nil {
		return err
	}
	con, err := client.Connection(ctx, look)
	if err != nil {
		return err
	}
	return c.show(con, func(w io.Writer) {
		fmt.Fprintln(w, con.URL)
		fmt.Fprintf(c.errOut, "%s shows %s as of %s, read-only; it is deleted when nobody has used it for half a minute\n", look, ref, plan.Moment)
	})
}

func (c *cli) restoreTo(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string, plan api.RestorePlan, r *restoring) error {
	d, err := parseSpan(r.life)
	if err != nil {
		return err
	}
	to := holdfast.BranchRef{Project: ref.Project, Branch: strings.TrimPrefix(r.to, ref.Project+"/")}
	job, err := client.CreateBranch(ctx, ref.Project, api.NewBranch{Name: to.Branch, From: ref.Branch, At: at, Life: api.Seconds(d)})
	if err != nil {
		return err
	}
	return c.finishJob(ctx, client, job, r.wait.wanted(), fmt.Sprintf("branch %s is %s as of %s; `holdfast env %s` shows how to connect", to, ref, plan.Moment, to))
}

func planTable(w io.Writer, p api.RestorePlan) {
	const zoned = "2006-01-02 15:04:05 MST"
	kind := "base backup"
	if p.Snapshot {
		kind = "snapshot"
	}
	t := newTable(w, "moment", p.Moment)
	t.row("can be had", fmt.Sprintf("%s to %s", p.Earliest.Local().Format(zoned), p.Latest.Local().Format(zoned)))
	for _, g := range p.Gaps {
		t.row("but not", fmt.Sprintf("%s to %s: %s", g.From.Local().Format(zoned), g.To.Local().Format(zoned), g.Reason))
	}
	t.row("WAL position", p.LSN)
	t.row("begins with", fmt.Sprintf("%s %s of %s", kind, p.Base, moment(p.BaseAt)))
	t.row("to read", size(p.Fetch))
	t.row("to replay", size(p.WAL))
	t.row("size", size(p.Size))
	t.row("takes about", span(time.Duration(p.Estimate)*time.Second))
	t.flush()
}

func (c *cli) restoreUndoCommand() *cobra.Command {
	var yes bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "undo [PROJECT/BRANCH]", Short: "Put back what a branch had before its newest restore", Long: "Put back what a branch had before its newest restore.\n\nWhat it has now is kept for seven days in turn.",
		Example: "  holdfast restore undo shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if err := c.confirm(yes, fmt.Sprintf("This undoes the newest restore of %s. What it has now is kept for seven days.", ref), ref.String()); err != nil {
					return err
				}
				job, err := client.UndoRestore(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("%s is as it was before its newest restore", ref))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	wait.flags(cmd)
	return cmd
}

// momentFlags are the ways to name a moment.
type momentFlags struct{ at, lsn, checkpoint string }

func (m *momentFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.at, "at", "", `a time: "10 minutes ago", "2026-11-20 14:03:11+01"`)
	cmd.Flags().StringVar(&m.lsn, "lsn", "", "a WAL position: 0/5000148")
	cmd.Flags().StringVar(&m.checkpoint, "checkpoint", "", "a checkpoint's ID, or its label")
	cmd.MarkFlagsMutuallyExclusive("at", "lsn", "checkpoint")
}

// text is the moment as the API takes it, with the time written out in its zone; "" when none was named.
func (m *momentFlags) text(now time.Time) (string, error) {
	given := m.at
	switch {
	case m.lsn != "":
		given = "lsn:" + m.lsn
	case m.checkpoint != "":
		given = "checkpoint:" + m.checkpoint
	case given == "":
		return "", nil
	}
	point, err := holdfast.ParsePoint(given, now)
	if err != nil {
		return "", err
	}
	if !point.At.IsZero() {
		return point.At.Format(time.RFC3339Nano), nil
	}
	return given, nil
}
