package platform

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

// A control plane that is killed between the two renames of a restore, or right after them, leaves directories as made here by hand. The
// next one gives the branch its data back and restores again, or completes the restore.
func TestARestoreThatIsKilledWhileTheDataChangesPlacesIsCompleted(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	at := serverTime(t, p, production)
	pgtest.Exec(t, asOwner(t, p, production), `DELETE FROM sample`)
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	for i, renames := range []int{1, 2} {
		kept := newBranch{ID: holdfast.BranchID(newID("br")), Name: []string{"first", "second"}[i], Password: newPassword()}
		job := interruptedRestore(t, p, b, restoreInput{BranchID: b.ID, Point: holdfast.Point{At: at}, Kept: kept})
		if _, err := p.Sleep(t.Context(), admin, production, true); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(h.root, string(b.ID))
		if err := os.Rename(dir, filepath.Join(h.root, string(kept.ID))); err != nil {
			t.Fatal(err)
		}
		if renames == 2 {
			if err := os.Rename(filepath.Join(h.root, ".replace-"+string(b.ID)), dir); err != nil {
				t.Fatal(err)
			}
		}
		p = h.open(t)
		if _, err := p.jobs.wait(t.Context(), job); err != nil {
			t.Fatalf("after %d renames: %v", renames, err)
		}
		if n := pgtest.Value[int](t, asOwner(t, p, production), `SELECT count(*)::int FROM sample`); n != 3 {
			t.Errorf("after %d renames the branch has %d rows", renames, n)
		}
		if got := pgtest.Value[string](t, asOwner(t, p, holdfast.BranchRef{Project: "shop", Branch: kept.Name}), `SELECT current_database()`); got != "shop_"+kept.Name {
			t.Errorf("after %d renames what was there before is %s", renames, got)
		}
		if left, _ := filepath.Glob(filepath.Join(h.root, ".replace-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// interruptedRestore brings a restore as far as the swap and leaves its job as a killed control plane does.
func interruptedRestore(t *testing.T, p *Platform, b store.Branch, input restoreInput) holdfast.JobID {
	t.Helper()
	job, err := p.jobs.newJob(admin, restoreJob, b.Ref().String(), input)
	if err != nil {
		t.Fatal(err)
	}
	job.ProjectID, job.BranchID, job.State, job.Attempts = b.ProjectID, b.ID, holdfast.JobRunning, 1
	err = p.store.Update(t.Context(), func(tx *store.Tx) error {
		kept := store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: input.Kept.ID, ProjectID: b.ProjectID, Name: input.Kept.Name, Environment: holdfast.Preview, Parent: b.ID, Major: b.Major,
			Settings: b.Settings, CreatedAt: p.now(), ExpiresAt: p.now().Add(keptLife)}}
		if err := tx.InsertBranch(kept); err != nil {
			return err
		}
		return tx.InsertJob(job)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{jobs: p.jobs, input: job.Input, job: job}
	if err := p.restoreAside(t.Context(), r, b, input, nil); err != nil {
		t.Fatal(err)
	}
	return job.ID
}
