package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func startServer(ctx context.Context, dir string) (*postgres.Server, error) {
	found, err := postgres.Find(ctx, pgtest.Setting())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &missingError{"a PostgreSQL server"}
	}
	installation, err := postgres.Choose(found, 0)
	if err != nil {
		return nil, err
	}
	account, err := postgres.ServerAccount(ctx, "")
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "pg")
	if err := account.MkdirAll(home); err != nil {
		return nil, err
	}
	server := postgres.New(postgres.Config{Installation: installation, Account: account, DataDir: filepath.Join(home, "data"), LogFile: filepath.Join(home, "log")})
	if err := server.Init(ctx, postgres.InitOptions{Unsynced: true, Parameters: map[string]string{"shared_buffers": "256MB", "max_connections": "100"}}); err != nil {
		return nil, err
	}
	if err := server.Start(ctx); err != nil {
		return nil, err
	}
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	if err := postgres.PutOwner(ctx, conn, role, verifier); err != nil {
		return nil, err
	}
	return server, postgres.PutDatabase(ctx, conn, database, role)
}

// openWays starts the gateway and pgbouncer before the server. The function it returns ends both.
func openWays(ctx context.Context, server *postgres.Server, bouncer, dir string) ([]target, func(), error) {
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, nil, err
	}
	logins, err := postgres.Logins(ctx, conn)
	_ = conn.Close(ctx) // it was only read from
	if err != nil {
		return nil, nil, err
	}
	branch := &awake{socket: server.SocketPath(), logins: logins}
	certificate, key, err := gateway.NewCertificate([]string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, nil, err
	}
	g := gateway.New(gateway.Settings{Listen: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{pair}}, AllowPlaintext: true},
		branch, branch, slog.New(slog.DiscardHandler))
	if err := g.Start(ctx); err != nil {
		return nil, nil, err
	}
	ours := strconv.Itoa(g.Addr().(*net.TCPAddr).Port)
	theirs, stop, err := startBouncer(ctx, server, logins, bouncer, dir, certificate, key)
	if err != nil {
		return nil, nil, err
	}
	return []target{
			{"direct", server.SocketDir(), "5432", "disable"},
			{"pgbouncer", "127.0.0.1", theirs, "disable"},
			{"gateway", "127.0.0.1", ours, "disable"},
			{"pgbouncer TLS", "127.0.0.1", theirs, "require"},
			{"gateway TLS", "127.0.0.1", ours, "require"},
		}, func() {
			stop()
			_ = g.Close() // it always succeeds
		}, nil
}

// startBouncer starts pgbouncer with the same authentication: SCRAM against the verifiers, passed through to the server.
func startBouncer(ctx context.Context, server *postgres.Server, logins []postgres.Login, program, dir string, certificate, key []byte) (port string, stop func(), err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port = strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	if err := free.Close(); err != nil {
		return "", nil, err
	}
	home := filepath.Join(dir, "pgbouncer")
	if err := server.Account().MkdirAll(home); err != nil {
		return "", nil, err
	}
	users := ""
	for _, l := range logins {
		users += fmt.Sprintf("%q %q\n", l.Role, l.Verifier.String())
	}
	config := fmt.Sprintf(`[databases]
%s = host=%s port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
pool_mode = session
default_pool_size = 50
auth_type = scram-sha-256
auth_file = %s/users
client_tls_sslmode = allow
client_tls_cert_file = %s/certificate
client_tls_key_file = %s/key
log_connections = 0
log_disconnections = 0
`, database, server.SocketDir(), port, home, home, home)
	for name, content := range map[string]string{"users": users, "config": config, "certificate": string(certificate), "key": string(key)} {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", nil, err
		}
		if err := server.Account().Own(path); err != nil {
			return "", nil, err
		}
	}
	running, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := server.Account().Command(running, program, "-q", filepath.Join(home, "config"))
	if err := cmd.Start(); err != nil {
		kill()
		return "", nil, fmt.Errorf("start pgbouncer: %w", err)
	}
	stop = func() {
		kill()
		_ = cmd.Wait() // it was killed
	}
	if err := waitListening(ctx, port); err != nil {
		stop()
		return "", nil, fmt.Errorf("wait for pgbouncer: %w", err)
	}
	return port, stop, nil
}

func waitListening(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// awake is a branch that never sleeps, as the gateway sees it.
type awake struct {
	socket string
	logins []postgres.Login
}

// Acquire lets everybody in.
func (a *awake) Acquire(context.Context, holdfast.BranchRef) (gateway.Session, error) {
	return hold{a.socket}, nil
}

// Verifier knows the server's roles.
func (a *awake) Verifier(_ context.Context, ref holdfast.BranchRef, role string) (holdfast.Verifier, bool) {
	for _, l := range a.logins {
		if l.Role == role && ref.Database() == database {
			return l.Verifier, true
		}
	}
	return holdfast.Verifier{}, false
}

type hold struct{ socket string }

func (h hold) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", h.socket)
}

func (h hold) Touch() {}

func (h hold) Carried(int, int) {}

func (h hold) Release() {}
