package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
)

// alertColumns need the alert as a and its mute as m.
const alertColumns = `a.id, a.condition, a.severity, a.project_id, a.branch_id, a.subject, a.place, a.message, a.hint, a.fired_at, a.resolved_at, a.notified_at,
	a.acknowledged_at, a.acknowledged_by, coalesce(m.until, 0)
	FROM alerts a LEFT JOIN alert_mutes m ON m.condition = a.condition AND m.project_id = a.project_id AND m.branch_id = a.branch_id AND m.subject = a.subject `

func scanAlert(row scanner) (holdfast.Alert, error) {
	var a holdfast.Alert
	var fired, resolved, notified, acknowledged, muted int64
	err := row.Scan(&a.ID, &a.Condition, &a.Severity, &a.ProjectID, &a.BranchID, &a.Subject, &a.Place, &a.Message, &a.Hint, &fired, &resolved, &notified,
		&acknowledged, &a.AcknowledgedBy, &muted)
	a.FiredAt, a.ResolvedAt, a.NotifiedAt, a.AcknowledgedAt, a.MutedUntil = fromMicros(fired), fromMicros(resolved), fromMicros(notified), fromMicros(acknowledged), fromMicros(muted)
	return a, err
}

// InsertAlert adds an alert; Conflict when one of its condition is firing there already.
func (tx *Tx) InsertAlert(a holdfast.Alert) error {
	return tx.exec(`INSERT INTO alerts (id, condition, severity, project_id, branch_id, subject, place, message, hint, fired_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Condition, a.Severity, a.ProjectID, a.BranchID, a.Subject, a.Place, a.Message, a.Hint, toMicros(a.FiredAt))
}

// UpdateAlert writes what can change of an alert: its text, when it was resolved and told of, and who acknowledged it.
func (tx *Tx) UpdateAlert(a holdfast.Alert) error {
	return tx.must("alert "+string(a.ID), `UPDATE alerts SET place = ?, message = ?, hint = ?, resolved_at = ?, notified_at = ?, acknowledged_at = ?, acknowledged_by = ? WHERE id = ?`,
		a.Place, a.Message, a.Hint, toMicros(a.ResolvedAt), toMicros(a.NotifiedAt), toMicros(a.AcknowledgedAt), a.AcknowledgedBy, a.ID)
}

// Alert finds an alert.
func (tx *Tx) Alert(id holdfast.AlertID) (holdfast.Alert, error) {
	return one(tx, "alert "+string(id), scanAlert, `SELECT `+alertColumns+`WHERE a.id = ?`, id)
}

// FiringAlerts lists the alerts that are firing, the oldest first.
func (tx *Tx) FiringAlerts() ([]holdfast.Alert, error) {
	return collect(tx, scanAlert, `SELECT `+alertColumns+`WHERE a.resolved_at = 0 ORDER BY a.fired_at, a.id`)
}

// Alerts lists alerts, those that are resolved too, the newest first, at most limit.
func (tx *Tx) Alerts(limit int) ([]holdfast.Alert, error) {
	return collect(tx, scanAlert, `SELECT `+alertColumns+`ORDER BY a.fired_at DESC, a.id LIMIT ?`, limit)
}

// MuteAlert keeps the alert's condition quiet at its place until then; the zero time ends that.
func (tx *Tx) MuteAlert(a holdfast.Alert, until time.Time) error {
	if until.IsZero() {
		return tx.exec(`DELETE FROM alert_mutes WHERE condition = ? AND project_id = ? AND branch_id = ? AND subject = ?`, a.Condition, a.ProjectID, a.BranchID, a.Subject)
	}
	return tx.exec(`INSERT INTO alert_mutes (condition, project_id, branch_id, subject, until) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (condition, project_id, branch_id, subject) DO UPDATE SET until = excluded.until`, a.Condition, a.ProjectID, a.BranchID, a.Subject, toMicros(until))
}

// ForgetAlerts removes alerts that were resolved before a time, and mutes that ended before now.
func (tx *Tx) ForgetAlerts(before, now time.Time) error {
	if err := tx.exec(`DELETE FROM alert_mutes WHERE until < ?`, toMicros(now)); err != nil {
		return err
	}
	return tx.exec(`DELETE FROM alerts WHERE resolved_at > 0 AND resolved_at < ?`, toMicros(before))
}

// Channel is a channel's row with its secrets, opened.
type Channel struct {
	holdfast.Channel
	Secret      holdfast.ChannelSecret
	DeliveredAt time.Time // when something last arrived there
	FailedAt    time.Time // since when nothing does; zero: the last attempt succeeded
	Error       string    // why
	Waiting     int       // notices that are still to be delivered
}

// PutChannel adds a channel or replaces the one of its name in its project.
func (tx *Tx) PutChannel(c Channel) error {
	config, err := json.Marshal(c.Channel)
	if err != nil {
		return err
	}
	secret, err := json.Marshal(c.Secret)
	if err != nil {
		return err
	}
	sealed, err := tx.seal.seal(channelSecretName(c.ProjectID, c.Name), secret)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO alert_channels (id, project_id, name, config, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (project_id, name) DO UPDATE SET config = excluded.config, sealed = excluded.sealed, failed_at = 0, error = ''`,
		c.ID, c.ProjectID, c.Name, string(config), sealed, toMicros(c.CreatedAt))
}

// Channels lists every channel, the installation's first, by name.
func (tx *Tx) Channels() ([]Channel, error) {
	return collect(tx, func(row scanner) (Channel, error) {
		var c Channel
		var config string
		var sealed []byte
		var created, delivered, failed int64
		if err := row.Scan(&c.ID, &c.ProjectID, &c.Name, &config, &sealed, &created, &delivered, &failed, &c.Error, &c.Waiting); err != nil {
			return c, err
		}
		if err := json.Unmarshal([]byte(config), &c.Channel); err != nil {
			return c, err
		}
		c.CreatedAt, c.DeliveredAt, c.FailedAt = fromMicros(created), fromMicros(delivered), fromMicros(failed)
		secret, err := tx.seal.open(channelSecretName(c.ProjectID, c.Name), sealed)
		if err != nil {
			return c, err
		}
		return c, json.Unmarshal(secret, &c.Secret)
	}, `SELECT id, project_id, name, config, sealed, created_at, delivered_at, failed_at, error, (SELECT count(*) FROM alert_notices n WHERE n.channel_id = c.id)
		FROM alert_channels c ORDER BY project_id, name`)
}

func channelSecretName(project holdfast.ProjectID, name string) string {
	return fmt.Sprintf("channel/%s/%s", project, name)
}

// NoteChannel records whether something arrived at a channel; why is empty when it did. FailedAt stays the beginning of a row of failures.
func (tx *Tx) NoteChannel(id holdfast.ChannelID, at time.Time, why string) error {
	if why == "" {
		return tx.exec(`UPDATE alert_channels SET delivered_at = ?, failed_at = 0, error = '' WHERE id = ?`, toMicros(at), id)
	}
	return tx.exec(`UPDATE alert_channels SET failed_at = CASE failed_at WHEN 0 THEN ? ELSE failed_at END, error = ? WHERE id = ?`, toMicros(at), why, id)
}

// DeleteChannel forgets a channel and what it was still to be told.
func (tx *Tx) DeleteChannel(id holdfast.ChannelID) error {
	if err := tx.exec(`DELETE FROM alert_notices WHERE channel_id = ?`, id); err != nil {
		return err
	}
	return tx.must("channel", `DELETE FROM alert_channels WHERE id = ?`, id)
}

// eraseAlerts forgets the alerts, mutes and channels of a project that is gone.
func (tx *Tx) eraseAlerts(project holdfast.ProjectID) error {
	if err := tx.exec(`DELETE FROM alert_notices WHERE channel_id IN (SELECT id FROM alert_channels WHERE project_id = ?)`, project); err != nil {
		return err
	}
	for _, table := range []string{"alerts", "alert_mutes", "alert_channels"} {
		if err := tx.exec(`DELETE FROM `+table+` WHERE project_id = ?`, project); err != nil {
			return err
		}
	}
	return nil
}

// Notice is a notice on its way to a channel.
type Notice struct {
	Seq       int64
	ChannelID holdfast.ChannelID
	holdfast.Notice
	CreatedAt time.Time
	Attempts  int
	NextAt    time.Time
}

// InsertNotice puts a notice on its way.
func (tx *Tx) InsertNotice(n Notice) error {
	body, err := json.Marshal(n.Notice)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO alert_notices (channel_id, body, created_at, next_at) VALUES (?, ?, ?, ?)`, n.ChannelID, string(body), toMicros(n.CreatedAt), toMicros(n.NextAt))
}

// Notices lists the notices that are on their way, in the order in which they were written.
func (tx *Tx) Notices() ([]Notice, error) {
	return collect(tx, func(row scanner) (Notice, error) {
		var n Notice
		var body string
		var created, next int64
		if err := row.Scan(&n.Seq, &n.ChannelID, &body, &created, &n.Attempts, &next); err != nil {
			return n, err
		}
		n.CreatedAt, n.NextAt = fromMicros(created), fromMicros(next)
		return n, json.Unmarshal([]byte(body), &n.Notice)
	}, `SELECT seq, channel_id, body, created_at, attempts, next_at FROM alert_notices ORDER BY seq`)
}

// RetryNotice says when a notice that did not arrive is sent again.
func (tx *Tx) RetryNotice(seq int64, attempts int, next time.Time) error {
	return tx.exec(`UPDATE alert_notices SET attempts = ?, next_at = ? WHERE seq = ?`, attempts, toMicros(next), seq)
}

// DeleteNotice forgets a notice that was delivered or given up.
func (tx *Tx) DeleteNotice(seq int64) error {
	return tx.exec(`DELETE FROM alert_notices WHERE seq = ?`, seq)
}
