package fleet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

func cloning(t *testing.T) func(*fleet.Config) {
	return func(c *fleet.Config) {
		v, err := volume.Open(t.Context(), c.Root)
		if err != nil {
			t.Fatal(err)
		}
		c.Volume = v
	}
}

func copySpec(s *fleet.Spec) { s.ID = "copy" }

// adminOf opens a session of the administrator on any branch.
func (y *yard) adminOf(t *testing.T, id holdfast.BranchID) *pgx.Conn {
	t.Helper()
	conn, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn.Conn
}

// A writer commits numbered rows while the branch is cloned. The clone has every row that was acknowledged before, whole
// transactions only, and lives apart from its origin.
func TestACloneOfARunningBranchIsConsistent(t *testing.T) {
	y := newYard(t, cloning(t))
	y.create(t, spec())
	conn := y.adminOf(t, id)
	pgtest.Exec(t, conn, `CREATE TABLE public.pairs (n int PRIMARY KEY, twin int); CREATE UNLOGGED TABLE public.unlogged AS SELECT 1 AS n;
		SELECT pg_create_physical_replication_slot('kept_by_origin')`)
	var acknowledged atomic.Int64
	stop, stopped := make(chan struct{}), make(chan error, 1)
	writer := y.adminOf(t, id)
	go func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			// Both rows or none: a torn transaction would show.
			if _, err := writer.Exec(context.Background(), `INSERT INTO public.pairs VALUES ($1, NULL), (-$1, $1)`, n); err != nil {
				stopped <- err
				return
			}
			acknowledged.Store(n)
		}
	}()
	waitUntil(t, func() bool { return acknowledged.Load() > 100 })
	before := acknowledged.Load()
	err := y.Clone(t.Context(), id, spec(copySpec), fleet.CloneOptions{Prepare: func(ctx context.Context, server *postgres.Server) error {
		c, err := server.Connect(ctx, postgres.MaintenanceDatabase)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		_, err = c.Exec(ctx, `CREATE TABLE public.prepared ()`)
		return err
	}})
	close(stop)
	if err := errors.Join(err, <-stopped); err != nil {
		t.Fatal(err)
	}
	clone := y.adminOf(t, "copy")
	rows := pgtest.Value[int64](t, clone, `SELECT count(*) FROM public.pairs WHERE n > 0`)
	if rows < before || rows > acknowledged.Load() {
		t.Errorf("the clone has %d transactions; %d were acknowledged before it and %d in the end", rows, before, acknowledged.Load())
	}
	if n := pgtest.Value[int64](t, clone, `SELECT max(n) FROM public.pairs`); n != rows {
		t.Errorf("the clone has gaps: %d rows up to %d", rows, n)
	}
	if n := pgtest.Value[int64](t, clone, `SELECT count(*) FROM public.pairs WHERE n < 0`); n != rows {
		t.Errorf("the clone has %d rows and %d twins", rows, n)
	}
	if n := pgtest.Value[int](t, clone, `SELECT (count(*) + (SELECT count(*) FROM public.unlogged) + (SELECT count(*) FROM public.prepared))::int FROM pg_replication_slots`); n != 0 {
		t.Error("slots or unlogged rows were copied, or prepare did nothing")
	}
	pgtest.Exec(t, clone, `DROP TABLE public.pairs`)
	if n := pgtest.Value[int64](t, conn, `SELECT count(*) FROM public.pairs`); n != 2*acknowledged.Load() {
		t.Errorf("the origin has %d rows", n)
	}
	if n := pgtest.Value[int](t, conn, `SELECT count(*)::int FROM pg_replication_slots`); n != 1 {
		t.Errorf("the origin has %d slots, want its own one", n)
	}
}

func TestACloneThatFailsLeavesNothing(t *testing.T) {
	y := newYard(t, cloning(t))
	y.create(t, spec())
	boom := errors.New("boom")
	err := y.Clone(t.Context(), id, spec(copySpec), fleet.CloneOptions{Prepare: func(context.Context, *postgres.Server) error { return boom }})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(y.config.Root, "*copy*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, err := os.ReadDir(filepath.Join(y.config.Root, ".partial")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := y.Clone(t.Context(), id, spec(copySpec), fleet.CloneOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := y.Clone(t.Context(), id, spec(copySpec), fleet.CloneOptions{}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second clone of the same name gave %v", err)
	}
	if n := pgtest.Value[int](t, y.adminOf(t, "copy"), "SELECT n FROM public.kept"); n != 7 {
		t.Errorf("read %d", n)
	}
}

func TestTablespacesAreRefusedBeforeAnythingIsCopied(t *testing.T) {
	y := newYard(t, cloning(t))
	y.create(t, spec())
	pgtest.Exec(t, y.adminOf(t, id), `CREATE TABLESPACE elsewhere LOCATION '`+pgtest.Dir(t)+`'`)
	if err := y.Clone(t.Context(), id, spec(copySpec), fleet.CloneOptions{}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("got %v", err)
	}
}
