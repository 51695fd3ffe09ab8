package history

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// A restored branch once belonged to its old data until its new data was streamed, so that moments shortly after a restore showed the end of the
// old data. What is the branch changes with the data, whoever has written and crashed before the first session.
func TestAfterARestoreTheNewDataIsTheBranchBeforeItIsStreamed(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	b.config.Server = func() (*postgres.Server, error) { return b.pg.Server, nil }
	b.open()
	b.attach()
	b.backup(true)
	b.insert() // 1
	atOne := time.Now()
	b.insert() // 2
	atTwo := time.Now()
	b.sleep()
	restored, err := restorePoint(t, b.archive, b.pg, holdfast.Point{At: atOne}, true)
	if err != nil {
		t.Fatal(err)
	}
	prepared := time.Now()
	if err := b.archive.Succeed(t.Context(), b.pg.Server, restored); err != nil {
		t.Fatal(err)
	}
	m, err := readMarker(restored.DataDir())
	if err != nil || m.Since.Before(prepared.Truncate(time.Microsecond)) || m.Timeline != 2 {
		t.Errorf("the new data's marker is %+v, %v", m, err)
	}
	b.swap(restored)
	swapped := time.Now()
	start(t, b.pg)
	conn := b.owner()
	pgtest.Exec(t, conn, "INSERT INTO n (id) VALUES (100)")
	atHundred := time.Now()
	if err := b.pg.Stop(t.Context(), postgres.Immediate); err != nil { // before anything of it was streamed
		t.Fatal(err)
	}
	for _, moment := range []struct {
		at   time.Time
		want []int64
	}{{atTwo, upTo(2)}, {swapped, upTo(1)}, {atHundred, []int64{1, 100}}} {
		b.expect(holdfast.Point{At: moment.at}, moment.want)
	}
	err = b.archive.withCatalogue(t.Context(), func(c *catalogue) error {
		if n := len(c.spans); n != 2 || !c.spans[1].Began.Equal(m.Since) {
			return errors.New("the restore's span does not begin when the data changed places")
		}
		for at, timeline := range map[time.Time]uint32{m.Since.Add(-time.Microsecond): 1, m.Since: 2, atHundred: 2} {
			if found, err := c.locate(holdfast.Point{At: at}); err != nil || found.timeline != timeline {
				t.Errorf("%s lies on timeline %d, want %d (%v)", at, found.timeline, timeline, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	b.wake()
	if _, err := os.Stat(b.archive.path(spanFile)); err != nil {
		t.Error(err)
	}
	b.expect(holdfast.Point{At: atHundred}, []int64{1, 100})
}
