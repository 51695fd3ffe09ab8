package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A dropped table is moved, whole and with its rows, into TombstoneSchema: nobody but the administrator sees that schema, so the
// table is out of sight of SELECT, of inserts and, once its foreign keys are gone, of other tables. Its identity (oid) stays the
// same, so the way back is a rename that the comparison with the catalogue of before finds by itself.
//
// A dropped column cannot be hidden inside its table: SELECT * and COPY show whatever is there. Its values go into a table of their
// own, keyed by the primary key of their rows (or, without one, by a digest of the rest of the row), and the column is dropped.
// On the way back the column is added again and filled from there; rows that were written since get its default.

// tombstoneNote is the comment that tells, in the database itself, what a tombstone was.
type tombstoneNote struct {
	Kind     Kind    `json:"kind"`
	Original Address `json:"original"`
	Table    uint32  `json:"table,omitempty"`  // a column's table, by oid
	Keys     []int32 `json:"keys,omitempty"`   // a column's rows are found by these columns of its table (attnum)
	Digest   []int32 `json:"digest,omitempty"` // or by the digest of these
	Type     string  `json:"type,omitempty"`
	Comment  string  `json:"comment,omitempty"`
	Publish  string  `json:"publish,omitempty"`
	Rebuilt  bool    `json:"rebuilt,omitempty"` // a table whose rows went into its successor
	Only     bool    `json:"only,omitempty"`    // a column that tables below its own kept
}

func (n tombstoneNote) String() string {
	text, _ := json.Marshal(n) // plain strings always encode
	return string(text)
}

// parseTombstone reads a tombstone's comment; false when it is something else.
func parseTombstone(o *Object) (tombstoneNote, bool) {
	var n tombstoneNote
	if err := json.Unmarshal([]byte(o.attr("comment")), &n); err != nil || n.Kind == "" {
		return n, false
	}
	return n, true
}

// tombName is the name under which an object is set aside: its oid keeps it apart from every other.
func (p *planner) tombName(o *Object) string {
	return shorten(strconv.FormatUint(uint64(o.ID.OID), 10) + "_" + o.Name + strings.TrimSuffix("_"+o.Sub, "_"))
}

// originalOf is the address that an object had before the plan moved it out of another's way.
func (p *planner) originalOf(a Address) Address {
	if was, ok := p.original[a]; ok {
		return was
	}
	return a
}

// chooseTombstones decides what is set aside: dropped tables and sequences, and the types that set-aside columns still need.
func (p *planner) chooseTombstones() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		switch {
		case a.Kind == KindTable && (o.change == drop && p.opts.Tombstones || o.change == recreate):
			p.tombs[a] = true
		case a.Kind == KindSequence && (o.change == drop || o.change == recreate) && p.opts.Tombstones && o.from.attr("identity") == "":
			p.tombs[a] = true
		}
	}
	for again := true; again; {
		again = false
		for _, a := range p.sortedOps() {
			o := p.ops[a]
			if !p.tombs[a] && (o.change == drop || o.change == recreate) && (a.Kind.isType() || a.Kind == KindCollation || a.Kind.isRoutine()) && p.neededByTomb(a) {
				p.tombs[a], again = true, true
			}
		}
	}
}

// neededByTomb says whether something that is set aside cannot be without the type.
func (p *planner) neededByTomb(a Address) bool {
	return slices.ContainsFunc(p.users[a], func(u Address) bool {
		if p.tombs[u] {
			return true
		}
		return u.Kind == KindColumn && !a.Kind.isRoutine() && p.tombs[p.relationIn(p.from, u)]
	})
}

// staysWithTomb says whether a part of a set-aside table moves along. What reaches out of the table (foreign keys, triggers,
// policies, expressions over functions) is dropped; the comparison on the way back makes it again.
func (p *planner) staysWithTomb(o *Object) bool {
	switch o.Kind {
	case KindColumn:
		return o.attr("generated") == "" || !p.reachesOut(o)
	case KindIndex:
		return !p.reachesOut(o)
	case KindConstraint:
		return o.attr("type") != "f" && !p.reachesOut(o)
	case KindDefault:
		for _, d := range o.Deps {
			if d.Kind == KindSequence && !p.goesWith(d, o.Address) {
				return false
			}
		}
		return !p.reachesOut(o)
	}
	return false
}

// goesWith says whether a sequence is owned by the table of a part.
func (p *planner) goesWith(sequence, part Address) bool {
	owner := p.from.Objects[Address{KindSequenceOwner, sequence.Schema, sequence.Name, ""}]
	return owner != nil && p.ops[sequence].change != keep && slices.ContainsFunc(owner.Deps, func(d Address) bool {
		return d.Kind == KindColumn && d.Schema == part.Schema && d.Name == part.Name
	})
}

// reachesOut says whether a part needs something beyond its table that is removed or made anew.
func (p *planner) reachesOut(o *Object) bool {
	return slices.ContainsFunc(o.Deps, func(d Address) bool {
		n := p.ops[d]
		return n != nil && (n.change == drop || n.change == recreate) && !p.tombs[d] && !d.Kind.hasColumns() && d.Kind != KindColumn && d.Kind != KindSequence && d.Kind != KindSchema
	})
}

// setTableAside moves a table out of sight, with its indexes, keys and sequences.
func (w *writer) setTableAside(o *Object) {
	p := w.p
	rename := func(kind, schema, old, new string) {
		w.add(statement(o.Address, "set "+o.Label()+" aside", "ALTER "+kind+" "+qualify(schema, old)+" RENAME TO "+quote(new)))
	}
	for _, c := range p.partsIn(false, o.Address, KindColumn) {
		if c.attr("generated") != "" && !p.staysWithTomb(c) {
			w.add(statement(o.Address, "keep the values of "+c.Label(), "ALTER TABLE "+o.tableName()+" ALTER COLUMN "+quote(c.Sub)+" DROP EXPRESSION").locking(AccessExclusive, o.Address))
		}
		for _, d := range c.Deps {
			if d.Kind == KindExtension && p.ops[d] != nil && p.ops[d].change == drop {
				w.add(statement(o.Address, "keep the values of "+c.Label()+" as text", "ALTER TABLE "+o.tableName()+" ALTER COLUMN "+quote(c.Sub)+" TYPE text USING "+quote(c.Sub)+"::text").locking(AccessExclusive, o.Address).hazard(Rewrites, "the whole table is written again"))
			}
		}
	}
	for _, x := range p.indexes[false][[2]string{o.Schema, o.Name}] {
		if p.staysWithTomb(x) {
			rename("INDEX", x.Schema, x.Name, p.tombName(x))
		}
	}
	for _, k := range p.partsIn(false, o.Address, KindConstraint) {
		if k.attr("index") != "" && p.staysWithTomb(k) {
			rename("INDEX", k.Schema, k.attr("index"), p.tombName(k))
		}
	}
	for _, s := range p.sequencesWith(o.Address) {
		rename("SEQUENCE", s.Schema, s.Name, p.tombName(s))
	}
	name := p.tombName(o)
	rename("TABLE", o.Schema, o.Name, name)
	lossy := p.ops[o.Address].change == drop && p.copiesRows(o.Address)
	move := statement(o.Address, "set "+o.Label()+" aside with its rows", "ALTER TABLE "+qualify(o.Schema, name)+" SET SCHEMA "+quote(TombstoneSchema)).locking(AccessExclusive, o.Address)
	if lossy {
		move = move.hazard(Lossy, "its rows are out of sight; they are kept until the grace period ends").hazard(Breaking, "statements that name "+p.originalOf(o.Address).Label()+" fail")
		p.check(Check{Kind: CheckRowsLeave, Object: p.originalOf(o.Address), Table: o.Address})
	}
	note := tombstoneNote{Kind: KindTable, Original: p.originalOf(o.Address), Comment: o.attr("comment"), Publish: p.opts.Publish, Rebuilt: !lossy}
	w.add(move, statement(o.Address, "note what it was", "COMMENT ON TABLE "+qualify(TombstoneSchema, name)+" IS "+literal(note.String())))
	p.plan.needsTombstones = true
}

// sequencesWith lists the sequences that move along with a set-aside table.
func (p *planner) sequencesWith(table Address) []*Object {
	var out []*Object
	for _, c := range p.partsIn(false, table, KindColumn) {
		if s := p.identityIn(p.from, c); s != nil {
			out = append(out, s)
		}
	}
	if p.ownedFrom == nil {
		p.ownedFrom = map[[2]string][]*Object{}
		for _, a := range p.sortedOps() {
			o := p.ops[a]
			if a.Kind != KindSequenceOwner || o.from == nil {
				continue
			}
			s := p.from.Objects[Address{Kind: KindSequence, Schema: a.Schema, Name: a.Name}]
			for _, d := range o.from.Deps {
				if d.Kind == KindColumn && s != nil && s.is("owned") {
					p.ownedFrom[[2]string{d.Schema, d.Name}] = append(p.ownedFrom[[2]string{d.Schema, d.Name}], s)
				}
			}
		}
	}
	for _, s := range p.ownedFrom[[2]string{table.Schema, table.Name}] {
		if p.goesWith(s.Address, table) {
			out = append(out, s)
		}
	}
	return out
}

// setAside moves a sequence, type or collation out of sight.
func (w *writer) setAside(o *Object) {
	p := w.p
	kind := sqlKind(o.Kind)
	name := p.tombName(o)
	at := o.Name
	if p.asides[o.Address] {
		at = asideName(o)
	}
	if o.Kind == KindSequence && o.is("owned") {
		w.ownSequence(o, "NONE")
	}
	under := func(name string) string {
		moved := o.clone()
		moved.Name = name
		return sqlName(moved)
	}
	w.add(statement(o.Address, "set "+o.String()+" aside", "ALTER "+kind+" "+under(at)+" RENAME TO "+quote(name)),
		statement(o.Address, "set "+o.String()+" aside", "ALTER "+kind+" "+under(name)+" SET SCHEMA "+quote(TombstoneSchema)))
	if m := o.attr("multirange"); m != "" { // it does not go with its range
		schema, old, _ := strings.Cut(unquoteAll(m), "\x00")
		if p.asides[o.Address] {
			old = asideMultirange(o)
		}
		temp := shorten(name + "_multirange")
		w.add(statement(o.Address, "set the multirange of "+o.String()+" aside", "ALTER TYPE "+qualify(schema, old)+" RENAME TO "+quote(temp)),
			statement(o.Address, "set the multirange of "+o.String()+" aside", "ALTER TYPE "+qualify(schema, temp)+" SET SCHEMA "+quote(TombstoneSchema)))
		for _, t := range []string{name, temp} {
			w.add(nameConstructors(o, qualify(TombstoneSchema, t), TombstoneSchema, t))
		}
	}
	p.plan.needsTombstones = true
}

// asideMultirange is the name of a range's multirange type in the meantime.
func asideMultirange(o *Object) string {
	return shorten(HiddenPrefix + "_oldm_" + o.Name + "_" + checksum(o.Schema+"."+o.Name))
}

// asideName is the name of a type while its successor is there already.
func asideName(o *Object) string {
	return shorten(HiddenPrefix + "_old_" + o.Name + "_" + checksum(o.Schema+"."+o.Name))
}

// setColumnAside copies a column's values into a table of their own and drops the column, in one transaction.
func (w *writer) setColumnAside(o *Object, removal Statement) {
	p := w.p
	table := p.from.Objects[p.relationIn(p.from, o.Address)]
	note := tombstoneNote{Kind: KindColumn, Original: p.originalOf(o.Address), Table: table.ID.OID, Publish: p.opts.Publish, Type: o.attr("type")}
	value := quote(o.Sub)
	if slices.ContainsFunc(o.Deps, func(d Address) bool {
		n := p.ops[d]
		return n != nil && (n.change == drop || n.change == recreate) && d.Kind != KindTable
	}) {
		value, note.Type = value+"::text", "text"
	}
	var key string
	keys, rest := p.rowKey(table.Address)
	if keys != nil {
		key = columnList(keys, "k")
	} else {
		key = digest(rest, "") + " AS k, row_number() OVER (PARTITION BY " + digest(rest, "") + ") AS n"
	}
	note.Keys, note.Digest, note.Only = p.numbersOf(table.Address, keys), p.numbersOf(table.Address, rest), p.dropsAlone(o.Address)
	source := onlyWord(note.Only) + table.tableName()
	side := shorten(fmt.Sprintf("%d_%d_%s_%s", o.ID.OID, o.ID.Sub, o.Name, o.Sub))
	p.plan.needsTombstones = true
	unlogged := p.publishesAll()
	create := "CREATE TABLE "
	if unlogged {
		create = "CREATE UNLOGGED TABLE "
	}
	copying := statement(o.Address, "keep the values of "+o.Label()+" aside", create+qualify(TombstoneSchema, side)+" AS SELECT "+key+", "+value+" AS value FROM "+source)
	lock := statement(o.Address, "let writers of "+table.Label()+" wait", "LOCK TABLE "+table.tableName()+" IN SHARE ROW EXCLUSIVE MODE").locking(ShareRowExclusive, table.Address)
	comment := statement(o.Address, "note what it was", "COMMENT ON TABLE "+qualify(TombstoneSchema, side)+" IS "+literal(note.String()))
	if p.hasRows(table.Address) {
		copying = copying.scanning().locking(ShareRowExclusive, table.Address).hazard(Locking, "writers wait while the values are copied")
		removal = removal.hazard(Lossy, "its values are out of sight; they are kept until the grace period ends")
		p.check(Check{Kind: CheckValuesLeave, Object: p.originalOf(o.Address), Table: table.Address, Columns: []string{o.Sub}})
	}
	steps := []Statement{lock, copying}
	if unlogged {
		steps = append(steps, statement(o.Address, "make that survive a crash", "ALTER TABLE "+qualify(TombstoneSchema, side)+" SET LOGGED"))
	}
	steps = append(steps, comment, removal)
	// One transaction: what is written between the copy and the removal would be lost.
	together := asideGroup - len(p.plan.Statements)
	for i := range steps {
		steps[i].Group = together
	}
	w.add(steps...)
	if keys != nil {
		w.add(statement(o.Address, "note how its rows are found", "ALTER TABLE "+qualify(TombstoneSchema, side)+" ADD PRIMARY KEY ("+keyNames(len(keys))+")"))
	}
}

// publishesAll says whether production publishes all of its tables: then rows that go into a table of our own would be sent to
// subscribers that have no such table, and replication would stop. What is written while a table becomes logged is not sent.
func (p *planner) publishesAll() bool {
	for a, o := range p.from.Objects {
		if a.Kind == KindPublication && o.is("all_tables") {
			return true
		}
	}
	return false
}

func onlyWord(only bool) string {
	if only {
		return "ONLY "
	}
	return ""
}

// rowKey says how rows of a table are recognised later: by the primary key where it stays, otherwise by all that stays.
func (p *planner) rowKey(table Address) (keys, rest []string) {
	stays := func(name string) bool {
		c := p.ops[Address{KindColumn, table.Schema, table.Name, name}]
		return c != nil && c.exists() && c.from.attr("type") == c.to.attr("type") && !c.retype
	}
	inherited := len(parentsOf(p.from, p.parts[false][[2]string{table.Schema, table.Name}])) > 0 || p.hasHeirs(table)
	for _, k := range p.partsIn(false, table, KindConstraint) {
		if k.attr("type") == "p" && !inherited && !slices.ContainsFunc(k.list("columns"), func(c string) bool { return !stays(c) }) {
			return k.list("columns"), nil
		}
	}
	for _, c := range p.partsIn(false, table, KindColumn) {
		if stays(c.Sub) && c.attr("generated") == "" {
			rest = append(rest, c.Sub)
		}
	}
	return nil, rest
}

// numbersOf are the numbers of columns (attnum), which stay when names change.
func (p *planner) numbersOf(table Address, columns []string) []int32 {
	var out []int32
	for _, c := range columns {
		out = append(out, p.from.Objects[Address{KindColumn, table.Schema, table.Name, c}].ID.Sub)
	}
	return out
}

// namesOf is the inverse of numbersOf, at another time.
func (p *planner) namesOf(table Address, numbers []int32) []string {
	var out []string
	for _, n := range numbers {
		for _, c := range p.partsIn(false, table, KindColumn) {
			if c.ID.Sub == n {
				out = append(out, c.Sub)
			}
		}
	}
	return out
}

// hasHeirs says whether tables inherit from it without being partitions: their rows show in it under keys of their own.
func (p *planner) hasHeirs(table Address) bool {
	return slices.ContainsFunc(p.users[table], func(u Address) bool { return u.Kind == KindInheritance && u.Name != table.Name })
}

func columnList(columns []string, prefix string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = quote(c) + " AS " + prefix + strconv.Itoa(i+1)
	}
	return strings.Join(out, ", ")
}

func keyNames(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "k" + strconv.Itoa(i+1)
	}
	return strings.Join(out, ", ")
}

// digest is the expression that recognises a row without a key. alias is the table's, with its dot, or "".
func digest(columns []string, alias string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = alias + quote(c) + "::text"
	}
	return "pg_catalog.md5(ROW(" + strings.Join(out, ", ") + ")::text)"
}

// values finds the values of a column that was set aside, or nil.
func (p *planner) values(column *Object) (*Object, tombstoneNote) {
	if !p.opts.Restore {
		return nil, tombstoneNote{}
	}
	table := p.from.Objects[p.relationIn(p.from, column.Address)]
	if table == nil {
		return nil, tombstoneNote{}
	}
	var newest *Object
	var note tombstoneNote
	for _, h := range p.from.Hidden {
		n, ok := parseTombstone(h)
		if ok && h.Kind == KindTable && n.Kind == KindColumn && n.Table == table.ID.OID && n.Original.Sub == column.Sub && (newest == nil || h.ID.OID > newest.ID.OID) {
			newest, note = h, n
		}
	}
	return newest, note
}

// fillColumn gives a new column its values: those that were set aside, or those that the user chose.
func (w *writer) fillColumn(o *Object) {
	p := w.p
	table := p.relationOf(o.Address)
	if side, note := p.values(o); side != nil {
		value := "s.value"
		if note.Type != o.attr("type") {
			value = "s.value::text::" + o.attr("type")
		}
		p.checkUnfilled(o, table, side, note)
		var on []string
		home := onlyWord(note.Only) + o.tableName()
		sql := "UPDATE " + home + " AS t SET " + quote(o.Sub) + " = " + value + " FROM " + sqlName(side) + " AS s"
		if len(note.Keys) > 0 {
			for i, k := range p.namesOf(p.relationIn(p.from, o.Address), note.Keys) {
				on = append(on, "t."+quote(k)+" = s.k"+strconv.Itoa(i+1))
			}
			sql += " WHERE " + strings.Join(on, " AND ")
		} else {
			d := digest(p.namesOf(p.relationIn(p.from, o.Address), note.Digest), "r.")
			sql += ", (SELECT r.tableoid AS home, r.ctid AS place, " + d + " AS k, row_number() OVER (PARTITION BY " + d + ") AS n FROM " + home + " AS r) AS x" +
				" WHERE t.tableoid = x.home AND t.ctid = x.place AND x.k = s.k AND x.n = s.n"
		}
		w.add(statement(o.Address, "bring back the values of "+o.Label(), sql).locking(AccessExclusive, table).scanning().hazard(Locking, "every row is written under the lock"))
	}
	if fill := p.opts.chosen("fill", o.Address); fill != "" {
		w.add(statement(o.Address, "fill "+o.String(), "UPDATE "+o.tableName()+" SET "+quote(o.Sub)+" = "+fill+" WHERE "+quote(o.Sub)+" IS NULL").locking(AccessExclusive, table).scanning().hazard(Locking, "every row is written under the lock"))
	}
	if o.attr("identity") != "" && p.filledLater(o) {
		if o.attr("identity") == "a" {
			w.add(statement(o.Address, "number "+o.String()+" always", "ALTER TABLE "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+" SET GENERATED ALWAYS").locking(AccessExclusive, table))
		}
		if s := p.identitySequence(o); s != nil {
			w.add(p.continueSequence(s, o))
		}
	}
	if p.filledLater(o) && o.is("not_null") && o.attr("identity") == "" {
		w.add(statement(o.Address, "require a value in "+o.String(), "ALTER TABLE "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+" SET NOT NULL").locking(AccessExclusive, table).scanning().hazard(DataBlocks, "rows without a value make it fail"))
	}
}

// checkUnfilled counts the rows that a required column would leave empty: those that were written since its values were set aside.
func (p *planner) checkUnfilled(o *Object, table Address, side *Object, note tombstoneNote) {
	if !p.filledLater(o) || !o.is("not_null") || o.attr("identity") != "" || p.opts.chosen("fill", o.Address) != "" {
		return
	}
	home := p.relationIn(p.from, o.Address)
	p.check(Check{Kind: CheckUnfilled, Object: o.Address, Table: table, Columns: p.namesOf(home, note.Keys), RefTable: side.Address, RefColumns: p.namesOf(home, note.Digest), Only: note.Only})
}

// filledLater says whether a new column gets values after it was added, so that it can be NOT NULL only then.
func (p *planner) filledLater(o *Object) bool {
	if p.opts.chosen("fill", o.Address) != "" {
		return true
	}
	side, _ := p.values(o)
	return side != nil && p.to.Objects[Address{KindDefault, o.Schema, o.Name, o.Sub}] == nil
}

// copyRows moves the rows of a table that was made anew into its successor.
func (w *writer) copyRows(table Address) {
	p := w.p
	old := p.from.Objects[table]
	var into, values []string
	for _, c := range p.partsIn(true, table, KindColumn) {
		f := p.from.Objects[c.Address]
		if f == nil || c.attr("generated") != "" {
			continue
		}
		value := quote(c.Sub)
		anew := p.ops[c.Address].retype || slices.ContainsFunc(c.Deps, func(d Address) bool { return d.Kind.isType() && p.ops[d] != nil && p.ops[d].change == recreate })
		if using, _ := p.conversion(f, c, anew); using != "" && (anew || f.attr("type") != c.attr("type")) {
			value = using
		}
		into, values = append(into, quote(c.Sub)), append(values, value)
	}
	if len(into) > 0 {
		w.add(statement(table, "move the rows of "+table.Label()+" into the new table",
			"INSERT INTO "+table.tableName()+" ("+strings.Join(into, ", ")+") OVERRIDING SYSTEM VALUE SELECT "+strings.Join(values, ", ")+" FROM "+qualify(TombstoneSchema, p.tombName(old))).
			locking(AccessExclusive, table).scanning().hazard(Rewrites, "every row is written again").hazard(DataBlocks, "rows that belong to no partition make it fail"))
	}
	if key := p.to.Objects[table].attr("partition_key"); key != "" {
		c := Check{Kind: CheckPartition, Object: table, Table: table, Definition: key}
		for _, a := range p.sortedOps() {
			if t := p.to.Objects[a]; a.Kind == KindPartition && t != nil && p.parentTable(p.to, t) == table {
				c.Bounds = append(c.Bounds, t.attr("bound"))
			}
		}
		p.check(c)
	}
	for _, c := range p.partsIn(true, table, KindColumn) {
		if s := p.identitySequence(c); s != nil && p.from.Objects[c.Address] != nil {
			w.add(p.continueSequence(s, c))
		}
	}
}
