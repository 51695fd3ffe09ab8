package platform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// eventually waits until a condition holds that a background goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// withBase waits for the base backup that the first wake brings about.
func withBase(t *testing.T, p *Platform, r holdfast.BranchRef) {
	t.Helper()
	if _, err := p.Wake(t.Context(), admin, r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a base backup of "+r.String(), func() bool {
		view, err := p.History(t.Context(), admin, r)
		return err == nil && len(view.Bases) > 0
	})
}

// serverTime is now by the clock that stamps commits.
func serverTime(t *testing.T, p *Platform, r holdfast.BranchRef) time.Time {
	return pgtest.Value[time.Time](t, asOwner(t, p, r), `SELECT clock_timestamp()`)
}

func TestARestoreInPlaceBringsTheMomentBackAndCanBeSeenBeside(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 10})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	before, _ := p.Connection(t.Context(), admin, production)
	conn := asOwner(t, p, production)
	pgtest.Exec(t, conn, `CREATE ROLE app LOGIN PASSWORD 'app'`)
	at := serverTime(t, p, production)
	pgtest.Exec(t, conn, `DELETE FROM sample; CREATE TABLE later ()`)
	conn.Close(t.Context())

	plan, err := p.PlanRestore(t.Context(), admin, production, holdfast.Point{At: at})
	if err != nil || plan.Size == 0 {
		t.Fatalf("got %+v, %v", plan, err)
	}
	j, err := p.Restore(t.Context(), admin, production, holdfast.Point{At: at})
	done(t, p, j, err)
	after, _ := p.Connection(t.Context(), admin, production)
	if after != before {
		t.Error("the restored branch has another address or password")
	}
	conn = asOwner(t, p, production)
	if got := pgtest.Value[string](t, conn, `SELECT current_database() || (SELECT count(*) FROM sample) || coalesce(to_regclass('later')::text, '-')`); got != "shop_production10-" {
		t.Errorf("got %s", got)
	}
	if v, ok := p.Verifier(t.Context(), production, "app"); !ok || !proves(v, "app") {
		t.Error("a role lost its password")
	}
	branches, err := p.Branches(t.Context(), admin, "shop")
	if err != nil {
		t.Fatal(err)
	}
	var kept holdfast.BranchRef
	for _, b := range branches {
		if strings.HasPrefix(b.Name, "production_before_restore_") {
			kept = b.Ref()
			if left := time.Until(b.ExpiresAt); left < 6*24*time.Hour {
				t.Errorf("what was there before is kept for %s", left)
			}
		}
	}
	if got := pgtest.Value[int](t, asOwner(t, p, kept), `SELECT count(*)::int FROM later`); got != 0 {
		t.Errorf("the state before the restore is not kept: %d", got)
	}
	// A branch of the moment shows it beside, and undoing the restore brings back what was there before.
	branch(t, p, NewBranch{Name: "then", From: production, At: holdfast.Point{At: at}})
	if n := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/then")), `SELECT count(*)::int FROM sample`); n != 10 {
		t.Errorf("a branch of the moment has %d rows", n)
	}
	// History goes on over the restore: a moment after it can be restored as well.
	pgtest.Exec(t, conn, `INSERT INTO sample VALUES (11)`)
	at = serverTime(t, p, production)
	pgtest.Exec(t, conn, `DELETE FROM sample`)
	conn.Close(t.Context())
	j, err = p.Restore(t.Context(), admin, production, holdfast.Point{At: at})
	done(t, p, j, err)
	if n := pgtest.Value[int](t, asOwner(t, p, production), `SELECT count(*)::int FROM sample`); n != 11 {
		t.Errorf("the second restore brought %d rows back", n)
	}
	j, err = p.UndoRestore(t.Context(), admin, production)
	done(t, p, j, err)
	undone, _ := p.Connection(t.Context(), admin, production)
	if n := pgtest.Value[int](t, asOwner(t, p, production), `SELECT count(*)::int FROM sample`); n != 0 || undone != before {
		t.Errorf("undoing the restore left %d rows", n)
	}
}

func TestAMomentThatCannotBeHadIsRefusedBeforeAnythingHappens(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	if _, err := p.Restore(t.Context(), admin, production, holdfast.Point{At: time.Now().Add(-time.Hour)}); err == nil {
		t.Error("a moment before the history began was accepted")
	}
	if _, err := p.Restore(t.Context(), admin, production, holdfast.Point{}); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("no moment at all: %v", err)
	}
	if branches, err := p.Branches(t.Context(), admin, "shop"); err != nil || len(branches) != 2 {
		t.Errorf("got %d branches, %v", len(branches), err)
	}
}

// Whatever moment is asked for, it shows what was committed before it and nothing else: rolled back transactions, a restore and a crash of the
// server in between notwithstanding.
func TestAMomentShowsExactlyWhatWasCommittedBeforeIt(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	conn := asOwner(t, p, production)
	pgtest.Exec(t, conn, `CREATE TABLE numbered (n int)`)
	type moment struct {
		at   time.Time
		rows string
	}
	var moments []moment
	const rows = `SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM numbered`
	note := func() {
		moments = append(moments, moment{serverTime(t, p, production), pgtest.Value[string](t, conn, rows)})
	}
	write := func(from, to int) {
		for n := from; n < to; n++ {
			pgtest.Exec(t, conn, fmt.Sprintf(`BEGIN; INSERT INTO numbered VALUES (%d); ROLLBACK`, -n))
			pgtest.Exec(t, conn, fmt.Sprintf(`INSERT INTO numbered VALUES (%d)`, n))
			if n%5 == 3 {
				note()
			}
		}
	}
	write(0, 10)
	back := moments[0]
	conn.Close(t.Context())
	j, err := p.Restore(t.Context(), admin, production, holdfast.Point{At: back.at})
	done(t, p, j, err)
	conn = asOwner(t, p, production)
	if got := pgtest.Value[string](t, conn, rows); got != back.rows {
		t.Fatalf("restored in place: %s, want %s", got, back.rows)
	}
	write(100, 105)
	conn.Close(t.Context())
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	server, err := p.fleet.Server(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(server.DataDir(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	conn = asOwner(t, p, production)
	write(200, 205)
	for _, m := range moments {
		shown := asOwner(t, p, look(t, p, production, m.at))
		if got := pgtest.Value[string](t, shown, rows); got != m.rows {
			t.Errorf("at %s it was %q, and is shown as %q", m.at, m.rows, got)
		}
	}
}
