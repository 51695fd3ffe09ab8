package fleet_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestCreateWakeSleepRemove(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	y := newYard(t)
	if err := y.Create(t.Context(), spec(), prepare); err != nil {
		t.Fatal(err)
	}
	if got := y.activity(t); got != holdfast.Asleep {
		t.Errorf("a new branch is %s", got)
	}
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if y.kept(t) != 7 {
		t.Error("what was prepared is not there")
	}
	if used, err := y.Usage(t.Context(), id); err != nil || used.Physical < 10<<20 {
		t.Errorf("its size is %+v, %v", used, err)
	}
	for range 2 {
		if err := y.Sleep(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := y.activity(t); got != holdfast.Asleep {
		t.Errorf("a sleeping branch is %s", got)
	}
	if err := y.Create(t.Context(), spec(), nil); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("creating it twice: %v", err)
	}
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := y.Remove(t.Context(), spec()); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.Wake(t.Context(), id); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("waking a removed branch: %v", err)
	}
	if left, err := os.ReadDir(y.config.Root); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWakeIsSharedByConcurrentClients(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	var group errgroup.Group
	for range 100 {
		group.Go(func() error {
			session, err := y.Acquire(t.Context(), id)
			if err != nil {
				return err
			}
			defer session.Release()
			conn, err := connect(t.Context(), session)
			if err != nil {
				return err
			}
			return conn.Close(t.Context())
		})
	}
	// Others come too and lose patience: that must not take the start from those who wait.
	impatient, cancel := context.WithCancel(t.Context())
	for range 20 {
		go y.Acquire(impatient, id) //nolint:errcheck // it is cancelled
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	lines, err := y.Log(id, 1000)
	if err != nil {
		t.Fatal(err)
	}
	started := strings.Count(strings.Join(lines, "\n"), "ready to accept connections")
	if started != 2 { // once while it was created
		t.Errorf("the server was started %d times, want once", started-1)
	}
}

func TestAClientWhoLosesPatienceTakesNoPlace(t *testing.T) {
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.ConnectionLimit = 1 }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := y.Acquire(ctx, id); holdfast.KindOf(err) != holdfast.Canceled {
		t.Fatalf("the error is %v", err)
	}
	_, session := y.client(t)
	if _, err := y.Acquire(t.Context(), id); holdfast.KindOf(err) != holdfast.TooMany || holdfast.HintOf(err) == "" {
		t.Errorf("above the limit: %v", err)
	}
	session.Release()
	session.Release()
	_, _ = y.client(t)
	if s, err := y.Status(id); err != nil || s.Sessions != 1 {
		t.Errorf("%d sessions, %v", s.Sessions, err)
	}
}

func TestSleepWaitsForOpenTransactionAndLongQuery(t *testing.T) {
	idle := 50 * time.Millisecond
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = idle }))
	conn, session := y.client(t)
	for name, use := range map[string]struct{ begin, end string }{
		"an open transaction":  {"BEGIN", "COMMIT"},
		"a failed transaction": {"BEGIN; SELECT 1/0", "ROLLBACK"},
	} {
		_, _ = conn.Exec(t.Context(), use.begin, pgx.QueryExecModeSimpleProtocol) // one of them fails as it should
		if err := y.Sleep(t.Context(), id, false); holdfast.KindOf(err) != holdfast.Busy {
			t.Errorf("%s: %v", name, err)
		}
		y.idleTicks(t, session, idle)
		if got := y.activity(t); got != holdfast.Awake {
			t.Errorf("%s: the branch is %s", name, got)
		}
		pgtest.Exec(t, conn, use.end)
	}
	pgtest.Exec(t, conn, "SELECT pg_advisory_lock(1)")
	other, _ := y.client(t)
	running := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), "SELECT pg_advisory_lock(1)") // runs as long as the first session likes
		running <- err
	}()
	waitUntil(t, func() bool {
		return pgtest.Value[int](t, conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1
	})
	if err := y.Sleep(t.Context(), id, false); holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("a long query: %v", err)
	}
	y.idleTicks(t, session, idle)
	if got := y.activity(t); got != holdfast.Awake {
		t.Errorf("a long query: the branch is %s", got)
	}
	pgtest.Exec(t, conn, "SELECT pg_advisory_unlock(1)")
	if err := <-running; err != nil {
		t.Error(err)
	}
	pgtest.Exec(t, conn, "BEGIN")
	if err := y.Sleep(t.Context(), id, true); err != nil {
		t.Errorf("insisting: %v", err)
	}
	if y.kept(t) != 7 {
		t.Error("data is lost")
	}
}

// idleTicks lets a branch be unused for longer than its idle time and then lets the Fleet look a few times.
func (y *yard) idleTicks(t *testing.T, session *fleet.Session, idle time.Duration) {
	t.Helper()
	waitUntil(t, func() bool {
		s, err := y.Status(id)
		return err == nil && time.Since(s.LastUse) > idle
	})
	for range 3 {
		y.ticks <- time.Now()
		session.SocketPath()
	}
}

func TestAnUnusedBranchFallsAsleepAndWakesForTheNext(t *testing.T) {
	var asked atomic.Int32
	y := newYard(t, func(c *fleet.Config) {
		c.Hooks.BeforeSleep = func(context.Context, holdfast.BranchID) error { asked.Add(1); return nil }
	})
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = 50 * time.Millisecond }))
	conn, session := y.client(t)
	go y.tick(t)
	y.await(t, holdfast.Asleep)
	if asked.Load() == 0 {
		t.Error("the hook was not asked")
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the idle session survived")
	}
	session.Release()
	if y.kept(t) != 7 {
		t.Error("data is lost")
	}
}

// tick lets time pass until the test is over.
func (y *yard) tick(t *testing.T) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			select {
			case y.ticks <- now:
			case <-t.Context().Done():
				return
			}
		case <-t.Context().Done():
			return
		}
	}
}

func TestClientBytesAndQueriesKeepABranchAwake(t *testing.T) {
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = 300 * time.Millisecond }))
	conn, session := y.client(t)
	go y.tick(t)
	begun := time.Now()
	waitUntil(t, func() bool { // bytes only, then queries that nobody touched for
		if time.Since(begun) < 600*time.Millisecond {
			session.Touch()
		} else {
			pgtest.Exec(t, conn, "SELECT 1")
		}
		return time.Since(begun) > 1200*time.Millisecond
	})
	if got := y.activity(t); got != holdfast.Awake {
		t.Errorf("the branch is %s", got)
	}
	y.await(t, holdfast.Asleep)
}

func TestHoldKeepsABranchAwake(t *testing.T) {
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = time.Millisecond }))
	release, err := y.Hold(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := y.Sleep(t.Context(), id, false); holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("asleep while held: %v", err)
	}
	for range 5 {
		y.ticks <- time.Now()
	}
	if got := y.activity(t); got != holdfast.Awake {
		t.Errorf("the branch is %s", got)
	}
	release()
	release()
	go y.tick(t)
	y.await(t, holdfast.Asleep)
}

// A client who comes while the branch falls asleep waits, and is served.
func TestClientsWhoComeWhileItFallsAsleepAreServed(t *testing.T) {
	inHook, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	y := newYard(t, func(c *fleet.Config) {
		c.Hooks.BeforeSleep = func(context.Context, holdfast.BranchID) error {
			once.Do(func() { close(inHook); <-goOn })
			return nil
		}
	})
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	slept := make(chan error, 1)
	go func() { slept <- y.Sleep(t.Context(), id, false) }()
	<-inHook
	var group errgroup.Group
	for range 20 {
		group.Go(func() error {
			session, err := y.Acquire(t.Context(), id)
			if err == nil {
				session.Release()
			}
			return err
		})
	}
	waitUntil(t, func() bool { s, err := y.Status(id); return err == nil && s.Sessions == 20 })
	close(goOn)
	if err := <-slept; err != nil {
		t.Error(err)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// When nobody asked for the sleep, whoever comes before the stop wins: nothing is stopped, and the hook, which may wait for
// something far away, does not hold the client up.
func TestAnIdleSleepIsCalledOffWhenSomebodyComes(t *testing.T) {
	inHook := make(chan struct{})
	var once sync.Once
	y := newYard(t, func(c *fleet.Config) {
		c.Hooks.BeforeSleep = func(ctx context.Context, _ holdfast.BranchID) error {
			once.Do(func() { close(inHook) })
			<-ctx.Done()
			return ctx.Err()
		}
	})
	y.create(t, spec(func(s *fleet.Spec) { s.IdleTimeout = 20 * time.Millisecond }))
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	pid := y.postmaster(t)
	go y.tick(t)
	<-inHook
	y.client(t)
	if got := y.postmaster(t); got != pid {
		t.Error("the server was restarted although somebody had come")
	}
}

func TestAFailingHookKeepsTheBranchAwake(t *testing.T) {
	y := newYard(t, func(c *fleet.Config) {
		c.Hooks.BeforeSleep = func(context.Context, holdfast.BranchID) error { return fmt.Errorf("the last byte is not safe") }
	})
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := y.Sleep(t.Context(), id, false); err == nil || !strings.Contains(err.Error(), "last byte") {
		t.Errorf("the error is %v", err)
	}
	if got := y.activity(t); got != holdfast.Awake {
		t.Errorf("the branch is %s", got)
	}
}

// Whoever listens for notifications keeps the branch awake, until somebody insists.
func TestASessionThatCannotRestKeepsTheBranchAwake(t *testing.T) {
	var asked atomic.Int32
	y := newYard(t, func(c *fleet.Config) {
		c.Hooks.Rest = func(context.Context, holdfast.BranchID) error {
			asked.Add(1)
			return &holdfast.Error{Kind: holdfast.Busy, Message: "somebody listens"}
		}
	})
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := y.Sleep(t.Context(), id, false); holdfast.KindOf(err) != holdfast.Busy || y.activity(t) != holdfast.Awake {
		t.Errorf("%v, %s", err, y.activity(t))
	}
	if err := y.Restart(t.Context(), id); err != nil || asked.Load() != 2 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	if err := y.Sleep(t.Context(), id, true); err != nil || y.activity(t) != holdfast.Asleep {
		t.Errorf("%v, %s", err, y.activity(t))
	}
}
