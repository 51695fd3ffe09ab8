package server

import (
	"bytes"
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// UsageQuery is the part of a request that says which usage is asked for.
type UsageQuery struct {
	From time.Time `query:"from" doc:"Rounded down to a whole step; the begin of the billing period when left out."`
	To   time.Time `query:"to" doc:"Now when left out."`
	By   string    `query:"by" enum:"hour,day,month" default:"day" doc:"How the time is divided. Days begin at midnight UTC, months with the billing period. What is older than 62 days is known by the day."`
	Per  string    `query:"per" enum:"project,branch" doc:"Rows of their own for each; all together when left out."`
}

func (q UsageQuery) ask() platform.UsageQuery {
	return platform.UsageQuery{From: q.From, To: q.To, By: platform.UsageStep(q.By), Per: q.Per}
}

type usageInput struct {
	UsageQuery
}

type projectUsageInput struct {
	Project string `path:"project" example:"shop"`
	UsageQuery
}

type branchUsageInput struct {
	BranchPath
	UsageQuery
}

type pricesInput struct {
	Body api.UsagePrices
}

type budgetInput struct {
	Name string `path:"name" example:"monthly"`
	Body api.UsageBudget
}

type budgetName struct {
	Name string `path:"name" example:"monthly"`
}

type projectBudgetInput struct {
	Project string `path:"project" example:"shop"`
	Name    string `path:"name" example:"monthly"`
	Body    api.UsageBudget
}

type projectBudgetName struct {
	Project string `path:"project" example:"shop"`
	Name    string `path:"name" example:"monthly"`
}

func (s *Server) usageRoutes() {
	const about = "At most half a minute old. Asking wakes nothing. The billing period of now comes with it, with its cost so far and a forecast."
	addUsage(s, route{path: api.UsagePath, id: "get-usage", rule: forCallers, summary: "What was used in all projects that you see", about: about}, api.UsageCSVPath,
		func(in *usageInput) (platform.UsageScope, UsageQuery) { return platform.UsageScope{}, in.UsageQuery })
	addUsage(s, route{path: api.ProjectUsagePath, id: "get-project-usage", rule: toSee, summary: "What a project used", about: about}, api.ProjectUsageCSVPath,
		func(in *projectUsageInput) (platform.UsageScope, UsageQuery) {
			return platform.UsageScope{Project: in.Project}, in.UsageQuery
		})
	addUsage(s, route{path: api.BranchUsagePath, id: "get-branch-usage", rule: toSee, summary: "What a branch used", about: about + " A branch that is gone is found under its last name."}, api.BranchUsageCSVPath,
		func(in *branchUsageInput) (platform.UsageScope, UsageQuery) {
			return platform.UsageScope{Project: in.Project, Branch: in.Branch}, in.UsageQuery
		})
	s.usagePriceRoutes()
	s.usageBudgetRoutes()
}

func (s *Server) usagePriceRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.UsagePricesPath, id: "get-usage-prices", rule: forCallers, tag: "usage", summary: "What usage costs, and when a billing period begins"},
		func(ctx context.Context, _ holdfast.Principal, _ *struct{}) (api.UsagePrices, error) {
			prices, err := p.UsagePrices(ctx)
			out := api.UsagePrices{Currency: prices.Currency, StartDay: prices.StartDay, Prices: map[string]float64{}}
			for m, price := range prices.Prices {
				out.Prices[string(m)] = price
			}
			return out, err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.UsagePricesPath, id: "set-usage-prices", rule: forInstallation, tag: "usage", summary: "Say what usage costs, and when a billing period begins",
		about: "It holds for what was used before as well: costs are reckoned when they are asked for."},
		func(ctx context.Context, who holdfast.Principal, in *pricesInput) error {
			prices := holdfast.UsagePrices{Currency: in.Body.Currency, StartDay: in.Body.StartDay, Prices: map[holdfast.UsageMetric]float64{}}
			for m, price := range in.Body.Prices {
				prices.Prices[holdfast.UsageMetric(m)] = price
			}
			return p.SetUsagePrices(ctx, who, prices)
		})
}

func (s *Server) usageBudgetRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.UsageBudgetsPath, id: "list-budgets", rule: forCallers, tag: "usage", summary: "The budgets that you may see, and how much of them is used"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.UsageBudget, error) {
			all, err := p.UsageBudgets(ctx, who, "")
			return mapped(all, viewBudget), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.UsageBudgetPath, id: "set-budget", rule: forInstallation, tag: "usage", summary: "Add or replace a budget of the whole installation"},
		func(ctx context.Context, who holdfast.Principal, in *budgetInput) error {
			return p.SetUsageBudget(ctx, who, platform.UsageScope{}, askedBudget(in.Name, in.Body))
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.UsageBudgetPath, id: "delete-budget", rule: forInstallation, tag: "usage", summary: "Remove a budget of the whole installation"},
		func(ctx context.Context, who holdfast.Principal, in *budgetName) error {
			return p.DeleteUsageBudget(ctx, who, platform.UsageScope{}, in.Name)
		})
	addList(s, route{method: http.MethodGet, path: api.ProjectBudgetsPath, id: "list-project-budgets", rule: toSee, tag: "usage", summary: "A project's budgets, and how much of them is used"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.UsageBudget, error) {
			all, err := p.UsageBudgets(ctx, who, in.Project)
			return mapped(all, viewBudget), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.ProjectBudgetPath, id: "set-project-budget", rule: toAdminister, tag: "usage", summary: "Add or replace a budget of a project or of one of its branches"},
		func(ctx context.Context, who holdfast.Principal, in *projectBudgetInput) error {
			return p.SetUsageBudget(ctx, who, platform.UsageScope{Project: in.Project, Branch: in.Body.Branch}, askedBudget(in.Name, in.Body))
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.ProjectBudgetPath, id: "delete-project-budget", rule: toAdminister, tag: "usage", summary: "Remove a project's budget"},
		func(ctx context.Context, who holdfast.Principal, in *projectBudgetName) error {
			return p.DeleteUsageBudget(ctx, who, platform.UsageScope{Project: in.Project}, in.Name)
		})
}

// csvFile is an answer that is a CSV file.
type csvFile struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// addUsage registers a report, as JSON and under csvPath as CSV.
func addUsage[I any](s *Server, r route, csvPath string, ask func(*I) (platform.UsageScope, UsageQuery)) {
	r.method, r.tag = http.MethodGet, "usage"
	report := func(ctx context.Context, who holdfast.Principal, in *I) (platform.UsageReport, error) {
		scope, q := ask(in)
		return s.config.Platform.Usage(ctx, who, scope, q.ask())
	}
	add(s, r, func(ctx context.Context, who holdfast.Principal, in *I) (api.UsageReport, error) {
		found, err := report(ctx, who, in)
		return viewUsage(found), err
	})
	r.path, r.id, r.summary = csvPath, r.id+"-csv", r.summary+", as CSV"
	r.about = "A line for each row of the report, with a header."
	op := r.operation()
	op.Responses = map[string]*huma.Response{"200": {Description: "The rows", Content: map[string]*huma.MediaType{api.CSVContentType: {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*csvFile, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		found, err := report(ctx, principal(ctx), in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &csvFile{ContentType: api.CSVContentType + "; charset=utf-8", Body: usageCSV(found)}, nil
	})
}

// usageCSV writes the rows of a report with a header.
func usageCSV(r platform.UsageReport) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	header := []string{"from", "to", "project", "branch"}
	for _, m := range holdfast.UsageMetrics() {
		header = append(header, string(m))
	}
	_ = w.Write(append(header, "cost", "currency")) // into memory
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	for _, row := range r.Rows {
		line := []string{row.From.UTC().Format(time.RFC3339), row.To.UTC().Format(time.RFC3339), row.Project, row.Branch}
		for _, m := range holdfast.UsageMetrics() {
			line = append(line, number(row.Used.Value(m)))
		}
		_ = w.Write(append(line, number(row.Cost), r.Prices.Currency)) // as above
	}
	w.Flush()
	return out.Bytes()
}

func viewUsage(r platform.UsageReport) api.UsageReport {
	out := api.UsageReport{From: r.From, To: r.To, By: string(r.By), Currency: r.Prices.Currency, Rows: []api.UsageRow{}, Total: viewMetrics(r.Total), Cost: r.Cost,
		Period: api.UsagePeriod{From: r.Period.From, To: r.Period.To,
			Used:     api.UsageAmount{Metrics: viewMetrics(r.Period.Used), Cost: r.Period.Cost, Lines: mapped(r.Period.Lines, viewCostLine)},
			Forecast: api.UsageAmount{Metrics: viewMetrics(r.Period.Forecast), Cost: r.Period.ForecastCost, Lines: mapped(r.Period.ForecastLines, viewCostLine)}}}
	for _, row := range r.Rows {
		out.Rows = append(out.Rows, api.UsageRow{From: row.From, To: row.To, Project: row.Project, Branch: row.Branch, Metrics: viewMetrics(row.Used), Cost: row.Cost})
	}
	return out
}

func viewCostLine(l platform.UsageCostLine) api.UsageCostLine {
	return api.UsageCostLine{Metric: string(l.Metric), Quantity: l.Quantity, Unit: l.Unit, Price: l.Price, Cost: l.Cost}
}

func viewMetrics(u holdfast.Usage) api.UsageMetrics {
	return api.UsageMetrics{ComputeUnitSeconds: u.Value(holdfast.ComputeUnitSeconds), ActiveTimeSeconds: u.Value(holdfast.ActiveTimeSeconds),
		RootBranchBytesMonth: u.Value(holdfast.RootBranchBytesMonth), ChildBranchBytesMonth: u.Value(holdfast.ChildBranchBytesMonth), DataLogicalBytesMonth: u.Value(holdfast.DataLogicalBytesMonth),
		InstantRestoreBytesMonth: u.Value(holdfast.InstantRestoreBytesMonth), HistoryLogicalBytesMonth: u.Value(holdfast.HistoryLogicalBytesMonth),
		SnapshotStorageBytesMonth: u.Value(holdfast.SnapshotBytesMonth), SnapshotLogicalBytesMonth: u.Value(holdfast.SnapshotLogicalBytesMonth),
		WrittenDataBytes: u.Value(holdfast.WrittenDataBytes), PublicNetworkBytes: u.Value(holdfast.PublicNetworkBytes), ReceivedBytes: u.Value(holdfast.ReceivedBytes),
		BranchesMonth: u.Value(holdfast.BranchesMonth), ExtraBranchesMonth: u.Value(holdfast.ExtraBranchesMonth)}
}

func askedBudget(name string, b api.UsageBudget) holdfast.UsageBudget {
	return holdfast.UsageBudget{Name: name, Metric: holdfast.UsageMetric(b.Metric), Limit: b.Limit, Hard: b.Hard, Production: b.Production}
}

func viewBudget(v platform.UsageBudgetView) api.UsageBudget {
	out := api.UsageBudget{Name: v.Name, Project: v.Project, Branch: v.Branch, Metric: string(v.Metric), Limit: v.Limit, Hard: v.Hard, Production: v.Production,
		Used: v.Used, State: v.State(), From: v.Period.From, To: v.Period.To}
	if v.Metric == holdfast.CostMetric {
		out.Currency = v.Currency
	}
	return out
}
