package history

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

var discard = slog.New(slog.DiscardHandler)

// branch is a running server with a durable table of numbered rows, and its archive.
type branch struct {
	t       *testing.T
	pg      *pgtest.Server
	db      *pgtest.Database
	config  Config
	archive *Archive

	mu     sync.Mutex
	alerts []Alert
}

var durable = []pgtest.Option{pgtest.Parameter("fsync", "on"), pgtest.Parameter("full_page_writes", "on"), pgtest.Parameter("synchronous_commit", "on"),
	pgtest.Parameter("max_prepared_transactions", "10"), pgtest.Parameter("shared_buffers", "16MB"), pgtest.Parameter("max_connections", "20")}

var testParameters = map[string]string{"max_prepared_transactions": "10", "max_connections": "20"}

// newBranch starts a server and opens an archive in the given locations, without attaching it.
func newBranch(t *testing.T, locations ...Location) *branch {
	t.Helper()
	b := &branch{t: t, pg: pgtest.New(t, durable...)}
	b.db = b.pg.Database(t)
	pgtest.Exec(t, b.owner(), "CREATE TABLE n (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), filler text)")
	b.config = Config{Branch: "b1", Dir: filepath.Join(t.TempDir(), "history"), Locations: locations, Log: discard, Alert: b.alert}
	if testing.Verbose() {
		b.config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b.open()
	t.Cleanup(func() {
		if err := b.archive.Close(); err != nil {
			t.Errorf("close the archive: %v", err)
		}
	})
	return b
}

func (b *branch) open() {
	b.t.Helper()
	var err error
	if b.archive, err = Open(b.config); err != nil {
		b.t.Fatal(err)
	}
}

func (b *branch) alert(a Alert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alerts = append(b.alerts, a)
}

// heard says whether an alert of that kind was raised.
func (b *branch) heard(kind AlertKind) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.alerts, func(a Alert) bool { return a.Kind == kind && !a.Cleared })
}

func (b *branch) attach() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if err := b.archive.Attach(ctx, b.pg.Server); err != nil {
		b.t.Fatal(err)
	}
}

func (b *branch) detach() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if err := b.archive.Detach(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func (b *branch) backup(full bool) Base {
	b.t.Helper()
	base, err := b.archive.Backup(b.t.Context(), BackupRequest{Server: b.pg.Server, Full: full, Fast: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return base
}

func (b *branch) owner() *pgx.Conn {
	b.t.Helper()
	conn, err := b.pg.ConnectAs(b.t.Context(), pgtest.Owner, pgtest.OwnerPassword, b.db.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test is over: nobody waits for its answer
	return conn
}

// insert commits one row and returns its number.
func (b *branch) insert() int64 {
	b.t.Helper()
	conn := b.owner()
	defer conn.Close(b.t.Context())
	return pgtest.Value[int64](b.t, conn, "INSERT INTO n (filler) VALUES (repeat('x', 200)) RETURNING id")
}

// restore restores a point into a server of its own.
func (b *branch) restore(p holdfast.Point) (*postgres.Server, error) {
	b.t.Helper()
	return restorePoint(b.t, b.archive, b.pg, p, false)
}

func restorePoint(t *testing.T, a *Archive, like *pgtest.Server, p holdfast.Point, continues bool) (*postgres.Server, error) {
	t.Helper()
	plan, err := a.Plan(t.Context(), p)
	if err != nil {
		return nil, err
	}
	dir := pgtest.Dir(t)
	server := postgres.New(postgres.Config{Installation: like.Installation(), Account: like.Account(), DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})
	_, err = a.Restore(t.Context(), RestoreRequest{Plan: plan, Server: server, Parameters: testParameters, Continues: continues})
	return server, err
}

// rows lists the numbers in a restored server's table.
func (b *branch) rows(server *postgres.Server) []int64 {
	b.t.Helper()
	if err := server.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	conn, err := server.ConnectAs(b.t.Context(), pgtest.Owner, pgtest.OwnerPassword, b.db.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close(b.t.Context())
	ids := pgtest.Value[[]int64](b.t, conn, "SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM n")
	if err := server.Stop(b.t.Context(), postgres.Fast); err != nil {
		b.t.Fatal(err)
	}
	return ids
}

func upTo(n int64) (ids []int64) {
	for i := int64(1); i <= n; i++ {
		ids = append(ids, i)
	}
	return ids
}

// expect restores a point and checks what is in it.
func (b *branch) expect(p holdfast.Point, want []int64) {
	b.t.Helper()
	server, err := b.restore(p)
	if err != nil {
		b.t.Fatalf("restore %v: %v", p, err)
	}
	if got := b.rows(server); !slices.Equal(got, want) {
		b.t.Errorf("at %v there are the rows %v, want %v", p, short(got), short(want))
	}
}

func short(ids []int64) string {
	if len(ids) < 12 {
		return fmt.Sprint(ids)
	}
	return fmt.Sprintf("%v ... %v (%d)", ids[:5], ids[len(ids)-5:], len(ids))
}

func TestEveryMomentSinceTheFirstBaseBackupComesBack(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	b.insert()
	b.backup(true)
	var moments []time.Time
	for range 5 {
		b.insert()
		moments = append(moments, time.Now())
	}
	for i, at := range moments {
		b.expect(holdfast.Point{At: at}, upTo(int64(i+2)))
	}
	b.expect(holdfast.Point{}, upTo(6))
	// After sleep nothing is missing, and there is nothing behind the last commit.
	stop(t, b.pg)
	b.detach()
	b.expect(holdfast.Point{}, upTo(6))
	b.expect(holdfast.Point{At: time.Now()}, upTo(6))
	w, err := b.archive.Window(t.Context())
	if err != nil || w.Check(moments[0]) != nil || w.Check(time.Now().Add(-time.Millisecond)) != nil || len(w.Gaps) != 0 {
		t.Errorf("the window is %+v, %v", w, err)
	}
}
