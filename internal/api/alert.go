package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Alert is a condition that holds, or held, somewhere.
type Alert struct {
	ID             string    `json:"id" example:"alt_0123456789abcdef0123"`
	Condition      string    `json:"condition" example:"wal_lag" doc:"See docs/alerts.md for all of them."`
	Severity       string    `json:"severity" enum:"warning,critical"`
	Place          string    `json:"place" doc:"A branch, a project, or empty for the installation." example:"shop/production"`
	Subject        string    `json:"subject,omitempty" doc:"What tells it from others of its kind at the same place: a slot, a location."`
	Message        string    `json:"message"`
	Hint           string    `json:"hint,omitempty"`
	FiredAt        time.Time `json:"fired_at"`
	ResolvedAt     time.Time `json:"resolved_at,omitzero" doc:"Left out while it is firing."`
	NotifiedAt     time.Time `json:"notified_at,omitzero" doc:"When its channels were last told."`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	MutedUntil     time.Time `json:"muted_until,omitzero"`
}

// MuteAlert says for how long.
type MuteAlert struct {
	For int64 `json:"for_seconds" minimum:"0" maximum:"31622400" example:"3600" doc:"0 ends it."`
}

// AlertSettings are the thresholds of the conditions.
type AlertSettings struct {
	BackupAge       int64 `json:"backup_age_seconds" example:"691200" doc:"Production without a backup for longer than that."`
	VerifyAge       int64 `json:"verify_age_seconds" example:"172800" doc:"Production without a proved backup for longer than that."`
	WALLag          int64 `json:"wal_lag_seconds" example:"60"`
	SlotBytes       int64 `json:"slot_bytes" example:"4294967296" doc:"WAL that a replication slot may keep."`
	DiskFree        int   `json:"disk_free_percent" example:"10" doc:"How much of the disk must be free."`
	DiskBudget      int64 `json:"disk_budget_bytes" example:"0" doc:"What all databases together may take; 0: no bound."`
	LongTransaction int64 `json:"long_transaction_seconds" example:"3600"`
	LockWait        int64 `json:"lock_wait_seconds" example:"60"`
	CertificateEnds int64 `json:"certificate_ends_seconds" example:"1209600"`
	RemindAfter     int64 `json:"remind_after_seconds" example:"86400" doc:"A firing alert that nobody acknowledged is told again after that; 0: never."`
}

// AlertChannel is where notices of alerts go.
type AlertChannel struct {
	Name         string    `json:"name" example:"on-call"`
	Kind         string    `json:"kind" enum:"webhook,email,chat,heartbeat"`
	Address      string    `json:"address" doc:"Without what may be a secret in it: the host, or the name of a chat service." example:"https://hooks.example.com/…"`
	From         string    `json:"from,omitempty" doc:"Of e-mails."`
	To           []string  `json:"to,omitempty" doc:"Receivers of e-mails."`
	User         string    `json:"user,omitempty" doc:"At the SMTP server."`
	Severity     string    `json:"severity" enum:"warning,critical" doc:"The least that it is told of."`
	AllowPrivate bool      `json:"allow_private,omitempty"`
	Every        int64     `json:"every_seconds,omitempty" doc:"Of a heartbeat."`
	CreatedAt    time.Time `json:"created_at"`
	DeliveredAt  time.Time `json:"delivered_at,omitzero" doc:"When something last arrived there."`
	FailingSince time.Time `json:"failing_since,omitzero" doc:"Left out when the last attempt succeeded."`
	Error        string    `json:"error,omitempty"`
	Waiting      int       `json:"waiting" doc:"Notices that are still to be delivered."`
}

// NewAlertChannel asks for a channel. What it takes of secrets is never shown again.
type NewAlertChannel struct {
	Kind         string   `json:"kind" enum:"webhook,email,chat,heartbeat"`
	URL          string   `json:"url" maxLength:"2000" example:"https://hooks.example.com/alerts" doc:"https://... of a webhook or a heartbeat; smtp://host:587 (STARTTLS) or smtps://host:465 of a mail server; an address in shoutrrr's form of a chat service. Empty: as before."`
	Key          string   `json:"key,omitempty" maxLength:"200" doc:"That a webhook is signed with; one is made when it is left out."`
	From         string   `json:"from,omitempty" maxLength:"200" example:"holdfast@example.com"`
	To           []string `json:"to,omitempty" maxItems:"50"`
	User         string   `json:"user,omitempty" maxLength:"200"`
	Password     string   `json:"password,omitempty" maxLength:"500" doc:"At the SMTP server."`
	Severity     string   `json:"severity,omitempty" enum:"warning,critical" doc:"The least that it is told of; warning when left out."`
	AllowPrivate bool     `json:"allow_private,omitempty" doc:"The address may lie in a private network. Takes an admin of the installation."`
	Every        int64    `json:"every_seconds,omitempty" minimum:"0" maximum:"86400" doc:"Of a heartbeat; a minute when left out."`
}

// AlertChannelKey answers a change of a channel.
type AlertChannelKey struct {
	Key string `json:"key,omitempty" doc:"That the webhook is signed with, when one was made. It is not shown again."`
}

// Status is how everything stands that the caller may see.
type Status struct {
	Healthy    bool           `json:"healthy" doc:"No alert is firing that is not muted."`
	Branches   []BranchStatus `json:"branches" nullable:"false"`
	Alerts     []Alert        `json:"alerts" nullable:"false" doc:"Those that are firing."`
	Jobs       []Job          `json:"jobs" nullable:"false" doc:"Those that have not ended."`
	FailedJobs int            `json:"failed_jobs" doc:"Within the last day."`
}

// BranchStatus is how a branch stands.
type BranchStatus struct {
	Branch       string    `json:"branch" example:"shop/production"`
	Environment  string    `json:"environment" enum:"production,development,preview"`
	Activity     string    `json:"activity" example:"awake"`
	Sessions     int       `json:"sessions"`
	Size         int64     `json:"size_bytes" doc:"As last measured; 0: not yet."`
	LastBackup   time.Time `json:"last_backup,omitzero" doc:"When the newest good one began."`
	LastVerified time.Time `json:"last_verified,omitzero" doc:"When a backup was last proved to restore."`
	HasHistory   bool      `json:"has_history"`
	WALLag       float64   `json:"wal_lag_seconds" doc:"How long what was written waits until it is at every location."`
	Alerts       int       `json:"alerts" doc:"That are firing."`
}

// Status shows how everything stands; an empty project is every project.
func (c *Client) Status(ctx context.Context, project string) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, StatusPath+"?"+url.Values{"project": {project}}.Encode(), nil)
}

// Alerts lists alerts: those that are firing, or with all the resolved ones too.
func (c *Client) Alerts(ctx context.Context, project string, all bool) ([]Alert, error) {
	q := url.Values{"project": {project}}
	if all {
		q.Set("all", "true")
	}
	return list[Alert](ctx, c, AlertsPath+"?"+q.Encode())
}

// Alert shows one alert.
func (c *Client) Alert(ctx context.Context, id string) (Alert, error) {
	return call[Alert](ctx, c, http.MethodGet, Path(AlertPath, id), nil)
}

// MuteAlert keeps an alert's condition quiet at its place for so many seconds; 0 ends that.
func (c *Client) MuteAlert(ctx context.Context, id string, seconds int64) (Alert, error) {
	return call[Alert](ctx, c, http.MethodPost, Path(AlertMutePath, id), MuteAlert{For: seconds})
}

// AcknowledgeAlert says that somebody looks after an alert.
func (c *Client) AcknowledgeAlert(ctx context.Context, id string) (Alert, error) {
	return call[Alert](ctx, c, http.MethodPost, Path(AlertAcknowledgePath, id), nil)
}

// AlertSettings shows the thresholds of the conditions.
func (c *Client) AlertSettings(ctx context.Context) (AlertSettings, error) {
	return call[AlertSettings](ctx, c, http.MethodGet, AlertSettingsPath, nil)
}

// SetAlertSettings changes the thresholds of the conditions.
func (c *Client) SetAlertSettings(ctx context.Context, s AlertSettings) error {
	return c.do(ctx, http.MethodPut, AlertSettingsPath, s, nil)
}

func channelPath(project, name, rest string) string {
	switch {
	case project == "" && name == "":
		return AlertChannelsPath
	case project == "":
		return Path(AlertChannelPath, name) + rest
	case name == "":
		return Path(ProjectAlertChannelsPath, project)
	}
	return Path(ProjectAlertChannelPath, project, name) + rest
}

// AlertChannels lists the channels of a project, or of the installation where project is empty.
func (c *Client) AlertChannels(ctx context.Context, project string) ([]AlertChannel, error) {
	return list[AlertChannel](ctx, c, channelPath(project, "", ""))
}

// SetAlertChannel adds a channel or replaces the one of that name. It returns a webhook's key where one was made.
func (c *Client) SetAlertChannel(ctx context.Context, project, name string, ask NewAlertChannel) (string, error) {
	made, err := call[AlertChannelKey](ctx, c, http.MethodPut, channelPath(project, name, ""), ask)
	return made.Key, err
}

// DeleteAlertChannel forgets a channel.
func (c *Client) DeleteAlertChannel(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodDelete, channelPath(project, name, ""), nil, nil)
}

// TestAlertChannel sends a test notice and returns when it was taken.
func (c *Client) TestAlertChannel(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodPost, channelPath(project, name, "/test"), nil, nil)
}
