package schema

import (
	"fmt"
	"slices"
	"strings"
)

// DriftKind says how production differs from what was published last.
type DriftKind string

// The kinds of drift.
const (
	AddedInProduction   DriftKind = "added in production"   // it is kept
	ChangedInProduction DriftKind = "changed in production" // production's is kept where development did not change it
	DroppedInProduction DriftKind = "dropped in production" // it is made again, because development has it
	ChangedInBoth       DriftKind = "changed in both"       // development's is taken
)

// Drift is a difference that did not come from a publish. The user adopts it into development, or drops it on purpose
// (the answer "drop:OBJECT"), or lets it be.
type Drift struct {
	Object Address   `json:"object"`
	Kind   DriftKind `json:"kind"`
	Text   string    `json:"text"`
}

// comparison brings three catalogues to a common set of names and decides what production shall become.
type comparison struct {
	plan                              *Plan
	opts                              Options
	baseline, development, production *Catalog
	statements                        []Statement
	original                          map[Address]Address
}

// reconcile returns production as it is after the renames, and production as it shall be.
func (c *comparison) reconcile() (from, to *Catalog) {
	moved, labels := map[Address]Address{}, map[Address]map[string]string{}
	switch {
	case c.opts.Restore:
		c.production = withHidden(c.production, c.development)
		moved, labels, _ = identityRenames(c.production, c.development)
	case c.baseline != nil && c.baseline.Epoch != "" && c.baseline.Epoch == c.development.Epoch:
		var reborn []Address
		moved, labels, reborn = identityRenames(c.baseline, c.development)
		for _, a := range reborn {
			if moved[a] == (Address{}) {
				c.plan.Notes = append(c.plan.Notes, fmt.Sprintf("%s was dropped and made again in development: production's rows are kept", a))
			}
		}
	}
	answered, answeredLabels := answeredRenames(c.production, c.development, c.opts)
	moved, labels = union(moved, answered), union(labels, answeredLabels)
	c.original = map[Address]Address{}
	renamed := c.rename(c.production, moved, labels, answered)
	structural := structuralRenames(renamed, c.development)
	renamed = c.renameStructural(renamed, structural)
	if c.baseline == nil || c.opts.Restore {
		return renamed, c.target(renamed, nil)
	}
	// What was moved out of the way in production was so in what was published, too: it stood where the renamed thing stands now.
	moved = union(moved, nil)
	for temp, a := range c.original {
		moved[a] = temp
	}
	m := newMapping(c.baseline, within(moved, c.baseline), labels)
	c.evict(m)
	base := m.apply()
	base = newMapping(base, within(structural, base), nil).apply()
	return renamed, c.target(renamed, base)
}

// within keeps the renames of things that a catalogue has.
func within(moved map[Address]Address, c *Catalog) map[Address]Address {
	out := map[Address]Address{}
	for a, b := range moved {
		if c.Objects[a] != nil {
			out[a] = b
		}
	}
	return out
}

// rename plans the renames that identity or an answer proves.
func (c *comparison) rename(production *Catalog, moved map[Address]Address, labels map[Address]map[string]string, answered map[Address]Address) *Catalog {
	known := within(moved, production)
	knownLabels := map[Address]map[string]string{}
	for a, l := range labels {
		if o := production.Objects[a]; o != nil {
			for old, new := range l {
				if slices.Contains(o.list("labels"), old) {
					if knownLabels[a] == nil {
						knownLabels[a] = map[string]string{}
					}
					knownLabels[a][old] = new
				}
			}
		}
	}
	if len(known) == 0 && len(knownLabels) == 0 {
		return production
	}
	m := newMapping(production, known, knownLabels)
	c.evict(m)
	r := &renamer{catalog: production, mapping: m, now: map[Address]Address{}}
	c.missingSchemas(m)
	r.write()
	c.statements = append(c.statements, r.statements...)
	for _, a := range production.Addresses() {
		if r.ownNameBefore(a) && c.original[m.address(a)] == (Address{}) {
			why := "identity"
			if mapHas(answered, a) {
				why = "answer"
			}
			c.plan.Renames = append(c.plan.Renames, Rename{From: a, To: m.address(a), Why: why})
		}
		for _, old := range sortedKeys(knownLabels[a]) {
			c.plan.Renames = append(c.plan.Renames, Rename{From: a, To: m.address(a), Why: "identity", Label: old, NewLabel: knownLabels[a][old]})
		}
	}
	out := m.apply()
	for schema := range c.newSchemas(m) {
		s := c.development.Objects[schema].clone()
		s.Attrs = map[string]string{"owner": production.User, "acl": aclText(defaultACL(KindSchema, production.User, production.Version))}
		out.Objects[schema] = s
	}
	return out
}

func aclText(grants []grant) string {
	by := map[string]string{}
	for _, g := range grants {
		by[aclRole(g.grantee)+"=|/"+aclRole(g.grantor)] += string(g.privilege)
	}
	var items []string
	for k, v := range by {
		items = append(items, strings.Replace(k, "|", v, 1))
	}
	return canonicalACL(items)
}

// ownNameBefore is ownName for the list of renames, asked after the statements were written.
func (r *renamer) ownNameBefore(a Address) bool { return canRename(a.Kind) && r.ownName(a) }

// newSchemas are those that something moves to and production does not have.
func (c *comparison) newSchemas(m *mapping) map[Address]bool {
	out := map[Address]bool{}
	have := map[string]bool{}
	for a := range c.production.Objects {
		if a.Kind == KindSchema {
			have[m.address(a).Name] = true
		}
	}
	for _, b := range m.to {
		schema := Address{Kind: KindSchema, Name: b.Schema}
		if b.Schema != "" && !have[b.Schema] && c.development.Objects[schema] != nil {
			out[schema] = true
		}
	}
	return out
}

func (c *comparison) missingSchemas(m *mapping) {
	var names []string
	for a := range c.newSchemas(m) {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	for _, n := range names {
		c.statements = append(c.statements, statement(Address{Kind: KindSchema, Name: n}, "create schema "+n, "CREATE SCHEMA "+quote(n)))
	}
}

// evict gives a temporary name to what stands where something renamed has to go. It is gone in development, and so it goes later
// in the plan, under that name. Something of production's own is a conflict that only a person can settle.
func (c *comparison) evict(m *mapping) {
	wanted := map[string]Address{}
	for a, b := range m.to {
		if o := m.catalog.Objects[a]; o != nil {
			wanted[nameScope(b, o)] = a
		}
	}
	n := len(c.original)
	for _, kinds := range levels() { // the whole before its parts: these go with it
		m.done, m.names = map[Address]Address{}, map[Address]renames{}
		for _, a := range m.catalog.Addresses() {
			o := m.catalog.Objects[a]
			if _, moves := m.to[a]; moves || !slices.Contains(kinds, a.Kind) {
				continue
			}
			b := m.address(a)
			by, taken := wanted[nameScope(b, o)]
			if !taken || by == a {
				continue
			}
			if c.baseline != nil && c.baseline.Objects[a] == nil && !c.opts.dropAnswered(a) && !c.opts.Restore {
				c.plan.Problems = append(c.plan.Problems, Problem{a, fmt.Sprintf("production has its own %s, where development renamed %s to; adopt it into development under another name, or answer drop:%s", a, by, a.Label())})
			}
			n++
			temp := b
			setOwnName(&temp, shorten(fmt.Sprintf("%s_gone_%d_%s", HiddenPrefix, n, ownName(b))))
			m.to[a] = temp
			c.original[temp] = a
		}
	}
	m.done, m.names = map[Address]Address{}, map[Address]renames{}
}

// renameStructural plans the renames that structure proves.
func (c *comparison) renameStructural(production *Catalog, pairs map[Address]Address) *Catalog {
	if len(pairs) == 0 {
		return production
	}
	m := newMapping(production, pairs, nil)
	c.evictStructural(m)
	r := &renamer{catalog: production, mapping: m, now: map[Address]Address{}, temporary: 1000}
	r.write()
	c.statements = append(c.statements, r.statements...)
	for _, a := range production.Addresses() {
		if b, ok := pairs[a]; ok && c.original[b] == (Address{}) {
			c.plan.Renames = append(c.plan.Renames, Rename{From: a, To: b, Why: "structure"})
		}
	}
	return m.apply()
}

// evictStructural leaves out renames onto names that something else still has: making it anew is simpler.
func (c *comparison) evictStructural(m *mapping) {
	taken := map[string]Address{}
	for a, o := range m.catalog.Objects {
		if _, moves := m.to[a]; !moves {
			taken[nameScope(a, o)] = a
		}
	}
	for a, b := range m.to {
		if _, busy := taken[nameScope(b, m.catalog.Objects[a])]; busy {
			delete(m.to, a)
		}
	}
}

// target decides what production shall be: development, with what production alone has, and with what production alone changed.
func (c *comparison) target(production, base *Catalog) *Catalog {
	to := *c.development
	to.byIndex = nil
	to.Objects = make(map[Address]*Object, len(c.development.Objects))
	for a, o := range c.development.Objects {
		to.Objects[a] = o
	}
	if c.opts.Restore {
		return &to
	}
	for _, a := range production.Addresses() {
		p, d := production.Objects[a], c.development.Objects[a]
		var b *Object
		if base != nil {
			b = base.Objects[a]
		}
		switch {
		case d == nil && b == nil:
			if c.original[a] != (Address{}) || c.opts.dropAnswered(a) || c.wholeDropped(production, a) {
				continue
			}
			to.Objects[a] = p
			c.drift(a, AddedInProduction)
		case d != nil && b != nil && len(changedAttrs(b, p)) > 0 && len(changedAttrs(p, d)) > 0:
			if len(changedAttrs(b, d)) == 0 && !c.opts.dropAnswered(a) {
				to.Objects[a] = p
				c.drift(a, ChangedInProduction)
			} else {
				c.drift(a, ChangedInBoth)
			}
		}
	}
	if base != nil {
		for _, a := range base.Addresses() {
			if production.Objects[a] == nil && c.development.Objects[a] != nil {
				c.drift(a, DroppedInProduction)
			}
		}
	}
	c.widow(&to)
	c.wholes(production)
	return &to
}

// wholes leaves out differences that only repeat that of the whole: the columns of a table that only production has.
func (c *comparison) wholes(production *Catalog) {
	found := map[Drift]bool{}
	for _, d := range c.plan.Drift {
		found[Drift{Object: d.Object, Kind: d.Kind}] = true
	}
	c.plan.Drift = slices.DeleteFunc(c.plan.Drift, func(d Drift) bool {
		a := d.Object
		for range 4 {
			up, ok := production.parent(a)
			if !ok {
				up, ok = c.development.parent(a)
			}
			if !ok {
				return false
			}
			if found[Drift{Object: up, Kind: d.Kind}] {
				return true
			}
			a = up
		}
		return false
	})
}

// wholeDropped says whether what the object is a part of made room for something renamed, or the user answered to drop it.
func (c *comparison) wholeDropped(production *Catalog, a Address) bool {
	if a.Kind == KindSequence || a.Kind == KindSequenceOwner { // it goes with the column that it numbers
		if s := production.Objects[Address{Kind: KindSequence, Schema: a.Schema, Name: a.Name}]; s != nil {
			for _, column := range sequenceColumn(production, s) {
				if c.opts.dropAnswered(column) {
					return true
				}
				a = column
			}
		}
	}
	for range 4 {
		up, ok := production.parent(a)
		if !ok {
			return false
		}
		if _, answered := c.opts.answer("drop", up); answered || c.original[up] != (Address{}) {
			return true
		}
		a = up
	}
	return false
}

// drift notes a difference.
func (c *comparison) drift(a Address, kind DriftKind) {
	text := map[DriftKind]string{
		AddedInProduction:   "exists only in production and is kept",
		ChangedInProduction: "was changed in production and stays as it is there",
		DroppedInProduction: "was dropped in production and is made again",
		ChangedInBoth:       "was changed in production and in development; development's is taken",
	}[kind]
	if c.baseline == nil && kind == AddedInProduction {
		text = "exists only in production; nothing was published yet that could tell why, so it is kept"
	}
	c.plan.Drift = append(c.plan.Drift, Drift{a, kind, a.String() + " " + text})
}

// widow reports what production alone has and cannot keep, because what it needs goes.
func (c *comparison) widow(to *Catalog) {
	for _, d := range c.plan.Drift {
		o := to.Objects[d.Object]
		if d.Kind != AddedInProduction || o == nil {
			continue
		}
		needs := o.Deps
		if up, ok := to.parent(d.Object); !ok && d.Object.Kind.onRelation() {
			needs = append(slices.Clip(needs), Address{KindTable, d.Object.Schema, d.Object.Name, ""})
		} else if ok {
			needs = append(slices.Clip(needs), up)
		}
		for _, n := range needs {
			if to.Objects[n] == nil {
				c.plan.Problems = append(c.plan.Problems, Problem{d.Object, fmt.Sprintf("it exists only in production and needs %s, which development dropped; adopt it into development first, or answer drop:%s", n, d.Object.Label())})
				break
			}
		}
	}
}

// withHidden adds to a catalogue what was set aside and belongs, by its identity, to the structure to which the plan leads back.
func withHidden(now, before *Catalog) *Catalog {
	wanted := map[identityKey]bool{}
	for _, o := range before.Objects {
		wanted[identityKey{o.ID, o.Kind}] = true
	}
	returns := map[[2]string]bool{} // relations that come back, with all their parts as they are now
	for a, o := range now.Hidden {
		if n, ok := parseTombstone(o); ok && (n.Kind == KindColumn || n.Rebuilt) {
			continue
		}
		if a.Kind.isRelation() && wanted[identityKey{o.ID, o.Kind}] {
			returns[[2]string{a.Schema, a.Name}] = true
		}
	}
	out := *now
	out.byIndex = nil
	out.Objects = make(map[Address]*Object, len(now.Objects))
	for a, o := range now.Objects {
		out.Objects[a] = o
	}
	for a, o := range now.Hidden {
		whole := [2]string{a.Schema, a.Name}
		switch {
		case a.Kind == KindIndex:
			whole[1] = o.attr("table")
		case a.Kind == KindIndexPartition:
			whole[1] = now.hiddenIndexTable(a)
		}
		if returns[whole] || !a.Kind.isRelation() && !a.Kind.onRelation() && a.Kind != KindSchema && wanted[identityKey{o.ID, o.Kind}] || a.Kind == KindDomainConstraint {
			out.Objects[a] = o
		}
	}
	return &out
}

// hiddenIndexTable is the table of a set-aside index, which may be that of a constraint.
func (c *Catalog) hiddenIndexTable(a Address) string {
	if o := c.Hidden[Address{KindIndex, a.Schema, a.Name, ""}]; o != nil {
		return o.attr("table")
	}
	for b, o := range c.Hidden {
		if b.Kind == KindConstraint && b.Schema == a.Schema && o.attr("index") == a.Name {
			return b.Name
		}
	}
	return ""
}
