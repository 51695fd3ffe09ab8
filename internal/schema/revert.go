package schema

import "fmt"

// Revert plans the way back: from a database as it is now to the structure that the same database had before, as Read showed it
// then. What was renamed since is found by identity, and what was set aside comes back with its rows, with those that were written
// since to everything else. Plan.Lost says what cannot come back.
func Revert(before, now *Catalog, opts Options) (*Plan, error) {
	opts.Restore, opts.Tombstones = true, true
	plan, err := Compute(Input{Development: before, Production: now, Options: opts})
	if err != nil {
		return nil, fmt.Errorf("plan the way back: %w", err)
	}
	// Whoever goes back wants what is new to go: there is nothing to ask.
	plan.Questions = nil
	return plan, nil
}

// losses lists what leading back cannot bring back, before anything is done.
func (p *planner) losses() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		switch {
		case a.Kind == KindTable && o.change == drop && p.holdsRows(a):
			p.plan.Lost = append(p.plan.Lost, fmt.Sprintf("the rows of %s, which is new: they are set aside", a))
		case a.Kind == KindColumn && o.change == drop && p.relationIn(p.from, a).Kind == KindTable && p.ops[p.relationIn(p.from, a)].exists() && p.holdsRows(p.relationIn(p.from, a)):
			if o.from.attr("generated") == "" && !o.from.is("inherited") {
				p.plan.Lost = append(p.plan.Lost, fmt.Sprintf("the values of %s, which is new: they are set aside", a))
			}
		case a.Kind == KindColumn && o.change == alter && p.retyped(a, o) && p.holdsRows(p.relationIn(p.from, a)):
			if _, lossy := p.conversion(o.to, o.from, o.retype); lossy && o.changed["type"] {
				p.plan.Lost = append(p.plan.Lost, fmt.Sprintf("what the change of %s from %s to %s cut off, and values that do not fit back", a, o.to.attr("type"), o.from.attr("type")))
			}
		case a.Kind == KindColumn && o.change == create && p.relationIn(p.to, a).Kind == KindTable && p.ops[p.relationIn(p.to, a)].exists() && o.to.attr("generated") == "" && !o.to.is("inherited"):
			if side, _ := p.values(o.to); side == nil && p.holdsRows(p.relationIn(p.to, a)) {
				p.plan.Lost = append(p.plan.Lost, fmt.Sprintf("the values of %s: nothing was set aside for it", a))
			}
		case a.Kind == KindTable && o.change == create:
			p.plan.Lost = append(p.plan.Lost, fmt.Sprintf("the rows of %s: nothing was set aside for it", a))
		}
	}
}
