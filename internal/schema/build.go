package schema

import "slices"

// rowsOf is the address of the step that copies a table's rows into its successor.
func rowsOf(table Address) Address { return Address{"rows", table.Schema, table.Name, ""} }

// build makes the nodes and says which comes before which.
func (p *planner) build() {
	for _, a := range p.sortedOps() {
		p.nodesFor(a, p.ops[a])
	}
	for _, a := range p.sortedOps() {
		p.edgesFor(a, p.ops[a])
	}
	p.nameEdges()
	p.partitionEdges()
}

func (p *planner) nodesFor(a Address, o *op) {
	own := func(v verb, phase int) {
		if _, _, covered := p.cover(v, a); covered {
			return
		}
		rank := kindRank(a.Kind)
		if v == verbDrop || v == verbRemove {
			rank = 100 - rank
		}
		k := nodeKey{v, a}
		p.graph.nodes[k] = &node{key: k, phase: phase, rank: rank}
	}
	switch o.change {
	case create:
		own(verbCreate, phaseExpand)
	case drop:
		if p.asides[a] {
			own(verbAside, phaseChange)
			own(verbRemove, phaseChange)
			return
		}
		own(verbDrop, phaseContract)
	case alter:
		phase := phaseChange
		if a.Kind == KindEnum || a.Kind == KindSequence {
			phase = phaseExpand
		}
		own(verbAlter, phase)
	case recreate:
		if p.asides[a] {
			own(verbAside, phaseChange)
			own(verbCreate, phaseChange)
			own(verbRemove, phaseChange)
			return
		}
		own(verbDrop, phaseChange)
		own(verbCreate, phaseChange)
	}
	if a.Kind == KindTable && o.change == recreate && p.copiesRows(a) {
		k := nodeKey{verbCreate, rowsOf(a)}
		p.graph.nodes[k] = &node{key: k, phase: phaseChange, rank: kindRank(KindPartition)}
	}
}

// copiesRows says whether a table that is made anew takes the rows of its predecessor: partitions get theirs through their parent.
func (p *planner) copiesRows(a Address) bool {
	for _, parent := range parentsOf(p.from, p.parts[false][[2]string{a.Schema, a.Name}]) {
		if o := p.ops[parent]; o != nil && o.change == recreate && p.tombs[parent] {
			return false
		}
	}
	return true
}

// edgesFor: what an object needs comes before it; what needs it goes before it.
func (p *planner) edgesFor(a Address, o *op) {
	g := &p.graph
	made, changed, gone := p.home(verbCreate, a), p.home(verbAlter, a), p.home(verbDrop, a)
	aside, remove := g.node(verbAside, a), g.node(verbRemove, a)
	g.edge(gone, made)
	g.edge(aside, made)
	g.edge(made, remove)
	if remove != nil {
		for _, d := range p.madeOf(a) {
			g.edge(remove, p.home(verbDrop, d))
			g.edge(remove, g.node(verbRemove, d))
		}
	}
	if o.to != nil {
		for _, d := range p.needs(p.to, o.to) {
			for _, v := range []verb{verbCreate, verbAlter} {
				need := p.home(v, d)
				if o.change != keep {
					g.edge(need, made)
					if o.change == alter && need != made {
						g.edge(need, changed)
					}
				}
			}
		}
	}
	if up, ok := p.heir(a); ok && o.change == alter && o.to.is("inherited") {
		g.edge(p.home(verbAlter, up), changed) // what it gets through its parent comes first
	}
	if o.from != nil && o.change != keep {
		for _, d := range p.needs(p.from, o.from) {
			old := p.home(verbDrop, d)
			end := g.node(verbRemove, d)
			if p.tombs[d] && d.Kind != KindTable {
				old = nil // it moves: what needs it may stay for a while
			}
			g.edge(gone, old)
			g.edge(gone, end)
			g.edge(gone, g.node(verbAside, d)) // as long as it has the name by which it is dropped
			g.edge(gone, p.home(verbAlter, d))
			if o.change == alter {
				g.edge(changed, old)
				g.edge(changed, end)
			}
		}
	}
}

// needs are an object's dependencies and the larger things that it is part of.
func (p *planner) needs(c *Catalog, o *Object) []Address {
	out := o.Deps
	if parent, ok := c.parent(o.Address); ok && !slices.Contains(out, parent) {
		out = append(slices.Clip(out), parent)
	}
	if o.Kind.onRelation() || o.Kind == KindIndex {
		if r := p.relationIn(c, o.Address); r != (Address{}) && !slices.Contains(out, r) {
			out = append(slices.Clip(out), r)
		}
	}
	return out
}

// nameEdges: a name must be free before something new takes it, a table has one primary key, and what numbers or defaults a column
// must go before another way comes.
func (p *planner) nameEdges() {
	g := &p.graph
	freed := map[string][]*node{}
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if o.from == nil || o.change != drop && o.change != recreate {
			continue
		}
		for _, scope := range scopes(o.from) {
			for _, v := range []verb{verbDrop, verbAside} {
				if n := p.home(v, a); n != nil {
					freed[scope] = append(freed[scope], n)
				}
			}
		}
	}
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if o.to == nil || o.change != create && o.change != recreate {
			continue
		}
		made := p.home(verbCreate, a)
		for _, scope := range scopes(o.to) {
			for _, n := range freed[scope] {
				g.edge(n, made)
			}
		}
	}
	p.columnEdges()
	p.durabilityEdges()
}

// scopes are the name spaces that an object takes a name in.
func scopes(o *Object) []string {
	switch {
	case o.Kind.isRelation() || o.Kind.isType():
		return []string{"relation " + o.Schema + "\x00" + o.Name}
	case o.Kind == KindConstraint:
		out := []string{"constraint " + o.Schema + "\x00" + o.Name + "\x00" + o.Sub}
		if i := o.attr("index"); i != "" {
			out = append(out, "relation "+o.Schema+"\x00"+i)
		}
		if o.attr("type") == "p" {
			out = append(out, "primary key "+o.Schema+"\x00"+o.Name)
		}
		return out
	case o.Kind.isRoutine():
		return []string{"routine " + o.Schema + "\x00" + o.Name + "\x00" + o.Sub}
	case o.Kind == KindPublicationTable:
		return []string{"publication table " + o.String()}
	}
	return nil
}

// columnEdges order a column against its default and the constraints that its properties lean on.
func (p *planner) columnEdges() {
	g := &p.graph
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		switch {
		case a.Kind == KindDefault:
			column := Address{KindColumn, a.Schema, a.Name, a.Sub}
			c := p.ops[column]
			if c == nil || c.change != alter {
				continue
			}
			if o.change == drop || o.change == recreate {
				g.edge(p.home(verbDrop, a), p.home(verbAlter, column))
			}
		case a.Kind == KindConstraint && o.to != nil && o.to.attr("type") == "f" && (o.change == create || o.change == recreate):
			// The server ties a foreign key to whichever key fits: one that goes must be gone before.
			if r := o.to.list("ref"); len(r) == 2 {
				for _, k := range p.partsIn(false, Address{KindTable, r[0], r[1], ""}, KindConstraint) {
					if k.attr("index") != "" {
						g.edge(p.home(verbDrop, k.Address), p.home(verbCreate, a))
					}
				}
			}
		case a.Kind == KindConstraint && o.from != nil && o.from.attr("type") == "p" && (o.change == drop || o.change == recreate):
			// A key's columns are NOT NULL: that can go only behind the key.
			for _, c := range p.partsIn(false, p.relationIn(p.from, a), KindColumn) {
				if slices.Contains(o.from.list("columns"), c.Sub) {
					g.edge(p.home(verbDrop, a), p.home(verbAlter, c.Address))
				}
			}
		}
	}
}
