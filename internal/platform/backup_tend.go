package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

func (p *Platform) backupJobs() {
	p.jobs.kinds[backupJob] = jobKind{run: p.runBackup, undo: p.undoBackup}
	p.jobs.kinds[adoptBackupJob] = jobKind{run: p.runAdoptBackup, undo: p.undoAdoptBackup}
	p.jobs.kinds[importDatabaseJob] = jobKind{run: p.runImportDatabase, undo: p.undoImportDatabase}
	p.jobs.kinds[verifyBackupJob] = jobKind{run: p.runVerifyBackup, undo: p.undoVerifyBackup}
	p.jobs.kinds[syncJob] = jobKind{run: p.runSync}
	p.jobs.kinds[swapBackJob] = jobKind{run: p.runSwapBack, undo: p.undoSwapBack}
	p.jobs.kinds[restoreBackupJob] = jobKind{run: p.runRestoreBackup, undo: p.undoRestoreBackup}
}

const (
	// backupTick is how often what is due for backups is looked for.
	backupTick = 30 * time.Second
	// refreshEvery is how often the manifests at the locations are read, for what somebody else put there or took away.
	refreshEvery = time.Hour
)

// tendBackups does what is due by time, until ctx ends.
func (p *Platform) tendBackups(ctx context.Context) {
	tick := time.NewTicker(backupTick)
	defer tick.Stop()
	var refreshed time.Time
	for {
		now := p.now()
		steps := []func(context.Context) error{p.settleBackups, p.runSchedules}
		if now.Sub(refreshed) >= refreshEvery {
			steps, refreshed = append(steps, p.refreshBackups, p.applyRetention, p.dropSetAsides, p.watchBackups), now
		}
		steps = append(steps, p.replicateBackups)
		for _, step := range steps {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("look after the backups", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// everyProject runs do for each project, deleted ones too: their backups outlive them.
func (p *Platform) everyProject(ctx context.Context, do func(holdfast.ProjectID) error) error {
	var ids []holdfast.ProjectID
	err := p.store.View(ctx, func(tx *store.Tx) error {
		projects, err := tx.Projects()
		for _, project := range projects {
			ids = append(ids, project.ID)
		}
		if err != nil {
			return err
		}
		known, err := tx.Backups("")
		for _, b := range known {
			if !slices.Contains(ids, b.ProjectID) {
				ids = append(ids, b.ProjectID)
			}
		}
		return err
	})
	for _, id := range ids {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err = errors.Join(err, do(id))
	}
	return err
}

// settleBackups ends backups that are in progress and whose maker has fallen silent.
func (p *Platform) settleBackups(ctx context.Context) error {
	var all []store.Backup
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(""); return err }); err != nil {
		return err
	}
	var failed error
	for _, b := range all {
		if b.State == holdfast.BackupInProgress && !p.jobs.isRunning(b.JobID) && p.now().Sub(b.HeartbeatAt) > silenceLimit && !p.unfinished(ctx, b.JobID) {
			failed = errors.Join(failed, p.settleBackup(ctx, b.ProjectID, b.Backup, false))
		}
	}
	return failed
}

// unfinished says whether a job will be run again, or its end is not known.
func (p *Platform) unfinished(ctx context.Context, id holdfast.JobID) bool {
	var j holdfast.Job
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { j, err = tx.Job(id); return err })
	return err != nil && holdfast.KindOf(err) != holdfast.NotFound || err == nil && !j.State.Final()
}

// refreshBackups reads the manifests at every location, so that what is known is what is there.
func (p *Platform) refreshBackups(ctx context.Context) error {
	return p.everyProject(ctx, func(project holdfast.ProjectID) error { return p.refreshProject(ctx, project) })
}

func (p *Platform) refreshProject(ctx context.Context, project holdfast.ProjectID) error {
	places, err := p.backupPlaces(ctx, project)
	if err != nil {
		return err
	}
	found := map[holdfast.BackupID]holdfast.Backup{}
	var failed error
	at := map[string][]holdfast.Backup{}
	for _, d := range places {
		listing, err := d.Catalogue.List(ctx)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("list the backups at %s: %w", d.Name, err))
			continue
		}
		for _, name := range listing.Damaged {
			p.log.Warn("the manifest of a backup is damaged", "backup", name, "place", d.Name)
		}
		for _, b := range listing.Backups {
			found[b.ID] = mergeManifest(found[b.ID], b)
		}
		at[d.Name] = listing.Backups
	}
	if err := p.forgetRemoved(ctx, project, places, at, found); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, p.adoptFound(ctx, project, found, failed == nil))
}

// forgetRemoved removes the copies of backups that were removed while their place was out of reach, and takes them out of what was found. One that a
// rule removed, of a branch of which nothing better is left, comes back instead: the rule let it go because there were others.
func (p *Platform) forgetRemoved(ctx context.Context, project holdfast.ProjectID, places []backup.Destination, at map[string][]holdfast.Backup, found map[holdfast.BackupID]holdfast.Backup) error {
	var removed map[holdfast.BackupID]bool
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { removed, err = tx.RemovedBackups(project); return err }); err != nil || len(removed) == 0 {
		return err
	}
	remains := map[string]bool{} // branches of which a good backup is left
	for id, b := range found {
		if _, gone := removed[id]; !gone && b.State == holdfast.BackupCompleted {
			remains[b.Branch] = true
		}
	}
	var failed error
	for id, b := range found {
		insisted, gone := removed[id]
		if !gone {
			continue
		}
		if b.State == holdfast.BackupCompleted && !insisted && !remains[b.Branch] {
			p.log.Warn("a backup that a rule removed is the only one that is left, and stays", "backup", b.Name, "project", project)
			failed = errors.Join(failed, p.store.Update(ctx, func(tx *store.Tx) error { return tx.ForgetRemovedBackup(project, id) }))
			continue
		}
		delete(found, id)
		for _, d := range places {
			if !slices.ContainsFunc(at[d.Name], func(o holdfast.Backup) bool { return o.ID == id }) {
				continue
			}
			if err := d.Catalogue.Remove(ctx, b.Name, true); err != nil {
				failed = errors.Join(failed, fmt.Errorf("remove the backup %s from %s, as it was from the other places: %w", b.Name, d.Name, err))
				continue
			}
			p.log.Info("a backup that was removed while its place was away is removed there too", "backup", b.Name, "place", d.Name)
		}
	}
	return failed
}

// mergeManifest puts together what two places say of a backup: the copies of both, and the better news.
func mergeManifest(a, b holdfast.Backup) holdfast.Backup {
	if a.ID == "" {
		return b
	}
	if a.State != holdfast.BackupCompleted {
		a, b = b, a
	}
	for _, c := range b.Copies {
		if !a.At(c.Destination) {
			a.Copies = append(a.Copies, c)
		}
	}
	if b.VerifiedAt.After(a.VerifiedAt) {
		a.VerifiedAt, a.Report = b.VerifiedAt, b.Report
	}
	return a
}

// adoptFound makes what was found at the locations known, and with whole forgets what is at none.
func (p *Platform) adoptFound(ctx context.Context, project holdfast.ProjectID, found map[holdfast.BackupID]holdfast.Backup, whole bool) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		known, err := tx.Backups(project)
		if err != nil {
			return err
		}
		for _, k := range known {
			b, there := found[k.ID]
			delete(found, k.ID)
			switch {
			case p.jobs.isRunning(k.JobID) || k.State == holdfast.BackupInProgress:
				continue
			case there:
				for _, c := range k.Copies { // a place that was not in reach now
					if !b.At(c.Destination) && !whole {
						b.Copies = append(b.Copies, c)
					}
				}
				k.Backup = b
				err = tx.PutBackup(k)
			case whole && k.State == holdfast.BackupCompleted && !elsewhere(k.Backup):
				err = tx.DeleteBackup(k.ID)
			}
			if err != nil {
				return err
			}
		}
		for _, b := range found {
			if b.State == holdfast.BackupInProgress {
				continue
			}
			if err := tx.PutBackup(store.Backup{Backup: b, ProjectID: project, Environment: environmentOf(b.Branch)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// elsewhere says whether a backup has a copy in the export folder, which need not be in reach.
func elsewhere(b holdfast.Backup) bool { return b.At(exportName) }

func environmentOf(branch string) holdfast.Environment {
	switch branch {
	case holdfast.ProductionName:
		return holdfast.Production
	case holdfast.DevelopmentName:
		return holdfast.Development
	}
	return holdfast.Preview
}

// replicateBackups brings completed backups to the places that lack them: one that was out of reach, one that was added later.
func (p *Platform) replicateBackups(ctx context.Context) error {
	return p.everyProject(ctx, func(project holdfast.ProjectID) error { return p.replicateProject(ctx, project) })
}

func (p *Platform) replicateProject(ctx context.Context, project holdfast.ProjectID) error {
	var all []store.Backup
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(project); return err }); err != nil {
		return err
	}
	places, err := p.backupPlaces(ctx, project)
	if err != nil || len(places) < 2 {
		return err
	}
	var failed error
	for _, b := range all {
		for _, to := range places {
			if b.State != holdfast.BackupCompleted || b.At(to.Name) || ctx.Err() != nil {
				continue
			}
			if err := p.replicate(ctx, &b, places, to); err != nil {
				failed = errors.Join(failed, err)
			}
		}
	}
	if failed == nil {
		failed = p.exportedNow(ctx, project)
	}
	return failed
}

func (p *Platform) replicate(ctx context.Context, b *store.Backup, places []backup.Destination, to backup.Destination) error {
	i := slices.IndexFunc(places, func(d backup.Destination) bool { return b.At(d.Name) })
	if i < 0 {
		return noCopy(b.Backup)
	}
	made, err := backup.Replicate(ctx, places[i].Catalogue, b.Backup, to, nil)
	if err != nil {
		return err
	}
	b.Backup = made
	p.log.Info("a backup has a further copy", "backup", b.Name, "place", to.Name)
	return p.keepManifest(ctx, made)
}

// exportedNow writes down that the export folder has everything.
func (p *Platform) exportedNow(ctx context.Context, project holdfast.ProjectID) error {
	e, found, err := p.exportFolder(ctx, project)
	if err != nil || !found || !e.Mounted {
		return err
	}
	e.LastSync = p.now().UTC()
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		return tx.PutBackupSetting(project, store.ExportFolder, store.BackupSetting{Name: exportName, Config: string(raw)})
	})
}

// watchBackups logs the alerts of every production.
func (p *Platform) watchBackups(ctx context.Context) error {
	all, err := p.BackupStandings(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		for _, alert := range s.alerts(p.now()) {
			p.log.Warn("backups: "+alert, "branch", s.Branch)
		}
	}
	return nil
}
