package test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// writers insert numbers, each in a transaction of its own, and remember which ones the database said were committed.
type writers struct {
	acknowledged atomic.Int64
	mu           sync.Mutex
	ids          []int64
	enough       chan struct{} // closed when enough numbers are acknowledged
	all          sync.WaitGroup
}

// write lets clients write until their connections break or the test ends, and closes enough after the given number of commits.
func (s *server) write(t *testing.T, ref holdfast.BranchRef, clients int, enough int64) *writers {
	t.Helper()
	conn := s.connect(t, ref)
	execute(t, conn, "CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY, filler text)")
	w := &writers{enough: make(chan struct{})}
	url := s.connection(t, ref).URL
	for n := range clients {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		w.all.Go(func() { w.run(t.Context(), c, int64(n)<<32, enough) })
	}
	return w
}

func (w *writers) run(ctx context.Context, conn *pgx.Conn, id, enough int64) {
	defer conn.Close(context.Background())
	for ; ; id++ {
		if _, err := conn.Exec(ctx, "INSERT INTO written VALUES ($1, repeat('x', 500))", id); err != nil {
			return // whether this one was committed nobody knows
		}
		w.mu.Lock()
		w.ids = append(w.ids, id)
		w.mu.Unlock()
		if w.acknowledged.Add(1) == enough {
			close(w.enough)
		}
	}
}

// check says which numbers are lost that had been acknowledged. It waits until every writer has noticed.
func (w *writers) check(t *testing.T, s *server, ref holdfast.BranchRef) {
	t.Helper()
	w.all.Wait()
	lost := value[int](t, s.connect(t, ref), "SELECT count(*) FROM unnest($1::bigint[]) AS a (id) WHERE NOT EXISTS (SELECT FROM written w WHERE w.id = a.id)", w.ids)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged transactions are lost", lost, len(w.ids))
	}
	t.Logf("%d acknowledged transactions are there", len(w.ids)-lost)
}
