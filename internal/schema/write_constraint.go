package schema

import (
	"strings"
)

// createConstraint adds a constraint. On a table with rows it is added unchecked and checked afterwards, or built on an index
// that was made while clients went on.
func (w *writer) createConstraint(o *Object) {
	table := w.p.relationOf(o.Address)
	definition := o.attr("definition")
	rows := w.p.hasRows(table)
	partitioned := w.p.to.Objects[table] != nil && w.p.to.Objects[table].attr("partition_key") != ""
	defer w.constraintExtras(o)
	switch o.attr("type") {
	case "p", "u", "x":
		w.createKey(o, table, rows, partitioned)
	case "f":
		w.createForeignKey(o, table, rows, partitioned)
	default:
		head := "ALTER TABLE " + o.tableName() + " ADD CONSTRAINT " + quote(o.Sub) + " "
		if strings.HasSuffix(definition, " NOT VALID") || !rows {
			w.add(statement(o.Address, "add "+o.String(), head+definition).locking(AccessExclusive, w.existing(table)...))
			return
		}
		w.p.check(Check{Kind: CheckExpression, Object: o.Address, Table: table, Expression: checkExpression(definition)})
		w.add(statement(o.Address, "add "+o.String()+" for new rows", head+definition+" NOT VALID").locking(AccessExclusive, table).hazard(Breaking, "rows that break it are refused"))
		w.validate(o, table)
	}
}

// existing leaves out tables that the plan makes: nobody waits for a lock on them.
func (w *writer) existing(tables ...Address) []Address {
	var out []Address
	for _, t := range tables {
		if !w.p.isNew(t) {
			out = append(out, t)
		}
	}
	return out
}

// validate checks the rows that were there before a constraint.
func (w *writer) validate(o *Object, table Address) {
	w.after(statement(o.Address, "check every row against "+o.String(), "ALTER TABLE "+o.tableName()+" VALIDATE CONSTRAINT "+quote(o.Sub)).
		locking(ShareUpdateExclusive, table).scanning().hazard(DataBlocks, "rows that break it make it fail"))
}

// checkExpression takes the expression out of CHECK (...) [NO INHERIT] [NOT VALID] [NOT ENFORCED].
func checkExpression(definition string) string {
	tokens := tokenize(definition)
	for i, t := range tokens {
		if t.is("(") {
			_, end := splitList(tokens, i)
			return joinTokens(tokens[i+1 : end])
		}
	}
	return "true"
}

func (w *writer) createKey(o *Object, table Address, rows, partitioned bool) {
	definition := o.attr("definition")
	only := ""
	if partitioned {
		only = "ONLY " // the partitions' own keys are attached to it
	}
	add := "ALTER TABLE " + only + o.tableName() + " ADD CONSTRAINT " + quote(o.Sub) + " "
	if !rows {
		w.add(statement(o.Address, "add "+o.String(), add+definition).locking(AccessExclusive, w.existing(table)...))
		return
	}
	kind, word := CheckUnique, "two rows with the same key make it fail"
	if o.attr("type") == "x" {
		kind, word = CheckExclusion, "rows that exclude each other make it fail"
	}
	w.p.check(Check{Kind: kind, Object: o.Address, Table: table, Columns: o.list("columns"), NullsEqual: strings.Contains(definition, "NULLS NOT DISTINCT"), Definition: definition})
	index, rest, ok := keyAsIndex(o)
	if !ok || partitioned || w.swap || !w.p.opts.online() || o.attr("type") == "x" || temporal(definition) {
		w.add(statement(o.Address, "add "+o.String(), add+definition).locking(AccessExclusive, table).scanning().hazard(Locking, "its index is built while everybody waits").hazard(DataBlocks, word).hazard(Breaking, "rows that repeat a key are refused"))
		return
	}
	name := qualify(o.Schema, o.Sub)
	w.add(statement(o.Address, "build the index of "+o.String()+" while clients go on", "CREATE UNIQUE INDEX CONCURRENTLY "+quote(o.Sub)+" "+index).locking(ShareUpdateExclusive, table).scanning().
		hazard(DataBlocks, word).hazard(Breaking, "rows that repeat a key are refused").alone("DROP INDEX CONCURRENTLY IF EXISTS "+name),
		statement(o.Address, "make the index the key "+o.String(), "ALTER TABLE "+o.tableName()+" ADD CONSTRAINT "+quote(o.Sub)+" "+rest).locking(AccessExclusive, table))
}

// temporal keys (version 18) cannot be built on an index.
func temporal(definition string) bool { return strings.Contains(definition, "WITHOUT OVERLAPS") }

// keyAsIndex splits a key's definition into an index to build beforehand and the constraint that uses it.
func keyAsIndex(o *Object) (index, constraint string, ok bool) {
	tokens := tokenize(o.attr("definition"))
	open := -1
	for i, t := range tokens {
		if t.is("(") {
			open = i
			break
		}
	}
	if open < 0 {
		return "", "", false
	}
	head := strings.TrimSpace(joinTokens(tokens[:open]))
	_, end := splitList(tokens, open)
	columns, tail := joinTokens(tokens[open:end+1]), joinTokens(tokens[end+1:])
	nulls := ""
	if cut, found := strings.CutSuffix(head, " NULLS NOT DISTINCT"); found {
		head, nulls = cut, " NULLS NOT DISTINCT"
	}
	deferred := ""
	for _, word := range []string{" DEFERRABLE INITIALLY DEFERRED", " DEFERRABLE"} {
		if cut, found := strings.CutSuffix(tail, word); found {
			tail, deferred = cut, word
			break
		}
	}
	include, with := tail, ""
	if at := strings.Index(tail, " WITH ("); at >= 0 {
		include, with = tail[:at], tail[at:]
	}
	return "ON " + o.tableName() + " USING btree " + columns + include + nulls + with, head + " USING INDEX " + quote(o.Sub) + deferred, head == "PRIMARY KEY" || head == "UNIQUE"
}

func (w *writer) createForeignKey(o *Object, table Address, rows, partitioned bool) {
	definition := o.attr("definition")
	var ref Address
	if r := o.list("ref"); len(r) == 2 {
		ref = w.p.relationOf(Address{KindTable, r[0], r[1], ""})
	}
	locked := w.existing(table, ref)
	add := "ALTER TABLE " + o.tableName() + " ADD CONSTRAINT " + quote(o.Sub) + " " + definition
	if strings.HasSuffix(definition, " NOT VALID") || !rows {
		w.add(statement(o.Address, "add "+o.String(), add).locking(ShareRowExclusive, locked...))
		return
	}
	w.p.check(Check{Kind: CheckForeignKey, Object: o.Address, Table: table, Columns: o.list("columns"), RefTable: ref, RefColumns: o.list("ref_columns")})
	if partitioned && w.p.from.Version < 180000 {
		w.add(statement(o.Address, "add "+o.String(), add).locking(ShareRowExclusive, locked...).scanning().
			hazard(Locking, "every row is checked while writers wait").hazard(DataBlocks, "rows without a partner make it fail").hazard(Breaking, "rows without a partner are refused"))
		return
	}
	w.add(statement(o.Address, "add "+o.String()+" for new rows", add+" NOT VALID").locking(ShareRowExclusive, locked...).hazard(Breaking, "rows without a partner are refused"))
	w.validate(o, table)
}

// constraintExtras sets what ADD CONSTRAINT cannot say.
func (w *writer) constraintExtras(o *Object) {
	w.indexMarks(o, o.Sub, changedAttrs(&Object{Address: o.Address}, o), nil)
}

// indexMarks sets what an index can be beside its definition: the order of CLUSTER, the replica identity, a tablespace.
func (w *writer) indexMarks(o *Object, index string, changed map[string]bool, from *Object) {
	table := w.p.tableOf(o)
	head := "ALTER TABLE " + table.tableName()
	if changed["tablespace"] {
		w.add(statement(o.Address, "move "+o.String()+" to another tablespace", "ALTER INDEX "+qualify(o.Schema, index)+" SET TABLESPACE "+tablespaceName(o)).locking(AccessExclusive, table).hazard(Rewrites, "the index is copied"))
	}
	if changed["clustered"] {
		if o.is("clustered") {
			w.add(statement(o.Address, "remember "+o.String()+" as the order of CLUSTER", head+" CLUSTER ON "+quote(index)).locking(ShareUpdateExclusive, table))
		} else if !w.p.anyIndex(table, "clustered") {
			w.add(statement(o.Address, "forget the order of CLUSTER", head+" SET WITHOUT CLUSTER").locking(ShareUpdateExclusive, table))
		}
	}
	if changed["replica_identity"] {
		if o.is("replica_identity") {
			w.add(statement(o.Address, "identify rows for replication by "+o.String(), head+" REPLICA IDENTITY USING INDEX "+quote(index)).locking(AccessExclusive, table))
		} else if t := w.p.to.Objects[table]; from != nil && t != nil && t.attr("replica_identity") == "" && !w.p.identityByIndex(t) {
			w.add(statement(o.Address, "identify rows for replication by the primary key", head+" REPLICA IDENTITY DEFAULT").locking(AccessExclusive, table))
		}
	}
}

func (p *planner) anyIndex(table Address, attr string) bool {
	for _, o := range p.indexes[true][[2]string{table.Schema, table.Name}] {
		if o.is(attr) {
			return true
		}
	}
	for _, o := range p.partsIn(true, table, KindConstraint) {
		if o.is(attr) {
			return true
		}
	}
	return false
}

// alterConstraint changes a constraint in place; false when it must be made anew.
func (w *writer) alterConstraint(from, o *Object, changed map[string]bool) bool {
	table := w.p.relationOf(o.Address)
	if changed["type"] || changed["invalid"] {
		return false
	}
	if changed["definition"] {
		switch {
		case from.attr("definition") == o.attr("definition")+" NOT VALID":
			w.p.checkConstraint(o, table)
			w.validate(o, table)
		case from.attr("type") == "f" && stripDeferrable(from.attr("definition")) == stripDeferrable(o.attr("definition")):
			w.add(statement(o.Address, "change when "+o.String()+" is checked", "ALTER TABLE "+o.tableName()+" ALTER CONSTRAINT "+quote(o.Sub)+deferrableClause(o.attr("definition"))).locking(AccessExclusive, table))
		default:
			return false
		}
	}
	w.indexMarks(o, o.Sub, changed, from)
	return true
}

// checkConstraint notes how rows can break a constraint that is only now checked.
func (p *planner) checkConstraint(o *Object, table Address) {
	switch o.attr("type") {
	case "c":
		p.check(Check{Kind: CheckExpression, Object: o.Address, Table: table, Expression: checkExpression(o.attr("definition"))})
	case "f":
		if r := o.list("ref"); len(r) == 2 {
			p.check(Check{Kind: CheckForeignKey, Object: o.Address, Table: table, Columns: o.list("columns"), RefTable: p.relationOf(Address{KindTable, r[0], r[1], ""}), RefColumns: o.list("ref_columns")})
		}
	}
}

func stripDeferrable(definition string) string {
	rest, notValid := strings.CutSuffix(definition, " NOT VALID")
	for _, word := range []string{" INITIALLY DEFERRED", " DEFERRABLE"} {
		rest = strings.TrimSuffix(rest, word)
	}
	if notValid {
		rest += " NOT VALID"
	}
	return rest
}

func deferrableClause(definition string) string {
	switch {
	case strings.Contains(definition, " INITIALLY DEFERRED"):
		return " DEFERRABLE INITIALLY DEFERRED"
	case strings.Contains(definition, " DEFERRABLE"):
		return " DEFERRABLE INITIALLY IMMEDIATE"
	}
	return " NOT DEFERRABLE"
}

func (w *writer) dropConstraint(o *Object) {
	table := w.p.relationOf(o.Address)
	tables := []Address{table}
	if r := o.list("ref"); len(r) == 2 {
		tables = append(tables, w.p.relationOf(Address{KindTable, r[0], r[1], ""}))
	}
	w.add(statement(o.Address, "drop "+o.String(), "ALTER TABLE "+o.tableName()+" DROP CONSTRAINT "+quote(o.Sub)).locking(AccessExclusive, tables...))
}
