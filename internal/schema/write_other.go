package schema

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // absent is zero
	return n
}

// numbers reads an attribute that is a JSON object of numbers.
func numbers(text string) map[string]string {
	var raw map[string]json.Number
	if text != "" {
		_ = json.Unmarshal([]byte(text), &raw) // our own encoding
	}
	out := map[string]string{}
	for k, v := range raw {
		out[k] = v.String()
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (w *writer) createDictionary(o *Object) {
	sql := "CREATE TEXT SEARCH DICTIONARY " + sqlName(o) + " (TEMPLATE = " + o.attr("template")
	if opts := o.attr("options"); opts != "" {
		sql += ", " + opts
	}
	w.simple(o, sql+")")
}

func (w *writer) alterDictionary(from, o *Object, changed map[string]bool) bool {
	if changed["template"] {
		return false
	}
	if changed["options"] {
		old, now := dictionaryOptions(from.attr("options")), dictionaryOptions(o.attr("options"))
		var parts []string
		for _, k := range sortedKeys(now) {
			if old[k] != now[k] {
				parts = append(parts, k+" = "+now[k])
			}
		}
		for _, k := range sortedKeys(old) {
			if !mapHas(now, k) {
				parts = append(parts, k)
			}
		}
		w.add(statement(o.Address, "options of "+o.String(), "ALTER TEXT SEARCH DICTIONARY "+sqlName(o)+" ("+strings.Join(parts, ", ")+")").hazard(Breaking, "indexes and columns that were computed with it are not computed again"))
	}
	return true
}

// dictionaryOptions reads "stopwords = 'x', language = 'y'".
func dictionaryOptions(text string) map[string]string {
	out := map[string]string{}
	elements, _ := splitList(tokenize("("+text+")"), 0)
	for _, e := range elements {
		if name, value, found := strings.Cut(squeeze(e), "="); found {
			out[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return out
}

func mappings(o *Object) map[string][]string {
	out := map[string][]string{}
	if text := o.attr("mappings"); text != "" {
		_ = json.Unmarshal([]byte(text), &out) // our own encoding
	}
	return out
}

func (w *writer) textSearchMappings(o *Object, old, now map[string][]string) {
	head := "ALTER TEXT SEARCH CONFIGURATION " + sqlName(o)
	for _, token := range sortedKeys(now) {
		if was, had := old[token]; !had {
			w.add(statement(o.Address, "mapping of "+o.String(), head+" ADD MAPPING FOR "+quote(token)+" WITH "+strings.Join(now[token], ", ")))
		} else if !slices.Equal(was, now[token]) {
			w.add(statement(o.Address, "mapping of "+o.String(), head+" ALTER MAPPING FOR "+quote(token)+" WITH "+strings.Join(now[token], ", ")))
		}
	}
	for _, token := range sortedKeys(old) {
		if !mapHas(now, token) {
			w.add(statement(o.Address, "mapping of "+o.String(), head+" DROP MAPPING FOR "+quote(token)))
		}
	}
}

func (w *writer) createExtension(o *Object) {
	// The schema is named only where the extension lets itself be placed: others make their own.
	sql := "CREATE EXTENSION IF NOT EXISTS " + quote(o.Name)
	if o.is("relocatable") || w.p.to.Objects[Address{Kind: KindSchema, Name: o.attr("schema")}] != nil {
		sql += " SCHEMA " + quote(o.attr("schema"))
	}
	if v := w.p.extensionVersion(o); v != "" {
		sql += " VERSION " + literal(v)
	}
	w.add(statement(o.Address, "install "+o.String(), sql))
}

// extensionVersion is development's version where production's machine can install it.
func (p *planner) extensionVersion(o *Object) string {
	if slices.Contains(p.from.Installable[o.Name], o.attr("version")) {
		return o.attr("version")
	}
	return ""
}

func (w *writer) alterExtension(o *Object, changed map[string]bool) bool {
	if changed["schema"] {
		if !o.is("relocatable") {
			return false
		}
		w.add(statement(o.Address, "move "+o.String()+" to schema "+o.attr("schema"), "ALTER EXTENSION "+quote(o.Name)+" SET SCHEMA "+quote(o.attr("schema"))).hazard(Breaking, "statements that name its functions and types without a schema may not find them"))
	}
	if changed["version"] && w.p.extensionVersion(o) != "" {
		w.add(statement(o.Address, "bring "+o.String()+" to version "+o.attr("version"), "ALTER EXTENSION "+quote(o.Name)+" UPDATE TO "+literal(o.attr("version"))))
	}
	return true
}

func (w *writer) createFDW(o *Object) {
	sql := "CREATE FOREIGN DATA WRAPPER " + sqlName(o)
	for _, part := range [][2]string{{"handler", " HANDLER "}, {"validator", " VALIDATOR "}} {
		if v := o.attr(part[0]); v != "" {
			sql += part[1] + v
		}
	}
	w.simple(o, sql+foreignOptions(o.list("fdw_options")))
}

func (w *writer) alterFDW(from, o *Object, changed map[string]bool) bool {
	for _, part := range [][2]string{{"handler", "HANDLER "}, {"validator", "VALIDATOR "}} {
		if changed[part[0]] {
			clause := "NO " + strings.TrimSpace(part[1])
			if v := o.attr(part[0]); v != "" {
				clause = part[1] + v
			}
			w.add(statement(o.Address, "change "+o.String(), "ALTER FOREIGN DATA WRAPPER "+sqlName(o)+" "+clause))
		}
	}
	if changed["fdw_options"] {
		w.add(statement(o.Address, "options of "+o.String(), "ALTER FOREIGN DATA WRAPPER "+sqlName(o)+changedForeignOptions(from.list("fdw_options"), o.list("fdw_options"))))
	}
	return true
}

func (w *writer) createServer(o *Object) {
	sql := "CREATE SERVER " + sqlName(o)
	if v := o.attr("type"); v != "" {
		sql += " TYPE " + literal(v)
	}
	if v := o.attr("version"); v != "" {
		sql += " VERSION " + literal(v)
	}
	w.simple(o, sql+" FOREIGN DATA WRAPPER "+quote(o.attr("wrapper"))+foreignOptions(o.list("fdw_options")))
}

func (w *writer) alterServer(from, o *Object, changed map[string]bool) bool {
	if changed["type"] || changed["wrapper"] || changed["version"] && o.attr("version") == "" {
		return false
	}
	if changed["version"] {
		w.add(statement(o.Address, "version of "+o.String(), "ALTER SERVER "+sqlName(o)+" VERSION "+literal(o.attr("version"))))
	}
	if changed["fdw_options"] {
		w.add(statement(o.Address, "options of "+o.String(), "ALTER SERVER "+sqlName(o)+changedForeignOptions(from.list("fdw_options"), o.list("fdw_options"))))
	}
	return true
}

func (w *writer) createEventTrigger(o *Object) {
	sql := "CREATE EVENT TRIGGER " + sqlName(o) + " ON " + o.attr("event")
	if tags := o.list("tags"); len(tags) > 0 {
		quoted := make([]string, len(tags))
		for i, t := range tags {
			quoted[i] = literal(t)
		}
		sql += " WHEN TAG IN (" + strings.Join(quoted, ", ") + ")"
	}
	w.add(statement(o.Address, "create "+o.String(), sql+" EXECUTE FUNCTION "+o.attr("function")+"()"))
	if o.attr("enabled") != "" {
		w.enableEventTrigger(o)
	}
}

func (w *writer) enableEventTrigger(o *Object) {
	verb := map[string]string{"": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}[o.attr("enabled")]
	w.add(statement(o.Address, strings.ToLower(verb)+" "+o.String(), "ALTER EVENT TRIGGER "+sqlName(o)+" "+verb))
}

func publicationOptions(o *Object) string {
	with := "publish = " + literal(o.attr("publish")) + ", publish_via_partition_root = " + boolWord(o.is("via_root"))
	if g := o.attr("generated"); g == "s" {
		with += ", publish_generated_columns = stored"
	}
	return with
}

func (w *writer) createPublication(o *Object) {
	sql := "CREATE PUBLICATION " + sqlName(o)
	if o.is("all_tables") {
		sql += " FOR ALL TABLES"
	}
	w.simple(o, sql+" WITH ("+publicationOptions(o)+")")
}

func (w *writer) createPublicationTable(o *Object) {
	sql := "ALTER PUBLICATION " + quote(o.Sub) + " ADD TABLE ONLY " + o.tableName()
	if columns := o.list("columns_of"); len(columns) > 0 {
		for i := range columns {
			columns[i] = quote(columns[i])
		}
		sql += " (" + strings.Join(columns, ", ") + ")"
	}
	if where := o.attr("where"); where != "" {
		sql += " WHERE (" + where + ")"
	}
	w.add(statement(o.Address, "publish "+o.Schema+"."+o.Name, sql).locking(ShareUpdateExclusive, w.existing(w.p.relationOf(o.Address))...))
}

// defaultPrivileges carries what new objects of a role will grant.
func (w *writer) defaultPrivileges(from, to *Object) {
	o := to
	if o == nil {
		o = from
	}
	target := aclTarget{prefix: "ALTER DEFAULT PRIVILEGES FOR ROLE " + quote(o.Name) + " "}
	if o.Schema != "" {
		target.prefix += "IN SCHEMA " + quote(o.Schema) + " "
	}
	target.on = map[string]string{"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS"}[o.Sub]
	side := func(x *Object) []grant {
		if x == nil {
			return parseACL(o.attr("initial"))
		}
		return parseACL(x.attr("acl"))
	}
	for _, sql := range diffACL(target, side(from), side(to)) {
		w.add(statement(o.Address, o.String(), sql))
	}
}

// member carries privileges on what an extension brought.
func (w *writer) member(from, to *Object) {
	o := to
	if o == nil {
		o = from
	}
	side := func(x *Object) []grant {
		if x == nil {
			return parseACL(o.attr("initial"))
		}
		return parseACL(x.attr("acl"))
	}
	for _, sql := range diffACL(aclTarget{on: o.attr("target")}, side(from), side(to)) {
		w.add(statement(o.Address, "privileges on "+o.String(), sql))
	}
}

// setting sets or resets a parameter of the database. The statement names production's database.
func (w *writer) setting(o *Object, value *string) {
	head := "ALTER DATABASE " + quote(w.p.from.Database)
	if o.Sub != "" {
		head = "ALTER ROLE " + quote(o.Sub) + " IN DATABASE " + quote(w.p.from.Database)
	}
	sql := head + " RESET " + settingName(o.Name)
	if value != nil {
		sql = head + " SET " + settingName(o.Name) + " TO " + settingLiteral(o.Name, *value)
	}
	w.add(statement(o.Address, o.String(), sql).hazard(Breaking, "new sessions of production work with it"))
}

// settingName quotes a parameter's name part by part: custom ones have a dot.
func settingName(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = optionName(strings.ToLower(parts[i]))
	}
	return strings.Join(parts, ".")
}

// settingLiteral: parameters that are lists of names are stored as they must be written; everything else is one string.
func settingLiteral(name, value string) string {
	switch strings.ToLower(name) {
	case "search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries", "unix_socket_directories", "datestyle":
		if value == `""` || value == "" {
			return "''"
		}
		return value
	}
	return literal(value)
}
