package platform

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/usage"
)

// UsageStep is how a stretch of time is divided: "hour", "day" or "month".
type UsageStep = usage.Step

// UsageCostLine is what one metric costs.
type UsageCostLine = usage.Line

// UsageScope says whose usage is asked for: a branch's, a project's with an empty Branch, or all that the caller sees.
type UsageScope struct{ Project, Branch string }

// UsageQuery says which usage is asked for, and how it is divided.
type UsageQuery struct {
	From, To time.Time  // zero: the billing period, until now
	By       usage.Step // empty: by the day
	Per      string     // "branch", "project", or empty for all together
}

// UsageRow is what was used in a step of time.
type UsageRow struct {
	usage.Span
	Project, Branch string // as the query divides
	Used            holdfast.Usage
	Cost            float64
}

// UsageReport is the answer to a query. It is at most half a minute old, and asks no database.
type UsageReport struct {
	usage.Span
	By     usage.Step
	Rows   []UsageRow
	Total  holdfast.Usage
	Cost   float64 // of Total
	Prices holdfast.UsagePrices
	Period UsagePeriod
}

// UsagePeriod is the billing period of now, what it cost so far, and what it will have cost when it goes on as in the last week.
type UsagePeriod struct {
	usage.Span
	Used, Forecast       holdfast.Usage
	Lines, ForecastLines []usage.Line
	Cost, ForecastCost   float64
}

// maxUsageSteps bounds the rows of one branch in an answer.
const maxUsageSteps = 1500

// Usage tells what was used.
func (p *Platform) Usage(ctx context.Context, who holdfast.Principal, scope UsageScope, q UsageQuery) (UsageReport, error) {
	found, err := p.findUsage(ctx, who, scope)
	if err != nil {
		return UsageReport{}, err
	}
	now := p.now().UTC()
	var report UsageReport
	var hours []store.UsageHour
	err = p.store.View(ctx, func(tx *store.Tx) error {
		if report.Prices, err = usagePrices(tx); err != nil {
			return err
		}
		if report.Span, report.By, err = q.span(now, report.Prices.StartDay); err != nil {
			return err
		}
		if report.Period, err = usagePeriod(tx, now, report.Prices, found); err != nil {
			return err
		}
		hours, err = found.hours(tx, report.Span)
		return err
	})
	if err != nil {
		return UsageReport{}, err
	}
	for _, h := range hours {
		report.Total.Add(h.Usage)
	}
	_, report.Cost = usage.Cost(report.Total, report.Prices)
	report.Rows = divide(hours, report.Span, report.By, q.Per, report.Prices)
	return report, nil
}

// span is the time that a query is about, rounded to whole hours outwards.
func (q UsageQuery) span(now time.Time, startDay int) (usage.Span, usage.Step, error) {
	invalid := func(message, hint string) error {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: message, Hint: hint}
	}
	by := cmp.Or(q.By, usage.ByDay)
	if !slices.Contains([]usage.Step{usage.ByHour, usage.ByDay, usage.ByMonth}, by) {
		return usage.Span{}, "", invalid(fmt.Sprintf("usage cannot be told by the %s", by), "choose hour, day or month")
	}
	if !slices.Contains([]string{"", "branch", "project"}, q.Per) {
		return usage.Span{}, "", invalid(fmt.Sprintf("usage cannot be told per %s", q.Per), "choose branch or project")
	}
	over := usage.Span{From: q.From, To: q.To}
	if over.To.IsZero() {
		over.To = now
	}
	if over.From.IsZero() {
		over.From = usage.Period(over.To.Add(-time.Microsecond), startDay).From
	}
	over.From = by.Of(over.From, startDay).From
	if ends := over.To.UTC().Truncate(time.Hour); ends.Before(over.To) {
		over.To = ends.Add(time.Hour)
	}
	over.To = over.To.UTC()
	if !over.From.Before(over.To) {
		return over, by, invalid("the time asked for ends before it begins", "")
	}
	shortest := map[usage.Step]time.Duration{usage.ByHour: time.Hour, usage.ByDay: 24 * time.Hour, usage.ByMonth: 28 * 24 * time.Hour}[by]
	if over.To.Sub(over.From)/shortest > maxUsageSteps {
		return over, by, invalid(fmt.Sprintf("so long a time cannot be told by the %s", by), "ask for less, or in longer steps")
	}
	return over, by, nil
}

// usageOf is whose usage is meant, after the permission was checked.
type usageOf struct {
	project holdfast.ProjectID
	branch  holdfast.BranchID
	sees    func(holdfast.ProjectID) bool
}

// findUsage finds whose usage is meant. A branch that is gone is found under its last name.
func (p *Platform) findUsage(ctx context.Context, who holdfast.Principal, scope UsageScope) (usageOf, error) {
	found := usageOf{sees: func(id holdfast.ProjectID) bool { return sees(who, id) }}
	if scope.Project == "" {
		return found, nil
	}
	project, _, err := p.findProject(ctx, who, scope.Project, holdfast.MayRead)
	if err != nil || scope.Branch == "" {
		found.project = project.ID
		return found, err
	}
	ref := holdfast.BranchRef{Project: scope.Project, Branch: scope.Branch}
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if holdfast.KindOf(err) == holdfast.NotFound {
		var meters []store.UsageMeter
		if viewErr := p.store.View(ctx, func(tx *store.Tx) (err error) { meters, err = tx.UsageMeters(); return err }); viewErr != nil {
			return found, viewErr
		}
		for _, m := range meters {
			if m.ProjectID == project.ID && m.Ref.Branch == ref.Branch {
				b.ID, err = m.BranchID, nil
			}
		}
	}
	found.project, found.branch = project.ID, b.ID
	return found, err
}

// hours lists what was used, of projects that the caller sees.
func (f usageOf) hours(tx *store.Tx, over usage.Span) ([]store.UsageHour, error) {
	hours, err := tx.UsageHours(f.project, f.branch, over.From, over.To)
	return slices.DeleteFunc(hours, func(h store.UsageHour) bool { return !f.sees(h.ProjectID) }), err
}

func (f usageOf) sum(tx *store.Tx, over usage.Span) (total holdfast.Usage, err error) {
	hours, err := f.hours(tx, over)
	for _, h := range hours {
		total.Add(h.Usage)
	}
	return total, err
}

// usagePeriod tells of the billing period of now.
func usagePeriod(tx *store.Tx, now time.Time, prices holdfast.UsagePrices, of usageOf) (UsagePeriod, error) {
	period := UsagePeriod{Span: usage.Period(now, prices.StartDay)}
	var err error
	if period.Used, err = of.sum(tx, period.Span); err != nil {
		return period, err
	}
	first, err := tx.FirstUsage()
	if err != nil {
		return period, err
	}
	// Hours are counted as wholes: the pace is measured from a full hour to now.
	pace := usage.Pace(now, first)
	pace.From = pace.From.Truncate(time.Hour)
	recent, err := of.sum(tx, pace)
	if err != nil {
		return period, err
	}
	period.Forecast = period.Used
	if !first.IsZero() {
		period.Forecast = usage.Forecast(period.Used, recent, pace, period.Span)
	}
	period.Lines, period.Cost = usage.Cost(period.Used, prices)
	period.ForecastLines, period.ForecastCost = usage.Cost(period.Forecast, prices)
	return period, nil
}

// divide adds hours up by steps of time, and by branch or project where that is asked for. All together has a row for each step, used or not.
func divide(hours []store.UsageHour, over usage.Span, by usage.Step, per string, prices holdfast.UsagePrices) []UsageRow {
	rows := []UsageRow{}
	at := map[UsageRow]int{} // by its time and names
	row := func(key UsageRow) int {
		i, ok := at[key]
		if !ok {
			i = len(rows)
			at[key], rows = i, append(rows, key)
		}
		return i
	}
	if per == "" {
		for _, s := range usage.Steps(over, by, prices.StartDay) {
			row(UsageRow{Span: s})
		}
	}
	for _, h := range hours {
		key := UsageRow{Span: by.Of(h.Start, prices.StartDay)}
		if per != "" {
			key.Project = h.Ref.Project
		}
		if per == "branch" {
			key.Branch = h.Ref.Branch
		}
		rows[row(key)].Used.Add(h.Usage)
	}
	for i := range rows {
		_, rows[i].Cost = usage.Cost(rows[i].Used, prices)
	}
	slices.SortStableFunc(rows, func(a, b UsageRow) int { return a.From.Compare(b.From) })
	return rows
}

// usagePricesSetting is where the prices are kept.
const usagePricesSetting = "usage_prices"

func usagePrices(tx *store.Tx) (holdfast.UsagePrices, error) {
	prices := holdfast.UsagePrices{StartDay: 1, Prices: map[holdfast.UsageMetric]float64{}}
	raw, ok, err := tx.Setting(usagePricesSetting)
	if err == nil && ok {
		err = json.Unmarshal([]byte(raw), &prices)
	}
	return prices, err
}

// UsagePrices tells what usage costs. Whoever may ask anything may know.
func (p *Platform) UsagePrices(ctx context.Context) (holdfast.UsagePrices, error) {
	var prices holdfast.UsagePrices
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { prices, err = usagePrices(tx); return err })
	return prices, err
}

// SetUsagePrices says what usage costs from now on, for what was used before as well.
func (p *Platform) SetUsagePrices(ctx context.Context, who holdfast.Principal, prices holdfast.UsagePrices) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	if err := prices.Validate(); err != nil {
		return err
	}
	raw, err := json.Marshal(prices)
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetSetting(usagePricesSetting, string(raw)); err != nil {
			return err
		}
		return p.record(tx, who, "usage.prices", "usage", map[string]any{"prices": prices})
	})
	if err != nil {
		return err
	}
	return p.judgeBudgets(ctx, p.now())
}
