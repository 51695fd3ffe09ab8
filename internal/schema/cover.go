package schema

import (
	"maps"
	"slices"
)

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
	if a.Kind == KindTrigger && parent.changed["definition"] {
		// Replacing the parent's trigger replaces this one too, and enables it.
		delete(out, "definition")
		delete(out, "enabled")
		if o.to.attr("enabled") != parent.to.attr("enabled") {
			out["enabled"] = true
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
	if p.keysFirst[a] {
		return a, verbDrop, false
	}
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
			if up, ok := p.heir(a); ok && !p.dropsAlone(up) {
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

// dropsAlone says whether a column goes from its table only, because a table that inherited it keeps it.
func (p *planner) dropsAlone(column Address) bool {
	if o := p.ops[column]; o == nil || o.change != drop {
		return false
	}
	return slices.ContainsFunc(p.heirsOf(column), func(a Address) bool { return p.ops[a].exists() })
}

// heirsOf lists the same column in the tables that inherit it.
func (p *planner) heirsOf(column Address) []Address {
	var out []Address
	for _, u := range p.users[p.relationIn(p.from, column)] {
		if u.Kind == KindInheritance && (u.Schema != column.Schema || u.Name != column.Name) {
			if a := (Address{KindColumn, u.Schema, u.Name, column.Sub}); p.ops[a] != nil {
				out = append(out, a)
			}
		}
	}
	return out
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
