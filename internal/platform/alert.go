package platform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	// alertTick is how often the conditions are looked at; events make it earlier.
	alertTick = 15 * time.Second
	// alertsKept is how long resolved alerts are remembered.
	alertsKept = 90 * 24 * time.Hour
	// settleTime is for what is known only while this program runs: until it has passed, an alert about that is not taken for resolved.
	settleTime = 2 * time.Minute
)

// alerts is what the look at the conditions needs between one time and the next. What fires and was told is in the store.
type alerts struct {
	began    time.Time
	checking sync.Mutex    // held during a look
	poke     chan struct{} // asks for a look; holds one
	send     chan struct{} // says that there is something to send; holds one

	mu          sync.Mutex
	history     map[holdfast.BranchID]map[history.AlertKind]string // what the archives complain of now
	events      []happening                                        // what happened since the last look
	missing     []finding                                          // what the last inspection of the locations found
	unsure      map[keyOfAlert]bool                                // where it found nothing out
	inspected   time.Time
	forgot      time.Time
	checked     time.Time // when a look was last complete
	certificate func() (time.Time, error)

	beating sync.Mutex // held while hearts beat
	beats   map[holdfast.ChannelID]time.Time
}

// keyOfAlert tells alerts apart: at most one of each key is firing.
type keyOfAlert struct {
	condition holdfast.Condition
	project   holdfast.ProjectID
	branch    holdfast.BranchID
	subject   string
}

func keyOf(a holdfast.Alert) keyOfAlert {
	return keyOfAlert{a.Condition, a.ProjectID, a.BranchID, a.Subject}
}

// finding is a condition that holds somewhere now. Its message does not change while nothing changes.
type finding struct {
	keyOfAlert
	place, message, hint string
}

// happening is a finding that happens once, and when it did.
type happening struct {
	finding
	at time.Time
}

func newAlerts(now time.Time) *alerts {
	return &alerts{began: now, poke: make(chan struct{}, 1), send: make(chan struct{}, 1), history: map[holdfast.BranchID]map[history.AlertKind]string{},
		beats: map[holdfast.ChannelID]time.Time{}}
}

// nudge asks for a look or for sending without waiting for it.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tendAlerts looks at the conditions until ctx ends.
func (p *Platform) tendAlerts(ctx context.Context) {
	tick := time.NewTicker(alertTick)
	defer tick.Stop()
	for {
		if err := p.checkAlerts(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("look for what is wrong", "err", err)
		}
		select {
		case <-tick.C:
		case <-p.alerts.poke:
		case <-ctx.Done():
			return
		}
	}
}

// watchServers asks for a look at once when a server gave up.
func (p *Platform) watchServers(ctx context.Context) {
	events := p.fleet.Subscribe()
	defer events.Close()
	for {
		event, err := events.Next(ctx)
		if err != nil {
			return
		}
		p.noteWake(event)
		if event.Activity == holdfast.Broken || event.Before == holdfast.Broken {
			nudge(p.alerts.poke)
		}
	}
}

// checkAlerts looks at every condition once and writes what fires and what is over.
func (p *Platform) checkAlerts(ctx context.Context) error {
	p.alerts.checking.Lock()
	defer p.alerts.checking.Unlock()
	l, err := p.look(ctx)
	if err != nil {
		return err
	}
	found, events := p.findAll(ctx, l)
	p.judgeOld(ctx, l, found)
	told, err := p.settleAlerts(ctx, l, found)
	if err != nil {
		return err
	}
	p.alerts.mu.Lock()
	p.alerts.events = p.alerts.events[events:]
	p.alerts.checked = l.now
	p.alerts.mu.Unlock()
	if told {
		nudge(p.alerts.send)
	}
	return nil
}

// settleAlerts brings the alerts in the store in line with what was found, and puts notices on their way in the same transaction.
func (p *Platform) settleAlerts(ctx context.Context, l *outlook, found []finding) (told bool, err error) {
	var fired, resolved []holdfast.Alert
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		fired, resolved, told = nil, nil, false
		open, err := tx.FiringAlerts()
		if err != nil {
			return err
		}
		holds := map[keyOfAlert]bool{}
		known := map[keyOfAlert]holdfast.Alert{}
		for _, a := range open {
			known[keyOf(a)] = a
		}
		for _, f := range found {
			if holds[f.keyOfAlert] {
				continue
			}
			holds[f.keyOfAlert] = true
			a, is := known[f.keyOfAlert]
			if is && a.Message == f.message && a.Hint == f.hint && a.Place == f.place {
				continue
			}
			a.Place, a.Message, a.Hint = f.place, f.message, f.hint
			if is {
				err = tx.UpdateAlert(a)
			} else {
				a.ID, a.Condition, a.Severity, a.FiredAt = holdfast.AlertID(newID("alt")), f.condition, f.condition.Severity(), cmp.Or(l.since[f.keyOfAlert], l.now)
				a.ProjectID, a.BranchID, a.Subject = f.project, f.branch, f.subject
				err = tx.InsertAlert(a)
				fired = append(fired, a)
			}
			if err != nil {
				return err
			}
		}
		for _, a := range open {
			if holds[keyOf(a)] || !l.over[a.ID] {
				continue
			}
			a.ResolvedAt = l.now
			if err := tx.UpdateAlert(a); err != nil {
				return err
			}
			resolved = append(resolved, a)
		}
		told, err = p.announce(tx, l, resolved)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, a := range fired {
		p.log.Warn("alert: "+a.Message, "alert", a.Condition, "place", a.Place)
	}
	for _, a := range resolved {
		p.log.Info("alert: over", "alert", a.Condition, "place", a.Place, "took", a.ResolvedAt.Sub(a.FiredAt))
	}
	return told, nil
}

// announce puts notices on their way to every channel: of what was resolved, of what fires and was not told yet, and of what nobody
// acknowledged for long.
func (p *Platform) announce(tx *store.Tx, l *outlook, resolved []holdfast.Alert) (told bool, err error) {
	channels, err := tx.Channels()
	if err != nil {
		return false, err
	}
	for _, a := range resolved {
		if a.NotifiedAt.IsZero() {
			continue // it was muted all the time
		}
		if err := p.putNotices(tx, l, channels, a, holdfast.NoticeResolved); err != nil {
			return false, err
		}
		told = true
	}
	firing, err := tx.FiringAlerts() // again: now those that are new have their mutes
	if err != nil {
		return false, err
	}
	for _, a := range firing {
		event := holdfast.NoticeFiring
		if !a.NotifiedAt.IsZero() {
			event = holdfast.NoticeReminder
			if after := l.settings.RemindAfter; after == 0 || !a.AcknowledgedAt.IsZero() || l.now.Sub(a.NotifiedAt) < after {
				continue
			}
		}
		if l.now.Before(a.MutedUntil) {
			continue
		}
		if err := p.putNotices(tx, l, channels, a, event); err != nil {
			return false, err
		}
		a.NotifiedAt = l.now
		if err := tx.UpdateAlert(a); err != nil {
			return false, err
		}
		told = true
	}
	return told, nil
}

func (p *Platform) putNotices(tx *store.Tx, l *outlook, channels []store.Channel, a holdfast.Alert, event holdfast.NoticeEvent) error {
	for _, c := range channels {
		if !hears(c.Channel, a) || c.Kind == holdfast.Heartbeat || a.Condition == holdfast.ChannelFailing && a.Subject == c.Name && a.ProjectID == c.ProjectID {
			continue
		}
		n := holdfast.Notice{ID: newID("ntc"), Event: event, At: l.now.UTC(), Alert: holdfast.NoticeAlert{ID: a.ID, Condition: a.Condition, Severity: a.Severity, Place: a.Place, Subject: a.Subject,
			Message: a.Message, Hint: a.Hint, FiredAt: a.FiredAt.UTC(), ResolvedAt: a.ResolvedAt}}
		if err := tx.InsertNotice(store.Notice{ChannelID: c.ID, Notice: n, CreatedAt: l.now, NextAt: l.now}); err != nil {
			return err
		}
	}
	return nil
}

// hears says whether a channel is told of an alert.
func hears(c holdfast.Channel, a holdfast.Alert) bool {
	return (c.ProjectID == "" || c.ProjectID == a.ProjectID) && c.Severity.Covers(a.Severity)
}

// judgeOld finds out which of the alerts that were not found again are over. It may ask a location, so it is done before anything is locked.
func (p *Platform) judgeOld(ctx context.Context, l *outlook, found []finding) {
	holds := map[keyOfAlert]bool{}
	for _, f := range found {
		holds[f.keyOfAlert] = true
	}
	for _, a := range l.firing {
		l.over[a.ID] = !holds[keyOf(a)] && p.isOver(ctx, l, a)
	}
}

// isOver says whether an alert that was not found again is resolved. What could not be looked at stays as it is, and what only happens
// once is over when its consequences are mended.
func (p *Platform) isOver(ctx context.Context, l *outlook, a holdfast.Alert) bool {
	if l.unsure[keyOfAlert{a.Condition, a.ProjectID, a.BranchID, ""}] || l.unsure[keyOf(a)] {
		return false
	}
	branch, alive := l.branch(a.BranchID)
	if a.BranchID != "" && !alive {
		return true
	}
	switch a.Condition {
	case holdfast.WALGap, holdfast.DataDamaged:
		return !a.AcknowledgedAt.IsZero() && a.Subject == damagedObject || a.Subject != damagedObject && p.hasBaseSince(ctx, branch, a)
	case holdfast.WALLag, holdfast.CrashLoop:
		return l.now.Sub(p.alerts.began) > settleTime || l.now.Before(p.alerts.began) || !a.FiredAt.Before(p.alerts.began)
	}
	return true
}

// hasBaseSince says whether there is a base backup from after the alert, and for damaged pages one that found none.
func (p *Platform) hasBaseSince(ctx context.Context, b store.Branch, a holdfast.Alert) bool {
	archive, err := p.archive(b)
	if err != nil {
		return !hasHistory(b)
	}
	bases, err := archive.Bases(ctx)
	return err == nil && len(bases) > 0 && bases[0].Started.After(a.FiredAt) && (a.Condition != holdfast.DataDamaged || len(bases[0].Corrupt) == 0)
}

// alertSettings are the thresholds as they are set.
func readAlertSettings(tx *store.Tx) (holdfast.AlertSettings, error) {
	s := holdfast.DefaultAlertSettings()
	text, found, err := tx.Setting(alertSettingsKey)
	if err != nil || !found {
		return s, err
	}
	return s, json.Unmarshal([]byte(text), &s)
}

const alertSettingsKey = "alerts"

// AlertSettings shows the thresholds of the conditions.
func (p *Platform) AlertSettings(ctx context.Context, who holdfast.Principal) (s holdfast.AlertSettings, err error) {
	if err := checkInstallation(who); err != nil {
		return s, err
	}
	err = p.store.View(ctx, func(tx *store.Tx) error { s, err = readAlertSettings(tx); return err })
	return s, err
}

// SetAlertSettings changes the thresholds of the conditions.
func (p *Platform) SetAlertSettings(ctx context.Context, who holdfast.Principal, s holdfast.AlertSettings) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	if err := s.Validate(); err != nil {
		return err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetSetting(alertSettingsKey, string(raw)); err != nil {
			return err
		}
		return p.record(tx, who, "alert.settings", "installation", map[string]any{"settings": s})
	})
	if err == nil {
		nudge(p.alerts.poke)
	}
	return err
}

// Alerts lists the alerts that who may see: those that are firing, the oldest first, or with all the resolved ones too, the newest first.
// project may be empty for those of every project and of the installation.
func (p *Platform) Alerts(ctx context.Context, who holdfast.Principal, project string, all bool, limit int) ([]holdfast.Alert, error) {
	var only holdfast.ProjectID
	if project != "" {
		found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
		if err != nil {
			return nil, err
		}
		only = found.ID
	}
	var list []holdfast.Alert
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if all {
			list, err = tx.Alerts(maxAlerts)
		} else {
			list, err = tx.FiringAlerts()
		}
		return err
	})
	out := []holdfast.Alert{}
	for _, a := range list {
		if sees(who, a.ProjectID) && (only == "" || a.ProjectID == only) && len(out) < limit {
			out = append(out, a)
		}
	}
	return out, err
}

// maxAlerts bounds how far back a list looks.
const maxAlerts = 5000

// Alert shows one alert.
func (p *Platform) Alert(ctx context.Context, who holdfast.Principal, id holdfast.AlertID) (holdfast.Alert, error) {
	var a holdfast.Alert
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { a, err = tx.Alert(id); return err })
	if err == nil && !sees(who, a.ProjectID) {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: "alert " + string(id) + " does not exist"}
	}
	return a, err
}

// MuteAlert keeps what an alert is about quiet for a while: at its place the condition sends nothing, and fires and is shown as ever. Zero ends
// that.
func (p *Platform) MuteAlert(ctx context.Context, who holdfast.Principal, id holdfast.AlertID, span time.Duration) (holdfast.Alert, error) {
	if span < 0 || span > 366*24*time.Hour {
		return holdfast.Alert{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "an alert is muted for at most a year"}
	}
	return p.changeAlert(ctx, who, id, "alert.mute", func(tx *store.Tx, a *holdfast.Alert) error {
		a.MutedUntil = time.Time{}
		if span > 0 {
			a.MutedUntil = p.now().Add(span).UTC()
		}
		return tx.MuteAlert(*a, a.MutedUntil)
	})
}

// AcknowledgeAlert says that somebody looks after an alert: nobody is reminded of it any more. What was only an event is over with that.
func (p *Platform) AcknowledgeAlert(ctx context.Context, who holdfast.Principal, id holdfast.AlertID) (holdfast.Alert, error) {
	return p.changeAlert(ctx, who, id, "alert.acknowledge", func(tx *store.Tx, a *holdfast.Alert) error {
		if !a.Firing() {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: "the alert is over already"}
		}
		if a.AcknowledgedAt.IsZero() {
			a.AcknowledgedAt, a.AcknowledgedBy = p.now().UTC(), who.Name
		}
		return tx.UpdateAlert(*a)
	})
}

func (p *Platform) changeAlert(ctx context.Context, who holdfast.Principal, id holdfast.AlertID, action string, change func(*store.Tx, *holdfast.Alert) error) (holdfast.Alert, error) {
	var a holdfast.Alert
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if a, err = tx.Alert(id); err != nil {
			return err
		}
		if err := checkAlert(who, a); err != nil {
			return err
		}
		if err := change(tx, &a); err != nil {
			return err
		}
		return p.record(tx, who, action, a.Place, map[string]any{"alert": a.ID, "condition": a.Condition, "subject": a.Subject, "until": a.MutedUntil})
	})
	if err == nil {
		nudge(p.alerts.poke)
	}
	return a, err
}

// WatchCertificate tells the platform how to ask when the front door's certificate ends.
func (p *Platform) WatchCertificate(ends func() (time.Time, error)) {
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	p.alerts.certificate = ends
	nudge(p.alerts.poke)
}

// forgetAlerts removes what was resolved long ago, once an hour.
func (p *Platform) forgetAlerts(ctx context.Context, now time.Time) error {
	if now.Sub(p.alerts.forgot) < time.Hour {
		return nil
	}
	p.alerts.forgot = now
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.ForgetAlerts(now.Add(-alertsKept), now) })
}

// errNobody says that there is no sender.
var errNobody = errors.New("this server has no way to send notices")
