package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// BackupView is a portable backup as its users see it.
type BackupView struct {
	holdfast.Backup
	JobID       holdfast.JobID // that makes it, or made it
	HeartbeatAt time.Time
}

// NewBackup asks for a backup.
type NewBackup struct {
	Options  holdfast.BackupOptions
	TableSet string // a named set of tables, in addition to those of the options
	Name     string // empty: made from the branch and the time
	Pinned   bool
	Reason   string
}

const backupJob = "backup"

// backupInput is what the job needs to run and to be taken back.
type backupInput struct {
	BranchID holdfast.BranchID
	Backup   holdfast.Backup
}

// CreateBackup begins a backup of a branch. Its number and name are known at once; the job makes it.
func (p *Platform) CreateBackup(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask NewBackup) (BackupView, holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return BackupView{}, holdfast.Job{}, err
	}
	if ask.TableSet != "" {
		tables, err := p.tableSet(ctx, b.ProjectID, ask.TableSet)
		if err != nil {
			return BackupView{}, holdfast.Job{}, err
		}
		ask.Options.Tables = append(slices.Clone(ask.Options.Tables), tables...)
	}
	if ask.Options.Format == "" {
		ask.Options.Format = holdfast.CustomFormat
	}
	if ask.Reason == "" {
		ask.Reason = "asked for"
	}
	return p.startBackup(ctx, who, b, holdfast.Backup{Options: ask.Options, Name: ask.Name, Pinned: ask.Pinned, Reason: ask.Reason})
}

// startBackup claims the backup's name and begins its job.
func (p *Platform) startBackup(ctx context.Context, who holdfast.Principal, b store.Branch, made holdfast.Backup) (BackupView, holdfast.Job, error) {
	fail := func(err error) (BackupView, holdfast.Job, error) { return BackupView{}, holdfast.Job{}, err }
	if err := made.Options.Validate(); err != nil {
		return fail(err)
	}
	now := p.now().UTC()
	made.ID, made.Project, made.Branch, made.By, made.State, made.StartedAt = holdfast.BackupID(newID("bak")), b.Project, b.Name, who.Name, holdfast.BackupInProgress, now
	var job store.Job
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if made.Name, err = freeBackupName(tx, b, made.Name, now); err != nil {
			return err
		}
		if job, err = p.jobs.newJob(who, backupJob, b.Ref().String(), backupInput{BranchID: b.ID, Backup: made}); err != nil {
			return err
		}
		job.ProjectID, job.BranchID = b.ProjectID, b.ID
		if err := tx.PutBackup(store.Backup{Backup: made, ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, JobID: job.ID, HeartbeatAt: now}); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "backup.create", b.Ref().String(), map[string]any{"backup": made.Name, "id": made.ID, "job": job.ID, "format": made.Options.Format, "reason": made.Reason})
	})
	if err != nil {
		return fail(err)
	}
	started, err := p.jobs.start(job)
	return BackupView{Backup: made, JobID: job.ID}, started, err
}

// freeBackupName is the wanted name, or one made from the branch and the time that no other backup of the project has.
func freeBackupName(tx *store.Tx, b store.Branch, wanted string, now time.Time) (string, error) {
	all, err := tx.Backups(b.ProjectID)
	if err != nil {
		return "", err
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(o store.Backup) bool { return o.Name == name })
	}
	if wanted != "" {
		if err := holdfast.CheckBackupName(wanted); err != nil {
			return "", err
		}
		if taken(wanted) {
			return "", &holdfast.Error{Kind: holdfast.Conflict, Message: "there is a backup " + wanted + " already"}
		}
		return wanted, nil
	}
	for at := now; ; at = at.Add(time.Second) {
		if name := holdfast.BackupName(b.Name, at); !taken(name) {
			return name, nil
		}
	}
}

// Backups lists the backups that who may see, the newest first; an empty project is every project, an empty branch every branch.
func (p *Platform) Backups(ctx context.Context, who holdfast.Principal, project, branch string) ([]BackupView, error) {
	var all []store.Backup
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(who.ProjectID); return err })
	if err != nil {
		return nil, err
	}
	out := []BackupView{}
	for _, b := range all {
		if sees(who, b.ProjectID) && (project == "" || b.Project == project) && (branch == "" || b.Branch == branch) {
			out = append(out, viewBackup(b))
		}
	}
	return out, nil
}

func viewBackup(b store.Backup) BackupView {
	return BackupView{Backup: b.Backup, JobID: b.JobID, HeartbeatAt: b.HeartbeatAt}
}

// Backup shows one backup by its number or its name.
func (p *Platform) Backup(ctx context.Context, who holdfast.Principal, id string) (BackupView, error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayRead)
	return viewBackup(b), err
}

// findBackup finds a backup by its number, or by its name where only one that who may see has it, and checks the right to it.
func (p *Platform) findBackup(ctx context.Context, who holdfast.Principal, id string, want holdfast.Right) (store.Backup, error) {
	var b store.Backup
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if b, err = tx.Backup(holdfast.BackupID(id)); holdfast.KindOf(err) != holdfast.NotFound {
			return err
		}
		named, err := tx.BackupsNamed(id)
		if err != nil {
			return err
		}
		named = slices.DeleteFunc(named, func(o store.Backup) bool { return !sees(who, o.ProjectID) })
		if len(named) == 0 {
			return &holdfast.Error{Kind: holdfast.NotFound, Message: "backup " + id + " does not exist", Hint: "`holdfast backup list` shows what there is"}
		}
		if len(named) > 1 {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "several projects have a backup " + id, Hint: "name it by its ID: `holdfast backup list` shows it"}
		}
		b = named[0]
		return nil
	})
	if err != nil {
		return b, err
	}
	return b, checkBackup(who, b, want)
}

// completed refuses a backup that cannot be read.
func completed(b store.Backup) error {
	if b.State == holdfast.BackupCompleted {
		return nil
	}
	if b.State == holdfast.BackupInProgress {
		return &holdfast.Error{Kind: holdfast.Busy, Message: "the backup " + b.Name + " is still being made", Hint: "`holdfast job show " + string(b.JobID) + "` says how far it is"}
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "the backup " + b.Name + " failed: " + b.Failure, Hint: "choose a completed one"}
}

// BackupChange says what to change of a backup; what is nil stays.
type BackupChange struct {
	Pinned   *bool
	Verified *bool // a person marks it verified: it is held no longer
}

// ChangeBackup pins a backup, or ends its being held.
func (p *Platform) ChangeBackup(ctx context.Context, who holdfast.Principal, id string, change BackupChange) (BackupView, error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayWrite)
	if err != nil {
		return BackupView{}, err
	}
	if change.Verified != nil && who.Kind == holdfast.AgentToken {
		return BackupView{}, agentRefused("mark a backup verified")
	}
	apply := func(o *holdfast.Backup) {
		if change.Pinned != nil {
			o.Pinned = *change.Pinned
		}
		if change.Verified != nil {
			o.HeldUntilProof = !*change.Verified
		}
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return BackupView{}, err
	}
	err = eachCopy(places, b.Backup, func(d backup.Destination) error { _, err := d.Catalogue.Change(ctx, b.Name, apply); return err })
	if err != nil {
		return BackupView{}, err
	}
	apply(&b.Backup)
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutBackup(b); err != nil {
			return err
		}
		return p.record(tx, who, "backup.change", b.Name, map[string]any{"pinned": b.Pinned, "held": b.HeldUntilProof})
	})
	return viewBackup(b), err
}

// DeleteBackup removes a backup from every place. One that is pinned, held, or the last good one of its branch is Unsafe unless insisted.
func (p *Platform) DeleteBackup(ctx context.Context, who holdfast.Principal, id string, insisted bool) error {
	b, err := p.findBackup(ctx, who, id, holdfast.MayWrite)
	if err != nil {
		return err
	}
	if insisted && who.Kind == holdfast.AgentToken {
		return agentRefused("remove a protected backup")
	}
	if b.State == holdfast.BackupInProgress && p.jobs.isRunning(b.JobID) {
		return &holdfast.Error{Kind: holdfast.Busy, Message: "the backup " + b.Name + " is being made", Hint: "`holdfast job cancel " + string(b.JobID) + "` ends that"}
	}
	if err := p.removeBackup(ctx, b, insisted); err != nil {
		return err
	}
	return p.recordAlone(ctx, who, "backup.delete", b.Project+"/"+b.Branch, map[string]any{"backup": b.Name, "id": b.ID, "insisted": insisted})
}

// removeBackup removes a backup's bytes everywhere and then what is known of it. Where a place with a copy is out of reach, as a disk that is not
// mounted, the removal is remembered and done when the place is back (forgetRemoved). Where one fails otherwise, the backup stays known.
func (p *Platform) removeBackup(ctx context.Context, b store.Backup, insisted bool) error {
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return err
	}
	if err := p.mayRemove(ctx, b, insisted); err != nil {
		return err
	}
	var failed []error
	left, away := map[string]bool{}, 0
	for _, c := range b.Copies {
		left[c.Destination] = true
	}
	for _, d := range places {
		// The protection was checked over all places; here it is only taken away.
		err := d.Catalogue.Remove(ctx, b.Name, true)
		switch holdfast.KindOf(err) {
		case holdfast.Unavailable, holdfast.Timeout:
			left[d.Name], away = true, away+1
			continue
		case holdfast.NotFound:
			err = nil
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("remove it from %s: %w", d.Name, err))
		}
		delete(left, d.Name)
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if len(places) > 0 && away == len(places) {
		return noCopy(b.Backup)
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if len(left) > 0 {
			if err := tx.PutRemovedBackup(b.ProjectID, b.ID, insisted, p.now()); err != nil {
				return err
			}
		}
		return tx.DeleteBackup(b.ID)
	})
}

// mayRemove refuses what no rule and no slip may remove.
func (p *Platform) mayRemove(ctx context.Context, b store.Backup, insisted bool) error {
	if place, until := b.LockedAt(p.now()); place != "" {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the backup " + b.Name + " is locked at " + place + " until " + until.Format(time.RFC3339) + ": until then nobody can remove it",
			Hint: "`holdfast location add` without --lock-days ends the lock for later backups"}
	}
	if insisted {
		return nil
	}
	unsafe := func(why string) error {
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: "the backup " + b.Name + " is " + why, Hint: "say --force to remove it in spite of that"}
	}
	switch {
	case b.Pinned:
		return unsafe("pinned")
	case b.State != holdfast.BackupCompleted:
		return nil
	case b.HeldUntilProof:
		return unsafe("held until a person marks it verified")
	}
	var all []store.Backup
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(b.ProjectID); return err }); err != nil {
		return err
	}
	good := func(o store.Backup) bool {
		return o.ID != b.ID && o.State == holdfast.BackupCompleted && o.Branch == b.Branch
	}
	if !slices.ContainsFunc(all, good) {
		return unsafe("the last good one of its branch")
	}
	if !b.VerifiedAt.IsZero() && !slices.ContainsFunc(all, func(o store.Backup) bool { return good(o) && !o.VerifiedAt.IsZero() }) {
		return unsafe("the last verified one of its branch")
	}
	return nil
}

// RecordCounts counts the rows of every table of a branch, exactly and at one moment. It wakes the branch.
func (p *Platform) RecordCounts(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, tables []string) ([]holdfast.TableRecords, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	db, release, err := p.readDatabase(ctx, b)
	if err != nil {
		return nil, err
	}
	defer release()
	return backup.Count(ctx, db, tables)
}

// backupsBelow is where a project's backups lie at each of its locations.
func backupsBelow(project holdfast.ProjectID) string { return "backups/" + string(project) }

// backupPlaces are the locations of a project, as places for backups.
func (p *Platform) backupPlaces(ctx context.Context, project holdfast.ProjectID) ([]backup.Destination, error) {
	locations, err := p.openLocations(ctx, project)
	if err != nil {
		return nil, err
	}
	locks := map[string]time.Duration{}
	err = p.store.View(ctx, func(tx *store.Tx) error {
		set, err := tx.Locations(project)
		for _, l := range set {
			locks[l.Name] = l.LockFor()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []backup.Destination
	for _, l := range locations {
		out = append(out, backup.Destination{Name: l.Name, Catalogue: backup.NewCatalogue(l.Location, backupsBelow(project)), LockFor: locks[l.Name]})
	}
	export, found, err := p.exportPlace(ctx, project)
	if err != nil {
		return nil, err
	}
	if found {
		out = append(out, export)
	}
	return out, nil
}

// eachCopy does something at every place that has a copy of the backup. It fails when there is no such place, or one fails.
func eachCopy(places []backup.Destination, b holdfast.Backup, do func(backup.Destination) error) error {
	var failed []error
	some := false
	for _, d := range places {
		if b.At(d.Name) {
			some = true
			failed = append(failed, do(d))
		}
	}
	if !some {
		return noCopy(b)
	}
	return errors.Join(failed...)
}

func noCopy(b holdfast.Backup) error {
	var names []string
	for _, c := range b.Copies {
		names = append(names, c.Destination)
	}
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: "no place that has a copy of the backup " + b.Name + " is in reach (" + strings.Join(names, ", ") + ")",
		Hint: "mount the disk or add the location again"}
}

// tableSet reads a named set of tables.
func (p *Platform) tableSet(ctx context.Context, project holdfast.ProjectID, name string) ([]string, error) {
	sets, err := p.readTableSets(ctx, project)
	if err != nil {
		return nil, err
	}
	tables, found := sets[name]
	if !found {
		return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no table set " + name, Hint: "`holdfast backup table-set list` shows what there is"}
	}
	return tables, nil
}
