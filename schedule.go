package holdfast

import (
	"fmt"
	"slices"
	"time"
)

// ScheduleID identifies a schedule.
type ScheduleID string

// ScheduledWork is what a schedule does when its time comes.
type ScheduledWork string

// The kinds of scheduled work.
const (
	CheckpointWork ScheduledWork = "checkpoint" // name the moment, so that history keeps it
	BackupWork     ScheduledWork = "backup"     // make a portable backup
	DrillWork      ScheduledWork = "drill"      // restore the newest backup into a scratch branch and prove it
)

// Schedule says what is done with a branch again and again, and when.
type Schedule struct {
	ID        ScheduleID    `json:"id"`
	ProjectID ProjectID     `json:"project_id"`
	BranchID  BranchID      `json:"branch_id"`
	Name      string        `json:"name"`
	Work      ScheduledWork `json:"work"`
	Rule      string        `json:"rule"`             // daily at 03:30, or five fields of cron; see internal/schedule
	Zone      string        `json:"zone"`             // of the IANA database: Europe/Berlin
	Jitter    time.Duration `json:"jitter,omitempty"` // begin up to so much later, so that not everything begins at once
	Options   BackupOptions `json:"options,omitzero"`
	Retention Retention     `json:"retention,omitzero"` // of what this schedule makes
	Paused    bool          `json:"paused,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
	LastRun   time.Time     `json:"last_run,omitzero"` // the due time of the run that was begun last
}

// MaxJitter is the longest delay that a schedule may be given.
const MaxJitter = 6 * time.Hour

// Validate checks everything but the rule and the zone, which internal/schedule reads.
func (s Schedule) Validate() error {
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	if !slices.Contains([]ScheduledWork{CheckpointWork, BackupWork, DrillWork}, s.Work) {
		return invalid(fmt.Sprintf("%q cannot be scheduled", s.Work), "choose checkpoint, backup or drill")
	}
	if s.Jitter < 0 || s.Jitter > MaxJitter {
		return invalid(fmt.Sprintf("a jitter of %s is out of bounds", s.Jitter), "choose 0 to 6 hours")
	}
	if s.Work == BackupWork {
		if err := s.Options.Validate(); err != nil {
			return err
		}
	}
	if rest := s.Retention; s.Work == CheckpointWork {
		if rest.KeepFor = 0; rest != (Retention{}) {
			return invalid("a checkpoint is kept for a time, by no other rule", "give only how long: 30d")
		}
	}
	return s.Retention.Validate()
}

// DefaultSchedules are those of a new production: a daily checkpoint kept 30 days, a weekly dump kept 3 months, a monthly full
// export kept a year, and a nightly drill.
func DefaultSchedules() []Schedule {
	const day = 24 * time.Hour
	return []Schedule{
		{Name: "daily checkpoint", Work: CheckpointWork, Rule: "daily at 02:30", Zone: "UTC", Jitter: 10 * time.Minute, Retention: Retention{KeepFor: 30 * day}},
		{Name: "weekly dump", Work: BackupWork, Rule: "weekly on sunday at 03:00", Zone: "UTC", Jitter: 30 * time.Minute,
			Options: BackupOptions{Format: CustomFormat}, Retention: Retention{KeepFor: 92 * day}},
		{Name: "monthly export", Work: BackupWork, Rule: "monthly on 1 at 04:00", Zone: "UTC", Jitter: 30 * time.Minute,
			Options: BackupOptions{Format: JSONFormat}, Retention: Retention{KeepFor: 366 * day}},
		{Name: "nightly drill", Work: DrillWork, Rule: "daily at 05:00", Zone: "UTC", Jitter: 30 * time.Minute},
	}
}
