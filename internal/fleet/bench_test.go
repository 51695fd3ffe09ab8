package fleet_test

import (
	"log/slog"
	"testing"

	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// BenchmarkWake measures from asking for a sleeping branch to the first row of a query.
func BenchmarkWake(b *testing.B) {
	f, err := fleet.Open(b.Context(), fleet.Config{Installations: []postgres.Installation{pgtest.Installation(b)}, Account: pgtest.Account(b), Root: pgtest.Dir(b), Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Create(b.Context(), spec(), prepare); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		session, err := f.Acquire(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		conn, err := connect(b.Context(), session)
		if err != nil {
			b.Fatal(err)
		}
		if got := pgtest.Value[int](b, conn, "SELECT 7"); got != 7 {
			b.Fatal(got)
		}
		b.StopTimer()
		_ = conn.Close(b.Context())
		session.Release()
		if err := f.Sleep(b.Context(), id, false); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
