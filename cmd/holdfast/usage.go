package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// asking is what the command line says about the usage that is asked for.
type asking struct {
	from, to, by, per string
	csv               bool
}

func (c *cli) usageCommand() *cobra.Command {
	var ask asking
	cmd := &cobra.Command{
		Use: "usage [PROJECT|PROJECT/BRANCH]", Short: "Show what was used, what it costs, and what it will cost",
		Long: `Show what was used: of a branch, of a project, or of all projects that you see; with the current billing period, its cost and a forecast.
It is at most half a minute old, and asking wakes nothing. docs/usage.md says what is counted.`,
		Example: `  holdfast usage
  holdfast usage shop --per branch
  holdfast usage shop/production --from 2026-11-01 --by hour --csv > november.csv`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := ask.query(time.Now())
			if err != nil {
				return usage(cmd, err)
			}
			project, branch, _ := strings.Cut(first(args), "/")
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if ask.csv {
					err = c.usageCSV(cmd.Context(), client, project, branch, q)
				} else {
					err = c.showUsage(cmd.Context(), client, project, branch, q)
				}
				if branch == "" {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return suggestBranch(cmd.Context(), client, holdfast.BranchRef{Project: project, Branch: branch}, err)
			})
		},
	}
	cmd.Flags().StringVar(&ask.from, "from", "", `since when: "2026-11-01", "3 days ago" (default: since the billing period began)`)
	cmd.Flags().StringVar(&ask.to, "to", "", "until when (default: now)")
	cmd.Flags().StringVar(&ask.by, "by", "", "a row for each hour, day or month (default: day)")
	cmd.Flags().StringVar(&ask.per, "per", "", "a row for each project or branch of its own")
	cmd.Flags().BoolVar(&ask.csv, "csv", false, "write CSV with every metric, for a spreadsheet")
	cmd.AddCommand(c.budgetCommand(), c.priceCommand())
	return cmd
}

func (a asking) query(now time.Time) (q api.UsageQuery, err error) {
	q.By, q.Per = a.by, a.per
	for text, into := range map[string]*time.Time{a.from: &q.From, a.to: &q.To} {
		if text == "" {
			continue
		}
		if *into, err = time.Parse(time.DateOnly, text); err == nil { // days begin at midnight UTC, as in the reports
			continue
		}
		point, err := holdfast.ParsePoint(text, now)
		if err == nil && point.At.IsZero() {
			err = fmt.Errorf("%q is not a time", text)
		}
		if err != nil {
			return q, err
		}
		*into = point.At
	}
	return q, nil
}

func (c *cli) usageCSV(ctx context.Context, client *api.Client, project, branch string, q api.UsageQuery) error {
	content, err := client.UsageCSV(ctx, project, branch, q)
	if err != nil {
		return err
	}
	_, err = io.Copy(c.out, content)
	return errors.Join(err, content.Close())
}

func (c *cli) showUsage(ctx context.Context, client *api.Client, project, branch string, q api.UsageQuery) error {
	report, err := client.Usage(ctx, project, branch, q)
	if err != nil {
		return err
	}
	return c.show(report, func(w io.Writer) {
		t := newTable(w, "FROM", "OF", "COMPUTE", "AWAKE", "DATA", "HISTORY", "BACKUPS", "WRITTEN", "SENT", cost(report.Currency))
		empty := 0
		for _, r := range report.Rows {
			if r.Metrics == (api.UsageMetrics{}) { // from before the branch was there, or while the server was off
				empty++
				continue
			}
			of := r.Project
			if r.Branch != "" {
				of += "/" + r.Branch
			}
			usageRow(t, r.From.UTC().Format("2006-01-02 15:04"), of, r.Metrics, r.Cost, report.Currency)
		}
		usageRow(t, "total", "", report.Total, report.Cost, report.Currency)
		t.flush()
		if empty > 0 {
			fmt.Fprintf(w, "not shown: %d rows (of a %s each) without any usage\n", empty, report.By)
		}
		p := report.Period
		fmt.Fprintf(w, "\nbilling period %s to %s (UTC)\n", p.From.UTC().Format(time.DateOnly), p.To.UTC().Format(time.DateOnly))
		t = newTable(w, "", "", "COMPUTE", "AWAKE", "DATA", "HISTORY", "BACKUPS", "WRITTEN", "SENT", cost(report.Currency))
		usageRow(t, "so far", "", p.Used.Metrics, p.Used.Cost, report.Currency)
		usageRow(t, "forecast", "", p.Forecast.Metrics, p.Forecast.Cost, report.Currency)
		t.flush()
	})
}

func cost(currency string) string {
	if currency == "" {
		return "COST"
	}
	return currency
}

// usageRow writes the metrics that people look for first; JSON and CSV have all.
func usageRow(t *table, from, of string, m api.UsageMetrics, spent float64, currency string) {
	money := ""
	if currency != "" {
		money = strconv.FormatFloat(spent, 'f', 2, 64)
	}
	awake := time.Duration(m.ActiveTimeSeconds * float64(time.Second)).Round(time.Second)
	t.row(from, of, fmt.Sprintf("%.2f CU h", m.ComputeUnitSeconds/3600), awake.String(), byteMonths(m.RootBranchBytesMonth+m.ChildBranchBytesMonth), byteMonths(m.InstantRestoreBytesMonth),
		byteMonths(m.SnapshotStorageBytesMonth), size(int64(m.WrittenDataBytes)), size(int64(m.PublicNetworkBytes)), money)
}

// byteMonths writes stored bytes in the unit of the prices.
func byteMonths(n float64) string { return fmt.Sprintf("%.3f GB mo", n/1e9) }

func (c *cli) budgetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "budget", Aliases: []string{"budgets"}, Short: "See and set what may be used in a billing period",
		Example: "  holdfast usage budget list\n  holdfast usage budget set monthly --of shop --metric cost --limit 20"}
	cmd.AddCommand(c.budgetListCommand(), c.budgetSetCommand(), c.budgetRemoveCommand())
	return cmd
}

func (c *cli) budgetListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List budgets, and how much of them is used", Example: "  holdfast usage budget list\n  holdfast usage budget list shop", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				budgets, err := client.UsageBudgets(cmd.Context(), first(args))
				if err != nil {
					return suggestProject(cmd.Context(), client, first(args), err)
				}
				return showList(c, budgets, func(w io.Writer) {
					t := newTable(w, "BUDGET", "OF", "METRIC", "USED", "LIMIT", "STATE", "KIND", "UNTIL")
					for _, b := range budgets {
						t.row(b.Name, budgetScope(b), b.Metric, number(b.Used), strings.TrimSpace(number(b.Limit)+" "+b.Currency), b.State, budgetKind(b), b.To.UTC().Format(time.DateOnly))
					}
					t.flush()
				})
			})
		},
	}
}

func budgetScope(b api.UsageBudget) string {
	switch {
	case b.Project == "":
		return "installation"
	case b.Branch == "":
		return b.Project
	}
	return b.Project + "/" + b.Branch
}

func budgetKind(b api.UsageBudget) string {
	switch {
	case b.Production:
		return "hard, production too"
	case b.Hard:
		return "hard"
	}
	return "soft"
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (c *cli) budgetSetCommand() *cobra.Command {
	var b api.UsageBudget
	var of string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Add a budget, or replace the one of that name",
		Long: `Add a budget, or replace the one of that name. A soft budget raises an alert from four fifths on. A hard one also puts the branches that it covers to
sleep when it is used up, and nothing wakes them until the period ends or the limit is raised; production goes on unless --production is said.`,
		Example: `  holdfast usage budget set monthly --metric cost --limit 50
  holdfast usage budget set previews --of shop --metric compute_unit_seconds --limit 360000 --hard
  holdfast usage budget set try --of shop/try --metric active_time_seconds --limit 36000 --hard`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.Name = args[0]
			b.Project, b.Branch, _ = strings.Cut(of, "/")
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.SetUsageBudget(cmd.Context(), b); err != nil {
					return suggestProject(cmd.Context(), client, b.Project, err)
				}
				return c.say("the %s budget %s of %s is %s of %s", budgetKind(b), b.Name, budgetScope(b), number(b.Limit), b.Metric)
			})
		},
	}
	cmd.Flags().StringVar(&of, "of", "", "a project or PROJECT/BRANCH (default: the whole installation)")
	cmd.Flags().StringVar(&b.Metric, "metric", string(holdfast.CostMetric), "cost, or a metric's name as in docs/usage.md")
	cmd.Flags().Float64Var(&b.Limit, "limit", 0, "how much of the metric, or of the currency")
	cmd.Flags().BoolVar(&b.Hard, "hard", false, "put the branches to sleep when it is used up")
	cmd.Flags().BoolVar(&b.Production, "production", false, "with --hard: production too")
	cmd.MarkFlagRequired("limit")
	return cmd
}

func (c *cli) budgetRemoveCommand() *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a budget; what it kept asleep can be woken again", Example: "  holdfast usage budget remove monthly\n  holdfast usage budget remove previews --project shop", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.DeleteUsageBudget(cmd.Context(), project, args[0]); err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return c.say("the budget %s is removed", args[0])
			})
		},
	}
	projectFlag(cmd, &project)
	return cmd
}

func (c *cli) priceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "price", Aliases: []string{"prices"}, Short: "See and set what usage costs, and when a billing period begins",
		Example: "  holdfast usage price list\n  holdfast usage price set compute_unit_seconds=0.16 root_branch_bytes_month=0.35 --currency EUR"}
	cmd.AddCommand(c.priceListCommand(), c.priceSetCommand())
	return cmd
}

func (c *cli) priceListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what usage costs", Example: "  holdfast usage price list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				prices, err := client.UsagePrices(cmd.Context())
				if err != nil {
					return err
				}
				return c.showPrices(prices)
			})
		},
	}
}

func (c *cli) showPrices(prices api.UsagePrices) error {
	return c.show(prices, func(w io.Writer) {
		t := newTable(w, "METRIC", "PRICE", "FOR ONE")
		for _, m := range slices.Sorted(maps.Keys(prices.Prices)) {
			unit, _, _ := holdfast.UsageMetric(m).PriceUnit()
			t.row(m, number(prices.Prices[m])+" "+prices.Currency, unit)
		}
		t.flush()
		fmt.Fprintf(w, "a billing period begins on day %d of the month\n", prices.StartDay)
	})
}

func (c *cli) priceSetCommand() *cobra.Command {
	var currency string
	var day int
	cmd := &cobra.Command{
		Use: "set [METRIC=PRICE]...", Short: "Set prices, the currency, or the day on which a billing period begins",
		Long: `Set prices, the currency, or the day on which a billing period begins. What is not named stays as it is; METRIC= takes a price away. A price is for one
compute unit hour, GB month, GB or branch month, and holds for what was used before as well.`,
		Example: "  holdfast usage price set compute_unit_seconds=0.16 root_branch_bytes_month=0.35 --currency EUR\n  holdfast usage price set received_bytes=\n  holdfast usage price set --start-day 15",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				prices, err := client.UsagePrices(cmd.Context())
				if err != nil {
					return err
				}
				if err := changePrices(&prices, args); err != nil {
					return usage(cmd, err)
				}
				if cmd.Flags().Changed("currency") {
					prices.Currency = strings.ToUpper(currency)
				}
				if cmd.Flags().Changed("start-day") {
					prices.StartDay = day
				}
				if err := client.SetUsagePrices(cmd.Context(), prices); err != nil {
					return err
				}
				return c.showPrices(prices)
			})
		},
	}
	cmd.Flags().StringVar(&currency, "currency", "", "three letters, as EUR")
	cmd.Flags().IntVar(&day, "start-day", 1, "the day of the month on which a billing period begins, 1 to 28")
	return cmd
}

func changePrices(prices *api.UsagePrices, pairs []string) error {
	if prices.Prices == nil {
		prices.Prices = map[string]float64{}
	}
	for _, pair := range pairs {
		metric, text, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q: write it as METRIC=PRICE", pair)
		}
		if text == "" {
			delete(prices.Prices, metric)
			continue
		}
		price, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a price", text)
		}
		prices.Prices[metric] = price
	}
	return nil
}
