package test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/servetest"
)

// withBase waits for the base backup that the first wake brings about.
func (s *server) withBase(t *testing.T, ref holdfast.BranchRef) {
	t.Helper()
	s.must(t, "wake", ref.String())
	servetest.Until(t, "a base backup of "+ref.String(), func() bool {
		h, err := s.History(t.Context(), ref)
		return err == nil && len(h.Bases) > 0
	})
}

// now is the time by the clock that stamps commits, as the command line takes it.
func now(t *testing.T, conn *pgx.Conn) string {
	return value[time.Time](t, conn, "SELECT clock_timestamp()").Format(time.RFC3339Nano)
}

// While a branch is restored in place its address answers: whoever comes waits, and nobody is turned away. So does a
// session that was idle; one in a transaction is told that it ended.
func TestClientsAreHeldAtTheFrontDoorWhileABranchIsRestored(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 10)
	s.withBase(t, production)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
	at := now(t, conn)
	execute(t, conn, "UPDATE kept SET n = 2")

	working := s.connect(t, production)
	execute(t, working, "BEGIN")
	execute(t, working, "INSERT INTO kept VALUES (3)")

	restored := make(chan struct{})
	comers := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			c, err := pgconn.Connect(context.Background(), s.connection(t, production).URL)
			if err != nil {
				comers <- err
				return
			}
			_, _ = c.Exec(context.Background(), "SELECT n FROM kept").ReadAll() // may be ended by the restore
			_ = c.Close(context.Background())                                   // as may this
			select {
			case <-restored:
				comers <- nil
				return
			default:
			}
		}
	}()
	s.must(t, "restore", production.String(), "--at", at, "--yes")
	close(restored)
	if err := <-comers; err != nil {
		t.Errorf("a client was turned away: %v", err)
	}
	for what, c := range map[string]*pgx.Conn{"a new session": s.connect(t, production), "the one from before": conn} {
		if n := value[int](t, c, "SELECT n FROM kept"); n != 1 {
			t.Errorf("for %s the branch is as it was at %d", what, n)
		}
	}
	var ended *pgconn.PgError
	if _, err := working.Exec(t.Context(), "COMMIT"); !errors.As(err, &ended) || ended.Code != "57P01" {
		t.Errorf("a transaction from before the restore: %v", err)
	}
}

// The ways to look at a moment from the command line, and the code that belongs to it.
func TestAMomentIsSeenWithoutTouchingItsBranch(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 10)
	s.withBase(t, production)
	code := filepath.Join(place(t), "code")
	git := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(s.user("").must(t, "git", append([]string{"-C", code, "-c", "user.name=t", "-c", "user.email=t@example.invalid"}, args...)...))
	}
	if err := os.MkdirAll(code, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	s.user(code).must(t, binary, "link", production.String())
	git("add", ".")
	git("commit", "-qm", "first")
	first := git("rev-parse", "HEAD")

	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE bids (id int PRIMARY KEY, name text); INSERT INTO bids VALUES (1, 'one'), (2, NULL), (3, '')")
	s.user(code).must(t, binary, "checkpoint", "create", "--label", "before")
	at := now(t, conn)
	execute(t, conn, "UPDATE bids SET name = 'changed'")
	git("commit", "-q", "--allow-empty", "-m", "second")

	moment := production.String() + "@" + at
	if got := s.must(t, "sql", moment, "--csv", "SELECT * FROM bids ORDER BY id"); got != "id,name\n1,one\n2,\n3,\"\"\n" {
		t.Errorf("the moment as CSV:\n%s", got)
	}
	if got := s.must(t, "psql", moment, "--", "-XAtc", "SELECT name FROM bids WHERE id = 1"); got != "one\n" {
		t.Errorf("psql at the moment: %s", got)
	}
	if got := s.must(t, "sql", production.String(), "SELECT DISTINCT name FROM bids"); !strings.Contains(got, "changed\n(1 row)") {
		t.Errorf("now:\n%s", got)
	}
	if refused := s.holdfast(t, "sql", production.String(), "DELETE FROM bids"); refused.code != 1 || !strings.Contains(refused.err, "25006") || !strings.Contains(refused.err, "--write") {
		t.Errorf("a write: %+v", refused)
	}
	if got := s.must(t, "sql", production.String(), "--write", "INSERT INTO bids VALUES (4, 'four') RETURNING id; SELECT 'x' AS y"); got != "id\n4\n(1 row)\n\ny\nx\n(1 row)\n" {
		t.Errorf("a write:\n%s", got)
	}
	if got := s.must(t, "restore", production.String(), "--at", at, "--preview"); s.user("").must(t, "psql", strings.TrimSpace(got), "-XAtc", "SELECT name FROM bids WHERE id = 1") != "one\n" {
		t.Errorf("the preview: %s", got)
	}
	s.must(t, "restore", production.String(), "--at", at, "--to", "then", "--ttl", "1h")
	then := holdfast.BranchRef{Project: production.Project, Branch: "then"}
	if n := value[int](t, s.connect(t, then), "SELECT count(*)::int FROM bids"); n != 3 {
		t.Errorf("the new branch has %d rows", n)
	}

	if got := s.user(code).must(t, binary, "restore", "--at", at, "--code"); got != "git -C "+code+" checkout --detach "+first+"\n" {
		t.Errorf("the code of the moment: %s", got)
	}
	if err := os.WriteFile(filepath.Join(code, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if refused := s.user(code).run(t, binary, "restore", "--at", at, "--with-code", "--yes"); refused.code != 5 || !strings.Contains(refused.err, "not committed") {
		t.Errorf("with changes that are not committed: %+v", refused)
	}
	if n := value[int](t, s.connect(t, production), "SELECT count(*)::int FROM bids"); n != 4 {
		t.Errorf("a restore that was refused left %d rows", n)
	}
	if err := os.Remove(filepath.Join(code, "new")); err != nil {
		t.Fatal(err)
	}
	s.user(code).must(t, binary, "restore", "--at", at, "--with-code", "--yes")
	if n := value[int](t, s.connect(t, production), "SELECT count(*)::int FROM bids"); n != 3 || git("rev-parse", "HEAD") != first {
		t.Errorf("both: %d rows, at %s", n, git("rev-parse", "HEAD"))
	}
}
