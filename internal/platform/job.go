package platform

import (
	"context"
	"maps"
	"slices"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// Jobs lists the newest jobs that who may see, at most limit; project may be empty for those of every project.
func (p *Platform) Jobs(ctx context.Context, who holdfast.Principal, project string, limit int) ([]holdfast.Job, error) {
	of := []holdfast.ProjectID{who.ProjectID}
	if who.Members != nil && who.ProjectID == "" {
		of = slices.Collect(maps.Keys(who.Members))
	}
	if project != "" {
		found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
		if err != nil && holdfast.KindOf(err) != holdfast.Busy { // the jobs of a project in the making are of interest
			return nil, err
		}
		of = []holdfast.ProjectID{found.ID}
	}
	var out []holdfast.Job
	err := p.store.View(ctx, func(tx *store.Tx) error {
		for _, id := range of {
			if !sees(who, id) {
				continue
			}
			jobs, err := tx.Jobs(id, limit)
			if err != nil {
				return err
			}
			out = append(out, jobs...)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b holdfast.Job) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return out[:min(limit, len(out))], err
}

// Job shows one job.
func (p *Platform) Job(ctx context.Context, who holdfast.Principal, id holdfast.JobID) (holdfast.Job, error) {
	var j holdfast.Job
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { j, err = tx.Job(id); return err })
	if err == nil && !sees(who, j.ProjectID) {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: "job " + string(id) + " does not exist"}
	}
	if err != nil {
		return holdfast.Job{}, err
	}
	return j, nil
}

// maxJobLines bounds one answer of JobLog; the rest is asked for with the last line's number.
const maxJobLines = 1000

// JobLog lists the lines of a job's log after number after.
func (p *Platform) JobLog(ctx context.Context, who holdfast.Principal, id holdfast.JobID, after int64) ([]holdfast.JobLine, error) {
	if _, err := p.Job(ctx, who, id); err != nil {
		return nil, err
	}
	var out []holdfast.JobLine
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.JobLines(id, after, maxJobLines); return err })
	return out, err
}

// WatchJob returns a channel of the job's latest states, closed after the final one or when ctx ends.
func (p *Platform) WatchJob(ctx context.Context, who holdfast.Principal, id holdfast.JobID) (<-chan holdfast.Job, error) {
	if _, err := p.Job(ctx, who, id); err != nil {
		return nil, err
	}
	return p.jobs.watch(ctx, id)
}

// CancelJob asks a job to stop and to take back what it did. A job that has ended is a Conflict.
func (p *Platform) CancelJob(ctx context.Context, who holdfast.Principal, id holdfast.JobID) (holdfast.Job, error) {
	j, err := p.Job(ctx, who, id)
	if err != nil {
		return j, err
	}
	if err := checkCancel(who, j); err != nil {
		return j, err
	}
	if j.State.Final() || !p.jobs.cancelJob(id) {
		return j, &holdfast.Error{Kind: holdfast.Conflict, Message: "job " + string(id) + " has ended already"}
	}
	if err := p.recordAlone(ctx, who, "job.cancel", j.Subject, map[string]any{"job": id, "kind": j.Kind}); err != nil {
		return j, err
	}
	return p.Job(ctx, who, id)
}
