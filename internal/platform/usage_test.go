package platform

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// countNow counts the usage up to now.
func countNow(t *testing.T, p *Platform) {
	t.Helper()
	if err := p.countUsage(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

func usedBy(t *testing.T, p *Platform, project, branch string) holdfast.Usage {
	t.Helper()
	report, err := p.Usage(t.Context(), admin, UsageScope{Project: project, Branch: branch}, UsageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return report.Total
}

func TestUsageIsCountedAndAskingWakesNothing(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	dev := ref(t, "shop/development")
	b, err := p.findBranch(t.Context(), admin, dev, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	countNow(t, p)
	before := usedBy(t, p, "shop", "development")
	conn := asOwner(t, p, dev)
	pgtest.Exec(t, conn, `CREATE TABLE big AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g`)
	conn.Close(t.Context())
	countNow(t, p)
	if used := usedBy(t, p, "shop", "development"); used.Written-before.Written < 10_000_000 {
		t.Errorf("an awake branch wrote %d bytes, want 10 MB at least", used.Written-before.Written)
	}
	if _, err := p.Sleep(t.Context(), admin, dev, true); err != nil {
		t.Fatal(err)
	}
	p.measureOne(t.Context(), b.ID)
	countNow(t, p)
	asleep := usedBy(t, p, "shop", "development")
	if spent := time.Since(begun).Microseconds(); asleep.AwakeMicros-before.AwakeMicros > spent || asleep.AwakeMicros <= before.AwakeMicros {
		t.Errorf("awake for %d µs of %d", asleep.AwakeMicros-before.AwakeMicros, spent)
	}
	countNow(t, p)
	later := usedBy(t, p, "shop", "development")
	if later.AwakeMicros != asleep.AwakeMicros || later.Written != asleep.Written || later.RootBytes <= asleep.RootBytes || later.ChildBytes != 0 || later.BranchMicros <= asleep.BranchMicros {
		t.Errorf("a sleeping branch used\n%+v after\n%+v", later, asleep)
	}
	if s, err := p.fleet.Status(b.ID); err != nil || s.Activity != holdfast.Asleep {
		t.Errorf("asking for the usage left the branch %s, %v", s.Activity, err)
	}
	whole, err := p.Usage(t.Context(), admin, UsageScope{}, UsageQuery{By: "hour", Per: "branch"})
	if err != nil {
		t.Fatal(err)
	}
	var sum holdfast.Usage
	for _, row := range whole.Rows {
		if row.Project != "shop" || row.Branch == "" {
			t.Errorf("a row of %q/%q", row.Project, row.Branch)
		}
		sum.Add(row.Used)
	}
	if sum.AwakeMicros != whole.Total.AwakeMicros || sum.AwakeMicros < later.AwakeMicros {
		t.Errorf("the rows add up to %+v, the total is %+v", sum, whole.Total)
	}
	stranger := holdfast.Principal{Name: "stranger", Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ProjectID: "prj_other"}
	if seen, err := p.Usage(t.Context(), stranger, UsageScope{}, UsageQuery{}); err != nil || seen.Total != (holdfast.Usage{}) {
		t.Errorf("a stranger sees %+v, %v", seen.Total, err)
	}
}

// The control plane ends and leaves its servers running: they are adopted, and the time in between was awake as well. What was counted before
// is not counted again.
func TestUsageGoesOnWhileTheControlPlaneIsAway(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	dev := ref(t, "shop/development")
	if _, err := p.Wake(t.Context(), admin, dev); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	countNow(t, p)
	first := usedBy(t, p, "shop", "development")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	countNow(t, p)
	second := usedBy(t, p, "shop", "development")
	if grown, spent := second.AwakeMicros-first.AwakeMicros, time.Since(at).Microseconds(); grown <= 0 || grown > spent {
		t.Errorf("awake for %d µs of %d", grown, spent)
	}
	if second.Written < first.Written || second.Written-first.Written > 64<<20 {
		t.Errorf("written %d, then %d", first.Written, second.Written)
	}
}

func TestAHardBudgetPutsToSleepAndLetsNothingWake(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	dev, prod := ref(t, "shop/development"), ref(t, "shop/production")
	for _, r := range []holdfast.BranchRef{dev, prod} {
		if _, err := p.Wake(t.Context(), admin, r); err != nil {
			t.Fatal(err)
		}
	}
	countNow(t, p)
	soft := holdfast.UsageBudget{Name: "soft", Metric: holdfast.ActiveTimeSeconds, Limit: 1e-6}
	if err := p.SetUsageBudget(t.Context(), admin, UsageScope{Project: "shop"}, soft); err != nil {
		t.Fatal(err)
	}
	if in, err := p.BudgetsInNeed(t.Context()); err != nil || len(in) != 1 || in[0].State() != "used_up" {
		t.Errorf("got %+v, %v", in, err)
	}
	p.enforceBudgets(t.Context())
	if v, _ := p.Branch(t.Context(), admin, dev); v.Activity != holdfast.Awake {
		t.Errorf("a soft budget made development %s", v.Activity)
	}
	hard := holdfast.UsageBudget{Name: "hard", Metric: holdfast.ActiveTimeSeconds, Limit: 1e-6, Hard: true}
	if err := p.SetUsageBudget(t.Context(), admin, UsageScope{Project: "shop"}, hard); err != nil {
		t.Fatal(err)
	}
	// The second time it is insisted on: whatever keeps it awake had its time.
	conn := asOwner(t, p, dev)
	pgtest.Exec(t, conn, "BEGIN")
	p.enforceBudgets(t.Context())
	if v, _ := p.Branch(t.Context(), admin, dev); v.Activity != holdfast.Awake {
		t.Errorf("development is %s in the middle of a transaction", v.Activity)
	}
	p.enforceBudgets(t.Context())
	if v, _ := p.Branch(t.Context(), admin, dev); v.Activity != holdfast.Asleep {
		t.Errorf("development is %s", v.Activity)
	}
	if v, _ := p.Branch(t.Context(), admin, prod); v.Activity != holdfast.Awake {
		t.Errorf("production is %s", v.Activity)
	}
	_, err := p.Acquire(t.Context(), dev)
	if holdfast.KindOf(err) != holdfast.Exhausted || !strings.Contains(err.Error(), `"hard"`) {
		t.Errorf("a client got %v", err)
	}
	if _, err := p.Wake(t.Context(), admin, dev); holdfast.KindOf(err) != holdfast.Exhausted {
		t.Errorf("a wake got %v", err)
	}
	if err := p.DeleteUsageBudget(t.Context(), admin, UsageScope{Project: "shop"}, "hard"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wake(t.Context(), admin, dev); err != nil {
		t.Errorf("without the budget: %v", err)
	}
	hard.Production = true
	if err := p.SetUsageBudget(t.Context(), admin, UsageScope{Project: "shop", Branch: "production"}, hard); err != nil {
		t.Fatal(err)
	}
	p.enforceBudgets(t.Context())
	p.enforceBudgets(t.Context())
	if v, _ := p.Branch(t.Context(), admin, prod); v.Activity != holdfast.Asleep {
		t.Errorf("production is %s", v.Activity)
	}
	if v, _ := p.Branch(t.Context(), admin, dev); v.Activity != holdfast.Awake {
		t.Errorf("a budget of production made development %s", v.Activity)
	}
}
