package schema

import (
	"fmt"
	"maps"
	"slices"
)

// Switch plans the fourth phase: in is the publish with production as it is now. Old columns, and the indexes that old code uses, stay.
func (e *Expansion) Switch(in Input) (*Plan, error) {
	production := withoutHelpers(in.Production)
	moved := map[Address]Address{}
	for _, x := range e.Columns {
		if !x.renamed() {
			moved[Address{KindColumn, x.Table.Schema, x.Table.Name, x.Old}] = Address{KindColumn, x.Table.Schema, x.Table.Name, x.Kept}
			moved[Address{KindColumn, x.Table.Schema, x.Table.Name, x.Fresh}] = Address{KindColumn, x.Table.Schema, x.Table.Name, x.New}
		}
		for _, name := range x.Indexes {
			at := func(n string) Address { return Address{Kind: KindIndex, Schema: x.Table.Schema, Name: n} }
			if production.Objects[at(freshIndex(name))] == nil {
				return nil, fmt.Errorf("switch %s: the index %s over the new column is not built", x.Target, name)
			}
			if production.Objects[at(name)] != nil {
				moved[at(name)] = at(keptIndex(name))
			}
			moved[at(freshIndex(name))] = at(name)
		}
	}
	r := &renamer{catalog: production, mapping: newMapping(production, moved, nil), now: map[Address]Address{}, temporary: 2000}
	r.write()
	prelude := r.statements
	production = r.mapping.apply()
	for _, x := range e.Columns {
		prelude = append(prelude, e.loosen(production, x)...)
		prelude = append(prelude, x.syncFunction(false))
	}
	in.Production = production
	in.Development = e.kept(in.Development, production)
	in.Baseline = e.asIfPublished(in, moved)
	in.Options.Answers = e.answers(in.Options.Answers)
	plan, err := Compute(in)
	if err != nil {
		return nil, fmt.Errorf("plan the switch: %w", err)
	}
	for i := range prelude {
		prelude[i].Group = 0 // one transaction, before the first of the plan
	}
	plan.Statements = slices.Concat(prelude, plan.Statements)
	plan.Preludes += len(prelude)
	return plan, nil
}

// loosen lets go of what an old column that only mirrors another must not insist on. It changes production as it is planned for.
func (e *Expansion) loosen(production *Catalog, x ExpandedColumn) []Statement {
	if x.renamed() {
		return nil
	}
	var out []Statement
	a := Address{KindColumn, x.Table.Schema, x.Table.Name, x.Kept}
	head := "ALTER TABLE " + a.tableName() + " ALTER COLUMN " + quote(x.Kept)
	if o := production.Objects[a]; o.is("not_null") {
		out = append(out, statement(a, "let the old column be without a value", head+" DROP NOT NULL").locking(AccessExclusive, x.Table))
		o = o.clone()
		delete(o.Attrs, "not_null")
		delete(o.Attrs, "not_null_name")
		production.Objects[a] = o
	}
	d := Address{KindDefault, a.Schema, a.Name, a.Sub}
	if production.Objects[d] != nil {
		out = append(out, statement(d, "drop the old column's default", head+" DROP DEFAULT").locking(AccessExclusive, x.Table))
		delete(production.Objects, d)
	}
	return out
}

// kept is development with the old columns of production, their defaults and their indexes beside the new ones.
func (e *Expansion) kept(development, production *Catalog) *Catalog {
	out := *development
	out.byIndex = nil
	out.Objects = maps.Clone(development.Objects)
	for _, x := range e.Columns {
		m := newMapping(production, map[Address]Address{x.Table: x.Target}, nil)
		if x.Table == x.Target {
			m.to = map[Address]Address{}
		}
		keep := func(a Address) {
			if o := production.Objects[a]; o != nil {
				n := m.object(o)
				n.ID = Identity{Class: "kept", OID: n.ID.OID, Sub: n.ID.Sub}
				out.Objects[n.Address] = n
			}
		}
		old := Address{KindColumn, x.Table.Schema, x.Table.Name, x.Kept}
		keep(old)
		keep(Address{KindDefault, old.Schema, old.Name, old.Sub})
		for _, i := range production.Addresses() {
			if o := production.Objects[i]; i.Kind == KindIndex && slices.Contains(o.Deps, old) && out.Objects[i] == nil {
				keep(i)
			}
		}
		if x.renamed() { // its default would pass for a value that new code wrote
			delete(out.Objects, Address{KindDefault, x.Target.Schema, x.Target.Name, x.New})
			x.partNotNullNames(&out)
		}
	}
	return &out
}

// partNotNullNames: from version 18 on NOT NULL has a name, and a renamed column keeps the one that it had. While there are two columns
// the old one's makes room, and the new one's gets its own name only with the contraction.
func (x ExpandedColumn) partNotNullNames(c *Catalog) {
	if c.Version < 180000 {
		return
	}
	column := func(name string) Address { return Address{KindColumn, x.Target.Schema, x.Target.Name, name} }
	if o := c.Objects[column(x.Kept)]; o.is("not_null") {
		o.Attrs["not_null_name"] = shorten(HiddenPrefix + "_old_" + x.Kept + "_not_null") // already a copy
	}
	if o := c.Objects[column(x.New)]; o != nil {
		o = o.clone()
		delete(o.Attrs, "not_null_name")
		c.Objects[o.Address] = o
	}
}

// asIfPublished is the baseline as if the expansion had been part of it: what stands under the new names is what production has there
// by now, and is known to be development's by its identity.
func (e *Expansion) asIfPublished(in Input, moved map[Address]Address) *Catalog {
	if in.Baseline == nil {
		return nil
	}
	out := *newMapping(in.Baseline, within(moved, in.Baseline), nil).apply()
	out.byIndex = nil
	out.Objects = maps.Clone(out.Objects)
	take := func(at, target Address) {
		p, d := in.Production.Objects[at], in.Development.Objects[target]
		if p != nil && d != nil {
			p = p.clone()
			p.ID = d.ID
			out.Objects[at] = p
		}
	}
	forget := func(a Address) {
		if o := out.Objects[a]; o != nil {
			o = o.clone()
			o.ID = Identity{Class: "kept"}
			if p := in.Production.Objects[a]; p != nil {
				o.Attrs = p.Attrs
			}
			out.Objects[a] = o
		}
	}
	for _, x := range e.Columns {
		column := func(t Address, name string) Address { return Address{KindColumn, t.Schema, t.Name, name} }
		forget(column(x.Table, x.Kept))
		take(column(x.Table, x.New), column(x.Target, x.New))
		if !x.renamed() {
			delete(out.Objects, Address{KindDefault, x.Table.Schema, x.Table.Name, x.Kept})
		}
		for _, name := range x.Indexes {
			at := Address{Kind: KindIndex, Schema: x.Table.Schema, Name: name}
			forget(Address{Kind: KindIndex, Schema: x.Table.Schema, Name: keptIndex(name)})
			take(at, Address{Kind: KindIndex, Schema: x.Target.Schema, Name: name})
		}
	}
	return &out
}

// Contract plans the last phase: in is the publish with production as it is now. The old columns go outright, for their values live on.
func (e *Expansion) Contract(in Input) (*Plan, error) {
	production := withoutHelpers(in.Production)
	baseline := *production // what production has beyond development is the expansion's, or drift that the switch already showed
	if in.Development != nil {
		baseline = *e.kept(in.Development, e.underOldNames(production))
	}
	baseline.Epoch = ""
	in.Baseline, in.Production = &baseline, production
	in.Options.Answers = e.answers(in.Options.Answers)
	in.Options.outright = map[Address]bool{}
	for _, x := range e.Columns {
		in.Options.outright[Address{KindColumn, x.Target.Schema, x.Target.Name, x.Kept}] = true
	}
	plan, err := Compute(in)
	if err != nil {
		return nil, fmt.Errorf("plan the contraction: %w", err)
	}
	plan.Questions = slices.DeleteFunc(plan.Questions, func(q Question) bool {
		return slices.ContainsFunc(e.Columns, func(x ExpandedColumn) bool { return q.ID == x.Target.Label()+"."+x.Kept })
	})
	stop := e.Stop()
	plan.Statements = slices.Concat(stop, plan.Statements)
	if plan.Preludes > 0 {
		plan.Preludes += len(stop)
	}
	return plan, nil
}

// underOldNames is production after the switch with the expansion's tables under the names that the expansion knows.
func (e *Expansion) underOldNames(production *Catalog) *Catalog {
	moved := map[Address]Address{}
	for _, x := range e.Columns {
		if x.Table != x.Target && production.Objects[x.Target] != nil {
			moved[x.Target] = x.Table
		}
	}
	return newMapping(production, moved, nil).apply()
}

// withoutHelpers leaves the triggers that keep columns alike out of a catalogue: Read shows none, but one that was read before may.
func withoutHelpers(c *Catalog) *Catalog {
	out := *c
	out.byIndex = nil
	out.Objects = maps.Clone(c.Objects)
	maps.DeleteFunc(out.Objects, func(a Address, _ *Object) bool { return a.Kind == KindTrigger && helperObject(a.Sub) })
	return &out
}
