package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// swap puts a restored server's data in the branch's place and keeps the old data, whose directory is returned.
func (b *branch) swap(restored *postgres.Server) string {
	b.t.Helper()
	old := b.pg.DataDir() + ".old" + filepath.Base(filepath.Dir(restored.DataDir()))
	if err := errors.Join(os.Rename(b.pg.DataDir(), old), os.Rename(restored.DataDir(), b.pg.DataDir())); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.pg.Configure(b.t.Context(), testParameters); err != nil { // the socket lies elsewhere now
		b.t.Fatal(err)
	}
	return old
}

func (b *branch) sleep() {
	b.t.Helper()
	stop(b.t, b.pg)
	b.detach()
}

func (b *branch) wake() {
	b.t.Helper()
	start(b.t, b.pg)
	b.attach()
}

// A restore in place can be undone: the old data comes back with its old timeline, and every moment of all three times can be restored.
func TestRestoreInPlaceAndItsUndoKeepEveryMoment(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.backup(true)
	b.insert() // 1
	atOne := time.Now()
	b.insert() // 2
	atTwo := time.Now()
	b.sleep()
	restored, err := restorePoint(t, b.archive, b.pg, holdfast.Point{At: atOne}, true)
	if err != nil {
		t.Fatal(err)
	}
	old := b.swap(restored)
	b.wake()
	conn := b.owner()
	pgtest.Exec(t, conn, "INSERT INTO n (id) VALUES (100)")
	_ = conn.Close(t.Context())
	atHundred := time.Now()
	b.sleep()
	// Undo.
	if err := errors.Join(os.Rename(b.pg.DataDir(), b.pg.DataDir()+".undone"), os.Rename(old, b.pg.DataDir())); err != nil {
		t.Fatal(err)
	}
	b.wake()
	b.insert() // 3, or whatever the sequence gives after a restart
	b.sleep()
	b.expect(holdfast.Point{At: atOne}, []int64{1})
	b.expect(holdfast.Point{At: atTwo}, []int64{1, 2})
	b.expect(holdfast.Point{At: atHundred}, []int64{1, 100})
	server, err := b.restore(holdfast.Point{})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); len(got) != 3 || slices.Contains(got, 100) {
		t.Errorf("after the undo there are the rows %v", got)
	}
	if b.heard(NewLineage) || b.heard(GapFound) {
		t.Errorf("alerts: %v", b.alerts)
	}
	if w, err := b.archive.Window(t.Context()); err != nil || len(w.Gaps) > 0 {
		t.Errorf("window %+v, %v", w, err)
	}
}

// Data that is not the continuation of what the archive has (a branch reset to its parent, say) writes the same segment names with other
// content. It begins a lineage of its own, and the old moments stay.
func TestReplacedDataBeginsANewLineage(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.backup(true)
	b.insert() // 1
	atOne := time.Now()
	// A copy as a clone is one: of a server that runs on.
	b.sleep()
	twin := b.pg.DataDir() + ".twin"
	if err := os.CopyFS(twin, os.DirFS(b.pg.DataDir())); err != nil {
		t.Fatal(err)
	}
	own(t, b.pg.Account(), twin)
	if err := RemoveMarker(twin); err != nil {
		t.Fatal(err)
	}
	b.wake()
	b.insert() // 2
	atTwo := time.Now()
	b.sleep()
	if err := errors.Join(os.Rename(b.pg.DataDir(), b.pg.DataDir()+".old"), os.Rename(twin, b.pg.DataDir())); err != nil {
		t.Fatal(err)
	}
	b.wake()
	conn := b.owner()
	pgtest.Exec(t, conn, "INSERT INTO n (id) VALUES (50)")
	_ = conn.Close(t.Context())
	waitFor(t, "the alert that a base backup is needed", func() bool { return b.heard(BaseNeeded) })
	between := time.Now()
	b.backup(false)
	atFifty := time.Now()
	b.expect(holdfast.Point{At: atOne}, []int64{1})
	b.expect(holdfast.Point{At: atTwo}, []int64{1, 2})
	b.expect(holdfast.Point{At: atFifty}, []int64{1, 50})
	if _, err := b.restore(holdfast.Point{At: between}); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a moment without a base backup before it: %v", err)
	}
	w, err := b.archive.Window(t.Context())
	if err != nil || len(w.Gaps) != 1 || w.Check(between) == nil || w.Check(atTwo) != nil || w.Check(atFifty) != nil {
		t.Errorf("window %+v, %v", w, err)
	}
}

func own(t *testing.T, account postgres.Account, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return errors.Join(os.Chmod(path, mode), account.Own(path))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A server whose marker survived a crash of the whole machine, but whose last WAL did not, may write other WAL in the same place.
func TestDivergedWALIsNoticedByteForByte(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.backup(true)
	b.sleep()
	twin := b.pg.DataDir() + ".twin"
	if err := os.CopyFS(twin, os.DirFS(b.pg.DataDir())); err != nil {
		t.Fatal(err)
	}
	own(t, b.pg.Account(), twin) // with the marker
	b.wake()
	b.insert() // 1
	atOne := time.Now()
	b.sleep()
	if err := errors.Join(os.Rename(b.pg.DataDir(), b.pg.DataDir()+".old"), os.Rename(twin, b.pg.DataDir())); err != nil {
		t.Fatal(err)
	}
	start(t, b.pg)
	conn := b.owner()
	for range 20 { // beyond the position at which the archive ends
		pgtest.Exec(t, conn, "INSERT INTO n (id, filler) SELECT 1000 + coalesce(max(id), 0), repeat('y', 3000) FROM n")
	}
	_ = conn.Close(t.Context())
	b.attach()
	waitFor(t, "the alert about a new lineage", func() bool { return b.heard(NewLineage) })
	waitFor(t, "the alert that a base backup is needed", func() bool { return b.heard(BaseNeeded) })
	b.expect(holdfast.Point{At: atOne}, []int64{1})
}

// While no location answers, commits go on, everything waits on this machine, and an alert is up; when one answers again the backlog drains.
func TestALocationThatIsDownCostsNothing(t *testing.T) {
	one := folder(t, "one")
	var down atomic.Bool
	flaky := Location{Name: "one", Location: &failing{Location: one.Location, put: func(string) error {
		if down.Load() {
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the network is gone"}
		}
		return nil
	}}}
	b := newBranch(t, flaky)
	b.attach()
	b.backup(true)
	down.Store(true)
	b.insert()
	conn, err := b.pg.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pgtest.Exec(t, conn, "SELECT pg_switch_wal()")
		b.insert()
	}
	_ = conn.Close(t.Context())
	cp, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Label: "in the outage"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Fast: true}); holdfast.KindOf(err) != holdfast.Unavailable {
		t.Errorf("a base backup in the outage: %v", err)
	}
	b.expect(holdfast.Point{Checkpoint: cp.ID}, upTo(4)) // from what is here
	b.sleep()
	// A restart in the outage loses nothing of the backlog.
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.config.MaxLag = time.Nanosecond
	b.open()
	waitFor(t, "the alert about the backlog", func() bool { return b.heard(UploadLags) })
	down.Store(false)
	b.archive.RetryNow()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another machine sees all of it.
	other := elsewhere(t, one)
	server, err := restorePoint(t, other, b.pg, holdfast.Point{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); !slices.Equal(got, upTo(4)) {
		t.Errorf("another machine has the rows %v", got)
	}
}

// elsewhere opens the same branch with nothing but its locations.
func elsewhere(t *testing.T, locations ...Location) *Archive {
	t.Helper()
	a, err := Open(Config{Branch: "b1", Dir: filepath.Join(t.TempDir(), "history"), Locations: locations, Log: discard, Alert: func(Alert) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// Nothing but the repository is needed to find everything and to go on from there.
func TestAnEmptyMachineRecoversFromTheRepositoryAlone(t *testing.T) {
	one := folder(t, "one")
	b := newBranch(t, one)
	b.attach()
	b.backup(true)
	b.insert()
	project := holdfast.Project{ID: "p1", Name: "shop", Major: 15, CreatedAt: now()}
	described := holdfast.Branch{ID: "b1", ProjectID: "p1", Project: "shop", Name: "production", Environment: holdfast.Production, Major: 15,
		Settings: holdfast.Settings{IdleTimeout: time.Minute, ConnectionLimit: 7, Parameters: map[string]string{"work_mem": "8MB"}}, CreatedAt: now()}
	if err := b.archive.Describe(Description{Project: project, Branch: described, Notes: map[string]string{"window": "168h"}}); err != nil {
		t.Fatal(err)
	}
	cp, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Label: "before import", Reason: holdfast.ManualCheckpoint, Code: "abc123"})
	if err != nil {
		t.Fatal(err)
	}
	b.insert()
	b.sleep()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}

	found, err := Scan(t.Context(), []Location{one})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || len(found[0].Problems) > 0 || len(found[0].Bases) != 1 || found[0].Notes["window"] != "168h" || found[0].Window.Check(cp.At) != nil {
		t.Errorf("the repository shows %+v", found)
	}
	if d := cmp.Diff(described, found[0].Branch); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]holdfast.Checkpoint{cp}, found[0].Checkpoints); d != "" {
		t.Error(d)
	}

	// The branch goes on on the empty machine, in the same lineage.
	a := elsewhere(t, one)
	server, err := restorePoint(t, a, b.pg, holdfast.Point{}, true)
	if err != nil {
		t.Fatal(err)
	}
	b.archive, b.pg = a, &pgtest.Server{Server: server}
	b.wake()
	b.insert()
	b.sleep()
	b.expect(holdfast.Point{Checkpoint: cp.ID}, upTo(1))
	server, err = b.restore(holdfast.Point{})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); len(got) != 3 {
		t.Errorf("after the recovery there are the rows %v", got)
	}
}

// A damaged or missing WAL segment is taken from another location and named; with no other, the restore fails and says which it is.
func TestDamagedWALIsServedFromAnotherLocation(t *testing.T) {
	one, two := folder(t, "one"), folder(t, "two")
	b := newBranch(t, one, two)
	b.attach()
	b.backup(true)
	b.insert()
	b.sleep()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(one.Location.(*blob.Folder).Path(), "branches/b1/wal/*/00000001/*.zst"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for name, harm := range map[string]func(string) error{"flipped": flipByte, "cut": func(p string) error { return os.Truncate(p, 100) }, "missing": os.Remove} {
		whole := map[string][]byte{}
		for _, s := range segments {
			content, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			whole[s] = content
			if err := harm(s); err != nil {
				t.Fatal(err)
			}
		}
		a := elsewhere(t, one, two)
		plan, err := a.Plan(t.Context(), holdfast.Point{})
		if err != nil {
			t.Fatal(err)
		}
		server := postgres.New(postgres.Config{Installation: b.pg.Installation(), Account: b.pg.Account(), DataDir: filepath.Join(pgtest.Dir(t), "data"), LogFile: filepath.Join(pgtest.Dir(t), "log")})
		restored, err := a.Restore(t.Context(), RestoreRequest{Plan: plan, Server: server, Parameters: testParameters})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := b.rows(server); !slices.Equal(got, upTo(1)) {
			t.Errorf("%s: there are the rows %v", name, got)
		}
		if len(restored.Damages) == 0 || restored.Damages[0].Location != "one" || !strings.Contains(restored.Damages[0].Object, "/wal/") {
			t.Errorf("%s: the damages are %v", name, restored.Damages)
		}
		alone := elsewhere(t, one)
		if _, err := restorePoint(t, alone, b.pg, holdfast.Point{}, false); err == nil {
			t.Errorf("%s: a restore from the damaged location alone went through", name)
		} else if holdfast.KindOf(err) != holdfast.Corrupt && holdfast.KindOf(err) != holdfast.NotFound && holdfast.KindOf(err) != holdfast.Precondition {
			t.Errorf("%s: %v", name, err)
		}
		for s, content := range whole {
			if err := os.WriteFile(s, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What PostgreSQL throws away before it was streamed is a gap: said so, followed by a new base backup, and no moment in it can be chosen.
func TestLostWALIsAGap(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.backup(true)
	b.insert() // 1
	b.sleep()
	start(t, b.pg)
	admin, err := b.pg.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, admin, "SELECT pg_drop_replication_slot('holdfast')")
	b.insert()
	inGap := time.Now()
	for range 3 {
		pgtest.Exec(t, admin, "SELECT pg_switch_wal()")
		b.insert()
	}
	pgtest.Exec(t, admin, "CHECKPOINT")
	pgtest.Exec(t, admin, "SELECT pg_switch_wal()")
	pgtest.Exec(t, admin, "CHECKPOINT")
	_ = admin.Close(t.Context())
	b.attach()
	waitFor(t, "the alert about the gap", func() bool { return b.heard(GapFound) })
	waitFor(t, "the alert that a base backup is needed", func() bool { return b.heard(BaseNeeded) })
	b.insert()
	b.backup(false)
	after := time.Now()
	server, err := b.restore(holdfast.Point{At: after})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); len(got) != 6 {
		t.Errorf("after the gap there are the rows %v", got)
	}
	if _, err := b.restore(holdfast.Point{At: inGap}); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a moment in the gap: %v", err)
	}
	w, err := b.archive.Window(t.Context())
	if err != nil || len(w.Gaps) != 1 || w.Check(inGap) == nil || w.Check(after) != nil {
		t.Fatalf("window %+v, %v", w, err)
	}
	b.expect(holdfast.Point{At: w.Gaps[0].From}, upTo(1))
}

func TestPruneKeepsWhatTheWindowPinsAndTheLastBaseNeed(t *testing.T) {
	one := folder(t, "one")
	b := newBranch(t, one)
	b.attach()
	early, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server})
	if err != nil {
		t.Fatal(err)
	}
	b.backup(true)
	if early, err = b.archive.CheckpointByID(t.Context(), early.ID); err != nil || !strings.Contains(early.Lost, "no base backup before") {
		t.Errorf("one that no base backup leads to is %+v, %v", early, err)
	}
	b.insert() // 1
	pinned, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Label: "kept", Pinned: true})
	if err != nil {
		t.Fatal(err)
	}
	dated := map[bool]holdfast.Checkpoint{} // by whether its time is still to come
	for later, until := range map[bool]time.Time{true: time.Now().Add(30 * 24 * time.Hour), false: time.Now()} {
		if dated[later], err = b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Reason: holdfast.DailyCheckpoint, KeptUntil: until}); err != nil {
			t.Fatal(err)
		}
	}
	b.insert() // 2
	old := time.Now()
	loose, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Label: "not kept"})
	if err != nil {
		t.Fatal(err)
	}
	b.backup(true)
	b.insert() // 3
	b.backup(false)
	window := time.Now()
	b.insert() // 4
	atFour := time.Now()
	if _, err := b.archive.Prune(t.Context(), time.Since(window)); err != nil {
		t.Fatal(err)
	}
	bases, err := b.archive.Bases(t.Context())
	if err != nil || len(bases) != 3 { // the pinned one's, and the increment with its parent
		t.Errorf("%d bases are left, %v", len(bases), err)
	}
	b.expect(holdfast.Point{Checkpoint: pinned.ID}, upTo(1))
	b.expect(holdfast.Point{Checkpoint: dated[true].ID}, upTo(1))
	if c, err := b.archive.CheckpointByID(t.Context(), dated[true].ID); err != nil || !c.KeptUntil.Equal(dated[true].KeptUntil) || c.Lost != "" {
		t.Errorf("the one that is kept for a time is %+v, %v", c, err)
	}
	if _, err := b.archive.CheckpointByID(t.Context(), dated[false].ID); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the one whose time is over: %v", err)
	}
	b.expect(holdfast.Point{At: window}, upTo(3))
	b.expect(holdfast.Point{At: atFour}, upTo(4))
	if _, err := b.restore(holdfast.Point{Checkpoint: loose.ID}); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a checkpoint from before the window: %v", err)
	}
	if err := b.archive.PinCheckpoint(t.Context(), pinned.ID, false); err != nil {
		t.Fatal(err)
	}
	if err := b.archive.DeleteCheckpoint(t.Context(), dated[true].ID); err != nil {
		t.Fatal(err)
	}
	// With a window of nothing the last base still stays.
	b.sleep()
	size := stored(t, one)
	if _, err := b.archive.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if bases, err = b.archive.Bases(t.Context()); err != nil || len(bases) != 2 || stored(t, one) >= size {
		t.Errorf("%d bases are left, %d bytes of %d, %v", len(bases), stored(t, one), size, err)
	}
	b.expect(holdfast.Point{}, upTo(4))
	if _, err := b.restore(holdfast.Point{At: old}); err == nil {
		t.Error("a moment whose base is gone was restored")
	}
	// An interrupted removal, or backup, leaves data that nobody counts on. It goes too.
	orphan := "branches/b1/data/20200101T000000000Z-00000000/pack-000001.zst"
	if _, err := one.Put(t.Context(), orphan, strings.NewReader("x"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.archive.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Stat(t.Context(), orphan); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the orphan is still there: %v", err)
	}
}

func TestWhatARestoreKeepsAndWhatItDoesNot(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	first := b.backup(true)
	conn := b.owner()
	pgtest.Exec(t, conn, "CREATE UNLOGGED TABLE u AS SELECT 1 AS x")
	pgtest.Exec(t, conn, "BEGIN; INSERT INTO n (id) VALUES (7); PREPARE TRANSACTION 'half done'")
	_ = conn.Close(t.Context())
	at := time.Now()
	second := b.backup(false) // the moment lies before its end
	plan, err := b.archive.Plan(t.Context(), holdfast.Point{At: at})
	if err != nil || plan.Base.ID != first.ID {
		t.Errorf("the moment is restored from %s, %v; the bases are %s and %s", plan.Base.ID, err, first.ID, second.ID)
	}
	server, err := b.restore(holdfast.Point{At: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored, err := server.ConnectAs(t.Context(), pgtest.Owner, pgtest.OwnerPassword, b.db.Name)
	if err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, restored, "SELECT count(*) FROM u"); n != 0 {
		t.Errorf("the unlogged table has %d rows", n)
	}
	pgtest.Exec(t, restored, "COMMIT PREPARED 'half done'")
	if n := pgtest.Value[int](t, restored, "SELECT count(*) FROM n WHERE id = 7"); n != 1 {
		t.Error("the prepared transaction was lost")
	}
	if n := pgtest.Value[int](t, restored, "SELECT count(*) FROM pg_replication_slots"); n != 0 {
		t.Errorf("%d replication slots were copied", n)
	}
	_ = restored.Close(t.Context())
	if err := server.Stop(context.Background(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	lsn, err := b.archive.Plan(t.Context(), holdfast.Point{LSN: second.StopLSN})
	if err != nil || lsn.LSN > second.StopLSN {
		t.Errorf("the position %s is planned as %+v, %v", second.StopLSN, lsn, err)
	}
	for _, p := range []holdfast.Point{{LSN: 1 << 50}, {LSN: 5}, {At: time.Now().Add(-24 * time.Hour)}, {Checkpoint: "none"}} {
		if _, err := b.archive.Plan(t.Context(), p); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("%v: %v", p, err)
		}
	}
	conn = b.owner()
	pgtest.Exec(t, conn, "ROLLBACK PREPARED 'half done'")
}
