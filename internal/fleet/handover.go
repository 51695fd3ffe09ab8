package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Handover says how a copy of a branch becomes a branch of its own: with another database name and other passwords, and no way back
// to its origin.
type Handover struct {
	OldDatabase string // the main database's name in the origin
	NewDatabase string
	Owner       string
	Password    string // the owner's new one
	// Prepare works on the main database under its new name before anybody can log in: masking, emptying. May be nil.
	Prepare func(ctx context.Context, conn *pgx.Conn) error
	// Unchanged says that this is no copy but the branch itself, come back: database, passwords and prepared transactions stay as they
	// are, and the other fields do not count.
	Unchanged bool
}

// CloneAs is Clone with a handover. It returns the roles that can log in: the owner alone. The passwords of all others are gone, so
// that they are locked until somebody gives them new ones.
func (f *Fleet) CloneAs(ctx context.Context, from holdfast.BranchID, spec Spec, h Handover, progress func(done, total int64)) ([]Login, error) {
	var logins []Login
	err := f.Clone(ctx, from, spec, CloneOptions{Progress: progress, Prepare: func(ctx context.Context, server *postgres.Server) (err error) {
		logins, err = handOver(ctx, server, h)
		return err
	}})
	return logins, err
}

func handOver(ctx context.Context, server *postgres.Server, h Handover) ([]Login, error) {
	if h.Unchanged {
		conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
		if err != nil {
			return nil, err
		}
		logins, err := postgres.Logins(ctx, conn)
		return logins, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	verifier, err := postgres.NewVerifier(h.Password)
	if err != nil {
		return nil, err
	}
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := cutTies(ctx, server, conn); err != nil {
		return nil, err
	}
	if err := postgres.LockLogins(ctx, conn); err != nil {
		return nil, err
	}
	if err := postgres.RenameDatabase(ctx, conn, h.OldDatabase, h.NewDatabase); err != nil {
		return nil, err
	}
	if h.Prepare != nil {
		if err := prepareDatabase(ctx, server, h); err != nil {
			return nil, err
		}
	}
	if err := postgres.PutOwner(ctx, conn, h.Owner, verifier); err != nil {
		return nil, err
	}
	return postgres.Logins(ctx, conn)
}

func prepareDatabase(ctx context.Context, server *postgres.Server, h Handover) error {
	conn, err := server.Connect(ctx, h.NewDatabase)
	if err != nil {
		return err
	}
	return errors.Join(h.Prepare(ctx, conn), conn.Close(context.WithoutCancel(ctx)))
}

// cutTies rolls back the transactions that wait for their second phase: whoever prepared them will finish them in the origin, and
// here they would hold their locks for ever.
func cutTies(ctx context.Context, server *postgres.Server, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT gid, database FROM pg_catalog.pg_prepared_xacts`)
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	type prepared struct{ gid, database string }
	left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p prepared, err error) {
		err = row.Scan(&p.gid, &p.database)
		return p, err
	})
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	for _, p := range left {
		in, err := server.Connect(ctx, p.database) // they can be ended in their own database only
		if err != nil {
			return err
		}
		_, err = in.Exec(ctx, "ROLLBACK PREPARED "+holdfast.QuoteLiteral(p.gid))
		if err := errors.Join(err, in.Close(context.WithoutCancel(ctx))); err != nil {
			return fmt.Errorf("roll back a prepared transaction: %w", err)
		}
	}
	return nil
}

// RenameDatabase gives a branch's database another name, ending the sessions that are in it. It wakes the branch. A database that
// has the new name already is fine, so it can be repeated.
func (f *Fleet) RenameDatabase(ctx context.Context, id holdfast.BranchID, from, to string) error {
	conn, err := f.Admin(ctx, id, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return postgres.RenameDatabase(ctx, conn.Conn, from, to)
}
