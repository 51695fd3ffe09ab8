package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast/internal/publish"
)

func (b *bench) applyHoldfast(ctx context.Context, database string) error {
	out, err := publish.Apply(ctx, publish.Order{Plan: b.plan, Target: publish.Target{
		Owner:         func(ctx context.Context) (*pgx.Conn, error) { return b.asOwner(ctx, database) },
		Administrator: func(ctx context.Context) (*pgx.Conn, error) { return b.Connect(ctx, database) },
	}})
	if err == nil && len(out.Differences) > 0 {
		err = fmt.Errorf("the result is not development's structure: %v", out.Differences)
	}
	return err
}

// applyFile is what somebody does who has a plan and psql.
func (b *bench) applyFile(ctx context.Context, database string) error {
	file := filepath.Join(b.dir, "plan.sql")
	if err := os.WriteFile(file, []byte("SET check_function_bodies = off;\n"+b.plan.SQL()), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file)
	cmd.Env = append(os.Environ(), b.environment(database)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql -f: %w: %s", err, out)
	}
	return nil
}

// applyPatiently gives each statement a lock timeout of 3 s and tries again at once. What runs concurrently may wait for long.
func (b *bench) applyPatiently(ctx context.Context, database string) error {
	conn, err := b.asOwner(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range b.plan.Statements {
		timeout := "3s"
		if !s.Transactional {
			timeout = "20min"
		}
		if _, err := conn.Exec(ctx, "SET lock_timeout = '"+timeout+"'"); err != nil {
			return err
		}
		for {
			_, err := conn.Exec(ctx, s.SQL)
			var refused *pgconn.PgError
			if errors.As(err, &refused) && refused.Code == "55P03" {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.SQL, err)
			}
			break
		}
	}
	return nil
}
