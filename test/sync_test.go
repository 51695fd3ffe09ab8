package test

import (
	"strings"
	"testing"
)

// Rows go from the first branch to the second, as cp copies, by either way of saying it; what the target had is brought back.
func TestRowsAreSyncedFromTheFirstBranchToTheSecond(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	for _, ref := range []struct{ name, rows string }{{development.String(), "('dev@example.com')"}, {production.String(), "('anna@example.com'), ('bo@example.com')"}} {
		s.must(t, "psql", ref.name, "--", "-qc", "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text); INSERT INTO people (mail) VALUES "+ref.rows)
	}
	if o := s.holdfast(t, "sync", production.String(), development.String(), "--masked", "--yes"); o.code == 0 || !strings.Contains(o.err, "no masking rules") || strings.Contains(o.out+o.err, "backing up") {
		t.Fatalf("masked without rules it ended with %d:\n%s%s", o.code, o.out, o.err)
	}
	s.must(t, "mask", "set", development.Project, "public.people.mail=fake_email")
	s.must(t, "sync", production.String(), development.String(), "--masked", "--yes")
	if got := s.psql(t, development, "SELECT count(*) || ' ' || count(*) FILTER (WHERE mail IN ('anna@example.com', 'bo@example.com', 'dev@example.com')) FROM people"); got != "2 0" {
		t.Errorf("development has %s: rows, and mails of production", got)
	}
	if got := s.psql(t, production, "SELECT string_agg(mail, ' ' ORDER BY id) FROM people"); got != "anna@example.com bo@example.com" {
		t.Errorf("the source was changed: %s", got)
	}
	s.must(t, "sync", "undo", development.String(), "--yes")
	if got := s.psql(t, development, "SELECT string_agg(mail, ' ') FROM people"); got != "dev@example.com" {
		t.Errorf("after the undo development has %s", got)
	}
	out := s.must(t, "sync", production.String(), "--from", development.String(), "--mode", "upsert", "--yes")
	if !strings.Contains(out, "backup") {
		t.Errorf("it does not say how to go back:\n%s", out)
	}
	if got := s.psql(t, production, "SELECT string_agg(mail, ' ' ORDER BY id) FROM people"); got != "dev@example.com bo@example.com" {
		t.Errorf("production has %s", got)
	}
	if list := s.must(t, "backup", "list", production.String()); !strings.Contains(list, "prod_backup_before_sync_") {
		t.Errorf("production was not backed up first:\n%s", list)
	}
}
