package schema

import (
	"strings"
)

// addColumn adds a column to a relation that exists.
func (w *writer) addColumn(o *Object) {
	table := w.p.relationOf(o.Address)
	switch table.Kind {
	case KindView, KindMatView:
		return
	case KindComposite:
		w.add(statement(o.Address, "add "+o.String(), "ALTER TYPE "+o.tableName()+" ADD ATTRIBUTE "+attributeDefinition(o)))
		return
	}
	st := statement(o.Address, "add "+o.String(), "ALTER TABLE "+o.tableName()+" ADD COLUMN "+w.p.columnDefinition(o, false)).locking(AccessExclusive, table)
	if w.p.hasRows(table) {
		st = w.addColumnHazards(o, st)
	}
	w.add(st)
	for _, a := range w.p.heirsOf(o.Address) {
		if h := w.p.ops[a]; h.exists() && !h.from.is("inherited") && h.to.is("inherited") && !h.to.is("merged") {
			w.add(statement(a, "note that "+a.String()+" is inherited", mergedSQL(h.to)))
		}
	}
	w.fillColumn(o)
	w.columnExtras(o, nil, changedAttrs(&Object{Address: o.Address}, o))
	if s := w.p.identitySequence(o); s != nil {
		w.facetsOfNew(s)
	}
}

func (w *writer) addColumnHazards(o *Object, st Statement) Statement {
	d := w.p.to.Objects[Address{KindDefault, o.Schema, o.Name, o.Sub}]
	switch {
	case o.attr("generated") == "s", o.attr("identity") != "", d != nil && !constantDefault(d):
		st = st.hazard(Rewrites, "every row gets a value of its own: the whole table is written again under the lock")
	case o.is("not_null") && d == nil && o.attr("generated") == "" && !w.p.filledLater(o):
		st = st.hazard(DataBlocks, "rows that exist have no value for it: give it a default, or fill it first")
		w.p.check(Check{Kind: CheckNoRows, Object: o.Address, Table: w.p.relationOf(o.Address)})
	}
	if o.is("not_null") && d == nil && o.attr("generated") == "" && o.attr("identity") == "" {
		st = st.hazard(Breaking, "inserts that do not name it fail")
	}
	return st
}

// constantDefault says whether a default is the same for every row, so that adding it rewrites nothing. Functions that are known
// to be stable within a statement count; any other may be volatile.
func constantDefault(d *Object) bool {
	tokens := solid(tokenize(d.attr("expression")))
	for i, t := range tokens {
		if t.is("(") && i > 0 && tokens[i-1].name() != "" {
			switch tokens[i-1].name() {
			case "now", "current_timestamp", "statement_timestamp", "transaction_timestamp", "varchar", "numeric", "char", "character", "varying", "bit", "timestamp", "time", "interval", "lower", "upper", "array":
			default:
				return false
			}
		}
	}
	return true
}

func attributeDefinition(o *Object) string {
	definition := quote(o.Sub) + " " + o.attr("type")
	if collation := o.attr("collation"); collation != "" {
		definition += " COLLATE " + collation
	}
	return definition
}

// columnExtras sets what a column's definition cannot say. from is nil for a new column.
func (w *writer) columnExtras(o, from *Object, changed map[string]bool) {
	table := w.p.relationOf(o.Address)
	head := "ALTER TABLE ONLY " + o.tableName() + " ALTER COLUMN " + quote(o.Sub)
	set := func(lock LockMode, what, sql string) {
		w.add(statement(o.Address, what+" of "+o.String(), head+" "+sql).locking(lock, table))
	}
	if changed["storage"] && table.Kind != KindComposite {
		// Without an attribute the type's own storage holds; only version 16 has a word for it.
		name := map[string]string{"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}[o.attr("storage")]
		if name == "" {
			name = w.p.defaultStorage(o, from)
		}
		set(AccessExclusive, "storage", "SET STORAGE "+name)
	}
	if changed["statistics"] {
		target := o.attr("statistics")
		if target == "" {
			target = "-1"
		}
		set(ShareUpdateExclusive, "statistics target", "SET STATISTICS "+target)
	}
	if changed["compression"] && from != nil {
		name := "default"
		if c := o.attr("compression"); c != "" {
			name = compressionName(c)
		}
		set(AccessExclusive, "compression", "SET COMPRESSION "+name)
	}
	if changed["options"] {
		w.alterOptions(o, head, "", from.list("options"), o.list("options"), ShareUpdateExclusive)
	}
	if changed["fdw_options"] && from != nil {
		w.add(statement(o.Address, "options of "+o.String(), "ALTER FOREIGN TABLE "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+changedForeignOptions(from.list("fdw_options"), o.list("fdw_options"))))
	}
	if name, rest := notNullName(o.attr("not_null_name")); from == nil && strings.HasPrefix(rest, " NOT VALID") {
		w.add(statement(o.Address, "leave NOT NULL of "+o.String()+" unchecked", "ALTER TABLE "+o.tableName()+" DROP CONSTRAINT "+quote(name)),
			statement(o.Address, "leave NOT NULL of "+o.String()+" unchecked", "ALTER TABLE "+o.tableName()+" ADD CONSTRAINT "+quote(name)+" NOT NULL "+quote(o.Sub)+" NOT VALID"))
	}
}

// defaultStorage is the storage of the column's type, as the other side of the comparison shows it by having no attribute.
func (p *planner) defaultStorage(o, from *Object) string {
	if p.from.Version >= 160000 {
		return "DEFAULT"
	}
	// Types that can be stored out of line differ in their default; numeric and the network types keep theirs in line if they can.
	switch name := o.attr("type_name"); {
	case name == "numeric", name == "inet", name == "cidr":
		return "MAIN"
	case from.attr("storage") == "p" || from.attr("storage") == "e" || from.attr("storage") == "m":
		return "EXTENDED"
	}
	return "PLAIN"
}

// inheritedColumn gives an inherited column of a new table what it has beyond its parent.
func (w *writer) inheritedColumn(o *Object) {
	up, ok := w.p.columnAbove(w.p.to, o.Address)
	if !ok {
		return
	}
	changed := changedAttrs(up, o)
	delete(changed, "merged")
	if changed["not_null"] && o.is("not_null") {
		w.add(statement(o.Address, "require a value in "+o.String(), "ALTER TABLE "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+" SET NOT NULL"))
	}
	w.columnExtras(o, up, changed)
}

// columnAbove is the column of a parent from which a column is inherited.
func (p *planner) columnAbove(c *Catalog, a Address) (*Object, bool) {
	parts := p.parts[c == p.to][[2]string{a.Schema, a.Name}]
	for _, parent := range parentsOf(c, parts) {
		if up := c.Objects[Address{KindColumn, parent.Schema, parent.Name, a.Sub}]; up != nil {
			return up, true
		}
	}
	return nil, false
}

// alterColumn says how a column changes in place; false when it must be made anew.
func (w *writer) alterColumn(from, o *Object, changed map[string]bool, retype bool) bool {
	table := w.p.relationOf(o.Address)
	if table.Kind == KindView || table.Kind == KindMatView {
		return true // its definition carries everything but comment and privileges
	}
	if table.Kind == KindComposite {
		if changed["type"] || changed["collation"] || retype {
			w.add(statement(o.Address, "change the type of "+o.String(), "ALTER TYPE "+o.tableName()+" ALTER ATTRIBUTE "+quote(o.Sub)+" TYPE "+o.attr("type")+collateClause(o)))
		}
		return true
	}
	if changed["generated"] || changed["expression"] {
		if !w.alterGenerated(from, o, changed) {
			return false
		}
	}
	head := "ALTER TABLE " + o.tableName() + " ALTER COLUMN " + quote(o.Sub)
	if changed["identity"] && o.attr("identity") == "" {
		w.add(statement(o.Address, "stop numbering "+o.String(), head+" DROP IDENTITY").locking(AccessExclusive, table).hazard(Breaking, "inserts that do not name it get no number"))
	}
	if changed["type"] || changed["collation"] || retype {
		w.changeType(from, o, retype)
	}
	if changed["not_null"] || changed["not_null_name"] {
		w.changeNotNull(from, o)
	}
	if changed["identity"] && o.attr("identity") != "" {
		w.changeIdentity(from, o)
	}
	if changed["merged"] {
		w.add(statement(o.Address, "note that "+o.String()+" is inherited", mergedSQL(o)))
	}
	w.columnExtras(o, from, changed)
	return true
}

// mergedSQL corrects whether an inherited column also counts as the table's own: no statement of the server can say it, and
// pg_dump --binary-upgrade does it in the same way.
func mergedSQL(o *Object) string {
	return "UPDATE pg_catalog.pg_attribute SET attislocal = " + boolWord(o.is("merged")) + " WHERE attrelid = " + literal(o.tableName()) + "::pg_catalog.regclass AND attname = " + literal(o.Sub)
}

func boolWord(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func collateClause(o *Object) string {
	if c := o.attr("collation"); c != "" {
		return " COLLATE " + c
	}
	return ""
}

// alterGenerated changes how a column is computed; false when it must be dropped and added again, which loses nothing that
// was computed.
func (w *writer) alterGenerated(from, o *Object, changed map[string]bool) bool {
	table := w.p.relationOf(o.Address)
	head := "ALTER TABLE " + o.tableName() + " ALTER COLUMN " + quote(o.Sub)
	if side, _ := w.p.values(o); side != nil && o.attr("generated") == "" {
		return false // the values that it had before it was computed come back
	}
	switch {
	case from.attr("generated") == "s" && o.attr("generated") == "":
		w.add(statement(o.Address, "make "+o.String()+" a plain column", head+" DROP EXPRESSION").locking(AccessExclusive, table).hazard(Breaking, "its values are no longer computed"))
		return true
	case from.attr("generated") != "" && from.attr("generated") == o.attr("generated") && w.p.from.Version >= 170000 && !changed["type"]:
		w.add(statement(o.Address, "change how "+o.String()+" is computed", head+" SET EXPRESSION AS ("+o.attr("expression")+")").locking(AccessExclusive, table).hazard(Rewrites, "the whole table is written again"))
		return true
	}
	return false
}

// changeIdentity makes a column number itself, or changes whether it does always.
func (w *writer) changeIdentity(from, o *Object) {
	table := w.p.relationOf(o.Address)
	head := "ALTER TABLE " + o.tableName() + " ALTER COLUMN " + quote(o.Sub)
	if from.attr("identity") != "" {
		word := "BY DEFAULT"
		if o.attr("identity") == "a" {
			word = "ALWAYS"
		}
		w.add(statement(o.Address, "change the numbering of "+o.String(), head+" SET GENERATED "+word).locking(AccessExclusive, table).hazard(Breaking, "inserts that give a value of their own may be refused"))
		return
	}
	w.add(statement(o.Address, "number "+o.String()+" automatically", head+" ADD "+w.p.identityClause(o)).locking(AccessExclusive, table))
	if s := w.p.identitySequence(o); s != nil {
		w.add(w.p.continueSequence(s, o))
		w.facetsOfNew(s)
	}
}

// changeNotNull sets or drops NOT NULL. A large table is checked beforehand by a constraint that lets readers and writers go on.
func (w *writer) changeNotNull(from, o *Object) {
	table := w.p.relationOf(o.Address)
	head := "ALTER TABLE " + o.tableName()
	column := " ALTER COLUMN " + quote(o.Sub)
	switch {
	case from.is("not_null") && o.is("not_null"):
		oldName, newName := w.p.notNullNames(from, o)
		if _, rest := notNullName(o.attr("not_null_name")); strings.Contains(rest, " NOT VALID") && !strings.Contains(from.attr("not_null_name"), " NOT VALID") {
			// What was checked cannot be told to be unchecked; rows are not read for it.
			w.add(statement(o.Address, "leave NOT NULL of "+o.String()+" unchecked", head+" DROP CONSTRAINT "+quote(oldName)+", ADD CONSTRAINT "+quote(newName)+" NOT NULL "+quote(o.Sub)+rest).locking(AccessExclusive, table))
			return
		}
		if oldName != newName {
			w.add(statement(o.Address, "rename the NOT NULL constraint of "+o.String(), head+" RENAME CONSTRAINT "+quote(oldName)+" TO "+quote(newName)).locking(AccessExclusive, table))
		}
		if alone := strings.HasSuffix(o.attr("not_null_name"), " NO INHERIT"); alone != strings.HasSuffix(from.attr("not_null_name"), " NO INHERIT") {
			inherit := " INHERIT"
			if alone {
				inherit = " NO INHERIT"
			}
			w.add(statement(o.Address, "which tables NOT NULL of "+o.String()+" holds for", head+" ALTER CONSTRAINT "+quote(newName)+inherit).locking(AccessExclusive, table))
		}
		if strings.Contains(from.attr("not_null_name"), " NOT VALID") && !strings.Contains(o.attr("not_null_name"), " NOT VALID") {
			w.after(statement(o.Address, "check NOT NULL of "+o.String(), head+" VALIDATE CONSTRAINT "+quote(newName)).locking(ShareUpdateExclusive, table).scanning().hazard(DataBlocks, "rows without a value make it fail"))
		}
		return
	case !o.is("not_null"):
		w.add(statement(o.Address, "allow no value in "+o.String(), head+column+" DROP NOT NULL").locking(AccessExclusive, table))
		return
	}
	w.p.check(Check{Kind: CheckNotNull, Object: o.Address, Table: table, Columns: []string{o.Sub}})
	set := statement(o.Address, "require a value in "+o.String(), head+column+" SET NOT NULL").locking(AccessExclusive, table)
	if name, rest := notNullName(o.attr("not_null_name")); name != "" {
		set.SQL = head + " ADD CONSTRAINT " + quote(name) + " NOT NULL " + quote(o.Sub) + rest
	}
	if !w.p.hasRows(table) {
		w.add(set)
		return
	}
	breaking := "inserts and updates that leave it empty fail"
	if w.swap || w.p.from.Objects[table].attr("partition_key") != "" || !w.p.opts.online() {
		w.add(set.scanning().hazard(Locking, "the table is read under the lock").hazard(DataBlocks, "rows without a value make it fail").hazard(Breaking, breaking))
		return
	}
	helper := quote(helperName("notnull", o.Address))
	w.add(statement(o.Address, "begin to require a value in "+o.String(), head+" ADD CONSTRAINT "+helper+" CHECK ("+quote(o.Sub)+" IS NOT NULL) NOT VALID").locking(AccessExclusive, table).hazard(Breaking, breaking),
		statement(o.Address, "check that every row has a value in "+o.String(), head+" VALIDATE CONSTRAINT "+helper).locking(ShareUpdateExclusive, table).scanning().hazard(DataBlocks, "rows without a value make it fail"),
		set, statement(o.Address, "remove the helper that proved it", head+" DROP CONSTRAINT "+helper).locking(AccessExclusive, table))
}

// notNullNames are the names of the NOT NULL constraint before and after (version 18 and later).
func (p *planner) notNullNames(from, o *Object) (string, string) {
	name := func(c *Object) string {
		if n, _ := notNullName(c.attr("not_null_name")); n != "" {
			return n
		}
		return usualNotNullName(c)
	}
	return name(from), name(o)
}

// dropColumn removes a column or sets its values aside.
func (w *writer) dropColumn(o *Object) {
	table := w.p.relationOf(o.Address)
	if table.Kind == KindComposite {
		w.add(statement(o.Address, "drop "+o.String(), "ALTER TYPE "+o.tableName()+" DROP ATTRIBUTE "+quote(o.Sub)))
		return
	}
	if table.Kind == KindView || table.Kind == KindMatView {
		return
	}
	only := onlyWord(w.p.dropsAlone(o.Address))
	st := statement(o.Address, "drop "+o.String(), "ALTER TABLE "+only+o.tableName()+" DROP COLUMN "+quote(o.Sub)).locking(AccessExclusive, table)
	if p := w.p.ops[o.Address]; p.change == recreate && o.attr("generated") != "" && p.to.attr("generated") != "" {
		w.add(st) // its values are computed again
		return
	}
	st = st.hazard(Breaking, "statements that name "+o.Label()+" fail")
	if w.p.opts.outright[o.Address] {
		w.add(st)
		return
	}
	if w.p.opts.Tombstones && o.attr("generated") == "" && table.Kind == KindTable {
		w.setColumnAside(o, st)
		return
	}
	if o.attr("generated") == "" && w.p.hasRows(table) {
		st = st.hazard(Lossy, "its values are lost")
	}
	w.add(st)
}

// helperName is the name of something that exists only while a plan runs; it says what it belongs to.
func helperName(what string, a Address) string {
	name := HiddenPrefix + "_" + what + "_" + a.Name + "_" + a.Sub
	return shorten(name)
}

// maxName is the longest identifier that the server keeps, in bytes.
const maxName = 63

// shorten keeps a name within what the server accepts, distinct by a checksum of the whole.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := checksum(name)
	cut := maxName - len(sum) - 1
	for cut > 0 && name[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return name[:cut] + "_" + sum
}
