package test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast/holdfast/internal/servetest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestAWakeIsSharedByAHundredClients(t *testing.T) {
	t.Parallel()
	const clients = 100
	s, development, _ := sharedProject(t, 0)
	url := s.connection(t, development).URL
	s.sleep(t, development)
	before := s.starts(t, development)

	failures := make(chan error, clients)
	served := make(chan *pgx.Conn, clients)
	together := make(chan struct{})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			<-together
			conn, err := pgx.Connect(t.Context(), url)
			var one int
			if err == nil {
				served <- conn
				err = conn.QueryRow(t.Context(), "SELECT 1").Scan(&one)
			}
			if err != nil {
				failures <- err
			}
		})
	}
	close(together)
	all.Wait()
	close(failures)
	close(served)
	for err := range failures {
		t.Errorf("a client failed: %v", err)
	}
	if n := len(served); n != clients {
		t.Errorf("%d of %d clients were served", n, clients)
	}
	if n := s.starts(t, development) - before; n != 1 {
		t.Errorf("the server started %d times for %d clients, want once", n, clients)
	}
	// All are there at once, so this one is more than the branch admits.
	_, err := pgx.Connect(t.Context(), url)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "53300" || refused.Hint == "" {
		t.Errorf("one client too many got %v", err)
	}
	for conn := range served {
		_ = conn.Close(context.Background()) // what it was for is over
	}
}

func TestWakeSleepAndRestart(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	name := development.String()
	state := func() string { return s.branch(t, development).Activity }
	s.must(t, "sleep", name)
	if got := state(); got != "asleep" {
		t.Errorf("after sleep it is %s", got)
	}
	s.must(t, "sleep", name) // it sleeps already
	s.must(t, "wake", name)
	first := s.postmaster(t, development)
	if got := state(); got != "awake" || first.pid == "" {
		t.Errorf("after wake it is %s, %+v", got, first)
	}
	s.must(t, "wake", name)
	if again := s.postmaster(t, development); again != first {
		t.Errorf("waking what is awake changed the server from %+v to %+v", first, again)
	}
	s.must(t, "restart", name)
	if got, second := state(), s.postmaster(t, development); got != "awake" || second.pid == first.pid || second.pid == "" {
		t.Errorf("after restart it is %s, %+v (before %+v)", got, second, first)
	}
}

// A nap of the branch is no event for a client that is idle, whatever client that is.
func TestIdleSessionsSurviveANap(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	name := development.String()
	config, err := pgxpool.ParseConfig(s.connection(t, development).URL)
	if err != nil {
		t.Fatal(err)
	}
	config.MinConns, config.MaxConns = 4, 4
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ask := func(n int) {
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				var got int
				if err := pool.QueryRow(t.Context(), "SELECT $1::int FROM pg_sleep(0.05)", n).Scan(&got); err != nil || got != n {
					t.Errorf("%d, %v", got, err)
				}
			})
		}
		asking.Wait()
	}
	psql := s.user("").talk(t, program(t, "psql", "apt-get install postgresql-client"), "-XAtq", s.connection(t, development).URL)
	psql.say("SET search_path = pg_catalog;\nPREPARE TRANSACTION 'x';\nSELECT 'one';") // an error on the way is no obstacle
	psql.hear("one")
	ask(1)
	for nap := range 2 {
		s.must(t, "sleep", name)
		if got := s.branch(t, development).Activity; got != "asleep" {
			t.Fatalf("it is %s", got)
		}
		if nap == 0 {
			ask(2)
		}
		psql.say("SHOW search_path;")
		psql.hear("pg_catalog")
	}
	psql.end()
}

func TestANodePoolSurvivesANap(t *testing.T) {
	t.Parallel()
	node := program(t, "node", "apt-get install nodejs npm")
	modules := file(t, "../.tools/node/node_modules", installTest)
	s, development, _ := sharedProject(t, 0)
	pool := s.user("", "NODE_PATH="+modules).talk(t, binary, "run", development.String(), "--", node, file(t, "clients/node/nap.cjs", "it is part of the repository"))
	for _, said := range []string{"one", "two", "three"} {
		pool.say(said)
		pool.hear(strings.Join([]string{said, said, said}, " "))
		s.must(t, "sleep", development.String())
	}
	pool.end()
}

func TestASessionThatCannotBeKeptIsTold(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	name := development.String()
	conn := s.connect(t, development)
	execute(t, conn, "CREATE TEMP TABLE mine (i int)")
	s.must(t, "sleep", name)
	_, err := conn.Exec(t.Context(), "SELECT 1")
	var ended *pgconn.PgError
	if !errors.As(err, &ended) || ended.Code != "57P01" || !strings.Contains(ended.Hint, "temporary") {
		t.Errorf("a session with a temporary table got %v", err)
	}
	listener := s.connect(t, development)
	execute(t, listener, "LISTEN news")
	if o := s.holdfast(t, "sleep", name); o.code != 5 || !strings.Contains(o.err, "listens") {
		t.Errorf("sleep ended with %d: %s", o.code, o.err)
	}
	s.must(t, "sleep", name, "--force")
	if _, err := listener.WaitForNotification(t.Context()); !errors.As(err, &ended) || ended.Code != "57P01" {
		t.Errorf("who listened got %v", err)
	}
}

func TestSleepIsRefusedWhileSomebodyWorks(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	open := s.connect(t, development)
	execute(t, open, "BEGIN")
	execute(t, open, "SELECT 1")

	long := s.connect(t, production)
	running := make(chan error, 1)
	go func() {
		_, err := long.Exec(t.Context(), "SELECT pg_sleep(600)")
		running <- err
	}()
	watcher := s.connect(t, production)
	servetest.Until(t, "the long query runs", func() bool {
		return value[int](t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == 1
	})
	for _, ref := range []string{development.String(), production.String()} {
		if o := s.holdfast(t, "sleep", ref); o.code != 5 || o.err == "" {
			t.Errorf("sleep %s ended with %d: %s", ref, o.code, o.err)
		}
	}
	execute(t, open, "COMMIT") // it lived on
	s.must(t, "sleep", "--force", production.String())
	var ended *pgconn.PgError
	if err := <-running; !errors.As(err, &ended) || ended.Code != "57P01" {
		t.Errorf("a query that was ended by force got %v", err)
	}
	s.must(t, "sleep", development.String())
}

// The idle time is the shortest allowed one, so this test takes a minute; the branch that sleeps first tells when.
func TestABranchFallsAsleepOnlyWhenNobodyWorks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	s, transaction, unused := sharedProject(t, 0)
	_, query, _ := sharedProject(t, 0)
	for _, ref := range []fmt.Stringer{transaction, unused, query} {
		s.must(t, "branch", "settings", ref.String(), "--idle", "60s")
	}
	inTransaction := s.connect(t, transaction)
	execute(t, inTransaction, "BEGIN")
	execute(t, inTransaction, "SELECT 1")
	inQuery := s.connect(t, query)
	running := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := inQuery.Exec(ctx, "SELECT pg_sleep(600)")
		running <- err
	}()
	idle := s.connect(t, unused) // later than the others: when this one has been idle long enough, so have they
	execute(t, idle, "SELECT 1")
	servetest.Until(t, "the branch that nobody uses falls asleep", func() bool { return s.branch(t, unused).Activity == "asleep" })
	for _, ref := range []fmt.Stringer{transaction, query} {
		if o := s.must(t, "branch", "show", ref.String()); !containsLine(o, "state", "awake") {
			t.Errorf("%s:\n%s", ref, o)
		}
	}
	execute(t, inTransaction, "COMMIT")
	select {
	case err := <-running:
		t.Errorf("the long query ended: %v", err)
	default:
	}
	cancel()
	<-running
}
