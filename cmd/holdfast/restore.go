package main

import (
	"fmt"
	"io"
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

func (c *cli) restoreCommand() *cobra.Command {
	var m momentFlags
	var yes, planOnly bool
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "restore [PROJECT/BRANCH] --at MOMENT", Short: "Take a branch back to a moment",
		Long: `Take a branch back to a moment, in place.

The moment is restored beside the branch and verified first. Then it takes the branch's place, under the same name and with the same
credentials; clients wait meanwhile and connect again. What the branch had is kept for seven days as a branch of its own, so that the
restore can be undone. To look at a moment without touching the branch, use "holdfast branch create NAME --from BRANCH --at MOMENT".

A moment is "10 minutes ago", "yesterday 14:03" or "2026-11-20 14:03:11+01"; without a zone it is in this machine's.`,
		Example: "  holdfast restore shop/production --at \"10 minutes ago\" --plan\n  holdfast restore shop/production --at \"2026-11-20 14:03:11+01\"\n  holdfast restore undo shop/production",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := m.text(time.Now())
			if err != nil {
				return usage(cmd, err)
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				plan, err := client.PlanRestore(cmd.Context(), ref, at)
				if err != nil {
					return err
				}
				if planOnly {
					return c.show(plan, func(w io.Writer) { planTable(w, plan) })
				}
				planTable(c.errOut, plan)
				if err := c.confirm(yes, fmt.Sprintf("This takes %s back to %s. What it has now is kept for seven days.", ref, plan.Moment), ref.String()); err != nil {
					return err
				}
				job, err := client.Restore(cmd.Context(), ref, at)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, wait.wanted(), fmt.Sprintf("%s is as it was at %s; `holdfast restore undo %s` takes that back", ref, plan.Moment, ref))
			})
		},
	}
	m.flags(cmd)
	cmd.Flags().BoolVar(&planOnly, "plan", false, "only show what would be done")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	wait.flags(cmd)
	cmd.AddCommand(c.restoreUndoCommand())
	return cmd
}

func planTable(w io.Writer, p api.RestorePlan) {
	t := newTable(w, "moment", p.Moment)
	t.row("WAL position", p.LSN)
	kind := "base backup"
	if p.Snapshot {
		kind = "snapshot"
	}
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
	cmd.Flags().StringVar(&m.checkpoint, "checkpoint", "", "a checkpoint's ID")
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
