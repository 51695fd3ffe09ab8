package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// bare is a server of the same version and settings, without Holdfast around it.
type bare struct{ *postgres.Server }

func makeBare(ctx context.Context, install postgres.Installation, dir string) (*bare, error) {
	account, err := postgres.ServerAccount(ctx, "")
	if err != nil {
		return nil, err
	}
	b := &bare{postgres.New(postgres.Config{Installation: install, Account: account, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})}
	parameters := holdfast.Profile(holdfast.Development)
	if install.HasLibrary("pg_stat_statements") {
		parameters["shared_preload_libraries"] = "pg_stat_statements"
	}
	if err := b.Init(ctx, postgres.InitOptions{Parameters: parameters}); err != nil {
		return nil, err
	}
	// Once in our own way, which makes the socket's directory.
	return b, errors.Join(b.Start(ctx), b.stop(ctx))
}

func (b *bare) stop(ctx context.Context) error { return b.Stop(ctx, postgres.Fast) }

func (b *bare) close() {
	_ = b.Stop(context.Background(), postgres.Immediate) // its directory goes away next
	_ = b.RemoveSocketDir()
}

func (b *bare) startAndPsql(ctx context.Context, psql string) error {
	start := b.Account().Command(ctx, filepath.Join(b.Installation().BinDir, "pg_ctl"), "start", "--silent", "--wait", "-D", b.DataDir(), "-l", filepath.Join(filepath.Dir(b.DataDir()), "pg_ctl.log"))
	if out, err := start.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl start: %w: %s", err, out)
	}
	return oneRow(ctx, psql, "", b.ClientEnvironment(postgres.MaintenanceDatabase)...)
}

// oneRow reads one row with psql. A URL holds the password and must not stand among the arguments, where everybody sees it.
func oneRow(ctx context.Context, psql, url string, environment ...string) error {
	cmd := exec.CommandContext(ctx, psql, "-X", "-A", "-t", "-c", "SELECT 1")
	cmd.Env = append(cmd.Environ(), environment...)
	if url != "" {
		variables, err := fromURL(url)
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, variables...)
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1\n" {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

func (b *bare) connect(ctx context.Context) error {
	if err := b.Start(ctx); err != nil {
		return err
	}
	conn, err := b.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	return select1(ctx, conn)
}

// fromURL takes a connection URL apart into the variables that libpq reads.
func fromURL(url string) ([]string, error) {
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the branch's URL: %w", err)
	}
	return []string{"PGHOST=" + config.Host, "PGPORT=" + strconv.Itoa(int(config.Port)), "PGUSER=" + config.User, "PGPASSWORD=" + config.Password,
		"PGDATABASE=" + config.Database, "PGSSLMODE=require"}, nil
}
