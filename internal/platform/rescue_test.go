package platform

import (
	"slices"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// Rows that were deleted, changed or added since a moment are found and brought back; what else happened meanwhile stays.
func TestRowsAreRescuedFromAMoment(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	conn := asOwner(t, p, production)
	pgtest.Exec(t, conn, `CREATE TABLE deals (id int PRIMARY KEY, name text); INSERT INTO deals SELECT n, 'n' || n FROM generate_series(1, 10) n; CREATE TABLE other (n int); CREATE TABLE keyless (n int)`)
	at := serverTime(t, p, production)
	pgtest.Exec(t, conn, `DELETE FROM deals WHERE id < 3; UPDATE deals SET name = 'wrong' WHERE id = 5; INSERT INTO deals VALUES (11, 'new'); INSERT INTO other VALUES (1)`)
	shown := look(t, p, production, at)

	compared := func(ask Rescue) (out []string, err error) {
		ask.Look = shown.Branch
		err = p.CompareRows(t.Context(), admin, production, ask, func(RescueTable) error { return nil }, func(c RescueChange) error {
			out = append(out, string(c.Kind)+" "+*c.Key[0])
			return nil
		})
		return out, err
	}
	if got, err := compared(Rescue{Table: "deals"}); err != nil || !slices.Equal(got, []string{"deleted 1", "added 11", "deleted 2", "changed 5"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range []struct {
		ask  Rescue
		want holdfast.Kind
	}{
		{Rescue{Table: "keyless"}, holdfast.Precondition}, {Rescue{Table: "nothing"}, holdfast.NotFound}, {Rescue{Table: "deals", Where: "nonsense"}, holdfast.Invalid},
		{Rescue{Table: "deals", Where: "true); COMMIT; DELETE FROM deals; SELECT (true"}, holdfast.Invalid},
	} {
		if _, err := compared(c.ask); holdfast.KindOf(err) != c.want {
			t.Errorf("%+v: %v", c.ask, err)
		}
	}
	if err := p.CompareRows(t.Context(), admin, production, Rescue{Look: "development", Table: "deals"}, nil, nil); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a branch that is no look: %v", err)
	}
	j, err := p.ApplyRescue(t.Context(), admin, production, Rescue{Look: shown.Branch, Table: "deals", Where: "id <> 11"})
	if err != nil {
		t.Fatal(err)
	}
	if j, err = p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[string](t, conn, `SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FILTER (WHERE id < 6 OR id > 10) || (SELECT count(*) FROM other) FROM deals`); got != "1 n1, 2 n2, 3 n3, 4 n4, 5 n5, 11 new1" {
		t.Errorf("got %s, after %s", got, j.Result)
	}
	if all, err := p.Checkpoints(t.Context(), admin, production); err != nil || len(all) == 0 || all[0].Reason != holdfast.BeforeRestoreCheckpoint {
		t.Errorf("no checkpoint before the rescue: %+v, %v", all, err)
	}
	counts, err := p.RowCounts(t.Context(), admin, production)
	if want := []TableCount{{Schema: "public", Name: "deals", Rows: 11}, {Schema: "public", Name: "keyless"}, {Schema: "public", Name: "other", Rows: 1}}; err != nil || !slices.Equal(counts, want) {
		t.Errorf("got %+v, %v", counts, err)
	}
}

// A branch that is reset has what its parent has, under its own name and password, masked as it was; that can be undone.
func TestABranchIsResetToItsParent(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	conn := asOwner(t, p, production)
	pgtest.Exec(t, conn, `CREATE TABLE people (id int PRIMARY KEY, email text); INSERT INTO people VALUES (1, 'real@shop.com')`)
	rules := []holdfast.MaskRule{{Schema: "public", Table: "people", Column: "email", Kind: holdfast.MaskEmail}}
	if err := p.SetMaskRules(t.Context(), admin, "shop", rules); err != nil {
		t.Fatal(err)
	}
	branch(t, p, NewBranch{Name: "try", From: production, Masked: true})
	try := ref(t, "shop/try")
	before, err := p.Connection(t.Context(), admin, try)
	if err != nil {
		t.Fatal(err)
	}
	theirs := asOwner(t, p, try)
	pgtest.Exec(t, theirs, `CREATE TABLE own (); CREATE ROLE app LOGIN PASSWORD 'app'`)
	theirs.Close(t.Context())
	pgtest.Exec(t, conn, `INSERT INTO people VALUES (2, 'other@shop.com'); CREATE ROLE app LOGIN PASSWORD 'theirs'; CREATE ROLE spy LOGIN PASSWORD 'spy'`)
	j, err := p.ResetBranch(t.Context(), admin, try)
	done(t, p, j, err)
	after, err := p.Connection(t.Context(), admin, try)
	if err != nil || after != before {
		t.Errorf("it has another address or password: %v", err)
	}
	const what = `SELECT count(*) || ' ' || count(*) FILTER (WHERE email LIKE '%shop.com') || ' ' || coalesce(to_regclass('own')::text, '-') || ' ' || current_database() FROM people`
	theirs = asOwner(t, p, try)
	if got := pgtest.Value[string](t, theirs, what); got != "2 0 - shop_try" {
		t.Errorf("got %s", got)
	}
	theirs.Close(t.Context())
	if v, ok := p.Verifier(t.Context(), try, "app"); !ok || !proves(v, "app") {
		t.Error("a role of the branch lost its password")
	}
	if v, ok := p.Verifier(t.Context(), try, "spy"); ok && proves(v, "spy") {
		t.Error("a password of the parent works on the branch")
	}
	j, err = p.UndoRestore(t.Context(), admin, try)
	done(t, p, j, err)
	if got := pgtest.Value[string](t, asOwner(t, p, try), what); got != "1 0 own shop_try" {
		t.Errorf("undone: %s", got)
	}
	if _, err := p.ResetBranch(t.Context(), admin, production); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("production was reset: %v", err)
	}
	if name := keptName("a-name-that-is-as-long-as-a-name-may-be-ab", "restore", p.now()); holdfast.CheckBranchName(name) != nil || !isKept(name, "a-name-that-is-as-long-as-a-name-may-be-ab") {
		t.Errorf("what a long name had before is called %s", name)
	}
}
