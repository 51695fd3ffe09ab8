package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// SchedulePath is the part of a path that names a schedule.
type SchedulePath struct {
	BranchPath
	Name string `path:"name" example:"weekly dump"`
}

type scheduleInput struct {
	SchedulePath
	Body api.Schedule
}

func (s *Server) scheduleRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.SchedulesPath, id: "list-schedules", rule: toSee, tag: "backups", summary: "What is done with a branch again and again"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) ([]api.Schedule, error) {
			all, err := p.Schedules(ctx, who, in.ref())
			return mapped(all, viewSchedule), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.SchedulePath, id: "set-schedule", rule: toDevelop, tag: "backups", summary: "Add or replace a schedule"},
		func(ctx context.Context, who holdfast.Principal, in *scheduleInput) error {
			return p.SetSchedule(ctx, who, in.ref(), askedSchedule(in.Name, in.Body))
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.SchedulePath, id: "delete-schedule", rule: toDevelop, tag: "backups", summary: "Forget a schedule", about: "What it made stays."},
		func(ctx context.Context, who holdfast.Principal, in *SchedulePath) error {
			return p.DeleteSchedule(ctx, who, in.ref(), in.Name)
		})
}

func askedSchedule(name string, s api.Schedule) holdfast.Schedule {
	out := holdfast.Schedule{Name: name, Work: holdfast.ScheduledWork(s.Work), Rule: s.Rule, Zone: s.Zone, Jitter: length(s.Jitter), Paused: s.Paused,
		Retention: holdfast.Retention{KeepLast: s.KeepLast, KeepFor: length(s.KeepFor), Daily: s.Daily, Weekly: s.Weekly, Monthly: s.Monthly, Yearly: s.Yearly, MaxBytes: s.MaxBytes}}
	if out.Work == holdfast.BackupWork {
		if s.Format == "" {
			s.Format = string(holdfast.CustomFormat)
		}
		out.Options = holdfast.BackupOptions{Format: holdfast.BackupFormat(s.Format), Tables: s.Tables, Compression: holdfast.Compression(s.Compression)}
	}
	return out
}

// length is a length of time as asked for; what would overflow becomes what the rules refuse.
func length(n int64) time.Duration {
	if n > int64(100*366*24*time.Hour/time.Second) {
		return -time.Second
	}
	return time.Duration(n) * time.Second
}

func viewSchedule(s platform.ScheduleView) api.Schedule {
	return api.Schedule{Name: s.Name, Work: string(s.Work), Rule: s.Rule, Zone: s.Zone, Jitter: api.Seconds(s.Jitter), Format: string(s.Options.Format), Tables: s.Options.Tables, Compression: string(s.Options.Compression),
		KeepLast: s.Retention.KeepLast, KeepFor: api.Seconds(s.Retention.KeepFor), Daily: s.Retention.Daily, Weekly: s.Retention.Weekly, Monthly: s.Retention.Monthly, Yearly: s.Retention.Yearly, MaxBytes: s.Retention.MaxBytes,
		Paused: s.Paused, LastRun: s.LastRun, Next: s.Next, Job: string(s.JobID)}
}

func viewProof(r platform.BackupReport) (api.BackupReport, error) {
	var page strings.Builder
	err := r.WritePage(&page)
	return api.BackupReport{Report: r, Page: page.String()}, err
}
