package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// readers are the passwords of the role that reads for backups, by branch. They live as long as the process: nobody else needs them.
type readers struct {
	mu        sync.Mutex
	passwords map[holdfast.BranchID]string
}

// readDatabase is a branch's database as the role that may read everything and change nothing. It wakes the branch, which stays awake
// until release is called.
func (p *Platform) readDatabase(ctx context.Context, b store.Branch) (db backup.Database, release func(), err error) {
	release, err = p.fleet.Hold(ctx, b.ID)
	if err != nil {
		return db, nil, err
	}
	database := b.Ref().Database()
	role, password, err := p.putReader(ctx, b.ID, database)
	if err != nil {
		release()
		return db, nil, fmt.Errorf("prepare %s for a backup: %w", b.Ref(), err)
	}
	db, err = p.roleDatabase(b, role, password, database)
	if err != nil {
		release()
		return db, nil, err
	}
	return db, release, nil
}

func (p *Platform) putReader(ctx context.Context, id holdfast.BranchID, database string) (role, password string, err error) {
	p.readers.mu.Lock()
	defer p.readers.mu.Unlock()
	if p.readers.passwords == nil {
		p.readers.passwords = map[holdfast.BranchID]string{}
	}
	if p.readers.passwords[id] == "" {
		p.readers.passwords[id] = newPassword()
	}
	password = p.readers.passwords[id]
	role, err = p.fleet.PutBackupRole(ctx, id, password, database)
	return role, password, err
}

// roleDatabase is a database of a branch as a role with a password reaches it. The branch must be held awake.
func (p *Platform) roleDatabase(b store.Branch, role, password, database string) (backup.Database, error) {
	server, err := p.fleet.Server(b.ID)
	if err != nil {
		return backup.Database{}, err
	}
	return serverDatabase(server, b.Ref().String(), role, password, database), nil
}

func serverDatabase(server fleet.Server, name, role, password, database string) backup.Database {
	return backup.Database{Name: name, Socket: server.SocketDir(), Environment: server.RoleEnvironment(role, password, database),
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return server.ConnectAs(ctx, role, password, database) }}
}

// ownerDatabase is one of a branch's databases as its owner reaches it. The branch must be held awake.
func (p *Platform) ownerDatabase(ctx context.Context, b store.Branch, database string) (backup.Database, error) {
	owner := holdfast.OwnerRole(b.Project)
	password, err := p.ownerPassword(ctx, b)
	if err != nil {
		return backup.Database{}, err
	}
	db, err := p.roleDatabase(b, owner, password, database)
	if err != nil {
		return db, err
	}
	conn, err := db.Connect(ctx)
	if err != nil {
		return db, &holdfast.Error{Kind: holdfast.Precondition, Message: "the owner of " + b.Ref().String() + " cannot log in: its password was changed with SQL",
			Hint: "`holdfast credentials rotate " + b.Ref().String() + "` sets another", Cause: err}
	}
	return db, conn.Close(ctx)
}

// adminDatabase is one of a branch's databases as the administrator reaches it. The branch must be held awake.
func (p *Platform) adminDatabase(b store.Branch, database string) (backup.Database, error) {
	server, err := p.fleet.Server(b.ID)
	if err != nil {
		return backup.Database{}, err
	}
	return backup.Database{Name: b.Ref().String(), Socket: server.SocketDir(), Environment: server.ClientEnvironment(database),
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return server.Connect(ctx, database) }}, nil
}

// extensionMaker makes extensions in a database of a branch as the administrator, of those that are allowed.
func (p *Platform) extensionMaker(id holdfast.BranchID, database string) func(ctx context.Context, name, schema string) error {
	return func(ctx context.Context, name, schema string) (err error) {
		conn, err := p.fleet.Admin(ctx, id, database)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
		all, err := listExtensions(ctx, conn.Conn)
		if err != nil {
			return err
		}
		if err := checkExtension(all, name, map[string]bool{}); err != nil {
			return err
		}
		path, statement := "public, pg_catalog", "CREATE EXTENSION IF NOT EXISTS "+holdfast.QuoteIdentifier(name)
		if schema != "" && schema != "pg_catalog" {
			statement += " SCHEMA " + holdfast.QuoteIdentifier(schema)
		}
		if _, err := conn.Exec(ctx, "SET search_path = "+path); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, statement+" CASCADE"); err != nil {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: "the extension " + name + " cannot be added", Cause: err}
		}
		return nil
	}
}
