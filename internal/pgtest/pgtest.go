// Package pgtest gives tests a real PostgreSQL: one server per test package, started when the first test asks for it, and a
// fresh database per test.
//
//	db := pgtest.Start(t).Database(t)
//	conn := db.Connect(t)
//
// However the test process ends, by a panic or kill -9 too, a guard process stops the servers and removes their directories.
// Where no PostgreSQL is installed the test is skipped with the reason. Every bit of durability is off: a server of this package
// is quick, and worthless after a crash.
//
// HOLDFAST_TEST_PG lists further directories of PostgreSQL programs, separated by colons, the first of which tests run against that
// do not ask for a version; HOLDFAST_TEST_PG_MAJOR chooses another version for them.
package pgtest

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// The role that owns every database of this package, and its password.
const (
	Owner         = "owner"
	OwnerPassword = "owner's password"
)

// startTimeout is for a machine that is busy with many test packages.
const startTimeout = 2 * time.Minute

// Server is a running server.
type Server struct{ *postgres.Server }

// Option changes which server a test gets.
type Option func(*options)

type options struct {
	major      int
	parameters map[string]string
}

// Major asks for a version of PostgreSQL. The test is skipped where it is not installed.
func Major(major int) Option { return func(o *options) { o.major = major } }

// Parameter sets a PostgreSQL parameter. Servers with different parameters are different servers.
func Parameter(name, value string) Option {
	return func(o *options) { o.parameters[name] = value }
}

// shared are the servers of this test process. Tests have nobody above them who could hold them.
var shared = struct {
	sync.Mutex
	servers  map[string]*Server
	database int
}{servers: map[string]*Server{}}

// Start returns the test package's server with these options. It keeps running until the test process ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := gather(t, opts)
	key := fmt.Sprint(o.major, o.parameters)
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[key]; s != nil {
		return s
	}
	// Not in the test's own directory: the server outlives the test.
	s := describe(t, o, filepath.Join(guardedRoot(t), "shared"+strconv.Itoa(len(shared.servers))))
	s.make(t, o)
	shared.servers[key] = s
	return s
}

// New returns a server of the test's own, which it may stop, break and kill. It is gone after the test.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := gather(t, opts)
	// Made once and copied: a copy is much quicker than initdb.
	template := Kept(t, "template"+strconv.Itoa(o.major), func(dir string) {
		s := describe(t, o, dir)
		s.make(t, options{})
		s.stop(t)
	})
	s := describe(t, o, filepath.Join(Dir(t), "pg"))
	if err := Account(t).MkdirAll(filepath.Dir(s.DataDir())); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", "--reflink=auto", filepath.Join(template, "data"), s.DataDir()).CombinedOutput(); err != nil {
		t.Fatalf("copy a server for the test: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := s.Configure(ctx, o.settings()); err != nil {
		t.Fatal(err)
	}
	if err := s.Server.Start(ctx); err != nil {
		t.Fatalf("start a server for the test: %v", err)
	}
	return s
}

// Account returns the account that test servers run as.
func Account(t testing.TB) postgres.Account {
	t.Helper()
	account, err := postgres.ServerAccount(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func gather(t testing.TB, opts []Option) options {
	t.Helper()
	o := options{major: preferredMajor(t), parameters: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// settings are what makes a server quick, and what the test asked for.
func (o options) settings() map[string]string {
	settings := map[string]string{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB", "max_connections": "200"}
	maps.Copy(settings, o.parameters)
	return settings
}

// describe says which server lies in dir.
func describe(t testing.TB, o options, dir string) *Server {
	t.Helper()
	return &Server{postgres.New(postgres.Config{Installation: Installation(t, Major(o.major)), Account: Account(t), DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log")})}
}

// make makes the server from nothing and starts it.
func (s *Server) make(t testing.TB, o options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Account().MkdirAll(filepath.Dir(s.DataDir())); err != nil {
		t.Fatal(err)
	}
	if err := s.Init(ctx, postgres.InitOptions{Unsynced: true, Parameters: o.settings()}); err != nil {
		t.Fatalf("make a server for the tests: %v", err)
	}
	if err := s.Server.Start(ctx); err != nil {
		t.Fatalf("start a server for the tests: %v", err)
	}
	conn, err := s.Server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatalf("enter the server for the tests: %v", err)
	}
	defer conn.Close(ctx)
	verifier, err := postgres.NewVerifier(OwnerPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Harden(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if err := postgres.PutOwner(ctx, conn, Owner, verifier); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Stop(ctx, postgres.Fast); err != nil {
		t.Fatal(err)
	}
}

// Database is a database of one test.
type Database struct {
	Name   string
	Server *Server
}

// Database creates a database that belongs to Owner. It is dropped after the test.
func (s *Server) Database(t testing.TB) *Database {
	t.Helper()
	shared.Lock()
	shared.database++
	d := &Database{Name: fmt.Sprintf("test_%d", shared.database), Server: s}
	shared.Unlock()
	s.exec(t, "CREATE DATABASE "+holdfast.QuoteIdentifier(d.Name)+" OWNER "+Owner)
	t.Cleanup(func() { s.exec(t, "DROP DATABASE IF EXISTS "+holdfast.QuoteIdentifier(d.Name)+" WITH (FORCE)") })
	return d
}

// exec runs a statement in the maintenance database. A server that a test has stopped has nothing to clean.
func (s *Server) exec(t testing.TB, statement string) {
	t.Helper()
	if !s.Ready() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := s.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Connect opens a session of the administrator, closed after the test. It finds tables as a user's session does.
func (d *Database) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := d.Server.Connect(t.Context(), d.Name)
	keep(t, conn, err)
	Exec(t, conn, `SET search_path = "$user", public`)
	return conn
}

// ConnectOwner opens a session of Owner, closed after the test.
func (d *Database) ConnectOwner(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := d.Server.ConnectAs(t.Context(), Owner, OwnerPassword, d.Name)
	return keep(t, conn, err)
}

func keep(t testing.TB, conn *pgx.Conn, err error) *pgx.Conn {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test is over: nobody waits for its answer
	return conn
}

// URL is the database's connection URL as Owner.
func (d *Database) URL() string { return d.url(url.UserPassword(Owner, OwnerPassword)) }

// AdminURL is the database's connection URL as the administrator.
func (d *Database) AdminURL() string { return d.url(url.User(postgres.AdminRole)) }

func (d *Database) url(user *url.Userinfo) string {
	query := url.Values{"host": {d.Server.SocketDir()}, "port": {"5432"}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: user, Path: "/" + d.Name, RawQuery: query.Encode()}).String()
}

// Exec runs SQL, many statements at once if need be, and ends the test when it fails.
func Exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(sql), err)
	}
}

// Value runs a query and returns the one value of its one row.
func Value[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(sql), err)
	}
	return v
}
