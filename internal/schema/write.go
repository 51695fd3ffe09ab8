package schema

import "strings"

// create writes the statements that make an object, with everything that belongs to it.
func (w *writer) create(o *Object) {
	w.createBody(o)
	switch o.Kind {
	case KindTable, KindForeignTable:
		return // it sees to its columns too
	case KindView, KindMatView, KindComposite:
		w.facetsOfNew(o)
		for _, c := range w.p.partsIn(true, o.Address, KindColumn) {
			if o.Kind == KindMatView {
				w.columnExtras(c, nil, changedAttrs(&Object{Address: c.Address}, c))
			}
			w.facetsOfNew(c)
		}
		return
	}
	w.facetsOfNew(o)
}

func (w *writer) createBody(o *Object) {
	switch o.Kind {
	case KindSchema:
		w.simple(o, "CREATE SCHEMA "+quote(o.Name))
	case KindExtension:
		w.createExtension(o)
	case KindLanguage:
		trusted := ""
		if o.is("trusted") {
			trusted = "TRUSTED "
		}
		w.simple(o, "CREATE "+trusted+"LANGUAGE "+quote(o.Name)+" "+o.attr("definition"))
	case KindAccessMethod:
		w.simple(o, "CREATE ACCESS METHOD "+quote(o.Name)+" TYPE "+map[string]string{"t": "TABLE", "i": "INDEX"}[o.attr("type")]+" HANDLER "+o.attr("handler"))
	case KindTransform:
		w.simple(o, "CREATE TRANSFORM FOR "+o.Name+" ("+o.attr("definition")+")")
	case KindEnum, KindDomain, KindComposite, KindRange:
		w.createType(o)
	case KindDomainConstraint:
		w.createDomainConstraint(o)
	case KindCollation:
		w.createCollation(o)
	case KindConversion:
		kind := ""
		if o.is("default") {
			kind = "DEFAULT "
		}
		w.simple(o, "CREATE "+kind+"CONVERSION "+sqlName(o)+" "+o.attr("definition"))
	case KindFunction, KindProcedure, KindAggregate:
		w.createRoutine(o, "create "+o.String())
	case KindOperator:
		w.createOperator(o)
	case KindOperatorFamily:
		w.simple(o, "CREATE OPERATOR FAMILY "+sqlName(o))
	case KindOperatorClass:
		w.createOperatorClass(o)
	case KindCast:
		w.simple(o, "CREATE CAST "+sqlName(o)+" "+o.attr("definition"))
	case KindTSParser, KindTSTemplate:
		w.simple(o, "CREATE "+sqlKind(o.Kind)+" "+sqlName(o)+" ("+o.attr("definition")+")")
	case KindTSDictionary:
		w.createDictionary(o)
	case KindTSConfig:
		w.simple(o, "CREATE TEXT SEARCH CONFIGURATION "+sqlName(o)+" (PARSER = "+o.attr("parser")+")")
		w.textSearchMappings(o, nil, mappings(o))
	default:
		w.createRelated(o)
	}
}

// createRelated makes relations and their parts, and what belongs to the whole database.
func (w *writer) createRelated(o *Object) {
	switch o.Kind {
	case KindTable, KindForeignTable:
		w.createTable(o)
	case KindSequence:
		w.createSequence(o)
	case KindSequenceOwner:
		w.tieSequence(o)
	case KindColumn:
		w.addColumn(o)
	case KindDefault:
		w.setDefault(o)
	case KindPartition, KindInheritance:
		w.attach(o)
	case KindConstraint:
		w.createConstraint(o)
	case KindIndex:
		w.createIndex(o)
	case KindIndexPartition:
		w.attachIndex(o)
	case KindStatistics:
		w.createStatistics(o)
	case KindView, KindMatView:
		w.createView(o, "CREATE")
	case KindRule:
		w.createRule(o, "CREATE RULE ")
	case KindTrigger:
		w.createTrigger(o, false)
		if o.attr("enabled") != "" {
			w.enable(o)
		}
	case KindPolicy:
		w.createPolicy(o)
	case KindFDW:
		w.createFDW(o)
	case KindServer:
		w.createServer(o)
	case KindUserMapping:
		w.simple(o, "CREATE USER MAPPING FOR "+mappingRole(o)+" SERVER "+quote(o.Name))
	case KindEventTrigger:
		w.createEventTrigger(o)
	case KindPublication:
		w.createPublication(o)
	case KindPublicationTable:
		w.createPublicationTable(o)
	case KindPublicationSpace:
		w.simple(o, "ALTER PUBLICATION "+quote(o.Sub)+" ADD TABLES IN SCHEMA "+quote(o.Name))
	case KindDefaultACL:
		w.defaultPrivileges(nil, o)
	case KindExtensionMember:
		w.member(nil, o)
	case KindSetting:
		value := o.attr("value")
		w.setting(o, &value)
	}
}

func mappingRole(o *Object) string {
	if o.Sub == "PUBLIC" {
		return "PUBLIC"
	}
	return quote(o.Sub)
}

func (w *writer) setDefault(o *Object) {
	table := w.p.relationOf(o.Address)
	w.add(statement(o.Address, "set the default of column "+o.Label(), "ALTER TABLE ONLY "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+" SET DEFAULT "+o.attr("expression")).locking(AccessExclusive, w.existing(table)...))
}

func (w *writer) createRule(o *Object, verb string) {
	table := w.p.relationOf(o.Address)
	definition := strings.TrimRight(strings.TrimSpace(o.attr("definition")), ";")
	w.add(statement(o.Address, "create "+o.String(), verb+quote(o.Sub)+" "+definition).locking(AccessExclusive, w.existing(table)...).hazard(Breaking, "statements on "+table.Label()+" do something else"))
	if o.attr("enabled") != "" {
		w.enable(o)
	}
}

// alter writes the statements that change an object in place; false when it must be made anew.
func (w *writer) alter(from, o *Object, changed map[string]bool, retype bool) bool {
	if !w.alterBody(from, o, changed, retype) {
		return false
	}
	w.facetsOfChanged(from, o, changed)
	return true
}

// onlyFacets says whether nothing but owner, comment or privileges differs.
func onlyFacets(changed map[string]bool) bool {
	for k := range changed {
		if !isFacet(k) {
			return false
		}
	}
	return true
}

func (w *writer) alterBody(from, o *Object, changed map[string]bool, retype bool) bool {
	if onlyFacets(changed) && !retype && o.Kind != KindDefaultACL && o.Kind != KindExtensionMember {
		return true
	}
	switch o.Kind {
	case KindTable, KindForeignTable:
		return w.alterTable(from, o, changed)
	case KindColumn:
		return w.alterColumn(from, o, changed, retype)
	case KindDefault:
		w.setDefault(o)
	case KindSequence:
		return w.alterSequence(from, o, changed)
	case KindSequenceOwner:
		w.ownSequence(o, o.attr("column"))
	case KindConstraint:
		return w.alterConstraint(from, o, changed)
	case KindIndex:
		return w.alterIndex(from, o, changed)
	case KindStatistics:
		return w.alterStatistics(o, changed)
	case KindView, KindMatView:
		return w.alterView(from, o, changed)
	case KindFunction, KindProcedure, KindAggregate:
		return w.alterRoutine(from, o, changed)
	case KindTrigger:
		return w.alterTrigger(from, o, changed)
	case KindRule:
		return w.alterRule(o, changed)
	case KindPolicy:
		return w.alterPolicy(from, o, changed)
	default:
		return w.alterOther(from, o, changed)
	}
	return true
}

func (w *writer) alterStatistics(o *Object, changed map[string]bool) bool {
	for k := range changed {
		if !isFacet(k) && k != "target" {
			return false
		}
	}
	w.statisticsTarget(o, changed["target"])
	return true
}

func (w *writer) alterRule(o *Object, changed map[string]bool) bool {
	if changed["definition"] {
		w.createRule(o, "CREATE OR REPLACE RULE ")
	} else if changed["enabled"] {
		w.enable(o)
	}
	return true
}

func (w *writer) alterOther(from, o *Object, changed map[string]bool) bool {
	switch o.Kind {
	case KindEnum:
		return w.alterEnum(from, o)
	case KindDomain:
		return w.alterDomain(from, o, changed)
	case KindRange:
		return w.alterRange(from, o, changed)
	case KindOperator:
		return w.alterOperator(o, changed)
	case KindOperatorFamily:
		w.operatorFamilyItems(o, from.list("items"), o.list("items"))
	case KindTSDictionary:
		return w.alterDictionary(from, o, changed)
	case KindTSConfig:
		if changed["parser"] {
			return false
		}
		w.textSearchMappings(o, mappings(from), mappings(o))
	case KindExtension:
		return w.alterExtension(o, changed)
	case KindFDW:
		return w.alterFDW(from, o, changed)
	case KindServer:
		return w.alterServer(from, o, changed)
	case KindEventTrigger:
		if changed["event"] || changed["tags"] || changed["function"] {
			return false
		}
		w.enableEventTrigger(o)
	case KindPublication:
		if changed["all_tables"] {
			return false
		}
		w.add(statement(o.Address, "change "+o.String(), "ALTER PUBLICATION "+sqlName(o)+" SET ("+publicationOptions(o)+")"))
	case KindDefaultACL:
		w.defaultPrivileges(from, o)
	case KindExtensionMember:
		w.member(from, o)
	case KindSetting:
		value := o.attr("value")
		w.setting(o, &value)
	default:
		return false
	}
	return true
}

// drop writes the statements that remove an object.
func (w *writer) drop(o *Object) {
	switch o.Kind {
	case KindColumn:
		w.dropColumn(o)
	case KindConstraint:
		w.dropConstraint(o)
	case KindIndex:
		w.dropIndex(o)
	case KindPartition, KindInheritance:
		w.detach(o)
	case KindDefault:
		table := w.p.relationOf(o.Address)
		w.add(statement(o.Address, "drop the default of column "+o.Label(), "ALTER TABLE ONLY "+o.tableName()+" ALTER COLUMN "+quote(o.Sub)+" DROP DEFAULT").locking(AccessExclusive, table).
			hazard(Breaking, "inserts that leave it out get no value"))
	case KindSequenceOwner:
		w.ownSequence(o, "NONE")
	case KindDomainConstraint:
		w.add(statement(o.Address, "drop "+o.String(), "ALTER DOMAIN "+o.tableName()+" DROP CONSTRAINT "+quote(o.Sub)))
	case KindIndexPartition:
		// An index stops being a part only together with its table or itself.
	case KindPublicationTable:
		w.add(statement(o.Address, "stop publishing "+o.Schema+"."+o.Name, "ALTER PUBLICATION "+quote(o.Sub)+" DROP TABLE ONLY "+o.tableName()))
	case KindPublicationSpace:
		w.add(statement(o.Address, "stop publishing schema "+o.Name, "ALTER PUBLICATION "+quote(o.Sub)+" DROP TABLES IN SCHEMA "+quote(o.Name)))
	case KindUserMapping:
		w.add(statement(o.Address, "drop "+o.String(), "DROP USER MAPPING FOR "+mappingRole(o)+" SERVER "+quote(o.Name)))
	case KindDefaultACL:
		w.defaultPrivileges(o, nil)
	case KindExtensionMember:
		w.member(o, nil)
	case KindSetting:
		w.setting(o, nil)
	case KindTable, KindForeignTable, KindView, KindMatView, KindTrigger, KindRule, KindPolicy, KindSequence:
		w.add(w.p.dropStatement(o).locking(AccessExclusive, w.p.tableOf(o)))
	default:
		w.add(w.p.dropStatement(o))
	}
}

// dropStatement never cascades: whatever else has to go is a statement of its own.
func (p *planner) dropStatement(o *Object) Statement {
	st := statement(o.Address, "drop "+o.String(), "DROP "+sqlKind(o.Kind)+" "+sqlName(o))
	if op := p.ops[o.Address]; op != nil && op.change == drop {
		switch o.Kind {
		case KindTable, KindSequence:
			st = st.hazard(Lossy, "its rows are lost").hazard(Breaking, "statements that name "+o.Label()+" fail")
		case KindView, KindMatView, KindForeignTable, KindFunction, KindProcedure, KindAggregate, KindSchema, KindExtension, KindEnum, KindDomain, KindComposite, KindRange:
			st = st.hazard(Breaking, "statements that name "+o.Label()+" fail")
		}
	}
	return st
}
