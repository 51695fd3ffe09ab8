package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// UsageMetrics is what was used, in numbers whose names users of hosted PostgreSQL know. A byte-month is one byte for 744 hours, whatever the
// length of the calendar month.
type UsageMetrics struct {
	ComputeUnitSeconds        float64 `json:"compute_unit_seconds" doc:"Time awake times the size: a quarter of a unit for each 256 MiB of shared_buffers, rounded up."`
	ActiveTimeSeconds         float64 `json:"active_time_seconds" doc:"Time awake, the idle time before sleep included."`
	RootBranchBytesMonth      float64 `json:"root_branch_bytes_month" doc:"Data of branches that are no copies."`
	ChildBranchBytesMonth     float64 `json:"child_branch_bytes_month" doc:"Data of copies, without what they share with others."`
	DataLogicalBytesMonth     float64 `json:"data_logical_bytes_month" doc:"Data as the files' sizes add up."`
	InstantRestoreBytesMonth  float64 `json:"instant_restore_bytes_month" doc:"History as it is stored, at all locations."`
	HistoryLogicalBytesMonth  float64 `json:"history_logical_bytes_month" doc:"History before compression, once."`
	SnapshotStorageBytesMonth float64 `json:"snapshot_storage_bytes_month" doc:"Portable backups at all destinations."`
	SnapshotLogicalBytesMonth float64 `json:"snapshot_logical_bytes_month" doc:"Portable backups, one copy of each."`
	WrittenDataBytes          float64 `json:"written_data_bytes" doc:"WAL."`
	PublicNetworkBytes        float64 `json:"public_network_transfer_bytes" doc:"From the front door to clients."`
	ReceivedBytes             float64 `json:"received_bytes" doc:"From clients to the front door."`
	BranchesMonth             float64 `json:"branches_month" doc:"Branches, each for 744 hours."`
	ExtraBranchesMonth        float64 `json:"extra_branches_month" doc:"Branches beside a project's development and production, each for 744 hours."`
}

// UsageRow is what was used in a step of time.
type UsageRow struct {
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to"`
	Project string       `json:"project,omitempty"`
	Branch  string       `json:"branch,omitempty" doc:"Its last name, where it is gone."`
	Metrics UsageMetrics `json:"metrics"`
	Cost    float64      `json:"cost" doc:"0 where nothing has a price."`
}

// UsageCostLine is what one metric costs.
type UsageCostLine struct {
	Metric   string  `json:"metric" example:"compute_unit_seconds"`
	Quantity float64 `json:"quantity" doc:"In the unit."`
	Unit     string  `json:"unit" example:"compute unit hour"`
	Price    float64 `json:"price"`
	Cost     float64 `json:"cost"`
}

// UsageAmount is what was or will be used of a billing period, and what it costs.
type UsageAmount struct {
	Metrics UsageMetrics    `json:"metrics"`
	Cost    float64         `json:"cost"`
	Lines   []UsageCostLine `json:"lines" nullable:"false" doc:"One for each metric that has a price."`
}

// UsagePeriod is the billing period of now.
type UsagePeriod struct {
	From     time.Time   `json:"from"`
	To       time.Time   `json:"to"`
	Used     UsageAmount `json:"used"`
	Forecast UsageAmount `json:"forecast" doc:"At its end, when it goes on as in the last seven days."`
}

// UsageReport tells what was used. It is at most half a minute old, and asking for it wakes nothing.
type UsageReport struct {
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`
	By       string       `json:"by" enum:"hour,day,month"`
	Currency string       `json:"currency,omitempty" doc:"Left out where nothing has a price." example:"EUR"`
	Rows     []UsageRow   `json:"rows" nullable:"false"`
	Total    UsageMetrics `json:"total"`
	Cost     float64      `json:"cost" doc:"Of the total."`
	Period   UsagePeriod  `json:"period"`
}

// UsageQuery says which usage is asked for. It goes as the query of the request.
type UsageQuery struct {
	From, To time.Time // zero: the billing period, until now
	By       string    // hour, day or month
	Per      string    // branch, project, or empty for all together
}

func (q UsageQuery) encode() string {
	v := url.Values{}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	for name, value := range map[string]string{"by": q.By, "per": q.Per} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// UsagePrices is what usage costs, and when a billing period begins.
type UsagePrices struct {
	Currency string             `json:"currency,omitempty" maxLength:"3" doc:"Three letters; needed where something has a price." example:"EUR"`
	StartDay int                `json:"start_day" minimum:"1" maximum:"28" doc:"Of the month, at midnight UTC." example:"1"`
	Prices   map[string]float64 `json:"prices" doc:"By metric: per compute unit hour, per GB month or GB of 1000000000 bytes, per branch month." example:"{}"`
}

// UsageBudget bounds what may be used in a billing period.
type UsageBudget struct {
	Name       string  `json:"name,omitempty" example:"monthly"`
	Project    string  `json:"project,omitempty"`
	Branch     string  `json:"branch,omitempty" doc:"Left out: the whole project."`
	Metric     string  `json:"metric" doc:"A metric's name, or cost." example:"cost"`
	Limit      float64 `json:"limit" example:"10"`
	Hard       bool    `json:"hard,omitempty" doc:"When it is used up, the branches are put to sleep and nothing wakes them until the period ends or the limit is raised."`
	Production bool    `json:"production,omitempty" doc:"A hard budget stops production too."`

	Currency string    `json:"currency,omitempty" doc:"Of a budget of costs."`
	Used     float64   `json:"used,omitempty"`
	State    string    `json:"state,omitempty" doc:"ok, near from four fifths on, or used_up."`
	From     time.Time `json:"from,omitzero" doc:"The billing period."`
	To       time.Time `json:"to,omitzero"`
}

func usagePath(project, branch string, all, ofProject, ofBranch string) string {
	switch {
	case project == "":
		return all
	case branch == "":
		return Path(ofProject, project)
	}
	return Path(ofBranch, project, branch)
}

// Usage tells what a branch used; with an empty branch the project, with an empty project all that the caller sees.
func (c *Client) Usage(ctx context.Context, project, branch string, q UsageQuery) (UsageReport, error) {
	return call[UsageReport](ctx, c, http.MethodGet, usagePath(project, branch, UsagePath, ProjectUsagePath, BranchUsagePath)+q.encode(), nil)
}

// UsageCSV is Usage as CSV. The caller closes the reader.
func (c *Client) UsageCSV(ctx context.Context, project, branch string, q UsageQuery) (io.ReadCloser, error) {
	res, err := c.send(ctx, http.MethodGet, usagePath(project, branch, UsageCSVPath, ProjectUsageCSVPath, BranchUsageCSVPath)+q.encode(), CSVContentType, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// UsagePrices tells what usage costs.
func (c *Client) UsagePrices(ctx context.Context) (UsagePrices, error) {
	return call[UsagePrices](ctx, c, http.MethodGet, UsagePricesPath, nil)
}

// SetUsagePrices says what usage costs.
func (c *Client) SetUsagePrices(ctx context.Context, p UsagePrices) error {
	return c.do(ctx, http.MethodPut, UsagePricesPath, p, nil)
}

// UsageBudgets lists the budgets of a project, or with an empty project all that the caller sees.
func (c *Client) UsageBudgets(ctx context.Context, project string) ([]UsageBudget, error) {
	return list[UsageBudget](ctx, c, usagePath(project, "", UsageBudgetsPath, ProjectBudgetsPath, ""))
}

// SetUsageBudget adds or replaces a budget, of the project that it names or of the installation.
func (c *Client) SetUsageBudget(ctx context.Context, b UsageBudget) error {
	return c.do(ctx, http.MethodPut, budgetPath(b.Project, b.Name), b, nil)
}

// DeleteUsageBudget removes a budget of a project, or with an empty project of the installation.
func (c *Client) DeleteUsageBudget(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodDelete, budgetPath(project, name), nil, nil)
}

func budgetPath(project, name string) string {
	if project == "" {
		return Path(UsageBudgetPath, name)
	}
	return Path(ProjectBudgetPath, project, name)
}
