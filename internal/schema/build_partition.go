package schema

// partitionEdges: a table is attached when it has everything its parent asks for, and detached before anything of it changes.
func (p *planner) partitionEdges() {
	g := &p.graph
	byParent := map[Address][]*node{}
	for _, a := range p.sortedOps() {
		if o := p.ops[a]; a.Kind == KindInheritance && o.from != nil && o.change == recreate {
			for _, side := range []Address{p.relationIn(p.from, a), p.parentTable(p.from, o.from)} {
				p.eachPart(false, side, func(part Address) { g.edge(g.node(verbDrop, a), p.home(verbAlter, part)) })
			}
		}
		if o := p.ops[a]; a.Kind == KindPartition && o.from != nil && (o.change == drop || o.change == recreate) {
			parent := p.parentTable(p.from, o.from)
			byParent[parent] = append(byParent[parent], p.home(verbDrop, a))
			gone := g.node(verbDrop, a)
			if gone == nil {
				continue // it goes as it is attached
			}
			for _, side := range []Address{p.relationIn(p.from, a), parent} {
				p.eachPart(false, side, func(part Address) {
					g.edge(gone, p.home(verbAlter, part))
					if part.Schema == a.Schema && part.Name == a.Name || p.ops[part].from.attr("table") == a.Name {
						if x := p.ops[part].from; x.is("inherited") || x.Kind == KindIndex || x.attr("index") != "" {
							g.edge(gone, p.home(verbDrop, part))
						}
					}
				})
			}
			p.eachPart(true, p.relationIn(p.from, a), func(part Address) { g.edge(gone, p.home(verbCreate, part)) })
		}
	}
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if a.Kind != KindPartition && a.Kind != KindInheritance || o.to == nil {
			continue
		}
		attached := g.node(verbCreate, a)
		parent := p.parentTable(p.to, o.to)
		for _, n := range byParent[parent] {
			g.edge(n, attached)
		}
		child := p.relationIn(p.to, a)
		p.rowEdges(child, parent, p.home(verbCreate, a))
		if attached == nil {
			continue
		}
		for _, side := range []Address{child, parent} {
			p.eachPart(true, side, func(part Address) { p.beforeAttach(part, side == child, attached) })
			p.eachPart(false, side, func(part Address) { g.edge(p.home(verbDrop, part), attached) })
		}
	}
	p.rowOrder()
}

// beforeAttach puts what a partition needs before its attachment.
func (p *planner) beforeAttach(part Address, ofChild bool, attached *node) {
	g := &p.graph
	o := p.ops[part]
	switch part.Kind {
	case KindColumn:
		g.edge(p.home(verbCreate, part), attached)
		g.edge(p.home(verbAlter, part), attached)
		g.edge(p.home(verbDrop, part), attached)
	case KindConstraint:
		if kind := o.to.attr("type"); kind == "c" || ofChild && kind != "f" {
			g.edge(p.home(verbCreate, part), attached)
			g.edge(p.home(verbAlter, part), attached)
		}
	case KindIndex:
		if ofChild {
			g.edge(p.home(verbCreate, part), attached)
		}
		for _, u := range p.toUsers(part) {
			if u.Kind == KindIndexPartition {
				g.edge(attached, p.home(verbCreate, u))
			}
		}
	}
	if part.Kind == KindConstraint && ofChild {
		for _, u := range p.toUsers(part) {
			if u.Kind == KindIndexPartition {
				g.edge(attached, p.home(verbCreate, u))
			}
		}
	}
}

// toUsers finds the attachment of an index in the catalogue to.
func (p *planner) toUsers(a Address) []Address {
	name := a.Name
	if a.Kind == KindConstraint {
		name = p.to.Objects[a].attr("index")
	}
	if x := (Address{KindIndexPartition, a.Schema, name, ""}); p.to.Objects[x] != nil {
		return []Address{x}
	}
	return nil
}

// eachPart visits the parts and indexes of a relation.
func (p *planner) eachPart(inTo bool, relation Address, visit func(Address)) {
	key := [2]string{relation.Schema, relation.Name}
	for _, o := range p.parts[inTo][key] {
		visit(o.Address)
	}
	for _, o := range p.indexes[inTo][key] {
		visit(o.Address)
	}
}

// rowEdges: rows are copied into a new partitioned table once its partitions are there.
func (p *planner) rowEdges(child, parent Address, attached *node) {
	for range 8 {
		if n := p.graph.node(verbCreate, rowsOf(parent)); n != nil {
			p.graph.edge(attached, n)
		}
		parents := parentsOf(p.to, p.parts[true][[2]string{parent.Schema, parent.Name}])
		if len(parents) == 0 {
			return
		}
		child, parent = parent, parents[0]
	}
	_ = child
}

// rowOrder: rows are copied before triggers fire on them and before keys of other tables ask for them.
func (p *planner) rowOrder() {
	g := &p.graph
	for k, n := range g.nodes {
		if k.addr.Kind != "rows" {
			continue
		}
		table := Address{KindTable, k.addr.Schema, k.addr.Name, ""}
		g.edge(p.home(verbCreate, table), n)
		g.edge(p.home(verbDrop, table), n)
		p.eachPart(true, table, func(part Address) {
			made := p.home(verbCreate, part)
			switch part.Kind {
			case KindTrigger, KindRule, KindPolicy:
				g.edge(n, made)
			case KindConstraint, KindIndex:
				// A partitioned table's own come before its partitions, and with them before the rows.
				if p.to.Objects[table].attr("partition_key") == "" && made != p.home(verbCreate, table) || p.to.Objects[part].attr("type") == "f" {
					g.edge(n, made)
				}
			case KindDefault:
				g.edge(made, n)
			}
		})
		for _, s := range p.sequencesAround(table) {
			g.edge(n, s)
		}
	}
}

// sequencesAround are the steps that set a table's sequences behind its rows.
func (p *planner) sequencesAround(table Address) []*node {
	var out []*node
	for a := range p.to.Objects {
		if a.Kind != KindSequenceOwner {
			continue
		}
		for _, d := range p.to.Objects[a].Deps {
			if d.Kind == KindColumn && d.Schema == table.Schema && d.Name == table.Name {
				out = append(out, p.home(verbCreate, a))
			}
		}
	}
	return out
}
