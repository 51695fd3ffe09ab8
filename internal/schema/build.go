package schema

import (
	"maps"
	"slices"
)

// rowsOf is the address of the step that copies a table's rows into its successor.
func rowsOf(table Address) Address { return Address{"rows", table.Schema, table.Name, ""} }

// home says which node does something to an object: its own, or that of a larger thing which brings the object or takes it along.
func (p *planner) home(v verb, a Address) *node {
	for range 12 {
		if n := p.graph.node(v, a); n != nil {
			return n
		}
		nv, up, ok := p.cover(v, a)
		if !ok {
			return nil
		}
		v, a = nv, up
	}
	return nil
}

// cover says what brings, takes or changes the object without a statement of its own.
func (p *planner) cover(v verb, a Address) (verb, Address, bool) {
	o := p.ops[a]
	if o == nil {
		return v, a, false
	}
	switch v {
	case verbCreate:
		if o.to != nil && (o.change == create || o.change == recreate) {
			up, how, ok := p.coverCreate(a, o)
			return how, up, ok
		}
	case verbDrop:
		if o.from != nil && (o.change == drop || o.change == recreate) {
			up, how, ok := p.coverDrop(a, o)
			return how, up, ok
		}
	case verbAlter:
		if o.change == alter {
			if changed, retype := p.residual(a, o); len(changed) == 0 && !retype {
				if up, ok := p.heir(a); ok {
					return verbAlter, up, true
				}
			}
		}
	}
	return v, a, false
}

// residual is what a change of a part asks for beyond what reaches it through its parent: ALTER TABLE passes changes down.
func (p *planner) residual(a Address, o *op) (map[string]bool, bool) {
	if o.change != alter || !o.from.is("inherited") || !o.to.is("inherited") {
		return o.changed, o.retype
	}
	up, ok := p.heir(a)
	parent := p.ops[up]
	if !ok || !parent.exists() {
		return o.changed, o.retype
	}
	out := maps.Clone(o.changed)
	for _, k := range []string{"type", "collation", "not_null", "not_null_name", "generated", "expression", "identity", "definition", "enabled"} {
		if out[k] && parent.changed[k] && parent.to.attr(k) == o.to.attr(k) {
			delete(out, k)
		}
	}
	return out, o.retype && !parent.retype
}

// coverCreate: what comes by itself when something else is made.
func (p *planner) coverCreate(a Address, o *op) (Address, verb, bool) {
	relation := p.relationIn(p.to, a)
	newRelation := p.isNew(relation)
	switch a.Kind {
	case KindColumn:
		if newRelation {
			return relation, verbCreate, true
		}
		if o.to.is("inherited") {
			if up, ok := p.heir(a); ok {
				return up, verbCreate, true
			}
		}
	case KindDefault:
		column := Address{KindColumn, a.Schema, a.Name, a.Sub}
		if c := p.ops[column]; c != nil && (c.change == create || c.change == recreate) && relation.Kind != KindView && p.inlined(o.to, newRelation) && !p.inheritedByClause(c.to) {
			if c.to.is("inherited") && !newRelation {
				return p.coverInheritedDefault(a, o, column)
			}
			return column, verbCreate, true
		}
	case KindSequence:
		if column, ok := p.identityColumn(o.to); ok {
			if c := p.ops[column]; c.change == alter {
				return column, verbAlter, true
			}
			return column, verbCreate, true
		}
	case KindInheritance:
		return relation, verbCreate, newRelation
	case KindConstraint:
		return p.coverConstraint(a, o, relation)
	case KindTrigger:
		if o.to.is("inherited") {
			for _, parent := range parentsOf(p.to, p.parts[true][[2]string{a.Schema, a.Name}]) {
				if up := (Address{KindTrigger, parent.Schema, parent.Name, a.Sub}); p.ops[up] != nil && p.ops[up].to != nil && p.ops[up].change != keep && p.ops[up].change != alter {
					return up, verbCreate, true
				}
			}
			return Address{KindPartition, a.Schema, a.Name, ""}, verbCreate, true
		}
	}
	return a, verbCreate, false
}

// inheritedByClause: a column that a new table gets from INHERITS brings its parent's default; a default of its own is set behind.
func (p *planner) inheritedByClause(c *Object) bool {
	return c.is("inherited") && !c.is("merged") && len(p.inheritance(c)) > 0
}

// coverInheritedDefault: a column that arrives through its parent brings the parent's default.
func (p *planner) coverInheritedDefault(a Address, o *op, column Address) (Address, verb, bool) {
	up, ok := p.heir(column)
	if !ok {
		return column, verbCreate, true
	}
	if d := p.to.Objects[Address{KindDefault, up.Schema, up.Name, up.Sub}]; d != nil && d.attr("expression") == o.to.attr("expression") {
		return column, verbCreate, true
	}
	return a, verbCreate, false
}

// coverConstraint: constraints reach partitions and heirs through their parents.
func (p *planner) coverConstraint(a Address, o *op, relation Address) (Address, verb, bool) {
	if !o.to.is("inherited") || o.to.attr("type") == "p" || o.to.attr("type") == "u" || o.to.attr("type") == "x" {
		return a, verbCreate, false
	}
	if p.isNew(relation) && len(p.inheritance(o.to)) > 0 {
		return relation, verbCreate, true
	}
	if up, ok := p.heir(a); ok {
		return up, verbCreate, true
	}
	if o.to.attr("type") == "f" {
		return Address{KindPartition, a.Schema, a.Name, ""}, verbCreate, true
	}
	return a, verbCreate, false // it must be there before the table is attached
}

// identityColumn is the column that an identity sequence numbers.
func (p *planner) identityColumn(s *Object) (Address, bool) {
	if s.attr("identity") == "" {
		return Address{}, false
	}
	for _, d := range s.Deps {
		if d.Kind == KindColumn {
			return d, true
		}
	}
	return Address{}, false
}

// relationIn finds the relation of a part or an index.
func (p *planner) relationIn(c *Catalog, a Address) Address {
	if a.Kind == KindIndex {
		if o := c.Objects[a]; o != nil {
			if r := c.relation(a.Schema, o.attr("table")); r != nil {
				return r.Address
			}
		}
		return Address{}
	}
	if a.Kind.onRelation() {
		if r := c.relation(a.Schema, a.Name); r != nil {
			return r.Address
		}
	}
	return Address{}
}

// coverDrop: what goes by itself when something else goes.
func (p *planner) coverDrop(a Address, o *op) (Address, verb, bool) {
	relation := p.relationIn(p.from, a)
	r := p.ops[relation]
	gone := r != nil && (r.change == drop || r.change == recreate)
	if gone && (a.Kind.onRelation() || a.Kind == KindIndex) && a.Kind != KindPartition && a.Kind != KindInheritance {
		if !p.tombs[relation] || p.staysWithTomb(o.from) {
			return relation, verbDrop, true
		}
		if up, ok := p.above(a); ok && o.from.is("inherited") && a.Kind != KindColumn {
			return up, verbDrop, true
		}
		if a.Kind == KindTrigger && o.from.is("inherited") {
			return Address{KindPartition, a.Schema, a.Name, ""}, verbDrop, true
		}
		return a, verbDrop, false
	}
	switch a.Kind {
	case KindColumn:
		if o.from.is("inherited") {
			if up, ok := p.heir(a); ok {
				return up, verbDrop, true
			}
		}
	case KindDefault:
		column := Address{KindColumn, a.Schema, a.Name, a.Sub}
		if c := p.ops[column]; c.change == drop || c.change == recreate {
			return column, verbDrop, true
		}
	case KindSequence:
		return p.coverSequenceDrop(a, o)
	case KindSequenceOwner:
		s := Address{Kind: KindSequence, Schema: a.Schema, Name: a.Name}
		if c := p.ops[s]; c != nil && (c.change == drop || c.change == recreate) {
			return s, verbDrop, true
		}
	case KindPartition, KindInheritance:
		return p.coverDetach(a, o, relation, gone)
	case KindConstraint, KindTrigger:
		if o.from.is("inherited") {
			if up, ok := p.heir(a); ok && p.ops[up] != nil {
				return up, verbDrop, true
			}
			if a.Kind == KindTrigger {
				return Address{KindPartition, a.Schema, a.Name, ""}, verbDrop, true
			}
		}
		return p.coverIndexDrop(a, o)
	case KindIndex:
		return p.coverIndexDrop(a, o)
	default:
		if parent, ok := p.from.parent(a); ok && (a.Kind == KindDomainConstraint || a.Kind == KindIndexPartition) {
			return parent, verbDrop, p.ops[parent] != nil && (p.ops[parent].change == drop || p.ops[parent].change == recreate)
		}
	}
	return a, verbDrop, false
}

// above finds, for a part that a table inherited, the same part of a parent that goes too.
func (p *planner) above(a Address) (Address, bool) {
	for _, parent := range parentsOf(p.from, p.parts[false][[2]string{a.Schema, a.Name}]) {
		up := a
		up.Schema, up.Name = parent.Schema, parent.Name
		if o := p.ops[up]; o != nil && o.from != nil && (o.change == drop || o.change == recreate) {
			return up, true
		}
	}
	return Address{}, false
}

// coverDetach: a table that goes leaves its parent by itself; set aside together with its parent it stays attached.
func (p *planner) coverDetach(a Address, o *op, relation Address, gone bool) (Address, verb, bool) {
	if !gone {
		return a, verbDrop, false
	}
	if !p.tombs[relation] {
		return relation, verbDrop, true
	}
	parent := p.parentTable(p.from, o.from)
	return relation, verbDrop, p.tombs[parent]
}

// coverSequenceDrop: owned and identity sequences go with their column.
func (p *planner) coverSequenceDrop(a Address, o *op) (Address, verb, bool) {
	column, ok := p.identityColumn(o.from)
	if !ok {
		if owner := p.from.Objects[Address{KindSequenceOwner, a.Schema, a.Name, ""}]; owner != nil {
			for _, d := range owner.Deps {
				if d.Kind == KindColumn {
					column, ok = d, true
				}
			}
		}
	}
	if !ok {
		return a, verbDrop, false
	}
	c := p.ops[column]
	switch {
	case c == nil || c.from == nil:
		return a, verbDrop, false
	case c.change == drop || c.change == recreate:
		// Set aside alone, a column leaves its sequence behind: its last number may be wanted back.
		if table := p.relationIn(p.from, column); p.opts.Tombstones && o.from.attr("identity") == "" && !p.tombs[table] {
			return a, verbDrop, false
		}
		return column, verbDrop, true
	case o.from.attr("identity") != "" && c.change == alter:
		return column, verbAlter, true
	}
	return a, verbDrop, false
}

// coverIndexDrop: parts of a partitioned index go with it, and cannot go alone.
func (p *planner) coverIndexDrop(a Address, o *op) (Address, verb, bool) {
	name := a.Name
	if a.Kind == KindConstraint {
		name = o.from.attr("index")
	}
	if name == "" {
		return a, verbDrop, false
	}
	part := p.from.Objects[Address{KindIndexPartition, a.Schema, name, ""}]
	if part == nil {
		return a, verbDrop, false
	}
	if detached := p.ops[Address{KindPartition, a.Schema, p.relationIn(p.from, a).Name, ""}]; detached != nil && (detached.change == drop || detached.change == recreate) {
		return a, verbDrop, false
	}
	for _, d := range part.Deps {
		if up := p.ops[d]; d != a && up != nil && (d.Kind == KindIndex || d.Kind == KindConstraint) && (up.change == drop || up.change == recreate) {
			return d, verbDrop, true
		}
	}
	return a, verbDrop, false
}

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

// partitionEdges: a table is attached when it has everything its parent asks for, and detached before anything of it changes.
func (p *planner) partitionEdges() {
	g := &p.graph
	byParent := map[Address][]*node{}
	for _, a := range p.sortedOps() {
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
