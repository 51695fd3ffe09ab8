package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// outlook is what is known of the installation at one time.
type outlook struct {
	now      time.Time
	settings holdfast.AlertSettings
	projects map[holdfast.ProjectID]store.Project
	branches []store.Branch // those that are ready and not deleted
	backups  []store.Backup // the newest first
	proofs   []holdfast.Job // attempts to prove a backup, the newest first
	blocked  []holdfast.Publish
	channels []store.Channel
	firing   []holdfast.Alert
	over     map[holdfast.AlertID]bool // of those, what is resolved
	samples  map[holdfast.BranchID]sample
	since    map[keyOfAlert]time.Time // when what happened since the last look did
	unsure   map[keyOfAlert]bool      // what could not be found out; without a subject: of every subject
}

// finders are the conditions: each says where its own hold now.
func (p *Platform) finders() []func(context.Context, *outlook) []finding {
	return []func(context.Context, *outlook) []finding{p.findBackups, p.findProofs, p.findHistory, p.findBroken, p.findSamples, p.findDisk, p.findPublishes, p.findCertificate,
		p.findMissing, p.findBudgets, p.findChannels}
}

// look reads what the conditions are judged by.
func (p *Platform) look(ctx context.Context) (*outlook, error) {
	l := &outlook{now: p.now().UTC(), projects: map[holdfast.ProjectID]store.Project{}, since: map[keyOfAlert]time.Time{}, unsure: map[keyOfAlert]bool{}, over: map[holdfast.AlertID]bool{}}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if l.settings, err = readAlertSettings(tx); err != nil {
			return err
		}
		projects, err := tx.Projects()
		if err != nil {
			return err
		}
		for _, project := range projects {
			l.projects[project.ID] = project
		}
		all, err := tx.AllBranches()
		if err != nil {
			return err
		}
		for _, b := range all {
			if _, alive := l.projects[b.ProjectID]; alive && b.State == store.Ready && b.DeletedAt.IsZero() {
				l.branches = append(l.branches, b)
			}
		}
		if l.backups, err = tx.Backups(""); err != nil {
			return err
		}
		if l.proofs, err = tx.LastJobs(verifyBackupJob, 1000); err != nil {
			return err
		}
		if l.blocked, err = tx.PublishesIn(holdfast.PublishBlocked); err != nil {
			return err
		}
		if l.firing, err = tx.FiringAlerts(); err != nil {
			return err
		}
		l.channels, err = tx.Channels()
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, p.forgetAlerts(ctx, l.now)
}

func (l *outlook) branch(id holdfast.BranchID) (store.Branch, bool) {
	for _, b := range l.branches {
		if b.ID == id {
			return b, true
		}
	}
	return store.Branch{}, false
}

// at is the key of a condition of a branch.
func at(c holdfast.Condition, b store.Branch, subject string) keyOfAlert {
	return keyOfAlert{c, b.ProjectID, b.ID, subject}
}

func on(c holdfast.Condition, b store.Branch, message, hint string) finding {
	return finding{at(c, b, ""), b.Ref().String(), message, hint}
}

// findAll asks every condition. events says how many of what was found are events that have waited.
func (p *Platform) findAll(ctx context.Context, l *outlook) (found []finding, events int) {
	p.inspectLocations(ctx, l)
	l.samples = p.sampleServers(ctx, l)
	for _, find := range p.finders() {
		found = append(found, find(ctx, l)...)
	}
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	for _, f := range p.alerts.events {
		if b, alive := l.branch(f.branch); alive {
			f.project, f.place = b.ProjectID, b.Ref().String()
			found = append(found, f.finding)
			l.since[f.keyOfAlert] = f.at
		}
	}
	return found, len(p.alerts.events)
}

// findBackups looks at the newest backup of each branch, and at its age where it is of production.
func (p *Platform) findBackups(_ context.Context, l *outlook) (found []finding) {
	for _, b := range l.branches {
		var newest, good store.Backup
		for _, o := range l.backups { // from new to old
			if o.BranchID != b.ID && (o.ProjectID != b.ProjectID || o.Branch != b.Name) {
				continue
			}
			if newest.ID == "" && o.State != holdfast.BackupInProgress {
				newest = o
			}
			if good.ID == "" && o.State == holdfast.BackupCompleted {
				good = o
			}
		}
		if newest.State == holdfast.BackupFailed {
			found = append(found, on(holdfast.BackupFailing, b, "the backup "+newest.Name+" failed: "+newest.Failure, newest.FailureHint))
		}
		if b.Environment != holdfast.Production || l.now.Sub(b.CreatedAt) < l.settings.BackupAge {
			continue
		}
		hint := "`holdfast backup create` makes one, `holdfast schedule list` shows when others are due"
		switch {
		case good.ID == "":
			found = append(found, on(holdfast.BackupAbsent, b, b.Ref().String()+" has no backup", hint))
		case l.now.Sub(good.StartedAt) > l.settings.BackupAge:
			found = append(found, on(holdfast.BackupAbsent, b, fmt.Sprintf("the newest backup of %s, %s, is older than %s", b.Ref(), good.Name, spanOf(l.settings.BackupAge)), hint))
		}
	}
	return found
}

// findProofs looks whether backups were proved to restore.
func (p *Platform) findProofs(_ context.Context, l *outlook) (found []finding) {
	for _, b := range l.branches {
		for _, j := range l.proofs { // from new to old
			if j.BranchID == b.ID {
				if j.State == holdfast.JobFailed {
					found = append(found, on(holdfast.ProofFailed, b, "the backup "+j.Subject+" was not proved to restore: "+j.Error, "`holdfast job show "+string(j.ID)+"` says what was found"))
				}
				break
			}
		}
		if b.Environment != holdfast.Production || l.now.Sub(b.CreatedAt) < l.settings.ProofAge {
			continue
		}
		var has bool
		var proved time.Time
		for _, o := range l.backups {
			if o.State == holdfast.BackupCompleted && (o.BranchID == b.ID || o.ProjectID == b.ProjectID && o.Branch == b.Name) {
				has = true
				if o.VerifiedAt.After(proved) {
					proved = o.VerifiedAt
				}
			}
		}
		if has && l.now.Sub(proved) > l.settings.ProofAge {
			found = append(found, on(holdfast.ProofAbsent, b, fmt.Sprintf("no backup of %s was proved to restore for more than %s", b.Ref(), spanOf(l.settings.ProofAge)),
				"`holdfast backup verify` proves one; a schedule of kind drill does it every night"))
		}
	}
	return found
}

// spanOf writes a length of time as people read it.
func spanOf(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0 && d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d%time.Hour == 0 && d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0 && d > time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// damagedObject is the subject of alerts about objects at a location; mending them cannot be seen from here, so a person says when it is done.
const damagedObject = "objects"

// historyAlert is told of what is wrong with a branch's history.
func (p *Platform) historyAlert(a history.Alert) {
	defer nudge(p.alerts.poke)
	now := p.now().UTC() // before the base backup that mends it begins
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	if a.Cleared {
		delete(p.alerts.history[a.Branch], a.Kind)
		return
	}
	switch a.Kind {
	case history.BaseNeeded, history.GapFound, history.NewLineage: // what comes now can be restored only from a new base
		p.wg.Go(func() {
			if err := p.startBase(a.Branch); err != nil {
				p.log.Warn("begin a base backup", "branch", a.Branch, "err", err)
			}
		})
	}
	event := happening{finding{keyOfAlert: keyOfAlert{branch: a.Branch}, message: a.Message}, now}
	switch a.Kind {
	case history.BaseNeeded: // as for every new branch
		return
	case history.GapFound, history.NewLineage:
		event.condition, event.hint = holdfast.WALGap, "the moments around it cannot be restored; it is over with the base backup that has begun"
	case history.PagesCorrupt:
		event.condition, event.hint = holdfast.DataDamaged, "restore the branch to a moment before: docs/runbooks"
	case history.ObjectBroken:
		event.condition, event.subject, event.hint = holdfast.DataDamaged, damagedObject, "another location has it, or a new base backup does without; acknowledge the alert when it is mended"
	default:
		if p.alerts.history[a.Branch] == nil {
			p.alerts.history[a.Branch] = map[history.AlertKind]string{}
		}
		p.alerts.history[a.Branch][a.Kind] = a.Message
		return
	}
	p.alerts.events = append(p.alerts.events, event)
}

// findHistory looks at WAL that comes late.
func (p *Platform) findHistory(_ context.Context, l *outlook) (found []finding) {
	for _, b := range l.branches {
		archive, err := p.archive(b)
		if err != nil {
			continue
		}
		lag, reason := archive.Lag()
		message := ""
		if lag > l.settings.WALLag {
			message = fmt.Sprintf("the WAL of %s is late by more than %s: %s", b.Ref(), spanOf(l.settings.WALLag), reason)
		}
		p.alerts.mu.Lock()
		for _, kind := range []history.AlertKind{history.StreamBroken, history.StreamLags, history.UploadLags, history.SpoolFull} {
			if m := p.alerts.history[b.ID][kind]; m != "" {
				message = m
			}
		}
		risk := p.alerts.history[b.ID][history.SlotAtRisk]
		p.alerts.mu.Unlock()
		if message != "" {
			found = append(found, on(holdfast.WALLag, b, message, "what was written meanwhile is lost if this machine is; look at the location and the disk"))
		}
		if risk != "" {
			found = append(found, on(holdfast.SlotRetention, b, risk, "look at the location of the history: `holdfast location list`"))
		}
	}
	return found
}

// findBroken looks for servers that gave up.
func (p *Platform) findBroken(_ context.Context, l *outlook) (found []finding) {
	for _, b := range l.branches {
		s, err := p.fleet.Status(b.ID)
		if err == nil && s.Activity == holdfast.Broken && s.Reason != nil {
			found = append(found, on(holdfast.CrashLoop, b, s.Reason.Error(), "its last log lines say why: `holdfast branch show "+b.Ref().String()+"`; the next connection tries again"))
		}
	}
	return found
}

// findDisk looks at the room on the disk of the databases.
func (p *Platform) findDisk(_ context.Context, l *outlook) (found []finding) {
	installation := func(c holdfast.Condition, message, hint string) {
		found = append(found, finding{keyOfAlert{condition: c}, "", message, hint})
	}
	if p.volume != nil {
		space, err := p.volume.Space()
		switch {
		case err != nil:
			l.unsure[keyOfAlert{condition: holdfast.DiskLow}] = true
		case space.Total > 0 && float64(space.Free) < float64(space.Total)*float64(l.settings.DiskFree)/100:
			installation(holdfast.DiskLow, fmt.Sprintf("less than %d %% of the disk of the databases is free", l.settings.DiskFree), "remove previews and old snapshots, or make the disk larger")
		}
	}
	var total int64
	for _, b := range l.branches {
		total += p.sizes.of(b.ID)
	}
	if budget := l.settings.DiskBudget; budget > 0 && total > budget {
		installation(holdfast.DiskBudget, fmt.Sprintf("the databases together are larger than the %d MiB that they may be", budget>>20), "`holdfast branch list` shows their sizes; `holdfast alert settings` changes the bound")
	}
	return found
}

// findPublishes looks for publishes that cannot go on.
func (p *Platform) findPublishes(_ context.Context, l *outlook) (found []finding) {
	for _, pub := range l.blocked {
		project, alive := l.projects[pub.ProjectID]
		if !alive {
			continue
		}
		message := fmt.Sprintf("publish %d of %s is blocked", pub.Number, project.Name)
		if pub.Error != "" {
			message += ": " + pub.Error
		}
		found = append(found, finding{keyOfAlert{holdfast.PublishStuck, project.ID, "", fmt.Sprint("publish ", pub.Number)}, project.Name, message,
			fmt.Sprintf("`holdfast publish show %s %d` says what stands in the way", project.Name, pub.Number)})
	}
	return found
}

// findCertificate looks when the front door's certificate ends.
func (p *Platform) findCertificate(_ context.Context, l *outlook) []finding {
	p.alerts.mu.Lock()
	ends := p.alerts.certificate
	p.alerts.mu.Unlock()
	key := keyOfAlert{condition: holdfast.Certificate}
	if ends == nil {
		l.unsure[key] = true
		return nil
	}
	end, err := ends()
	if err != nil {
		l.unsure[key] = true
		return nil
	}
	if end.Sub(l.now) > l.settings.CertificateEnds {
		return nil
	}
	message := "the front door's certificate ends at " + end.UTC().Format(time.RFC3339)
	if end.Before(l.now) {
		message = "the front door's certificate has ended at " + end.UTC().Format(time.RFC3339) + ": clients that check it are refused"
	}
	return []finding{{key, "", message, "put a new one in its place; it is read again without a restart. One that Holdfast made is made anew when gateway.crt is removed and the server is started again"}}
}

// findBudgets looks for budgets that are nearly used up, and for those that are. Both are alerts of their own, so that people hear of both.
func (p *Platform) findBudgets(ctx context.Context, l *outlook) (found []finding) {
	views, err := p.BudgetsInNeed(ctx)
	if err != nil {
		l.doubt(holdfast.BudgetSpent)
		return nil
	}
	for _, v := range views {
		f := finding{keyOfAlert{holdfast.BudgetSpent, v.ProjectID, v.BranchID, v.Name + " at 80 %"}, strings.TrimSuffix(v.Project+"/"+v.Branch, "/"), "four fifths of " + v.Bound() + " are used",
			"`holdfast usage budget list` shows how much; `holdfast usage` shows what uses it"}
		found = append(found, f)
		if v.State() != "used_up" {
			continue
		}
		f.subject, f.message, f.hint = v.Name, v.Bound()+" is used up", "an admin can raise its limit: `holdfast usage budget set`"
		if v.Hard {
			f.message += "; what it covers is kept asleep"
		}
		found = append(found, f)
	}
	return found
}

// doubt says that nothing of a condition could be found out: what is firing stays so.
func (l *outlook) doubt(c holdfast.Condition) {
	for _, a := range l.firing {
		if a.Condition == c {
			l.unsure[keyOf(a)] = true
		}
	}
}

// findChannels looks for channels at which notices do not arrive.
func (p *Platform) findChannels(_ context.Context, l *outlook) (found []finding) {
	for _, c := range l.channels {
		if c.Error == "" || l.now.Sub(c.FailedAt) < channelPatience {
			continue
		}
		place := ""
		if project, alive := l.projects[c.ProjectID]; alive {
			place = project.Name
		}
		found = append(found, finding{keyOfAlert{holdfast.ChannelFailing, c.ProjectID, "", c.Name}, place, "nothing arrives at the alert channel " + c.Name + ": " + c.Error,
			"`holdfast alert channels test " + c.Name + "` tries it out"})
	}
	return found
}

// channelPatience is how long a channel may fail before that is an alert itself.
const channelPatience = 5 * time.Minute
