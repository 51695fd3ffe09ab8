package schema

import "strings"

func (w *writer) createIndex(o *Object) {
	table := w.p.tableOf(o)
	unique := ""
	if o.is("unique") {
		unique = "UNIQUE "
	}
	definition := o.attr("definition")
	rows := w.p.hasRows(table)
	if rows && o.is("unique") {
		w.p.check(Check{Kind: CheckUnique, Object: o.Address, Table: table, Definition: definition, NullsEqual: strings.Contains(definition, "NULLS NOT DISTINCT")})
	}
	switch {
	case !rows || o.is("partitioned"):
		w.add(statement(o.Address, "create "+o.String(), "CREATE "+unique+"INDEX "+quote(o.Name)+" "+definition).locking(Share, w.existing(table)...))
	case w.swap || !w.p.opts.online() || table.Kind == KindMatView && w.p.ops[table].change != keep:
		st := statement(o.Address, "create "+o.String(), "CREATE "+unique+"INDEX "+quote(o.Name)+" "+definition).locking(Share, table).scanning().hazard(Locking, "writers wait while it is built")
		w.add(uniqueHazard(o, st))
	default:
		st := statement(o.Address, "create "+o.String()+" while clients go on", "CREATE "+unique+"INDEX CONCURRENTLY "+quote(o.Name)+" "+definition).locking(ShareUpdateExclusive, table).scanning().
			alone("DROP INDEX CONCURRENTLY IF EXISTS " + sqlName(o))
		w.add(uniqueHazard(o, st))
	}
	w.indexStatistics(nil, o)
	w.indexMarks(o, o.Name, changedAttrs(&Object{Address: o.Address}, o), nil)
}

func uniqueHazard(o *Object, st Statement) Statement {
	if o.is("unique") {
		return st.hazard(DataBlocks, "two rows with the same key make it fail").hazard(Breaking, "rows that repeat a key are refused")
	}
	return st
}

// indexStatistics sets the statistics targets of an index's expressions, which go by their position.
func (w *writer) indexStatistics(from, o *Object) {
	old, now := numbers(from.attr("statistics")), numbers(o.attr("statistics"))
	for _, position := range sortedKeys(now) {
		if old[position] != now[position] {
			w.add(statement(o.Address, "statistics target of "+o.String(), "ALTER INDEX "+sqlName(o)+" ALTER COLUMN "+position+" SET STATISTICS "+now[position]))
		}
	}
	for _, position := range sortedKeys(old) {
		if now[position] == "" {
			w.add(statement(o.Address, "statistics target of "+o.String(), "ALTER INDEX "+sqlName(o)+" ALTER COLUMN "+position+" SET STATISTICS -1"))
		}
	}
}

// alterIndex changes an index in place; false when it must be made anew.
func (w *writer) alterIndex(from, o *Object, changed map[string]bool) bool {
	if changed["table"] || changed["unique"] || changed["invalid"] && !o.is("partitioned") {
		return false
	}
	if changed["definition"] {
		oldRest, oldWith := cutWith(from.attr("definition"))
		newRest, newWith := cutWith(o.attr("definition"))
		if oldRest != newRest {
			return false
		}
		w.alterOptions(o, "ALTER INDEX "+sqlName(o), "", oldWith, newWith, ShareUpdateExclusive)
	}
	w.indexStatistics(from, o)
	w.indexMarks(o, o.Name, changed, from)
	return true
}

// cutWith takes the storage parameters out of an index's definition.
func cutWith(definition string) (rest string, with []string) {
	tokens := tokenize(definition)
	depth := 0
	for i, t := range tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is("WITH") && i+2 < len(tokens) && tokens[i+2].is("("):
			elements, end := splitList(tokens, i+2)
			for _, e := range elements {
				name, value, _ := strings.Cut(squeeze(e), "=")
				with = append(with, name+"="+strings.Trim(value, "'"))
			}
			return strings.TrimSpace(joinTokens(tokens[:i])) + " " + strings.TrimSpace(joinTokens(tokens[end+1:])), with
		}
	}
	return definition + " ", nil
}

func (w *writer) dropIndex(o *Object) {
	table := w.p.tableOf(o)
	if w.swap || !w.p.hasRows(table) || o.is("partitioned") || !w.p.opts.online() || w.p.from.Objects[table].attr("partition_key") != "" || w.p.attachedIndex(o) {
		w.add(statement(o.Address, "drop "+o.String(), "DROP INDEX "+sqlName(o)).locking(AccessExclusive, table))
		return
	}
	w.add(statement(o.Address, "drop "+o.String()+" while clients go on", "DROP INDEX CONCURRENTLY "+sqlName(o)).locking(ShareUpdateExclusive, table).alone(""))
}

// attachedIndex says whether the index is a part of a partitioned one.
func (p *planner) attachedIndex(o *Object) bool {
	return p.from.Objects[Address{Kind: KindIndexPartition, Schema: o.Schema, Name: o.Name}] != nil
}

// attachIndex makes an index part of the partitioned one. The server does it by itself where it can; doing it twice is harmless.
func (w *writer) attachIndex(o *Object) {
	w.add(statement(o.Address, "attach index "+o.Schema+"."+o.Name+" to "+o.attr("parent"), "ALTER INDEX "+o.attr("parent")+" ATTACH PARTITION "+o.tableName()))
}

func (w *writer) createStatistics(o *Object) {
	var on []string
	for _, c := range o.list("columns_of") {
		on = append(on, quote(c))
	}
	for _, e := range o.list("expressions") {
		on = append(on, "("+e+")")
	}
	kinds := ""
	if k := o.list("kinds"); len(k) > 0 && len(k) < 3 && len(on) > 1 {
		var words []string
		for _, letter := range k {
			words = append(words, map[string]string{"d": "ndistinct", "f": "dependencies", "m": "mcv"}[letter])
		}
		kinds = " (" + strings.Join(words, ", ") + ")"
	}
	w.add(statement(o.Address, "create "+o.String(), "CREATE STATISTICS "+sqlName(o)+kinds+" ON "+strings.Join(on, ", ")+" FROM "+o.attr("table")))
	w.statisticsTarget(o, o.attr("target") != "")
}

func (w *writer) statisticsTarget(o *Object, changed bool) {
	if changed {
		target := o.attr("target")
		if target == "" {
			target = "-1"
		}
		w.add(statement(o.Address, "statistics target of "+o.String(), "ALTER STATISTICS "+sqlName(o)+" SET STATISTICS "+target))
	}
}
