package history

import (
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// No location answers for so long that this machine may keep no more history and the server no more WAL: commits go on, both are bounded,
// each is said, and what was lost is a gap with a new base backup after it.
func TestAFullSpoolStopsNobodyAndIsBounded(t *testing.T) {
	t.Parallel()
	one := folder(t, "one")
	var down atomic.Bool
	flaky := Location{Name: "one", Location: &failing{Location: one.Location, put: func(string) error {
		if down.Load() {
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the network is gone"}
		}
		return nil
	}}}
	b := newBranch(t, flaky)
	admin, err := b.pg.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	pgtest.Exec(t, admin, "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'")
	pgtest.Exec(t, admin, "SELECT pg_reload_conf()")
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.config.MaxSpool = 48 << 20
	b.open()
	b.attach()
	b.backup(true)
	before := b.insert() // 1
	atOne := time.Now()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}

	down.Store(true)
	conn := b.owner()
	// Nothing that can be compressed, so that the spool fills as fast as the WAL grows.
	fill := func() {
		pgtest.Exec(t, conn, "INSERT INTO n (filler) SELECT string_agg(sha256(random()::text::bytea)::text, '') FROM generate_series(1, 120000) i GROUP BY i % 1000")
		pgtest.Exec(t, admin, "SELECT pg_switch_wal()")
	}
	waitFor(t, "the alert that the spool is full", func() bool { fill(); return b.heard(SpoolFull) })
	if size := dirSize(t, b.config.Dir); size > b.config.MaxSpool+64<<20 {
		t.Errorf("%d MB wait on this machine, though only %d MB may", size>>20, b.config.MaxSpool>>20)
	}
	waitFor(t, "the alert that the server gives up WAL", func() bool { fill(); return b.heard(SlotAtRisk) })
	for range 6 { // beyond what the server may keep
		fill()
	}
	pgtest.Exec(t, admin, "CHECKPOINT")
	if size := dirSize(t, b.config.Dir); size > b.config.MaxSpool+64<<20 {
		t.Errorf("later %d MB wait on this machine", size>>20)
	}

	down.Store(false)
	b.archive.RetryNow()
	waitFor(t, "the backlog to drain and the stream to go on", func() bool {
		n, _, _ := b.archive.outbox.backlog()
		return n == 0 && b.heard(GapFound)
	})
	waitFor(t, "a base backup after the gap", func() bool {
		_, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Fast: true})
		return err == nil
	})
	total := pgtest.Value[int64](t, conn, "SELECT count(*) FROM n")
	server, err := b.restore(holdfast.Point{})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); int64(len(got)) != total {
		t.Errorf("there are %d rows, want %d", len(got), total)
	}
	b.expect(holdfast.Point{At: atOne}, upTo(before))
	if w, err := b.archive.Window(t.Context()); err != nil || len(w.Gaps) != 1 {
		t.Errorf("the window is %+v, %v", w, err)
	}
}

func dirSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return gone(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return gone(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
