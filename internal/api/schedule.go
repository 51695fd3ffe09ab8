package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// Schedule says what is done with a branch again and again, and when.
type Schedule struct {
	Name        string    `json:"name,omitempty" example:"weekly dump"`
	Work        string    `json:"work" enum:"checkpoint,backup,drill" doc:"A drill restores the newest backup on a scratch server and checks it."`
	Rule        string    `json:"rule" doc:"In words or as five fields of cron." example:"daily at 03:30"`
	Zone        string    `json:"zone,omitempty" doc:"Of the IANA database; UTC when left out." example:"Europe/Berlin"`
	Jitter      int64     `json:"jitter_seconds,omitempty" minimum:"0" doc:"Begin up to so much later."`
	Format      string    `json:"format,omitempty" doc:"Of a backup; custom when left out."`
	Tables      []string  `json:"tables,omitempty"`
	Compression string    `json:"compression,omitempty"`
	KeepLast    int       `json:"keep_last,omitempty" minimum:"0" doc:"So many of the newest."`
	KeepFor     int64     `json:"keep_seconds,omitempty" minimum:"0" doc:"Everything younger than that."`
	Daily       int       `json:"keep_daily,omitempty" minimum:"0" doc:"The newest of each of so many days."`
	Weekly      int       `json:"keep_weekly,omitempty" minimum:"0"`
	Monthly     int       `json:"keep_monthly,omitempty" minimum:"0"`
	Yearly      int       `json:"keep_yearly,omitempty" minimum:"0"`
	MaxBytes    int64     `json:"max_bytes,omitempty" minimum:"0" doc:"Of all backups of this schedule together."`
	Paused      bool      `json:"paused,omitempty"`
	LastRun     time.Time `json:"last_run,omitzero"`
	Next        time.Time `json:"next,omitzero"`
	Job         string    `json:"job,omitempty" doc:"Of the last run."`
}

// BackupReport says what was proved about a backup, when, and on which bytes.
type BackupReport struct {
	Report any    `json:"report" doc:"As docs/formats/backup-report.md describes it; its signature was checked."`
	Page   string `json:"page" doc:"The report as a page for people, in HTML."`
}

// Schedules lists a branch's schedules.
func (c *Client) Schedules(ctx context.Context, ref holdfast.BranchRef) ([]Schedule, error) {
	return list[Schedule](ctx, c, Path(SchedulesPath, ref.Project, ref.Branch))
}

// SetSchedule adds a schedule or replaces the one of that name.
func (c *Client) SetSchedule(ctx context.Context, ref holdfast.BranchRef, s Schedule) error {
	return c.do(ctx, http.MethodPut, Path(SchedulePath, ref.Project, ref.Branch, s.Name), s, nil)
}

// DeleteSchedule forgets a schedule; what it made stays.
func (c *Client) DeleteSchedule(ctx context.Context, ref holdfast.BranchRef, name string) error {
	return c.do(ctx, http.MethodDelete, Path(SchedulePath, ref.Project, ref.Branch, name), nil, nil)
}

// VerifyBackup begins to prove that a backup restores.
func (c *Client) VerifyBackup(ctx context.Context, id string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(BackupVerifyPath, id), nil)
}

// BackupReport returns the last proof that a backup restores.
func (c *Client) BackupReport(ctx context.Context, id string) (BackupReport, error) {
	return call[BackupReport](ctx, c, http.MethodGet, Path(BackupReportPath, id), nil)
}
