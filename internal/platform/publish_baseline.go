package platform

import (
	"context"
	"encoding/json"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// setBaseline keeps development's catalogue of now, when production is equal to it, with a new mark of its life inside development.
func (p *Platform) setBaseline(ctx context.Context, found publishing, number int) error {
	if _, err := p.markEpoch(ctx, found.development); err != nil {
		return err
	}
	catalog, err := p.catalog(ctx, found.development)
	if err != nil {
		return err
	}
	return p.writeBaseline(ctx, found.project.ID, number, catalog)
}

func (p *Platform) writeBaseline(ctx context.Context, project holdfast.ProjectID, number int, catalog *schema.Catalog) error {
	raw, err := json.Marshal(catalog)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetBaseline(project, number, raw, p.now()) })
}

// markEpoch marks development as its owner: whoever dumps the database as the owner can read the mark.
func (p *Platform) markEpoch(ctx context.Context, development store.Branch) (string, error) {
	conn, err := p.ownerConn(ctx, development)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return schema.MarkEpoch(ctx, conn.Conn)
}

// keepBaseline notes what development was when production became equal to it.
func (a *applying) keepBaseline(ctx context.Context) error {
	switch a.pub.Kind {
	case holdfast.PublishRevert:
		return a.baselineBefore(ctx)
	case holdfast.PublishExpand, holdfast.PublishSwitch:
		return nil // production is equal to development after the contraction only
	case holdfast.PublishSchema, holdfast.PublishContract:
		return a.baselineAsPlanned(ctx)
	}
	// Migrations have no development to come from: it may be equal by now, or not.
	in, err := a.comparison(ctx, a.found)
	if err != nil || in.Development.Fingerprint() != in.Production.Fingerprint() {
		return err
	}
	return a.setBaseline(ctx, a.found, a.pub.Number)
}

// baselineAsPlanned keeps development's catalogue of the plan: development may have gone on since.
func (a *applying) baselineAsPlanned(ctx context.Context) error {
	planned, err := a.kept(ctx, a.pub.Number, holdfast.PublishSourceDoc)
	if err != nil || planned == nil {
		return err
	}
	now, err := a.catalog(ctx, a.found.development)
	if err != nil {
		return err
	}
	if now.Epoch != planned.Epoch {
		// Development was put back or made again since it was planned: the numbers of its objects mean something else.
		if now.Fingerprint() != planned.Fingerprint() {
			return nil
		}
		planned = now
	}
	epoch, err := a.markEpoch(ctx, a.found.development)
	if err != nil {
		return err
	}
	planned.Epoch = epoch
	return a.writeBaseline(ctx, a.found.project.ID, a.pub.Number, planned)
}

// baselineBefore brings back the baseline that there was before the publish that was taken back: what development changed is to be
// published again.
func (a *applying) baselineBefore(ctx context.Context) error {
	before, err := a.kept(ctx, a.pub.Reverts, holdfast.PublishBaseDoc)
	if err != nil {
		return err
	}
	if before == nil {
		return a.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteBaseline(a.found.project.ID) })
	}
	source, err := a.kept(ctx, a.pub.Reverts, holdfast.PublishSourceDoc)
	if err != nil {
		return err
	}
	baseline, err := a.baseline(ctx, a.found.project.ID)
	if err != nil {
		return err
	}
	now, err := a.catalog(ctx, a.found.development)
	if err != nil {
		return err
	}
	// The mark of then was replaced by that publish. In an unbroken life of development the numbers of its objects still count.
	if source != nil && source.Epoch == before.Epoch && baseline != nil && baseline.Epoch == now.Epoch && now.Epoch != "" {
		before.Epoch = now.Epoch
	}
	return a.writeBaseline(ctx, a.found.project.ID, a.pub.Number, before)
}

// kept reads a catalogue that a publish has kept; nil when there is none.
func (a *applying) kept(ctx context.Context, number int, doc holdfast.PublishDoc) (*schema.Catalog, error) {
	var raw []byte
	err := a.store.View(ctx, func(tx *store.Tx) (err error) {
		raw, err = tx.PublishDoc(a.found.project.ID, number, doc)
		return err
	})
	if err != nil || raw == nil {
		return nil, err
	}
	return parseCatalog(raw)
}
