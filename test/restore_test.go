package test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// withBase waits for the base backup that the first wake brings about.
func (s *server) withBase(t *testing.T, ref holdfast.BranchRef) {
	t.Helper()
	s.must(t, "wake", ref.String())
	until(t, "a base backup of "+ref.String(), func() bool {
		h, err := s.History(t.Context(), ref)
		return err == nil && len(h.Bases) > 0
	})
}

// now is the time by the clock that stamps commits, as the command line takes it.
func now(t *testing.T, conn *pgx.Conn) string {
	return value[time.Time](t, conn, "SELECT clock_timestamp()").Format(time.RFC3339Nano)
}

// While a branch is restored in place its address answers: whoever comes waits, and nobody is turned away. A session that is in is told
// why it ends.
func TestClientsAreHeldAtTheFrontDoorWhileABranchIsRestored(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 10)
	s.withBase(t, production)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
	at := now(t, conn)
	execute(t, conn, "UPDATE kept SET n = 2")

	restored := make(chan struct{})
	comers := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			c, err := pgconn.Connect(context.Background(), s.connection(t, production).URL)
			if err != nil {
				comers <- err
				return
			}
			_, _ = c.Exec(context.Background(), "SELECT n FROM kept").ReadAll() // may be ended by the restore
			_ = c.Close(context.Background())                                   // as may this
			select {
			case <-restored:
				comers <- nil
				return
			default:
			}
		}
	}()
	s.must(t, "restore", production.String(), "--at", at, "--yes")
	close(restored)
	if err := <-comers; err != nil {
		t.Errorf("a client was turned away: %v", err)
	}
	var ended *pgconn.PgError
	if _, err := conn.Exec(t.Context(), "SELECT 1"); !errors.As(err, &ended) || ended.Code != "57P01" {
		t.Errorf("the session from before the restore: %v", err)
	}
	if n := value[int](t, s.connect(t, production), "SELECT n FROM kept"); n != 1 {
		t.Errorf("the branch is as it was at %d", n)
	}
}
