package platform

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func asPgError(err error, into **pgconn.PgError) bool { return errors.As(err, into) }

// ask runs a query and returns its values, in order, and the code of its failure.
func ask(t *testing.T, p *Platform, who holdfast.Principal, r holdfast.BranchRef, q Query) (values []string, code string, err error) {
	t.Helper()
	q.MaxBytes = 1 << 20
	err = p.RunQuery(t.Context(), who, r, q, func(string) error { return nil }, func(e QueryEvent) error {
		for _, row := range e.Rows {
			for _, v := range row {
				values = append(values, *v)
			}
		}
		if e.Failed != nil {
			code = e.Failed.Code
		}
		return nil
	})
	return values, code, err
}

func TestSQLReadsUnlessItMayWrite(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	production, development := ref(t, "shop/production"), ref(t, "shop/development")
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	user := holdfast.Principal{Name: "u", Kind: holdfast.UserToken, Right: holdfast.MayWrite, ProjectID: b.ProjectID}
	viewer := holdfast.Principal{Name: "v", Kind: holdfast.UserToken, Right: holdfast.MayRead, ProjectID: b.ProjectID}
	agent := holdfast.Principal{Name: "a", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: b.ProjectID}
	for _, c := range []struct {
		name  string
		who   holdfast.Principal
		on    holdfast.BranchRef
		write bool
		want  holdfast.Kind // of the refusal; 0: none
	}{
		{"an admin reads production", admin, production, false, 0},
		{"a developer reads production", user, production, false, holdfast.NotAllowed},
		{"an agent reads production", agent, production, false, holdfast.NotAllowed},
		{"an agent reads development", agent, development, false, 0},
		{"a viewer reads development", viewer, development, false, 0},
		{"a viewer writes development", viewer, development, true, holdfast.NotAllowed},
		{"an agent writes production", agent, production, true, holdfast.NotAllowed},
		{"a developer writes development", user, development, true, 0},
	} {
		got, code, err := ask(t, p, c.who, c.on, Query{SQL: "SELECT count(*) FROM sample", Write: c.write})
		if c.want == 0 && (err != nil || code != "" || len(got) != 1 || got[0] != "3") || c.want != 0 && holdfast.KindOf(err) != c.want {
			t.Errorf("%s: %q, %s, %v", c.name, got, code, err)
		}
	}
	if _, code, err := ask(t, p, admin, production, Query{SQL: "DELETE FROM sample"}); code != "25006" || err != nil {
		t.Errorf("a write where only reading was asked for: %s, %v", code, err)
	}
	if _, code, err := ask(t, p, admin, production, Query{SQL: "DELETE FROM sample WHERE n = 1", Write: true}); code != "" || err != nil {
		t.Errorf("a write: %s, %v", code, err)
	}
	if got, _, err := ask(t, p, admin, production, Query{SQL: "SELECT current_user, n FROM sample"}); err != nil || len(got) != 4 || got[0] != "shop_owner" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, q := range []Query{{SQL: "SELECT 1", ID: "a b"}, {SQL: "SELECT 1", MaxRows: -1}, {SQL: "SELECT 1", Timeout: 2 * time.Hour}} {
		if _, _, err := ask(t, p, admin, production, q); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Whoever began a query can end it, and one whose asker has gone does not run on.
func TestARunningQueryIsEndedWhenAskedAndWhenNobodyWaits(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	development := ref(t, "shop/development")
	b, err := p.findBranch(t.Context(), admin, development, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	watch := asOwner(t, p, development)
	sleeping := func() int {
		return pgtest.Value[int](t, watch, `SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active' AND pid <> pg_backend_pid()`)
	}
	ended := make(chan string, 1)
	go func() {
		_, code, err := ask(t, p, admin, development, Query{ID: "mine", SQL: "SELECT pg_sleep(600)", Timeout: time.Minute})
		if err != nil {
			code = err.Error()
		}
		ended <- code
	}()
	eventually(t, "the query runs", func() bool { return sleeping() == 1 })
	if _, _, err := ask(t, p, admin, development, Query{ID: "mine", SQL: "SELECT 1"}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second query with the same ID: %v", err)
	}
	if !p.queries.running(b.ID) {
		t.Error("the query is not counted")
	}
	other := holdfast.Principal{Name: "u", Kind: holdfast.UserToken, Right: holdfast.MayWrite, ProjectID: b.ProjectID}
	if err := p.CancelQuery(t.Context(), other, development, "mine"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("somebody else could cancel it: %v", err)
	}
	if err := p.CancelQuery(t.Context(), admin, development, "mine"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != "57014" {
		t.Errorf("the canceled query ended with %s", code)
	}

	// One that is canceled before its statement reached the server ends as well.
	early := func(id string) error {
		go func() { _ = p.CancelQuery(t.Context(), admin, development, id) }()
		eventually(t, "the idle backend was told", func() bool {
			p.queries.mu.Lock()
			running := p.queries.byID[id]
			p.queries.mu.Unlock()
			running.mu.Lock()
			defer running.mu.Unlock()
			return running.signals > 0
		})
		return nil
	}
	var failed string
	err = p.RunQuery(t.Context(), admin, development, Query{SQL: "SELECT pg_sleep(600)", MaxBytes: 1, Timeout: time.Minute}, early, func(e QueryEvent) error {
		if e.Failed != nil {
			failed = e.Failed.Code + " " + e.Failed.Message
		}
		return nil
	})
	if err != nil || !strings.HasPrefix(failed, "57014 ") || !strings.Contains(failed, "user request") {
		t.Errorf("canceled before it began: %s, %v", failed, err)
	}

	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		gone <- p.RunQuery(ctx, admin, development, Query{SQL: "SELECT pg_sleep(600)", MaxBytes: 1, Timeout: time.Minute}, func(string) error { return nil }, func(QueryEvent) error { return nil })
	}()
	eventually(t, "the query runs", func() bool { return sleeping() == 1 })
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the query has ended", func() bool { return sleeping() == 0 })
	_, code, err := ask(t, p, admin, development, Query{SQL: "SELECT pg_sleep(600)", Timeout: time.Second})
	if code != "57014" || err != nil {
		t.Errorf("a query that takes too long: %s, %v", code, err)
	}
}
