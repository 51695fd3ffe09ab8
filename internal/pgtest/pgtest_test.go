package pgtest_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestEachTestHasADatabaseOfItsOwnOnOneServer(t *testing.T) {
	first, second := pgtest.Start(t).Database(t), pgtest.Start(t).Database(t)
	if first.Server != second.Server {
		t.Error("two servers for one package")
	}
	if first.Name == second.Name {
		t.Error("two tests share a database")
	}
	if got := pgtest.Value[string](t, first.ConnectOwner(t), "SELECT current_user::text"); got != pgtest.Owner {
		t.Errorf("the owner's session is of %q", got)
	}
	if got := pgtest.Value[string](t, second.Connect(t), "SELECT current_setting('is_superuser')"); got != "on" {
		t.Errorf("the administrator is no superuser")
	}
}

// A test process that is killed must not leave servers or directories behind.
func TestNothingIsLeftAfterTheTestProcessIsKilled(t *testing.T) {
	pgtest.Installations(t)
	if os.Getenv("PGTEST_CHILD") != "" {
		os.Stdout.WriteString("dir " + pgtest.New(t).DataDir() + "\n")
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeftAfterTheTestProcessIsKilled$")
	child.Env = append(os.Environ(), "PGTEST_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dir := ""
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		if _, path, found := strings.Cut(lines.Text(), "dir "); found {
			dir = path
		}
	}
	if len(pgtest.ProcessesBelow(t, dir)) == 0 {
		t.Fatalf("no server runs in %q", dir)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed: an error is what is expected
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := os.Stat(dir)
		if os.IsNotExist(err) && len(pgtest.ProcessesBelow(t, dir)) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there: %v, processes %v", dir, err, pgtest.ProcessesBelow(t, dir))
		}
	}
}
