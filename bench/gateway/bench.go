package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

type options struct {
	rounds   int
	duration time.Duration
	scale    int
}

// missingError says which program the benchmark cannot do without.
type missingError struct{ program string }

func (e *missingError) Error() string { return e.program + " is not installed" }

const (
	role     = "bench"
	password = "bench-password"
	database = "bench_production"
)

// target is one way to the same server.
type target struct {
	name, host, port, sslmode string
}

func run(ctx context.Context, o options) error {
	bouncer, err := exec.LookPath("pgbouncer")
	if err != nil {
		return &missingError{"pgbouncer"}
	}
	dir, err := os.MkdirTemp("/tmp", "hfbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' account passes through
		return err
	}
	server, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer func() {
		if err := server.Stop(context.WithoutCancel(ctx), postgres.Immediate); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	targets, end, err := openWays(ctx, server, bouncer, dir)
	if err != nil {
		return err
	}
	defer end()
	return measureAll(ctx, o, server, targets)
}

func measureAll(ctx context.Context, o options, server *postgres.Server, targets []target) error {
	pgbench, err := postgres.FindProgram(ctx, pgtest.Setting(), "pgbench", server.Installation().Major)
	if err != nil {
		return err
	}
	if _, err := bench(ctx, pgbench, targets[0], "-i", "-q", "-s", strconv.Itoa(o.scale)); err != nil {
		return err
	}
	for _, clients := range []int{1, 8} {
		measured := map[string][]float64{}
		for range o.rounds {
			for _, t := range targets {
				tps, err := transactions(ctx, pgbench, t, clients, o.duration)
				if err != nil {
					return err
				}
				measured[t.name] = append(measured[t.name], tps)
			}
		}
		report(clients, targets, measured)
	}
	return nil
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

func transactions(ctx context.Context, pgbench string, t target, clients int, d time.Duration) (float64, error) {
	out, err := bench(ctx, pgbench, t, "-n", "-S", "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), "-T", strconv.Itoa(int(d.Seconds())))
	if err != nil {
		return 0, err
	}
	m := tpsLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%s printed no result: %s", t.name, out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func bench(ctx context.Context, pgbench string, t target, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, pgbench, args...)
	cmd.Env = append(os.Environ(), "PGHOST="+t.host, "PGPORT="+t.port, "PGUSER="+role, "PGPASSWORD="+password, "PGDATABASE="+database, "PGSSLMODE="+t.sslmode)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pgbench through %s: %w: %s", t.name, err, out)
	}
	return out, nil
}

// report prints the medians of one client count and how each way compares with the ways before it.
func report(clients int, targets []target, measured map[string][]float64) {
	fmt.Printf("pgbench -S, %d client(s), median of %d rounds\n", clients, len(measured[targets[0].name]))
	for _, t := range targets {
		tps := measured[t.name]
		fmt.Printf("  %-16s %8.0f tps  (%.0f to %.0f)  %.2f of direct", t.name, median(tps), slices.Min(tps), slices.Max(tps), median(tps)/median(measured[targets[0].name]))
		if peer, ok := peers[t.name]; ok {
			fmt.Printf("  %.2f of %s", median(tps)/median(measured[peer]), peer)
		}
		fmt.Println()
	}
}

// peers says which way each of ours is compared with.
var peers = map[string]string{"gateway": "pgbouncer", "gateway TLS": "pgbouncer TLS"}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
