package platform

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// diary notes what a job did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, " ")
}

func testStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), bytes.Repeat([]byte{1}, store.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func testJobs(t *testing.T, s *store.Store, kind jobKind) *jobs {
	t.Helper()
	js := newJobs(s, slog.New(slog.DiscardHandler), time.Now)
	js.kinds["test"] = kind
	t.Cleanup(js.close)
	return js
}

func startJob(t *testing.T, js *jobs) holdfast.JobID {
	t.Helper()
	j, err := js.newJob(holdfast.Principal{Name: "ann"}, "test", "subject", map[string]string{"secret": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := js.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertJob(j) }); err != nil {
		t.Fatal(err)
	}
	if _, err := js.start(j); err != nil {
		t.Fatal(err)
	}
	return j.ID
}

func TestAJobThatSucceedsIsNotUndone(t *testing.T) {
	var d diary
	js := testJobs(t, testStore(t), jobKind{
		run: func(ctx context.Context, r *run) (any, error) {
			r.Steps(2)
			r.Step("one")
			r.Progress(1, 10, "bytes")
			r.Step("two")
			d.note("run")
			return map[string]int{"n": 7}, nil
		},
		undo: func(context.Context, *run) error { d.note("undo"); return nil },
	})
	j, err := js.wait(t.Context(), startJob(t, js))
	if err != nil || j.State != holdfast.JobSucceeded || j.Result != `{"n":7}` || j.StepIndex != 2 || d.String() != "run" {
		t.Errorf("got %+v, %v; %s", j, err, &d)
	}
}

func TestAJobThatFailsIsUndoneAndSaysWhy(t *testing.T) {
	var d diary
	js := testJobs(t, testStore(t), jobKind{
		run: func(context.Context, *run) (any, error) {
			return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the disk is full", Hint: "free some"}
		},
		undo: func(context.Context, *run) error { d.note("undo"); return nil },
	})
	j, err := js.wait(t.Context(), startJob(t, js))
	if j.State != holdfast.JobFailed || holdfast.KindOf(err) != holdfast.Precondition || j.Error != "the disk is full (free some)" || d.String() != "undo" {
		t.Errorf("got %+v, %v; %s", j, err, &d)
	}
}

func TestACanceledJobIsUndone(t *testing.T) {
	var d diary
	begun := make(chan struct{})
	js := testJobs(t, testStore(t), jobKind{
		run: func(ctx context.Context, r *run) (any, error) {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		},
		undo: func(context.Context, *run) error { d.note("undo"); return nil },
	})
	id := startJob(t, js)
	<-begun
	if !js.cancelJob(id) {
		t.Fatal("a running job was not canceled")
	}
	if j, err := js.wait(t.Context(), id); j.State != holdfast.JobCanceled || holdfast.KindOf(err) != holdfast.Canceled || d.String() != "undo" {
		t.Errorf("got %+v, %v; %s", j, err, &d)
	}
}

func TestAnInterruptedJobIsUndoneAndRunAgain(t *testing.T) {
	s := testStore(t)
	var d diary
	begun := make(chan struct{})
	first := testJobs(t, s, jobKind{run: func(ctx context.Context, r *run) (any, error) {
		d.note("begun")
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}, undo: func(context.Context, *run) error { d.note("wrong undo"); return nil }})
	id := startJob(t, first)
	<-begun
	first.close()

	second := testJobs(t, s, jobKind{run: func(ctx context.Context, r *run) (any, error) {
		var in map[string]string
		if err := r.Input(&in); err != nil || in["secret"] != "x" {
			t.Errorf("input %v, %v", in, err)
		}
		d.note("run")
		return nil, nil
	}, undo: func(_ context.Context, r *run) error {
		if !r.willRunAgain() {
			t.Error("undo was not told that the job runs again")
		}
		d.note("undo")
		return nil
	}})
	if err := second.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.wait(t.Context(), id); err != nil || d.String() != "begun undo run" {
		t.Errorf("got %v; %s", err, &d)
	}
}

func TestAJobUnderWhichTheControlPlaneKeepsDyingIsGivenUp(t *testing.T) {
	s := testStore(t)
	var d diary
	js := testJobs(t, s, jobKind{run: func(context.Context, *run) (any, error) { d.note("run"); return nil, nil },
		undo: func(context.Context, *run) error { d.note("undo"); return nil }})
	j, _ := js.newJob(holdfast.Principal{}, "test", "subject", nil)
	j.State, j.Attempts = holdfast.JobRunning, maxAttempts
	if err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertJob(j) }); err != nil {
		t.Fatal(err)
	}
	if err := js.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := js.wait(t.Context(), j.ID); got.State != holdfast.JobFailed || err == nil || d.String() != "undo" {
		t.Errorf("got %+v, %v; %s", got, err, &d)
	}
}

func TestAJobThatCannotBeUndoneStaysUnfinished(t *testing.T) {
	s := testStore(t)
	undone := make(chan struct{})
	js := testJobs(t, s, jobKind{run: func(context.Context, *run) (any, error) { return nil, errors.New("boom") },
		undo: func(context.Context, *run) error { close(undone); return errors.New("disk gone") }})
	id := startJob(t, js)
	<-undone
	js.close()
	_ = s.View(t.Context(), func(tx *store.Tx) error {
		left, err := tx.UnfinishedJobs()
		if err != nil || !slices.ContainsFunc(left, func(j store.Job) bool { return j.ID == id }) {
			t.Errorf("the job is not left for the next start: %v, %v", left, err)
		}
		return nil
	})
}
