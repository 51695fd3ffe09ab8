package schema

import (
	"slices"
	"strings"
)

// createTable makes a table with its columns. What can come later comes later: constraints, indexes, attachment to a parent.
func (w *writer) createTable(o *Object) {
	var b strings.Builder
	b.WriteString("CREATE ")
	if o.attr("persistence") == "u" {
		b.WriteString("UNLOGGED ")
	}
	if o.Kind == KindForeignTable {
		b.WriteString("FOREIGN ")
	}
	inherits := w.p.inheritance(o)
	b.WriteString("TABLE " + sqlName(o) + " (")
	n := 0
	columns := w.p.partsIn(true, o.Address, KindColumn)
	for _, c := range columns {
		if c.is("inherited") && !c.is("merged") && len(inherits) > 0 {
			continue
		}
		if n++; n > 1 {
			b.WriteString(",")
		}
		b.WriteString("\n    " + w.p.columnDefinition(c, true))
	}
	if n > 0 {
		b.WriteString("\n")
	}
	b.WriteString(")")
	if len(inherits) > 0 {
		b.WriteString(" INHERITS (" + strings.Join(inherits, ", ") + ")")
	}
	if key := o.attr("partition_key"); key != "" {
		b.WriteString(" PARTITION BY " + key)
	}
	if o.Kind == KindForeignTable {
		b.WriteString(" SERVER " + quote(o.attr("server")) + foreignOptions(o.list("fdw_options")))
	}
	if am := o.attr("access_method"); am != "" {
		b.WriteString(" USING " + quote(am))
	}
	with := options(o.list("options"), "")
	if toast := options(o.list("toast_options"), "toast."); toast != "" {
		with = strings.TrimPrefix(with+", "+toast, ", ")
	}
	if with != "" {
		b.WriteString(" WITH (" + with + ")")
	}
	if ts := o.attr("tablespace"); ts != "" {
		b.WriteString(" TABLESPACE " + quote(ts))
	}
	w.add(statement(o.Address, "create "+o.String(), b.String()))
	if of := o.attr("of_type"); of != "" {
		w.add(statement(o.Address, "make "+o.Label()+" a table of type "+of, "ALTER TABLE "+sqlName(o)+" OF "+of))
	}
	w.tableSwitches(o, nil, changedAttrs(&Object{Address: o.Address}, o))
	w.facetsOfNew(o)
	for _, c := range columns {
		if c.is("inherited") && !c.is("merged") && len(inherits) > 0 {
			// Its properties come from the parent; only what it has beyond them is set.
			w.inheritedColumn(c)
		} else {
			w.columnExtras(c, nil, changedAttrs(&Object{Address: c.Address}, c))
		}
		w.facetsOfNew(c)
	}
	for _, s := range w.p.sequencesOf(o) {
		w.facetsOfNew(s)
	}
}

// inheritance lists the parents that a new table names in INHERITS, in their order.
func (p *planner) inheritance(o *Object) []string {
	var out []string
	for _, i := range p.partsIn(true, o.Address, KindInheritance) {
		out = append(out, i.attr("parent"))
	}
	return out
}

// sequencesOf lists the identity sequences of a table in the catalogue to.
func (p *planner) sequencesOf(table *Object) []*Object {
	var out []*Object
	for _, c := range p.partsIn(true, table.Address, KindColumn) {
		if s := p.identitySequence(c); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// identitySequence finds the sequence behind an identity column in the catalogue to.
func (p *planner) identitySequence(column *Object) *Object { return p.identityIn(p.to, column) }

func (p *planner) identityIn(c *Catalog, column *Object) *Object {
	if column.attr("identity") == "" {
		return nil
	}
	if p.identities == nil {
		p.identities = map[*Catalog]map[Address]*Object{}
	}
	if p.identities[c] == nil {
		p.identities[c] = map[Address]*Object{}
		for a, s := range c.Objects {
			if a.Kind == KindSequence && s.attr("identity") != "" {
				for _, d := range s.Deps {
					if d.Kind == KindColumn {
						p.identities[c][d] = s
					}
				}
			}
		}
	}
	return p.identities[c][column.Address]
}

// columnDefinition prints a column as CREATE TABLE and ADD COLUMN want it.
func (p *planner) columnDefinition(c *Object, newTable bool) string {
	var b strings.Builder
	b.WriteString(quote(c.Sub) + " " + c.attr("type"))
	if compression := c.attr("compression"); compression != "" {
		b.WriteString(" COMPRESSION " + compressionName(compression))
	}
	if fdw := c.list("fdw_options"); len(fdw) > 0 {
		b.WriteString(foreignOptions(fdw))
	}
	if collation := c.attr("collation"); collation != "" {
		b.WriteString(" COLLATE " + collation)
	}
	switch {
	case c.attr("generated") == "v":
		b.WriteString(" GENERATED ALWAYS AS (" + c.attr("expression") + ") VIRTUAL")
	case c.attr("generated") != "":
		b.WriteString(" GENERATED ALWAYS AS (" + c.attr("expression") + ") STORED")
	case c.attr("identity") != "":
		b.WriteString(" " + p.identityClause(c))
	default:
		if d := p.to.Objects[Address{KindDefault, c.Schema, c.Name, c.Sub}]; d != nil && p.inlined(d, newTable) {
			b.WriteString(" DEFAULT " + d.attr("expression"))
		}
	}
	if c.is("not_null") && (newTable || !p.filledLater(c) || c.attr("identity") != "") {
		b.WriteString(notNullClause(c))
	}
	return b.String()
}

// notNullClause names the constraint where the server gives it a name worth keeping.
func notNullClause(c *Object) string {
	name := c.attr("not_null_name")
	if name == "" {
		return " NOT NULL"
	}
	name, rest := notNullName(name)
	return " CONSTRAINT " + quote(name) + " NOT NULL" + strings.TrimSuffix(rest, " NOT VALID")
}

// usualNotNullName is the name that the server gives a column's NOT NULL constraint by itself, but for very long ones, which it cuts.
func usualNotNullName(c *Object) string { return c.Name + "_" + c.Sub + "_not_null" }

// notNullName splits "name NOT VALID NO INHERIT".
func notNullName(text string) (name, rest string) {
	for _, suffix := range []string{" NOT VALID NO INHERIT", " NOT VALID", " NO INHERIT"} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			return cut, suffix
		}
	}
	return text, ""
}

func compressionName(c string) string {
	if c == "l" {
		return "lz4"
	}
	return "pglz"
}

func (p *planner) identityClause(c *Object) string {
	how := "BY DEFAULT"
	if c.attr("identity") == "a" && (p.isNew(p.relationOf(c.Address)) || p.ops[c.Address].exists() || !p.filledLater(c)) {
		how = "ALWAYS"
	}
	clause := "GENERATED " + how + " AS IDENTITY"
	if s := p.identitySequence(c); s != nil {
		clause += " (SEQUENCE NAME " + sqlName(s) + sequenceOptions(s, false) + ")"
	}
	return clause
}

// inlined says whether a default is written inside its column's definition. Rows that exist get its value only there; in a new
// table it may come later, so that a function that needs the table can come first.
func (p *planner) inlined(d *Object, newTable bool) bool {
	if !newTable {
		return true
	}
	for _, need := range d.Deps {
		if need.Kind != KindSequence && need.Kind != KindColumn && p.changes(need) {
			return false
		}
	}
	return true
}

// changes says whether the plan makes or changes an object.
func (p *planner) changes(a Address) bool {
	o := p.ops[a]
	return o != nil && o.change != keep
}

// tableSwitches sets what CREATE TABLE cannot say. from is nil for a new table.
func (w *writer) tableSwitches(o, from *Object, changed map[string]bool) {
	head := "ALTER TABLE " + sqlName(o)
	onOff := func(attr, on, off string) {
		if changed[attr] {
			verb := off
			if o.is(attr) {
				verb = on
			}
			st := statement(o.Address, strings.ToLower(verb)+" on "+o.Label(), head+" "+verb).locking(AccessExclusive, o.Address)
			if from != nil && o.is(attr) {
				st = st.hazard(Breaking, "rows that no policy allows become invisible")
			}
			w.add(st)
		}
	}
	onOff("row_security", "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY")
	onOff("force_row_security", "FORCE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY")
	if changed["replica_identity"] && !(o.attr("replica_identity") == "" && w.p.identityByIndex(o)) {
		word := map[string]string{"n": "NOTHING", "f": "FULL", "": "DEFAULT"}[o.attr("replica_identity")]
		w.add(statement(o.Address, "replica identity of "+o.Label(), head+" REPLICA IDENTITY "+word).locking(AccessExclusive, o.Address))
	}
}

// identityByIndex says whether an index or constraint of the table serves as its replica identity.
func (p *planner) identityByIndex(table *Object) bool {
	with := func(o *Object) bool { return o.is("replica_identity") }
	return slices.ContainsFunc(p.indexes[true][[2]string{table.Schema, table.Name}], with) || slices.ContainsFunc(p.partsIn(true, table.Address, KindConstraint), with)
}

// alterTable says how a table changes in place; false when it cannot.
func (w *writer) alterTable(from, o *Object, changed map[string]bool) bool {
	if changed["partition_key"] || changed["server"] {
		return false
	}
	head := "ALTER TABLE " + sqlName(o)
	if o.Kind == KindForeignTable {
		head = "ALTER FOREIGN TABLE " + sqlName(o)
	}
	if changed["persistence"] {
		word := "LOGGED"
		if o.attr("persistence") == "u" {
			word = "UNLOGGED"
		}
		st := statement(o.Address, "make "+o.Label()+" "+strings.ToLower(word), head+" SET "+word).locking(AccessExclusive, o.Address).hazard(Rewrites, "the whole table is written again")
		if word == "UNLOGGED" {
			st = st.hazard(Lossy, "an unlogged table is empty after a crash, and is not in a replica")
		}
		w.add(st)
	}
	if changed["access_method"] {
		am := o.attr("access_method")
		if am == "" {
			am = "heap"
		}
		w.add(statement(o.Address, "store "+o.Label()+" with "+am, head+" SET ACCESS METHOD "+quote(am)).locking(AccessExclusive, o.Address).hazard(Rewrites, "the whole table is written again"))
	}
	if changed["tablespace"] {
		w.add(statement(o.Address, "move "+o.Label()+" to another tablespace", head+" SET TABLESPACE "+tablespaceName(o)).locking(AccessExclusive, o.Address).hazard(Rewrites, "the whole table is copied"))
	}
	if changed["of_type"] {
		sql := head + " NOT OF"
		if of := o.attr("of_type"); of != "" {
			sql = head + " OF " + of
		}
		w.add(statement(o.Address, "type of "+o.Label(), sql).locking(AccessExclusive, o.Address))
	}
	if changed["options"] {
		w.alterOptions(o, head, "", from.list("options"), o.list("options"), ShareUpdateExclusive)
	}
	if changed["toast_options"] {
		w.alterOptions(o, head, "toast.", from.list("toast_options"), o.list("toast_options"), ShareUpdateExclusive)
	}
	if changed["fdw_options"] {
		w.add(statement(o.Address, "options of "+o.String(), head+changedForeignOptions(from.list("fdw_options"), o.list("fdw_options"))))
	}
	w.tableSwitches(o, from, changed)
	return true
}

func tablespaceName(o *Object) string {
	if ts := o.attr("tablespace"); ts != "" {
		return quote(ts)
	}
	return "pg_default"
}

// attach makes a table a partition, or the heir of another.
func (w *writer) attach(o *Object) {
	table := w.p.relationOf(o.Address)
	parent := w.p.parentTable(w.p.to, o)
	if o.Kind == KindInheritance {
		w.add(statement(o.Address, "make "+o.tableName()+" inherit from "+o.attr("parent"), "ALTER TABLE "+o.tableName()+" INHERIT "+o.attr("parent")).locking(AccessExclusive, table))
		w.passOver(table)
		return
	}
	st := statement(o.Address, "attach "+o.Schema+"."+o.Name+" as a partition of "+parent.Label(), "ALTER TABLE ONLY "+o.attr("parent")+" ATTACH PARTITION "+o.tableName()+" "+o.attr("bound"))
	if !w.p.isNew(parent) {
		st = st.locking(ShareUpdateExclusive, parent)
	}
	if w.p.hasRows(table) {
		st = st.locking(AccessExclusive, table).scanning().hazard(DataBlocks, "every row of "+table.Label()+" must lie within the partition's bounds")
		if o.attr("bound") != "DEFAULT" && w.p.to.Objects[parent] != nil {
			w.p.check(Check{Kind: CheckPartition, Object: o.Address, Table: table, Definition: w.p.to.Objects[parent].attr("partition_key"), Bounds: []string{o.attr("bound")}})
		}
	}
	w.add(st)
}

// passOver notes that what a table now inherits is not its own any more, where development says so: no statement of the server can,
// and pg_dump --binary-upgrade does it in the same way.
func (w *writer) passOver(table Address) {
	for _, c := range w.p.partsIn(true, table, KindColumn) {
		if c.is("inherited") && !c.is("merged") {
			w.add(statement(c.Address, "note that "+c.String()+" is inherited", mergedSQL(c)))
		}
	}
	for _, k := range w.p.partsIn(true, table, KindConstraint) {
		if k.is("inherited") && k.attr("type") == "c" {
			w.add(statement(k.Address, "note that "+k.String()+" is inherited", "UPDATE pg_catalog.pg_constraint SET conislocal = false WHERE conrelid = "+literal(k.tableName())+"::pg_catalog.regclass AND conname = "+literal(k.Sub)))
		}
	}
}

// detach lets a partition, or an heir, stand alone.
func (w *writer) detach(o *Object) {
	parent := w.p.parentTable(w.p.from, o)
	table := w.p.relationOf(o.Address)
	verb := " DETACH PARTITION " + o.tableName()
	sql := "ALTER TABLE ONLY " + o.attr("parent") + verb
	if o.Kind == KindInheritance {
		sql = "ALTER TABLE " + o.tableName() + " NO INHERIT " + o.attr("parent")
	}
	w.add(statement(o.Address, "detach "+table.Label()+" from "+parent.Label(), sql).locking(AccessExclusive, parent, table).
		hazard(Breaking, "queries of "+parent.Label()+" do not see the rows of "+table.Label()+" any more"))
}

// parentTable is the parent that a partition or inheritance object speaks of.
func (p *planner) parentTable(c *Catalog, o *Object) Address {
	for _, parent := range parentsOf(c, []*Object{o}) {
		if qualifyPlain(parent.Schema, parent.Name) == unquoteAll(o.attr("parent")) {
			return parent
		}
	}
	return Address{}
}

func qualifyPlain(schema, name string) string { return schema + "\x00" + name }

// unquoteAll reads a qualified name as the server prints it.
func unquoteAll(qualified string) string {
	var parts []string
	for _, t := range tokenize(qualified) {
		if n := t.name(); n != "" {
			parts = append(parts, n)
		}
	}
	return strings.Join(parts, "\x00")
}
