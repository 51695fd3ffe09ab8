package fleet

import (
	"context"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// maintain runs do in a session of the administrator in the maintenance database. It wakes the branch.
func (f *Fleet) maintain(ctx context.Context, id holdfast.BranchID, do func(conn *Conn) error) error {
	conn, err := f.Admin(ctx, id, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

// OwnRoles are the roles beside the superuser that a branch's database has for the product itself: what they run is no program of the user's.
func OwnRoles() []string { return []string{postgres.BackupRole, postgres.AgentRole} }

// PutBackupRole makes the role that backups are made as, with that password, and returns its name. It wakes the branch.
func (f *Fleet) PutBackupRole(ctx context.Context, id holdfast.BranchID, password, database string) (role string, err error) {
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return "", err
	}
	return postgres.BackupRole, f.maintain(ctx, id, func(conn *Conn) error { return postgres.PutBackupRole(ctx, conn.Conn, verifier, database) })
}

// ConnectAsAgent opens a session of the role that agents read as, which it makes or brings up to date first. Its password is good for this one
// login: afterwards the role cannot log in. One caller at a time may be in it. It wakes the branch.
func (f *Fleet) ConnectAsAgent(ctx context.Context, id holdfast.BranchID, password, database string) (*Conn, error) {
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	admin, err := f.Admin(ctx, id, database)
	if err != nil {
		return nil, err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	if err := postgres.PutAgentRole(ctx, admin.Conn, verifier, database); err != nil {
		return nil, err
	}
	conn, err := f.ConnectAs(ctx, id, postgres.AgentRole, password, database)
	if locked := postgres.LockAgentRole(context.WithoutCancel(ctx), admin.Conn); locked != nil && err == nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // the first error is the one to report
		return nil, locked
	}
	return conn, err
}

// ReserveAgentRole makes the role that agents read as, without a login, where there is none. It wakes the branch.
func (f *Fleet) ReserveAgentRole(ctx context.Context, id holdfast.BranchID) error {
	return f.maintain(ctx, id, func(conn *Conn) error { return postgres.ReserveAgentRole(ctx, conn.Conn) })
}

// RemoveAgentRole ends the sessions of the role that agents read as and drops it. It is ErrAsleep for a branch that is not awake, and wakes none.
func (f *Fleet) RemoveAgentRole(ctx context.Context, id holdfast.BranchID, database string) error {
	conn, err := f.lookInto(ctx, id, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return postgres.RemoveAgentRole(ctx, conn)
}

// MakeDatabase makes an empty database beside a branch's own, in place of one that an earlier attempt left. It wakes the branch.
func (f *Fleet) MakeDatabase(ctx context.Context, id holdfast.BranchID, name, owner string) error {
	return f.maintain(ctx, id, func(conn *Conn) error {
		if err := postgres.DropDatabase(ctx, conn.Conn, name); err != nil {
			return err
		}
		return postgres.PutDatabase(ctx, conn.Conn, name, owner)
	})
}

// DropDatabase drops a database of a branch. One that is not there is fine. It wakes the branch.
func (f *Fleet) DropDatabase(ctx context.Context, id holdfast.BranchID, name string) error {
	return f.maintain(ctx, id, func(conn *Conn) error { return postgres.DropDatabase(ctx, conn.Conn, name) })
}

// SwapDatabases puts a database in the place of another and keeps that one under a third name, at once. It can be repeated.
func (f *Fleet) SwapDatabases(ctx context.Context, id holdfast.BranchID, current, replacement, kept string) error {
	return f.maintain(ctx, id, func(conn *Conn) error { return postgres.SwapDatabases(ctx, conn.Conn, current, replacement, kept) })
}

// Reopen ends what a SwapDatabases that was cut off left: it drops the replacement and lets sessions into the database again.
func (f *Fleet) Reopen(ctx context.Context, id holdfast.BranchID, current, replacement string) error {
	return f.maintain(ctx, id, func(conn *Conn) error {
		if err := postgres.DropDatabase(ctx, conn.Conn, replacement); err != nil {
			return err
		}
		return postgres.OpenDatabase(ctx, conn.Conn, current)
	})
}

// OpenDatabase lets sessions into a database of a branch again. It wakes the branch.
func (f *Fleet) OpenDatabase(ctx context.Context, id holdfast.BranchID, name string) error {
	return f.maintain(ctx, id, func(conn *Conn) error { return postgres.OpenDatabase(ctx, conn.Conn, name) })
}

// HasDatabase says whether a branch's server has a database of that name. It wakes the branch.
func (f *Fleet) HasDatabase(ctx context.Context, id holdfast.BranchID, name string) (there bool, err error) {
	err = f.maintain(ctx, id, func(conn *Conn) error {
		there, err = postgres.DatabaseExists(ctx, conn.Conn, name)
		return err
	})
	return there, err
}
