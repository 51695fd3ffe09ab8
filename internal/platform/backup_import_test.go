package platform

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// overNetwork makes a database of a server that listens at its socket only reachable at a port, as a foreign one is.
func overNetwork(t *testing.T, db *pgtest.Database) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	sockets, err := filepath.Glob(filepath.Join(db.Server.SocketDir(), ".s.PGSQL.*[0-9]"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("got %v, %v", sockets, err)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", sockets[0])
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(server, client); server.Close() }()
			go func() { io.Copy(client, server); client.Close() }()
		}
	}()
	u := url.URL{Scheme: "postgres", User: url.UserPassword(pgtest.Owner, pgtest.OwnerPassword), Host: listener.Addr().String(), Path: "/" + db.Name, RawQuery: "sslmode=disable"}
	return u.String()
}

func TestAForeignDatabaseIsImportedIntoAnEmptyBranch(t *testing.T) {
	foreign := pgtest.Start(t).Database(t)
	pgtest.Exec(t, foreign.ConnectOwner(t), shopTables)
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	if _, err := p.ImportDatabase(t.Context(), admin, production, foreign.URL(), false); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a socket of the server's machine gave %v", err)
	}
	address := overNetwork(t, foreign)
	job, err := p.ImportDatabase(t.Context(), admin, production, address, true)
	if err != nil {
		t.Fatal(err)
	}
	looked, err := jobResult[importResult](t, p, job)
	if err != nil || !looked.Check || len(looked.Report.Preflight.Problems()) != 0 || looked.Report.Preflight.Tables != 2 || len(looked.Report.Tables) != 0 {
		t.Errorf("looking gave %+v, %v", looked, err)
	}
	job, err = p.ImportDatabase(t.Context(), admin, production, address, false)
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
	if job, err = p.ImportDatabase(t.Context(), admin, production, address, false); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second import gave %v", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(pgtest.Owner, "wr0ng-secret")
	wrong := u.String()
	if job, err = p.ImportDatabase(t.Context(), admin, ref(t, "shop/development"), wrong, false); err == nil {
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
