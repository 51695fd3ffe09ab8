package history

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// A restore of the present takes its time, and the branch goes on meanwhile: the unfinished segment that was planned with is stored again, longer,
// and the shorter piece is removed. The restore then failed because an object was missing.
func TestAPlanOutlivesTheUnfinishedSegmentThatItWasMadeWith(t *testing.T) {
	one := folder(t, "one")
	b := newBranch(t, one)
	b.attach()
	b.backup(true)
	b.insert() // 1
	here, err := b.archive.Plan(t.Context(), holdfast.Point{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := elsewhere(t, one)
	there, err := other.Plan(t.Context(), holdfast.Point{}) // of another process, which does not see what follows
	if err != nil {
		t.Fatal(err)
	}
	piece := b.archive.objects.segment(here.needed[len(here.needed)-1])
	b.insert()
	b.switchWAL()
	b.insert()
	if err := errors.Join(b.archive.WaitFlushed(t.Context(), here.LSN+postgres.DefaultSegmentSize/2), b.archive.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the shorter piece to go", func() bool {
		_, err := one.Stat(t.Context(), piece)
		return holdfast.KindOf(err) == holdfast.NotFound
	})
	for name, r := range map[string]struct {
		archive *Archive
		plan    *Plan
	}{"here": {b.archive, here}, "elsewhere": {other, there}} {
		dir := pgtest.Dir(t)
		server := postgres.New(postgres.Config{Installation: b.pg.Installation(), Account: b.pg.Account(), DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})
		began := time.Now()
		if _, err := r.archive.Restore(t.Context(), RestoreRequest{Plan: r.plan, Server: server, Parameters: testParameters}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := b.rows(server); !slices.Equal(got, upTo(1)) {
			t.Errorf("%s: there are the rows %v after %v", name, got, time.Since(began))
		}
	}
}
