package platform

import (
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// A backup with the rights has those of the role that agents read as, which the server that it is restored to need not have.
func TestABackupWithRightsRestoresWhereNoAgentRead(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	pgtest.Exec(t, asOwner(t, p, production), `CREATE TABLE orders (total int); INSERT INTO orders VALUES (1), (2)`)
	must(t, p.SetAgentSettings(t.Context(), admin, "shop", AgentSettings{ReadProduction: true}))
	agent := holdfast.Principal{Name: "a", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: projectID(t, p, "shop")}
	discard := func(QueryEvent) error { return nil }
	must(t, p.RunQuery(t.Context(), agent, production, Query{SQL: "SELECT sum(total) FROM orders", MaxBytes: 1000}, func(string) error { return nil }, discard))
	for _, format := range []holdfast.BackupFormat{holdfast.PlainFormat, holdfast.CustomFormat} {
		b := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: format, KeepRights: true})
		if _, err := restoreInto(t, p, RestoreBackup{Backup: b.Name, To: ref(t, "shop/from_"+string(format))}); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := ordersOf(t, p, "shop/from_"+string(format)); got != "2 3" {
			t.Errorf("%s: it has %s", format, got)
		}
	}
}
