package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// Clients lose their connections with the front door; what they were told is committed stays, and the database itself never
// notices.
func TestAKilledControlPlaneLosesNothingAndAdoptsItsServers(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, production := s.project(t, api.NewProject{Name: "shop"})
	s.must(t, "run", production.String(), "--", "pgbench", "-i", "-q", "-s", "2")
	load := s.user("").begin(t, binary, "run", production.String(), "--", "pgbench", "-n", "-c", "4", "-T", "600")
	w := s.write(t, production, 4, 1000)
	fast := s.write(t, development, 2, 1000)
	session := s.connect(t, production)
	begun := value[string](t, session, "SELECT pg_postmaster_start_time()::text")
	before, beforeDevelopment := s.postmaster(t, production), s.postmaster(t, development)
	<-w.enough
	<-fast.enough
	if code := s.signal(t, syscall.SIGKILL); code != -1 {
		t.Fatalf("kill -9 ended it with %d", code)
	}
	if code := load.wait(t); code == 0 {
		t.Error("pgbench did not notice that the front door is gone")
	}
	w.all.Wait()
	fast.all.Wait()

	s.start(t)
	for ref, was := range map[holdfast.BranchRef]postmaster{production: before, development: beforeDevelopment} {
		if b := s.branch(t, ref); b.Activity != "awake" {
			t.Errorf("%s is %s after the crash: %s", ref, b.Activity, b.Reason)
		}
		if now := s.postmaster(t, ref); now != was || was.pid == "" {
			t.Errorf("%s was served by %+v, now by %+v", ref, was, now)
		}
	}
	if now := value[string](t, s.connect(t, production), "SELECT pg_postmaster_start_time()::text"); now != begun {
		t.Errorf("the server started at %s, now %s", begun, now)
	}
	w.check(t, s, production)
	fast.check(t, s, development) // its server did not crash, so not even asynchronous commits are lost
	checkPgbench(t, s, production, load.Out.String())
	// It is ours in every way: it can be stopped and started.
	s.must(t, "sleep", production.String(), "--force")
	s.must(t, "psql", production.String(), "--", "-Xc", "SELECT 1")
}

// checkPgbench compares what pgbench says it has done with what its history table holds.
func checkPgbench(t *testing.T, s *server, ref holdfast.BranchRef, said string) {
	t.Helper()
	found := regexp.MustCompile(`number of transactions actually processed: (\d+)`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("pgbench said:\n%s", said)
	}
	done, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	if kept := value[int](t, s.connect(t, ref), "SELECT count(*) FROM pgbench_history"); kept < done || done == 0 {
		t.Errorf("pgbench was told of %d transactions, %d are there", done, kept)
	}
}

func TestAKilledPostmasterComesBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 0)
	w := s.write(t, production, 4, 1000)
	before := s.postmaster(t, production)
	<-w.enough
	pid, err := strconv.Atoi(before.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.all.Wait()
	// Nobody asks for it: it comes back by itself.
	servetest.Until(t, "the server is back", func() bool {
		now := s.postmaster(t, production)
		return now.pid != "" && now.pid != before.pid && s.branch(t, production).Activity == "awake"
	})
	w.check(t, s, production)
}

// While a server that died comes back, a client waits for it as for one that sleeps.
func TestAClientThatComesAfterACrashWaits(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 0)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
	pid, err := strconv.Atoi(s.postmaster(t, production).pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	servetest.Until(t, "the session notices", func() bool {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		return err != nil
	})
	// A session of the moment of the crash may still be let in to the dying server; the next one is not.
	var last error
	servetest.Until(t, "a client is served", func() bool {
		c, err := pgconn.Connect(t.Context(), s.connection(t, production).URL)
		if err == nil {
			_, err = c.Exec(t.Context(), "SELECT n FROM kept").ReadAll()
			_ = c.Close(t.Context()) // what it was for is over
		}
		if last != nil && err != nil {
			t.Fatalf("two clients failed: %v, %v", last, err)
		}
		last = err
		return err == nil
	})
}

// A pid file that a crash of the machine left, whose number another process has by now: neither is that process touched, nor does
// it keep the branch from starting.
func TestAStalePidFileOfAnotherProcessIsRecognised(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, _ := s.project(t, api.NewProject{Name: "shop"})
	pidFile := filepath.Join(s.branchDir(t, development), "data", "postmaster.pid")
	s.must(t, "wake", development.String())
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGTERM)
	bystander := s.user("").begin(t, "sleep", "600")
	lines := strings.SplitN(string(raw), "\n", 2)
	stale := strconv.Itoa(bystander.Pid()) + "\n" + lines[1]
	if err := os.WriteFile(pidFile, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	s.must(t, "psql", development.String(), "--", "-Xc", "SELECT 1")
	s.must(t, "sleep", development.String())
	if bystander.Gone() {
		t.Error("the other process was ended")
	}
}

// A crash at any moment of the first start leaves what the next start completes.
func TestAFirstStartThatIsKilledIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	s := newServer(t, place(t), nil, "--sample", "shop", "--rows", "2000")
	for _, step := range []string{"[1/3]", "[2/3]"} {
		s.launch(t)
		servetest.Until(t, "the step "+step, func() bool { return strings.Contains(s.process.Log.String(), step) || s.process.Gone() })
		s.signal(t, syscall.SIGKILL)
	}
	s.start(t)
	urls := printedURL.FindAllString(s.process.Out.String(), -1)
	if len(urls) != 2 {
		t.Fatalf("it said:\n%s", s.process.Out)
	}
	for _, url := range urls {
		if got := s.user("").must(t, "psql", url, "-XAtc", "SELECT count(*) > 0 FROM messages"); got != "t\n" {
			t.Errorf("the sample data: %s", got)
		}
	}
	if there := branchesOn(t, s); len(there) != 2 {
		t.Errorf("these branches lie there: %q", there)
	}
}
