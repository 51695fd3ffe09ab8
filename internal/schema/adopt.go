package schema

import (
	"fmt"
	"slices"
)

// Adopt plans, for development, what production alone has or has changed: afterwards the two no longer differ there, and the next
// publish shows no drift. in is what the publish was planned with; drift says which of its plan's differences to adopt, and nil
// adopts all. What an adopted object needs and development lacks comes along. The plan runs on development.
func Adopt(in Input, drift []Drift) (*Plan, error) {
	c, production, _ := in.compare()
	if drift == nil {
		drift = c.plan.Drift
	}
	for _, d := range drift {
		if !slices.ContainsFunc(c.plan.Drift, func(x Drift) bool { return x.Object == d.Object && x.Kind == d.Kind }) {
			return nil, fmt.Errorf("adopt %s: it is no drift of this publish", d.Object)
		}
	}
	back := map[string]string{}
	for development, name := range in.Options.Roles {
		back[name] = development
	}
	to := c.adopted(production, drift)
	plan := &Plan{From: in.Development.Fingerprint()}
	p := newPlanner(prepare(in.Development, nil), prepare(to, back), Options{Tombstones: true, Offline: true, AllowLossy: in.Options.AllowLossy, Answers: in.Options.Answers}, plan)
	p.classify()
	if err := p.run(); err != nil {
		return nil, fmt.Errorf("plan for development: %w", err)
	}
	plan.finish(in.Development)
	plan.To = to.Fingerprint()
	return plan, nil
}

// adopted is development with the chosen differences of production.
func (c *comparison) adopted(production *Catalog, drift []Drift) *Catalog {
	to := *c.development
	to.byIndex = nil
	to.Objects = make(map[Address]*Object, len(c.development.Objects))
	for a, o := range c.development.Objects {
		to.Objects[a] = o
	}
	var taken, gone []Address
	for _, d := range drift {
		if d.Kind == DroppedInProduction {
			gone = append(gone, d.Object)
			continue
		}
		to.Objects[d.Object] = production.Objects[d.Object]
		taken = append(taken, d.Object)
	}
	for len(taken) > 0 {
		var more []Address
		for _, a := range production.Addresses() {
			if to.Objects[a] != nil || slices.Contains(gone, a) {
				continue
			}
			up, ok := production.parent(a)
			whole := ok && slices.Contains(taken, up)
			if whole || slices.ContainsFunc(taken, func(t Address) bool { return slices.Contains(production.Objects[t].Deps, a) }) {
				more = append(more, a)
			}
		}
		for _, a := range more {
			to.Objects[a] = production.Objects[a]
		}
		taken = more
	}
	for len(gone) > 0 {
		for _, a := range gone {
			delete(to.Objects, a)
		}
		var more []Address
		for a := range to.Objects {
			if up, ok := c.development.parent(a); ok && slices.Contains(gone, up) {
				more = append(more, a)
			}
		}
		gone = more
	}
	return &to
}
