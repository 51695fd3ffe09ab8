package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/postgres"
)

const (
	role     = "bench"
	password = "bench-password"
	database = "bench"
)

func (b *bench) startServer(ctx context.Context) error {
	found, err := postgres.Find(ctx, nil)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return &missingError{"a PostgreSQL server"}
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
	parameters := history.Recommended(64 << 30)
	parameters["shared_buffers"], parameters["max_wal_size"], parameters["checkpoint_timeout"] = "256MB", "4GB", "30min"
	if err := b.server.Init(ctx, postgres.InitOptions{Unsynced: true, Parameters: parameters}); err != nil {
		return err
	}
	if err := b.server.Start(ctx); err != nil {
		return err
	}
	conn, err := b.server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return err
	}
	if err := postgres.PutOwner(ctx, conn, role, verifier); err != nil {
		return err
	}
	return postgres.PutDatabase(ctx, conn, database, role)
}

// sql runs statements as the database's owner.
func (b *bench) sql(ctx context.Context, statements string) error {
	conn, err := b.server.ConnectAs(ctx, role, password, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for statement := range strings.SplitSeq(statements, ";") { // one by one: VACUUM runs in no transaction
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (b *bench) close(ctx context.Context) error {
	var err error
	if b.ours != nil {
		err = b.ours.close()
	}
	return errors.Join(err, b.server.Stop(ctx, postgres.Immediate))
}

func (b *bench) ways(ctx context.Context) ([]way, error) {
	b.ours = &ours{bench: b}
	ways := []way{{name: "holdfast", counts: "repository/branches/bench/data", full: b.ours.full, restore: b.ours.restore, increment: b.ours.increment, wal: b.ours.wal},
		{name: "pg_basebackup lz4", full: b.baseBackup("server-lz4"), restore: b.untar("base.tar.lz4", "lz4")},
		{name: "pg_basebackup zstd", full: b.baseBackup("server-zstd:level=1,workers=2"), restore: b.untar("base.tar.zst", "zstd")},
		{name: "pg_receivewal lz4", wal: b.receiveWAL}}
	if path, err := exec.LookPath(b.options.pgbackrest); err == nil {
		r := &backRest{bench: b, program: path}
		ways = append(ways, way{name: "pgBackRest zst", full: r.full, restore: r.restore, increment: r.increment})
	} else {
		fmt.Println("pgBackRest is not installed (apt-get install pgbackrest), so it is left out")
	}
	return ways, ctx.Err()
}

// ours is this product. Each full backup is an archive of its own.
type ours struct {
	bench   *bench
	archive *history.Archive
	place   string
}

func (o *ours) open(ctx context.Context, place string) error {
	if err := o.close(); err != nil {
		return err
	}
	location, err := blob.CreateFolder(filepath.Join(place, "repository"))
	if err != nil {
		return err
	}
	o.archive, err = history.Open(history.Config{Branch: "bench", Dir: filepath.Join(place, "spool"), Locations: []history.Location{{Name: "folder", Location: location}},
		Log: slog.New(slog.DiscardHandler), Alert: func(history.Alert) {}})
	o.place = place
	return err
}

func (o *ours) close() error {
	if o.archive == nil {
		return nil
	}
	a := o.archive
	o.archive = nil
	return a.Close()
}

func (o *ours) full(ctx context.Context, fresh string) error {
	if err := o.open(ctx, fresh); err != nil {
		return err
	}
	if err := o.archive.Attach(ctx, o.bench.server); err != nil {
		return err
	}
	_, err := o.archive.Backup(ctx, history.BackupRequest{Server: o.bench.server, Full: true, Fast: true})
	return err
}

func (o *ours) increment(ctx context.Context, _ string) error {
	_, err := o.archive.Backup(ctx, history.BackupRequest{Server: o.bench.server, Fast: true})
	return err
}

// restore includes the replay and a clean shutdown, which the others leave to the one who starts the server.
func (o *ours) restore(ctx context.Context, _, into string) error {
	plan, err := o.archive.Plan(ctx, holdfast.Point{})
	if err != nil {
		return err
	}
	server := postgres.New(postgres.Config{Installation: o.bench.server.Installation(), Account: o.bench.server.Account(), DataDir: into, LogFile: into + ".log"})
	_, err = o.archive.Restore(ctx, history.RestoreRequest{Plan: plan, Server: server})
	return err
}

// hold opens a new archive whose slot keeps the WAL from here on, and lets nobody take it yet.
func (o *ours) hold(ctx context.Context) error {
	if o.archive == nil {
		return nil
	}
	return o.archive.Detach(ctx)
}

func (o *ours) wal(ctx context.Context, _ string) error {
	if err := o.archive.Attach(ctx, o.bench.server); err != nil {
		return err
	}
	if err := o.archive.Detach(ctx); err != nil { // waits for everything
		return err
	}
	return o.archive.Sync(ctx)
}

// command runs a program as the user that may enter the server as its administrator, which is ourselves.
func (b *bench) command(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), b.server.ClientEnvironment(postgres.MaintenanceDatabase)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}

func (b *bench) program(name string) string {
	return filepath.Join(b.server.Installation().BinDir, name)
}

func (b *bench) baseBackup(compress string) func(context.Context, string) error {
	return func(ctx context.Context, fresh string) error {
		return b.command(ctx, b.program("pg_basebackup"), "-D", fresh, "-Ft", "-c", "fast", "-X", "none", "--compress="+compress)
	}
}

// untar restores what pg_basebackup wrote and syncs it.
func (b *bench) untar(archive, decompress string) func(context.Context, string, string) error {
	return func(ctx context.Context, from, into string) error {
		if err := os.MkdirAll(into, 0o700); err != nil {
			return err
		}
		if err := b.command(ctx, "tar", "-x", "-f", filepath.Join(from, archive), "-C", into, "-I", decompress); err != nil {
			return err
		}
		return b.command(ctx, "sync", "-f", into)
	}
}

// receiveWAL takes the waiting WAL with PostgreSQL's own receiver. Our slot keeps it, so it needs none.
func (b *bench) receiveWAL(ctx context.Context, fresh string) error {
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	conn, err := b.server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var first, last string
	err = conn.QueryRow(ctx, `SELECT pg_walfile_name(restart_lsn), pg_current_wal_flush_lsn()::text FROM pg_replication_slots WHERE slot_name = 'holdfast'`).Scan(&first, &last)
	if err != nil {
		return err
	}
	// It begins where the newest file that it finds ends: a file of the segment before the first one.
	size := int64(postgres.DefaultSegmentSize)
	segment, ok := postgres.ParseSegment(first, size)
	if !ok {
		return fmt.Errorf("%s is not a segment", first)
	}
	segment.Number--
	seed, err := os.Create(filepath.Join(fresh, segment.Name()))
	if err == nil {
		err = errors.Join(seed.Truncate(size), seed.Close())
	}
	if err != nil {
		return err
	}
	return b.command(ctx, b.program("pg_receivewal"), "-D", fresh, "--compress=lz4", "--no-loop", "--endpos="+last)
}

// backRest is pgBackRest with two processes and zstd.
type backRest struct {
	bench   *bench
	program string
}

func (r *backRest) run(ctx context.Context, repository, data string, args ...string) error {
	common := []string{"--stanza=bench", "--repo1-path=" + repository, "--pg1-path=" + data,
		"--lock-path=" + filepath.Join(r.bench.dir, "lock"), "--log-level-file=off", "--log-level-console=warn", "--config=/dev/null"}
	return r.bench.command(ctx, r.program, append(common, args...)...)
}

func (r *backRest) how() []string {
	return append(r.server(), "--process-max=2", "--compress-type=zst", "--compress-level=1", "--start-fast", "--no-archive-check")
}

func (r *backRest) server() []string {
	return []string{"--pg1-socket-path=" + r.bench.server.SocketDir(), "--pg1-user=" + postgres.AdminRole}
}

func (r *backRest) full(ctx context.Context, fresh string) error {
	if err := r.run(ctx, fresh, r.bench.server.DataDir(), append(r.server(), "stanza-create")...); err != nil {
		return err
	}
	return r.run(ctx, fresh, r.bench.server.DataDir(), append(r.how(), "--type=full", "backup")...)
}

func (r *backRest) increment(ctx context.Context, onto string) error {
	return r.run(ctx, onto, r.bench.server.DataDir(), append(r.how(), "--type=incr", "backup")...)
}

func (r *backRest) restore(ctx context.Context, from, into string) error {
	if err := os.MkdirAll(into, 0o700); err != nil {
		return err
	}
	return r.run(ctx, from, into, "--process-max=2", "--type=none", "restore")
}
