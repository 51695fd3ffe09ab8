package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func (r *rig) rest() {
	r.t.Helper()
	if err := r.Rest(r.t.Context(), r.branch.ref); err != nil {
		r.t.Fatal(err)
	}
}

// parked parks the sessions and demands that n are and none holds the branch. A client can have its answer before the front door has
// seen that the session is idle by that, so it is asked for again, as whoever puts a branch to sleep does.
func (r *rig) parked(n int) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		r.rest()
		c := r.counters()
		if c.Parked == n && c.Sessions == 0 && r.branch.held.Load() == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%+v, %d holds, want %d parked", c, r.branch.held.Load(), n)
		}
	}
}

func TestAParkedSessionComesBackWithWhatItHad(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		conn := r.connect("sslmode", mode, "application_name", "naps", "client_encoding", "UTF8")
		pgtest.Exec(t, conn, "CREATE TABLE kept (id int PRIMARY KEY, body text)")
		pgtest.Exec(t, conn, `CREATE SCHEMA "Odd, näme"`)
		pgtest.Exec(t, conn, `SET search_path = "Odd, näme", public`)
		pgtest.Exec(t, conn, "SET TIME ZONE 'Asia/Kolkata'")
		pgtest.Exec(t, conn, "SET statement_timeout = '90s'")
		pgtest.Exec(t, conn, "SET standard_conforming_strings = off")
		if _, err := conn.Prepare(t.Context(), "put it", "INSERT INTO kept VALUES ($1, $2) RETURNING body"); err != nil {
			t.Fatal(err)
		}
		for nap := range 3 {
			before := pgtest.Value[int](t, conn, "SELECT pg_backend_pid()")
			r.parked(1)
			var body string
			if err := conn.QueryRow(t.Context(), "put it", nap, "ünd").Scan(&body); err != nil || body != "ünd" {
				t.Fatalf("%q, %v", body, err)
			}
			if after := pgtest.Value[int](t, conn, "SELECT pg_backend_pid()"); after == before {
				t.Error("the server process is the same")
			}
			for name, want := range map[string]string{"search_path": `"Odd, näme", public`, "TimeZone": "Asia/Kolkata", "statement_timeout": "90s",
				"standard_conforming_strings": "off", "application_name": "naps"} {
				if got := pgtest.Value[string](t, conn, "SELECT current_setting('"+name+"')"); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := conn.PgConn().ParameterStatus("TimeZone"); got != "Asia/Kolkata" {
				t.Errorf("the client believes that it is in %q", got)
			}
		}
		// A parked session is still the one that cancels.
		r.parked(1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			r.awaitQuery("SELECT pg_sleep(600)")
			if err := conn.PgConn().CancelRequest(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
			cancel()
		}()
		_, err := conn.Exec(t.Context(), "SELECT pg_sleep(600)")
		wantCode(t, err, "57014")
		<-ctx.Done()
		if c := r.counters(); c.Entered != 1 || c.Parks != 4 {
			t.Errorf("%+v", c)
		}
	})
}

func TestWhoListensKeepsTheBranchAwake(t *testing.T) {
	r := newRig(t, nil)
	listener, temporary := r.connect(), r.connect()
	pgtest.Exec(t, listener, "LISTEN news")
	pgtest.Exec(t, temporary, "CREATE TEMP TABLE mine (i int)")
	if err := r.Rest(t.Context(), r.branch.ref); holdfast.KindOf(err) != holdfast.Busy {
		t.Fatalf("got %v", err)
	}
	pgtest.Exec(t, temporary, "INSERT INTO mine VALUES (1)")
	pgtest.Exec(t, temporary, "NOTIFY news, 'hello'")
	if n, err := listener.WaitForNotification(t.Context()); err != nil || n.Payload != "hello" {
		t.Errorf("%v, %v", n, err)
	}
	pgtest.Exec(t, temporary, "DROP TABLE mine")
	pgtest.Exec(t, listener, "UNLISTEN *")
	r.parked(2)
}

func TestAStateThatCannotBeCarriedEndsTheSession(t *testing.T) {
	r := newRig(t, nil)
	pgtest.Exec(t, r.connect(), "CREATE TABLE t (i int)")
	for what, sql := range map[string]string{
		"a temporary table":                "CREATE TEMP TABLE mine (i int)",
		"a temporary function":             "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"an advisory lock":                 "SELECT pg_advisory_lock(7)",
		"a cursor":                         "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
		"a statement prepared in SQL":      "PREPARE p AS SELECT 1",
		"a parameter of its own":           "SET app.tenant = '7'",
		"one set otherwise":                "SELECT set_config('app.tenant', '7', false)",
		"one with a comment in the middle": "SET /* for row security */ SESSION\n\"app\".tenant TO 7",
		"one set in a block":               "DO $$ BEGIN PERFORM Set_Config('app.tenant', '7', false); END $$",
	} {
		t.Run(what, func(t *testing.T) {
			conn := r.connect()
			if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			r.rest()
			_, err := conn.Exec(t.Context(), "SELECT 1")
			if e := wantCode(t, err, "57P01"); !strings.Contains(e.Hint, "connect again") {
				t.Errorf("hint %q", e.Hint)
			}
			eventually(t, "the end", func() bool { return r.branch.held.Load() == 0 })
		})
	}
	t.Run("a function that sets one", func(t *testing.T) {
		owner := r.connect()
		pgtest.Exec(t, owner, "CREATE FUNCTION become(i text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', i, false) $$")
		conn := r.connect()
		pgtest.Exec(t, conn, "SELECT become('7')")
		r.rest()
		_, err := conn.Exec(t.Context(), "SELECT 1")
		wantCode(t, err, "57P01")
	})
}

func TestASessionInATransactionIsLeftAlone(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.rest()
	if c := r.counters(); c.Sessions != 1 || c.Parked != 0 {
		t.Errorf("%+v", c)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	// A parameter that lasts until the transaction's end is no obstacle.
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, "SET LOCAL app.tenant = '7'")
	pgtest.Exec(t, conn, "COMMIT")
	r.parked(1)
}

func TestAParkedSessionWaitsWhereItsBranchIsHeld(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	r.parked(1)
	r.Hold(r.branch.ref)
	acquired := r.branch.acquired.Load()
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		answer <- err
	}()
	eventually(t, "the client's waiting", func() bool { return r.counters().Held == 1 })
	if r.branch.acquired.Load() != acquired {
		t.Error("a held client woke the branch")
	}
	r.Resume(r.branch.ref)
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestAParkedSessionThatEndsWakesNothing(t *testing.T) {
	r := newRig(t, nil)
	polite, rude, ended, closed := r.connect(), r.connect(), r.connect(), r.connect()
	r.parked(4)
	acquired := r.branch.acquired.Load()
	if err := polite.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := rude.PgConn().Conn().Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the clients' leaving", func() bool { return r.counters().Parked == 2 })
	if err := r.Disconnect(t.Context(), r.branch.ref); err != nil {
		t.Error(err)
	}
	_, err := ended.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "57P01")
	if c := r.counters(); c.Parked != 0 || r.branch.acquired.Load() != acquired {
		t.Errorf("%+v, %d wakes", c, r.branch.acquired.Load()-acquired)
	}
	_ = closed
	last := r.connect()
	r.parked(1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = last.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "57P01")
}

func TestAParkedSessionThatCannotComeBackIsToldWhy(t *testing.T) {
	r := newRig(t, nil)
	t.Run("its table is gone", func(t *testing.T) {
		conn := r.connect()
		pgtest.Exec(t, conn, "CREATE TABLE gone (i int)")
		if _, err := conn.Prepare(t.Context(), "reads", "SELECT * FROM gone"); err != nil {
			t.Fatal(err)
		}
		r.parked(1)
		pgtest.Exec(t, r.connect(), "DROP TABLE gone")
		_, err := conn.Exec(t.Context(), "SELECT 1")
		wantCode(t, err, "57P01")
	})
	t.Run("the branch does not wake", func(t *testing.T) {
		conn := r.connect()
		r.rest()
		r.branch.acquire = func(context.Context) error {
			return &holdfast.Error{Kind: holdfast.TooMany, Message: "no more sessions"}
		}
		_, err := conn.Exec(t.Context(), "SELECT 1")
		wantCode(t, err, "53300")
		r.branch.acquire = nil
	})
	t.Run("its password was changed", func(t *testing.T) {
		pgtest.Exec(t, r.owner, "CREATE ROLE napper LOGIN PASSWORD 'one'")
		defer pgtest.Exec(t, r.owner, "DROP ROLE napper")
		r.branch.refresh(t)
		conn := r.connectURL(r.urlAs("napper", "one", r.database()))
		r.rest()
		pgtest.Exec(t, r.owner, "ALTER ROLE napper PASSWORD 'two'")
		_, err := conn.Exec(t.Context(), "SELECT 1")
		wantCode(t, err, "28P01")
	})
}

// The unnamed statement is the one thing of a clean session that no server tells.
func TestAnUnnamedStatementIsNotForgottenInSilence(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect().PgConn()
	frontend := conn.Frontend()
	frontend.Send(&pgproto3.Parse{Query: "SELECT 42"})
	frontend.Send(&pgproto3.Sync{})
	if err := frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := frontend.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			break
		}
	}
	r.parked(1)
	frontend.Send(&pgproto3.Bind{})
	frontend.Send(&pgproto3.Execute{})
	frontend.Send(&pgproto3.Sync{})
	if err := frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := frontend.Receive()
		if e, ok := m.(*pgproto3.ErrorResponse); ok && e.Code == "57P01" {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*pgproto3.DataRow); ok {
			t.Fatal("it was run")
		}
	}
}

// A client that sends its next query before it has the answer to the last is not idle in between.
func TestAPipelineIsNotParked(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	for range 20 {
		pipeline := conn.PgConn().StartPipeline(t.Context())
		for range 30 {
			pipeline.SendQueryParams("SELECT repeat('z', 3000)", nil, nil, nil, nil)
			if err := pipeline.Sync(); err != nil {
				t.Fatal(err)
			}
			r.rest()
		}
		if err := pipeline.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.parked(1)
}

// Clients that work all the time notice nothing of a door that parks their sessions again and again.
func TestBusyClientsNoticeNothing(t *testing.T) {
	r := newRig(t, nil)
	pgtest.Exec(t, r.connect(), "CREATE TABLE counted (client int, i int, PRIMARY KEY (client, i))")
	config, err := pgxpool.ParseConfig(r.url(r.database()))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	const clients, each = 6, 150
	var working sync.WaitGroup
	for client := range clients {
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 1))
			for i := range each {
				if err := work(t.Context(), pool, client, i, random); err != nil {
					t.Errorf("client %d, %d: %v", client, i, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	for parking := true; parking; {
		select {
		case <-done:
			parking = false
		default:
			r.rest()
		}
	}
	if got := pgtest.Value[int](t, r.connect(), "SELECT count(*)::int FROM counted"); got != clients*each {
		t.Errorf("%d rows, want %d", got, clients*each)
	}
	if c := r.counters(); c.Parks < clients {
		t.Errorf("%d sessions were parked: nothing was tested", c.Parks)
	}
	t.Logf("%d times parked", r.counters().Parks)
}

func work(ctx context.Context, pool *pgxpool.Pool, client, i int, random *rand.Rand) error {
	var got string
	want := strings.Repeat("x", random.IntN(20000))
	switch random.IntN(3) {
	case 0:
		if err := pool.QueryRow(ctx, "SELECT $1::text", want).Scan(&got); err != nil || got != want {
			return fmt.Errorf("%d bytes, want %d: %w", len(got), len(want), err)
		}
	case 1:
		var batch pgx.Batch
		for range 5 {
			batch.Queue("SELECT repeat('y', $1)", random.IntN(9000))
		}
		if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO counted VALUES ($1, $2)", client, i)
		return err
	})
}

// A server that dies while a session is examined ends that session and no other.
func TestAServerThatDoesNotAnswerHoldsNobody(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	pid := pgtest.Value[int](t, conn, "SELECT pg_backend_pid()")
	pgtest.Exec(t, r.owner, fmt.Sprintf("SELECT pg_terminate_backend(%d, 5000)", pid))
	r.rest()
	_, err := conn.Exec(t.Context(), "SELECT 1")
	var e *pgconn.PgError
	if err == nil || errors.As(err, &e) && e.Code != "57P01" {
		t.Errorf("got %v", err)
	}
}
