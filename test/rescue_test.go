package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
)

// Rows that were lost come back by the repair in a file as by --apply; a branch is compared with its parent and reset to it.
func TestRowsAreRescuedAndABranchIsReset(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 0)
	s.withBase(t, production)
	conn := s.connect(t, production)
	execute(t, conn, `CREATE TABLE bids (id int PRIMARY KEY, name text); INSERT INTO bids VALUES (1, 'it''s'), (2, E'back\\slash'), (3, 'three')`)
	try := holdfast.BranchRef{Project: production.Project, Branch: "try"}
	s.must(t, "branch", "create", try.String(), "--ttl", "1h")
	at := now(t, conn)
	execute(t, conn, `DELETE FROM bids WHERE id = 1; UPDATE bids SET name = 'wrong' WHERE id = 2; INSERT INTO bids VALUES (4, 'four')`)

	file := filepath.Join(s.home, "repair.sql")
	shown := s.must(t, "rescue", production.String(), "--table", "bids", "--at", at, "--where", "id < 3", "--out", file)
	if want := "deleted id='1'\nchanged id='2': name 'back\\slash', now 'wrong'\n1 deleted, 1 changed, 0 added since then\n"; shown != want {
		t.Errorf("got\n%swant\n%s", shown, want)
	}
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const all = `SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM bids`
	s.must(t, "psql", production.String(), "--", "-X", "-v", "ON_ERROR_STOP=1", "-f", file)
	if got := value[string](t, conn, all); got != `1 it's, 2 back\slash, 3 three, 4 four` {
		t.Errorf("after the script %s:\n%s", got, script)
	}
	s.must(t, "rescue", production.String()+"@"+at, "--table", "bids", "--apply", "--yes")
	if got := value[string](t, conn, all); got != `1 it's, 2 back\slash, 3 three` {
		t.Errorf("after --apply: %s", got)
	}

	execute(t, conn, `ALTER TABLE bids ADD COLUMN extra int; INSERT INTO bids VALUES (9, 'nine')`)
	diff := s.must(t, "branch", "diff", production.String(), try.String())
	if !strings.Contains(diff, "extra") || !strings.Contains(diff, "public.bids") || !strings.Contains(diff, "-1") {
		t.Errorf("the difference:\n%s", diff)
	}
	before := s.connection(t, try)
	s.must(t, "branch", "reset", try.String(), "--yes")
	if after := s.connection(t, try); after != before {
		t.Error("the reset branch has another address or password")
	}
	if n := value[int](t, s.connect(t, try), `SELECT count(*)::int FROM bids`); n != 4 {
		t.Errorf("the reset branch has %d rows", n)
	}
	s.must(t, "restore", "undo", try.String(), "--yes")
	if n := value[int](t, s.connect(t, try), `SELECT count(*)::int FROM bids`); n != 3 {
		t.Errorf("the reset that was undone left %d rows", n)
	}
}
