package fleet_test

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Clients, sleeps, restarts, changed settings and killed servers at once: nobody waits for ever, and nothing that was
// acknowledged is lost.
func TestEverythingAtOnceLosesNothing(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	admin, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, admin.Conn, "CREATE TABLE public.acknowledged (n bigint); GRANT ALL ON public.acknowledged TO "+pgtest.Owner)
	_ = admin.Close(t.Context())

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	over := make(chan struct{})
	var clients sync.WaitGroup
	var acknowledged atomic.Int64
	for range 6 {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					if y.insert(ctx, acknowledged.Load()+1) == nil {
						acknowledged.Add(1)
					}
				}
			}
		})
	}
	go y.tick(t)
	work := []func() error{
		func() error { return y.Sleep(ctx, id, false) },
		func() error { return y.Sleep(ctx, id, true) },
		func() error { return y.Restart(ctx, id) },
		func() error { _, err := y.Put(ctx, spec(setting("work_mem", "5MB"))); return err },
		func() error { _, err := y.Put(ctx, spec(setting("work_mem", "6MB"))); return err },
		func() error {
			resume, err := y.Suspend(ctx, id)
			if err == nil {
				resume()
			}
			return err
		},
	}
	for round := range 18 {
		err := work[round%len(work)]()
		switch holdfast.KindOf(err) {
		case holdfast.Timeout, holdfast.Canceled:
			t.Fatalf("round %d did not come to its end: %v", round, err)
		}
		if round%6 == 5 { // as often as is borne before the server counts as broken
			if err := y.Wake(ctx, id); err != nil {
				t.Fatal(err)
			}
			before := acknowledged.Load()
			waitUntil(t, func() bool { return acknowledged.Load() > before })
			_ = syscall.Kill(y.postmaster(t), syscall.SIGKILL) // it may have slept meanwhile
		}
	}
	close(over)
	clients.Wait()
	if ctx.Err() != nil {
		t.Fatal("somebody waited too long")
	}
	conn, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	kept := pgtest.Value[int64](t, conn.Conn, "SELECT count(*) FROM public.acknowledged")
	if kept < acknowledged.Load() || acknowledged.Load() == 0 {
		t.Errorf("%d rows of %d acknowledged ones are there", kept, acknowledged.Load())
	}
	if s, err := y.Status(id); err != nil || s.Sessions != 0 {
		t.Errorf("the status is %+v, %v", s, err)
	}
	t.Logf("%d rows acknowledged, %d there", acknowledged.Load(), kept)
}

// insert comes as a client does and inserts one row.
func (y *yard) insert(ctx context.Context, n int64) error {
	session, err := y.Acquire(ctx, id)
	if err != nil {
		return err
	}
	defer session.Release()
	conn, err := connect(ctx, session)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "INSERT INTO public.acknowledged VALUES ($1)", n)
	return err
}

// The idle search must not stop what nobody has had the time to use.
func TestAVeryShortIdleTimeStillServesEverybody(t *testing.T) {
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = time.Millisecond }))
	go y.tick(t)
	for range 10 {
		if got := y.kept(t); got != 7 {
			t.Fatalf("read %d", got)
		}
	}
}
