package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	// lookIdle is how long nobody may use a look before it is deleted.
	lookIdle = 30 * time.Second
	// lookLife bounds a look that somebody never leaves.
	lookLife = 7 * 24 * time.Hour
)

// Look makes a read-only copy of a moment of a branch, to be looked at beside it. It has an address and credentials of its own, and is deleted
// when nobody has used it for half a minute. The job's result names it.
func (p *Platform) Look(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, point holdfast.Point) (holdfast.Job, error) {
	if err := point.Validate(); err != nil {
		return holdfast.Job{}, err
	}
	if point.Latest() {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a look needs a moment", Hint: `say one with --at "10 minutes ago"`}
	}
	return p.createBranch(ctx, who, NewBranch{Name: p.lookName(ref, point), From: ref, At: point, Life: lookLife}, true)
}

// lookName says of what and when; its end keeps two looks at the same moment apart.
func (p *Platform) lookName(ref holdfast.BranchRef, point holdfast.Point) string {
	at := point.At
	if at.IsZero() {
		at = p.now()
	}
	id := newID("")
	tail := fmt.Sprintf("_at_%s_%s", at.UTC().Format("20060102_150405"), id[len(id)-4:])
	return ref.Branch[:min(len(ref.Branch), holdfast.MaxBranchName-len(tail))] + tail
}

// makeReadOnly lets sessions of a look begin read-only. Who insists can write; it is a copy, and goes with it.
func makeReadOnly(ctx context.Context, conn *pgx.Conn, database string) error {
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+holdfast.QuoteIdentifier(database)+" SET default_transaction_read_only = on"); err != nil {
		return fmt.Errorf("make %s read-only: %w", database, err)
	}
	return nil
}

// KeepLook says that somebody looks, for whom there may be no session meanwhile. A branch that is no look needs nobody for that.
func (p *Platform) KeepLook(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return err
	}
	if err := checkRows(who, b); err != nil {
		return err
	}
	if b.Look {
		p.looked.Store(b.ID, p.now())
	}
	return nil
}

// lookedAt is when somebody last said to be looking. It forgets who has left.
func (p *Platform) lookedAt(id holdfast.BranchID) time.Time {
	kept, _ := p.looked.Load(id)
	at, _ := kept.(time.Time)
	if p.now().Sub(at) >= lookIdle {
		p.looked.CompareAndDelete(id, kept)
	}
	return at
}

// unused says whether nobody has used a look for its time. One that the control plane has just taken charge of counts as just used.
func (p *Platform) unused(b store.Branch) bool {
	s, err := p.fleet.Status(b.ID)
	if err != nil || s.Sessions > 0 || p.queries.running(b.ID) {
		return false
	}
	last := b.CreatedAt
	for _, t := range []time.Time{s.LastUse, s.Since, p.lookedAt(b.ID)} {
		if t.After(last) {
			last = t
		}
	}
	return p.now().Sub(last) >= lookIdle
}
