package postgres_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func TestServerListensOnAClosedUnixSocketOnly(t *testing.T) {
	s := pgtest.Start(t)
	info, err := os.Stat(s.SocketDir())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory has mode %v", info.Mode())
	}
	conn := s.Database(t).Connect(t)
	if got := pgtest.Value[string](t, conn, "SELECT current_setting('listen_addresses')"); got != "" {
		t.Errorf("it listens on %q", got)
	}
	if got := pgtest.Value[string](t, conn, "SELECT current_setting('data_checksums') || current_setting('server_encoding')"); got != "onUTF8" {
		t.Errorf("checksums and encoding are %s", got)
	}
}

// The servers' own account must not enter as administrator: what runs inside a server is not the control plane.
func TestOnlyTheControlPlanesUserEntersAsAdministrator(t *testing.T) {
	s := pgtest.Start(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root: else the servers' account and ours are the same")
	}
	psql, err := postgres.FindProgram(t.Context(), pgtest.Setting(), "psql", s.Installation().Major)
	if err != nil {
		t.Skip(err)
	}
	run := func(env []string, args ...string) (string, error) {
		cmd := s.Account().Command(t.Context(), psql, append([]string{"-w", "-c", "select 1"}, args...)...)
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(s.ClientEnvironment("postgres")); err == nil || !strings.Contains(out, "Peer authentication failed") {
		t.Errorf("the servers' account as administrator: %v, %s", err, out)
	}
	if out, err := run(append(s.ClientEnvironment("postgres"), "PGUSER="+pgtest.Owner)); err == nil || !strings.Contains(out, "no password supplied") {
		t.Errorf("the owner without a password: %v, %s", err, out)
	}
	ours := exec.CommandContext(t.Context(), psql, "-w", "-At", "-c", "select current_user")
	ours.Env = s.ClientEnvironment("postgres")
	if out, err := ours.CombinedOutput(); err != nil || string(out) != "holdfast\n" {
		t.Errorf("our own user as administrator: %v, %s", err, out)
	}
}

func TestStopAndStartAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := pgtest.New(t)
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	control, err := s.Control(t.Context())
	if err != nil || !control.ShutDownCleanly() {
		t.Errorf("after a fast stop the state is %q, %v", control.State, err)
	}
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Errorf("stopping a stopped server: %v", err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("starting a running server: %v", err)
	}
	if err := s.Stop(t.Context(), postgres.Immediate); err != nil {
		t.Fatal(err)
	}
	if s.Ready() || s.Ended() != nil {
		t.Error("a stopped server seems to run")
	}
}

// another returns a second Server of the same directories, as a new control plane has it.
func another(t *testing.T, s *pgtest.Server) *postgres.Server {
	t.Helper()
	next := postgres.New(postgres.Config{Installation: s.Installation(), Account: s.Account(), DataDir: s.DataDir(), LogFile: filepath.Join(filepath.Dir(s.DataDir()), "log")})
	t.Cleanup(next.Detach)
	return next
}

func postmasterPID(t *testing.T, s *pgtest.Server) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.DataDir(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestARunningServerIsAdopted(t *testing.T) {
	s := pgtest.New(t)
	pid := postmasterPID(t, s)
	s.Detach()
	next := another(t, s)
	if running, err := next.Adopt(); err != nil || !running || !next.Ready() {
		t.Fatalf("adopted %v, ready %v, %v", running, next.Ready(), err)
	}
	if got := postmasterPID(t, s); got != pid {
		t.Errorf("the server was restarted: process %d, then %d", pid, got)
	}
	ended := next.Ended()
	if err := next.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if _, open := <-ended; open {
		t.Error("the end was not announced")
	}
}

// The clock can be set while a server runs; its start time then does not fit its pid file any more.
func TestAServerIsAdoptedAfterTheClockWasSet(t *testing.T) {
	s := pgtest.New(t)
	s.Detach()
	path := filepath.Join(s.DataDir(), "postmaster.pid")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	lines[2] = "12345"
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if running, err := another(t, s).Adopt(); err != nil || !running {
		t.Errorf("adopted %v, %v", running, err)
	}
}

// After a crash of the machine the number in postmaster.pid may belong to anybody, even to another PostgreSQL.
func TestAStalePidFileOfAnotherProcessIsRecognised(t *testing.T) {
	victim, innocent := pgtest.New(t), pgtest.New(t)
	for name, pid := range map[string]int{"this test": os.Getpid(), "another postmaster": postmasterPID(t, innocent), "nobody": 1 << 22} {
		t.Run(name, func(t *testing.T) {
			if err := victim.Stop(t.Context(), postgres.Immediate); err != nil {
				t.Fatal(err)
			}
			stale := fmt.Sprintf("%d\n%s\n%d\n5432\n%s\n\n  5432001   1234\nready   \n", pid, victim.DataDir(), time.Now().Unix(), victim.SocketDir())
			for _, path := range []string{filepath.Join(victim.DataDir(), "postmaster.pid"), victim.SocketPath() + ".lock"} {
				if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := victim.Account().Own(path); err != nil {
					t.Fatal(err)
				}
			}
			next := another(t, victim)
			if running, err := next.Adopt(); err != nil || running {
				t.Fatalf("took process %d for the server: %v", pid, err)
			}
			if err := next.Stop(t.Context(), postgres.Fast); err != nil {
				t.Errorf("stopping: %v", err)
			}
			if err := next.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !innocent.Ready() {
				t.Error("the other server was hit")
			}
		})
	}
}

// kill -9 of a postmaster leaves its backends; one amid a long query goes on and holds the shared memory, and PostgreSQL alone would
// refuse to start until it ends.
func TestKilledPostmasterWithABusyBackendIsRecovered(t *testing.T) {
	for name, stopFirst := range map[string]bool{"by a start": false, "by a stop": true} {
		t.Run(name, func(t *testing.T) { killWithABusyBackend(t, stopFirst) })
	}
}

func killWithABusyBackend(t *testing.T, stopFirst bool) {
	s := pgtest.New(t, pgtest.Parameter("fsync", "on"), pgtest.Parameter("synchronous_commit", "on"))
	db := s.Database(t)
	conn := db.Connect(t)
	pgtest.Exec(t, conn, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	busy := db.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go busy.Exec(ctx, "DO $$ BEGIN LOOP END LOOP; END $$") //nolint:errcheck // it is to be killed
	waitUntil(t, func() bool {
		return pgtest.Value[int](t, conn, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO%'") == 1
	})
	backend := int(busy.PgConn().PID())
	ended := s.Ended()
	if err := syscall.Kill(postmasterPID(t, s), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := syscall.Kill(backend, 0); err != nil {
		t.Fatalf("the busy backend has ended already: %v", err)
	}
	if stopFirst { // whoever stops it may replace the files next
		if err := s.Stop(t.Context(), postgres.Fast); err != nil {
			t.Fatal(err)
		}
		if pids := pgtest.ProcessesBelow(t, s.DataDir()); len(pids) > 0 {
			t.Errorf("processes %v are left after a stop", pids)
		}
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[int](t, db.Connect(t), "SELECT n FROM kept"); got != 7 {
		t.Errorf("read %d", got)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	s := pgtest.New(t)
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.DataDir(), "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	err := s.Start(t.Context())
	if holdfast.KindOf(err) != holdfast.Unavailable || !strings.Contains(err.Error(), "pg_control") && !strings.Contains(err.Error(), "could not find the database system") {
		t.Errorf("the error is %v", err)
	}
	if pids := pgtest.ProcessesBelow(t, s.DataDir()); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

func TestStartStopsAgainWhenItsContextEnds(t *testing.T) {
	s := pgtest.New(t)
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if pids := pgtest.ProcessesBelow(t, s.DataDir()); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// A bad value must be refused in PostgreSQL's words before the running server is touched.
func TestBadSettingsAreRefusedBeforeAnythingIsTouched(t *testing.T) {
	s := pgtest.Start(t)
	conf := filepath.Join(s.DataDir(), "postgresql.conf")
	before, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, reason string }{
		{"work_mem", "lots", `invalid value for parameter "work_mem": "lots"`},
		{"no_such_setting", "1", `unrecognized configuration parameter "no_such_setting"`},
		{"shared_buffers", "100TB", "shared"},
		{"checkpoint_timeout", "1s", "checkpoint_timeout"},
	} {
		_, err := s.Configure(t.Context(), map[string]string{c.name: c.value})
		if holdfast.KindOf(err) != holdfast.Invalid || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), s.DataDir()) {
			t.Errorf("%s = %s: %v", c.name, c.value, err)
		}
	}
	after, err := os.ReadFile(conf)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the configuration was touched: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.DataDir()), ".check-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSettingsOfAnyTextArriveAsTheyAre(t *testing.T) {
	value := `it's a \ "back" slash`
	s := pgtest.New(t, pgtest.Parameter("cluster_name", value), pgtest.Parameter("listen_addresses", "*"), pgtest.Parameter("shared_preload_libraries", "pg_stat_statements"))
	conn := s.Database(t).Connect(t)
	if got := pgtest.Value[string](t, conn, "SELECT current_setting('cluster_name')"); got != value {
		t.Errorf("got %s", got)
	}
	if got := pgtest.Value[string](t, conn, "SELECT current_setting('listen_addresses')"); got != "" {
		t.Errorf("a parameter opened the server on %q", got)
	}
	changed, err := s.Configure(t.Context(), map[string]string{"cluster_name": "x"})
	if err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if changed, err = s.Configure(t.Context(), map[string]string{"cluster_name": "x"}); err != nil || changed {
		t.Errorf("changed again %v, %v", changed, err)
	}
}

// The path of a Unix socket has a limit; a data directory has not.
func TestALongDataDirectoryGetsAShortSocket(t *testing.T) {
	account := pgtest.Account(t)
	dir := filepath.Join(pgtest.Dir(t), strings.Repeat("long", 30))
	if err := account.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	s := postgres.New(postgres.Config{Installation: pgtest.Installation(t), Account: account, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})
	if err := s.Init(t.Context(), postgres.InitOptions{Unsynced: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveSocketDir(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.SocketDir()); !os.IsNotExist(err) {
		t.Errorf("the socket's directory is still there: %v", err)
	}
}

// Somebody else could make the short directory first and listen in our place.
func TestASocketDirectoryOfSomebodyElseIsRefused(t *testing.T) {
	s := pgtest.New(t)
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.SocketDir(), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("the error is %v", err)
	}
}

func TestAnUnreachableDirectoryIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: else the servers' account and ours are the same")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := postgres.New(postgres.Config{Installation: pgtest.Installation(t), Account: pgtest.Account(t), DataDir: filepath.Join(dir, "branch", "data"), LogFile: filepath.Join(dir, "log")})
	err := s.Init(t.Context(), postgres.InitOptions{Unsynced: true})
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), dir) || holdfast.HintOf(err) == "" {
		t.Errorf("the error is %v", err)
	}
}

// A package upgrade replaces the executable under a running server.
func TestAReplacedExecutableIsNoticed(t *testing.T) {
	install, account := pgtest.Installation(t), pgtest.Account(t)
	dir := pgtest.Dir(t)
	// A copy whose postgres can be replaced; its libraries and data are found by the relative layout of the original.
	prefix := filepath.Join(dir, "prefix")
	if err := exec.CommandContext(t.Context(), "cp", "-a", install.BinDir, prefix).Run(); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(prefix, "postgres")
	if head, err := os.ReadFile(program); err != nil || bytes.HasPrefix(head, []byte("#!")) {
		t.Skipf("%s is a script that starts another program: %v", program, err)
	}
	s := postgres.New(postgres.Config{Installation: install, Account: account, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})
	if err := s.Init(t.Context(), postgres.InitOptions{Unsynced: true}); err != nil {
		t.Fatal(err)
	}
	copied := install
	copied.BinDir = prefix
	s = postgres.New(postgres.Config{Installation: copied, Account: account, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})
	if err := s.Start(t.Context()); err != nil {
		t.Skipf("a copied postgres does not start: %v", err)
	}
	defer s.Stop(context.Background(), postgres.Immediate)
	if s.Replaced() {
		t.Error("a server that nobody touched seems replaced")
	}
	if err := exec.CommandContext(t.Context(), "cp", program, program+".new").Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	if !s.Replaced() {
		t.Error("the replaced executable was not noticed")
	}
}

// A PostgreSQL with a C library of its own is started through that library's loader: then the executable that the kernel
// knows is the loader, which an upgrade of PostgreSQL does not touch.
func TestAReplacedExecutableIsNoticedUnderALoader(t *testing.T) {
	install := pgtest.Installation(t)
	program := filepath.Join(install.BinDir, "postgres")
	loader := interpreter(program)
	if loader == "" {
		t.Skipf("%s names no dynamic loader", program)
	}
	s := pgtest.New(t)
	if err := s.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(pgtest.Dir(t), "prefix")
	real := filepath.Join(prefix, "real", "postgres")
	libraries := filepath.Join(install.BinDir, "..", "lib") // of an installation that finds them beside its programs
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' --argv0 '%s' '%s' \"$@\"\n", loader, libraries, program, real)
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(real), 0o755),
		exec.CommandContext(t.Context(), "cp", program, real).Run(),
		os.WriteFile(filepath.Join(prefix, "postgres"), []byte(script), 0o755),
		os.Chmod(prefix, 0o755),
		pgtest.Account(t).Own(prefix),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	install.BinDir = prefix
	config := postgres.Config{Installation: install, Account: s.Account(), DataDir: s.DataDir(), LogFile: filepath.Join(filepath.Dir(s.DataDir()), "log")}
	wrapped := postgres.New(config)
	if err := wrapped.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer wrapped.Stop(context.Background(), postgres.Immediate)
	if wrapped.Replaced() {
		t.Error("a server that nobody touched seems replaced")
	}
	next := postgres.New(config)
	if adopted, err := next.Adopt(); err != nil || !adopted {
		t.Errorf("adopted: %v, %v", adopted, err)
	}
	defer next.Detach()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `cp "$1" "$1.new" && mv "$1.new" "$1"`, "sh", real).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !wrapped.Replaced() || !next.Replaced() {
		t.Error("the replaced executable was not noticed")
	}
}

// interpreter reads which dynamic loader a program asks for, "" when it is no such program.
func interpreter(program string) string {
	file, err := elf.Open(program)
	if err != nil {
		return ""
	}
	defer file.Close()
	section := file.Section(".interp")
	if section == nil {
		return ""
	}
	name, err := section.Data()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(name), "\x00")
}

func TestALongLogIsCut(t *testing.T) {
	s := pgtest.New(t)
	next := postgres.New(postgres.Config{Installation: s.Installation(), Account: s.Account(), DataDir: s.DataDir(), LogFile: filepath.Join(filepath.Dir(s.DataDir()), "log"), MaxLogSize: 100})
	if err := next.TrimLog(); err != nil {
		t.Fatal(err)
	}
	if lines := next.LastLog(5); len(lines) != 0 {
		t.Errorf("the log still holds %v", lines)
	}
	pgtest.Exec(t, s.Database(t).Connect(t), "DO $$ BEGIN RAISE LOG 'written after the cut'; END $$")
	if lines := next.LastLog(5); !strings.Contains(strings.Join(lines, "\n"), "written after the cut") {
		t.Errorf("the server no longer logs: %v", lines)
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

// Root in a container often lacks the capability to look into other users' processes. A server that seemed dead for that would get a
// second postmaster.
func TestServersAreFoundWithoutTheRightToTrace(t *testing.T) {
	pgtest.Installations(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("needs root and setpriv: %v", err)
	}
	again := exec.CommandContext(t.Context(), setpriv, "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", os.Args[0],
		"-test.run=^(TestARunningServerIsAdopted|TestKilledPostmasterWithABusyBackendIsRecovered|TestAReplacedExecutableIsNoticed|TestAReplacedExecutableIsNoticedUnderALoader)$")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
