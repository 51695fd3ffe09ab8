package history

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// loseWAL lets the server throw away WAL that was never streamed. It runs afterwards.
func (b *branch) loseWAL() {
	b.t.Helper()
	start(b.t, b.pg)
	admin, err := b.pg.Connect(b.t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		b.t.Fatal(err)
	}
	defer admin.Close(b.t.Context())
	pgtest.Exec(b.t, admin, "SELECT pg_drop_replication_slot('holdfast')")
	for range 3 {
		b.insert()
		pgtest.Exec(b.t, admin, "SELECT pg_switch_wal()")
	}
	for range 2 {
		pgtest.Exec(b.t, admin, "CHECKPOINT")
		pgtest.Exec(b.t, admin, "SELECT pg_switch_wal()")
	}
}

// acknowledge tells the server, through the slot of the archive, that WAL has arrived up to lsn and no further, as a receiver does that begins
// where its archive ends.
func (b *branch) acknowledge(lsn holdfast.LSN) {
	b.t.Helper()
	ctx := b.t.Context()
	admin, err := b.pg.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		b.t.Fatal(err)
	}
	defer admin.Close(ctx)
	pgtest.Exec(b.t, admin, "SELECT pg_create_physical_replication_slot('holdfast', true)")
	conn, err := b.pg.ConnectReplication(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close(ctx)
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := pglogrepl.StartReplication(ctx, conn, slotName, system.XLogPos, pglogrepl.StartReplicationOptions{Timeline: system.Timeline, Mode: pglogrepl.PhysicalReplication}); err != nil {
		b.t.Fatal(err)
	}
	if err := pglogrepl.SendStandbyStatusUpdate(ctx, conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: pglogrepl.LSN(lsn)}); err != nil {
		b.t.Fatal(err)
	}
	waitFor(b.t, "the slot to move", func() bool {
		return pgtest.Value[string](b.t, admin, "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = 'holdfast'") == lsn.String()
	})
}

// The first answer after a connection names the place where the archive ends. When it reached the server before the server noticed that the WAL
// there is gone, it moved the slot back behind the gap; PostgreSQL called the slot reserved, every later session began at its position again
// and was ended at once, and a base backup waited for WAL without end.
func TestASlotThatWasMovedBehindAGapIsMadeAnew(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.backup(true)
	b.insert()
	b.sleep()
	end, ok := b.archive.allSpools()[0].end(1)
	if !ok {
		t.Fatal("the archive does not know where it ends")
	}
	b.loseWAL()
	b.acknowledge(end)
	b.attach()
	waitFor(t, "the alert about the gap", func() bool { return b.heard(GapFound) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := b.archive.Backup(ctx, BackupRequest{Server: b.pg.Server, Fast: true}); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	gaps := len(slices.DeleteFunc(slices.Clone(b.alerts), func(a Alert) bool { return a.Kind != GapFound }))
	b.mu.Unlock()
	if gaps != 1 {
		t.Errorf("%d gaps were reported, want 1", gaps)
	}
	b.expect(holdfast.Point{}, upTo(4))
}

// A server that runs but whose WAL does not come must hold up nobody for ever, and nobody may take that for success.
func TestWhoeverWaitsForWALThatDoesNotComeIsTold(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.archive.patience = 2 * time.Second
	b.attach()
	b.backup(true)
	// No further session: somebody else holds the archive's spools.
	b.archive.mu.Lock()
	st := b.archive.stream
	b.archive.mu.Unlock()
	admin, err := b.pg.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	locked := make(chan struct{})
	go func() { b.archive.session.Lock(); close(locked) }()
	waitFor(t, "the session to end", func() bool {
		pgtest.Exec(t, admin, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL")
		select {
		case <-locked:
			return true
		default:
			return false
		}
	})
	b.insert()
	var all sync.WaitGroup
	for name, wait := range map[string]func() error{
		"a base backup": func() error {
			_, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Fast: true})
			return err
		},
		"a plan for the present":  func() error { _, err := b.archive.Plan(t.Context(), holdfast.Point{}); return err },
		"waiting for the present": func() error { return b.archive.drain(t.Context(), st) },
	} {
		all.Go(func() {
			if err := wait(); holdfast.KindOf(err) != holdfast.Unavailable || !strings.Contains(err.Error(), "none came for") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	b.archive.session.Unlock()
	waitFor(t, "the stream to go on", func() bool { return b.archive.drain(t.Context(), st) == nil })
	b.backup(false)
	b.expect(holdfast.Point{}, upTo(1))
}

// A location that takes nothing must not let a wait for it go on for ever.
func TestSyncGivesUpWhenNothingIsStored(t *testing.T) {
	down := Location{Name: "one", Location: &failing{Location: folder(t, "one").Location, put: func(string) error {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the network is gone"}
	}}}
	b := newBranch(t, down)
	if err := b.archive.Describe(Description{Project: holdfast.Project{ID: "p1", Name: "shop"}, Branch: holdfast.Branch{ID: "b1", Name: "production"}}); err != nil {
		t.Fatal(err)
	}
	err := b.archive.outbox.wait(t.Context(), 50*time.Millisecond)
	if holdfast.KindOf(err) != holdfast.Unavailable {
		t.Errorf("waiting for a location that is down: %v", err)
	}
}
