package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
