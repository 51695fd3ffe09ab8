package test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// killAt kills the server when the job is at a step, the first being 0, and starts another. A job that was faster is fine: then it is done.
func (s *server) killAt(t *testing.T, job api.Job, step int) api.Job {
	t.Helper()
	ctx, reached := context.WithCancel(t.Context())
	_, err := s.FollowJob(ctx, job.ID, func(j api.Job) {
		if j.State == "running" && j.StepIndex >= step && j.Step != "" {
			reached()
		}
	})
	reached()
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGKILL)
	s.start(t)
	last, err := s.FollowJob(t.Context(), job.ID, func(api.Job) {})
	if err != nil || last.Err() != nil {
		lines, _ := s.JobLog(t.Context(), job.ID, 0)
		t.Fatalf("after a crash at step %d: %v, %v, after %+v", step, err, last.Err(), lines)
	}
	t.Logf("%s was killed at step %d and is %s", job.Kind, step, last.State)
	return last
}

// noOrphans complains of directories and servers that belong to no branch, of replication slots too many, and of mounts.
func (s *server) noOrphans(t *testing.T, project string) {
	t.Helper()
	p, err := s.Project(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, b := range p.Branches {
		known = append(known, filepath.Join(s.data, "branches", b.ID))
	}
	left, err := filepath.Glob(filepath.Join(s.data, "branches", ".replace-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(branchesOn(t, s), left...) {
		if !slices.Contains(known, dir) {
			t.Errorf("%s belongs to no branch", dir)
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range commands {
		raw, err := os.ReadFile(path)
		if command := strings.ReplaceAll(string(raw), "\x00", " "); err == nil && strings.Contains(command, s.data+"/branches/") &&
			!slices.ContainsFunc(known, func(dir string) bool { return strings.Contains(command, dir) }) {
			t.Errorf("this process belongs to no branch: %s", command)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), s.data) {
		t.Errorf("something is mounted below the data directory, or %v", err)
	}
	production := s.connect(t, holdfast.BranchRef{Project: project, Branch: holdfast.ProductionName})
	if n := value[int](t, production, "SELECT count(*)::int FROM pg_replication_slots"); n > 1 {
		t.Errorf("production has %d replication slots", n)
	}
}

// A control plane that is killed at any step of making a branch, restoring in place or taking a base backup leaves it done or undone, and
// the next one completes it. Nothing is left over.
func TestAnOperationThatIsKilledAtAnyStepIsCompletedByTheNextControlPlane(t *testing.T) {
	t.Parallel()
	s := start(t)
	job, err := s.CreateProject(t.Context(), api.NewProject{Name: "shop", SampleRows: 5000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.FollowJob(t.Context(), job.ID, func(api.Job) {}); err != nil {
		t.Fatal(err)
	}
	production, try := holdfast.BranchRef{Project: "shop", Branch: holdfast.ProductionName}, holdfast.BranchRef{Project: "shop", Branch: "try"}
	s.must(t, "wake", production.String())
	var backup api.Job
	servetest.Until(t, "a base backup begins", func() bool {
		jobs, err := s.Jobs(t.Context(), "shop", 10)
		i := slices.IndexFunc(jobs, func(j api.Job) bool { return j.Kind == "base_backup" && j.Subject == production.String() })
		if err == nil && i >= 0 {
			backup = jobs[i]
		}
		return err == nil && i >= 0
	})
	s.killAt(t, backup, 0)
	s.withBase(t, production)
	s.noOrphans(t, "shop")

	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
	at := now(t, conn)
	execute(t, conn, "UPDATE kept SET n = 2")
	for step := range 2 {
		if job, err = s.CreateBranch(t.Context(), "shop", api.NewBranch{Name: "try", From: holdfast.ProductionName}); err != nil {
			t.Fatal(err)
		}
		s.killAt(t, job, step)
		if n := value[int](t, s.connect(t, try), "SELECT n FROM kept"); n != 2 {
			t.Errorf("the branch shows %d", n)
		}
		s.noOrphans(t, "shop")
		s.must(t, "branch", "delete", try.String(), "--now", "--confirm", try.String(), "--no-backup")
	}
	for step := range 3 {
		execute(t, s.connect(t, production), "UPDATE kept SET n = 3")
		before := s.connection(t, production)
		if job, err = s.Restore(t.Context(), production, at); err != nil {
			t.Fatal(err)
		}
		s.killAt(t, job, step)
		after := s.connection(t, production)
		if n := value[int](t, s.connect(t, production), "SELECT n FROM kept"); n != 1 || after.Password != before.Password || after.Database != before.Database {
			t.Errorf("after a crash at step %d production shows %d", step, n)
		}
		s.noOrphans(t, "shop")
	}
}
