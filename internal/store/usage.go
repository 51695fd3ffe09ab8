package store

import (
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

// UsageMeter says how far a branch's usage is counted, and what the branch was called when it was.
type UsageMeter struct {
	BranchID  holdfast.BranchID
	ProjectID holdfast.ProjectID
	Ref       holdfast.BranchRef
	Meter     string // JSON
}

// UsageHour is what a branch used in the hour that begins at Start. What is long ago is kept by the day.
type UsageHour struct {
	BranchID  holdfast.BranchID
	ProjectID holdfast.ProjectID
	Ref       holdfast.BranchRef
	Start     time.Time
	holdfast.Usage
}

// UsageMeters lists how far each branch's usage is counted.
func (tx *Tx) UsageMeters() ([]UsageMeter, error) {
	return collect(tx, func(row scanner) (m UsageMeter, err error) {
		err = row.Scan(&m.BranchID, &m.ProjectID, &m.Ref.Project, &m.Ref.Branch, &m.Meter)
		return m, err
	}, `SELECT branch_id, project_id, project, branch, meter FROM usage_meters ORDER BY branch_id`)
}

// PutUsageMeter says how far a branch is counted. It belongs into the transaction of what was counted.
func (tx *Tx) PutUsageMeter(m UsageMeter) error {
	return tx.exec(`INSERT INTO usage_meters (branch_id, project_id, project, branch, meter) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (branch_id) DO UPDATE SET project_id = excluded.project_id, project = excluded.project, branch = excluded.branch, meter = excluded.meter`,
		m.BranchID, m.ProjectID, m.Ref.Project, m.Ref.Branch, m.Meter)
}

// usageAmounts are the columns of usage_hours that are added up, in the order of usageFields.
var usageAmounts = []string{"awake", "compute", "root_bytes", "child_bytes", "data_logical", "history_bytes", "history_logical", "backup_bytes", "backup_logical",
	"written", "received", "sent", "branches", "children"}

func usageFields(u *holdfast.Usage) []any {
	return []any{&u.AwakeMicros, &u.ComputeMicros, &u.RootBytes, &u.ChildBytes, &u.DataLogical, &u.HistoryBytes, &u.HistoryLogical, &u.BackupBytes, &u.BackupLogical,
		&u.Written, &u.Received, &u.Sent, &u.BranchMicros, &u.ChildMicros}
}

func usageUpsert() string {
	var set []string
	for _, column := range usageAmounts {
		set = append(set, column+" = "+column+" + excluded."+column)
	}
	return ` ON CONFLICT (branch_id, start) DO UPDATE SET ` + strings.Join(set, ", ")
}

// AddUsage adds to what a branch used in an hour.
func (tx *Tx) AddUsage(id holdfast.BranchID, hour time.Time, u holdfast.Usage) error {
	args := append([]any{id, toMicros(hour)}, usageFields(&u)...)
	return tx.exec(`INSERT INTO usage_hours (branch_id, start, `+strings.Join(usageAmounts, ", ")+`) VALUES (?, ?`+strings.Repeat(", ?", len(usageAmounts))+`)`+usageUpsert(), args...)
}

// UsageHours lists what was used in hours that begin in a stretch of time, in order of time: of one branch, of one project, or with both empty
// of all.
func (tx *Tx) UsageHours(project holdfast.ProjectID, branch holdfast.BranchID, from, to time.Time) ([]UsageHour, error) {
	return collect(tx, func(row scanner) (h UsageHour, err error) {
		var start int64
		err = row.Scan(append([]any{&h.BranchID, &h.ProjectID, &h.Ref.Project, &h.Ref.Branch, &start}, usageFields(&h.Usage)...)...)
		h.Start = fromMicros(start)
		return h, err
	}, `SELECT h.branch_id, m.project_id, m.project, m.branch, h.start, h.`+strings.Join(usageAmounts, ", h.")+`
		FROM usage_hours h JOIN usage_meters m ON m.branch_id = h.branch_id
		WHERE h.start >= ? AND h.start < ? AND (? = '' OR m.project_id = ?) AND (? = '' OR h.branch_id = ?) ORDER BY h.start, m.project, m.branch, h.branch_id`,
		toMicros(from), toMicros(to), project, project, branch, branch)
}

// SumUsage adds up what UsageHours lists.
func (tx *Tx) SumUsage(project holdfast.ProjectID, branch holdfast.BranchID, from, to time.Time) (holdfast.Usage, error) {
	var sums []string
	for _, column := range usageAmounts {
		sums = append(sums, "coalesce(sum(h."+column+"), 0)")
	}
	return one(tx, "usage", func(row scanner) (u holdfast.Usage, err error) {
		err = row.Scan(usageFields(&u)...)
		return u, err
	}, `SELECT `+strings.Join(sums, ", ")+` FROM usage_hours h JOIN usage_meters m ON m.branch_id = h.branch_id
		WHERE h.start >= ? AND h.start < ? AND (? = '' OR m.project_id = ?) AND (? = '' OR h.branch_id = ?)`,
		toMicros(from), toMicros(to), project, project, branch, branch)
}

// FirstUsage is when the first hour begins of which something is counted; zero: none.
func (tx *Tx) FirstUsage() (time.Time, error) {
	first, err := one(tx, "usage", func(row scanner) (start int64, err error) {
		err = row.Scan(&start)
		return start, err
	}, `SELECT coalesce(min(start), 0) FROM usage_hours`)
	return fromMicros(first), err
}

// FoldUsage keeps what was used before a midnight by the day instead of by the hour.
func (tx *Tx) FoldUsage(before time.Time) error {
	const day = 24 * 3600 * 1_000_000
	limit := toMicros(before)
	var sums []string
	for _, column := range usageAmounts {
		sums = append(sums, "sum("+column+")")
	}
	// First each day's hours onto its midnight, then away with them: in one transaction.
	err := tx.exec(`INSERT INTO usage_hours (branch_id, start, `+strings.Join(usageAmounts, ", ")+`)
		SELECT branch_id, start - start % ? AS day, `+strings.Join(sums, ", ")+` FROM usage_hours WHERE start < ? AND start % ? <> 0 GROUP BY branch_id, day`+usageUpsert(), day, limit, day)
	if err != nil {
		return err
	}
	return tx.exec(`DELETE FROM usage_hours WHERE start < ? AND start % ? <> 0`, limit, day)
}

// PutUsageBudget adds a budget or replaces the one of that name.
func (tx *Tx) PutUsageBudget(b holdfast.UsageBudget) error {
	return tx.exec(`INSERT INTO usage_budgets (project_id, name, branch_id, metric, bound, hard, production, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (project_id, name) DO UPDATE SET branch_id = excluded.branch_id, metric = excluded.metric, bound = excluded.bound, hard = excluded.hard, production = excluded.production`,
		b.ProjectID, b.Name, b.BranchID, b.Metric, b.Limit, b.Hard, b.Production, toMicros(b.CreatedAt))
}

// UsageBudgets lists all budgets.
func (tx *Tx) UsageBudgets() ([]holdfast.UsageBudget, error) {
	return collect(tx, func(row scanner) (b holdfast.UsageBudget, err error) {
		var created int64
		err = row.Scan(&b.ProjectID, &b.Name, &b.BranchID, &b.Metric, &b.Limit, &b.Hard, &b.Production, &created)
		b.CreatedAt = fromMicros(created)
		return b, err
	}, `SELECT project_id, name, branch_id, metric, bound, hard, production, created_at FROM usage_budgets ORDER BY project_id, name`)
}

// DeleteUsageBudget removes a budget.
func (tx *Tx) DeleteUsageBudget(project holdfast.ProjectID, name string) error {
	return tx.must("the budget "+name, `DELETE FROM usage_budgets WHERE project_id = ? AND name = ?`, project, name)
}
