package platform

import (
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestAForeignDatabaseIsImportedIntoAnEmptyBranch(t *testing.T) {
	foreign := pgtest.Start(t).Database(t)
	pgtest.Exec(t, foreign.ConnectOwner(t), shopTables)
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	job, err := p.ImportDatabase(t.Context(), admin, production, foreign.URL())
	if err != nil && strings.Contains(err.Error(), "socket") {
		t.Skip("the test's server is reached by a socket only: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	result, err := jobResult[importResult](t, p, job)
	if err != nil {
		t.Fatal(err)
	}
	if got := ordersOf(t, p, "shop/production"); got != "100 5050" || len(result.Report.Tables) != 2 {
		t.Errorf("orders are %s, %+v", got, result)
	}
	if job, err = p.ImportDatabase(t.Context(), admin, production, foreign.URL()); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second import gave %v", err)
	}
	wrong := strings.Replace(foreign.URL(), pgtest.OwnerPassword, "wr0ng-secret", 1)
	if job, err = p.ImportDatabase(t.Context(), admin, ref(t, "shop/development"), wrong); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if err == nil || strings.Contains(err.Error(), "wr0ng-secret") {
		t.Errorf("a wrong password gave %v", err)
	}
	lines, err := p.JobLog(t.Context(), admin, job.ID, 0)
	for _, l := range lines {
		if err != nil || strings.Contains(l.Text, "wr0ng-secret") {
			t.Errorf("the log tells the password: %s, %v", l.Text, err)
		}
	}
}
