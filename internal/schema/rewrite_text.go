package schema

import "strings"

// renames are the changes of name that matter for one object's texts.
type renames struct {
	qualified map[string]string // "schema\x00name" to the new qualified name, quoted as the server does
	tables    map[string]string // of those: the old name of a relation, which remains as its alias in a query
	columns   map[string]string
	labels    map[string]map[string]string // by "schema\x00type"
}

// namesFor collects what may be renamed in the texts of an object: what it depends on, itself and its table.
func (m *mapping) namesFor(o *Object) renames {
	r := renames{qualified: map[string]string{}, tables: map[string]string{}, columns: map[string]string{}, labels: map[string]map[string]string{}}
	add := func(a Address) {
		b := m.address(a)
		if a.Kind == KindColumn {
			if a.Sub != b.Sub {
				r.columns[a.Sub] = b.Sub
			}
			if t := m.catalog.relation(a.Schema, a.Name); t != nil {
				a, b = t.Address, m.address(t.Address)
			}
		}
		if a.Kind == KindEnum && m.labels[a] != nil {
			r.labels[qualifyPlain(a.Schema, a.Name)] = m.labels[a]
		}
		if a.Schema != "" && (a.Schema != b.Schema || a.Name != b.Name) && !a.Kind.onRelation() {
			r.qualified[qualifyPlain(a.Schema, a.Name)] = serverQuote(b.Schema) + "." + serverQuote(b.Name)
			if a.Kind.hasColumns() && a.Kind != KindComposite && a.Name != b.Name {
				r.tables[qualifyPlain(a.Schema, a.Name)] = a.Name
			}
		}
	}
	for _, d := range o.Deps {
		add(d)
		if d.Kind == KindConstraint || d.Kind == KindIndex {
			if t := m.catalog.Objects[d]; t != nil {
				for _, dd := range t.Deps {
					add(dd)
				}
			}
		}
	}
	add(o.Address)
	if t := m.tableOf(o); t != o.Address || o.Kind.onRelation() {
		if rel := m.catalog.relation(t.Schema, t.Name); rel != nil {
			add(rel.Address)
		}
	}
	return r
}

func (r renames) none() bool {
	return len(r.qualified) == 0 && len(r.columns) == 0 && len(r.labels) == 0
}

// text rewrites names in SQL. query: relations stand in FROM and keep their old name as an alias.
func (m *mapping) text(o *Object, sql string, query bool) string {
	if sql == "" {
		return sql
	}
	r, known := m.names[o.Address]
	if !known {
		r = m.namesFor(o)
		m.names[o.Address] = r
	}
	if r.none() {
		return sql
	}
	tokens := tokenize(sql)
	head := query && o.Kind.isRoutine() // up to BEGIN ATOMIC the names are those of types
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		head = head && !t.is("ATOMIC")
		if key, ok := pairAt(tokens, i); ok {
			if new, renamed := r.qualified[key]; renamed {
				b.WriteString(new)
				i += 2
				if alias, ok := r.tables[key]; ok && query && !head && !aliased(tokens, i) {
					b.WriteString(" " + serverQuote(alias))
				}
				continue
			}
			b.WriteString(t.text + tokens[i+1].text + tokens[i+2].text)
			i += 2
			continue
		}
		switch {
		case t.name() != "" && r.columns[t.name()] != "" && !followedByCall(tokens, i) && !printedKeyword(t):
			b.WriteString(serverQuote(r.columns[t.name()]))
		case t.kind == tokenString:
			b.WriteString(r.label(tokens, i))
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// pairAt recognises schema.name. A second dot would make the first name a table's and the rest its column.
func pairAt(tokens []token, i int) (string, bool) {
	if i+2 >= len(tokens) || tokens[i].name() == "" || !tokens[i+1].is(".") || tokens[i+2].name() == "" {
		return "", false
	}
	if i > 0 && tokens[i-1].is(".") {
		return "", false
	}
	return qualifyPlain(tokens[i].name(), tokens[i+2].name()), true
}

// aliased says whether the relation whose name ends at i is given an alias, or is not a source of rows at all.
func aliased(tokens []token, i int) bool {
	for _, t := range tokens[i+1:] {
		if t.kind == tokenSpace {
			continue
		}
		return t.is(".") || t.is("(") || t.is("[") || t.name() != "" && !isClause(t)
	}
	return false
}

func isClause(t token) bool {
	switch strings.ToUpper(t.text) {
	case "WHERE", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "ON", "USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "UNION", "HAVING", "WINDOW", "SET", "VALUES", "RETURNING", "NATURAL", "EXCEPT", "INTERSECT", "FOR", "SELECT", "DO", "TABLESAMPLE", "FETCH", "DEFAULT":
		return true
	}
	return false
}

func followedByCall(tokens []token, i int) bool { return i+1 < len(tokens) && tokens[i+1].is("(") }

// printedKeyword: the server prints keywords in capitals and identifiers without quotes only where they are small, so that the KEY of
// PRIMARY KEY is no column of that name.
func printedKeyword(t token) bool { return t.kind == tokenWord && t.text != strings.ToLower(t.text) }

// label rewrites 'value'::schema.type where the type's label gets another name, and 'schema.name'::regclass.
func (r renames) label(tokens []token, i int) string {
	text := tokens[i].text
	if i+3 >= len(tokens) || !tokens[i+1].is(":") || !tokens[i+2].is(":") {
		return text
	}
	value := strings.ReplaceAll(strings.Trim(text, "'"), "''", "'")
	if tokens[i+3].is("regclass") {
		if new, ok := r.qualified[unquoteAll(value)]; ok {
			return literal(new)
		}
		return text
	}
	key, ok := pairAt(tokens, i+3)
	if !ok || r.labels[key] == nil {
		return text
	}
	if new, ok := r.labels[key][value]; ok {
		return literal(new)
	}
	return text
}

// isKeyword says whether the server quotes the word where it is a name (pg_get_keywords, all but the unreserved).
func isKeyword(name string) bool {
	switch name {
	case "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between", "bigint", "binary", "bit",
		"boolean", "both", "case", "cast", "char", "character", "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint",
		"create", "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp", "current_user", "dec",
		"decimal", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for",
		"foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout", "int",
		"integer", "intersect", "interval", "into", "is", "isnull", "join", "json", "json_array", "json_arrayagg", "json_exists", "json_object",
		"json_objectagg", "json_query", "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading", "least", "left", "like",
		"limit", "localtime", "localtimestamp", "merge_action", "national", "natural", "nchar", "none", "normalize", "not", "notnull", "null", "nullif",
		"numeric", "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing", "position", "precision", "primary", "real",
		"references", "returning", "right", "row", "select", "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric",
		"system_user", "table", "tablesample", "then", "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union", "unique", "user", "using",
		"values", "varchar", "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists",
		"xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable":
		return true
	}
	return false
}
