package schema

import (
	"fmt"
	"slices"
	"strings"
)

// check notes a look at the rows that the plan wants before it runs.
func (p *planner) check(c Check) {
	if p.plan == nil || p.dry {
		return
	}
	for _, have := range p.plan.Checks {
		if have.Kind == c.Kind && have.Object == c.Object && have.Table == c.Table && slices.Equal(have.Columns, c.Columns) {
			return
		}
	}
	c.Key = p.keyOf(c.Table)
	for _, o := range p.partsIn(true, c.Table, KindColumn) {
		if n := p.ops[o.Address]; n != nil && n.from == nil && o.attr("generated") == "" {
			c.Added = append(c.Added, [2]string{o.Sub, p.valueOfNew(o)})
		}
	}
	p.plan.Checks = append(p.plan.Checks, c)
}

// valueOfNew is what a new column has in the rows that exist.
func (p *planner) valueOfNew(o *Object) string {
	value := "NULL"
	if fill := p.opts.chosen("fill", o.Address); fill != "" {
		value = fill
	} else if d := p.to.Objects[Address{KindDefault, o.Schema, o.Name, o.Sub}]; d != nil && constantDefault(d) {
		value = d.attr("expression")
	} else if d != nil || o.attr("identity") != "" {
		return "" // every row gets another
	}
	return "(" + value + ")::" + o.attr("type")
}

// keyOf lists the columns by which a person finds a row of the table.
func (p *planner) keyOf(table Address) []string {
	for _, k := range p.partsIn(false, table, KindConstraint) {
		if k.attr("type") == "p" {
			return k.list("columns")
		}
	}
	return nil
}

// canAlter tries whether an object can change in place.
func (p *planner) canAlter(a Address, o *op) bool {
	p.dry = true
	defer func() { p.dry = false }()
	w := &writer{p: p}
	return w.alter(o.from, o.to, o.changed, o.retype)
}

// run turns the classified objects into ordered statements.
func (p *planner) run() error {
	p.composites()
	p.breakCircles()
	p.spread()
	p.composites()
	p.refuse()
	p.chooseAsides()
	p.chooseTombstones()
	p.chooseKeysFirst()
	if p.opts.Restore {
		p.losses()
	}
	p.build()
	order, circle := p.graph.sort()
	if len(circle) > 0 {
		return p.circleError(circle)
	}
	p.write(order)
	return nil
}

// circleError names one circle among the nodes that could not be ordered.
func (p *planner) circleError(stuck []*node) error {
	// Every stuck node waits for a stuck one: going back along these for long enough ends in a circle.
	before := map[*node]*node{}
	for _, n := range stuck {
		for m := range n.next {
			before[m] = n
		}
	}
	n := stuck[0]
	for range stuck {
		if before[n] != nil {
			n = before[n]
		}
	}
	var names []string
	for m := n; len(names) == 0 || m != n && m != nil; m = before[m] {
		names = append(names, m.key.verb.String()+" "+m.key.addr.String())
	}
	slices.Reverse(names)
	return fmt.Errorf("the changes need each other in a circle: %s", strings.Join(names, ", then "))
}

// composites: a composite type that tables store can change its fields only by being made anew, and its fields have an order.
func (p *planner) composites() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if a.Kind != KindComposite || !o.exists() {
			continue
		}
		again := !p.sameOrder(a)
		if slices.ContainsFunc(p.users[a], func(u Address) bool { return u.Kind == KindColumn && p.relationIn(p.from, u) != a }) {
			for _, c := range p.partsIn(false, a, KindColumn) {
				if f := p.ops[c.Address]; f.retype || f.changed["type"] || f.changed["collation"] || f.change == recreate {
					again = true
				}
			}
		}
		if again {
			o.change = recreate
			for _, z := range p.disturbedBy(a) {
				p.disturb(a, z)
			}
		}
	}
}

// sameOrder says whether dropping and adding fields leads to development's order of fields: new ones come last.
func (p *planner) sameOrder(composite Address) bool {
	var result []string
	for _, c := range p.partsIn(false, composite, KindColumn) {
		if p.to.Objects[c.Address] != nil {
			result = append(result, c.Sub)
		}
	}
	for _, c := range p.partsIn(true, composite, KindColumn) {
		if p.from.Objects[c.Address] == nil {
			result = append(result, c.Sub)
		}
	}
	for i, c := range p.partsIn(true, composite, KindColumn) {
		if result[i] != c.Sub {
			return false
		}
	}
	return true
}

// chooseAsides decides what exists twice for a while: types whose columns are converted from the old to the new, and indexes that
// are built beside the old one.
func (p *planner) chooseAsides() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if o.change != recreate && o.change != drop {
			continue
		}
		switch {
		case a.Kind.isType() || a.Kind == KindCollation:
			p.asides[a] = slices.ContainsFunc(p.users[a], func(u Address) bool {
				return p.ops[u] != nil && p.ops[u].retype && (o.change == recreate || p.typeSucceeds(a, p.ops[u].to))
			})
		case a.Kind == KindIndex && o.change == recreate:
			table := p.relationIn(p.from, a)
			p.asides[a] = p.opts.online() && table.Kind == KindTable && p.relationIn(p.to, a) == table && p.hasRows(table) && !o.to.is("partitioned") && !o.from.is("partitioned") &&
				!p.attachedIndex(o.from) && !slices.ContainsFunc(slices.Concat(o.from.Deps, o.to.Deps), p.disturbs)
		}
		if !p.asides[a] {
			delete(p.asides, a)
		}
	}
	// What stays for a while keeps what it is made of: the enum under a domain under a column.
	for again := true; again; {
		again = false
		for a := range p.asides {
			for _, d := range p.madeOf(a) {
				if n := p.ops[d]; a.Kind.isType() && d.Kind.isType() && !p.asides[d] && n != nil && n.change == recreate {
					p.asides[d], again = true, true
				}
			}
		}
	}
}

// madeOf are the dependencies of an object before, with those of its fields.
func (p *planner) madeOf(a Address) []Address {
	out := slices.Clip(p.from.Objects[a].Deps)
	if a.Kind == KindComposite {
		for _, f := range p.partsIn(false, a, KindColumn) {
			out = append(out, f.Deps...)
		}
	}
	return out
}

// write emits the statements of the ordered nodes.
func (p *planner) write(order []*node) {
	order, intervals := p.arrange(order)
	var pending []Statement // what waits for the end of a swap
	for i, n := range order {
		swap := inside(intervals, i)
		w := &writer{p: p, swap: swap}
		p.writeNode(w, n)
		if swap {
			for j := range w.now {
				w.now[j].Group = intervals[slices.IndexFunc(intervals, func(v [2]int) bool { return i >= v[0] && i <= v[1] })][0] + 1
				w.now[j].Transactional = true
			}
		}
		p.plan.Statements = append(p.plan.Statements, w.now...)
		pending = append(pending, w.later...)
		if !inside(intervals, i+1) || !sameInterval(intervals, i, i+1) {
			p.plan.Statements = append(p.plan.Statements, pending...)
			pending = nil
		}
	}
	p.plan.Statements = append(p.plan.Statements, pending...)
}

func inside(intervals [][2]int, i int) bool {
	return slices.ContainsFunc(intervals, func(v [2]int) bool { return i >= v[0] && i <= v[1] })
}

func sameInterval(intervals [][2]int, i, j int) bool {
	return slices.ContainsFunc(intervals, func(v [2]int) bool { return i >= v[0] && j <= v[1] })
}

func (p *planner) writeNode(w *writer, n *node) {
	a := n.key.addr
	if a.Kind == "rows" {
		w.copyRows(Address{KindTable, a.Schema, a.Name, ""})
		return
	}
	o := p.ops[a]
	switch n.key.verb {
	case verbAside:
		name := qualify(o.from.Schema, o.from.Name)
		w.add(statement(a, "let the old "+o.from.String()+" make room", "ALTER "+sqlKind(a.Kind)+" "+name+" RENAME TO "+quote(asideName(o.from))))
		if m := o.from.attr("multirange"); m != "" {
			w.add(statement(a, "let the old "+o.from.String()+" make room", "ALTER TYPE "+m+" RENAME TO "+quote(asideMultirange(o.from))))
			for _, t := range []string{asideName(o.from), asideMultirange(o.from)} {
				w.add(nameConstructors(o.from, qualify(o.from.Schema, t), o.from.Schema, t))
			}
		}
	case verbRemove:
		p.writeRemove(w, o.from)
	case verbDrop:
		switch {
		case p.tombs[a] && a.Kind == KindTable:
			w.setTableAside(o.from)
		case p.tombs[a]:
			w.setAside(o.from)
		default:
			w.drop(o.from)
		}
	case verbAlter:
		changed, retype := p.residual(a, o)
		w.alter(o.from, o.to, changed, retype)
		p.columnGrants(w, a, o)
	case verbCreate:
		w.create(o.to)
	}
}

// writeRemove removes what was renamed out of the way.
func (p *planner) writeRemove(w *writer, o *Object) {
	if p.tombs[o.Address] {
		w.setAside(o)
		return
	}
	old := o.clone()
	old.Name = asideName(o)
	if o.Kind == KindIndex {
		w.add(statement(o.Address, "drop the old "+o.String(), "DROP INDEX CONCURRENTLY "+sqlName(old)).locking(ShareUpdateExclusive, p.tableOf(o)).alone(""))
		return
	}
	w.add(statement(o.Address, "drop the old "+o.String(), "DROP "+sqlKind(o.Kind)+" "+sqlName(old)))
}

// columnGrants grants again what a REVOKE on the whole table took from its columns.
func (p *planner) columnGrants(w *writer, a Address, o *op) {
	if !o.changed["acl"] || !a.Kind.hasColumns() {
		return
	}
	for _, c := range p.partsIn(true, a, KindColumn) {
		if n := p.ops[c.Address]; n != nil && n.exists() && c.attr("acl") != "" {
			w.grants(c, nil, parseACL(c.attr("acl")), false)
		}
	}
}

// refuse names what the plan cannot carry.
func (p *planner) refuse() {
	roles := map[string]bool{}
	for _, r := range p.from.Roles {
		roles[r] = true
	}
	needed := map[string]Address{}
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if o.change == keep {
			continue
		}
		if reason := p.refusal(a, o); reason != "" {
			p.plan.Problems = append(p.plan.Problems, Problem{a, reason})
		}
		if o.to != nil {
			for _, r := range rolesOf(o.to) {
				if r != "" && !roles[r] && len(p.from.Roles) > 0 && needed[r] == (Address{}) {
					needed[r] = a
				}
			}
			for _, d := range o.to.Deps {
				known := slices.ContainsFunc(p.plan.Problems, func(x Problem) bool { return x.Object == a })
				if p.to.Objects[d] == nil && !known {
					p.plan.Problems = append(p.plan.Problems, Problem{a, fmt.Sprintf("it needs %s, which will not be there", d)})
				}
			}
		}
	}
	for _, r := range sortedKeys(needed) {
		p.plan.Problems = append(p.plan.Problems, Problem{needed[r], fmt.Sprintf("the role %s does not exist on production's server; create it there first", quote(r))})
	}
}

// rolesOf lists the roles that an object mentions.
func rolesOf(o *Object) []string {
	out := []string{o.attr("owner")}
	for _, g := range parseACL(o.attr("acl")) {
		out = append(out, g.grantee, g.grantor)
	}
	if o.Kind == KindPolicy {
		for _, r := range o.list("roles") {
			if r != "PUBLIC" {
				out = append(out, strings.ReplaceAll(strings.Trim(r, `"`), `""`, `"`))
			}
		}
	}
	switch {
	case o.Kind == KindDefaultACL:
		out = append(out, o.Name)
	case o.Kind == KindSetting, o.Kind == KindUserMapping && o.Sub != "PUBLIC":
		out = append(out, o.Sub)
	}
	return out
}

func (p *planner) refusal(a Address, o *op) string {
	if o.to != nil && o.to.attr("security_labels") != "" && (o.from == nil || o.changed["security_labels"]) {
		return "security labels are not carried; set them on production yourself"
	}
	switch a.Kind {
	case KindSubscription:
		return "subscriptions hold a connection with a password and belong to one server; they are not carried"
	case KindBaseType:
		return "base types are made of functions in C; put them into an extension"
	case KindUserMapping:
		if o.to != nil && len(o.to.list("option_names")) > 0 {
			return "user mappings hold passwords; create it on production yourself"
		}
	case KindExtension:
		switch {
		case o.change == create && len(p.from.Installable[a.Name]) == 0:
			return "the extension is not installed on production's machine"
		case o.change == recreate:
			return "the extension cannot be moved to another schema"
		case o.change == alter && o.changed["version"] && p.extensionVersion(o.to) == "":
			return fmt.Sprintf("version %s is not installed on production's machine", o.to.attr("version"))
		}
	case KindRange:
		if o.to != nil && o.to.attr("canonical") != "" {
			return "range types with a canonical function are not carried"
		}
	}
	return ""
}
