package platform

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

// purged collects what is due and waits until nothing of the branch is left on this machine.
func purged(t *testing.T, p *Platform, id holdfast.BranchID) {
	t.Helper()
	if err := p.expireOnce(t.Context()); err != nil && holdfast.KindOf(err) != holdfast.Conflict { // the platform's own round may be doing it
		t.Fatal(err)
	}
	eventually(t, "the branch is purged", func() bool {
		b, err := p.branchOf(t.Context(), id)
		return holdfast.KindOf(err) == holdfast.NotFound || err == nil && b.State == store.Purged
	})
}

// openAt opens the installation at another time, as if days had passed.
func (h home) openAt(t *testing.T, p *Platform, shift time.Duration) *Platform {
	t.Helper()
	if p != nil {
		if err := p.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.now = func() time.Time { return time.Now().Add(shift) }
	return h.open(t)
}

const day = 24 * time.Hour

func TestARemovedProjectComesBackWholeAfterSixDaysAndIsPurgedAfterSeven(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 7})
	branch(t, p, NewBranch{Name: "try", From: ref(t, "shop/development"), Life: 2 * day})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	before, err := p.Connection(t.Context(), admin, production)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.root, string(b.ID))
	must(t, p.SetAgentSettings(t.Context(), admin, "shop", AgentSettings{ReadProduction: true}))
	job, err := p.DeleteProject(t.Context(), admin, "shop", Removal{})
	done(t, p, job, err)

	if _, err := p.Acquire(t.Context(), production); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the door of a removed branch: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the server of a removed branch runs on")
	}
	if _, err := p.Project(t.Context(), admin, "shop"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a removed project is shown: %v", err)
	}
	if _, err := p.CreateProject(t.Context(), admin, NewProject{Name: "shop"}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("the name of a removed project was given away: %v", err)
	}
	removed, err := p.Removed(t.Context(), admin)
	if err != nil || len(removed) != 1 || removed[0].Name() != "shop" || removed[0].PurgeAt.Sub(removed[0].DeletedAt) != 7*day {
		t.Errorf("got %v, %v", removed, err)
	}

	p = h.openAt(t, p, 6*day)
	if err := p.expireOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.UndeleteProject(t.Context(), admin, "shop"); err != nil {
		t.Fatal(err)
	}
	after, err := p.Connection(t.Context(), admin, production)
	if err != nil || after != before {
		t.Errorf("the way in is another one: %v", err)
	}
	if n := pgtest.Value[int](t, asOwner(t, p, production), `SELECT count(*)::int FROM sample`); n != 7 {
		t.Errorf("%d rows came back", n)
	}
	all, err := p.Checkpoints(t.Context(), admin, production)
	if err != nil || len(all) == 0 || all[0].Reason != holdfast.BeforeRemovalCheckpoint {
		t.Errorf("the history: %v, %v", all, err)
	}
	if try, err := p.Branch(t.Context(), admin, ref(t, "shop/try")); err != nil || try.ExpiresAt.Sub(p.now()) < day {
		t.Errorf("the preview's life went on while it was removed: %v", err)
	}

	job, err = p.DeleteProject(t.Context(), admin, "shop", Removal{})
	done(t, p, job, err)
	p = h.openAt(t, p, 13*day+time.Hour)
	if _, err := p.UndeleteProject(t.Context(), admin, "shop"); holdfast.KindOf(err) != holdfast.Conflict && holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("after its time: %v", err)
	}
	purged(t, p, b.ID)
	eventually(t, "the project is forgotten", func() bool {
		err := p.expireOnce(t.Context())
		if err != nil && holdfast.KindOf(err) != holdfast.Conflict {
			t.Fatal(err)
		}
		return p.store.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Project(b.ProjectID); return err }) != nil
	})
	if s, err := p.readAgentSettings(t.Context(), b.ProjectID); err != nil || s.ReadProduction {
		t.Errorf("what its agents might do is kept: %+v, %v", s, err)
	}
	for _, left := range []string{dir, filepath.Join(h.spool, string(b.ID))} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %s", left)
		}
	}
	trail, err := p.Audit(t.Context(), admin, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, e := range trail {
		said[e.Action] = true
	}
	if !said["project.create"] || !said["project.delete"] || !said["project.undelete"] || !said["project.purge"] {
		t.Errorf("the audit trail forgot something: %v", said)
	}
	create(t, p, NewProject{Name: "shop"})
}

// The keys and locations of a purged project are needed as long as it has portable backups, and no longer.
func TestAPurgedProjectStaysForItsBackupsOnly(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	b := mustFind(t, p, ref(t, "shop/production"))
	job, err := p.DeleteProject(t.Context(), admin, "shop", Removal{Now: true, Confirm: "shop"})
	done(t, p, job, err)
	state := func() string {
		if err := p.expireOnce(t.Context()); err != nil && holdfast.KindOf(err) != holdfast.Conflict {
			t.Fatal(err)
		}
		var project store.Project
		err := p.store.View(t.Context(), func(tx *store.Tx) (err error) { project, err = tx.Project(b.ProjectID); return err })
		if err != nil && holdfast.KindOf(err) != holdfast.NotFound {
			t.Fatal(err)
		}
		return project.State
	}
	eventually(t, "the project is purged", func() bool { return state() == store.Purged })
	backups, err := p.Backups(t.Context(), admin, "shop", "")
	if err != nil || len(backups) != 2 {
		t.Fatalf("the final backups: %v, %v", backups, err)
	}
	for _, made := range backups {
		if err := p.DeleteBackup(t.Context(), admin, string(made.ID), true); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the project is erased", func() bool { return state() == "" })
}

// A control plane that is killed between the decision and the stop leaves servers running and the job unfinished, as made here by hand. The
// next one completes the removal.
func TestARemovalThatIsKilledIsCompleted(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 2})
	project, branches, err := p.findProject(t.Context(), admin, "shop", holdfast.MayAdmin)
	if err != nil {
		t.Fatal(err)
	}
	input := removeInput{ProjectID: project.ID}
	for _, b := range branches {
		if err := p.pauseBase(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		input.Branches = append(input.Branches, b.ID)
	}
	job, err := p.jobs.newJob(admin, removeJob, "shop", input)
	if err != nil {
		t.Fatal(err)
	}
	job.ProjectID, job.State, job.Attempts = project.ID, holdfast.JobRunning, 1
	now := p.now()
	if err := p.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertJob(job) }); err != nil {
		t.Fatal(err)
	}
	to := func(time.Time) (time.Time, time.Time) { return now, now.Add(holdfast.RemovalGrace) }
	if err := p.setRemoved(t.Context(), input, to, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil { // the servers run on
		t.Fatal(err)
	}
	p = h.open(t)
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	for _, b := range branches {
		if _, err := os.Stat(filepath.Join(h.root, string(b.ID), "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the server of %s runs on", b.Name)
		}
	}
	if _, err := p.UndeleteProject(t.Context(), admin, "shop"); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/production")), `SELECT count(*)::int FROM sample`); n != 2 {
		t.Errorf("%d rows came back", n)
	}
}

func TestWhatMayNotBeRemovedIsRefused(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 1})
	production, try := ref(t, "shop/production"), ref(t, "shop/try")
	branch(t, p, NewBranch{Name: "try", From: ref(t, "shop/development")})
	protect := func(on bool) {
		t.Helper()
		if _, err := p.ChangeBranch(t.Context(), admin, production, BranchChange{Protected: &on}); err != nil {
			t.Fatal(err)
		}
	}
	protect(true)
	if _, err := p.DeleteProject(t.Context(), admin, "shop", Removal{}); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a project with a protected branch: %v", err)
	}
	protect(false)
	if _, err := p.DeleteProject(t.Context(), admin, "shop", Removal{Now: true, Confirm: "ship"}); holdfast.KindOf(err) != holdfast.Unsafe {
		t.Errorf("for good with the wrong name: %v", err)
	}
	agent := holdfast.Principal{Name: "assistant", Kind: holdfast.AgentToken, Right: holdfast.MayWrite}
	if _, err := p.DeleteBranch(t.Context(), agent, try, Removal{Now: true, Confirm: "shop/try"}); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("an agent for good: %v", err)
	}

	// A branch's name is free at once; then the removed one waits until the name is free again.
	job, err := p.DeleteBranch(t.Context(), agent, try, Removal{})
	done(t, p, job, err)
	branch(t, p, NewBranch{Name: "try", From: ref(t, "shop/development")})
	if _, err := p.UndeleteBranch(t.Context(), admin, try); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("two branches of one name: %v", err)
	}
	job, err = p.RenameBranch(t.Context(), admin, try, "other")
	done(t, p, job, err)
	if _, err := p.UndeleteBranch(t.Context(), admin, try); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, asOwner(t, p, try), `SELECT count(*)::int FROM sample`); n != 1 {
		t.Errorf("%d rows came back", n)
	}
	if _, err := p.UndeleteBranch(t.Context(), admin, try); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("what was not removed: %v", err)
	}
	id := mustFind(t, p, try).ID
	job, err = p.DeleteBranch(t.Context(), admin, try, Removal{Now: true, Confirm: "shop/try"})
	done(t, p, job, err)
	purged(t, p, id)
	if backups, err := p.Backups(t.Context(), admin, "shop", "try"); err != nil || len(backups) != 1 || backups[0].State != holdfast.BackupCompleted {
		t.Errorf("the final backup: %v, %v", backups, err)
	}
}

func mustFind(t *testing.T, p *Platform, r holdfast.BranchRef) store.Branch {
	t.Helper()
	b, err := p.findBranch(t.Context(), admin, r, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
