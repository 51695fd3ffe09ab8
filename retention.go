package holdfast

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Retention says which backups of a branch are kept. A backup stays when any of the rules keeps it, and the size limit then takes
// the oldest of those away. Without any rule everything stays.
type Retention struct {
	KeepLast int           `json:"keep_last,omitempty"` // so many of the newest
	KeepFor  time.Duration `json:"keep_for,omitempty"`  // everything younger than that

	// Grandfather, father, son: the newest backup of each of the last so many hours, days, weeks (from Monday), months and years that have one.
	Hourly  int `json:"hourly,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
	Yearly  int `json:"yearly,omitempty"`

	MaxBytes int64 `json:"max_bytes,omitempty"` // of all completed backups together; 0: no limit
}

// KeepFailed is how long the record of a failed backup stays, so that a person can read why.
const KeepFailed = 14 * 24 * time.Hour

// Validate refuses negative numbers.
func (r Retention) Validate() error {
	for _, n := range []int64{int64(r.KeepLast), int64(r.KeepFor), int64(r.Hourly), int64(r.Daily), int64(r.Weekly), int64(r.Monthly), int64(r.Yearly), r.MaxBytes} {
		if n < 0 {
			return &Error{Kind: Invalid, Message: "a rule for keeping backups is negative", Hint: "leave it out to switch it off"}
		}
	}
	return nil
}

// KeptReason says why a backup stays.
type KeptReason string

// The reasons for keeping a backup. The first six protect it from every rule.
const (
	KeptInProgress   KeptReason = "in progress"
	KeptPinned       KeptReason = "pinned"
	KeptHeld         KeptReason = "held until a person marks it verified"
	KeptLastGood     KeptReason = "the last good backup"
	KeptLastVerified KeptReason = "the last verified backup"
	KeptFailure      KeptReason = "says why it failed"
	KeptNoRule       KeptReason = "no rule removes it"
	KeptLast         KeptReason = "one of the newest"
	KeptYoung        KeptReason = "young"
	KeptHourly       KeptReason = "hourly"
	KeptDaily        KeptReason = "daily"
	KeptWeekly       KeptReason = "weekly"
	KeptMonthly      KeptReason = "monthly"
	KeptYearly       KeptReason = "yearly"
)

// KeptBackup is a backup that stays, and why.
type KeptBackup struct {
	Backup  Backup
	Reasons []KeptReason
}

// Protected says whether no rule may remove the backup.
func (k KeptBackup) Protected() bool {
	return slices.ContainsFunc(k.Reasons, func(r KeptReason) bool {
		return slices.Contains([]KeptReason{KeptInProgress, KeptPinned, KeptHeld, KeptLastGood, KeptLastVerified, KeptFailure}, r)
	})
}

// Divide divides the backups of one branch into those that stay and those that go, both from new to old. Days begin in zone. It never
// lets the last good backup go, nor the last verified one, one that is pinned, one that is held until a person marks it verified, or one that is being written.
func (r Retention) Divide(now time.Time, zone *time.Location, backups []Backup) (stay []KeptBackup, leave []Backup) {
	sorted := slices.Clone(backups)
	slices.SortStableFunc(sorted, func(a, b Backup) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.Name, a.Name)) })
	reasons := make([][]KeptReason, len(sorted))
	r.protect(now, sorted, reasons)
	r.applyRules(now, zone, sorted, reasons)
	for i, b := range sorted {
		if len(reasons[i]) > 0 {
			stay = append(stay, KeptBackup{Backup: b, Reasons: reasons[i]})
		} else {
			leave = append(leave, b)
		}
	}
	if r.MaxBytes <= 0 {
		return stay, leave
	}
	stay, over := limitBytes(stay, r.MaxBytes)
	leave = append(leave, over...)
	slices.SortStableFunc(leave, func(a, b Backup) int { return b.StartedAt.Compare(a.StartedAt) })
	return stay, leave
}

func (r Retention) protect(now time.Time, sorted []Backup, reasons [][]KeptReason) {
	lastGood, lastVerified := false, false
	for i, b := range sorted {
		add := func(reason KeptReason, when bool) {
			if when {
				reasons[i] = append(reasons[i], reason)
			}
		}
		completed := b.State == BackupCompleted
		verified := completed && !b.VerifiedAt.IsZero()
		add(KeptInProgress, b.State == BackupInProgress)
		add(KeptFailure, b.State == BackupFailed && now.Sub(b.StartedAt) < KeepFailed)
		add(KeptPinned, b.Pinned)
		add(KeptHeld, completed && b.HeldUntilProof)
		add(KeptLastGood, completed && !lastGood)
		add(KeptLastVerified, verified && !lastVerified)
		lastGood, lastVerified = lastGood || completed, lastVerified || verified
	}
}

func (r Retention) applyRules(now time.Time, zone *time.Location, sorted []Backup, reasons [][]KeptReason) {
	var periods = []struct {
		reason KeptReason
		left   int
		of     func(t time.Time) string
		seen   string
	}{
		{reason: KeptHourly, left: r.Hourly, of: func(t time.Time) string { return t.UTC().Format("2006-01-02 15") }}, // an hour that the clock repeats is two
		{reason: KeptDaily, left: r.Daily, of: func(t time.Time) string { return t.In(zone).Format(time.DateOnly) }},
		{reason: KeptWeekly, left: r.Weekly, of: func(t time.Time) string { y, w := t.In(zone).ISOWeek(); return fmt.Sprintf("%d-%d", y, w) }},
		{reason: KeptMonthly, left: r.Monthly, of: func(t time.Time) string { return t.In(zone).Format("2006-01") }},
		{reason: KeptYearly, left: r.Yearly, of: func(t time.Time) string { return t.In(zone).Format("2006") }},
	}
	none := r.KeepLast == 0 && r.KeepFor == 0 && r.Hourly == 0 && r.Daily == 0 && r.Weekly == 0 && r.Monthly == 0 && r.Yearly == 0
	last := r.KeepLast
	for i, b := range sorted {
		if b.State != BackupCompleted {
			continue
		}
		if none {
			reasons[i] = append(reasons[i], KeptNoRule)
		}
		if last > 0 {
			last--
			reasons[i] = append(reasons[i], KeptLast)
		}
		if r.KeepFor > 0 && now.Sub(b.StartedAt) < r.KeepFor {
			reasons[i] = append(reasons[i], KeptYoung)
		}
		for p := range periods {
			period := &periods[p]
			if key := period.of(b.StartedAt); period.left > 0 && key != period.seen {
				period.left--
				period.seen = key
				reasons[i] = append(reasons[i], period.reason)
			}
		}
	}
}

// limitBytes lets the oldest backups go that nothing protects, until the rest is small enough or only protected ones are left.
func limitBytes(stay []KeptBackup, limit int64) (left []KeptBackup, over []Backup) {
	var total int64
	for _, k := range stay {
		total += k.Backup.Size
	}
	left = slices.Clone(stay)
	for i := len(left) - 1; i >= 0 && total > limit; i-- {
		if left[i].Protected() || left[i].Backup.State != BackupCompleted {
			continue
		}
		total -= left[i].Backup.Size
		over = append(over, left[i].Backup)
		left = slices.Delete(left, i, i+1)
	}
	return left, over
}
