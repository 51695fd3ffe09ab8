package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast/holdfast/internal/postgres"
)

type options struct {
	rounds, scale, segments int
	dir, pgbackrest         string
}

// missingError says which program the benchmark cannot do without.
type missingError struct{ program string }

func (e *missingError) Error() string { return e.program + " is not installed" }

// way is one tool. A nil step is one that it does not have.
type way struct {
	name      string
	counts    string                                        // what of its place is measured; empty: all
	full      func(ctx context.Context, fresh string) error // a full backup into an empty place
	restore   func(ctx context.Context, from, into string) error
	increment func(ctx context.Context, onto string) error
	wal       func(ctx context.Context, fresh string) error // brings the WAL that waits to an empty place
}

// sample is one measurement.
type sample struct {
	wall, cpu time.Duration
	bytes     int64 // what was stored, where that matters
}

type results map[string]map[string][]sample // by step and way

func run(ctx context.Context, o options) (err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("/tmp", "hfbench"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' account passes through
		return err
	}
	b := &bench{options: o, dir: dir, results: results{}}
	if err := b.startServer(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
	}()
	if err := b.fill(ctx); err != nil {
		return err
	}
	ways, err := b.ways(ctx)
	if err != nil {
		return err
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		if err := b.round(ctx, ways, round); err != nil {
			return err
		}
	}
	b.report(ways)
	return nil
}

// bench is one run.
type bench struct {
	options options
	dir     string
	server  *postgres.Server
	results results
	ours    *ours
}

// round measures every step of every way once, the ways in turns.
func (b *bench) round(ctx context.Context, ways []way, round int) error {
	place := func(w way, what string) string {
		return filepath.Join(b.dir, fmt.Sprintf("%s-%s-%d", what, w.name, round))
	}
	for _, w := range ways {
		if w.full == nil {
			continue
		}
		if err := b.measure(ctx, "full backup", w, place(w, "full"), func() error { return w.full(ctx, place(w, "full")) }); err != nil {
			return err
		}
	}
	for _, w := range ways {
		if w.restore == nil {
			continue
		}
		into := place(w, "restored")
		if err := b.measure(ctx, "restore", w, "", func() error { return w.restore(ctx, place(w, "full"), into) }); err != nil {
			return err
		}
		if err := os.RemoveAll(into); err != nil {
			return err
		}
	}
	if err := b.change(ctx); err != nil {
		return err
	}
	for _, w := range ways {
		if w.increment == nil {
			continue
		}
		if err := b.measure(ctx, "increment after 1 % changed", w, place(w, "full"), func() error { return w.increment(ctx, place(w, "full")) }); err != nil {
			return err
		}
	}
	for _, w := range ways {
		if w.wal != nil {
			if err := b.makeWAL(ctx); err != nil {
				return err
			}
			if err := b.measure(ctx, fmt.Sprintf("%d WAL segments", b.options.segments), w, "", func() error { return w.wal(ctx, place(w, "wal")) }); err != nil {
				return err
			}
		}
		for _, what := range []string{"full", "wal"} {
			if err := os.RemoveAll(place(w, what)); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure runs a step and notes its time, the processor time of this process and its children, and by how much a place grew.
func (b *bench) measure(ctx context.Context, step string, w way, place string, do func() error) error {
	// What an earlier step left to be written is not this one's.
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return err
	}
	if place != "" {
		place = filepath.Join(place, w.counts)
	}
	size, cpu, began := diskUse(place), cpuTime(), time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s, %s: %w", w.name, step, err)
	}
	s := sample{wall: time.Since(began), cpu: cpuTime() - cpu, bytes: diskUse(place) - size}
	if b.results[step] == nil {
		b.results[step] = map[string][]sample{}
	}
	b.results[step][w.name] = append(b.results[step][w.name], s)
	return nil
}

func diskUse(place string) (size int64) {
	if place == "" {
		return 0
	}
	_ = filepath.WalkDir(place, func(_ string, d fs.DirEntry, err error) error { // what is not there has no size
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

func cpuTime() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

// report prints medians, and for each way the ratio of ours to it: below 1 we are quicker.
func (b *bench) report(ways []way) {
	steps := []string{"full backup", "restore", "increment after 1 % changed", fmt.Sprintf("%d WAL segments", b.options.segments)}
	for _, step := range steps {
		ours := median(b.results[step]["holdfast"])
		fmt.Printf("%s, median of %d\n", step, b.options.rounds)
		for _, w := range ways {
			all := b.results[step][w.name]
			if len(all) == 0 {
				continue
			}
			m := median(all)
			fmt.Printf("  %-22s %7.2f s  %7.2f s CPU", w.name, m.wall.Seconds(), m.cpu.Seconds())
			if m.bytes > 0 {
				fmt.Printf("  %7.1f MB", float64(m.bytes)/1e6)
			}
			if w.name != "holdfast" {
				fmt.Printf("   holdfast takes %.2f of its time", ours.wall.Seconds()/m.wall.Seconds())
				if m.bytes > 0 && ours.bytes > 0 {
					fmt.Printf(" and %.2f of its space", float64(ours.bytes)/float64(m.bytes))
				}
			}
			fmt.Println()
		}
	}
	fmt.Println("CPU is that of this process and of its children, not of the server.")
}

func median(all []sample) sample {
	if len(all) == 0 {
		return sample{}
	}
	sorted := slices.SortedFunc(slices.Values(all), func(x, y sample) int { return int(x.wall - y.wall) })
	return sorted[len(sorted)/2]
}

// fill makes the database: pgbench's tables, and text and JSON that compress as such things do.
func (b *bench) fill(ctx context.Context) error {
	pgbench, err := postgres.FindProgram(ctx, nil, "pgbench", b.server.Installation().Major)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, pgbench, "-i", "-q", "-s", strconv.Itoa(b.options.scale), "-h", b.server.SocketDir(), "-U", role, database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fill the database: %w: %s", err, out)
	}
	return b.sql(ctx, fmt.Sprintf(`CREATE TABLE documents AS SELECT g AS id, md5(g::text) || repeat(' some words that come again and again', 5) AS body,
		jsonb_build_object('id', g, 'name', md5((g * 7)::text), 'tags', jsonb_build_array('red', 'green', g %% 100)) AS meta FROM generate_series(1, %d) g;
		ALTER TABLE documents ADD PRIMARY KEY (id); VACUUM (FREEZE, ANALYZE)`, b.options.scale*2500))
}

// change updates rows on about one page in a hundred, at random.
func (b *bench) change(ctx context.Context) error {
	return b.sql(ctx, `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN
		(SELECT (random() * (SELECT max(aid) FROM pgbench_accounts))::int FROM generate_series(1, (SELECT relpages / 100 FROM pg_class WHERE relname = 'pgbench_accounts')))`)
}

// makeWAL lets the server write so many segments that nobody has taken yet.
func (b *bench) makeWAL(ctx context.Context) error {
	if err := b.ours.hold(ctx); err != nil {
		return err
	}
	return b.sql(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS filler (id bigint, body text); TRUNCATE filler;
		INSERT INTO filler SELECT g, md5(g::text) || repeat(md5((g / 100)::text), 20) FROM generate_series(1, %d) g`, b.options.segments*21500))
}
