package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Rename is something that keeps its content under another name.
type Rename struct {
	From Address `json:"from"`
	To   Address `json:"to"`
	Why  string  `json:"why"` // identity, structure or answer
	// Label is set for a value of an enum: From and To are then the enum's addresses before and after.
	Label    string `json:"label,omitempty"`
	NewLabel string `json:"new_label,omitempty"`
}

// canRename are the kinds that keep an identity of their own under another name. The others follow their whole.
func canRename(k Kind) bool {
	switch k {
	case KindSchema, KindEnum, KindDomain, KindDomainConstraint, KindComposite, KindRange, KindCollation, KindConversion, KindFunction, KindProcedure, KindAggregate,
		KindOperatorFamily, KindOperatorClass, KindSequence, KindTable, KindForeignTable, KindColumn, KindConstraint, KindIndex, KindStatistics, KindView, KindMatView,
		KindRule, KindTrigger, KindPolicy, KindEventTrigger, KindTSParser, KindTSTemplate, KindTSDictionary, KindTSConfig, KindFDW, KindServer, KindPublication, KindLanguage:
		return true
	}
	return false
}

// identityKey is an object's place in its server's catalogue together with its kind: an oid that was used again for something of
// another kind proves nothing.
type identityKey struct {
	Identity
	kind Kind
}

// identityRenames compares two moments of one database: what kept its identity and has another address was renamed or moved.
func identityRenames(before, now *Catalog) (moved map[Address]Address, labels map[Address]map[string]string, reborn []Address) {
	moved, labels = map[Address]Address{}, map[Address]map[string]string{}
	where := map[identityKey]*Object{}
	for _, o := range now.Objects {
		where[identityKey{o.ID, o.Kind}] = o
	}
	for a, o := range before.Objects {
		if !canRename(a.Kind) {
			continue
		}
		n := where[identityKey{o.ID, o.Kind}]
		if n == nil {
			if now.Objects[a] != nil && (a.Kind == KindColumn || a.Kind == KindTable) {
				reborn = append(reborn, a)
			}
			continue
		}
		if n.Address != a {
			moved[a] = n.Address
		}
		if a.Kind == KindEnum {
			if l := labelRenames(o, n); len(l) > 0 {
				labels[a] = l
			}
		}
	}
	slices.SortFunc(reborn, func(a, b Address) int { return strings.Compare(a.String(), b.String()) })
	return moved, labels, reborn
}

func labelRenames(before, now *Object) map[string]string {
	out := map[string]string{}
	names := now.list("labels")
	old := before.list("labels")
	for i, id := range before.LabelIDs {
		if j := slices.Index(now.LabelIDs, id); j >= 0 && j < len(names) && i < len(old) && names[j] != old[i] {
			out[old[i]] = names[j]
		}
	}
	return out
}

// structuralRenames pairs what differs in nothing but its name: indexes and constraints of one table with the same definition, and
// the sequence that numbers one column. Their content is the same by construction.
func structuralRenames(from, to *Catalog) map[Address]Address {
	out := map[Address]Address{}
	unmatched := func(c, other *Catalog) map[string][]Address {
		groups := map[string][]Address{}
		for a, o := range c.Objects {
			if other.Objects[a] == nil {
				if key := structure(c, o); key != "" {
					groups[key] = append(groups[key], a)
				}
			}
		}
		return groups
	}
	gone, come := unmatched(from, to), unmatched(to, from)
	for key, olds := range gone {
		news := come[key]
		byName := func(a, b Address) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(olds, byName)
		slices.SortFunc(news, byName)
		for i, old := range olds {
			if i < len(news) {
				out[old] = news[i]
			}
		}
	}
	return out
}

// structure is equal for things that differ in nothing but their name; "" for what has no such notion.
func structure(c *Catalog, o *Object) string {
	switch {
	case o.Kind == KindIndex:
		if o.is("invalid") && !o.is("partitioned") {
			return ""
		}
		return fmt.Sprintf("index %q %q %q %q", o.Schema, o.attr("table"), o.attr("unique"), o.attr("definition"))
	case o.Kind == KindConstraint && !(o.is("inherited") && (o.attr("type") == "c" || o.attr("type") == "f")):
		return fmt.Sprintf("constraint %q %q %q %q", o.Schema, o.Name, o.attr("type"), o.attr("definition"))
	case o.Kind == KindSequence:
		for _, d := range sequenceColumn(c, o) {
			return "sequence of " + d.String() + o.attr("identity")
		}
	}
	return ""
}

// sequenceColumn is the column that a sequence numbers or belongs to.
func sequenceColumn(c *Catalog, s *Object) []Address {
	holder := c.Objects[Address{KindSequenceOwner, s.Schema, s.Name, ""}]
	if s.attr("identity") != "" {
		holder = s
	}
	if holder != nil {
		for _, d := range holder.Deps {
			if d.Kind == KindColumn {
				return []Address{d}
			}
		}
	}
	return nil
}

// renamer writes the statements that give production's objects their new names.
type renamer struct {
	catalog    *Catalog // production before
	mapping    *mapping
	now        map[Address]Address // where an object is at this point of the statements, where it differs
	statements []Statement
	temporary  int
	movers     []step // everything that gets another name, of every level
	moving     map[Address][]*Object
	holders    map[string][]*Object // by the name that they will have
	aside      map[Address]string   // temporary names of what a later level renames, but an earlier one wants the name of
}

// step is one rename that remains to be done.
type step struct {
	object *Object
	target Address
}

// levels are the kinds in the order in which they are renamed: the whole before its parts.
func levels() [][]Kind {
	return [][]Kind{
		{KindSchema},
		{KindTable, KindForeignTable, KindView, KindMatView, KindEnum, KindDomain, KindComposite, KindRange, KindCollation, KindConversion, KindStatistics,
			KindOperatorFamily, KindOperatorClass, KindTSParser, KindTSTemplate, KindTSDictionary, KindTSConfig},
		{KindSequence}, // one that a table owns moves with it
		{KindFunction, KindProcedure, KindAggregate},
		{KindColumn},
		{KindConstraint, KindIndex},
		{KindDomainConstraint, KindRule, KindTrigger, KindPolicy, KindEventTrigger, KindFDW, KindServer, KindPublication, KindLanguage},
	}
}

// write lists the renames level by level. It is called once the mapping is complete.
func (r *renamer) write() {
	r.aside = map[Address]string{}
	byLevel := make([][]step, len(levels()))
	for _, a := range r.catalog.Addresses() {
		if !canRename(a.Kind) || !r.ownName(a) {
			continue
		}
		s := step{r.catalog.Objects[a], r.mapping.address(a)}
		r.movers = append(r.movers, s)
		for i, kinds := range levels() {
			if slices.Contains(kinds, a.Kind) {
				byLevel[i] = append(byLevel[i], s)
			}
		}
	}
	for _, todo := range byLevel {
		r.level(todo)
	}
	r.labels()
}

// makeRoom frees the names that a step takes: its own, and in another schema those of the table's indexes, keys and sequences, which
// move along. What a later level renames anyway gets a temporary name early: a sequence that becomes a table's name, the key of a
// table that makes room.
func (r *renamer) makeRoom(s step, todo []step) {
	r.freeName(nameScope(s.target, s.object), s, todo)
	if s.target.Schema == r.current(s.object).Schema || s.object.Kind != KindTable {
		return
	}
	for _, m := range r.belongings(s.object) {
		scope := nameScope(Address{Kind: KindIndex, Schema: s.target.Schema, Name: ownName(r.current(m))}, m)
		if !r.freeName(scope, s, todo) && r.occupied(scope, s.object) {
			r.stepAside(step{m, r.mapping.address(m.Address)}, s)
		}
	}
}

// freeName moves a later level's object out of a name; false when there is none that moves.
func (r *renamer) freeName(want string, s step, todo []step) bool {
	freed := false
	for _, m := range r.movers {
		at := r.current(m.object)
		if _, done := r.now[m.object.Address]; done || nameScope(at, m.object) != want || at == m.target || m.object == s.object ||
			slices.ContainsFunc(todo, func(t step) bool { return t.object == m.object }) {
			continue
		}
		r.stepAside(m, s)
		freed = true
	}
	return freed
}

func (r *renamer) stepAside(m, s step) {
	at := r.current(m.object)
	if m.target == at {
		return
	}
	r.temporary++
	name := fmt.Sprintf("%s_tmp_%d", HiddenPrefix, r.temporary)
	subject := m.object.clone()
	subject.Address = at
	r.statements = append(r.statements, statement(m.target, "make room for "+s.target.String(), renameSQL(subject, at, name)))
	r.aside[m.object.Address] = name
}

// belongings are the objects that move to another schema with their table and have names of their own there.
func (r *renamer) belongings(table *Object) []*Object {
	if r.moving == nil {
		r.moving = map[Address][]*Object{}
		for _, a := range r.catalog.Addresses() {
			o := r.catalog.Objects[a]
			switch {
			case a.Kind == KindIndex:
				t := Address{KindTable, a.Schema, o.attr("table"), ""}
				r.moving[t] = append(r.moving[t], o)
			case a.Kind == KindConstraint && o.attr("index") != "":
				t := Address{KindTable, a.Schema, a.Name, ""}
				r.moving[t] = append(r.moving[t], o)
			case a.Kind == KindSequence:
				if t := r.mapping.ownedTable(a); t != nil {
					r.moving[*t] = append(r.moving[*t], o)
				}
			}
		}
	}
	return r.moving[table.Address]
}

// occupied says whether something other than the table's own belongings has the name now.
func (r *renamer) occupied(scope string, table *Object) bool {
	if r.holders == nil {
		r.holders = map[string][]*Object{}
		for a, o := range r.catalog.Objects {
			if a.Kind.isRelation() || a.Kind.isType() || a.Kind == KindConstraint && o.attr("index") != "" {
				k := nameScope(r.mapping.address(a), o)
				r.holders[k] = append(r.holders[k], o)
			}
		}
	}
	return slices.ContainsFunc(r.holders[scope], func(o *Object) bool {
		return nameScope(r.current(o), o) == scope && !slices.Contains(r.belongings(table), o)
	})
}

// ownName says whether the object needs a statement of its own: not when only the whole that it is part of moves.
func (r *renamer) ownName(a Address) bool {
	to := r.mapping.address(a)
	if to == a {
		return false
	}
	o := r.catalog.Objects[a]
	switch {
	case a.Kind == KindColumn:
		return a.Sub != to.Sub && !r.inheritedRename(o, to)
	case a.Kind == KindConstraint:
		return a.Sub != to.Sub && !(o.is("inherited") && (o.attr("type") == "c" || o.attr("type") == "f"))
	case a.Kind == KindTrigger:
		return a.Sub != to.Sub && !o.is("inherited")
	case a.Kind.onRelation() || a.Kind == KindDomainConstraint:
		return a.Sub != to.Sub
	case a.Kind == KindIndex:
		return a.Name != to.Name
	}
	follow := r.follow(a)
	return follow.Schema != to.Schema || follow.Name != to.Name
}

// inheritedRename: renaming a parent's column renames it in the tables below.
func (r *renamer) inheritedRename(o *Object, to Address) bool {
	if !o.is("inherited") {
		return false
	}
	for _, parent := range r.mapping.parents()[[2]string{o.Schema, o.Name}] {
		up := Address{KindColumn, parent.Schema, parent.Name, o.Sub}
		if r.catalog.Objects[up] != nil && r.mapping.address(up).Sub == to.Sub {
			return true
		}
	}
	return false
}

// follow is where an object is because what contains it was renamed.
func (r *renamer) follow(a Address) Address {
	b := a
	if a.Kind == KindSequence {
		if t := r.mapping.ownedTable(a); t != nil {
			b.Schema = r.mapping.address(*t).Schema
			return b
		}
	}
	if a.Schema != "" {
		b.Schema = r.mapping.address(Address{Kind: KindSchema, Name: a.Schema}).Name
	}
	return b
}

// level does the renames of one level: each as soon as its new name is free. What is in the way and goes is moved out of the way;
// a circle is opened with a temporary name.
func (r *renamer) level(todo []step) {
	for len(todo) > 0 {
		progress := false
		var rest []step
		for _, s := range todo {
			if blocker := r.blocker(s, todo); blocker != nil {
				rest = append(rest, s)
				continue
			}
			r.makeRoom(s, todo)
			r.rename(s.object, s.target)
			progress = true
		}
		if !progress {
			r.temporary++
			temp := rest[0].target
			setOwnName(&temp, fmt.Sprintf("%s_tmp_%d", HiddenPrefix, r.temporary))
			if temp.Kind.onRelation() {
				temp.Schema, temp.Name = r.current(rest[0].object).Schema, r.current(rest[0].object).Name
			}
			r.rename(rest[0].object, temp)
		}
		todo = rest
	}
}

// blocker is another object of the same level that still has the name which a step wants.
func (r *renamer) blocker(s step, todo []step) *Object {
	want := nameScope(s.target, s.object)
	for _, other := range todo {
		if other.object != s.object && r.current(other.object) != other.target && nameScope(r.current(other.object), other.object) == want {
			return other.object
		}
	}
	return nil
}

// nameScope is equal for two addresses that cannot both be taken.
func nameScope(a Address, o *Object) string {
	switch {
	case a.Kind.isRelation() || a.Kind.isType():
		return "relation " + a.Schema + "\x00" + a.Name
	case a.Kind == KindConstraint && o.attr("index") != "":
		return "relation " + a.Schema + "\x00" + a.Sub
	case a.Kind.isRoutine():
		return "routine " + a.Schema + "\x00" + a.Name + "\x00" + a.Sub
	}
	return a.String()
}

// setOwnName replaces the part of an address that is the object's own name.
func setOwnName(a *Address, name string) {
	if a.Kind.onRelation() || a.Kind == KindDomainConstraint {
		a.Sub = name
		return
	}
	a.Name = name
}

func ownName(a Address) string {
	if a.Kind.onRelation() || a.Kind == KindDomainConstraint {
		return a.Sub
	}
	return a.Name
}

// current is where the object is after the statements so far.
func (r *renamer) current(o *Object) Address {
	if a, ok := r.now[o.Address]; ok {
		return a
	}
	a := r.followed(o)
	if name, ok := r.aside[o.Address]; ok {
		setOwnName(&a, name)
	}
	return a
}

// followed is where the object is because its whole was renamed, as far as that has happened.
func (r *renamer) followed(o *Object) Address {
	whole := func(t *Object) Address { return r.current(t) }
	switch a := o.Address; {
	case a.Kind == KindDomainConstraint:
		if d := r.catalog.Objects[Address{Kind: KindDomain, Schema: a.Schema, Name: a.Name}]; d != nil {
			a.Schema, a.Name = whole(d).Schema, whole(d).Name
		}
		return a
	case a.Kind.onRelation():
		if t := r.catalog.relation(a.Schema, a.Name); t != nil {
			a.Schema, a.Name = whole(t).Schema, whole(t).Name
		}
		return a
	case a.Kind == KindIndex:
		if t := r.catalog.relation(a.Schema, o.attr("table")); t != nil {
			a.Schema = whole(t).Schema
		}
		return a
	case a.Kind == KindSequence:
		if t := r.mapping.ownedTable(a); t != nil {
			a.Schema = whole(r.catalog.Objects[*t]).Schema
			return a
		}
	}
	return r.follow(o.Address)
}

func (r *renamer) rename(o *Object, target Address) {
	at := r.current(o)
	subject := o.clone()
	if arguments, ok := o.Attrs["identity_arguments"]; ok { // types have their new names by now
		subject.Attrs["identity_arguments"] = r.mapping.text(o, arguments, false)
	}
	say := func(sql string) {
		st := statement(target, "rename "+o.String()+" to "+target.Label(), sql)
		if tables := r.lockedBy(o); len(tables) > 0 {
			st = st.locking(AccessExclusive, tables...)
		}
		if breaksCode(o.Kind) {
			st = st.hazard(Breaking, "statements that use the old name fail")
		}
		r.statements = append(r.statements, st)
	}
	if at.Schema != target.Schema && at.Schema != "" && !at.Kind.onRelation() && at.Kind != KindIndex && at.Kind != KindDomainConstraint {
		subject.Address = at
		// In the other schema its old name may be taken: it goes there under a temporary one.
		if at.Name != target.Name {
			r.temporary++
			temp := fmt.Sprintf("%s_tmp_%d", HiddenPrefix, r.temporary)
			say("ALTER " + sqlKind(o.Kind) + " " + sqlName(subject) + " RENAME TO " + quote(temp))
			subject.Name, at.Name = temp, temp
		}
		say("ALTER " + sqlKind(o.Kind) + " " + sqlName(subject) + " SET SCHEMA " + quote(target.Schema))
		at.Schema = target.Schema
	}
	if ownName(at) != ownName(target) {
		subject.Address = at
		sql := renameSQL(subject, at, ownName(target))
		if t := r.catalog.relation(o.Schema, o.Name); at.Kind == KindColumn && t != nil && t.Kind == KindComposite {
			sql = "ALTER TYPE " + at.tableName() + " RENAME ATTRIBUTE " + quote(at.Sub) + " TO " + quote(target.Sub) + " CASCADE"
		}
		say(sql)
	}
	if o.Kind == KindRange && strings.HasPrefix(o.Schema, HiddenPrefix) {
		r.statements = append(r.statements, nameConstructors(o, qualify(target.Schema, target.Name), target.Schema, target.Name))
	}
	r.now[o.Address] = target
}

func breaksCode(k Kind) bool {
	switch k {
	case KindConstraint, KindIndex, KindTrigger, KindPolicy, KindRule, KindStatistics, KindDomainConstraint, KindEventTrigger:
		return false
	}
	return true
}

func (r *renamer) lockedBy(o *Object) []Address {
	switch {
	case o.Kind == KindTable || o.Kind == KindView || o.Kind == KindMatView || o.Kind == KindForeignTable:
		return []Address{r.mapping.address(o.Address)}
	case o.Kind.onRelation():
		if t := r.catalog.relation(o.Schema, o.Name); t != nil {
			return []Address{r.mapping.address(t.Address)}
		}
	}
	return nil
}

func renameSQL(o *Object, at Address, name string) string {
	switch at.Kind {
	case KindColumn:
		return "ALTER TABLE " + at.tableName() + " RENAME COLUMN " + quote(at.Sub) + " TO " + quote(name)
	case KindConstraint:
		return "ALTER TABLE " + at.tableName() + " RENAME CONSTRAINT " + quote(at.Sub) + " TO " + quote(name)
	case KindDomainConstraint:
		return "ALTER DOMAIN " + at.tableName() + " RENAME CONSTRAINT " + quote(at.Sub) + " TO " + quote(name)
	}
	return "ALTER " + sqlKind(at.Kind) + " " + sqlName(o) + " RENAME TO " + quote(name)
}

// labels renames values of enums; two that change places go over a temporary one.
func (r *renamer) labels() {
	for _, a := range r.catalog.Addresses() {
		changes := r.mapping.labels[a]
		if len(changes) == 0 {
			continue
		}
		name := qualify(r.mapping.address(a).Schema, r.mapping.address(a).Name)
		current := r.catalog.Objects[a].list("labels")
		for len(changes) > 0 {
			old, done := "", false
			for _, old = range sortedKeys(changes) {
				if !slices.Contains(current, changes[old]) {
					r.label(a, name, old, changes[old])
					current[slices.Index(current, old)] = changes[old]
					changes = without(changes, old)
					done = true
					break
				}
			}
			if !done {
				temp := HiddenPrefix + "_tmp"
				r.label(a, name, old, temp)
				current[slices.Index(current, old)] = temp
				changes = union(without(changes, old), map[string]string{temp: changes[old]})
			}
		}
	}
}

func (r *renamer) label(a Address, name, old, new string) {
	r.statements = append(r.statements, statement(r.mapping.address(a), "rename the value "+literal(old)+" of "+a.String()+" to "+literal(new),
		"ALTER TYPE "+name+" RENAME VALUE "+literal(old)+" TO "+literal(new)).hazard(Breaking, "statements that use the old value fail"))
}

func without(m map[string]string, key string) map[string]string {
	out := union(m, nil)
	delete(out, key)
	return out
}
