package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// mapping says under which addresses objects of a catalogue will be known. Parts follow their whole unless they have an entry of
// their own.
type mapping struct {
	catalog *Catalog
	to      map[Address]Address
	labels  map[Address]map[string]string // enum labels: old to new, by the type's old address
	done    map[Address]Address
	names   map[Address]renames // by the object whose texts they concern
	above   map[[2]string][]Address
}

func newMapping(c *Catalog, to map[Address]Address, labels map[Address]map[string]string) *mapping {
	return &mapping{catalog: c, to: to, labels: labels, done: map[Address]Address{}, names: map[Address]renames{}}
}

// empty says whether nothing gets another name.
func (m *mapping) empty() bool { return len(m.to) == 0 && len(m.labels) == 0 }

// address is the new address of an object.
func (m *mapping) address(a Address) Address {
	if b, ok := m.done[a]; ok {
		return b
	}
	m.done[a] = a // a circle of parts ends here
	b := m.derive(a)
	m.done[a] = b
	return b
}

func (m *mapping) derive(a Address) Address {
	if b, ok := m.to[a]; ok {
		return b
	}
	b := a
	switch {
	case a.Kind == KindDefault:
		c := m.address(Address{KindColumn, a.Schema, a.Name, a.Sub})
		b.Schema, b.Name, b.Sub = c.Schema, c.Name, c.Sub
	case a.Kind.onRelation():
		if r := m.catalog.relation(a.Schema, a.Name); r != nil {
			n := m.address(r.Address)
			b.Schema, b.Name = n.Schema, n.Name
		}
		if n, ok := m.inheritedName(a); ok {
			b.Sub = n
		}
		if a.Kind == KindPublicationTable {
			b.Sub = m.address(Address{Kind: KindPublication, Name: a.Sub}).Name
		}
		if a.Kind == KindInheritance {
			b.Sub = m.qualifiedRelation(a.Sub)
		}
	case a.Kind == KindDomainConstraint:
		n := m.address(Address{Kind: KindDomain, Schema: a.Schema, Name: a.Name})
		b.Schema, b.Name = n.Schema, n.Name
	case a.Kind == KindSequenceOwner:
		n := m.address(Address{Kind: KindSequence, Schema: a.Schema, Name: a.Name})
		b.Schema, b.Name = n.Schema, n.Name
	case a.Kind == KindIndexPartition:
		b.Schema, b.Name = m.indexName(a.Schema, a.Name)
	case a.Kind == KindIndex:
		if o := m.catalog.Objects[a]; o != nil {
			if r := m.catalog.relation(a.Schema, o.attr("table")); r != nil {
				b.Schema = m.address(r.Address).Schema
			}
		}
	case a.Kind == KindSequence && m.ownedTable(a) != nil:
		b.Schema = m.address(*m.ownedTable(a)).Schema
	case a.Kind == KindPublicationSpace:
		b.Name = m.address(Address{Kind: KindSchema, Name: a.Name}).Name
		b.Sub = m.address(Address{Kind: KindPublication, Name: a.Sub}).Name
	case a.Kind == KindUserMapping:
		b.Name = m.address(Address{Kind: KindServer, Name: a.Name}).Name
	case a.Schema != "":
		b.Schema = m.address(Address{Kind: KindSchema, Name: a.Schema}).Name
	}
	return m.signature(a, b)
}

// inheritedName is the new name of a column or constraint that a table has from its parent: it follows the parent's.
func (m *mapping) inheritedName(a Address) (string, bool) {
	o := m.catalog.Objects[a]
	if o == nil || !o.is("inherited") || a.Kind != KindColumn && !(a.Kind == KindConstraint && o.attr("type") == "c") {
		return "", false
	}
	for _, parent := range m.parents()[[2]string{a.Schema, a.Name}] {
		up := Address{a.Kind, parent.Schema, parent.Name, a.Sub}
		if m.catalog.Objects[up] != nil {
			return m.address(up).Sub, true
		}
	}
	return "", false
}

// parents lists the tables above each table.
func (m *mapping) parents() map[[2]string][]Address {
	if m.above == nil {
		m.above = map[[2]string][]Address{}
		for a, o := range m.catalog.Objects {
			if a.Kind == KindPartition || a.Kind == KindInheritance {
				k := [2]string{a.Schema, a.Name}
				m.above[k] = append(m.above[k], parentsOf(m.catalog, []*Object{o})...)
			}
		}
	}
	return m.above
}

// signature rewrites the type names in the address of a routine, operator or cast.
func (m *mapping) signature(a, b Address) Address {
	o := m.catalog.Objects[a]
	if o == nil {
		return b
	}
	switch a.Kind {
	case KindFunction, KindProcedure, KindAggregate, KindOperator:
		b.Sub = m.text(o, a.Sub, false)
	case KindCast, KindTransform:
		b.Name = m.text(o, a.Name, false)
	}
	return b
}

// ownedTable is the table whose column owns or is numbered by the sequence.
func (m *mapping) ownedTable(s Address) *Address {
	o := m.catalog.Objects[s]
	owner := m.catalog.Objects[Address{KindSequenceOwner, s.Schema, s.Name, ""}]
	for _, holder := range []*Object{owner, o} {
		if holder == nil || holder == o && o.attr("identity") == "" {
			continue
		}
		for _, d := range holder.Deps {
			if d.Kind == KindColumn {
				if r := m.catalog.relation(d.Schema, d.Name); r != nil {
					return &r.Address
				}
			}
		}
	}
	return nil
}

// indexName maps the name of an index, which may be that of a constraint.
func (m *mapping) indexName(schema, name string) (string, string) {
	if m.catalog.Objects[Address{KindIndex, schema, name, ""}] != nil {
		b := m.address(Address{KindIndex, schema, name, ""})
		return b.Schema, b.Name
	}
	if o := m.catalog.constraintOfIndex(schema, name); o != nil {
		b := m.address(o.Address)
		return b.Schema, b.Sub
	}
	return schema, name
}

// qualifiedRelation maps a relation's name as the server prints it.
func (m *mapping) qualifiedRelation(printed string) string {
	schema, name, ok := strings.Cut(unquoteAll(printed), "\x00")
	if !ok {
		return printed
	}
	if r := m.catalog.relation(schema, name); r != nil {
		b := m.address(r.Address)
		return serverQuote(b.Schema) + "." + serverQuote(b.Name)
	}
	if i := m.catalog.constraintOfIndex(schema, name); i != nil {
		s, n := m.indexName(schema, name)
		return serverQuote(s) + "." + serverQuote(n)
	}
	return printed
}

// constraintOfIndex finds the constraint that an index serves.
func (c *Catalog) constraintOfIndex(schema, index string) *Object {
	if c.byIndex == nil {
		c.byIndex = map[[2]string]*Object{}
		for a, o := range c.Objects {
			if i := o.attr("index"); a.Kind == KindConstraint && i != "" {
				c.byIndex[[2]string{a.Schema, i}] = o
			}
		}
	}
	return c.byIndex[[2]string{schema, index}]
}

// serverQuote quotes a name as the server does: only where it must.
func serverQuote(name string) string {
	if isPlainName(name) && !isKeyword(name) {
		return name
	}
	return quote(name)
}

// apply makes the catalogue as it will be under the new names. Texts are rewritten token by token, guided by what the object
// depends on. Where that guess differs from what the server will print, the comparison shows a difference that is none and the
// object is made anew: never the other way round.
func (m *mapping) apply() *Catalog {
	if m.empty() {
		return m.catalog
	}
	out := *m.catalog
	out.byIndex = nil
	out.Objects = make(map[Address]*Object, len(m.catalog.Objects))
	for a, o := range m.catalog.Objects {
		out.Objects[m.address(a)] = m.object(o)
	}
	return &out
}

func (m *mapping) object(o *Object) *Object {
	n := o.clone()
	n.Address = m.address(o.Address)
	for i, d := range n.Deps {
		n.Deps[i] = m.address(d)
	}
	for k, v := range n.Attrs {
		n.Attrs[k] = m.attr(o, k, v)
	}
	if o.Kind == KindColumn {
		m.keepNotNullName(o, n)
	}
	if labels := m.labels[o.Address]; labels != nil {
		list := n.list("labels")
		for i, l := range list {
			if new, ok := labels[l]; ok {
				list[i] = new
			}
		}
		n.Attrs["labels"] = jsonList(list)
	}
	return n
}

// keepNotNullName: from version 18 on the server names a NOT NULL constraint after its table and column, and the name stays when
// those get others. Then it is no longer the one that goes without saying, or just becomes it.
func (m *mapping) keepNotNullName(o, n *Object) {
	if m.catalog.Version < 180000 || !o.is("not_null") {
		return
	}
	name, rest := notNullName(o.attr("not_null_name"))
	if name == "" {
		name = usualNotNullName(o)
	}
	if rest == "" && name == usualNotNullName(n) {
		delete(n.Attrs, "not_null_name")
		return
	}
	n.Attrs["not_null_name"] = name + rest
}

func jsonList(list []string) string {
	text, _ := json.Marshal(list) // strings always encode
	return string(text)
}

func (m *mapping) attr(o *Object, k, v string) string {
	switch k {
	case "owner", "comment", "acl", "labels", "type_name_of", "persistence", "enabled", "language", "not_null_name":
		return v
	case "parent":
		return m.qualifiedRelation(v)
	case "table":
		if o.Kind == KindIndex {
			if r := m.catalog.relation(o.Schema, v); r != nil {
				return m.address(r.Address).Name
			}
			return v
		}
		return m.qualifiedRelation(v)
	case "index":
		_, name := m.indexName(o.Schema, v)
		return name
	case "schema":
		return m.address(Address{Kind: KindSchema, Name: v}).Name
	case "ref":
		if r := o.list(k); len(r) == 2 {
			if t := m.catalog.relation(r[0], r[1]); t != nil {
				n := m.address(t.Address)
				return jsonList([]string{n.Schema, n.Name})
			}
		}
		return v
	case "columns", "columns_of":
		return m.columns(o, o.list(k), k == "columns_of")
	case "ref_columns":
		return m.refColumns(o)
	case "column", "identity":
		if o.Kind == KindSequence || o.Kind == KindSequenceOwner {
			return m.ownerColumn(o, k, v)
		}
		return v
	case "wrapper":
		return m.address(Address{Kind: KindFDW, Name: v}).Name
	case "server":
		return m.address(Address{Kind: KindServer, Name: v}).Name
	}
	query := k == "definition" && (o.Kind == KindView || o.Kind == KindMatView || o.Kind == KindRule || o.Kind.isRoutine()) || o.Kind == KindPolicy
	return m.text(o, v, query)
}

// columns maps names of columns of the object's own table.
func (m *mapping) columns(o *Object, list []string, sorted bool) string {
	table := m.tableOf(o)
	for i, c := range list {
		list[i] = m.address(Address{KindColumn, table.Schema, table.Name, c}).Sub
	}
	if sorted {
		slices.Sort(list)
	}
	return jsonList(list)
}

func (m *mapping) tableOf(o *Object) Address {
	switch o.Kind {
	case KindIndex:
		return Address{KindTable, o.Schema, o.attr("table"), ""}
	case KindStatistics:
		schema, name, _ := strings.Cut(unquoteAll(o.attr("table")), "\x00")
		return Address{KindTable, schema, name, ""}
	}
	return o.Address
}

func (m *mapping) refColumns(o *Object) string {
	list := o.list("ref_columns")
	if r := o.list("ref"); len(r) == 2 {
		for i, c := range list {
			list[i] = m.address(Address{KindColumn, r[0], r[1], c}).Sub
		}
	}
	return jsonList(list)
}

// ownerColumn maps the column that owns a sequence or is numbered by it.
func (m *mapping) ownerColumn(o *Object, k, v string) string {
	for _, d := range o.Deps {
		if d.Kind == KindColumn {
			n := m.address(d)
			if k == "identity" {
				return serverQuote(n.Sub)
			}
			return serverQuote(n.Schema) + "." + serverQuote(n.Name) + "." + serverQuote(n.Sub)
		}
	}
	return v
}

// union merges mappings; entries of the second win.
func union[K comparable, V any](a, b map[K]V) map[K]V {
	out := maps.Clone(a)
	if out == nil {
		out = map[K]V{}
	}
	maps.Copy(out, b)
	return out
}
