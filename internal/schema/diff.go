package schema

import (
	"maps"
	"slices"
	"strings"
)

// change is what becomes of an object.
type change int

const (
	keep     change = iota
	create          // it is new
	drop            // it goes
	alter           // it is changed in place
	recreate        // it is removed and made anew
)

// op is what a plan does about one object.
type op struct {
	change   change
	from, to *Object
	changed  map[string]bool // attributes that differ
	retype   bool            // a column whose type is made anew: its values are converted even though the type's name stays
}

// planner turns one catalogue into another. It is used once.
type planner struct {
	opts       Options
	from, to   *Catalog
	ops        map[Address]*op
	users      map[Address][]Address // in from: who needs an object
	members    map[Address][]Address // in from: what exists only with an object, for things that are not relations
	parts      map[bool]map[[2]string][]*Object
	indexes    map[bool]map[[2]string][]*Object
	graph      graph
	asides     map[Address]bool // types that exist twice for a while
	tombs      map[Address]bool // what is set aside instead of being dropped
	keysFirst  map[Address]bool // foreign keys that go before their tables do
	original   map[Address]Address
	plan       *Plan
	sorted     []Address
	dry        bool // trying only: nothing is noted in the plan
	identities map[*Catalog]map[Address]*Object
	ownedFrom  map[[2]string][]*Object // sequences by the table that owns them, in from
}

func newPlanner(from, to *Catalog, opts Options, plan *Plan) *planner {
	p := &planner{opts: opts, from: from, to: to, ops: map[Address]*op{}, users: map[Address][]Address{}, members: map[Address][]Address{}, graph: graph{nodes: map[nodeKey]*node{}},
		asides: map[Address]bool{}, tombs: map[Address]bool{}, original: map[Address]Address{}, plan: plan}
	p.parts = map[bool]map[[2]string][]*Object{false: partsOf(from, Kind.onRelation), true: partsOf(to, Kind.onRelation)}
	p.indexes = map[bool]map[[2]string][]*Object{false: indexesOf(from), true: indexesOf(to)}
	for _, a := range from.Addresses() {
		for _, d := range from.Objects[a].Deps {
			p.users[d] = append(p.users[d], a)
		}
		switch a.Kind {
		case KindDomainConstraint, KindSequenceOwner, KindIndexPartition:
			if whole, ok := from.parent(a); ok {
				p.members[whole] = append(p.members[whole], a)
			}
		case KindPublicationTable, KindPublicationSpace:
			whole := Address{Kind: KindPublication, Name: a.Sub}
			p.members[whole] = append(p.members[whole], a)
		}
	}
	return p
}

// partsOf files the parts of relations under their relation, columns in their order.
func partsOf(c *Catalog, is func(Kind) bool) map[[2]string][]*Object {
	out := map[[2]string][]*Object{}
	for a, o := range c.Objects {
		if is(a.Kind) {
			k := [2]string{a.Schema, a.Name}
			out[k] = append(out[k], o)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b *Object) int {
			if a.Position != b.Position {
				return a.Position - b.Position
			}
			return strings.Compare(a.String(), b.String())
		})
	}
	return out
}

func indexesOf(c *Catalog) map[[2]string][]*Object {
	out := map[[2]string][]*Object{}
	for _, a := range c.Addresses() {
		if a.Kind == KindIndex {
			o := c.Objects[a]
			k := [2]string{a.Schema, o.attr("table")}
			out[k] = append(out[k], o)
		}
	}
	return out
}

// partsIn lists the parts of a relation of one kind; inTo chooses the catalogue.
func (p *planner) partsIn(inTo bool, relation Address, kind Kind) []*Object {
	var out []*Object
	for _, o := range p.parts[inTo][[2]string{relation.Schema, relation.Name}] {
		if o.Kind == kind {
			out = append(out, o)
		}
	}
	return out
}

// classify compares the catalogues object by object.
func (p *planner) classify() {
	for a, f := range p.from.Objects {
		t := p.to.Objects[a]
		if t == nil {
			p.ops[a] = &op{change: drop, from: f}
			continue
		}
		p.ops[a] = &op{change: keep, from: f, to: t, changed: changedAttrs(f, t)}
	}
	for a, t := range p.to.Objects {
		if p.from.Objects[a] == nil {
			p.ops[a] = &op{change: create, to: t}
		}
	}
	for _, o := range p.ops {
		if o.change != keep {
			continue
		}
		if len(o.changed) > 0 {
			o.change = alter
		}
	}
	for _, a := range p.sortedOps() {
		if o := p.ops[a]; o.change == alter && !p.canAlter(a, o) {
			o.change = recreate
		}
	}
}

// changedAttrs lists the attributes that differ and matter.
func changedAttrs(f, t *Object) map[string]bool {
	out := map[string]bool{}
	for k := range f.Attrs {
		if !notCompared(k) && f.Attrs[k] != t.Attrs[k] {
			out[k] = true
		}
	}
	for k := range t.Attrs {
		if _, had := f.Attrs[k]; !had && !notCompared(k) {
			out[k] = true
		}
	}
	return out
}

// sortedOps lists the objects of both catalogues in a stable order. Classifying fixes which they are.
func (p *planner) sortedOps() []Address {
	if p.sorted == nil {
		p.sorted = slices.SortedFunc(maps.Keys(p.ops), Address.compare)
	}
	return p.sorted
}

// parentsOf lists the tables to which a table is attached in a catalogue, as a partition or by INHERITS.
func parentsOf(c *Catalog, parts []*Object) []Address {
	var out []Address
	for _, o := range parts {
		if o.Kind == KindPartition || o.Kind == KindInheritance {
			for _, d := range o.Deps {
				if (d.Kind == KindTable || d.Kind == KindForeignTable) && (d.Schema != o.Schema || d.Name != o.Name) {
					out = append(out, d)
				}
			}
		}
	}
	return out
}

// heir finds, for a part that a table inherited, the same part of a parent to which the table is attached before, after and meanwhile:
// a change of the parent reaches it.
func (p *planner) heir(a Address) (Address, bool) {
	for _, link := range p.parts[true][[2]string{a.Schema, a.Name}] {
		if link.Kind != KindPartition && link.Kind != KindInheritance {
			continue
		}
		before := p.from.Objects[link.Address]
		if before == nil || !p.ops[link.Address].exists() {
			continue
		}
		for _, parent := range parentsOf(p.to, []*Object{link}) {
			if !slices.Contains(parentsOf(p.from, []*Object{before}), parent) || !p.ops[Address{KindTable, parent.Schema, parent.Name, ""}].exists() {
				continue
			}
			up := a
			up.Schema, up.Name = parent.Schema, parent.Name
			if p.from.Objects[up] != nil || p.to.Objects[up] != nil {
				return up, true
			}
		}
	}
	return Address{}, false
}

// exists says whether the object is there before and after, the same one.
func (o *op) exists() bool {
	return o != nil && o.from != nil && o.to != nil && o.change != recreate
}

// spread follows dependencies: what needs an object that is removed, made anew or given another type must be removed before and
// made anew behind it.
func (p *planner) spread() {
	p.looseMergedColumns()
	var queue []Address
	for _, a := range p.sortedOps() {
		if p.disturbs(a) {
			queue = append(queue, a)
		}
	}
	for len(queue) > 0 {
		a := queue[0]
		queue = queue[1:]
		for _, z := range p.disturbedBy(a) {
			if p.disturb(a, z) {
				queue = append(queue, z)
			}
		}
	}
}

// looseMergedColumns: a column that two parents pass down can change its type only while the table is attached to neither.
func (p *planner) looseMergedColumns() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if a.Kind != KindColumn || o.change != alter || !p.retyped(a, o) || !o.from.is("inherited") {
			continue
		}
		var links []*op
		for _, link := range p.partsIn(false, a, KindInheritance) {
			for _, parent := range parentsOf(p.from, []*Object{link}) {
				if p.from.Objects[Address{KindColumn, parent.Schema, parent.Name, a.Sub}] != nil {
					links = append(links, p.ops[link.Address])
				}
			}
		}
		for _, l := range links {
			if len(links) > 1 && l.exists() {
				l.change = recreate
			}
		}
	}
}

// disturbs says whether what happens to the object can force something upon those that need it.
func (p *planner) disturbs(a Address) bool {
	o := p.ops[a]
	return o.change == drop || o.change == recreate || o.change == alter && p.retyped(a, o)
}

// retyped says whether a column's values get another type.
func (p *planner) retyped(a Address, o *op) bool {
	return a.Kind == KindColumn && (o.retype || o.changed["type"] || o.changed["collation"])
}

// disturbedBy lists who needs the object, and the parts that go with it.
func (p *planner) disturbedBy(a Address) []Address {
	out := slices.Clone(p.users[a])
	o := p.ops[a]
	switch {
	case a.Kind.hasColumns() && (o.change == recreate || o.change == drop):
		for _, part := range p.parts[false][[2]string{a.Schema, a.Name}] {
			out = append(out, part.Address)
		}
		for _, x := range p.indexes[false][[2]string{a.Schema, a.Name}] {
			out = append(out, x.Address)
		}
		out = append(out, p.identitySequences(a)...)
	case a.Kind == KindColumn:
		out = append(out, Address{KindDefault, a.Schema, a.Name, a.Sub})
	case a.Kind == KindDomain || a.Kind == KindSequence && o.change == recreate || a.Kind == KindIndex || a.Kind == KindPublication:
		out = append(out, p.members[a]...)
	}
	return out
}

func (p *planner) identitySequences(relation Address) []Address {
	var out []Address
	for _, c := range p.partsIn(false, relation, KindColumn) {
		if c.attr("identity") == "" {
			continue
		}
		for _, u := range p.users[c.Address] {
			if u.Kind == KindSequence && p.from.Objects[u].attr("identity") != "" {
				out = append(out, u)
			}
		}
	}
	return out
}

// disturb decides what the change of a forces upon z. True: z is now disturbed itself.
func (p *planner) disturb(a, z Address) bool {
	o, victim := p.ops[a], p.ops[z]
	if victim == nil || victim.from == nil || victim.change == drop || victim.change == recreate {
		return false
	}
	if o.change == alter {
		return p.disturbByType(a, o, z, victim)
	}
	switch {
	case z.Kind == KindColumn && z.Schema == a.Schema && z.Name == a.Name && a.Kind.hasColumns():
		victim.change = recreate // goes and comes with its relation
		return true
	case z.Kind == KindColumn && victim.from.attr("generated") == "" && (a.Kind.isType() || a.Kind.hasColumns() || a.Kind == KindCollation):
		if victim.retype {
			return false
		}
		// Another kind of type can come under the same name: an enum that becomes a domain.
		if slices.Contains(victim.to.Deps, a) || o.change == drop && victim.from.attr("type") == victim.to.attr("type") && p.typeSucceeds(a, victim.to) {
			victim.retype, victim.change = true, alter
			return true // a table whose partition key it is hears of it as a user of the column
		}
		return false
	case (a.Kind == KindExtension || a.Kind == KindSchema) && o.change == drop:
		return false // nothing that remains can need it; if something does, the plan is refused later
	case z.Kind.isRelation() && z.Kind != KindIndex && a.Kind == KindColumn && a.Schema == z.Schema && a.Name == z.Name:
		return p.recreateOf(z) // a partition key
	case z.Kind == KindTable && a.Kind == KindComposite:
		victim.change, victim.changed["of_type"] = alter, true
		return false
	case z.Kind == KindDomain && z.Kind != a.Kind && victim.change == alter && !slices.Contains(victim.to.Deps, a):
		return false
	case victim.change == alter && !slices.Contains(victim.to.Deps, a) && replacesDependencies(z.Kind):
		return false
	}
	victim.change = recreate
	return true
}

// replacesDependencies are the kinds whose change in place lets go of what they needed before.
func replacesDependencies(k Kind) bool {
	switch k {
	case KindDefault, KindView, KindFunction, KindProcedure, KindTrigger, KindRule, KindPolicy, KindColumn, KindSequenceOwner, KindExtension, KindEventTrigger, KindTSConfig:
		return true
	}
	return false
}

// disturbByType: a column gets another type. The server rebuilds indexes and constraints by itself, but refuses views and the like.
func (p *planner) disturbByType(a Address, o *op, z Address, victim *op) bool {
	if victim.change == alter && !slices.Contains(victim.to.Deps, a) && (z.Kind == KindDefault || z.Kind == KindPolicy) {
		return false
	}
	other := o.retype || o.from.attr("type_name") != o.to.attr("type_name")
	switch z.Kind {
	case KindView, KindMatView, KindRule, KindPolicy, KindTrigger, KindFunction, KindProcedure, KindPublicationTable:
		victim.change = recreate
		return true
	case KindColumn:
		if victim.from.attr("generated") != "" {
			victim.change = recreate
			return true
		}
	case KindDefault:
		if other {
			victim.change = recreate
			return true
		}
	case KindConstraint:
		if other && victim.from.attr("type") == "f" {
			victim.change = recreate
			return true
		}
	case KindTable:
		return p.recreateOf(z)
	}
	return false
}

// recreateOf marks a relation for being made anew.
func (p *planner) recreateOf(a Address) bool {
	o := p.ops[a]
	if o == nil || !o.exists() {
		return false
	}
	o.change = recreate
	return true
}

// typeSucceeds says whether a type of another kind takes the place and the name of one that goes, under a column.
func (p *planner) typeSucceeds(gone Address, column *Object) bool {
	return slices.ContainsFunc(column.Deps, func(d Address) bool {
		return (d.Kind.isType() || d.Kind.hasColumns()) && d.Kind != gone.Kind && d.Schema == gone.Schema && d.Name == gone.Name
	})
}

func (p *planner) relationOf(part Address) Address {
	if r := p.from.relation(part.Schema, part.Name); r != nil {
		return r.Address
	}
	if r := p.to.relation(part.Schema, part.Name); r != nil {
		return r.Address
	}
	return Address{KindTable, part.Schema, part.Name, ""}
}
