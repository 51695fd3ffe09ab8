package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// monitoring is what the command line asks of the measurements.
type monitoring struct {
	from, to, step string
	watch          bool
}

// watchInterval is how often `holdfast monitor --watch` asks again; there is something new once a minute.
const watchInterval = 10 * time.Second

func (c *cli) monitorCommand() *cobra.Command {
	var m monitoring
	cmd := &cobra.Command{
		Use: "monitor [PROJECT/BRANCH]", Short: "Show what a branch's server did: sessions, cache, size, deadlocks, slow statements",
		Long: `Shows what a branch's server did: sessions, cache, size, deadlocks, and the statements that took most time.

It is measured once a minute while the branch is awake, and kept for 14 days. Nothing is shown of times in which it slept; asking wakes nothing.`,
		Example: `  holdfast monitor shop/development
  holdfast monitor shop/production --watch
  holdfast monitor shop/production --from "yesterday 14:00" --to "yesterday 18:00" --step 15m
  holdfast monitor shop/production --from "7 days ago" --json`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if m.watch && !c.json && isTerminal(c.out) {
					return c.watchMonitoring(cmd.Context(), client, ref, m)
				}
				found, err := m.get(cmd.Context(), client, ref)
				if err != nil {
					return err
				}
				return c.show(found, func(w io.Writer) { monitoringTables(w, found) })
			})
		},
	}
	cmd.Flags().StringVar(&m.from, "from", "", `a time: "2 hours ago", "2026-11-20 14:00"; an hour before the end when left out`)
	cmd.Flags().StringVar(&m.to, "to", "", "a time; now when left out")
	cmd.Flags().StringVar(&m.step, "step", "", "how long a line is, for example 5m; chosen by the length when left out")
	cmd.Flags().BoolVar(&m.watch, "watch", false, "on a terminal: show it again and again until interrupted")
	return cmd
}

func (m monitoring) get(ctx context.Context, client *api.Client, ref holdfast.BranchRef) (api.Monitoring, error) {
	var ask api.MonitoringRequest
	now := time.Now()
	for _, given := range []struct {
		text string
		into *time.Time
	}{{m.from, &ask.From}, {m.to, &ask.To}} {
		if given.text == "" {
			continue
		}
		point, err := holdfast.ParsePoint(given.text, now)
		if err != nil {
			return api.Monitoring{}, err
		}
		if point.At.IsZero() {
			return api.Monitoring{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is not a time", given.text), Hint: `write one as "2 hours ago" or "2026-11-20 14:00"`}
		}
		*given.into = point.At
	}
	if m.step != "" {
		var err error
		if ask.Step, err = parseSpan(m.step); err != nil {
			return api.Monitoring{}, err
		}
	}
	return client.Monitoring(ctx, ref, ask)
}

// watchMonitoring shows the tables on a cleared screen until the program is interrupted.
func (c *cli) watchMonitoring(ctx context.Context, client *api.Client, ref holdfast.BranchRef, m monitoring) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		found, err := m.get(ctx, client, ref)
		if ctx.Err() != nil {
			return nil // it was interrupted
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "\x1b[H\x1b[2J%s  %s\n\n", ref, time.Now().Format(time.TimeOnly))
		monitoringTables(c.out, found)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func monitoringTables(w io.Writer, m api.Monitoring) {
	if len(m.Steps) == 0 {
		fmt.Fprintf(w, "Nothing was measured from %s to %s: the branch slept, or was awake for less than a minute.\n", moment(m.From), moment(m.To))
		return
	}
	t := newTable(w, "FROM", "AWAKE", "SESSIONS", "MOST", "ACTIVE", "IN TX", "WAITING", "COMMITS", "ROLLBACKS", "DEADLOCKS", "CACHE HIT", "TEMP", "SIZE")
	for _, s := range m.Steps {
		hit := ""
		if s.CacheHit != nil {
			hit = fmt.Sprintf("%.1f %%", *s.CacheHit*100)
		}
		t.row(moment(s.At), fmt.Sprintf("%dm", s.Measurements), fmt.Sprintf("%.1f", s.Connections), fmt.Sprint(s.MaxConnections), fmt.Sprint(s.MaxActive), fmt.Sprint(s.MaxInTx), fmt.Sprint(s.MaxWaiting),
			fmt.Sprint(s.Commits), fmt.Sprint(s.Rollbacks), fmt.Sprint(s.Deadlocks), hit, measured(s.TempBytes), size(s.Size))
	}
	t.flush()
	if len(m.Statements) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = newTable(w, "TIME", "CALLS", "AVERAGE", "STATEMENT")
	for _, s := range m.Statements {
		text := []rune(printable(s.SQL))
		if len(text) > 100 {
			text = append(text[:99], '…')
		}
		t.row(milliseconds(s.TotalMS), fmt.Sprint(s.Calls), milliseconds(s.AverageMS), string(text))
	}
	t.flush()
}
