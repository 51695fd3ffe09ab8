// Package postgres looks after one PostgreSQL server: finding its programs, making its data directory, its configuration,
// starting and stopping it, its roles, and what its control file and WAL names say.
//
// A server listens on a Unix socket in a directory of mode 0700 and never on TCP. It runs in a session of its own, so it
// outlives the process that started it and can be adopted by the next one. Only the operating system's user of this process enters
// as administrator (peer authentication through an ident map); everybody else proves a password under SCRAM-SHA-256.
//
// The package knows nothing of projects and branches, keeps no state but what lies on disk, and never prints a password.
package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// AdminRole is the bootstrap superuser of every server. It has no password: it enters by peer authentication only.
const AdminRole = "holdfast"

// MaintenanceDatabase exists on every server and holds nothing of a user's: the control plane's own queries run there,
// where no object of a user can stand in the way of a system function.
const MaintenanceDatabase = "postgres"

// Config says which server is meant. Nothing is read or written before a method asks for it.
type Config struct {
	Installation Installation
	Account      Account
	DataDir      string // absolute
	LogFile      string // where the server's output goes; outside the data directory, so that a copy of that does not carry it
	// Elsewhere is how to reach a server that does not run on this machine, as a superuser or as a role with REPLICATION; nil: it runs here.
	// Such a server has no Installation, Account, DataDir and LogFile: it can be connected to, and nothing else can be asked of it.
	Elsewhere *pgx.ConnConfig
	// MaxLogSize is how long LogFile may become before it is moved to LogFile.1; zero is 8 MiB.
	MaxLogSize int64
}

// Server is one PostgreSQL server. Init, Start, Adopt, Stop and Detach are for one caller at a time; the other methods may
// be called at any time.
type Server struct {
	config    Config
	socketDir string

	mu      sync.Mutex
	process *process // nil: not known to run
}

// New returns the server that config describes. It does no I/O.
func New(config Config) *Server {
	if config.MaxLogSize == 0 {
		config.MaxLogSize = 8 << 20
	}
	if config.Elsewhere != nil {
		return &Server{config: config}
	}
	config.DataDir = filepath.Clean(config.DataDir)
	return &Server{config: config, socketDir: socketDir(config.DataDir, config.Account)}
}

// Installation returns the programs that the server runs with.
func (s *Server) Installation() Installation { return s.config.Installation }

// Elsewhere says whether the server does not run on this machine.
func (s *Server) Elsewhere() bool { return s.config.Elsewhere != nil }

// Account returns the operating system's account that the server runs as.
func (s *Server) Account() Account { return s.config.Account }

// DataDir returns the server's data directory.
func (s *Server) DataDir() string { return s.config.DataDir }

// SocketDir returns the directory of the server's Unix socket: what libpq calls the host.
func (s *Server) SocketDir() string { return s.socketDir }

// SocketPath returns the server's Unix socket.
func (s *Server) SocketPath() string { return filepath.Join(s.socketDir, socketName) }

// Exists says whether there is a data directory of a complete server.
func (s *Server) Exists() bool {
	_, err := os.Stat(filepath.Join(s.config.DataDir, "global", "pg_control"))
	return err == nil
}

// DataMajor reads the major version that the data directory belongs to.
func (s *Server) DataMajor() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.config.DataDir, "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("read the data directory's version: %w", err)
	}
	var major int
	if _, err := fmt.Sscanf(strings.TrimSpace(string(b)), "%d", &major); err != nil {
		return 0, fmt.Errorf("read the data directory's version %q: %w", b, err)
	}
	return major, nil
}

// run executes a program of the installation as the server's account and returns what it printed, both streams together.
// The program ends with this process: one that went on alone would write into a directory that the next one clears away.
func (s *Server) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	// The kernel ties a child to the thread that started it, not to the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := s.config.Account.Command(ctx, filepath.Join(s.config.Installation.BinDir, name), args...)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return cmd.CombinedOutput()
}
