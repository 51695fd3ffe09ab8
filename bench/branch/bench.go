package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/servetest"
	"github.com/holdfast/holdfast/internal/volume"
)

type options struct {
	sizes               []float64
	rounds, clients     int
	binary, dir         string
	verbose, volumeOnly bool
}

// What a copy may take at the median, and the restore of a checkpoint in place, where blocks are shared, whatever the size.
const (
	goal        = 2 * time.Second
	restoreGoal = 5 * time.Second
)

// scaleOfGB is pgbench's scale for a gigabyte of its tables and their indexes.
const scaleOfGB = 66

var (
	production = holdfast.BranchRef{Project: "bench", Branch: holdfast.ProductionName}
	preview    = holdfast.BranchRef{Project: "bench", Branch: "try"}
)

// measured is what the copies of a database of one size took.
type measured struct {
	size                    float64
	stood, firstRow         []time.Duration
	copied, copiedAndSynced []time.Duration // by cp -r; empty where blocks are shared
	restored                time.Duration   // back to the checkpoint from before the writes, in place, until the first row
	writes                  float64         // transactions a second that pgbench did meanwhile
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp(o.dir, "hfbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' account passes through
		return err
	}
	under, err := volume.Inspect(dir)
	if err != nil {
		return err
	}
	space, err := under.Space()
	if err != nil {
		return err
	}
	// Three copies and WAL at the same time; and a volume must fit.
	largest := slices.Max(o.sizes)
	if need := int64(4*largest+4) << 30; need > space.Free {
		return fmt.Errorf("%s has %d GB left; %d GB are needed", o.dir, space.Free>>30, need>>30)
	}
	fmt.Printf("copies of a production to which %d sessions of pgbench write, %d rounds\n", o.clients, o.rounds)
	if !under.Reflinks() {
		if os.Geteuid() != 0 {
			fmt.Println("XFS is left out: making a volume needs root")
		} else if err := measurePlace(ctx, o, filepath.Join(dir, "volume"), "xfs", []string{"--volume", fmt.Sprintf("%dG", int64(4*largest+4))}); err != nil {
			return err
		}
	}
	if o.volumeOnly {
		return nil
	}
	return measurePlace(ctx, o, filepath.Join(dir, "disk"), under.FileSystem(), nil)
}

// measurePlace runs a server in data, and removes it with everything that it made.
func measurePlace(ctx context.Context, o options, data, fileSystem string, args []string) (err error) {
	b := &bench{options: o, data: data}
	if o.verbose {
		args = append(args, "--log-level", "debug")
	}
	if b.server, err = servetest.Launch(servetest.Options{Binary: o.binary, Data: data, Args: args}); err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	defer func() {
		err = errors.Join(err, b.server.Stop())
		if err := syscall.Unmount(filepath.Join(data, "branches"), 0); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			fmt.Fprintln(os.Stderr, "unmount:", err)
		}
		err = errors.Join(err, os.RemoveAll(data))
	}()
	if err := b.open(ctx); err != nil {
		return err
	}
	var all []measured
	for _, size := range o.sizes {
		m, err := b.measure(ctx, size)
		if err != nil {
			return fmt.Errorf("%.1f GB on %s: %w", size, fileSystem, err)
		}
		all = append(all, m)
	}
	report(fileSystem, all)
	return nil
}

// bench is one server.
type bench struct {
	options
	data    string
	server  *servetest.Process
	client  *api.Client
	pgbench string
	env     []string // by which pgbench reaches production
	shares  bool
}

func (b *bench) open(ctx context.Context) (err error) {
	if err := b.server.Greeted(); err != nil {
		return err
	}
	if b.client, err = b.server.Client(); err != nil {
		return err
	}
	if err := servetest.CreateProject(ctx, b.client, api.NewProject{Name: production.Project}); err != nil {
		return err
	}
	where, err := volume.Inspect(filepath.Join(b.data, "branches"))
	if err != nil {
		return err
	}
	b.shares = where.Reflinks()
	con, err := b.client.Connection(ctx, production)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig(con.URL)
	if err != nil {
		return err
	}
	b.env = append(os.Environ(), "PGHOST="+config.Host, "PGPORT="+strconv.Itoa(int(config.Port)), "PGUSER="+config.User, "PGPASSWORD="+config.Password,
		"PGDATABASE="+config.Database, "PGSSLMODE=require")
	b.pgbench, err = postgres.FindProgram(ctx, pgtest.Setting(), "pgbench", 0)
	return err
}

// measure fills production and copies it while it is written to.
func (b *bench) measure(ctx context.Context, size float64) (m measured, err error) {
	m.size = size
	fmt.Fprintf(os.Stderr, "filling %.1f GB\n", size)
	fill := exec.CommandContext(ctx, b.pgbench, "-i", "-I", "dtGvp", "-q", "-s", strconv.Itoa(max(1, int(size*scaleOfGB))))
	fill.Env = b.env
	if out, err := fill.CombinedOutput(); err != nil {
		return m, fmt.Errorf("fill production: %w: %s", err, out)
	}
	// What filling left to be written is not the copies'.
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return m, err
	}
	checkpoint, err := b.client.CreateCheckpoint(ctx, production, api.NewCheckpoint{Label: "before the writes"})
	if err != nil {
		return m, err
	}
	load := exec.Command(b.pgbench, "-n", "-c", strconv.Itoa(b.clients), "-T", "36000")
	load.Env = b.env
	writer, err := servetest.Begin(load)
	if err != nil {
		return m, err
	}
	began := time.Now()
	end := func() {
		_ = writer.Signal(syscall.SIGINT) // it may have ended
		writer.Kill()
	}
	defer end()
	before, err := b.transactions(ctx)
	if err != nil {
		return m, err
	}
	for round := range b.rounds {
		fmt.Fprintf(os.Stderr, "%.1f GB, round %d of %d\n", size, round+1, b.rounds)
		if err := b.round(ctx, &m); err != nil {
			return m, err
		}
		if writer.Gone() {
			return m, fmt.Errorf("pgbench ended: %s%s", writer.Out, writer.Log)
		}
	}
	after, err := b.transactions(ctx)
	if err != nil {
		return m, err
	}
	m.writes = float64(after-before) / time.Since(began).Seconds()
	end()
	return m, b.restore(ctx, &m, checkpoint.ID)
}

// restore takes production back to a checkpoint, and removes what it was.
func (b *bench) restore(ctx context.Context, m *measured, checkpoint string) error {
	fmt.Fprintf(os.Stderr, "%.1f GB, restore of a checkpoint\n", m.size)
	began := time.Now()
	job, err := b.client.Restore(ctx, production, "checkpoint:"+checkpoint)
	if err = b.follow(ctx, job, err); err != nil {
		return err
	}
	if err := b.firstRow(ctx, production); err != nil {
		return err
	}
	m.restored = time.Since(began)
	branches, err := b.client.Branches(ctx, production.Project)
	if err != nil {
		return err
	}
	for _, one := range branches {
		if !strings.Contains(one.Name, "_before_restore_") {
			continue
		}
		job, err := b.client.DeleteBranch(ctx, holdfast.BranchRef{Project: production.Project, Branch: one.Name}, api.Removal{})
		if err := b.follow(ctx, job, err); err != nil {
			return err
		}
	}
	return nil
}

// transactions is how many production has committed.
func (b *bench) transactions(ctx context.Context) (n int64, err error) {
	con, err := b.client.Connection(ctx, production)
	if err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, con.URL)
	if err != nil {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
	return n, errors.Join(err, conn.Close(ctx))
}

// round makes one copy, reads from it and removes it; where blocks are not shared, cp makes one, too.
func (b *bench) round(ctx context.Context, m *measured) error {
	logged := len(b.server.Log.String())
	began := time.Now()
	job, err := b.client.CreateBranch(ctx, preview.Project, api.NewBranch{Name: preview.Branch, From: production.Branch})
	if err = b.follow(ctx, job, err); err != nil {
		return err
	}
	m.stood = append(m.stood, time.Since(began))
	if err := b.firstRow(ctx, preview); err != nil {
		return err
	}
	m.firstRow = append(m.firstRow, time.Since(began))
	if b.verbose {
		fmt.Fprintf(os.Stderr, "%s stood, %s first row\n%s", m.stood[len(m.stood)-1], m.firstRow[len(m.firstRow)-1], b.server.Log.String()[logged:])
	}
	job, err = b.client.DeleteBranch(ctx, preview, api.Removal{})
	if err := b.follow(ctx, job, err); err != nil || b.shares {
		return err
	}
	return b.copy(ctx, m)
}

func (b *bench) follow(ctx context.Context, job api.Job, err error) error {
	if err == nil {
		job, err = b.client.FollowJob(ctx, job.ID, func(api.Job) {})
	}
	if err != nil {
		return err
	}
	return job.Err()
}

func (b *bench) firstRow(ctx context.Context, of holdfast.BranchRef) error {
	con, err := b.client.Connection(ctx, of)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, con.URL)
	if err != nil {
		return err
	}
	var n int
	err = conn.QueryRow(ctx, "SELECT abalance FROM pgbench_accounts LIMIT 1").Scan(&n)
	return errors.Join(err, conn.Close(ctx))
}

// copy is what somebody without Holdfast would type first: the files as they are, which without the backup API are no database.
func (b *bench) copy(ctx context.Context, m *measured) error {
	branch, err := b.client.Branch(ctx, production)
	if err != nil {
		return err
	}
	into := filepath.Join(b.data, "copy")
	began := time.Now()
	out, err := exec.CommandContext(ctx, "cp", "-r", filepath.Join(b.data, "branches", branch.ID, "data"), into).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such file") { // files of a running server come and go
		return fmt.Errorf("cp -r: %w: %s", err, out)
	}
	m.copied = append(m.copied, time.Since(began))
	if out, err := exec.CommandContext(ctx, "sync", "-f", into).CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w: %s", err, out)
	}
	m.copiedAndSynced = append(m.copiedAndSynced, time.Since(began))
	return os.RemoveAll(into)
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func report(fileSystem string, all []measured) {
	fmt.Printf("\n%-6s %8s %10s %10s %10s", fileSystem, "GB", "stands", "slowest", "first row")
	shares := len(all[0].copied) == 0
	if !shares {
		fmt.Printf(" %10s %10s %8s %8s", "cp -r", "and sync", "ratio", "ratio")
	}
	fmt.Printf(" %12s %12s\n", "writes a s", "restored")
	for _, m := range all {
		stood := median(m.stood)
		fmt.Printf("%-6s %8.1f %8.2f s %8.2f s %8.2f s", "", m.size, stood.Seconds(), slices.Max(m.stood).Seconds(), median(m.firstRow).Seconds())
		if !shares {
			fmt.Printf(" %8.2f s %8.2f s %8.2f %8.2f", median(m.copied).Seconds(), median(m.copiedAndSynced).Seconds(),
				stood.Seconds()/median(m.copied).Seconds(), stood.Seconds()/median(m.copiedAndSynced).Seconds())
		}
		fmt.Printf(" %12.0f %10.2f s\n", m.writes, m.restored.Seconds())
	}
	first, last := median(all[0].stood), median(all[len(all)-1].stood)
	if !shares {
		fmt.Println("ratios: against cp -r, and against cp -r and sync; below 1 a branch, which is a whole database, stands sooner than a copy of its files.")
		return
	}
	slowest, restored := time.Duration(0), time.Duration(0)
	for _, m := range all {
		slowest, restored = max(slowest, median(m.stood)), max(restored, m.restored)
	}
	fmt.Printf("A copy below %s: %s; the largest takes %.2f of the time of the smallest. A checkpoint restored in place below %s: %s.\n",
		goal, verdict(slowest < goal), last.Seconds()/first.Seconds(), restoreGoal, verdict(restored < restoreGoal))
}

func verdict(met bool) string {
	if met {
		return "at every size"
	}
	return "missed; is the machine quiet?"
}
