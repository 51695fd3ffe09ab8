package schema

import "slices"

// breakCircles loosens the foreign keys of tables that reference each other in a circle, where the tables can neither go nor change
// whether they are logged as long as the keys are there.
func (p *planner) breakCircles() {
	relogged := func(t Address) bool {
		o := p.ops[t]
		return o.exists() && o.changed["persistence"]
	}
	for _, k := range p.keysInCircles(relogged) {
		if o := p.ops[k]; o.exists() {
			o.change = recreate
		}
	}
}

// chooseKeysFirst finds the foreign keys that must be dropped before their tables: those of tables that reference each other in a
// circle and all go for good.
func (p *planner) chooseKeysFirst() {
	p.keysFirst = map[Address]bool{}
	for _, k := range p.keysInCircles(func(t Address) bool {
		o := p.ops[t]
		return o != nil && !p.tombs[t] && (o.change == drop || o.change == recreate)
	}) {
		p.keysFirst[k] = true
	}
}

// keysInCircles lists the foreign keys, in from, by which tables of a sort reference each other in circles. A table's keys to itself
// are in nobody's way.
func (p *planner) keysInCircles(wanted func(table Address) bool) []Address {
	var tables, keys []Address
	next, target := map[Address][]Address{}, map[Address]Address{}
	for _, a := range p.sortedOps() {
		if a.Kind == KindTable && wanted(a) {
			tables = append(tables, a)
		}
		o := p.ops[a]
		if a.Kind != KindConstraint || o.from == nil || o.from.attr("type") != "f" || o.from.is("inherited") {
			continue
		}
		table, ref := p.relationIn(p.from, a), referenced(p.from, o.from)
		if table != ref && wanted(table) && wanted(ref) {
			keys, target[a], next[table] = append(keys, a), ref, append(next[table], ref)
		}
	}
	circle := map[Address]int{}
	for i, part := range circles(tables, func(t Address) []Address { return next[t] }) {
		for _, t := range part {
			circle[t] = i
		}
	}
	return slices.DeleteFunc(keys, func(k Address) bool { return circle[p.relationIn(p.from, k)] != circle[target[k]] })
}

// referenced is the table that a foreign key references.
func referenced(c *Catalog, key *Object) Address {
	if r := key.list("ref"); len(r) == 2 {
		if t := c.relation(r[0], r[1]); t != nil {
			return t.Address
		}
	}
	return Address{}
}

// durabilityEdges: a logged table cannot reference one that is not. A key that stays says which of its tables changes first; one that
// goes is gone before they change, and one that comes is made behind.
func (p *planner) durabilityEdges() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if a.Kind != KindConstraint {
			continue
		}
		for _, side := range []*Object{o.from, o.to} {
			if side == nil || side.attr("type") != "f" {
				continue
			}
			c := p.from
			if side == o.to {
				c = p.to
			}
			p.relogEdges(a, o, p.relationIn(c, a), referenced(c, side))
		}
	}
}

func (p *planner) relogEdges(key Address, o *op, child, parent Address) {
	relogged := func(t Address) *node {
		if n := p.ops[t]; n != nil && n.changed["persistence"] {
			return p.home(verbAlter, t)
		}
		return nil
	}
	first, second := relogged(child), relogged(parent)
	if !o.exists() {
		for _, n := range []*node{first, second} {
			p.graph.edge(p.home(verbDrop, key), n)
			p.graph.edge(n, p.home(verbCreate, key))
		}
		return
	}
	if first != nil && second != nil {
		if p.ops[parent].to.attr("persistence") == "" {
			first, second = second, first
		}
		p.graph.edge(first, second)
	}
}
