package holdfast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Usage is what was used in a stretch of time. Two stretches are added field by field. What is held rather than spent is counted in bytes times
// seconds, so that it adds up as well.
type Usage struct {
	AwakeMicros    int64   // while the server ran
	ComputeMicros  int64   // the same times the size, in quarters of a compute unit
	RootBytes      float64 // data of branches that are no copies: the blocks on the disk
	ChildBytes     float64 // data of copies: the blocks that they share with no other
	DataLogical    float64 // data as the files' sizes add up
	HistoryBytes   float64 // what is stored of the history, at all locations and in snapshots
	HistoryLogical float64 // the same before compression, once
	BackupBytes    float64 // portable backups at all destinations
	BackupLogical  float64 // portable backups, one copy of each
	Written        int64   // bytes of WAL
	Received       int64   // bytes from clients
	Sent           int64   // bytes to clients
	BranchMicros   int64   // while the branch was there
	ChildMicros    int64   // while it was there and is a copy
}

// Add adds what was used in another stretch of time, or by another branch.
func (u *Usage) Add(o Usage) {
	u.AwakeMicros += o.AwakeMicros
	u.ComputeMicros += o.ComputeMicros
	u.RootBytes += o.RootBytes
	u.ChildBytes += o.ChildBytes
	u.DataLogical += o.DataLogical
	u.HistoryBytes += o.HistoryBytes
	u.HistoryLogical += o.HistoryLogical
	u.BackupBytes += o.BackupBytes
	u.BackupLogical += o.BackupLogical
	u.Written += o.Written
	u.Received += o.Received
	u.Sent += o.Sent
	u.BranchMicros += o.BranchMicros
	u.ChildMicros += o.ChildMicros
}

// UsageMetric is the name of one number that usage is told in. The names are those that users of hosted PostgreSQL know.
type UsageMetric string

// The metrics. A byte-month is one byte for 744 hours, whatever the length of the calendar month.
const (
	ComputeUnitSeconds        UsageMetric = "compute_unit_seconds"
	RootBranchBytesMonth      UsageMetric = "root_branch_bytes_month"
	ChildBranchBytesMonth     UsageMetric = "child_branch_bytes_month"
	InstantRestoreBytesMonth  UsageMetric = "instant_restore_bytes_month"
	SnapshotBytesMonth        UsageMetric = "snapshot_storage_bytes_month"
	PublicNetworkBytes        UsageMetric = "public_network_transfer_bytes"
	ExtraBranchesMonth        UsageMetric = "extra_branches_month"
	WrittenDataBytes          UsageMetric = "written_data_bytes"
	ActiveTimeSeconds         UsageMetric = "active_time_seconds"
	ReceivedBytes             UsageMetric = "received_bytes"
	BranchesMonth             UsageMetric = "branches_month"
	DataLogicalBytesMonth     UsageMetric = "data_logical_bytes_month"
	HistoryLogicalBytesMonth  UsageMetric = "history_logical_bytes_month"
	SnapshotLogicalBytesMonth UsageMetric = "snapshot_logical_bytes_month"
)

// CostMetric is what all priced metrics of a period cost together. It can be budgeted and not priced.
const CostMetric UsageMetric = "cost"

// UsageMetrics lists the metrics in the order in which they are shown.
func UsageMetrics() []UsageMetric {
	return []UsageMetric{ComputeUnitSeconds, ActiveTimeSeconds, RootBranchBytesMonth, ChildBranchBytesMonth, DataLogicalBytesMonth, InstantRestoreBytesMonth, HistoryLogicalBytesMonth,
		SnapshotBytesMonth, SnapshotLogicalBytesMonth, WrittenDataBytes, PublicNetworkBytes, ReceivedBytes, BranchesMonth, ExtraBranchesMonth}
}

// MonthHours is how many hours a month has in metrics and prices.
const MonthHours = 744

const monthSeconds = MonthHours * 3600

// Value is the usage in the unit of a metric; 0 for one that is unknown.
func (u Usage) Value(m UsageMetric) float64 {
	switch m {
	case ComputeUnitSeconds:
		return float64(u.ComputeMicros) / 4e6
	case ActiveTimeSeconds:
		return float64(u.AwakeMicros) / 1e6
	case RootBranchBytesMonth:
		return u.RootBytes / monthSeconds
	case ChildBranchBytesMonth:
		return u.ChildBytes / monthSeconds
	case DataLogicalBytesMonth:
		return u.DataLogical / monthSeconds
	case InstantRestoreBytesMonth:
		return u.HistoryBytes / monthSeconds
	case HistoryLogicalBytesMonth:
		return u.HistoryLogical / monthSeconds
	case SnapshotBytesMonth:
		return u.BackupBytes / monthSeconds
	case SnapshotLogicalBytesMonth:
		return u.BackupLogical / monthSeconds
	case WrittenDataBytes:
		return float64(u.Written)
	case PublicNetworkBytes:
		return float64(u.Sent)
	case ReceivedBytes:
		return float64(u.Received)
	case BranchesMonth:
		return float64(u.BranchMicros) / 1e6 / monthSeconds
	case ExtraBranchesMonth:
		return float64(u.ChildMicros) / 1e6 / monthSeconds
	}
	return 0
}

// PriceUnit says what a price of a metric is for, and how much of the metric that is. ok is false for what is no metric.
func (m UsageMetric) PriceUnit() (name string, amount float64, ok bool) {
	switch {
	case !slices.Contains(UsageMetrics(), m):
		return "", 0, false
	case m == ComputeUnitSeconds:
		return "compute unit hour", 3600, true
	case m == ActiveTimeSeconds:
		return "hour", 3600, true
	case m == BranchesMonth || m == ExtraBranchesMonth:
		return "branch month", 1, true
	case strings.HasSuffix(string(m), "_bytes_month"):
		return "GB month", 1e9, true
	}
	return "GB", 1e9, true
}

// UsagePrices is what usage costs, and when a billing period begins.
type UsagePrices struct {
	Currency string                  `json:"currency,omitempty"` // three letters
	StartDay int                     `json:"start_day"`          // of the month, at midnight UTC
	Prices   map[UsageMetric]float64 `json:"prices"`             // for one PriceUnit each
}

// Validate refuses prices that make no sense.
func (p UsagePrices) Validate() error {
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	if p.StartDay < 1 || p.StartDay > 28 {
		return invalid(fmt.Sprintf("a billing period cannot begin on day %d", p.StartDay), "choose 1 to 28: every month has those")
	}
	if p.Currency != "" && (len(p.Currency) != 3 || strings.Trim(p.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return invalid(fmt.Sprintf("%q is not a currency", p.Currency), "write its three letters, as EUR")
	}
	if len(p.Prices) > 0 && p.Currency == "" {
		return invalid("prices need a currency", "write its three letters, as EUR")
	}
	for m, price := range p.Prices {
		if _, _, ok := m.PriceUnit(); !ok {
			return invalid(fmt.Sprintf("there is no metric %q", m), "the metrics are "+joinMetrics(UsageMetrics()))
		}
		if !(price >= 0 && price <= 1e9) { // NaN is neither
			return invalid(fmt.Sprintf("the price of %s is out of bounds", m), "choose 0 to 1000000000")
		}
	}
	return nil
}

func joinMetrics(all []UsageMetric) string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// UsageBudget bounds what may be used in a billing period.
type UsageBudget struct {
	Name      string
	ProjectID ProjectID // empty: the whole installation
	BranchID  BranchID  // empty: the whole project
	Metric    UsageMetric
	Limit     float64
	// Hard puts the branches to sleep when the limit is reached, and lets nothing wake them until the period ends or the limit is raised. A
	// soft one only says so.
	Hard bool
	// Production says that a hard budget stops production too.
	Production bool
	CreatedAt  time.Time
}

// Validate refuses a budget that makes no sense.
func (b UsageBudget) Validate() error {
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	if b.Name == "" || len(b.Name) > 100 || strings.ContainsFunc(b.Name, func(r rune) bool { return r < ' ' || r == '/' }) {
		return invalid("a budget needs a name of at most 100 bytes without slashes", "")
	}
	if _, _, ok := b.Metric.PriceUnit(); !ok && b.Metric != CostMetric {
		return invalid(fmt.Sprintf("there is no metric %q", b.Metric), "the metrics are "+string(CostMetric)+", "+joinMetrics(UsageMetrics()))
	}
	if !(b.Limit > 0 && b.Limit <= 1e18) { // NaN is neither
		return invalid("a budget's limit is a number above zero", "")
	}
	if b.Production && !b.Hard {
		return invalid("a soft budget stops nothing, production neither", "make it hard, or leave production out")
	}
	return nil
}

// Covers says whether the branch's usage counts for the budget.
func (b UsageBudget) Covers(project ProjectID, branch BranchID) bool {
	return b.ProjectID == "" || b.ProjectID == project && (b.BranchID == "" || b.BranchID == branch)
}

// Stops says whether the budget, when it is used up, puts that branch to sleep.
func (b UsageBudget) Stops(branch Branch) bool {
	return b.Hard && b.Covers(branch.ProjectID, branch.ID) && (b.Production || branch.Environment != Production)
}
