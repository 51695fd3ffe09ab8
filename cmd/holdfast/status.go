package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [PROJECT]", Short: "Show how everything stands; it fails when an alert is firing",
		Long: `Show how everything stands: of each branch whether it is awake, its sessions and size, the last backup, the last one that was proved to restore, and
how late its WAL is; the jobs that run, and the alerts. It wakes no branch.

The exit code is 0 when all is well and 6 when an alert is firing that is not muted, so a script or a monitor can ask it.`,
		Example: "  holdfast status\n  holdfast status shop\n  holdfast status --json", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				s, err := client.Status(cmd.Context(), first(args))
				if err != nil {
					return suggestProject(cmd.Context(), client, first(args), err)
				}
				if err := c.show(s, func(w io.Writer) { showStatus(w, s, time.Now()) }); err != nil {
					return err
				}
				if s.Healthy {
					return nil
				}
				return &holdfast.Error{Kind: holdfast.Precondition, Message: firingCount(s.Alerts), Hint: "`holdfast alert show` says what to do"}
			})
		},
	}
}

func muted(a api.Alert) bool { return a.MutedUntil.After(time.Now()) }

func firingCount(alerts []api.Alert) string {
	n := 0
	for _, a := range alerts {
		if !muted(a) {
			n++
		}
	}
	if n == 1 {
		return "an alert is firing"
	}
	return fmt.Sprintf("%d alerts are firing", n)
}

func showStatus(w io.Writer, s api.Status, now time.Time) {
	t := newTable(w, "BRANCH", "ENVIRONMENT", "STATE", "SESSIONS", "SIZE", "LAST BACKUP", "LAST VERIFIED", "WAL LAG", "ALERTS")
	for _, b := range s.Branches {
		lag, alerts := "no history", ""
		if b.HasHistory {
			lag = span(time.Duration(b.WALLag * float64(time.Second)).Round(100 * time.Millisecond))
		}
		if b.Alerts > 0 {
			alerts = strconv.Itoa(b.Alerts)
		}
		t.row(b.Branch, b.Environment, b.Activity, strconv.Itoa(b.Sessions), measured(b.Size), since(b.LastBackup, now), since(b.LastVerified, now), lag, alerts)
	}
	t.flush()
	if len(s.Jobs) > 0 {
		fmt.Fprintln(w)
		t := newTable(w, "JOB", "WHAT", "OF", "STATE", "STEP", "TOOK")
		for _, j := range s.Jobs {
			t.row(j.ID, j.Kind, j.Subject, j.State, stepTitle(j)+percent(j), took(j))
		}
		t.flush()
	}
	if s.FailedJobs > 0 {
		fmt.Fprintf(w, "\n%d jobs failed within a day: `holdfast job list` shows them\n", s.FailedJobs)
	}
	fmt.Fprintln(w)
	if len(s.Alerts) == 0 {
		fmt.Fprintln(w, "no alert is firing")
		return
	}
	alertTable(w, s.Alerts)
}

// since writes how long ago something was, roughly; "never" for the zero time.
func since(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	}
	return fmt.Sprintf("%dd ago", d/(24*time.Hour))
}
