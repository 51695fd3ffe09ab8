package platform

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

func done(t *testing.T, p *Platform, j holdfast.Job, err error) holdfast.Job {
	t.Helper()
	if err == nil {
		j, err = p.jobs.wait(t.Context(), j.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func branch(t *testing.T, p *Platform, ask NewBranch) {
	t.Helper()
	j, err := p.CreateBranch(t.Context(), admin, ask)
	done(t, p, j, err)
}

func TestABranchHasItsParentsDataAndCredentialsOfItsOwn(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 5})
	production, try := ref(t, "shop/production"), ref(t, "shop/try")
	parent := asOwner(t, p, production)
	pgtest.Exec(t, parent, `CREATE ROLE app LOGIN PASSWORD 'app'; CREATE TABLE people (name text); INSERT INTO people VALUES ('Secret')`)
	branch(t, p, NewBranch{Name: "try", From: production})

	conn := asOwner(t, p, try)
	if got := pgtest.Value[string](t, conn, `SELECT current_database() || (SELECT count(*) FROM sample)`); got != "shop_try5" {
		t.Errorf("got %s", got)
	}
	if _, ok := p.Verifier(t.Context(), try, "app"); ok {
		t.Error("a parent's role can log in on the branch")
	}
	old, _ := p.Connection(t.Context(), admin, production)
	if v, ok := p.Verifier(t.Context(), try, "shop_owner"); !ok || proves(v, old.Password) {
		t.Error("the parent's password works on the branch, or none does")
	}
	pgtest.Exec(t, conn, `ALTER ROLE app PASSWORD 'new'; DROP TABLE sample`)
	if v, ok := p.Verifier(t.Context(), try, "app"); !ok || !proves(v, "new") {
		t.Error("a role that was given a password is still locked")
	}
	if n := pgtest.Value[int](t, parent, `SELECT count(*)::int FROM sample`); n != 5 {
		t.Error("the branch changed its parent")
	}

	if err := p.SetMaskRules(t.Context(), admin, "shop", []holdfast.MaskRule{{Schema: "public", Table: "people", Column: "name", Kind: holdfast.MaskName}}); err != nil {
		t.Fatal(err)
	}
	branch(t, p, NewBranch{Name: "masked", From: production, Masked: true})
	if name := pgtest.Value[string](t, asOwner(t, p, ref(t, "shop/masked")), `SELECT name FROM people`); strings.Contains(name, "Secret") {
		t.Errorf("a masked branch shows %s", name)
	}
	branch(t, p, NewBranch{Name: "empty", From: production, SchemaOnly: true})
	if n := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/empty")), `SELECT ((SELECT count(*) FROM people) + (SELECT count(*) FROM sample))::int`); n != 0 {
		t.Errorf("a branch with the schema only has %d rows", n)
	}
}

func TestABranchOnWhichMaskingFailsIsNotHandedOut(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	ask := NewBranch{Name: "masked", From: ref(t, "shop/production"), Masked: true}
	for _, rules := range [][]holdfast.MaskRule{nil, {{Schema: "public", Table: "gone", Column: "c", Kind: holdfast.MaskHash}}} {
		if err := p.SetMaskRules(t.Context(), admin, "shop", rules); err != nil {
			t.Fatal(err)
		}
		j, err := p.CreateBranch(t.Context(), admin, ask)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.jobs.wait(t.Context(), j.ID); err == nil {
			t.Error("the branch was handed out")
		}
		if _, err := p.Branch(t.Context(), admin, ref(t, "shop/masked")); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("got %v", err)
		}
	}
	entries, err := os.ReadDir(h.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "br_") && e.Name() != ".partial" && e.Name() != ".trash" {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if len(entries) != 4 {
		t.Errorf("%d entries are left, want two branches and the volume's own two", len(entries))
	}
}

func TestABranchIsRenamedProtectedExpiredAndCollected(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 2})
	branch(t, p, NewBranch{Name: "one", From: ref(t, "shop/development"), Life: time.Hour})
	j, err := p.RenameBranch(t.Context(), admin, ref(t, "shop/one"), "two")
	done(t, p, j, err)
	two := ref(t, "shop/two")
	if got := pgtest.Value[string](t, asOwner(t, p, two), `SELECT current_database()`); got != "shop_two" {
		t.Errorf("got %s", got)
	}
	if _, ok := p.Verifier(t.Context(), ref(t, "shop/one"), "shop_owner"); ok {
		t.Error("the old address still works")
	}
	yes, no := true, false
	if _, err := p.ChangeBranch(t.Context(), admin, two, BranchChange{Protected: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DeleteBranch(t.Context(), admin, two, Removal{}); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a protected branch: %v", err)
	}
	if _, err := p.DeleteBranch(t.Context(), admin, ref(t, "shop/production"), Removal{}); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("production: %v", err)
	}
	p.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := p.expireOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Branch(t.Context(), admin, two); err != nil {
		t.Errorf("a protected branch expired: %v", err)
	}
	if _, err := p.ChangeBranch(t.Context(), admin, two, BranchChange{Protected: &no}); err != nil {
		t.Fatal(err)
	}
	if err := p.expireOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	jobs, err := p.Jobs(t.Context(), admin, "shop", 1)
	if err != nil || jobs[0].Kind != deleteBranchJob {
		t.Fatalf("got %+v, %v", jobs, err)
	}
	done(t, p, jobs[0], nil)
	entries, _ := os.ReadDir(h.root)
	for _, e := range entries {
		if e.Name() == string(jobs[0].BranchID) {
			t.Error("the data of an expired branch is left")
		}
	}
}

func TestWhoMayCopyProduction(t *testing.T) {
	writer := holdfast.Principal{Name: "writer", Kind: holdfast.UserToken, Right: holdfast.MayWrite}
	agent := holdfast.Principal{Name: "agent", Kind: holdfast.AgentToken, Right: holdfast.MayWrite}
	production := store.Branch{Branch: holdfast.Branch{Environment: holdfast.Production}}
	development := store.Branch{Branch: holdfast.Branch{Environment: holdfast.Development}}
	for _, c := range []struct {
		who  holdfast.Principal
		from store.Branch
		ask  NewBranch
		may  bool
	}{
		{admin, production, NewBranch{}, true},
		{writer, production, NewBranch{}, false},
		{agent, production, NewBranch{}, false},
		{writer, production, NewBranch{Masked: true}, true},
		{agent, production, NewBranch{Masked: true}, true},
		{agent, production, NewBranch{SchemaOnly: true}, true},
		{agent, development, NewBranch{}, true},
		{holdfast.Principal{Right: holdfast.MayRead}, development, NewBranch{}, false},
	} {
		if err := checkCopy(c.who, c.from, c.ask); (err == nil) != c.may {
			t.Errorf("%s of %s %+v: %v", c.who.Name, c.from.Environment, c.ask, err)
		}
	}
}

// A control plane that stops while it makes a branch makes it at the next start.
func TestABranchWhoseMakingWasInterruptedIsMadeAtTheNextStart(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 2})
	j, err := p.CreateBranch(t.Context(), admin, NewBranch{Name: "try", From: ref(t, "shop/production")})
	if err != nil {
		t.Fatal(err)
	}
	states, err := p.WatchJob(context.Background(), admin, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	for s := range states {
		if s.State == holdfast.JobRunning {
			break
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	done(t, p, j, nil)
	if n := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/try")), `SELECT count(*)::int FROM sample`); n != 2 {
		t.Errorf("the branch has %d rows", n)
	}
}
