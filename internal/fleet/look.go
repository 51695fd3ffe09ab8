package fleet

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Look opens a session of the administrator in the maintenance database of a server that is awake; ErrAsleep when it is not. It wakes no
// server and keeps none awake: a stop ends the session. It is for short looks; the caller closes it.
func (f *Fleet) Look(ctx context.Context, id holdfast.BranchID) (*pgx.Conn, error) {
	return f.lookInto(ctx, id, postgres.MaintenanceDatabase)
}

func (f *Fleet) lookInto(ctx context.Context, id holdfast.BranchID, database string) (*pgx.Conn, error) {
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
	return server.Connect(ctx, database)
}
