package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/schema"
)

type options struct {
	rounds    int
	scale     int
	hold, gap time.Duration
}

// goal is the longest that a reader may stand still.
const goal = 300 * time.Millisecond

// The owner of the databases, and its password on a server that lives as long as the benchmark.
const (
	owner    = "bench"
	password = "bench"
)

// The structures between which the plan leads, beyond what pgbench makes.
const (
	before = `CREATE TABLE customer (id int PRIMARY KEY); INSERT INTO customer SELECT generate_series(0, 999);
		ALTER TABLE pgbench_accounts ADD COLUMN customer_id int, ADD COLUMN note varchar(20) DEFAULT 'n'; UPDATE pgbench_accounts SET customer_id = aid % 1000;`
	after = `ALTER TABLE pgbench_accounts ADD COLUMN opened timestamptz DEFAULT now(), ALTER COLUMN customer_id SET NOT NULL, ALTER COLUMN note TYPE varchar(200),
		ADD CONSTRAINT accounts_customer FOREIGN KEY (customer_id) REFERENCES customer (id); CREATE INDEX accounts_customer_id ON pgbench_accounts (customer_id);`
)

// bench is the server with the databases.
type bench struct {
	*postgres.Server
	options
	pgbench, psql, dir string
	plan               *schema.Plan
}

// way is one way to apply the plan.
type way struct {
	name  string
	apply func(ctx context.Context, database string) error

	reads, writes, took []time.Duration // the longest stalls of each round, and how long the apply took
	done                []int           // reads and writes per second meanwhile
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("/tmp", "hfbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the server's account passes through
		return err
	}
	b, err := makeServer(ctx, dir)
	if err != nil {
		return err
	}
	defer b.close()
	b.options = o
	if err := b.makeDatabases(ctx); err != nil {
		return err
	}
	ways := []*way{
		{name: "holdfast", apply: b.applyHoldfast},
		{name: "psql -f of the same plan", apply: b.applyFile},
		{name: "lock timeout of 3 s, tried again", apply: b.applyPatiently},
	}
	fmt.Printf("PostgreSQL %s, %d accounts, %d statements, long transactions of %s with pauses of %s, %d rounds\n", b.Installation().Version, o.scale*100_000, len(b.plan.Statements), o.hold, o.gap, o.rounds)
	for round := range o.rounds {
		for _, w := range ways {
			if err := b.measure(ctx, w, fmt.Sprintf("round%d", round)); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	report(ways)
	return nil
}

func makeServer(ctx context.Context, dir string) (*bench, error) {
	installs, err := postgres.Find(ctx, pgtest.Setting())
	if err != nil {
		return nil, err
	}
	install, err := postgres.Choose(installs, 0)
	if err != nil {
		return nil, err
	}
	account, err := postgres.ServerAccount(ctx, "")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, Server: postgres.New(postgres.Config{Installation: install, Account: account, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})}
	for name, to := range map[string]*string{"pgbench": &b.pgbench, "psql": &b.psql} {
		if *to, err = postgres.FindProgram(ctx, pgtest.Setting(), name, install.Major); err != nil {
			return nil, err
		}
	}
	if err := b.Init(ctx, postgres.InitOptions{Parameters: holdfast.Profile(holdfast.Production)}); err != nil {
		return nil, err
	}
	if err := b.Start(ctx); err != nil {
		return nil, err
	}
	conn, err := b.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		b.close()
		return nil, err
	}
	defer conn.Close(ctx)
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	return b, postgres.PutOwner(ctx, conn, owner, verifier)
}

func (b *bench) close() {
	_ = b.Stop(context.Background(), postgres.Immediate) // its directory goes away next
	_ = b.RemoveSocketDir()
}

// makeDatabases makes production and development, and the plan from one to the other.
func (b *bench) makeDatabases(ctx context.Context) error {
	if err := b.admin(ctx, "CREATE DATABASE production OWNER "+owner); err != nil {
		return err
	}
	fill := exec.CommandContext(ctx, b.pgbench, "-i", "-q", "-s", strconv.Itoa(b.scale), "production")
	fill.Env = append(os.Environ(), b.environment("production")...)
	if err := b.inDatabase(ctx, "production", "GRANT ALL ON SCHEMA public TO "+owner, b.Connect); err != nil {
		return err
	}
	if out, err := fill.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	if err := b.inDatabase(ctx, "production", before, b.asOwner); err != nil {
		return err
	}
	if err := b.inDatabase(ctx, "production", "VACUUM ANALYZE", b.asOwner); err != nil {
		return err
	}
	if err := b.admin(ctx, "CREATE DATABASE development TEMPLATE production OWNER "+owner); err != nil {
		return err
	}
	if err := b.inDatabase(ctx, "development", after, b.asOwner); err != nil {
		return err
	}
	production, err := b.read(ctx, "production")
	if err != nil {
		return err
	}
	development, err := b.read(ctx, "development")
	if err != nil {
		return err
	}
	b.plan, err = schema.Compute(schema.Input{Baseline: production, Development: development, Production: production})
	if err != nil {
		return err
	}
	return b.plan.Ready()
}

func (b *bench) asOwner(ctx context.Context, database string) (*pgx.Conn, error) {
	return b.ConnectAs(ctx, owner, password, database)
}

func (b *bench) read(ctx context.Context, database string) (*schema.Catalog, error) {
	conn, err := b.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	c, err := schema.Read(ctx, conn)
	if err == nil {
		c.User = owner
	}
	return c, err
}

func (b *bench) admin(ctx context.Context, sql string) error {
	return b.inDatabase(ctx, postgres.MaintenanceDatabase, sql, b.Connect)
}

func (b *bench) inDatabase(ctx context.Context, database, sql string, connect func(context.Context, string) (*pgx.Conn, error)) error {
	conn, err := connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// environment is what pgbench and psql need to enter as the owner. A password belongs to no command line.
func (b *bench) environment(database string) []string {
	return []string{"PGHOST=" + b.SocketDir(), "PGPORT=5432", "PGUSER=" + owner, "PGPASSWORD=" + password, "PGDATABASE=" + database, "PGSSLMODE=disable"}
}

// measure applies the plan to a fresh copy under load.
func (b *bench) measure(ctx context.Context, w *way, database string) error {
	if err := b.admin(ctx, "CREATE DATABASE "+database+" TEMPLATE production OWNER "+owner); err != nil {
		return err
	}
	load, err := b.startLoad(ctx, database)
	if err != nil {
		return err
	}
	began := time.Now()
	err = w.apply(ctx, database)
	took := time.Since(began)
	reads, writes, done, failed := load.stop()
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	w.took, w.reads, w.writes = append(w.took, took), append(w.reads, reads), append(w.writes, writes)
	w.done = append(w.done, int(float64(done)/took.Seconds()))
	return b.admin(ctx, "DROP DATABASE "+database+" WITH (FORCE)")
}

func report(ways []*way) {
	fmt.Printf("\n%-34s %14s %8s %14s %8s %12s %10s\n", "longest stall in any round", "of a reader", "ratio", "of a writer", "ratio", "apply took", "reads/s")
	for _, w := range ways {
		reads, writes := slices.Max(w.reads), slices.Max(w.writes)
		fmt.Printf("%-34s %12.0fms %8.1f %12.0fms %8.1f %11.1fs %10d\n", w.name, ms(reads), float64(reads)/float64(slices.Max(ways[0].reads)), ms(writes), float64(writes)/float64(slices.Max(ways[0].writes)), slices.Max(w.took).Seconds(), slices.Min(w.done))
	}
	verdict := "met"
	if slices.Max(ways[0].reads) > goal {
		verdict = "missed; is the machine quiet?"
	}
	fmt.Printf("\nratio: against Holdfast in the same run. The goal of %s for a reader was %s.\n", goal, verdict)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
