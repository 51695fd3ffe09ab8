package platform

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// scheduleReason is what backups say that a schedule made: by it its rules find them again, also when only the manifests are left.
func scheduleReason(s holdfast.Schedule) string { return "schedule: " + s.Name }

// applyRetention lets the backups go that no rule of their schedule keeps. Backups that no schedule made stay until somebody removes them;
// of those that failed, the record goes after a while.
func (p *Platform) applyRetention(ctx context.Context) error {
	var all []store.Backup
	var schedules []store.Schedule
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if all, err = tx.Backups(""); err != nil {
			return err
		}
		schedules, err = tx.Schedules("")
		return err
	})
	if err != nil {
		return err
	}
	var failed error
	for _, s := range schedules {
		if s.Work == holdfast.BackupWork {
			failed = errors.Join(failed, p.retain(ctx, s.Schedule, all))
		}
	}
	for _, b := range all {
		if b.State == holdfast.BackupFailed && p.now().Sub(b.StartedAt) > holdfast.KeepFailed && !b.Pinned {
			failed = errors.Join(failed, p.removeBackup(ctx, b, false))
		}
	}
	return failed
}

func (p *Platform) retain(ctx context.Context, s holdfast.Schedule, all []store.Backup) error {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return err
	}
	var mine []holdfast.Backup
	rows := map[holdfast.BackupID]store.Backup{}
	for _, b := range all {
		if b.BranchID == s.BranchID && b.Reason == scheduleReason(s) && b.State != holdfast.BackupFailed {
			mine, rows[b.ID] = append(mine, b.Backup), b
		}
	}
	var failed error
	_, leave := s.Retention.Divide(p.now(), zone, mine)
	for _, b := range leave {
		if err := p.removeBackup(ctx, rows[b.ID], false); err != nil {
			locked, _ := b.LockedAt(p.now())
			if holdfast.KindOf(err) != holdfast.Unsafe && locked == "" { // the last one of the branch, whatever made it, stays
				failed = errors.Join(failed, err)
			}
			continue
		}
		if err := p.recordAlone(ctx, System(), "backup.expire", b.Project+"/"+b.Branch, map[string]any{"backup": b.Name, "schedule": s.Name}); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
