package platform

import (
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// Who may not read production's rows may see its structure, of which names are never patterns.
func TestTheStructureOfATableIsSeenWithoutItsRows(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	b, err := p.findBranch(t.Context(), admin, production, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	person := func(project holdfast.ProjectID) holdfast.Principal {
		return holdfast.Principal{Name: "vera", Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, PersonID: "per_vera",
			Members: map[holdfast.ProjectID]holdfast.Member{project: {ProjectID: project, PersonID: "per_vera", Role: holdfast.Viewer}}}
	}
	vera := person(b.ProjectID)
	pgtest.Exec(t, asOwner(t, p, production), `CREATE TABLE "o*" (id int PRIMARY KEY, "a""b" text DEFAULT 'x'); CREATE TABLE other (id int); CREATE INDEX by_text ON "o*" ("a""b")`)

	tables, err := p.Relations(t.Context(), vera, production)
	if err != nil || len(tables) != 2 || tables[0].Name != "o*" {
		t.Fatalf("the tables are %+v, %v", tables, err)
	}
	table, err := p.Relation(t.Context(), vera, production, `"o*"`)
	if err != nil || len(table.Columns) != 2 || len(table.Indexes) != 2 {
		t.Errorf("the table is %+v, %v", table, err)
	}
	sql, err := p.DumpRelation(t.Context(), vera, production, `"o*"`)
	if err != nil || !strings.Contains(sql, `CREATE TABLE public."o*"`) || !strings.Contains(sql, "CREATE INDEX by_text") || strings.Contains(sql, "other") {
		t.Errorf("its SQL is %s, %v", sql, err)
	}
	if _, err := p.DumpRelation(t.Context(), vera, production, "oth*"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a pattern is answered with %v", err)
	}
	if _, err := p.Relations(t.Context(), person("prj_other"), production); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("who is not of the project is answered with %v", err)
	}
}
