package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/postgres"
)

// bound is the memory that no step may reach.
const bound = 200 << 20

const (
	source = "source"
	target = "target"
)

var errNoServer = errors.New("no PostgreSQL server is installed")

type bench struct {
	dir    string
	rows   int
	server *postgres.Server
	tools  backup.Tools
	worst  int64
}

func run(ctx context.Context, rows int, below string) (err error) {
	dir, err := os.MkdirTemp(below, "hfbench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // the server's account passes through
		return err
	}
	b := &bench{dir: dir, rows: rows, tools: backup.Tools{Scratch: filepath.Join(dir, "scratch")}}
	if err := b.startServer(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.Stop(context.WithoutCancel(ctx), postgres.Immediate)) }()
	if err := b.fill(ctx); err != nil {
		return err
	}
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	if b.worst >= bound {
		return fmt.Errorf("%d MB of memory were taken; less than %d are allowed", b.worst>>20, bound>>20)
	}
	return nil
}

func (b *bench) startServer(ctx context.Context) error {
	found, err := postgres.Find(ctx, nil)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNoServer
	}
	installation, err := postgres.Choose(found, 0)
	if err != nil {
		return err
	}
	account, err := postgres.ServerAccount(ctx, "")
	if err != nil {
		return err
	}
	home := filepath.Join(b.dir, "pg")
	if err := account.MkdirAll(home); err != nil {
		return err
	}
	b.server = postgres.New(postgres.Config{Installation: installation, Account: account, DataDir: filepath.Join(home, "data"), LogFile: filepath.Join(home, "log")})
	parameters := map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "fsync": "off"}
	if err := b.server.Init(ctx, postgres.InitOptions{Unsynced: true, Parameters: parameters}); err != nil {
		return err
	}
	return b.server.Start(ctx)
}

// sql runs statements one by one, as the administrator.
func (b *bench) sql(ctx context.Context, database string, statements ...string) error {
	conn, err := b.server.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// fill makes a table with the types that most rows have.
func (b *bench) fill(ctx context.Context) error {
	if err := b.sql(ctx, postgres.MaintenanceDatabase, "CREATE DATABASE "+source); err != nil {
		return err
	}
	return b.sql(ctx, source, fmt.Sprintf(`CREATE TABLE public.orders AS SELECT g::bigint AS id, 'customer ' || g %% 1000 AS customer, (g * 7 %% 100000 / 100.0)::numeric(10,2) AS total, g %% 3 = 0 AS paid,
		timestamptz '2026-01-01 00:00+00' + g * interval '1 second' AS ordered, CASE WHEN g %% 5 > 0 THEN md5(g::text) END AS note FROM generate_series(1, %d) g`, b.rows), "VACUUM (FREEZE, ANALYZE) public.orders")
}

func (b *bench) database(name string) backup.Database {
	return backup.Database{Name: name, Socket: b.server.SocketDir(), Environment: b.server.ClientEnvironment(name),
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return b.server.Connect(ctx, name) }}
}

func (b *bench) measureAll(ctx context.Context) error {
	catalogue, err := backup.OpenCatalogue(filepath.Join(b.dir, "backups"))
	if err != nil {
		return err
	}
	copied, err := b.measure(func() error { return b.sql(ctx, source, "COPY public.orders TO '/dev/null'") })
	if err != nil {
		return err
	}
	pgDump, err := b.measure(func() error { return b.pgDump(ctx) })
	if err != nil {
		return err
	}
	fmt.Printf("%d rows\n  COPY into /dev/null  %7.2f s\n  pg_dump custom       %7.2f s (gzip, into /dev/null)\n", b.rows, copied.took.Seconds(), pgDump.took.Seconds())
	for _, format := range []holdfast.BackupFormat{holdfast.JSONFormat, holdfast.CSVFormat} {
		var made holdfast.Backup
		out, err := b.measure(func() (err error) {
			made, err = b.tools.Dump(ctx, backup.DumpRequest{Database: b.database(source), Destinations: []backup.Destination{{Name: "folder", Catalogue: catalogue}},
				Backup: holdfast.Backup{Project: "bench", Branch: "bench", Name: "bench_" + string(format), Options: holdfast.BackupOptions{Format: format}}})
			return err
		})
		if err != nil {
			return err
		}
		b.report(string(format)+" out", out, copied, pgDump)
		in, err := b.measure(func() error { return b.restore(ctx, filepath.Join(b.dir, "backups", made.Name, made.Object)) })
		if err != nil {
			return err
		}
		b.report(string(format)+" in", in, copied, pgDump)
	}
	fmt.Println("Out means: packed, written, and read back. Memory is the highest of this process in the step, without the server and pg_dump.")
	return nil
}

func (b *bench) pgDump(ctx context.Context) error {
	program, err := postgres.FindProgram(ctx, nil, "pg_dump", b.server.Installation().Major)
	if err != nil {
		return err
	}
	var failed strings.Builder
	cmd := exec.CommandContext(ctx, program, "--format=custom") // its output goes to /dev/null
	cmd.Env = append(os.Environ(), b.server.ClientEnvironment(source)...)
	cmd.Stderr = &failed
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pg_dump: %w: %s", err, failed.String())
	}
	return nil
}

// restore brings a backup into a new database and counts its rows.
func (b *bench) restore(ctx context.Context, path string) error {
	if err := b.sql(ctx, postgres.MaintenanceDatabase, "DROP DATABASE IF EXISTS "+target, "CREATE DATABASE "+target); err != nil {
		return err
	}
	result, err := b.tools.Restore(ctx, backup.RestoreRequest{Target: b.database(target), Path: path})
	if err != nil {
		return err
	}
	if len(result.Tables) != 1 || result.Tables[0].Records != int64(b.rows) {
		return fmt.Errorf("restored %v, want %d rows", result.Tables, b.rows)
	}
	return nil
}

// sample is one measurement.
type sample struct {
	took   time.Duration
	memory int64 // the highest resident memory of this process
}

func (b *bench) measure(do func() error) (sample, error) {
	debug.FreeOSMemory()
	// 5 resets the mark of the highest resident memory (proc(5)).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return sample{}, fmt.Errorf("reset the mark of memory: %w", err)
	}
	began := time.Now()
	if err := do(); err != nil {
		return sample{}, err
	}
	s := sample{took: time.Since(began)}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return s, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	if _, err := fmt.Sscan(rest, &s.memory); err != nil {
		return s, fmt.Errorf("read the highest memory: %w", err)
	}
	s.memory <<= 10
	b.worst = max(b.worst, s.memory)
	return s, nil
}

func (b *bench) report(name string, s, copied, pgDump sample) {
	rate := func(of sample) float64 { return of.took.Seconds() / s.took.Seconds() }
	fmt.Printf("  %-20s %7.2f s  %4d MB   throughput: %.2f of COPY, %.2f of pg_dump\n", name, s.took.Seconds(), s.memory>>20, rate(copied), rate(pgDump))
}
