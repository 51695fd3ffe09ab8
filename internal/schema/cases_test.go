package schema

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// schemaCase is one case of the shared test material.
type schemaCase struct {
	title    string
	sections map[string]string
}

func parseCases(text string) []schemaCase {
	var out []schemaCase
	section := ""
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "==="):
			out = append(out, schemaCase{strings.TrimSpace(strings.TrimPrefix(line, "===")), map[string]string{}})
			section = ""
		case len(out) == 0:
		case strings.HasPrefix(line, "@"):
			section = strings.TrimPrefix(strings.TrimSpace(line), "@")
		default:
			out[len(out)-1].sections[section] += line + "\n"
		}
	}
	return out
}

// execute runs a plan's statements as Apply does, without its patience.
func execute(ctx context.Context, conn *pgx.Conn, plan *Plan) error {
	if err := run(ctx, conn, "SET check_function_bodies = off; SET search_path = pg_catalog"); err != nil {
		return err
	}
	for i := 0; i < len(plan.Statements); {
		j := i
		for j < len(plan.Statements) && plan.Statements[j].Group == plan.Statements[i].Group {
			j++
		}
		single := !plan.Statements[i].Transactional
		if !single {
			if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
				return err
			}
		}
		for _, s := range plan.Statements[i:j] {
			if _, err := conn.Exec(ctx, s.SQL); err != nil {
				_, _ = conn.Exec(ctx, "ROLLBACK")
				return fmt.Errorf("%s: %w", s.SQL, err)
			}
		}
		if !single {
			if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}

func TestOneChangeConverges(t *testing.T) {
	server := schemaServer(t)
	for _, c := range parseCases(readCase(t, "one-change.txt")) {
		t.Run(c.title, func(t *testing.T) {
			production, development := server.Database(t), server.Database(t)
			prod, dev := production.Connect(t), development.Connect(t)
			createRoles(t, prod)
			load(t, prod, c.sections["COMMON"]+"\n"+c.sections["FROM"])
			load(t, prod, c.sections["DATA"])
			load(t, dev, strings.ReplaceAll(c.sections["COMMON"]+"\n"+c.sections["TO"], "mx_to", development.Name))
			from, to := read(t, prod), read(t, dev)
			plan, err := Compute(Input{Baseline: from, Development: to, Production: from, Options: Options{Tombstones: true}})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range plan.Questions {
				t.Logf("question: %s %v", q.Text, q.Answers)
			}
			for _, q := range plan.Problems {
				t.Logf("problem: %s %v", q.Object, q.Reason)
			}
			if err := execute(t.Context(), prod, plan); err != nil {
				t.Fatalf("%v\n%s", err, plan.SQL())
			}
			if left := OracleEqual(dump(t, production), dump(t, development)); len(left) > 0 {
				t.Errorf("leftovers: %v\n%s", left, plan.SQL())
			}
			again, err := Compute(Input{Baseline: to, Development: to, Production: read(t, prod), Options: Options{Tombstones: true}})
			if err != nil {
				t.Fatal(err)
			}
			if !again.Empty() || len(again.Drift) > 0 {
				t.Errorf("planning again is not empty: %s %v\nfirst: %s", again.SQL(), again.Drift, plan.SQL())
			}
		})
	}
}
