package publish

import (
	"context"
	"encoding/json"
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

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

// The variables by which a test tells its helper process what to do.
const (
	helperDir   = "PUBLISH_TEST_DIR"
	helperOwner = "PUBLISH_TEST_OWNER"
	helperAdmin = "PUBLISH_TEST_ADMIN"
	helperPoint = "PUBLISH_TEST_POINT"
)

// dieAt kills the process, for real, at the chosen one of the moments that it is told of.
type dieAt struct {
	fileJournal
	left int
	back bool // only the moments of a compensation count
}

func (d *dieAt) moment(direction Direction) {
	if d.back && direction != Back {
		return
	}
	if d.left--; d.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}

func (d *dieAt) Record(ctx context.Context, e Entry) error {
	if e.Kind == EntryDone || e.Kind == EntryFinished { // committed, and nobody has written it down
		d.moment(e.Direction)
	}
	return d.fileJournal.Record(ctx, e)
}

// TestHelperAppliesAndDies is the process that the tests below kill.
func TestHelperAppliesAndDies(t *testing.T) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		t.Skip("this is the helper process of other tests")
	}
	text, err := os.ReadFile(filepath.Join(dir, "plan"))
	if err != nil {
		t.Fatal(err)
	}
	plan := &schema.Plan{}
	if err := json.Unmarshal(text, plan); err != nil {
		t.Fatal(err)
	}
	connect := func(url string) Connector {
		return func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, url) }
	}
	point := os.Getenv(helperPoint)
	number, back := strings.CutPrefix(point, "back")
	left, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	die := &dieAt{fileJournal: fileJournal{filepath.Join(dir, "journal")}, left: left, back: back}
	_, err = Apply(t.Context(), Order{Plan: plan, Journal: die,
		Target: Target{Owner: connect(os.Getenv(helperOwner)), Administrator: connect(os.Getenv(helperAdmin))},
		Progress: func(e Event) {
			if e.Kind == EventStarted {
				die.moment(e.Direction)
			}
		}})
	fmt.Println("the helper came to its end:", err)
}

// helper starts the helper process.
func helper(t *testing.T, production *base, plan *schema.Plan, dir, point string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plan"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperAppliesAndDies$", "-test.count=1")
	cmd.Env = append(os.Environ(), helperDir+"="+dir, helperOwner+"="+production.URL(), helperAdmin+"="+production.AdminURL(), helperPoint+"="+point)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// killed says whether the helper died of SIGKILL.
func killed(cmd *exec.Cmd) bool {
	var exit *exec.ExitError
	if !errors.As(cmd.Wait(), &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// settle resumes and holds the oracle against the result: the old structure or the new one, and the code that belongs to it works.
func settle(t *testing.T, production *base, plan *schema.Plan, dir, before, after string, direction Direction) State {
	t.Helper()
	u := fileJournal{filepath.Join(dir, "journal")}.unfinished(t)
	out, err := Resume(t.Context(), Order{Plan: plan, Target: production.target(t), Journal: fileJournal{filepath.Join(dir, "journal")}}, u, direction)
	code := oldCode
	switch out.State {
	case Published:
		code = newCode
		mustEqual(t, production.dump(t), after)
	case Compensated, Refused:
		mustEqual(t, production.dump(t), before)
	default:
		t.Fatalf("%+v, %v", out, err)
	}
	production.exec(t, code, production.owner)
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM customer WHERE email LIKE '%@example.com' AND name LIKE 'name %'"); n != 200 {
		t.Errorf("%d of 200 customers are there", n)
	}
	if n := pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM pg_index WHERE NOT indisvalid"); n > 0 {
		t.Errorf("%d invalid indexes", n)
	}
	return out.State
}

// short runs every third moment only: go test -short.
func moments(t *testing.T, run func(t *testing.T, n int) (more bool)) {
	t.Helper()
	for n := 1; ; n++ {
		more := true
		t.Run(strconv.Itoa(n), func(t *testing.T) { more = run(t, n) })
		if !more {
			return
		}
	}
}

func TestKilledAtEachStatementLeavesTheOldStructureOrTheNew(t *testing.T) {
	first, development, plan := shop(t)
	before, after := first.dump(t), development.dump(t)
	states := map[State]int{}
	moments(t, func(t *testing.T, n int) bool {
		production := newBase(t, shopBefore)
		production.exec(t, shopRows, production.owner)
		dir := t.TempDir()
		if !killed(helper(t, production, plan, dir, strconv.Itoa(n))) {
			return false // there is no such moment any more: the helper came to its end
		}
		direction := Forward
		if n%2 == 0 {
			direction = Back
		}
		states[settle(t, production, plan, dir, before, after, direction)]++
		return true
	})
	if states[Published] == 0 || states[Compensated] == 0 || states[Published]+states[Compensated] < len(plan.Statements) {
		t.Errorf("states %v for %d statements", states, len(plan.Statements))
	}
}

func TestKilledWhileCompensatingIsCompensatedFurther(t *testing.T) {
	first, development, plan := shop(t)
	before, after := first.dump(t), development.dump(t)
	reached := 0
	moments(t, func(t *testing.T, n int) bool {
		production := newBase(t, shopBefore)
		production.exec(t, shopRows+"INSERT INTO orders (customer_id, amount) VALUES (999999, 1)", production.owner)
		dir := t.TempDir()
		if !killed(helper(t, production, plan, dir, "back"+strconv.Itoa(3*n-2))) {
			return false
		}
		reached++
		if state := settle(t, production, plan, dir, before, after, Forward); state != Compensated {
			t.Errorf("state %s", state)
		}
		return true
	})
	if reached < 3 {
		t.Errorf("it was killed at %d moments only", reached)
	}
}

// An index is half built when the process dies: the server goes on with it for a while, and it may be invalid afterwards.
func TestKilledInTheMiddleOfAConcurrentIndex(t *testing.T) {
	for _, direction := range []Direction{Forward, Back} {
		t.Run(string(direction), func(t *testing.T) {
			production, development, plan := shop(t)
			before, after := production.dump(t), development.dump(t)
			old := production.ConnectOwner(t)
			production.exec(t, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1", old)
			dir := t.TempDir()
			cmd := helper(t, production, plan, dir, "10000")
			eventually(t, "the index waits for an older transaction", func() bool {
				return pgtest.Value[int](t, production.admin, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE%INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'") == 1
			})
			if err := cmd.Process.Kill(); err != nil || !killed(cmd) {
				t.Fatal("the helper was not killed", err)
			}
			production.exec(t, "COMMIT", old)
			want := Published
			if direction == Back {
				want = Compensated
			}
			if state := settle(t, production, plan, dir, before, after, direction); state != want {
				t.Errorf("state %s, want %s", state, want)
			}
		})
	}
}

// Somebody ends our session: it is made again, and the server is asked how far it came.
func TestLostConnectionIsMadeAgain(t *testing.T) {
	production, development, plan := shop(t)
	told := &events{}
	n := 0
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Journal: fileJournal{filepath.Join(t.TempDir(), "journal")}, Progress: func(e Event) {
		told.tell(e)
		if e.Kind == EventStarted && e.Direction == Forward {
			if n++; n == 3 || n == 9 {
				production.exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '"+application+"'", production.admin)
			}
		}
	}})
	if err != nil || out.State != Published || len(told.of(EventReconnected)) != 2 {
		t.Fatalf("%+v, %v, %d reconnected", out, err, len(told.of(EventReconnected)))
	}
	mustEqual(t, production.dump(t), development.dump(t))
}

func TestConnectionLostAgainAndAgainIsCompensated(t *testing.T) {
	production, _, plan := shop(t)
	before := production.dump(t)
	out, err := Apply(t.Context(), Order{Plan: plan, Target: production.target(t), Progress: func(e Event) {
		if e.Kind == EventStarted && e.Direction == Forward && e.Step == 3 {
			production.exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '"+application+"'", production.admin)
		}
	}})
	if err == nil || out.State != Compensated {
		t.Fatalf("%+v, %v", out, err)
	}
	mustEqual(t, production.dump(t), before)
	production.exec(t, oldCode, production.owner)
}

// The caller stops waiting: the apply stops where it is, and can be undone.
func TestCanceledIsResumed(t *testing.T) {
	production, development, plan := shop(t)
	before, after := production.dump(t), development.dump(t)
	dir := t.TempDir()
	journal := fileJournal{filepath.Join(dir, "journal")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, err := Apply(ctx, Order{Plan: plan, Target: production.target(t), Journal: journal, Progress: func(e Event) {
		if e.Kind == EventStarted && e.Step == 4 {
			cancel()
		}
	}})
	if err == nil || out.State != Interrupted {
		t.Fatalf("%+v, %v", out, err)
	}
	if state := settle(t, production, plan, dir, before, after, Back); state != Compensated {
		t.Errorf("state %s", state)
	}
	if _, done := journal.unfinished(t).finished(); !done {
		t.Error("the journal has no end")
	}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
