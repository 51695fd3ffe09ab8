package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// firstPurgeRetry and lastPurgeRetry bound how long a deletion that failed waits for its next attempt: twice as long after each.
const (
	firstPurgeRetry = 10 * time.Second
	lastPurgeRetry  = time.Hour
)

// purges spaces out the attempts to delete what cannot be deleted, as when a location is out of reach for days. A restart tries at once.
type purges struct {
	mu    sync.Mutex
	tried map[string]purgeAttempt // by branch or project
}

type purgeAttempt struct {
	wait time.Duration
	next time.Time
}

// begin says whether an attempt is due, and counts it.
func (p *purges) begin(id string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.tried[id]
	if now.Before(last.next) {
		return false
	}
	if p.tried == nil {
		p.tried = map[string]purgeAttempt{}
	}
	wait := min(max(firstPurgeRetry, 2*last.wait), lastPurgeRetry)
	p.tried[id] = purgeAttempt{wait, now.Add(wait)}
	return true
}

// done forgets what was deleted.
func (p *purges) done(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tried, id)
}

// expireInterval is how often the previews that have expired, and the looks that nobody uses, are collected.
const expireInterval = 5 * time.Second

// expire deletes the previews whose time has come, until ctx ends.
func (p *Platform) expire(ctx context.Context) {
	tick := time.NewTicker(expireInterval)
	defer tick.Stop()
	for {
		if err := p.expireOnce(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("collect expired previews", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Platform) expireOnce(ctx context.Context) error {
	var all []store.Branch
	busy := map[holdfast.BranchID]bool{}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if all, err = tx.AllBranches(); err != nil {
			return err
		}
		jobs, err := tx.UnfinishedJobs()
		for _, j := range jobs {
			busy[j.BranchID] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range all {
		expired := !b.ExpiresAt.IsZero() && !b.ExpiresAt.After(p.now()) && !b.Protected && b.DeletedAt.IsZero()
		// A deletion that failed, as when the disk did, is tried again until nothing is left.
		left := !b.DeletedAt.IsZero()
		if b.State != store.Ready {
			p.purges.done(string(b.ID))
			continue
		}
		if busy[b.ID] || left && b.PurgeAt.After(p.now()) {
			continue
		}
		var why string
		switch {
		case left && !b.PurgeAt.IsZero():
			why = "it was removed and not brought back"
		case left:
			why = "the last attempt failed"
		case expired:
			why = "expired"
		case b.Look && !b.Protected && p.unused(b):
			why = "nobody looks any more"
		default:
			continue
		}
		if !p.purges.begin(string(b.ID), p.now()) {
			continue
		}
		if _, err := p.deleteBranch(ctx, System(), b, why); err != nil {
			errs = append(errs, fmt.Errorf("delete %s: %w", b.Ref(), err))
		}
	}
	return errors.Join(append(errs, p.purgeProjects(ctx, all))...)
}

// purgeProjects ends removed projects whose time is over and whose branches' data is gone. The history of development and production goes
// when its window, counted from the removal, is over. A project that has portable backups stays known, with its keys, for their sake; one
// without is erased, and its keys with it.
func (p *Platform) purgeProjects(ctx context.Context, branches []store.Branch) error {
	var removed []store.Project
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { removed, err = tx.DeletedProjects(); return err }); err != nil {
		return err
	}
	var errs []error
	for _, project := range removed {
		if project.PurgeAt.After(p.now()) || !p.historyIsOver(project, branches) || project.State != store.Purged && !p.purges.begin(string(project.ID), p.now()) {
			continue
		}
		if err := p.purgeProject(ctx, project, branches); err != nil {
			errs = append(errs, fmt.Errorf("purge project %s: %w", project.Name, err))
		}
	}
	return errors.Join(errs...)
}

// purgeProject can be repeated: what is erased is not erased again.
func (p *Platform) purgeProject(ctx context.Context, project store.Project, branches []store.Branch) error {
	for _, b := range branches {
		if b.ProjectID == project.ID && b.Environment != holdfast.Preview && project.State != store.Purged {
			if err := p.eraseHistory(ctx, project.ID, b.ID); err != nil {
				return err
			}
		}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		backups, err := tx.Backups(project.ID)
		switch {
		case err != nil || len(backups) > 0 && project.State == store.Purged:
			return err
		case len(backups) > 0:
			err = tx.SetProjectState(project.ID, store.Purged)
		default:
			err = tx.EraseProject(project.ID)
		}
		if err == nil {
			err = forgetAgentReading(tx, project.ID, branches)
		}
		if err != nil {
			return err
		}
		return p.record(tx, System(), "project.purge", project.Name, map[string]any{"id": project.ID, "backups": len(backups)})
	})
	if err == nil {
		p.purges.done(string(project.ID))
	}
	return err
}

// historyIsOver says whether nothing of a removed project's branches is left but a history that nobody can ask for any more. One that was
// removed for good at once has no window.
func (p *Platform) historyIsOver(project store.Project, branches []store.Branch) bool {
	forGood := project.PurgeAt.Before(project.DeletedAt.Add(holdfast.RemovalGrace))
	for _, b := range branches {
		if b.ProjectID != project.ID {
			continue
		}
		if b.State != store.Purged || !forGood && b.Environment != holdfast.Preview && b.DeletedAt.Add(b.Settings.HistoryWindow()).After(p.now()) {
			return false
		}
	}
	return true
}
