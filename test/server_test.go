package test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/servetest"
)

// patience bounds every wait for a process. It is waited for in full only when something is broken.
const patience = servetest.Patience

// server is a `holdfast serve` and how it was started, so that it can be started again.
type server struct {
	*api.Client
	data          string // its data directory
	home          string // of the user that runs it and its commands
	http, gateway string // the addresses that it got
	args          []string
	as            *syscall.Credential // nil: the user of this process
	keep          bool                // it outlives the test that starts it

	process background
}

// place returns an empty directory that everybody may enter. After the test whatever works in it is killed and it is removed.
func place(t *testing.T) string {
	t.Helper()
	pgtest.Installation(t) // skips where there is no PostgreSQL
	dir := pgtest.Dir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newServer plans a server below dir, with data directory and home directory of its own, and does not start it.
func newServer(t *testing.T, dir string, as *syscall.Credential, args ...string) *server {
	t.Helper()
	s := &server{data: filepath.Join(dir, "data"), home: filepath.Join(dir, "home"), args: args, as: as}
	if err := os.MkdirAll(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if as == nil {
		return s
	}
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.data, s.home} {
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// start starts a server of the test's own and waits until it has said hello.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	s := newServer(t, place(t), nil, args...)
	s.start(t)
	return s
}

// start starts the server on the addresses that it had before, if it had any, and waits until it has said hello.
func (s *server) start(t *testing.T) {
	t.Helper()
	// While it was down, another process may have got its port for a moment.
	deadline := time.Now().Add(patience)
	for {
		s.launch(t)
		err := s.process.Greeted()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "is taken by another program") || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.meet(t)
}

// launch starts the process and waits for nothing.
func (s *server) launch(t *testing.T) {
	t.Helper()
	process, err := servetest.Launch(servetest.Options{Binary: binary, Data: s.data, HTTP: s.http, Gateway: s.gateway, Args: append([]string{"--log-level", "debug"}, s.args...),
		Env: s.environment("HOLDFAST_DATA="), As: s.as,
		Dir: filepath.Dir(s.data)}) // by which a guard finds and ends it if this process dies
	if err != nil {
		t.Fatal(err)
	}
	s.process = background{process}
	if !s.keep {
		process.KillAfter(t)
	}
}

// meet learns the addresses that the server got and makes a client of its API.
func (s *server) meet(t *testing.T) {
	t.Helper()
	client, err := s.process.Client()
	if err != nil {
		t.Fatal(err)
	}
	s.Client = client
	info, err := s.Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.http, s.gateway = strings.TrimPrefix(s.URL(), "http://"), info.Gateway
}

// signal sends a signal to the server alone, waits until it has ended and returns its exit code, -1 when the signal killed it.
func (s *server) signal(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	return s.process.signal(t, signal)
}

// environment is that of a user with a home of its own and nothing else that would lead a command somewhere.
func (s *server) environment(further ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + s.home, "XDG_CONFIG_HOME=" + filepath.Join(s.home, "config"), "HOLDFAST_DATA=" + s.data}
	return append(append(env, servetest.PostgreSQL()...), further...)
}

// postmaster is the process of a branch's server, and when it started, as its pid file says.
type postmaster struct{ pid, started string }

func (s *server) postmaster(t *testing.T, ref holdfast.BranchRef) postmaster {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.branchDir(t, ref), "data", "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return postmaster{}
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(raw), "\n")
	if len(lines) < 3 {
		return postmaster{}
	}
	return postmaster{lines[0], lines[2]}
}

// branchDir is where a branch's server lies.
func (s *server) branchDir(t *testing.T, ref holdfast.BranchRef) string {
	t.Helper()
	return filepath.Join(s.data, "branches", s.branch(t, ref).ID)
}

func (s *server) branch(t *testing.T, ref holdfast.BranchRef) api.Branch {
	t.Helper()
	b, err := s.Branch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// starts counts how often a branch's server has been started, as that server's own log says.
func (s *server) starts(t *testing.T, ref holdfast.BranchRef) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.branchDir(t, ref), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "LOG:  starting PostgreSQL")
}

// project creates a project and waits until it is there.
func (s *server) project(t *testing.T, ask api.NewProject) (development, production holdfast.BranchRef) {
	t.Helper()
	if err := servetest.CreateProject(t.Context(), s.Client, ask); err != nil {
		t.Fatal(err)
	}
	return holdfast.BranchRef{Project: ask.Name, Branch: "development"}, holdfast.BranchRef{Project: ask.Name, Branch: "production"}
}

// connection is how a program reaches a branch.
func (s *server) connection(t *testing.T, ref holdfast.BranchRef) api.Connection {
	t.Helper()
	con, err := s.Connection(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return con
}

// connect opens a session through the front door, closed after the test.
func (s *server) connect(t *testing.T, ref holdfast.BranchRef) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.connection(t, ref).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test is over: nobody waits for its answer
	return conn
}

func (s *server) sleep(t *testing.T, ref holdfast.BranchRef) {
	t.Helper()
	if _, err := s.Sleep(t.Context(), ref, true); err != nil {
		t.Fatal(err)
	}
}

// value runs a query that gives one value.
func value[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func execute(t *testing.T, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

var printedURL = regexp.MustCompile(`postgresql://\S+`)

// takenPort is an address on which somebody else listens until the test ends.
func takenPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
