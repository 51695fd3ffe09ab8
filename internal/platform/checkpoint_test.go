package platform

import (
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestACheckpointKnowsTheSchemaOfItsMoment(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	conn := asOwner(t, p, production)
	fingerprint := func(id holdfast.CheckpointID) string {
		c, err := p.Checkpoint(t.Context(), admin, production, id)
		if err != nil {
			t.Fatal(err)
		}
		return c.SchemaFingerprint
	}
	first, err := p.autoCheckpoint(t.Context(), b, holdfast.BeforePublishCheckpoint)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, `CREATE TABLE later ()`)
	if fingerprint(first.ID) == "" {
		t.Error("the automatic checkpoint does not know its schema when it is there")
	}
	second, err := p.CreateCheckpoint(t.Context(), admin, production, NewCheckpoint{Label: "with another table"})
	if err != nil {
		t.Fatal(err)
	}
	if second.Lost != "" {
		t.Errorf("a checkpoint after a base backup is said to be lost: %s", second.Lost)
	}
	eventually(t, "the schema of the checkpoint is known", func() bool { return fingerprint(second.ID) != "" })
	const label = holdfast.CheckpointID("with another table")
	if named, err := p.Checkpoint(t.Context(), admin, production, label); err != nil || named.ID != second.ID {
		t.Errorf("named by its label: %+v, %v", named, err)
	}
	if _, err := p.Checkpoint(t.Context(), admin, production, "nothing"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a label that none has: %v", err)
	}
	if _, err := p.CreateCheckpoint(t.Context(), admin, production, NewCheckpoint{Label: string(label)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Checkpoint(t.Context(), admin, production, label); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a label that two have: %v", err)
	}
	if fingerprint(first.ID) == fingerprint(second.ID) {
		t.Error("another schema has the same fingerprint")
	}
	conn.Close(t.Context())
	if _, err := p.Sleep(t.Context(), admin, production, true); err != nil {
		t.Fatal(err)
	}
	asleep, err := p.autoCheckpoint(t.Context(), b, holdfast.BeforeSyncCheckpoint)
	if err != nil || asleep.ID == "" || fingerprint(asleep.ID) != "" {
		t.Errorf("of a branch that sleeps: %+v, %v", asleep, err)
	}
	if v, _ := p.Branch(t.Context(), admin, production); v.Activity != holdfast.Asleep {
		t.Errorf("a checkpoint left the branch %s", v.Activity)
	}
	b.Environment = holdfast.Preview
	if none, err := p.autoCheckpoint(t.Context(), b, holdfast.BeforeRemovalCheckpoint); err != nil || none.ID != "" {
		t.Errorf("of a preview: %+v, %v", none, err)
	}
}
