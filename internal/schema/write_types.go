package schema

import (
	"slices"
	"strings"
)

func (w *writer) createType(o *Object) {
	name := sqlName(o)
	var sql string
	switch o.Kind {
	case KindEnum:
		labels := o.list("labels")
		quoted := make([]string, len(labels))
		for i, l := range labels {
			quoted[i] = literal(l)
		}
		sql = "CREATE TYPE " + name + " AS ENUM (" + strings.Join(quoted, ", ") + ")"
	case KindComposite:
		var fields []string
		for _, c := range w.p.partsIn(true, o.Address, KindColumn) {
			fields = append(fields, attributeDefinition(c))
		}
		sql = "CREATE TYPE " + name + " AS (" + strings.Join(fields, ", ") + ")"
	case KindRange:
		sql = "CREATE TYPE " + name + " AS RANGE (" + rangeDefinition(o) + ")"
	case KindDomain:
		sql = "CREATE DOMAIN " + name + " AS " + o.attr("base") + collateClause(o)
		if d, ok := o.Attrs["default"]; ok {
			sql += " DEFAULT " + d
		}
		if o.is("not_null") {
			sql += " NOT NULL"
		}
	}
	w.add(statement(o.Address, "create "+o.String(), sql))
}

func rangeDefinition(o *Object) string {
	out := "SUBTYPE = " + o.attr("subtype")
	for _, part := range [][2]string{{"subtype_opclass", "SUBTYPE_OPCLASS"}, {"subtype_collation", "COLLATION"}, {"subtype_diff", "SUBTYPE_DIFF"}, {"multirange", "MULTIRANGE_TYPE_NAME"}} {
		if v := o.attr(part[0]); v != "" {
			out += ", " + part[1] + " = " + v
		}
	}
	return out
}

// nameConstructors gives the functions that make values of a range or multirange type its name: the server leaves them the name that
// the type was made with.
func nameConstructors(o *Object, typ, schema, name string) Statement {
	return statement(o.Address, "let the constructors of "+o.String()+" follow", `DO $do$ DECLARE f pg_catalog.regprocedure; BEGIN
FOR f IN SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
	AND d.refobjid = `+literal(typ)+`::pg_catalog.regtype AND d.deptype = 'i' LOOP
	EXECUTE pg_catalog.format('ALTER FUNCTION %s RENAME TO %I', f, `+literal(name)+`);
	EXECUTE pg_catalog.format('ALTER FUNCTION %s SET SCHEMA %I', f, `+literal(schema)+`);
END LOOP; END $do$`)
}

// alterRange gives a range's multirange type another name; everything else about a range is fixed.
func (w *writer) alterRange(from, o *Object, changed map[string]bool) bool {
	for k := range changed {
		if !isFacet(k) && k != "multirange" {
			return false
		}
	}
	if !changed["multirange"] {
		return true
	}
	schema, name, _ := strings.Cut(unquoteAll(from.attr("multirange")), "\x00")
	toSchema, toName, _ := strings.Cut(unquoteAll(o.attr("multirange")), "\x00")
	if name != toName {
		w.add(statement(o.Address, "rename the multirange of "+o.String(), "ALTER TYPE "+qualify(schema, name)+" RENAME TO "+quote(toName)))
	}
	if schema != toSchema {
		w.add(statement(o.Address, "move the multirange of "+o.String(), "ALTER TYPE "+qualify(schema, toName)+" SET SCHEMA "+quote(toSchema)))
	}
	if strings.HasPrefix(schema, HiddenPrefix) { // it comes back from where it was set aside
		w.add(nameConstructors(o, qualify(toSchema, toName), toSchema, toName))
	}
	return true
}

// alterEnum adds labels; false when labels go or change their order: then the type is made anew and its columns are converted.
func (w *writer) alterEnum(from, o *Object) bool {
	old, now := from.list("labels"), o.list("labels")
	i := 0
	for _, l := range now {
		if i < len(old) && old[i] == l {
			i++
		}
	}
	if i < len(old) {
		return false
	}
	for j, l := range now {
		if slices.Contains(old, l) {
			continue
		}
		place := ""
		if j > 0 {
			place = " AFTER " + literal(now[j-1])
		} else if len(old) > 0 {
			place = " BEFORE " + literal(old[0])
		}
		// A new label can be used only after it was committed.
		w.add(statement(o.Address, "add the value "+literal(l)+" to "+o.String(), "ALTER TYPE "+sqlName(o)+" ADD VALUE IF NOT EXISTS "+literal(l)+place).alone(""))
	}
	return true
}

func (w *writer) alterDomain(from, o *Object, changed map[string]bool) bool {
	if changed["base"] || changed["collation"] {
		return false
	}
	head := "ALTER DOMAIN " + sqlName(o)
	if changed["default"] {
		sql := head + " DROP DEFAULT"
		if d, ok := o.Attrs["default"]; ok {
			sql = head + " SET DEFAULT " + d
		}
		w.add(statement(o.Address, "default of "+o.String(), sql))
	}
	if changed["not_null"] {
		st := statement(o.Address, "allow no value in "+o.String(), head+" DROP NOT NULL")
		if o.is("not_null") {
			st = statement(o.Address, "require a value in "+o.String(), head+" SET NOT NULL").scanning().hazard(Locking, "every table that uses it is read").hazard(DataBlocks, "rows without a value make it fail").hazard(Breaking, "statements that leave it empty fail")
			w.p.checkDomain(o, "{} IS NULL")
		}
		w.add(st)
	}
	_ = from
	return true
}

func (w *writer) createDomainConstraint(o *Object) {
	domain := Address{Kind: KindDomain, Schema: o.Schema, Name: o.Name}
	head := "ALTER DOMAIN " + o.tableName() + " ADD CONSTRAINT " + quote(o.Sub) + " " + o.attr("definition")
	if w.p.isNew(domain) || !w.p.used(domain) || strings.HasSuffix(o.attr("definition"), " NOT VALID") {
		w.add(statement(o.Address, "add "+o.String(), head))
		return
	}
	w.p.checkDomain(w.p.to.Objects[domain], "NOT ("+domainExpression(checkExpression(o.attr("definition")))+")")
	w.add(statement(o.Address, "add "+o.String()+" for new values", head+" NOT VALID").hazard(Breaking, "values that break it are refused"))
	w.after(statement(o.Address, "check every value against "+o.String(), "ALTER DOMAIN "+o.tableName()+" VALIDATE CONSTRAINT "+quote(o.Sub)).scanning().
		hazard(Locking, "writers of the tables that use it wait").hazard(DataBlocks, "values that break it make it fail"))
}

// domainExpression puts a place for the column where a domain's constraint says VALUE.
func domainExpression(expression string) string {
	tokens := tokenize(expression)
	for i, t := range tokens {
		if t.kind == tokenWord && t.text == "VALUE" {
			tokens[i].text = "{}"
		}
	}
	return joinTokens(tokens)
}

// used says whether a column that remains is of the type.
func (p *planner) used(typ Address) bool {
	return slices.ContainsFunc(p.users[typ], func(u Address) bool { return u.Kind == KindColumn && p.ops[u].to != nil })
}

// checkDomain looks at every column of a domain; {} in the condition stands for the column.
func (p *planner) checkDomain(domain *Object, condition string) {
	for _, u := range p.users[domain.Address] {
		if c := p.ops[u]; u.Kind == KindColumn && c.exists() && !strings.HasSuffix(c.to.attr("type"), "[]") {
			if table := p.relationOf(u); table.Kind == KindTable {
				p.check(Check{Kind: CheckExpression, Object: domain.Address, Table: table, Columns: []string{u.Sub}, Expression: "NOT (" + strings.ReplaceAll(condition, "{}", quote(u.Sub)) + ")"})
			}
		}
	}
}

func (w *writer) createCollation(o *Object) {
	var parts []string
	provider := map[string]string{"c": "libc", "i": "icu", "b": "builtin"}[o.attr("provider")]
	parts = append(parts, "provider = "+provider)
	if o.is("nondeterministic") {
		parts = append(parts, "deterministic = false")
	}
	if l := o.attr("locale"); l != "" {
		parts = append(parts, "locale = "+literal(l))
	} else {
		parts = append(parts, "lc_collate = "+literal(o.attr("collate")), "lc_ctype = "+literal(o.attr("ctype")))
	}
	if r := o.attr("rules"); r != "" {
		parts = append(parts, "rules = "+literal(r))
	}
	w.simple(o, "CREATE COLLATION "+sqlName(o)+" ("+strings.Join(parts, ", ")+")")
}

// simple creates something with one statement.
func (w *writer) simple(o *Object, sql string) {
	w.add(statement(o.Address, "create "+o.String(), sql))
}

func (w *writer) createOperator(o *Object) {
	parts := []string{"FUNCTION = " + o.attr("function")}
	for _, part := range [][2]string{{"left", "LEFTARG"}, {"right", "RIGHTARG"}, {"commutator", "COMMUTATOR"}, {"negator", "NEGATOR"}, {"restrict", "RESTRICT"}, {"join", "JOIN"}} {
		if v := o.attr(part[0]); v != "" {
			parts = append(parts, part[1]+" = "+v)
		}
	}
	if o.is("hashes") {
		parts = append(parts, "HASHES")
	}
	if o.is("merges") {
		parts = append(parts, "MERGES")
	}
	w.simple(o, "CREATE OPERATOR "+quote(o.Schema)+"."+o.Name+" ("+strings.Join(parts, ", ")+")")
}

func (w *writer) alterOperator(o *Object, changed map[string]bool) bool {
	for k := range changed {
		if !isFacet(k) && k != "restrict" && k != "join" {
			return false
		}
	}
	var parts []string
	for _, part := range [][2]string{{"restrict", "RESTRICT"}, {"join", "JOIN"}} {
		if changed[part[0]] {
			value := o.attr(part[0])
			if value == "" {
				value = "NONE"
			}
			parts = append(parts, part[1]+" = "+value)
		}
	}
	if len(parts) > 0 {
		w.add(statement(o.Address, "change "+o.String(), "ALTER OPERATOR "+sqlName(o)+" SET ("+strings.Join(parts, ", ")+")"))
	}
	return true
}

func (w *writer) createOperatorClass(o *Object) {
	sql := "CREATE OPERATOR CLASS " + qualify(o.Schema, o.Name)
	if o.is("default") {
		sql += " DEFAULT"
	}
	sql += " FOR TYPE " + o.attr("type") + " USING " + quote(o.Sub) + " FAMILY " + o.attr("family") + " AS "
	items := o.list("items")
	if s := o.attr("storage"); s != "" {
		items = append([]string{"STORAGE " + s}, items...)
	}
	if len(items) == 0 {
		items = []string{"STORAGE " + o.attr("type")}
	}
	w.simple(o, sql+strings.Join(items, ", "))
}

func (w *writer) operatorFamilyItems(o *Object, old, now []string) {
	for _, item := range old {
		if !slices.Contains(now, item) {
			w.add(statement(o.Address, "change "+o.String(), "ALTER OPERATOR FAMILY "+sqlName(o)+" DROP "+familyItemName(item)))
		}
	}
	for _, item := range now {
		if !slices.Contains(old, item) {
			w.add(statement(o.Address, "change "+o.String(), "ALTER OPERATOR FAMILY "+sqlName(o)+" ADD "+item))
		}
	}
}

// familyItemName turns "OPERATOR 1 s.<(a,b)" or "FUNCTION 1 (a,b) f(a,b)" into what DROP wants: "OPERATOR 1 (a,b)".
func familyItemName(item string) string {
	tokens := tokenize(item)
	words := solid(tokens)
	for i, t := range tokens {
		if t.is("(") {
			_, end := splitList(tokens, i)
			return words[0].text + " " + words[1].text + " " + joinTokens(tokens[i:end+1])
		}
	}
	return item
}
