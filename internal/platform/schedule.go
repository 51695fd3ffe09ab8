package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schedule"
	"github.com/holdfast/holdfast/internal/store"
)

// ScheduleView is a schedule as its users see it.
type ScheduleView struct {
	holdfast.Schedule
	Next  time.Time // when it is due next; zero while it is paused
	JobID holdfast.JobID
}

// Schedules lists a branch's schedules by name.
func (p *Platform) Schedules(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]ScheduleView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	var all []store.Schedule
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Schedules(b.ID); return err }); err != nil {
		return nil, err
	}
	var out []ScheduleView
	for _, s := range all {
		view := ScheduleView{Schedule: s.Schedule, JobID: s.JobID}
		if rule, err := schedule.Parse(s.Rule, s.Zone); err == nil && !s.Paused {
			view.Next = rule.Next(lastDue(s.Schedule))
		}
		out = append(out, view)
	}
	return out, nil
}

// lastDue is after what time a schedule is due again.
func lastDue(s holdfast.Schedule) time.Time {
	if s.LastRun.IsZero() {
		return s.CreatedAt
	}
	return s.LastRun
}

// SetSchedule adds a schedule to a branch, or replaces the one of that name.
func (p *Platform) SetSchedule(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask holdfast.Schedule) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return err
	}
	if ask.Name == "" || len(ask.Name) > 100 {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "a schedule needs a name of at most 100 bytes"}
	}
	if err := ask.Validate(); err != nil {
		return err
	}
	if _, err := schedule.Parse(ask.Rule, ask.Zone); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Schedules(b.ID)
		if err != nil {
			return err
		}
		made := store.Schedule{Schedule: ask}
		made.ID, made.CreatedAt, made.LastRun = holdfast.ScheduleID(newID("sch")), p.now(), time.Time{}
		if i := slices.IndexFunc(all, func(s store.Schedule) bool { return s.Name == ask.Name }); i >= 0 {
			made.ID, made.JobID, made.LastRun, made.CreatedAt = all[i].ID, all[i].JobID, all[i].LastRun, all[i].CreatedAt
			if all[i].Rule != ask.Rule || all[i].Zone != ask.Zone {
				made.LastRun = p.now() // what the new rule would have missed was never missed
			}
		}
		made.ProjectID, made.BranchID = b.ProjectID, b.ID
		if err := tx.PutSchedule(made); err != nil {
			return err
		}
		return p.record(tx, who, "schedule.set", ref.String(), map[string]any{"schedule": ask.Name, "work": ask.Work, "rule": ask.Rule, "zone": ask.Zone, "paused": ask.Paused})
	})
}

// DeleteSchedule forgets a schedule. What it made stays.
func (p *Platform) DeleteSchedule(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, name string) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Schedules(b.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(s store.Schedule) bool { return s.Name == name })
		if i < 0 {
			return &holdfast.Error{Kind: holdfast.NotFound, Message: ref.String() + " has no schedule " + name, Hint: "`holdfast schedule list` shows what there is"}
		}
		if err := tx.DeleteSchedule(all[i].ID); err != nil {
			return err
		}
		return p.record(tx, who, "schedule.delete", ref.String(), map[string]any{"schedule": name})
	})
}

// defaultSchedules gives every production the schedules that it begins with, once: who deletes them has deleted them.
func (p *Platform) defaultSchedules(ctx context.Context) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.AllBranches()
		if err != nil {
			return err
		}
		for _, b := range all {
			key := "schedules/" + string(b.ID)
			if b.Environment != holdfast.Production || b.State != store.Ready || !b.DeletedAt.IsZero() {
				continue
			}
			if _, done, err := tx.Setting(key); err != nil || done {
				if err != nil {
					return err
				}
				continue
			}
			for _, s := range holdfast.DefaultSchedules() {
				s.ID, s.ProjectID, s.BranchID, s.CreatedAt = holdfast.ScheduleID(newID("sch")), b.ProjectID, b.ID, p.now()
				if err := tx.PutSchedule(store.Schedule{Schedule: s}); err != nil {
					return err
				}
			}
			if err := tx.SetSetting(key, "given"); err != nil {
				return err
			}
		}
		return nil
	})
}

// runSchedules begins what is due. Of runs that were missed one catches up; while the last run's job goes on, no other begins.
func (p *Platform) runSchedules(ctx context.Context) error {
	if err := p.defaultSchedules(ctx); err != nil {
		return err
	}
	var all []store.Schedule
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Schedules(""); return err }); err != nil {
		return err
	}
	var failed error
	for _, s := range all {
		if s.Paused || s.JobID != "" && p.unfinished(ctx, s.JobID) {
			continue
		}
		if err := p.runSchedule(ctx, s); err != nil {
			failed = errors.Join(failed, fmt.Errorf("schedule %s: %w", s.Name, err))
		}
	}
	return failed
}

func (p *Platform) runSchedule(ctx context.Context, s store.Schedule) error {
	rule, err := schedule.Parse(s.Rule, s.Zone)
	if err != nil {
		return err
	}
	due, is := rule.Due(lastDue(s.Schedule), p.now())
	if !is || p.now().Before(due.At.Add(schedule.Delay(string(s.ID), due.At, s.Jitter))) {
		return nil
	}
	b, err := p.branchOf(ctx, s.BranchID)
	if err != nil || b.State != store.Ready || !b.DeletedAt.IsZero() {
		return err
	}
	if due.Missed > 0 {
		p.log.Info("a schedule catches up", "branch", b.Ref(), "schedule", s.Name, "missed", due.Missed)
	}
	// Written first: a run that cannot even begin is not tried again every half minute.
	s.LastRun = due.At
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.PutSchedule(s) }); err != nil {
		return err
	}
	if s.JobID, err = p.beginScheduled(ctx, b, s.Schedule); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.PutSchedule(s) })
}

// beginScheduled does what a schedule says; the number is of the job that does it, where one does.
func (p *Platform) beginScheduled(ctx context.Context, b store.Branch, s holdfast.Schedule) (holdfast.JobID, error) {
	switch s.Work {
	case holdfast.BackupWork:
		_, job, err := p.startBackup(ctx, System(), b, holdfast.Backup{Options: s.Options, Reason: scheduleReason(s)})
		return job.ID, err
	case holdfast.DrillWork:
		var all []store.Backup
		if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Backups(b.ProjectID); return err }); err != nil {
			return "", err
		}
		for _, o := range all { // from new to old
			if whole := !o.Options.DataOnly && !o.Options.SchemaOnly && len(o.Options.Tables) == 0; whole && o.Branch == b.Name && o.State == holdfast.BackupCompleted {
				job, err := p.startVerify(ctx, System(), o)
				return job.ID, err
			}
		}
		p.log.Info("the drill has no backup to restore", "branch", b.Ref())
		return "", nil
	}
	return p.scheduledCheckpoint(ctx, b, s.Retention)
}
