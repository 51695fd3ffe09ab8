package platform

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/usage"
)

// budgets remembers which branches a hard budget keeps asleep.
type budgets struct {
	mu      sync.Mutex
	stopped map[holdfast.BranchID]error
	warned  map[holdfast.BranchID]bool // could not be put to sleep the last time: the next time it is insisted on
}

// mayWake refuses to wake what a hard budget keeps asleep.
func (b *budgets) mayWake(id holdfast.BranchID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped[id]
}

// UsageBudgetView is a budget and how much of it is used.
type UsageBudgetView struct {
	holdfast.UsageBudget
	Project, Branch string // names; empty as in the budget
	Currency        string // of a budget of costs
	Used            float64
	Period          usage.Span
}

// budgetNear is the share of a budget from which on it is said to be nearly used up.
const budgetNear = 0.8

// State is "ok", "near" from four fifths on, or "used_up".
func (v UsageBudgetView) State() string {
	switch {
	case v.Used >= v.Limit:
		return "used_up"
	case v.Used >= v.Limit*budgetNear:
		return "near"
	}
	return "ok"
}

// Bound tells what is bounded and how far, for people. It stays the same while the budget does and the period lasts.
func (v UsageBudgetView) Bound() string {
	of, limit := v.texts()
	return fmt.Sprintf("the budget %q of %s, %s until %s,", v.Name, of, limit, v.Period.To.Format(time.DateOnly))
}

// String tells how much of the budget is used, for people.
func (v UsageBudgetView) String() string {
	of, limit := v.texts()
	return fmt.Sprintf("the budget %q of %s: %.2f of %s until %s", v.Name, of, v.Used, limit, v.Period.To.Format(time.DateOnly))
}

// texts are what the budget is of, and its limit with the unit.
func (v UsageBudgetView) texts() (of, limit string) {
	unit := string(v.Metric)
	if v.Metric == holdfast.CostMetric {
		unit = v.Currency
	}
	of = "the installation"
	if v.Project != "" {
		of = v.Project
	}
	if v.Branch != "" {
		of += "/" + v.Branch
	}
	return of, strconv.FormatFloat(v.Limit, 'f', -1, 64) + " " + unit
}

// viewBudgets tells how much of each budget is used.
func viewBudgets(tx *store.Tx, now time.Time) ([]UsageBudgetView, error) {
	all, err := tx.UsageBudgets()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	prices, err := usagePrices(tx)
	if err != nil {
		return nil, err
	}
	period := usage.Period(now, prices.StartDay)
	var views []UsageBudgetView
	for _, b := range all {
		v := UsageBudgetView{UsageBudget: b, Currency: prices.Currency, Period: period}
		used, err := tx.SumUsage(b.ProjectID, b.BranchID, period.From, period.To)
		if err != nil {
			return nil, err
		}
		v.Used = usage.Value(used, b.Metric, prices)
		if b.ProjectID != "" {
			project, err := tx.Project(b.ProjectID)
			if holdfast.KindOf(err) == holdfast.NotFound {
				continue // it is gone
			}
			if err != nil {
				return nil, err
			}
			v.Project = project.Name
		}
		if b.BranchID != "" {
			branch, err := tx.Branch(b.BranchID)
			if holdfast.KindOf(err) == holdfast.NotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			v.Branch = branch.Name
		}
		views = append(views, v)
	}
	return views, nil
}

// judgeBudgets finds out which branches hard budgets stop now.
func (p *Platform) judgeBudgets(ctx context.Context, now time.Time) error {
	stopped := map[holdfast.BranchID]error{}
	err := p.store.View(ctx, func(tx *store.Tx) error {
		views, err := viewBudgets(tx, now)
		if err != nil || len(views) == 0 {
			return err
		}
		branches, err := tx.AllBranches()
		for _, b := range branches {
			for _, v := range views {
				if v.State() == "used_up" && v.Stops(b.Branch) {
					stopped[b.ID] = &holdfast.Error{Kind: holdfast.Exhausted, Message: b.Ref().String() + " is kept asleep, because what it may use is used up: " + v.String(),
						Hint: "an admin can raise its limit; otherwise wait for the next billing period"}
				}
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	p.budgets.mu.Lock()
	defer p.budgets.mu.Unlock()
	p.budgets.stopped = stopped
	return nil
}

// enforceBudgets puts the branches to sleep that hard budgets stop. What is under way there gets until the next time.
func (p *Platform) enforceBudgets(ctx context.Context) {
	p.budgets.mu.Lock()
	stopped, warned := p.budgets.stopped, p.budgets.warned
	p.budgets.warned = map[holdfast.BranchID]bool{}
	p.budgets.mu.Unlock()
	for id, reason := range stopped {
		status, err := p.fleet.Status(id)
		if err != nil || status.Activity != holdfast.Awake {
			continue
		}
		if err = p.pauseBase(ctx, id); err == nil {
			err = p.fleet.Sleep(ctx, id, warned[id])
		}
		switch {
		case err == nil:
			p.log.Warn("put to sleep: its budget is used up", "branch", id, "reason", reason)
		case holdfast.KindOf(err) == holdfast.Busy:
			p.budgets.mu.Lock()
			p.budgets.warned[id] = true
			p.budgets.mu.Unlock()
		case ctx.Err() == nil:
			p.log.Warn("a branch whose budget is used up cannot be put to sleep", "branch", id, "err", err)
		}
	}
}

// BudgetsInNeed lists the budgets that are nearly or wholly used up now, for whoever tells people of it.
func (p *Platform) BudgetsInNeed(ctx context.Context) ([]UsageBudgetView, error) {
	views, err := p.allBudgets(ctx)
	var out []UsageBudgetView
	for _, v := range views {
		if v.State() != "ok" {
			out = append(out, v)
		}
	}
	return out, err
}

func (p *Platform) allBudgets(ctx context.Context) ([]UsageBudgetView, error) {
	var views []UsageBudgetView
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { views, err = viewBudgets(tx, p.now()); return err })
	return views, err
}

// UsageBudgets lists the budgets: those of a project, or with an empty name all that the caller sees.
func (p *Platform) UsageBudgets(ctx context.Context, who holdfast.Principal, project string) ([]UsageBudgetView, error) {
	if project != "" {
		if _, _, err := p.findProject(ctx, who, project, holdfast.MayRead); err != nil {
			return nil, err
		}
	}
	views, err := p.allBudgets(ctx)
	var out []UsageBudgetView
	for _, v := range views {
		if (project == "" || v.Project == project) && sees(who, v.ProjectID) {
			out = append(out, v)
		}
	}
	return out, err
}

// checkBudget refuses who may not set a budget of the scope, and finds what it is of.
func (p *Platform) checkBudget(ctx context.Context, who holdfast.Principal, scope UsageScope) (holdfast.ProjectID, holdfast.BranchID, error) {
	if scope.Project == "" {
		return "", "", checkInstallation(who)
	}
	project, branches, err := p.findProject(ctx, who, scope.Project, holdfast.MayAdmin)
	if err != nil || scope.Branch == "" {
		return project.ID, "", err
	}
	for _, b := range branches {
		if b.Name == scope.Branch {
			return project.ID, b.ID, nil
		}
	}
	return "", "", &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("branch %s/%s does not exist", scope.Project, scope.Branch)}
}

// SetUsageBudget adds a budget, or replaces the one of that name of the project or of the installation.
func (p *Platform) SetUsageBudget(ctx context.Context, who holdfast.Principal, scope UsageScope, b holdfast.UsageBudget) error {
	project, branch, err := p.checkBudget(ctx, who, scope)
	if err != nil {
		return err
	}
	if err := b.Validate(); err != nil {
		return err
	}
	b.ProjectID, b.BranchID, b.CreatedAt = project, branch, p.now()
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutUsageBudget(b); err != nil {
			return err
		}
		return p.record(tx, who, "usage.budget", b.Name, map[string]any{"project": scope.Project, "branch": scope.Branch, "metric": b.Metric, "limit": b.Limit, "hard": b.Hard, "production": b.Production})
	})
	if err != nil {
		return err
	}
	return p.judgeBudgets(ctx, p.now())
}

// DeleteUsageBudget removes a budget. What it kept asleep can be woken again.
func (p *Platform) DeleteUsageBudget(ctx context.Context, who holdfast.Principal, scope UsageScope, name string) error {
	project, _, err := p.checkBudget(ctx, who, scope)
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteUsageBudget(project, name); err != nil {
			return err
		}
		return p.record(tx, who, "usage.budget.delete", name, map[string]any{"project": scope.Project})
	})
	if err != nil {
		return err
	}
	return p.judgeBudgets(ctx, p.now())
}
