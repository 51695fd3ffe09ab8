package publish

import (
	"compress/gzip"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/schema"
)

// full runs the tests with the shared histories. They take several minutes.
var full = flag.Bool("full", false, "run real histories on real servers, too")

// histories finds the shared test material beside the repository, or beside a folder above it.
func histories(t *testing.T) string {
	t.Helper()
	if !*full {
		t.Skip("real histories take several minutes: go test ./internal/publish -full")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		found := filepath.Join(dir, "shared", "schema-cases", "real")
		if _, err := os.Stat(found); err == nil {
			return found
		}
		if dir == filepath.Dir(dir) {
			t.Skip("../shared/schema-cases is not beside the repository")
		}
		dir = filepath.Dir(dir)
	}
}

// script reads a dump, plain or compressed, without the lines that are for psql.
func script(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		text = unzip(t, path+".gz")
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `\`) || strings.HasPrefix(line, "SET transaction_timeout") {
			lines[i] = ""
		}
	}
	return `SET search_path = "$user", public;` + strings.Join(lines, "\n")
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// historyBase loads one side of a history. Dumps make their things in the name of an administrator, and so the plan runs as one, too.
func historyBase(t *testing.T, path string) (*base, Target) {
	t.Helper()
	db := pgtest.Start(t, pgtest.Parameter("max_locks_per_transaction", "4096"), pgtest.Parameter("autovacuum", "off")).Database(t)
	b := &base{Database: db, admin: db.Connect(t)}
	for _, role := range []string{"anon", "authenticated", "service_role", "supabase_auth_admin", "supabase_admin", "gitlab", "danbooru", "postgres"} {
		b.exec(t, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '"+role+"') THEN CREATE ROLE "+role+"; END IF; END $$", b.admin)
	}
	if _, err := b.admin.PgConn().Exec(t.Context(), script(t, path)).ReadAll(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	target := b.target(t)
	target.Owner = func(ctx context.Context) (*pgx.Conn, error) { return db.Server.Connect(ctx, db.Name) }
	return b, target
}

// historyPlan plans from one side to the other. Whatever it asks is answered with dropping: no rows are at stake.
func historyPlan(t *testing.T, production, development *base) *schema.Plan {
	t.Helper()
	from, to := production.read(t), development.read(t)
	from.User = pgtest.Value[string](t, production.admin, "SELECT current_user")
	answers := map[string]string{}
	for range 100 {
		plan, err := schema.Compute(schema.Input{Baseline: from, Development: to, Production: from, Options: schema.Options{Tombstones: true, Answers: answers}})
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Questions) == 0 {
			if err := plan.Ready(); err != nil {
				t.Fatal(err)
			}
			return plan
		}
		for _, q := range plan.Questions {
			for _, a := range q.Answers {
				if strings.HasPrefix(a, "drop:") {
					given, err := schema.ParseAnswers([]string{a})
					if err != nil {
						t.Fatal(err)
					}
					for k, v := range given {
						answers[k] = v
					}
				}
			}
		}
	}
	t.Fatal("the plan never stops asking")
	return nil
}

// A plan of hundreds of statements fails early, late and at its end, and each time the structure is as it was; then it goes through.
func TestRealHistoriesAreCompensatedFromAnywhere(t *testing.T) {
	dir := histories(t)
	for _, name := range []string{"pagila", "supabase-auth", "danbooru", "gitlab"} {
		t.Run(name, func(t *testing.T) {
			production, target := historyBase(t, filepath.Join(dir, name, "from.sql"))
			development, _ := historyBase(t, filepath.Join(dir, name, "to.sql"))
			plan := historyPlan(t, production, development)
			before := production.dump(t)
			for _, at := range []int{len(plan.Statements) / 3, len(plan.Statements) * 4 / 5, len(plan.Statements)} {
				fails := *plan
				fails.Statements = slices.Insert(slices.Clone(plan.Statements), at, schema.Statement{SQL: "SELECT 1 / 0", Description: "fail", Transactional: true, Group: 1 << 20})
				out, err := Apply(t.Context(), Order{Plan: &fails, Target: target})
				if out.State != Compensated || len(out.Kept) > 0 || len(out.Differences) > 0 {
					t.Fatalf("at %d: %s, kept %v, differences %v, %v", at, out.State, out.Kept, out.Differences, err)
				}
				mustEqual(t, production.dump(t), before)
			}
			r := rehearse(t, Rehearsal{Plan: plan, Copy: target, Development: func(context.Context) (string, error) { return development.dump(t), nil }})
			if verdict, open := r.Gate("lossy", "breaking"); verdict != Ready {
				t.Errorf("%s: %+v", verdict, open)
			}
		})
	}
}
