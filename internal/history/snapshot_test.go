package history

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// sharingVolume is a volume on an XFS image.
func sharingVolume(t *testing.T) *volume.Volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting an XFS image needs root")
	}
	dir := pgtest.Dir(t)
	image := volume.Image{File: filepath.Join(dir, "image"), Folder: filepath.Join(dir, "mounted"), Size: 2 << 30}
	t.Cleanup(func() {
		if err := image.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			_ = unix.Unmount(image.Folder, unix.MNT_DETACH)
		}
	})
	if err := image.Ensure(t.Context()); err != nil {
		if holdfast.KindOf(err) == holdfast.Precondition || holdfast.KindOf(err) == holdfast.NotAllowed {
			t.Skipf("cannot mount an XFS image here: %v", err)
		}
		t.Fatal(err)
	}
	v, err := volume.Open(t.Context(), filepath.Join(image.Folder, "volume"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newBranchOn is newBranch with the data directory on a volume, and snapshots.
func newBranchOn(t *testing.T, v *volume.Volume, locations ...Location) *branch {
	t.Helper()
	b := newBranch(t, locations...)
	stop(t, b.pg)
	data := filepath.Join(v.Root(), "branches", "b1")
	if _, err := v.Clone(t.Context(), b.pg.DataDir(), data, volume.CloneOptions{}); err != nil {
		t.Fatal(err)
	}
	moved := postgres.New(postgres.Config{Installation: b.pg.Installation(), Account: b.pg.Account(), DataDir: data, LogFile: filepath.Join(pgtest.Dir(t), "log")})
	b.pg = &pgtest.Server{Server: moved}
	if _, err := moved.Configure(t.Context(), testParameters); err != nil {
		t.Fatal(err)
	}
	start(t, b.pg)
	t.Cleanup(func() {
		if err := moved.Stop(context.Background(), postgres.Immediate); err != nil {
			t.Error(err)
		}
	})
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.config.Snapshots = &Snapshots{Volume: v, Dir: filepath.Join(v.Root(), "snapshots", "b1"), EveryWAL: 1 << 40, Keep: 3}
	b.open()
	return b
}

func (b *branch) restoreOn(v *volume.Volume, name string, p holdfast.Point) (*Plan, []int64) {
	b.t.Helper()
	plan, err := b.archive.Plan(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pg.Account().MkdirAll(filepath.Join(v.Root(), "branches")); err != nil {
		b.t.Fatal(err)
	}
	server := postgres.New(postgres.Config{Installation: b.pg.Installation(), Account: b.pg.Account(), DataDir: filepath.Join(v.Root(), "branches", name), LogFile: filepath.Join(pgtest.Dir(b.t), "log")})
	began := time.Now()
	if _, err := b.archive.Restore(b.t.Context(), RestoreRequest{Plan: plan, Server: server, Parameters: testParameters}); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("restored from %s (snapshot %v) in %v", plan.Base.ID, plan.Snapshot, time.Since(began))
	return plan, b.rows(server)
}

func TestASnapshotMakesRestoresShortAndBackupsQuiet(t *testing.T) {
	v := sharingVolume(t)
	b := newBranchOn(t, v, folder(t, "one"))
	b.attach()
	base := b.backup(true) // read from a snapshot
	if got := b.archive.Snapshots(); len(got) == 0 || got[len(got)-1].StopLSN > base.StopLSN {
		t.Errorf("the base backup was not read from a snapshot: %+v", got)
	}
	b.insert() // 1
	atOne := time.Now()
	snap, err := b.archive.Snapshot(t.Context(), b.pg.Server)
	if err != nil {
		t.Fatal(err)
	}
	b.insert() // 2
	atTwo := time.Now()
	if plan, rows := b.restoreOn(v, "r1", holdfast.Point{At: atOne}); plan.Base.ID == snap.ID || !plan.Snapshot || !slices.Equal(rows, upTo(1)) {
		t.Errorf("before the snapshot, from the one the base was read from: %s, %v, %v", plan.Base.ID, plan.Snapshot, rows)
	}
	if plan, rows := b.restoreOn(v, "r2", holdfast.Point{At: atTwo}); plan.Base.ID != snap.ID || !slices.Equal(rows, upTo(2)) {
		t.Errorf("after the snapshot: %s, %v", plan.Base.ID, rows)
	}
	// Outside the volume, or when the snapshot is gone, the base backup serves.
	b.expect(holdfast.Point{At: atTwo}, upTo(2))
	// The base that was read from a frozen copy is whole by itself.
	server, err := restorePoint(t, elsewhereWhenSynced(t, b), b.pg, holdfast.Point{At: atTwo}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); !slices.Equal(got, upTo(2)) {
		t.Errorf("from the repository alone: %v", got)
	}
	// Asleep, too.
	b.sleep()
	cold, err := b.archive.Snapshot(t.Context(), b.pg.Server)
	if err != nil {
		t.Fatal(err)
	}
	if plan, rows := b.restoreOn(v, "r3", holdfast.Point{}); plan.Base.ID != cold.ID || !slices.Equal(rows, upTo(2)) {
		t.Errorf("from a snapshot of a sleeping branch: %s, %v", plan.Base.ID, rows)
	}
	for range 3 {
		if _, err := b.archive.Snapshot(t.Context(), b.pg.Server); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.archive.Snapshots()); n != 3 {
		t.Errorf("%d snapshots are kept, want 3", n)
	}
	// A crash leaves a clone without description, or half a removal; both are cleared, and the whole ones are found again.
	kept := b.archive.Snapshots()
	if err := os.Remove(b.config.Snapshots.describedBy(kept[2].ID)); err != nil {
		t.Fatal(err)
	}
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.open()
	if n := len(b.archive.Snapshots()); n != 2 {
		t.Errorf("%d snapshots are found again, want 2", n)
	}
	if _, err := os.Stat(b.config.Snapshots.path(kept[2].ID)); !os.IsNotExist(err) {
		t.Errorf("the snapshot without description is still there: %v", err)
	}
	if err := b.archive.EvictSnapshots(t.Context(), 0); err != nil || len(b.archive.Snapshots()) != 0 {
		t.Errorf("%d snapshots after all were evicted, %v", len(b.archive.Snapshots()), err)
	}
	if plan, rows := b.restoreOn(v, "r4", holdfast.Point{}); plan.Snapshot || !slices.Equal(rows, upTo(2)) {
		t.Errorf("without snapshots: %v, %v", plan.Snapshot, rows)
	}
}

func elsewhereWhenSynced(t *testing.T, b *branch) *Archive {
	t.Helper()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return elsewhere(t, b.config.Locations...)
}

func TestSnapshotsComeByThemselvesAsWALGrows(t *testing.T) {
	v := sharingVolume(t)
	b := newBranchOn(t, v, folder(t, "one"))
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.config.Snapshots.EveryWAL = 20 << 20
	b.open()
	b.attach()
	waitFor(t, "the first snapshot", func() bool { return len(b.archive.Snapshots()) == 1 })
	conn := b.owner()
	pgtest.Exec(t, conn, "INSERT INTO n (filler) SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
	waitFor(t, "the second snapshot", func() bool { return len(b.archive.Snapshots()) == 2 })
}
