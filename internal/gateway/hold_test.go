package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// connecting connects in the background.
func (r *rig) connecting() <-chan error {
	result := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(r.t.Context(), r.url(r.database()))
		if err == nil {
			_, err = conn.Exec(r.t.Context(), "SELECT 1")
			err = errors.Join(err, conn.Close(context.Background()))
		}
		result <- err
	}()
	return result
}

func (r *rig) counters() gateway.Counters { return r.Stats().Branches[r.branch.ref] }

func TestClientsWaitAtAHeldBranch(t *testing.T) {
	r := newRig(t, nil)
	inside := r.connect()
	r.Hold(r.branch.ref)
	r.Hold(r.branch.ref)
	acquired := r.branch.acquired.Load()
	var waiting []<-chan error
	for range 5 {
		waiting = append(waiting, r.connecting())
	}
	eventually(t, "the clients' waiting", func() bool { return r.counters().Held == 5 })
	if r.branch.acquired.Load() != acquired {
		t.Error("a held client woke the branch")
	}
	if got := pgtest.Value[int](t, inside, "SELECT 1"); got != 1 {
		t.Errorf("who was in got %d", got)
	}
	// Those who are in are ended, those who wait go on waiting.
	if err := r.Disconnect(t.Context(), r.branch.ref); err != nil {
		t.Fatal(err)
	}
	_, err := inside.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "57P01")
	if r.branch.held.Load() != 0 || r.counters().Held != 5 {
		t.Errorf("%d holds, %+v", r.branch.held.Load(), r.counters())
	}
	r.Resume(r.branch.ref)
	r.Resume(r.branch.ref)
	for _, w := range waiting {
		if err := <-w; err != nil {
			t.Error(err)
		}
	}
}

// A client in the middle of a wake when its branch is held goes back to the door, and is none the wiser.
func TestAClientOnItsWayInIsHeldToo(t *testing.T) {
	arrived := make(chan struct{}, 2)
	gate := make(chan struct{})
	r := newRig(t, func(_ *gateway.Settings, b *branchServer) {
		b.acquire = func(ctx context.Context) error {
			arrived <- struct{}{}
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	client := r.connecting()
	<-arrived
	r.Hold(r.branch.ref)
	eventually(t, "the client's waiting", func() bool { return r.counters().Held == 1 })
	close(gate)
	r.Resume(r.branch.ref)
	if err := <-client; err != nil {
		t.Error(err)
	}
}

func TestAHoldThatLastsTooLongIsSaid(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.HoldTimeout = 20 * time.Millisecond })
	r.Hold(r.branch.ref)
	if e := r.refusedWith("57P03", r.url(r.database())); e.Hint == "" {
		t.Errorf("got %v", e)
	}
	// A stranger is told apart from nobody: what is held is not said before the proof.
	r.refusedWith("28P01", r.urlAs(pgtest.Owner, "wrong", r.database()))
}

func TestDisconnectEndsARunningQueryAndKeepsTheStreamWhole(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		running, streaming := r.connect("sslmode", mode), r.connect("sslmode", mode)
		ended := make(chan error, 2)
		go func() {
			_, err := running.Exec(t.Context(), "SELECT pg_sleep(600)")
			ended <- err
		}()
		flow := make(chan struct{}, 1)
		go func() {
			_, err := streaming.PgConn().CopyTo(t.Context(), signalling(flow), "COPY (SELECT repeat('x', 100000) FROM generate_series(1, 1000000)) TO STDOUT")
			ended <- err
		}()
		r.awaitQuery("SELECT pg_sleep(600)")
		<-flow
		if err := r.Disconnect(t.Context(), r.branch.ref); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantCode(t, <-ended, "57P01")
		}
		if n := r.branch.held.Load(); n != 0 {
			t.Errorf("%d holds are left", n)
		}
		eventually(t, "the backends' end", func() bool { return r.backends() == 0 })
	})
}

// signalling says that the first bytes have come.
type signalling chan struct{}

func (s signalling) Write(p []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(p), nil
}

// A client that does not read cannot keep its branch.
func TestDisconnectDoesNotWaitForASlowReader(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.EndGrace = 100 * time.Millisecond })
	h, err := r.connect().PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
	h.Frontend.Send(&pgproto3.Query{String: "SELECT repeat('x', 10000000) FROM generate_series(1, 20)"})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the buffers' filling", func() bool {
		return pgtest.Value[int](t, r.owner, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'ClientWrite'", r.database()) == 1
	})
	if err := r.Disconnect(t.Context(), r.branch.ref); err != nil {
		t.Fatal(err)
	}
	if n := r.branch.held.Load(); n != 0 {
		t.Errorf("%d holds are left", n)
	}
}

func TestDrainLetsTransactionsEndAndTakesNobodyElse(t *testing.T) {
	r := newRig(t, nil)
	idle, working := r.connect(), r.connect()
	pgtest.Exec(t, working, "BEGIN; CREATE TABLE public.kept (i int)")
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context()) }()
	eventually(t, "the idle session's end", func() bool { return r.counters().Sessions == 1 })
	_, err := idle.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "57P01")
	if conn, err := pgx.Connect(t.Context(), r.url(r.database())); err == nil {
		_ = conn.Close(t.Context())
		t.Error("somebody got in")
	}
	pgtest.Exec(t, working, "INSERT INTO public.kept VALUES (1)")
	if _, err := working.Exec(t.Context(), "COMMIT"); err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	after, err := r.branch.server.Connect(t.Context(), r.database())
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close(t.Context())
	if n := pgtest.Value[int](t, after, "SELECT count(*) FROM public.kept"); n != 1 {
		t.Errorf("there are %d rows", n)
	}
}

func TestCloseEndsEverybodyAtOnce(t *testing.T) {
	waits := make(chan struct{}, 1)
	r := newRig(t, func(_ *gateway.Settings, b *branchServer) {
		first := true
		b.acquire = func(ctx context.Context) error {
			if first {
				first = false
				return nil
			}
			waits <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
	})
	inside := r.connect()
	waking := r.connecting()
	<-waits
	silent := make(chan []byte, 1)
	go func() { silent <- r.sendRaw([]byte{0, 0}) }()
	eventually(t, "the silent client's arrival", func() bool { return r.Stats().Unproven == 1 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := inside.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "57P01")
	wantCode(t, <-waking, "57P01")
	if out := <-silent; len(out) != 0 {
		t.Errorf("the silent client got %q", bytes.TrimSpace(out))
	}
	if err := r.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if err := r.Start(t.Context()); err == nil {
		t.Error("a closed gateway was started")
	}
}

func TestForgetDropsABranchThatIsGone(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	r.Forget(r.branch.ref)
	if r.counters().Sessions != 1 {
		t.Error("a branch with a session was forgotten")
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session's end", func() bool { return r.counters().Sessions == 0 })
	r.Forget(r.branch.ref)
	if _, known := r.Stats().Branches[r.branch.ref]; known {
		t.Error("it is still counted")
	}
	r.Forget(holdfast.BranchRef{Project: "never", Branch: "seen"})
}
