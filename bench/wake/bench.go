package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

type options struct {
	rounds int
	binary string
}

// goal is what a wake may take at the median on two quiet cores.
const goal = 150 * time.Millisecond

// way is one way to the first row of a server that does not run.
type way struct {
	name string
	// stop makes sure that the server does not run. It is not measured.
	stop func(ctx context.Context) error
	// firstRow connects and reads one row.
	firstRow func(ctx context.Context) error
	took     []time.Duration
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("/tmp", "hfbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' account passes through
		return err
	}
	installs, err := postgres.Find(ctx, pgtest.Setting())
	if err != nil {
		return err
	}
	install, err := postgres.Choose(installs, 0)
	if err != nil {
		return err
	}
	psql, err := postgres.FindProgram(ctx, pgtest.Setting(), "psql", install.Major)
	if err != nil {
		return err
	}
	served, err := startHoldfast(ctx, o.binary, filepath.Join(dir, "holdfast"))
	if err != nil {
		return err
	}
	defer served.close()
	bare, err := makeBare(ctx, install, filepath.Join(dir, "bare"))
	if err != nil {
		return err
	}
	defer bare.close()
	ways := []*way{
		{name: "holdfast: a program (pgx)", stop: served.sleep, firstRow: served.connect},
		{name: "holdfast: psql", stop: served.sleep, firstRow: func(ctx context.Context) error { return oneRow(ctx, psql, served.url) }},
		{name: "pg_ctl start, then psql", stop: bare.stop, firstRow: func(ctx context.Context) error { return bare.startAndPsql(ctx, psql) }},
		{name: "bare postmaster, then pgx", stop: bare.stop, firstRow: bare.connect},
	}
	fmt.Printf("PostgreSQL %s, %d rounds\n", install.Version, o.rounds)
	for round := range o.rounds + 1 {
		for _, w := range ways {
			took, err := w.measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 { // the first warms the disk's cache for all
				w.took = append(w.took, took)
			}
		}
	}
	report(ways)
	return nil
}

func (w *way) measure(ctx context.Context) (time.Duration, error) {
	if err := w.stop(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	err := w.firstRow(ctx)
	return time.Since(begun), err
}

func (w *way) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(w.took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func report(ways []*way) {
	fmt.Printf("\n%-28s %9s %9s %9s %9s\n", "until the first row", "median", "least", "90 %", "ratio")
	peer := ways[2].quantile(0.5)
	for _, w := range ways {
		median := w.quantile(0.5)
		fmt.Printf("%-28s %7.1fms %7.1fms %7.1fms %9.2f\n", w.name, ms(median), ms(w.quantile(0)), ms(w.quantile(0.9)), float64(median)/float64(peer))
	}
	verdict := "met"
	if ways[0].quantile(0.5) > goal {
		verdict = "missed; is the machine quiet?"
	}
	fmt.Printf("\nratio: against pg_ctl start and psql. The goal of %s at the median was %s.\n", goal, verdict)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// select1 reads the one row and closes the session.
func select1(ctx context.Context, conn *pgx.Conn) error {
	var one int
	err := conn.QueryRow(ctx, "SELECT 1").Scan(&one)
	return errors.Join(err, conn.Close(ctx))
}

var branch = holdfast.BranchRef{Project: "bench", Branch: holdfast.DevelopmentName}
