package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// backupProgress tells a job how far the backup room is. A step for every one of thousands of tables would only fill the job's log.
func (r *run) backupProgress() backup.Progress {
	var text string
	var at time.Time
	return func(step string, done, total int64, unit string) {
		if step != text && time.Since(at) >= progressInterval {
			text, at = step, time.Now()
			r.Step(step)
		}
		if done > 0 || total > 0 {
			r.Progress(done, total, unit)
		}
	}
}

func (p *Platform) runBackup(ctx context.Context, r *run) (any, error) {
	var input backupInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(input.BranchID); return err }); err != nil {
		return nil, err
	}
	r.Steps(3)
	made, err := p.dumpBackup(ctx, r, b, input.Backup)
	if err != nil {
		return nil, err
	}
	return map[string]any{"backup": made.ID, "name": made.Name, "records": made.Records(), "size": made.Size, "copies": len(made.Copies)}, nil
}

// dumpBackup makes a backup of a branch within a job, and keeps what is known of it up to date, also when it fails.
func (p *Platform) dumpBackup(ctx context.Context, r *run, b store.Branch, made holdfast.Backup) (holdfast.Backup, error) {
	known := store.Backup{Backup: made, ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, JobID: r.job.ID, HeartbeatAt: p.now()}
	keep := func(now holdfast.Backup) error {
		known.Backup, known.HeartbeatAt = now, p.now()
		return p.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutBackup(known) })
	}
	result, err := p.dumpBackupTo(ctx, r, b, made, keep)
	if err != nil && result.State != holdfast.BackupFailed { // it did not come so far as to have a manifest
		result = made
		result.State, result.EndedAt, result.Failure, result.FailureHint = holdfast.BackupFailed, p.now().UTC(), err.Error(), holdfast.HintOf(err)
	}
	if kept := keep(result); kept != nil && err == nil {
		err = kept
	}
	return result, err
}

func (p *Platform) dumpBackupTo(ctx context.Context, r *run, b store.Branch, made holdfast.Backup, keep func(holdfast.Backup) error) (holdfast.Backup, error) {
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return made, err
	}
	if finished, found := p.finishedBackup(ctx, places, made); found {
		r.Log("it was completed before the interruption")
		return finished, nil
	}
	db, release, err := p.readDatabase(ctx, b)
	if err != nil {
		return made, err
	}
	defer release()
	tell, beat := r.backupProgress(), p.heartbeat(ctx, made.ID)
	defer beat()
	return p.tools.Dump(ctx, backup.DumpRequest{Database: db, Destinations: places, Copies: 1, Backup: made, Progress: tell,
		Started: func(begun holdfast.Backup) {
			if err := keep(begun); err != nil {
				p.log.Warn("write what is known of a backup", "backup", begun.Name, "err", err)
			}
		}})
}

// finishedBackup says whether a run of the job before this one completed the backup.
func (p *Platform) finishedBackup(ctx context.Context, places []backup.Destination, made holdfast.Backup) (holdfast.Backup, bool) {
	for _, d := range places {
		if b, err := d.Catalogue.Get(ctx, made.Name); err == nil && b.ID == made.ID && b.State == holdfast.BackupCompleted {
			return b, true
		}
	}
	return made, false
}

// heartbeatEvery is how often whoever makes a backup says that it goes on; after silenceLimit without that it is taken for dead.
const (
	heartbeatEvery = 15 * time.Second
	silenceLimit   = 2 * time.Minute
)

// heartbeat says again and again that a backup is being made, until stop is called.
func (p *Platform) heartbeat(ctx context.Context, id holdfast.BackupID) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.BeatBackup(id, p.now()) }); err != nil && ctx.Err() == nil {
					p.log.Warn("write the heartbeat of a backup", "backup", id, "err", err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// undoBackup leaves no bytes of a backup that was not completed. One that is made again is forgotten, so that its name is free; otherwise
// it stays known as failed.
func (p *Platform) undoBackup(ctx context.Context, r *run) error {
	var input backupInput
	if err := r.Input(&input); err != nil {
		return err
	}
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(input.BranchID); return err }); err != nil {
		return err
	}
	return p.settleBackup(ctx, b.ProjectID, input.Backup, r.willRunAgain())
}

// settleBackup ends a backup that nobody makes any more.
func (p *Platform) settleBackup(ctx context.Context, project holdfast.ProjectID, made holdfast.Backup, again bool) error {
	places, err := p.backupPlaces(ctx, project)
	if err != nil {
		return err
	}
	failed := made
	failed.State, failed.EndedAt, failed.Failure, failed.FailureHint = holdfast.BackupFailed, p.now().UTC(), "it was interrupted: the program that made it has ended", "make it again"
	for _, d := range places {
		left, err := d.Catalogue.Get(ctx, made.Name)
		switch {
		case holdfast.KindOf(err) == holdfast.NotFound:
			continue
		case err != nil:
			p.log.Warn("look for what is left of a backup", "backup", made.Name, "place", d.Name, "err", err)
			continue
		case left.ID != made.ID:
			continue
		case left.State == holdfast.BackupCompleted:
			return p.keepManifest(ctx, left)
		case left.State == holdfast.BackupInProgress && again:
			err = d.Catalogue.Remove(ctx, made.Name, true)
		case left.State == holdfast.BackupInProgress:
			_, err = d.Catalogue.Settle(ctx, func(o holdfast.Backup) bool { return o.ID != made.ID })
		default:
			failed = left
		}
		if err != nil {
			return fmt.Errorf("clear up after the backup %s at %s: %w", made.Name, d.Name, err)
		}
	}
	if again {
		return nil
	}
	return p.keepManifest(ctx, failed)
}

// keepManifest writes what is known of a backup that is known already.
func (p *Platform) keepManifest(ctx context.Context, b holdfast.Backup) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		known, err := tx.Backup(b.ID)
		if holdfast.KindOf(err) == holdfast.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		if known.State == holdfast.BackupFailed && b.State == holdfast.BackupFailed && known.Failure != "" {
			return nil // it said why already
		}
		known.Backup = b
		return tx.PutBackup(known)
	})
}

// safetyBackup makes a backup within another job, before that changes a branch; tables may name the only ones that change. One of production is
// of everything, and is held until a person marks it verified. When it fails, the job must not go on.
func (p *Platform) safetyBackup(ctx context.Context, r *run, b store.Branch, operation string, tables []string) (holdfast.Backup, error) {
	production := b.Environment == holdfast.Production
	if production {
		tables = nil
	}
	now := p.now().UTC()
	made := holdfast.Backup{ID: holdfast.BackupID(newID("bak")), Project: b.Project, Branch: b.Name, State: holdfast.BackupInProgress, StartedAt: now, By: r.job.Actor,
		Reason: "before a " + operation, HeldUntilProof: production, Options: holdfast.BackupOptions{Format: holdfast.CustomFormat, Tables: tables}}
	if err := p.settleBackupsOf(ctx, b.ProjectID, r.job.ID); err != nil {
		return made, err
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Backups(b.ProjectID)
		if err != nil {
			return err
		}
		for at := now; made.Name == ""; at = at.Add(time.Second) {
			name := holdfast.SafetyBackupName(b.Name, operation, at)
			if !hasBackup(all, name) {
				made.Name = name
			}
		}
		return tx.PutBackup(store.Backup{Backup: made, ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, JobID: r.job.ID, HeartbeatAt: now})
	})
	if err != nil {
		return made, err
	}
	r.Step("backing up " + b.Ref().String() + " first, as " + made.Name)
	made, err = p.dumpBackup(ctx, r, b, made)
	if err != nil {
		return made, fmt.Errorf("nothing was changed, because the backup before it failed: %w", err)
	}
	return made, nil
}

// settleBackupsOf ends the backups that a job had begun when it was interrupted: it begins another now.
func (p *Platform) settleBackupsOf(ctx context.Context, project holdfast.ProjectID, job holdfast.JobID) error {
	var all []store.Backup
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(project); return err }); err != nil {
		return err
	}
	for _, b := range all {
		if b.JobID == job && b.State == holdfast.BackupInProgress {
			if err := p.settleBackup(ctx, project, b.Backup, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasBackup(all []store.Backup, name string) bool {
	for _, b := range all {
		if b.Name == name {
			return true
		}
	}
	return false
}
