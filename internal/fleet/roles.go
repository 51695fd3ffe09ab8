package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Login is a role that can log in, with what is needed to check its password.
type Login = postgres.Login

// MaintenanceDatabase is the one that every branch has beside its own; the statement statistics are there.
const MaintenanceDatabase = postgres.MaintenanceDatabase

// CreateDatabase creates a branch's server with an owner role and a database of its, and returns the roles that can log in.
// It is all or nothing, as Create.
func (f *Fleet) CreateDatabase(ctx context.Context, spec Spec, database, owner, password string) ([]Login, error) {
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	var logins []Login
	err = f.Create(ctx, spec, func(ctx context.Context, server *postgres.Server) error {
		conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if err := postgres.PutOwner(ctx, conn, owner, verifier); err != nil {
			return err
		}
		if err := postgres.PutDatabase(ctx, conn, database, owner); err != nil {
			return err
		}
		if err := addStatistics(ctx, conn, spec, server); err != nil {
			return err
		}
		logins, err = postgres.Logins(ctx, conn)
		return err
	})
	return logins, err
}

// addStatistics makes the view of statement statistics in the maintenance database: it shows those of every database, and the
// user's own schema stays the user's.
func addStatistics(ctx context.Context, conn *pgx.Conn, spec Spec, server *postgres.Server) error {
	if !spec.Statistics || !server.Installation().HasLibrary(statisticsLibrary) {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS "+statisticsLibrary+" SCHEMA public"); err != nil {
		return fmt.Errorf("add the statement statistics: %w", err)
	}
	return nil
}

// SetPassword gives a role a new password and returns the roles that can log in. It wakes the branch.
func (f *Fleet) SetPassword(ctx context.Context, id holdfast.BranchID, role, password string) ([]Login, error) {
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	conn, err := f.Admin(ctx, id, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := postgres.SetVerifier(ctx, conn.Conn, role, verifier); err != nil {
		return nil, err
	}
	return postgres.Logins(ctx, conn.Conn)
}

// Logins returns the roles of a branch that can log in. It does not wake the branch, so it can be used in BeforeSleep.
func (f *Fleet) Logins(ctx context.Context, id holdfast.BranchID) ([]Login, error) {
	server, err := f.Server(id)
	if err != nil {
		return nil, err
	}
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return postgres.Logins(ctx, conn)
}

// ErrAsleep says that a branch was not asked because it is not awake.
var ErrAsleep = errors.New("the branch is not awake")

// lookupTimeout bounds one question for a role: a client that logs in waits for it.
const lookupTimeout = 2 * time.Second

// roleLookup is a session of the administrator that stays open while the branch is awake: opening one takes a server longer than
// all else in a login.
type roleLookup struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

// Login asks an awake branch's server for one role; nil when it has none of that name that can log in. It is ErrAsleep when the
// branch is not awake, and wakes nothing.
func (f *Fleet) Login(ctx context.Context, id holdfast.BranchID, role string) (*Login, error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	awake, server := b.activity == holdfast.Awake, b.server
	b.mu.Unlock()
	if !awake || server == nil {
		return nil, ErrAsleep
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return b.lookup.find(ctx, server, role)
}

func (l *roleLookup) find(ctx context.Context, server *postgres.Server, role string) (*Login, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.conn == nil || l.conn.IsClosed()
	for {
		if l.conn == nil || l.conn.IsClosed() {
			conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
			if err != nil {
				return nil, err
			}
			l.conn = conn
		}
		login, err := postgres.LoginOf(ctx, l.conn, role)
		// The session may be one to a server that has slept since.
		if err == nil || fresh || !l.conn.IsClosed() {
			return login, err
		}
		fresh = true
	}
}

// close ends the session. The next question opens another.
func (l *roleLookup) close(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close(ctx) // the server is going away, too
		l.conn = nil
	}
}
