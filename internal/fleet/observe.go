package fleet

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Observe looks at a branch's server in a session of the administrator, in the maintenance database. That is no use of the branch: it wakes nothing, does not put off a
// sleep, and a server that stops cuts it off. It is ErrAsleep for a branch that is not awake.
func (f *Fleet) Observe(ctx context.Context, id holdfast.BranchID, look func(conn *pgx.Conn) error) error {
	b, err := f.find(id)
	if err != nil {
		return err
	}
	b.mu.Lock()
	awake, server := b.activity == holdfast.Awake && !b.gone, b.server
	b.mu.Unlock()
	if !awake || server == nil {
		return ErrAsleep
	}
	conn, err := server.Observe(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return look(conn)
}
