package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestTLSModes(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name      string
		more      []string
		encrypted bool
	}{
		{"allow", []string{"sslmode", "allow"}, true},
		{"prefer", []string{"sslmode", "prefer"}, true},
		{"require", []string{"sslmode", "require"}, true},
		{"verify-ca", []string{"sslmode", "verify-ca", "sslrootcert", r.root}, true},
		{"verify-full", []string{"sslmode", "verify-full", "sslrootcert", r.root}, true},
		{"direct", []string{"sslmode", "require", "sslnegotiation", "direct"}, true},
		{"channel binding", []string{"sslmode", "require", "channel_binding", "require"}, true},
		{"channel binding, direct", []string{"sslmode", "verify-full", "sslrootcert", r.root, "sslnegotiation", "direct", "channel_binding", "require"}, true},
		{"without channel binding", []string{"sslmode", "require", "channel_binding", "disable"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), r.url(r.database(), c.more...))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if got := pgtest.Value[string](t, conn, "SELECT current_database()||' '||current_user"); got != r.database()+" "+pgtest.Owner {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("disable", func(t *testing.T) {
		if e := r.refusedWith("28000", r.url(r.database(), "sslmode", "disable")); e.Hint != "connect with sslmode=require" {
			t.Errorf("hint: %q", e.Hint)
		}
	})
	t.Run("verify-full under another name", func(t *testing.T) {
		url := strings.Replace(r.url(r.database(), "sslmode", "verify-full", "sslrootcert", r.root), "127.0.0.1", "127.0.0.2", 1)
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Error("got in")
		}
	})
}

func TestPlaintextIsServedWhereItIsAllowed(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.AllowPlaintext, s.TLS = true, nil })
	for _, mode := range []string{"disable", "allow", "prefer"} {
		conn := r.connect("sslmode", mode)
		if got := pgtest.Value[int](t, conn, "SELECT 1"); got != 1 {
			t.Errorf("%s: got %d", mode, got)
		}
	}
}

func TestAGatewayThatNobodyCouldEnterDoesNotStart(t *testing.T) {
	g := gateway.New(gateway.Settings{Listen: "127.0.0.1:0"}, nil, nil, nil)
	if err := g.Start(t.Context()); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("got %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestATakenPortIsSaidClearly(t *testing.T) {
	r := newRig(t, nil)
	g := gateway.New(gateway.Settings{Listen: r.Addr().String(), AllowPlaintext: true}, nil, nil, nil)
	if err := g.Start(t.Context()); holdfast.KindOf(err) != holdfast.Precondition || holdfast.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheDatabaseNameIsTheAddress(t *testing.T) {
	r := newRig(t, nil)
	if got := pgtest.Value[string](t, r.connectURL(r.url("postgres@"+r.database())), "SELECT current_database()"); got != "postgres" {
		t.Errorf("got %s", got)
	}
	r.refusedWith("3D000", r.url("missing@"+r.database()))
	r.refusedWith("28P01", r.url("")) // the user's name, which is no address
}

func TestWhatTheClientAsksForReachesTheServer(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect("application_name", "the app", "options", "-c work_mem=7MB -c search_path=a", "client_encoding", "LATIN1", "timezone", "Europe/Paris")
	for setting, want := range map[string]string{"application_name": "the app", "work_mem": "7MB", "search_path": "a", "client_encoding": "LATIN1", "timezone": "Europe/Paris"} {
		if got := pgtest.Value[string](t, conn, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s: got %q", setting, got)
		}
	}
	if got := conn.PgConn().ParameterStatus("application_name"); got != "the app" {
		t.Errorf("the client was told %q", got)
	}
	r.refusedWith("22023", r.url(r.database(), "work_mem", "much"))
}

func TestNamesAndPasswordsOfAnyBytes(t *testing.T) {
	r := newRig(t, nil)
	for i, c := range []struct{ role, password, database string }{
		{"ünï cödé", "pässwörd ✓", "été"},
		{`quo"te'd`, `p'a"s\s`, `a@b "c"`},
		{"with space", " ", "UPPER"},
		{strings.Repeat("r", 63), strings.Repeat("long", 50), strings.Repeat("d", 63)},
		{"ends@with", "\u00a0nbsp", "x_y"},
	} {
		role, database := holdfast.QuoteIdentifier(c.role), holdfast.QuoteIdentifier(c.database)
		pgtest.Exec(t, r.owner, "CREATE ROLE "+role+" LOGIN PASSWORD "+holdfast.QuoteLiteral(c.password))
		pgtest.Exec(t, r.owner, "CREATE DATABASE "+database)
		t.Cleanup(func() {
			for _, statement := range []string{"DROP DATABASE " + database + " WITH (FORCE)", "DROP ROLE " + role} {
				if _, err := r.owner.Exec(context.Background(), statement); err != nil {
					t.Error(err)
				}
			}
		})
		r.branch.refresh(t)
		config := r.config(c.role, c.password, c.database+"@"+r.database())
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		if got := pgtest.Value[string](t, conn, "SELECT current_user||'|'||current_database()"); got != c.role+"|"+c.database {
			t.Errorf("case %d: got %q", i, got)
		}
		_ = conn.Close(t.Context())
	}
}

// The server is asked for the very bytes that the client sent, text or not.
func TestADatabaseNameThatIsNotUTF8(t *testing.T) {
	r := newRig(t, nil)
	_, err := pgx.ConnectConfig(t.Context(), r.config(pgtest.Owner, pgtest.OwnerPassword, "\xff\xfe@"+r.database()))
	if e := wantCode(t, err, "3D000"); !strings.Contains(e.Message, "\xff\xfe") {
		t.Errorf("got %q", e.Message)
	}
}

func (r *rig) config(role, password, database string) *pgx.ConnConfig {
	r.t.Helper()
	config, err := pgx.ParseConfig(r.url(r.database()))
	if err != nil {
		r.t.Fatal(err)
	}
	config.User, config.Password, config.Database = role, password, database
	return config
}

func TestAHundredClientsAtOnceAllGetIn(t *testing.T) {
	gate := make(chan struct{})
	arrived := make(chan struct{}, 100)
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
	var group sync.WaitGroup
	errs := make(chan error, 100)
	for range 100 {
		group.Go(func() {
			conn, err := pgx.Connect(t.Context(), r.url(r.database()))
			if err != nil {
				errs <- err
				return
			}
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), "SELECT 1")
			errs <- err
		})
	}
	for range 100 {
		<-arrived
	}
	if waiting := r.Stats().Unproven; waiting != 0 {
		t.Errorf("%d clients that wait for a wake count as unproven", waiting)
	}
	close(gate)
	group.Wait()
	for range 100 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	counters := r.Stats().Branches[r.branch.ref]
	if counters.Entered != 100 || counters.Waits != 100 || counters.Waited == 0 || counters.BytesIn == 0 || counters.BytesOut == 0 {
		t.Errorf("counted %+v", counters)
	}
}

func TestErrorsOfTheWakeHaveTheirSQLSTATE(t *testing.T) {
	var mu sync.Mutex
	var answer error
	r := newRig(t, func(s *gateway.Settings, b *branchServer) {
		b.acquire = func(context.Context) error { mu.Lock(); defer mu.Unlock(); return answer }
	})
	for _, c := range []struct {
		err           error
		code, message string
		hint          string
	}{
		{&holdfast.Error{Kind: holdfast.TooMany, Message: "the branch has 100 sessions", Hint: "raise its limit"}, "53300", "the branch has 100 sessions", "raise its limit"},
		{&holdfast.Error{Kind: holdfast.Busy, Message: "it is being restored"}, "57P03", "it is being restored", ""},
		{&holdfast.Error{Kind: holdfast.Unavailable, Message: "it died too often", Cause: errors.New("secret")}, "57P03", "it died too often", ""},
		{&holdfast.Error{Kind: holdfast.NotFound, Message: "it is gone"}, "3D000", "it is gone", ""},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), "57P03", r.branch.ref.String() + " did not become ready in time", "try again in a moment"},
		{errors.New("secret"), "XX000", r.branch.ref.String() + " cannot be reached", "try again; if it stays so, see the server's log"},
	} {
		mu.Lock()
		answer = c.err
		mu.Unlock()
		if e := r.refusedWith(c.code, r.url(r.database())); e.Message != c.message || e.Hint != c.hint || e.Severity != "FATAL" {
			t.Errorf("%v: got %q, %q", c.err, e.Message, e.Hint)
		}
	}
}

func TestTheServersOwnErrorsPassUnchanged(t *testing.T) {
	r := newRig(t, nil)
	pgtest.Exec(t, r.owner, "ALTER DATABASE "+r.database()+" CONNECTION LIMIT 1")
	first := r.connect()
	if e := r.refusedWith("53300", r.url(r.database())); !strings.Contains(e.Message, "too many connections for database") || e.Routine == "" {
		t.Errorf("got %+v", e)
	}
	if got := pgtest.Value[int](t, first, "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}
	pgtest.Exec(t, r.owner, "ALTER DATABASE "+r.database()+" CONNECTION LIMIT -1")
}

func TestALostServerIsUnreachableAndNotAHang(t *testing.T) {
	r := newRig(t, func(_ *gateway.Settings, b *branchServer) {
		b.dial = func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			_ = theirs.Close()
			return ours, nil
		}
	})
	r.refusedWith("XX000", r.url(r.database()))
}

// A server that would let anybody in is not one of ours: the client must not believe that its password was checked there.
func TestAServerThatAsksForNoPasswordIsNotTrusted(t *testing.T) {
	r := newRig(t, func(_ *gateway.Settings, b *branchServer) {
		b.dial = func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				buf := make([]byte, 1000)
				if _, err := theirs.Read(buf); err == nil {
					_, _ = theirs.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'}) // the gateway hangs up
				}
			}()
			return ours, nil
		}
	})
	r.refusedWith("08P01", r.url(r.database()))
}

func TestAWakeThatTakesTooLongIsAnswered(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, b *branchServer) {
		s.WakeTimeout = 20 * time.Millisecond
		b.acquire = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	r.refusedWith("57P03", r.url(r.database()))
}

func TestAClientThatLeavesEndsItsWait(t *testing.T) {
	ended := make(chan struct{})
	waits := make(chan struct{})
	r := newRig(t, func(s *gateway.Settings, b *branchServer) {
		b.acquire = func(ctx context.Context) error {
			close(waits)
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}
	})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := pgconn.Connect(ctx, r.url(r.database())); err == nil {
			_ = conn.Close(ctx)
			t.Error("got in")
		}
	}()
	<-waits
	leave()
	<-ended
	<-done
}

func TestPasswordChangedBehindTheGatewayIsNotLetIn(t *testing.T) {
	r := newRig(t, nil)
	pgtest.Exec(t, r.owner, "CREATE ROLE changing LOGIN PASSWORD 'old'")
	t.Cleanup(func() {
		if _, err := r.owner.Exec(context.Background(), "DROP ROLE changing"); err != nil {
			t.Error(err)
		}
	})
	r.branch.refresh(t)
	r.connectURL(r.urlAs("changing", "old", r.database()))
	pgtest.Exec(t, r.owner, "ALTER ROLE changing PASSWORD 'new'")
	r.refusedWith("28P01", r.urlAs("changing", "old", r.database()))
	r.branch.refresh(t)
	r.connectURL(r.urlAs("changing", "new", r.database()))
	pgtest.Exec(t, r.owner, "ALTER ROLE changing VALID UNTIL '2000-01-01'")
	r.refusedWith("28P01", r.urlAs("changing", "new", r.database()))
}

func TestReplicationIsRefusedWithAHint(t *testing.T) {
	r := newRig(t, nil)
	for _, value := range []string{"true", "database", "1"} {
		if e := r.refusedWith("0A000", r.url(r.database(), "replication", value)); e.Hint == "" {
			t.Errorf("no hint: %v", e)
		}
	}
	r.connect("replication", "false")
}

func TestANewerProtocolIsNegotiatedDown(t *testing.T) {
	r := newRig(t, nil)
	for _, version := range []string{"3.2", "latest"} {
		conn := r.connect("max_protocol_version", version)
		if got := pgtest.Value[int](t, conn, "SELECT 1"); got != 1 {
			t.Errorf("%s: got %d", version, got)
		}
	}
}

func TestRealClients(t *testing.T) {
	r := newRig(t, nil)
	env := []string{"PGHOST=127.0.0.1", "PGPORT=" + r.port, "PGUSER=" + pgtest.Owner, "PGPASSWORD=" + pgtest.OwnerPassword, "PGDATABASE=" + r.database(),
		"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + r.root, "PGCHANNELBINDING=require"}
	for _, c := range []struct{ name, program, input, want string }{
		{"psql", "psql -X -At -c 'select 41+1'", "", "42"},
		{"psql with copy", `psql -X -At -c 'create table c (i int)' -c '\copy c from stdin' -c 'select sum(i) from c'`, "1\n2\n\\.\n", "3"},
		{"pgbench", "pgbench -i -q -s 1 && pgbench -n -c 4 -j 2 -t 50 && pgbench -n -S -M prepared -c 2 -t 50", "", "number of transactions actually processed: 100/100"},
		{"pg_dump", "pg_dump --schema-only -t pgbench_accounts", "", "CREATE TABLE public.pgbench_accounts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The one of PATH may be too old for the server: pg_dump refuses a newer one.
			programs := filepath.Dir(pgtest.Program(t, strings.Fields(c.program)[0]))
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", c.program)
			cmd.Env = append(append(cmd.Environ(), "PATH="+programs+":/usr/bin:/bin"), env...)
			cmd.Stdin = strings.NewReader(c.input)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
