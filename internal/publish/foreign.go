package publish

import (
	"slices"
	"strings"

	"github.com/holdfast/holdfast/internal/schema"
)

// Before is the structure of before a plan was applied, with what others have made since: what a way back should lead to. It also lists
// what that is.
func Before(before, now *schema.Catalog, plan *schema.Plan) (*schema.Catalog, []string) {
	return withForeign(before, now, plan)
}

// withForeign adds to the structure of before what neither it nor the plan knows: somebody else made it while the plan ran, and the
// way back must not take it away. What hangs on a table that the plan knows counts as the plan's.
func withForeign(before, now *schema.Catalog, plan *schema.Plan) (*schema.Catalog, []string) {
	ours := map[schema.Address]bool{}
	relations := map[[2]string]bool{}
	note := func(a schema.Address) {
		ours[a] = true
		relations[[2]string{a.Schema, a.Name}] = true
		if a.Kind == schema.KindConstraint { // its index is there before it, under its name
			ours[schema.Address{Kind: schema.KindIndex, Schema: a.Schema, Name: a.Sub}] = true
		}
	}
	known := map[schema.Identity]bool{}
	out := *before
	out.Objects = make(map[schema.Address]*schema.Object, len(before.Objects))
	for a, o := range before.Objects {
		note(a)
		known[o.ID], out.Objects[a] = true, o
	}
	for _, s := range plan.Statements {
		note(s.Object)
	}
	for _, r := range plan.Renames {
		note(r.To)
	}
	for _, a := range plan.Makes {
		note(a)
	}
	var kept []string
	for _, a := range now.Addresses() {
		o := now.Objects[a]
		if ours[a] || known[o.ID] || a.Schema != "" && relations[[2]string{a.Schema, a.Name}] || isOurName(a) || o.Attrs["identity"] != "" {
			continue
		}
		// What needs something new that is the plan's (the sequence of its column) goes with that.
		if slices.ContainsFunc(o.Deps, func(d schema.Address) bool { return before.Objects[d] == nil && ours[d] }) {
			continue
		}
		out.Objects[a] = o
		kept = append(kept, a.String())
	}
	return &out, kept
}

// isOurName says whether the plan gave the name for a while.
func isOurName(a schema.Address) bool {
	return strings.HasPrefix(a.Schema, schema.HiddenPrefix) || strings.HasPrefix(a.Name, schema.HiddenPrefix) || strings.HasPrefix(a.Sub, schema.HiddenPrefix)
}
