package publish

import (
	"slices"
	"strings"

	"github.com/holdfast/holdfast/internal/schema"
)

// step is a group of statements that are committed together.
type step struct {
	number     int
	statements []int // indexes in the plan
	// alone: one statement outside a transaction.
	alone bool
	// elevated: the administrator runs it.
	elevated bool
}

// steps divides a plan into what is committed together.
func steps(plan *schema.Plan, extensions []string) []step {
	var out []step
	for i, s := range plan.Statements {
		elevated := needsAdministrator(s, extensions)
		alone := !s.Transactional || s.Repeat
		if n := len(out) - 1; n >= 0 && !alone && !out[n].alone && out[n].elevated == elevated && plan.Statements[i-1].Group == s.Group {
			out[n].statements = append(out[n].statements, i)
			continue
		}
		out = append(out, step{number: len(out), statements: []int{i}, alone: alone, elevated: elevated})
	}
	return out
}

// needsAdministrator says whether a statement is one of the few that the administrator runs: about an extension whose scripts
// come with the machine's programs, so that no user's code runs.
func needsAdministrator(s schema.Statement, extensions []string) bool {
	if s.Object.Kind != schema.KindExtension || !slices.Contains(extensions, s.Object.Name) {
		return false
	}
	for _, verb := range []string{"CREATE EXTENSION ", "ALTER EXTENSION ", "DROP EXTENSION ", "COMMENT ON EXTENSION "} {
		if strings.HasPrefix(s.SQL, verb) {
			return true
		}
	}
	return false
}
