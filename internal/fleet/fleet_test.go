package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

const id holdfast.BranchID = "b1"

// yard is a Fleet in a directory of a test's own.
type yard struct {
	*fleet.Fleet
	config fleet.Config
	ticks  chan time.Time
	events *fleet.Subscription
}

func newYard(t *testing.T, change ...func(*fleet.Config)) *yard {
	t.Helper()
	y := &yard{ticks: make(chan time.Time)}
	y.config = fleet.Config{
		Installations: []postgres.Installation{pgtest.Installation(t)}, Account: pgtest.Account(t), Root: filepath.Join(pgtest.Dir(t), "f"),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Ticks: y.ticks, Backoff: func(int) time.Duration { return 0 },
	}
	for _, c := range change {
		c(&y.config)
	}
	y.open(t)
	return y
}

// open opens the yard's Fleet, as a new control plane does when there was one before.
func (y *yard) open(t *testing.T, specs ...fleet.Spec) {
	t.Helper()
	f, err := fleet.Open(t.Context(), y.config, specs)
	if err != nil {
		t.Fatal(err)
	}
	y.Fleet, y.events = f, f.Subscribe()
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func spec(change ...func(*fleet.Spec)) fleet.Spec {
	s := fleet.Spec{ID: id, IdleTimeout: holdfast.NeverSleep, Parameters: map[string]string{"max_connections": "150"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// create makes the branch with an owner and a table that holds one row. The making itself is done once and then copied: it takes
// longer than all else in most tests.
func (y *yard) create(t *testing.T, s fleet.Spec) {
	t.Helper()
	template := pgtest.Kept(t, "branch", func(dir string) {
		config := y.config
		config.Root = dir
		f, err := fleet.Open(t.Context(), config, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Create(t.Context(), spec(), prepare); err != nil {
			t.Fatal(err)
		}
	})
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(template, string(id)), y.Dir(s)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := y.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func prepare(ctx context.Context, server *postgres.Server) error {
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	verifier, err := postgres.NewVerifier(pgtest.OwnerPassword)
	if err != nil {
		return err
	}
	if err := postgres.PutOwner(ctx, conn, pgtest.Owner, verifier); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE public.kept AS SELECT 7 AS n")
	return err
}

func (y *yard) activity(t *testing.T) holdfast.Activity {
	t.Helper()
	s, err := y.Status(id)
	if err != nil {
		t.Fatal(err)
	}
	return s.Activity
}

// await waits for an event that says the branch does this now.
func (y *yard) await(t *testing.T, want holdfast.Activity) fleet.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		event, err := y.events.Next(ctx)
		if err != nil {
			t.Fatalf("the branch did not become %s: %v", want, err)
		}
		if event.Activity == want {
			return event
		}
	}
}

// client opens a session as the gateway does.
func (y *yard) client(t *testing.T) (*pgx.Conn, *fleet.Session) {
	t.Helper()
	session, err := y.Acquire(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Release)
	return y.dial(t, session), session
}

func (y *yard) dial(t testing.TB, session *fleet.Session) *pgx.Conn {
	t.Helper()
	conn, err := connect(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func connect(ctx context.Context, session *fleet.Session) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("dbname=postgres sslmode=disable host=" + filepath.Dir(session.SocketPath()))
	if err != nil {
		return nil, err
	}
	config.User, config.Password = pgtest.Owner, pgtest.OwnerPassword
	return pgx.ConnectConfig(ctx, config)
}

func (y *yard) kept(t *testing.T) int {
	t.Helper()
	conn, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	return pgtest.Value[int](t, conn.Conn, "SELECT n FROM public.kept")
}

func (y *yard) postmaster(t *testing.T) int {
	t.Helper()
	var pid int
	b, err := os.ReadFile(filepath.Join(y.DataDir(spec()), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func (y *yard) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(y.postmaster(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

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
	if size, err := y.Size(t.Context(), id); err != nil || size < 10<<20 {
		t.Errorf("its size is %d, %v", size, err)
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

func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen")
		}
	}
}
