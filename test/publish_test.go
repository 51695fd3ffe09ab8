package test

import (
	"encoding/json"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// psql runs SQL in a branch as its users do.
func (s *server) psql(t *testing.T, ref holdfast.BranchRef, sql string) string {
	t.Helper()
	return strings.TrimSpace(s.must(t, "psql", ref.String(), "--", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql))
}

// A publish from the command line and back: rows stay where they are, those that were written since the publish are there after the revert.
func TestDevelopmentIsPublishedAndTakenBack(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	project := development.Project
	const first = `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, shoe int); CREATE VIEW names AS SELECT name FROM customers`
	s.psql(t, development, first)
	s.must(t, "publish", project, "--yes")
	s.psql(t, production, `INSERT INTO customers SELECT n, 'c' || n, 40 FROM generate_series(1, 1000) n`)
	// Running code, which the next publish breaks.
	s.psql(t, production, `SELECT shoe FROM customers WHERE id = 7`)

	s.psql(t, development, `DROP VIEW names; ALTER TABLE customers RENAME name TO full_name; ALTER TABLE customers DROP shoe; ALTER TABLE customers ADD since date NOT NULL DEFAULT '2026-01-01';
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers); CREATE INDEX ON orders (customer)`)
	var p api.Publish
	if err := json.Unmarshal([]byte(s.must(t, "publish", "plan", project, "--json")), &p); err != nil || len(p.Plan.Questions) > 0 || p.State != "planned" {
		t.Fatalf("got %+v, %v", p, err)
	}
	if o := s.holdfast(t, "publish", project, "--yes"); o.code != 5 || !strings.Contains(o.err, "--allow") {
		t.Fatalf("without consent it ended with %d:\n%s", o.code, o.err)
	}
	if p = s.publish(t, project); len(p.Report.Broken) != 1 || !strings.Contains(p.Report.Broken[0].Error, "shoe") {
		t.Errorf("running code that would fail: %+v", p.Report.Broken)
	}
	s.must(t, "publish", "apply", project, "--yes", "--allow", "lossy,breaking")
	if got := s.psql(t, production, `SELECT count(*) || ' ' || min(full_name) || ' ' || min(since) FROM customers`); got != "1000 c1 2026-01-01" {
		t.Errorf("production has %s", got)
	}
	if out := s.must(t, "publish", "plan", project); !strings.Contains(out, "nothing to do") {
		t.Errorf("a plan after the publish:\n%s", out)
	}
	published := s.publish(t, project).Number - 1
	s.psql(t, production, `INSERT INTO customers VALUES (1001, 'new', '2026-02-02'); INSERT INTO orders (customer) VALUES (1001)`)
	s.must(t, "publish", "revert", project, strconv.Itoa(published), "--yes", "--allow", "lossy,breaking")
	if got := s.psql(t, production, `SELECT count(*) || ' ' || sum(shoe) || ' ' || max(name) FROM customers JOIN names USING (name)`); got != "1001 40000 new" {
		t.Errorf("after the revert production has %s", got)
	}
	if got := s.must(t, "schema", "diff", production.String(), development.String(), "--sql"); !strings.Contains(got, "full_name") {
		t.Errorf("the difference is\n%s", got)
	}
	// The moment before the publish, looked at beside what is there now: the revert brought everything back.
	before, err := s.Publish(t.Context(), project, published)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.must(t, "schema", "diff", production.String()+"@checkpoint:"+before.Checkpoint, production.String(), "--sql"); got != "" {
		t.Errorf("since the checkpoint production has changed by\n%s", got)
	}
	// The way back: what production got on its own.
	s.psql(t, production, `CREATE TABLE hot (id int)`)
	s.must(t, "sync", development.String(), "--from", production.String(), "--schema")
	s.psql(t, development, `SELECT full_name FROM customers; SELECT id FROM hot`)
	if log := s.must(t, "publish", "log", project, strconv.Itoa(published)); !strings.Contains(log, "apply") {
		t.Errorf("the log is\n%s", log)
	}
}

// publish is the newest publish of a project.
func (s *server) publish(t *testing.T, project string) api.Publish {
	t.Helper()
	p, err := s.Publish(t.Context(), project, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The control plane is killed while production is changed: what it did is either completed or taken back by the next start, and the
// app's inserts work all the time.
func TestAControlPlaneKilledInTheMiddleOfAPublishFinishesIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, production := s.project(t, api.NewProject{Name: "shop"})
	s.psql(t, development, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`)
	s.must(t, "publish", "shop", "--yes")
	s.psql(t, production, `INSERT INTO b SELECT generate_series(1, 10000)`)
	s.psql(t, development, `ALTER TABLE a ADD note text; ALTER TABLE b ADD note text NOT NULL DEFAULT 'x'; CREATE INDEX ON b (note); CREATE TABLE c (id int)`)
	if o := s.holdfast(t, "publish", "plan", "shop"); o.code != 0 {
		t.Fatal(o.err)
	}
	s.must(t, "publish", "rehearse", "shop")
	// A reader keeps the apply in the middle.
	reader := s.connect(t, production)
	execute(t, reader, "BEGIN")
	execute(t, reader, "SELECT count(*) FROM b")
	job, err := s.ApplyPublish(t.Context(), "shop", 0, api.Apply{})
	if err != nil {
		t.Fatal(err)
	}
	servetest.Until(t, "the apply waits for the reader", func() bool {
		events, err := s.PublishLog(t.Context(), "shop", 0)
		if err != nil {
			t.Fatal(err)
		}
		if j, err := s.Job(t.Context(), job.ID); err != nil || j.Final() {
			t.Fatalf("it did not wait for the reader: %+v, %v", j, err)
		}
		for _, e := range events {
			if e.Phase == "apply" && (e.Kind == "retry" || e.Kind == "blocked") {
				return true
			}
		}
		return false
	})
	s.signal(t, syscall.SIGKILL) // it ends the reader's connection, too
	s.start(t)
	last, err := s.FollowJob(t.Context(), job.ID, func(api.Job) {})
	if err != nil || last.Err() != nil {
		t.Fatalf("the job: %v, %v", err, last.Err())
	}
	if got := s.psql(t, production, `INSERT INTO b VALUES (0); INSERT INTO a VALUES (1); SELECT count(*) || min(note) || (SELECT count(*) FROM c) FROM b`); got != "10001x0" {
		t.Errorf("production has %s", got)
	}
	if p := s.publish(t, "shop"); p.State != "published" {
		t.Errorf("got %+v", p)
	}
	if out := s.must(t, "publish", "plan", "shop"); !strings.Contains(out, "nothing to do") {
		t.Errorf("a plan after the publish:\n%s", out)
	}
}
