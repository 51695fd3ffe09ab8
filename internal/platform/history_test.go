package platform

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/volume"
)

// The repository alone must say who a branch is, as it is now.
func TestEveryChangeOfABranchIsDescribedInItsRepository(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	on, window, connections := true, 14*24*time.Hour, 7
	if _, err := p.ChangeBranch(t.Context(), admin, production, BranchChange{Protected: &on}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ChangeSettings(t.Context(), admin, production, SettingsChange{Window: &window, ConnectionLimit: &connections}); err != nil {
		t.Fatal(err)
	}
	rule := holdfast.MaskRule{Schema: "public", Table: "people", Column: "email", Kind: holdfast.MaskEmail}
	if err := p.SetMaskRules(t.Context(), admin, "shop", []holdfast.MaskRule{rule}); err != nil {
		t.Fatal(err)
	}
	folder, err := blob.CreateFolder(h.repository)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the description", func() bool {
		found, err := history.Scan(t.Context(), []history.Location{{Name: "local", Location: folder}})
		if err != nil || len(found) != 2 {
			t.Fatal(found, err)
		}
		d := found[1].Description
		return d.Branch.Name == "production" && d.Branch.Protected && d.Branch.Settings.Window == window && d.Branch.Settings.ConnectionLimit == connections &&
			len(d.MaskRules) == 1 && d.MaskRules[0] == rule
	})
	short := time.Hour
	if _, err := p.ChangeSettings(t.Context(), admin, production, SettingsChange{Window: &short}); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a window of an hour: %v", err)
	}
}

// A preview that was created with a history can be restored as any other branch, and leaves nothing behind when it is deleted.
func TestAPreviewKeepsItsHistoryWhenAskedTo(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 10})
	job, err := p.CreateBranch(t.Context(), admin, NewBranch{Name: "try", From: ref(t, "shop/production"), History: true})
	if err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	try := ref(t, "shop/try")
	withBase(t, p, try)
	conn := asOwner(t, p, try)
	at := pgtest.Value[time.Time](t, conn, "SELECT clock_timestamp()")
	pgtest.Exec(t, conn, "DELETE FROM sample")
	if job, err = p.Restore(t.Context(), admin, try, holdfast.Point{At: at}); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, asOwner(t, p, try), "SELECT count(*) FROM sample"); n != 10 {
		t.Errorf("after the restore there are %d rows", n)
	}
	b, err := p.findBranch(t.Context(), admin, try, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	if job, err = p.DeleteBranch(t.Context(), admin, try, Removal{Now: true, Confirm: "shop/try", NoBackup: true}); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	purged(t, p, b.ID)
	for _, path := range []string{filepath.Join(h.repository, "branches", string(b.ID)), filepath.Join(h.spool, string(b.ID))} {
		left := 0
		_ = filepath.WalkDir(path, func(_ string, d os.DirEntry, err error) error { // what is not there has no files
			if err == nil && !d.IsDir() {
				left++
			}
			return nil
		})
		if left > 0 {
			t.Errorf("%d files are left in %s", left, path)
		}
	}
}

func TestSnapshotsAreKeptWhereTheVolumeSharesBlocks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting an XFS image needs root")
	}
	h := newHome(t)
	dir := pgtest.Dir(t)
	image := volume.Image{File: filepath.Join(dir, "image"), Folder: filepath.Join(dir, "mounted"), Size: 4 << 30}
	t.Cleanup(func() {
		if err := image.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			_ = unix.Unmount(image.Folder, unix.MNT_DETACH)
		}
	})
	if err := image.Ensure(t.Context()); err != nil {
		t.Skipf("cannot mount an XFS image here: %v", err)
	}
	h.root = filepath.Join(image.Folder, "branches")
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 1000})
	production := ref(t, "shop/production")
	asOwner(t, p, production)
	eventually(t, "a snapshot", func() bool {
		v, err := p.History(t.Context(), admin, production)
		return err == nil && v.Snapshots.Count == 1 && v.Snapshots.Logical > 1<<20
	})
	eventually(t, "the first base backup", func() bool {
		v, err := p.History(t.Context(), admin, production)
		return err == nil && len(v.Bases) == 1
	})
	plan, err := p.PlanRestore(t.Context(), admin, production, holdfast.Point{})
	if err != nil || !plan.Snapshot || plan.WAL > 256<<20 {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	// What belongs to no branch is removed at the next start.
	stray := filepath.Join(h.root, snapshotsDir, "br_gone")
	if err := os.MkdirAll(filepath.Join(stray, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	if _, err := os.Stat(stray); !os.IsNotExist(err) {
		t.Errorf("the stray snapshots are still there: %v", err)
	}
	if v, err := p.History(t.Context(), admin, production); err != nil || v.Snapshots.Count == 0 {
		t.Errorf("the branch's own snapshots are gone: %+v, %v", v.Snapshots, err)
	}
}

// A schedule can ask for a base backup in the moment in which the branch wakes. It was refused when that came before the first WAL.
func TestABaseBackupThatComesBeforeTheFirstWALWaitsForIt(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	b := branchNamed(t, p, "shop/production")
	if _, err := p.Sleep(t.Context(), admin, b.Ref(), true); err != nil {
		t.Fatal(err)
	}
	must(t, p.closeHistory(b.ID))
	if _, err := p.Wake(t.Context(), admin, b.Ref()); err != nil {
		t.Fatal(err)
	}
	must(t, p.openHistory(t.Context(), b))
	job, _, err := p.beginBase(baseBackupInput{BranchID: b.ID})
	must(t, err)
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
}
