package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// load is what goes on in the database while the plan is applied.
type load struct {
	cancel        context.CancelFunc
	ends          sync.WaitGroup
	pgbench       *exec.Cmd
	reads, writes atomic.Int64 // the longest, in nanoseconds
	done          atomic.Int64

	mu     sync.Mutex
	failed error
}

// startLoad returns once every client has done something, and the long reader reads.
func (b *bench) startLoad(ctx context.Context, database string) (*load, error) {
	l := &load{}
	ctx, l.cancel = context.WithCancel(ctx)
	accounts := b.scale * 100_000
	ready := make(chan struct{}, 8)
	read := func(conn *pgx.Conn) error {
		var balance int
		return conn.QueryRow(ctx, "SELECT abalance FROM pgbench_accounts WHERE aid = $1", 1+rand.IntN(accounts)).Scan(&balance)
	}
	write := func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = $1", 1+rand.IntN(accounts))
		return err
	}
	clients := 0
	start := func(do func(ctx context.Context, conn *pgx.Conn, ready func()) error) {
		clients++
		l.ends.Go(func() {
			conn, err := b.asOwner(ctx, database)
			if err == nil {
				err = do(ctx, conn, sync.OnceFunc(func() { ready <- struct{}{} }))
				_ = conn.Close(context.WithoutCancel(ctx)) // the load ends
			}
			if err != nil && ctx.Err() == nil {
				l.fail(err)
				ready <- struct{}{}
			}
		})
	}
	for range 2 {
		start(l.repeat(read, &l.reads))
	}
	start(l.repeat(write, &l.writes))
	start(b.readLong)
	l.pgbench = exec.CommandContext(ctx, b.pgbench, "-n", "-c", "2", "-T", "3600", "-b", "simple-update", "--max-tries=10", database)
	l.pgbench.Env = append(os.Environ(), b.environment(database)...)
	if err := l.pgbench.Start(); err != nil {
		l.cancel()
		return nil, err
	}
	for range clients {
		<-ready
	}
	return l, nil
}

// repeat does one thing after the other and keeps the longest time. There is a breath between them: the machine has other work.
func (l *load) repeat(do func(*pgx.Conn) error, longest *atomic.Int64) func(context.Context, *pgx.Conn, func()) error {
	return func(ctx context.Context, conn *pgx.Conn, ready func()) error {
		breath := time.NewTicker(time.Millisecond)
		defer breath.Stop()
		for first := true; ctx.Err() == nil; first = false {
			began := time.Now()
			if err := do(conn); err != nil {
				return err
			}
			if took := int64(time.Since(began)); !first && took > longest.Load() {
				longest.Store(took)
			}
			l.done.Add(1)
			ready()
			<-breath.C
		}
		return nil
	}
}

// readLong holds a table's lock for reading in long transactions, as a report or a backup does.
func (b *bench) readLong(ctx context.Context, conn *pgx.Conn, ready func()) error {
	for {
		if _, err := conn.Exec(ctx, "BEGIN; SELECT count(*) FROM pgbench_accounts WHERE aid < 1000"); err != nil {
			return err
		}
		ready()
		if !wait(ctx, b.hold) {
			return nil
		}
		if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
			return err
		}
		if !wait(ctx, b.gap) {
			return nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = errors.Join(l.failed, err)
}

func (l *load) stop() (reads, writes time.Duration, done int64, err error) {
	reads, writes, done = time.Duration(l.reads.Load()), time.Duration(l.writes.Load()), l.done.Load()
	l.cancel()
	l.ends.Wait()
	_ = l.pgbench.Wait() // it was killed
	l.mu.Lock()
	defer l.mu.Unlock()
	return reads, writes, done, l.failed
}
