package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// AlertPath is the part of a path that names an alert.
type AlertPath struct {
	ID string `path:"id"`
}

// ChannelPath is the part of a path that names a channel of the installation.
type ChannelPath struct {
	Name string `path:"name" example:"on-call"`
}

// ProjectChannelPath is the part of a path that names a channel of a project.
type ProjectChannelPath struct {
	Project string `path:"project" example:"shop"`
	Name    string `path:"name" example:"on-call"`
}

type alertsInput struct {
	Project string `query:"project" doc:"Only alerts of this project."`
	All     bool   `query:"all" doc:"Those that are resolved too, the newest first; else those that are firing, the oldest first."`
	Limit   int    `query:"limit" default:"200" minimum:"1" maximum:"5000"`
}

type statusInput struct {
	Project string `query:"project" doc:"Only this project."`
}

type muteInput struct {
	AlertPath
	Body api.MuteAlert
}

type alertSettingsInput struct {
	Body api.AlertSettings
}

type channelInput struct {
	ChannelPath
	Body api.NewAlertChannel
}

type projectChannelInput struct {
	ProjectChannelPath
	Body api.NewAlertChannel
}

func (s *Server) alertRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.StatusPath, id: "get-status", rule: forCallers, tag: "alerts", summary: "How everything stands that you may see",
		about: "It wakes no branch."},
		func(ctx context.Context, who holdfast.Principal, in *statusInput) (api.Status, error) {
			status, err := p.Status(ctx, who, in.Project)
			return viewStatus(status), err
		})
	addList(s, route{method: http.MethodGet, path: api.AlertsPath, id: "list-alerts", rule: forCallers, tag: "alerts", summary: "Alerts that are firing, or all of the last 90 days"},
		func(ctx context.Context, who holdfast.Principal, in *alertsInput) ([]api.Alert, error) {
			alerts, err := p.Alerts(ctx, who, in.Project, in.All, in.Limit)
			return mapped(alerts, viewAlert), err
		})
	add(s, route{method: http.MethodGet, path: api.AlertPath, id: "get-alert", rule: toSee, tag: "alerts", summary: "One alert"},
		func(ctx context.Context, who holdfast.Principal, in *AlertPath) (api.Alert, error) {
			a, err := p.Alert(ctx, who, holdfast.AlertID(in.ID))
			return viewAlert(a), err
		})
	add(s, route{method: http.MethodPost, path: api.AlertMutePath, id: "mute-alert", rule: toAdminister, tag: "alerts", summary: "Keep an alert's condition quiet at its place for a while",
		about: "It fires and is shown as ever; nobody is told. An alert of the installation takes an admin of the installation."},
		func(ctx context.Context, who holdfast.Principal, in *muteInput) (api.Alert, error) {
			a, err := p.MuteAlert(ctx, who, holdfast.AlertID(in.ID), time.Duration(in.Body.For)*time.Second)
			return viewAlert(a), err
		})
	add(s, route{method: http.MethodPost, path: api.AlertAcknowledgePath, id: "acknowledge-alert", rule: toAdminister, tag: "alerts", summary: "Say that you look after an alert",
		about: "Nobody is reminded of it any more. An alert about damaged objects at a location, whose end cannot be seen, is over with that."},
		func(ctx context.Context, who holdfast.Principal, in *AlertPath) (api.Alert, error) {
			a, err := p.AcknowledgeAlert(ctx, who, holdfast.AlertID(in.ID))
			return viewAlert(a), err
		})
	add(s, route{method: http.MethodGet, path: api.AlertSettingsPath, id: "get-alert-settings", rule: forInstallation, tag: "alerts", summary: "The thresholds of the conditions"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) (api.AlertSettings, error) {
			settings, err := p.AlertSettings(ctx, who)
			return viewAlertSettings(settings), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.AlertSettingsPath, id: "set-alert-settings", rule: forInstallation, tag: "alerts", summary: "Change the thresholds of the conditions"},
		func(ctx context.Context, who holdfast.Principal, in *alertSettingsInput) error {
			return p.SetAlertSettings(ctx, who, askedAlertSettings(in.Body))
		})
	s.channelRoutes()
	s.projectChannelRoutes()
}

// channelRoutes are those of the installation's channels, which are told of everything.
func (s *Server) channelRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.AlertChannelsPath, id: "list-alert-channels", rule: forInstallation, tag: "alerts", summary: "Where notices of all alerts go"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.AlertChannel, error) {
			channels, err := p.Channels(ctx, who, "")
			return mapped(channels, viewChannel), err
		})
	add(s, route{method: http.MethodPut, path: api.AlertChannelPath, id: "set-alert-channel", rule: forInstallation, tag: "alerts", summary: "Add or replace a channel for all alerts", about: aboutChannel},
		func(ctx context.Context, who holdfast.Principal, in *channelInput) (api.AlertChannelKey, error) {
			c, secret := askedChannel(in.Name, in.Body)
			key, err := p.SetChannel(ctx, who, "", c, secret)
			return api.AlertChannelKey{Key: key}, err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.AlertChannelPath, id: "delete-alert-channel", rule: forInstallation, tag: "alerts", summary: "Forget a channel"},
		func(ctx context.Context, who holdfast.Principal, in *ChannelPath) error {
			return p.DeleteChannel(ctx, who, "", in.Name)
		})
	addEmpty(s, route{method: http.MethodPost, path: api.AlertChannelTestPath, id: "test-alert-channel", rule: forInstallation, tag: "alerts", summary: "Send a test notice", about: aboutTest},
		func(ctx context.Context, who holdfast.Principal, in *ChannelPath) error {
			return p.TestChannel(ctx, who, "", in.Name)
		})
}

const (
	aboutChannel = "It becomes effective at once. A webhook is signed with HMAC-SHA256: docs/alerts.md shows how its receiver checks that. Private addresses take an admin of the installation."
	aboutTest    = "The answer comes when the receiver has taken it, or says why it has not."
)

// projectChannelRoutes are those of a project's channels, which are told of its alerts.
func (s *Server) projectChannelRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.ProjectAlertChannelsPath, id: "list-project-alert-channels", rule: toAdminister, tag: "alerts", summary: "Where notices of a project's alerts go, besides the installation's channels"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.AlertChannel, error) {
			channels, err := p.Channels(ctx, who, in.Project)
			return mapped(channels, viewChannel), err
		})
	add(s, route{method: http.MethodPut, path: api.ProjectAlertChannelPath, id: "set-project-alert-channel", rule: toAdminister, tag: "alerts", summary: "Add or replace a channel for a project's alerts", about: aboutChannel},
		func(ctx context.Context, who holdfast.Principal, in *projectChannelInput) (api.AlertChannelKey, error) {
			c, secret := askedChannel(in.Name, in.Body)
			key, err := p.SetChannel(ctx, who, in.Project, c, secret)
			return api.AlertChannelKey{Key: key}, err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.ProjectAlertChannelPath, id: "delete-project-alert-channel", rule: toAdminister, tag: "alerts", summary: "Forget a channel of a project"},
		func(ctx context.Context, who holdfast.Principal, in *ProjectChannelPath) error {
			return p.DeleteChannel(ctx, who, in.Project, in.Name)
		})
	addEmpty(s, route{method: http.MethodPost, path: api.ProjectAlertChannelTestPath, id: "test-project-alert-channel", rule: toAdminister, tag: "alerts", summary: "Send a test notice to a channel of a project", about: aboutTest},
		func(ctx context.Context, who holdfast.Principal, in *ProjectChannelPath) error {
			return p.TestChannel(ctx, who, in.Project, in.Name)
		})
}

func askedChannel(name string, ask api.NewAlertChannel) (holdfast.Channel, holdfast.ChannelSecret) {
	return holdfast.Channel{Name: name, Kind: holdfast.ChannelKind(ask.Kind), From: ask.From, To: ask.To, User: ask.User, Severity: holdfast.Severity(ask.Severity),
			AllowPrivate: ask.AllowPrivate, Every: length(ask.Every)},
		holdfast.ChannelSecret{URL: ask.URL, Key: ask.Key, Password: ask.Password}
}

func viewChannel(c platform.ChannelView) api.AlertChannel {
	return api.AlertChannel{Name: c.Name, Kind: string(c.Kind), Address: c.Shown, From: c.From, To: c.To, User: c.User, Severity: string(c.Severity), AllowPrivate: c.AllowPrivate,
		Every: api.Seconds(c.Every), CreatedAt: c.CreatedAt, DeliveredAt: c.DeliveredAt, FailingSince: c.FailedAt, Error: c.Error, Waiting: c.Waiting}
}

func viewAlert(a holdfast.Alert) api.Alert {
	return api.Alert{ID: string(a.ID), Condition: string(a.Condition), Severity: string(a.Severity), Place: a.Place, Subject: a.Subject, Message: a.Message, Hint: a.Hint, FiredAt: a.FiredAt,
		ResolvedAt: a.ResolvedAt, NotifiedAt: a.NotifiedAt, AcknowledgedAt: a.AcknowledgedAt, AcknowledgedBy: a.AcknowledgedBy, MutedUntil: a.MutedUntil}
}

func viewAlertSettings(s holdfast.AlertSettings) api.AlertSettings {
	return api.AlertSettings{BackupAge: api.Seconds(s.BackupAge), VerifyAge: api.Seconds(s.ProofAge), WALLag: api.Seconds(s.WALLag), SlotBytes: s.SlotBytes, DiskFree: s.DiskFree, DiskBudget: s.DiskBudget,
		LongTransaction: api.Seconds(s.LongTransaction), LockWait: api.Seconds(s.LockWait), CertificateEnds: api.Seconds(s.CertificateEnds), RemindAfter: api.Seconds(s.RemindAfter)}
}

func askedAlertSettings(s api.AlertSettings) holdfast.AlertSettings {
	return holdfast.AlertSettings{BackupAge: length(s.BackupAge), ProofAge: length(s.VerifyAge), WALLag: length(s.WALLag), SlotBytes: s.SlotBytes, DiskFree: s.DiskFree, DiskBudget: s.DiskBudget,
		LongTransaction: length(s.LongTransaction), LockWait: length(s.LockWait), CertificateEnds: length(s.CertificateEnds), RemindAfter: length(s.RemindAfter)}
}

func viewStatus(s platform.Status) api.Status {
	out := api.Status{Healthy: true, Branches: mapped(s.Branches, viewBranchStatus), Alerts: mapped(s.Alerts, viewAlert), Jobs: mapped(s.Running, viewJob), FailedJobs: s.Failed}
	for _, a := range s.Alerts {
		if a.MutedUntil.Before(time.Now()) {
			out.Healthy = false
		}
	}
	return out
}

func viewBranchStatus(b platform.BranchStatus) api.BranchStatus {
	return api.BranchStatus{Branch: b.Branch.String(), Environment: string(b.Environment), Activity: string(b.Activity), Sessions: b.Sessions, Size: b.Size, LastBackup: b.LastBackup,
		LastVerified: b.LastVerified, HasHistory: b.HasHistory, WALLag: b.WALLag.Seconds(), Alerts: b.Alerts}
}
