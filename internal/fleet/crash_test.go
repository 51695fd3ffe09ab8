package fleet_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func TestAKilledPostmasterIsRestartedWithItsData(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	conn, _ := y.client(t)
	admin, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, admin.Conn, "UPDATE public.kept SET n = 8")
	_ = admin.Close(t.Context())
	died := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(600)")
		died <- err
	}()
	y.await(t, holdfast.Awake)
	y.kill(t)
	y.await(t, holdfast.Waking)
	y.await(t, holdfast.Awake)
	if err := <-died; err == nil {
		t.Error("a query outlived its server")
	}
	if got := y.kept(t); got != 8 {
		t.Errorf("an acknowledged change is lost: %d", got)
	}
}

// Between the death of a server and its being noticed a client can be admitted. It gets the next server.
func TestAClientWhoMeetsADyingServerGetsTheNextOne(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	session, err := y.Acquire(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Release()
	y.kill(t)
	conn, err := session.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := y.Sleep(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	if conn, err := session.Dial(t.Context()); err == nil {
		_ = conn.Close()
		t.Error("a cancel request of a session that is over woke the branch")
	}
	if got := y.activity(t); got != holdfast.Asleep {
		t.Errorf("the branch is %s", got)
	}
}

func TestAServerThatKeepsDyingIsLeftBrokenWithItsReason(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		y.await(t, holdfast.Awake)
		y.kill(t)
	}
	y.await(t, holdfast.Awake)
	y.kill(t)
	event := y.await(t, holdfast.Broken)
	if holdfast.KindOf(event.Reason) != holdfast.Unavailable || holdfast.HintOf(event.Reason) == "" {
		t.Errorf("the reason is %v", event.Reason)
	}
	status, err := y.Status(id)
	if err != nil || len(status.Log) == 0 || status.Reason == nil {
		t.Errorf("the status is %+v, %v", status, err)
	}
	if got := y.kept(t); got != 7 {
		t.Errorf("a wake on demand finds %d", got)
	}
}

func TestAServerThatDoesNotStartIsBrokenUntilItDoes(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	control := filepath.Join(y.DataDir(spec()), "global", "pg_control")
	if err := os.Rename(control, control+".away"); err != nil {
		t.Fatal(err)
	}
	var failed []error
	for range 2 {
		_, err := y.Acquire(t.Context(), id)
		failed = append(failed, err)
	}
	for _, err := range failed {
		if holdfast.KindOf(err) != holdfast.Unavailable {
			t.Errorf("the error is %v", err)
		}
	}
	status, err := y.Status(id)
	if err != nil || status.Activity != holdfast.Broken || !strings.Contains(strings.Join(status.Log, "\n"), "pg_control") && !strings.Contains(strings.Join(status.Log, "\n"), "database system") {
		t.Errorf("the status is %+v, %v", status, err)
	}
	if err := os.Rename(control+".away", control); err != nil {
		t.Fatal(err)
	}
	if got := y.kept(t); got != 7 {
		t.Errorf("after it was mended: %d", got)
	}
}

func TestAServerStoppedBySomebodyElseIsAsleep(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(y.postmaster(t), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	y.await(t, holdfast.Asleep)
	if got := y.kept(t); got != 7 {
		t.Errorf("read %d", got)
	}
}

func TestServersOutliveCloseAndAreAdopted(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	conn, _ := y.client(t)
	pid := y.postmaster(t)
	for range 2 {
		if err := y.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, conn, "SELECT 1")
	if _, err := y.Acquire(t.Context(), id); err == nil {
		t.Log("a closed fleet still hands out an awake branch, which is harmless")
	}
	y.open(t, spec())
	if got := y.activity(t); got != holdfast.Awake || y.postmaster(t) != pid {
		t.Errorf("after adoption it is %s, process %d then %d", got, pid, y.postmaster(t))
	}
	pgtest.Exec(t, conn, "SELECT 1")
	y.kill(t) // an adopted server is watched too, although it may be no child
	y.await(t, holdfast.Awake)
	if err := y.Sleep(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
}

func TestShutdownStopsEverythingCleanly(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	other := spec(func(s *fleet.Spec) { s.ID = "b2" })
	y.create(t, other)
	y.client(t)
	if err := y.Wake(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	if err := y.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pids := pgtest.ProcessesBelow(t, y.config.Root); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	if err := y.Wake(t.Context(), id); holdfast.KindOf(err) != holdfast.Unavailable {
		t.Errorf("waking after the shutdown: %v", err)
	}
	y.open(t, spec(), other)
	if got := y.activity(t); got != holdfast.Asleep {
		t.Errorf("after a clean shutdown it is %s", got)
	}
}

// A crash of the machine leaves a data directory that was not shut down: it is recovered without anybody asking.
func TestAfterACrashOfTheMachineBranchesRecover(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	pgtest.EndProcessesBelow(t, y.config.Root)
	y.open(t, spec())
	waitUntil(t, func() bool { return y.activity(t) == holdfast.Awake })
	if got := y.kept(t); got != 7 {
		t.Errorf("read %d", got)
	}
}

// What a child process of a test is to do, and where.
const (
	childTask = "FLEET_TEST_TASK"
	childRoot = "FLEET_TEST_ROOT"
)

// controlPlane runs the test of this name again in a process of its own, which finds task in childTask.
func (y *yard) controlPlane(t *testing.T, task string) (child *exec.Cmd, said *bufio.Scanner) {
	t.Helper()
	child = exec.Command(os.Args[0], "-test.run=^"+strings.SplitN(t.Name(), "/", 2)[0]+"$")
	child.Env = append(os.Environ(), childTask+"="+task, childRoot+"="+y.config.Root)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, bufio.NewScanner(out)
}

func killAndWait(t *testing.T, child *exec.Cmd) {
	t.Helper()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
}

// childYard is the yard of a child process; nil in the test itself.
func childYard(t *testing.T, specs ...fleet.Spec) *yard {
	t.Helper()
	root := os.Getenv(childRoot)
	if root == "" {
		return nil
	}
	y := newYard(t, func(c *fleet.Config) { c.Root = root })
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	y.open(t, specs...)
	return y
}

// The control plane is killed while it uses a branch; the next one finds the server running.
func TestServersSurviveAKilledControlPlane(t *testing.T) {
	if y := childYard(t, spec()); y != nil {
		if err := y.Wake(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		fmt.Println("awake")
		select {}
	}
	y := newYard(t)
	y.create(t, spec())
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	child, said := y.controlPlane(t, "wake")
	for said.Scan() && !strings.Contains(said.Text(), "awake") {
	}
	pid := y.postmaster(t)
	killAndWait(t, child)
	y.open(t, spec())
	if got := y.activity(t); got != holdfast.Awake || y.postmaster(t) != pid {
		t.Errorf("it is %s, process %d then %d", got, pid, y.postmaster(t))
	}
	if got := y.kept(t); got != 7 {
		t.Errorf("read %d", got)
	}
}

// However far it came with making a branch when it was killed, the next control plane finds nothing, or the whole branch.
func TestACreateThatIsKilledAnywhereLeavesNothingHalfMade(t *testing.T) {
	if y := childYard(t); y != nil {
		if err := y.Create(t.Context(), spec(), prepare); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	for _, moment := range []string{".new-b1", ".new-b1/data/PG_VERSION", ".new-b1/data/base/1/PG_VERSION", ".new-b1/data/base/4/PG_VERSION", ".new-b1/data/postmaster.pid",
		".new-b1/data.socket/.s.PGSQL.5432", "b1"} {
		t.Run(filepath.Base(filepath.Dir(moment))+" "+filepath.Base(moment), func(t *testing.T) {
			y := newYard(t)
			if err := y.Close(); err != nil {
				t.Fatal(err)
			}
			child, _ := y.controlPlane(t, "create")
			waitUntil(t, func() bool {
				_, err := os.Lstat(filepath.Join(y.config.Root, moment))
				return err == nil
			})
			killAndWait(t, child)
			if _, err := os.Stat(y.Dir(spec())); err == nil {
				y.open(t, spec())
				if got := y.kept(t); got != 7 {
					t.Errorf("the branch holds %d", got)
				}
				return
			}
			y.open(t)
			// What came too late to be ended finds its directory gone, and ends by itself a moment later.
			waitUntil(t, func() bool { return len(pgtest.ProcessesBelow(t, y.config.Root)) == 0 })
			y.wantNothing(t)
		})
	}
}

// A control plane that dies while it makes a branch leaves nothing that the next one keeps.
func TestAnInterruptedCreateIsClearedAway(t *testing.T) {
	y := newYard(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := y.Create(ctx, spec(), func(context.Context, *postgres.Server) error { cancel(); return ctx.Err() })
	if holdfast.KindOf(err) != holdfast.Canceled {
		t.Errorf("the error is %v", err)
	}
	y.wantNothing(t)
	// The same, but nobody is left to clear up.
	dir := filepath.Join(y.config.Root, ".new-b1")
	stray := postgres.New(postgres.Config{Installation: pgtest.Installation(t), Account: pgtest.Account(t), DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "server.log")})
	if err := stray.Init(t.Context(), postgres.InitOptions{Unsynced: true}); err != nil {
		t.Fatal(err)
	}
	if err := stray.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stray.Detach()
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	y.open(t)
	y.wantNothing(t)
	y.create(t, spec())
}

func (y *yard) wantNothing(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(y.config.Root); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if pids := pgtest.ProcessesBelow(t, y.config.Root); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// smallDisk mounts a file system of a few megabytes for the branches.
func smallDisk(t *testing.T, options string) func(*fleet.Config) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := pgtest.Dir(t)
	account := pgtest.Account(t)
	data := fmt.Sprintf("mode=0700,uid=%d,gid=%d,%s", account.UID, account.GID, options)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, data); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		pgtest.EndProcessesBelow(t, dir)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return func(c *fleet.Config) { c.Root = filepath.Join(dir, "f") }
}

func TestAFullDiskLeavesNothingHalfMade(t *testing.T) {
	for _, size := range []string{"64k", "8m", "40m"} { // full at the directory, within initdb, and behind it
		t.Run(size, func(t *testing.T) {
			y := newYard(t, smallDisk(t, "size="+size))
			err := y.Create(t.Context(), spec(), func(ctx context.Context, server *postgres.Server) error {
				conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
				if err != nil {
					return err
				}
				defer conn.Close(ctx)
				_, err = conn.Exec(ctx, "CREATE TABLE public.big AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
				return postgres.Explain(err)
			})
			if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "o space left") && !strings.Contains(err.Error(), "could not extend") {
				t.Errorf("the error is %v", err)
			}
			y.wantNothing(t)
		})
	}
}

func TestAReadOnlyDirectoryIsNamed(t *testing.T) {
	y := newYard(t, smallDisk(t, "size=200m"))
	y.create(t, spec())
	mount := filepath.Dir(y.config.Root)
	if err := unix.Mount("", mount, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := y.Create(t.Context(), spec(func(s *fleet.Spec) { s.ID = "b2" }), nil); holdfast.KindOf(err) != holdfast.Precondition || holdfast.HintOf(err) == "" {
		t.Errorf("creating: %v", err)
	}
	if err := y.Wake(t.Context(), id); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("waking: %v", err)
	}
	if err := unix.Mount("", mount, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if got := y.kept(t); got != 7 {
		t.Errorf("after it was mended: %d", got)
	}
}

func TestAMissingInstallationBreaksOnlyItsBranch(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	y.open(t, spec(), fleet.Spec{ID: "b3", Major: 99})
	status, err := y.Status("b3")
	if err != nil || status.Activity != holdfast.Broken || holdfast.KindOf(status.Reason) != holdfast.Precondition {
		t.Errorf("the status is %+v, %v", status, err)
	}
	if _, err := y.Acquire(t.Context(), "b3"); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("the error is %v", err)
	}
	if got := y.kept(t); got != 7 {
		t.Errorf("the other branch: %d", got)
	}
}

// A control plane that dies amid a sleep leaves a server on its way down.
func TestAServerOnItsWayDownIsWokenAgain(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	admin, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, admin.Conn, "CREATE TABLE public.dirty AS SELECT generate_series(1, 300000) AS n")
	_ = admin.Close(t.Context())
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(y.postmaster(t), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	y.open(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	t.Logf("awake again after %s", time.Since(begun))
	if got := y.kept(t); got != 7 {
		t.Errorf("read %d", got)
	}
}
