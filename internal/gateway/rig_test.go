package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestMain(m *testing.M) {
	// The shared server outlives the tests, and so does what watches it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/holdfast/holdfast/internal/postgres.(*process).wait"))
}

// branchServer is a branch whose server is one of pgtest's: what fleet and platform are to the gateway in the product.
type branchServer struct {
	server *pgtest.Server
	ref    holdfast.BranchRef

	// acquire, when a test sets it, is asked before a session is let in.
	acquire func(ctx context.Context) error
	// dial replaces the connection to the server, when a test sets it.
	dial func(ctx context.Context) (net.Conn, error)
	// slow is what a look-up of a role that exists takes.
	slow time.Duration

	mu        sync.Mutex
	verifiers map[string]holdfast.Verifier

	acquired, held, touched, received, sent atomic.Int64
}

func (b *branchServer) Acquire(ctx context.Context, ref holdfast.BranchRef) (gateway.Session, error) {
	b.acquired.Add(1)
	if ref != b.ref {
		return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no " + ref.String()}
	}
	if b.acquire != nil {
		if err := b.acquire(ctx); err != nil {
			return nil, err
		}
	}
	b.held.Add(1)
	return &holding{branch: b}, nil
}

func (b *branchServer) Verifier(ctx context.Context, ref holdfast.BranchRef, role string) (holdfast.Verifier, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.verifiers[role]
	if ok && b.slow > 0 {
		timer := time.NewTimer(b.slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return v, ok && ref == b.ref
}

type holding struct {
	branch   *branchServer
	released atomic.Bool
}

func (h *holding) Dial(ctx context.Context) (net.Conn, error) {
	if h.branch.dial != nil {
		return h.branch.dial(ctx)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", h.branch.server.SocketPath())
}

func (h *holding) Touch() { h.branch.touched.Add(1) }

func (h *holding) Carried(received, sent int) {
	h.branch.received.Add(int64(received))
	h.branch.sent.Add(int64(sent))
}

func (h *holding) Release() {
	if h.released.Swap(true) {
		panic("released twice")
	}
	h.branch.held.Add(-1)
}

// rig is a gateway before a real server with one branch.
type rig struct {
	*gateway.Gateway
	t      *testing.T
	branch *branchServer
	owner  *pgx.Conn // a session of the administrator beside the gateway
	root   string    // file of the certificate
	pool   *x509.CertPool
	port   string
}

var branchCount atomic.Int64

// newRig starts a gateway. change may alter its settings and the branch first; nil changes nothing.
func newRig(t *testing.T, change func(*gateway.Settings, *branchServer)) *rig {
	t.Helper()
	server := pgtest.Start(t)
	b := &branchServer{server: server, ref: holdfast.BranchRef{Project: fmt.Sprintf("t%d", branchCount.Add(1)), Branch: "production"}}
	r := &rig{t: t, branch: b}
	r.createDatabase()
	b.refresh(t)
	settings := gateway.Settings{Listen: "127.0.0.1:0", FailureDelay: time.Millisecond, MaxFailureDelay: 2 * time.Millisecond, TLS: r.certificate()}
	if change != nil {
		change(&settings, b)
	}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Gateway = gateway.New(settings, b, b, log)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close the gateway: %v", err)
		}
		if n := b.held.Load(); n != 0 {
			t.Errorf("%d holds were not released", n)
		}
	})
	r.port = strconv.Itoa(r.Addr().(*net.TCPAddr).Port)
	return r
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Logf("%s", p)
	return len(p), nil
}

func (r *rig) createDatabase() {
	r.t.Helper()
	admin, err := r.branch.server.Connect(r.t.Context(), "postgres")
	if err != nil {
		r.t.Fatal(err)
	}
	name := r.branch.ref.Database()
	pgtest.Exec(r.t, admin, "CREATE DATABASE "+holdfast.QuoteIdentifier(name)+" OWNER "+pgtest.Owner)
	r.owner = admin
	r.t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "DROP DATABASE "+holdfast.QuoteIdentifier(name)+" WITH (FORCE)"); err != nil {
			r.t.Error(err)
		}
		_ = admin.Close(context.Background()) // the test is over
	})
}

// refresh reads the server's roles again, as the platform does.
func (b *branchServer) refresh(t *testing.T) {
	t.Helper()
	admin, err := b.server.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	rows, err := admin.Query(t.Context(), "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND NOT rolsuper AND rolpassword IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.verifiers = map[string]holdfast.Verifier{}
	var role, password string
	if _, err := pgx.ForEachRow(rows, []any{&role, &password}, func() (err error) {
		b.verifiers[role], err = holdfast.ParseVerifier(password)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) certificate() *tls.Config {
	r.t.Helper()
	certificate, key, err := gateway.NewCertificate([]string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.root = filepath.Join(r.t.TempDir(), "root.crt")
	if err := os.WriteFile(r.root, certificate, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.pool = x509.NewCertPool()
	r.pool.AppendCertsFromPEM(certificate)
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// url is the connection URL of a database as the owner; more are further query parameters, name and value.
func (r *rig) url(database string, more ...string) string {
	return r.urlAs(pgtest.Owner, pgtest.OwnerPassword, database, more...)
}

func (r *rig) urlAs(role, password, database string, more ...string) string {
	query := url.Values{"sslmode": {"require"}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: "127.0.0.1:" + r.port, Path: "/" + database,
		RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}).String()
}

func (r *rig) database() string { return r.branch.ref.Database() }

// connect opens a session through the gateway, closed after the test.
func (r *rig) connect(more ...string) *pgx.Conn {
	r.t.Helper()
	return r.connectURL(r.url(r.database(), more...))
}

func (r *rig) connectURL(url string) *pgx.Conn {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test is over
	return conn
}

// refusedWith tries to connect and demands the SQLSTATE.
func (r *rig) refusedWith(code, url string) *pgconn.PgError {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), url)
	if err == nil {
		_ = conn.Close(r.t.Context())
		r.t.Fatalf("got in, want %s", code)
	}
	return wantCode(r.t, err, code)
}

func wantCode(t *testing.T, err error, code string) *pgconn.PgError {
	t.Helper()
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return pgErr
}

// eventually waits until the other side, a real process, has done what holds expects.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		}
	}
}
