package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	maxAttempts      = 3               // how often a job is started when the control plane keeps dying under it
	undoTimeout      = 5 * time.Minute // for taking back what a job did
	progressInterval = 500 * time.Millisecond
)

// errClosing is the cause of a job's end when the control plane stops: the job goes on at the next start.
var errClosing = errors.New("the control plane is stopping")

// jobKind is how one sort of job is done and taken back. run must be repeatable after undo; undo must be harmless whatever run
// had reached, and twice.
type jobKind struct {
	run  func(ctx context.Context, r *run) (result any, err error)
	undo func(ctx context.Context, r *run) error
}

// jobs runs the operations that take time. Every job is in the store before it starts. After a crash an unfinished job is undone
// and run again; a job that fails or is canceled is undone. So it is done or not done, never half.
type jobs struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time
	kinds map[string]jobKind
	// explain finds the reason behind what a job failed with, while what it did still lies there. Nil: it stays as it is.
	explain func(error) error

	mu      sync.Mutex
	running map[holdfast.JobID]*run // Invariant: holds exactly the jobs of which this process runs a goroutine
	closing bool
	wg      sync.WaitGroup
}

// run is one job under way.
type run struct {
	jobs   *jobs
	input  []byte
	cancel context.CancelCauseFunc

	again bool // undo is followed by another run

	mu       sync.Mutex
	job      store.Job
	saved    time.Time
	watchers map[chan holdfast.Job]struct{}
}

func newJobs(s *store.Store, log *slog.Logger, now func() time.Time) *jobs {
	return &jobs{store: s, log: log, now: now, kinds: map[string]jobKind{}, running: map[holdfast.JobID]*run{}}
}

// newJob fills in what every new job has. The caller inserts it in the transaction that claims what the job works on.
func (js *jobs) newJob(who holdfast.Principal, kind, subject string, input any) (store.Job, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return store.Job{}, err
	}
	return store.Job{Input: raw, Job: holdfast.Job{ID: holdfast.JobID(newID("job")), Kind: kind, Subject: subject,
		State: holdfast.JobQueued, Actor: who.Name, CreatedAt: js.now()}}, nil
}

// start begins a job that is in the store.
func (js *jobs) start(j store.Job) (holdfast.Job, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &run{jobs: js, input: j.Input, cancel: cancel, job: j, watchers: map[chan holdfast.Job]struct{}{}}
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.closing {
		cancel(nil)
		return j.Job, nil // it is in the store and begins at the next start
	}
	js.running[j.ID] = r
	js.wg.Go(func() {
		defer cancel(nil)
		r.execute(ctx)
		js.mu.Lock()
		delete(js.running, j.ID)
		js.mu.Unlock()
	})
	return j.Job, nil
}

// resume takes up the jobs that the last control plane left unfinished.
func (js *jobs) resume(ctx context.Context) error {
	var left []store.Job
	err := js.store.View(ctx, func(tx *store.Tx) (err error) {
		left, err = tx.UnfinishedJobs()
		return err
	})
	if err != nil {
		return err
	}
	for _, j := range left {
		if _, err := js.start(j); err != nil {
			return err
		}
	}
	return nil
}

// close stops every job and waits for their goroutines. Unfinished jobs go on at the next start.
func (js *jobs) close() {
	js.mu.Lock()
	js.closing = true
	for _, r := range js.running {
		r.cancel(errClosing)
	}
	js.mu.Unlock()
	js.wg.Wait()
}

func (r *run) execute(ctx context.Context) {
	kind, known := r.jobs.kinds[r.job.Kind]
	if !known {
		r.finish(nil, &holdfast.Error{Kind: holdfast.Internal, Message: "this version does not know jobs of kind " + r.job.Kind})
		return
	}
	if r.job.Attempts > 0 { // the last control plane died under it, or stopped
		r.Log("interrupted; taking back what was done so far")
		if err := r.undo(kind, r.job.State != holdfast.JobCanceling && r.job.Attempts < maxAttempts); err != nil {
			return
		}
		switch {
		case r.job.State == holdfast.JobCanceling:
			r.finish(nil, &holdfast.Error{Kind: holdfast.Canceled, Message: "canceled"})
			return
		case r.job.Attempts >= maxAttempts:
			r.finish(nil, &holdfast.Error{Kind: holdfast.Internal, Message: fmt.Sprintf("given up after %d interrupted attempts", r.job.Attempts)})
			return
		}
	}
	r.change(func(j *store.Job) {
		j.State, j.Attempts, j.StepIndex, j.Done, j.Total = holdfast.JobRunning, j.Attempts+1, 0, 0, 0
		if j.StartedAt.IsZero() {
			j.StartedAt = r.jobs.now()
		}
	})
	result, err := kind.run(ctx, r)
	if err != nil && errors.Is(context.Cause(ctx), errClosing) {
		return // stays unfinished in the store
	}
	if err != nil {
		if context.Cause(ctx) == errCanceled {
			err = &holdfast.Error{Kind: holdfast.Canceled, Message: "canceled"}
		} else if r.jobs.explain != nil {
			err = r.jobs.explain(err)
		}
		r.Log("taking back what was done: " + err.Error())
		if r.undo(kind, false) != nil {
			return
		}
	}
	r.finish(result, err)
}

var errCanceled = errors.New("canceled by a user")

// undo takes back what the job did. When that fails the job stays unfinished and is tried again at the next start: to call it
// failed would be to forget what it left behind.
func (r *run) undo(kind jobKind, again bool) error {
	r.again = again
	if kind.undo == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	if err := kind.undo(ctx, r); err != nil {
		r.Log("taking it back did not work, it will be tried again at the next start: " + err.Error())
		r.jobs.log.Error("undo job", "job", r.job.ID, "err", err)
		return err
	}
	return nil
}

func (r *run) finish(result any, err error) {
	raw := []byte{}
	if err == nil && result != nil {
		raw, err = json.Marshal(result)
	}
	if err != nil {
		r.Log(err.Error())
	}
	r.change(func(j *store.Job) {
		j.EndedAt, j.Result = r.jobs.now(), string(raw)
		switch {
		case err == nil:
			j.State, j.StepIndex = holdfast.JobSucceeded, j.StepCount
		case holdfast.KindOf(err) == holdfast.Canceled:
			j.State, j.Error, j.ErrorKind = holdfast.JobCanceled, err.Error(), holdfast.Canceled
		default:
			j.State, j.Error, j.ErrorKind = holdfast.JobFailed, describe(err), holdfast.KindOf(err)
			r.jobs.log.Warn("job failed", "job", j.ID, "kind", j.Kind, "subject", j.Subject, "err", err)
		}
	})
}

// describe is an error's text with its hint, for a person who sees the job later.
func describe(err error) string {
	if hint := holdfast.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

// Input reads what the job was given.
func (r *run) Input(into any) error { return json.Unmarshal(r.input, into) }

// willRunAgain says, in undo, whether the job is run again after it: then what it claimed stays claimed.
func (r *run) willRunAgain() bool { return r.again }

// Steps says how many steps there will be.
func (r *run) Steps(n int) { r.change(func(j *store.Job) { j.StepCount = n }) }

// Step begins a step, described for a person.
func (r *run) Step(text string) {
	r.change(func(j *store.Job) {
		if j.Step != "" && j.StepIndex < j.StepCount {
			j.StepIndex++
		}
		j.Step, j.Done, j.Total, j.Unit = text, 0, 0, ""
	})
	r.Log(text)
}

// Progress says how far the step is. It may be called as often as one likes.
func (r *run) Progress(done, total int64, unit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.job.Done, r.job.Total, r.job.Unit = done, total, unit
	r.broadcast()
	if now := r.jobs.now(); now.Sub(r.saved) >= progressInterval {
		r.saved = now
		r.save()
	}
}

// Log adds a line to the job's log.
func (r *run) Log(text string) {
	err := r.jobs.store.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.AddJobLine(r.job.ID, r.jobs.now(), text)
		return err
	})
	if err != nil {
		r.jobs.log.Error("write job log", "job", r.job.ID, "err", err)
	}
}

func (r *run) change(fn func(*store.Job)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.job)
	r.save()
	r.broadcast()
}

// save writes the state to the store. A store that cannot be written does not stop a job: what it did is found out at the next
// start, where it is undone and run again.
func (r *run) save() {
	if err := r.jobs.store.Update(context.Background(), func(tx *store.Tx) error { return tx.UpdateJob(r.job) }); err != nil {
		r.jobs.log.Error("write job state", "job", r.job.ID, "err", err)
	}
}

// broadcast gives every watcher the latest state; one who is slow misses states in between, never the last.
func (r *run) broadcast() {
	for w := range r.watchers {
		select {
		case <-w:
		default:
		}
		w <- r.job.Job
		if r.job.State.Final() {
			close(w)
			delete(r.watchers, w)
		}
	}
}

// watch returns a channel of the job's latest states. It is closed after the final one, or when ctx ends.
func (js *jobs) watch(ctx context.Context, id holdfast.JobID) (<-chan holdfast.Job, error) {
	w := make(chan holdfast.Job, 1)
	js.mu.Lock()
	r := js.running[id]
	js.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.job.State.Final() {
			w <- r.job.Job
			r.watchers[w] = struct{}{}
			context.AfterFunc(ctx, func() { r.unwatch(w) })
			return w, nil
		}
	}
	var j holdfast.Job
	err := js.store.View(ctx, func(tx *store.Tx) (err error) { j, err = tx.Job(id); return err })
	if err != nil {
		return nil, err
	}
	w <- j
	close(w)
	return w, nil
}

func (r *run) unwatch(w chan holdfast.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.watchers[w]; ok {
		delete(r.watchers, w)
		close(w)
	}
}

// wait returns when the job has ended, with the job's error when it did not succeed.
func (js *jobs) wait(ctx context.Context, id holdfast.JobID) (holdfast.Job, error) {
	states, err := js.watch(ctx, id)
	if err != nil {
		return holdfast.Job{}, err
	}
	var last holdfast.Job
	for last = range states {
	}
	switch {
	case last.State == holdfast.JobSucceeded:
		return last, nil
	case last.State.Final():
		return last, &holdfast.Error{Kind: last.ErrorKind, Message: last.Error}
	case ctx.Err() != nil:
		return last, ctx.Err()
	}
	return last, errClosing
}

// cancelJob asks a job to stop. It then undoes what it did.
func (js *jobs) cancelJob(id holdfast.JobID) bool {
	js.mu.Lock()
	r := js.running[id]
	js.mu.Unlock()
	if r == nil {
		return false
	}
	r.change(func(j *store.Job) {
		if !j.State.Final() {
			j.State = holdfast.JobCanceling
		}
	})
	r.cancel(errCanceled)
	return true
}

// isRunning says whether this process runs the job.
func (js *jobs) isRunning(id holdfast.JobID) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.running[id] != nil
}
