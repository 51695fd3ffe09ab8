package schema

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

func checksum(text string) string {
	h := fnv.New32a()
	h.Write([]byte(text))
	return fmt.Sprintf("%08x", h.Sum32())
}

// changeType converts a column. retype: the type's name stays, but the type is made anew.
func (w *writer) changeType(from, o *Object, retype bool) {
	table := w.p.relationOf(o.Address)
	using, lossy := w.p.conversion(from, o, retype)
	if composite, ok := w.p.arrayOfComposites(o); ok && retype && w.p.opts.chosen("using", o.Address) == "" {
		helper := qualify(o.Schema, helperName("convert", o.Address))
		w.add(w.p.arrayConversion(helper, o, composite))
		defer w.add(statement(o.Address, "remove the helper that converted "+o.Label(), "DROP FUNCTION "+helper))
		using = helper + "(" + quote(o.Sub) + ")"
	}
	sql := "ALTER TABLE " + o.tableName() + " ALTER COLUMN " + quote(o.Sub) + " TYPE " + o.attr("type") + collateClause(o)
	if using != "" {
		sql += " USING " + using
	}
	st := statement(o.Address, fmt.Sprintf("change the type of %s from %s to %s", o.String(), from.attr("type"), o.attr("type")), sql).locking(AccessExclusive, table)
	if retype {
		st.Description = "convert " + o.String() + " to the new " + o.attr("type")
	}
	if w.p.hasRows(table) {
		if retype || rewrites(from, o) {
			st = st.hazard(Rewrites, "the whole table and its indexes are written again under the lock")
		}
		if lossy && retype && w.p.storesComposite(o) {
			st = st.hazard(DataBlocks, "values that the new type cannot hold make it fail")
		} else if lossy {
			c := Check{Kind: CheckCast, Object: o.Address, Table: table, Columns: []string{o.Sub}, Type: o.attr("type"), OldType: from.attr("type"), Using: using, Labels: w.p.newLabels(o), Arrays: strings.HasSuffix(w.p.baseType(w.p.to, o.attr("type_name")), "[]")}
			if !c.jsonToBinary() { // of these the rows tell exactly whether anything is lost
				st = st.hazard(Lossy, "values that do not fit are changed or refused")
			}
			st = st.hazard(DataBlocks, "values that cannot be converted make it fail")
			w.p.check(c)
		}
	}
	if from.attr("type") != o.attr("type") {
		st = st.hazard(Breaking, "statements that compare or bind it as "+from.attr("type")+" may fail")
	}
	w.add(st)
}

// storesComposite says whether the column's type is, or holds, a composite type: its new form exists only while the plan runs.
func (p *planner) storesComposite(o *Object) bool {
	return slices.ContainsFunc(o.Deps, func(d Address) bool { return d.Kind == KindComposite })
}

// newLabels are the labels of the enum that the column gets, when its type is one, an array of one, or a domain over one.
func (p *planner) newLabels(o *Object) []string {
	for _, d := range o.Deps {
		switch {
		case d.Kind == KindEnum:
			return p.to.Objects[d].list("labels")
		case d.Kind == KindDomain && p.to.Objects[d] != nil:
			if labels := p.newLabels(p.to.Objects[d]); labels != nil {
				return labels
			}
		}
	}
	return nil
}

// conversion says how values reach the new type: an answer of the user, nothing where the server converts by itself, a cast where
// one exists, and text as the bridge otherwise. The second result says whether values can change or fail.
func (p *planner) conversion(from, o *Object, retype bool) (using string, lossy bool) {
	if answer := p.opts.chosen("using", o.Address); answer != "" {
		return answer, true
	}
	return p.converted(quote(o.Sub), from, o, retype)
}

// converted is conversion for any expression c that has the old column's type.
func (p *planner) converted(c string, from, o *Object, retype bool) (using string, lossy bool) {
	oldType, newType := from.attr("type"), o.attr("type")
	if retype {
		return p.throughText(c, oldType, o), true
	}
	if from.attr("type_name") == o.attr("type_name") {
		if !narrows(oldType, newType) {
			return "", false
		}
		if p.opts.AllowLossy { // an explicit cast cuts; the server's own conversion refuses what does not fit
			return c + "::" + newType, true
		}
		return "", true
	}
	oldBase, newBase := p.baseType(p.from, from.attr("type_name")), p.baseType(p.to, o.attr("type_name"))
	how, known := p.from.Casts[stripModifier(oldBase)+">"+stripModifier(newBase)]
	switch {
	case oldBase == newBase:
		return "", true // a domain and its base: the domain's rules apply
	case known && (how == "i" || how == "a"):
		return p.maybeCut(c, newType), !widens(stripModifier(oldBase), stripModifier(newBase)) || strings.Contains(newType, "(")
	case isString(newBase):
		return p.maybeCut(c, newType), strings.Contains(newType, "(")
	case known:
		return c + "::" + newType, true
	case isString(oldBase):
		return c + "::" + newType, true
	}
	return p.throughText(c, oldType, o), true
}

func (p *planner) maybeCut(column, newType string) string {
	if p.opts.AllowLossy && strings.Contains(newType, "(") {
		return column + "::" + newType
	}
	return ""
}

// throughText converts by way of the values' text; a composite type field by field, because its text goes by position.
func (p *planner) throughText(c, oldType string, o *Object) string {
	name := o.attr("type")
	if strings.HasSuffix(name, "[]") && strings.HasSuffix(oldType, "[]") {
		return c + "::text[]::" + name
	}
	for _, d := range o.Deps {
		if d.Kind == KindComposite && p.from.Objects[d] != nil {
			return p.rowConversion(c, d, name)
		}
	}
	return c + "::text::" + name
}

// rowConversion builds the new row from the old one's fields.
func (p *planner) rowConversion(value string, composite Address, name string) string {
	var fields []string
	for _, f := range p.partsIn(true, composite, KindColumn) {
		was := p.from.Objects[f.Address]
		if was == nil {
			fields = append(fields, "NULL")
			continue
		}
		field := "(" + value + ")." + quote(f.Sub)
		if n := p.ops[f.Address]; n != nil && (n.retype || was.attr("type") != f.attr("type")) {
			if using, _ := p.converted(field, was, f, n.retype); using != "" {
				field = using
			} else {
				field += "::" + f.attr("type")
			}
		}
		fields = append(fields, field)
	}
	return "CASE WHEN " + value + " IS NOT DISTINCT FROM NULL THEN NULL ELSE ROW(" + strings.Join(fields, ", ") + ")::" + name + " END"
}

// arrayOfComposites is the composite type of which a column holds arrays.
func (p *planner) arrayOfComposites(o *Object) (Address, bool) {
	for _, d := range o.Deps {
		if d.Kind == KindComposite && p.from.Objects[d] != nil && strings.HasSuffix(o.attr("type"), "[]") {
			return d, true
		}
	}
	return Address{}, false
}

// arrayConversion makes a function that converts an array row by row: ALTER TABLE allows no subquery. It takes any array, because
// the old type has another name while the plan runs.
func (p *planner) arrayConversion(helper string, o *Object, composite Address) Statement {
	old := qualify(composite.Schema, asideName(p.from.Objects[composite]))
	name := o.attr("type")
	element := strings.TrimSuffix(name, "[]")
	body := "DECLARE was " + old + "; made " + name + " := '{}'; BEGIN IF old IS NULL THEN RETURN NULL; END IF; " +
		"IF array_ndims(old) > 1 THEN RAISE EXCEPTION 'arrays of more than one dimension are not converted'; END IF; " +
		"FOREACH was IN ARRAY old LOOP made := array_append(made, " + p.rowConversion("was", composite, element) + "); END LOOP; RETURN made; END"
	return statement(o.Address, "convert "+o.Label()+" row by row", "CREATE FUNCTION "+helper+"(old "+old+"[]) RETURNS "+name+" LANGUAGE plpgsql IMMUTABLE AS "+literal(body))
}

// baseType is what a domain stands for, or the type itself.
func (p *planner) baseType(c *Catalog, name string) string {
	for range 8 {
		next := ""
		for a, o := range c.Objects {
			if a.Kind == KindDomain && typeNames(a, name) {
				next = o.attr("base")
			}
		}
		if next == "" {
			return name
		}
		name = stripModifier(next)
	}
	return name
}

// typeNames says whether a type's name, as the server prints it, is that of a.
func typeNames(a Address, printed string) bool {
	return unquoteAll(printed) == qualifyPlain(a.Schema, a.Name)
}

// stripModifier leaves out what stands in parentheses: numeric(10,2) is numeric, timestamp(3) with time zone is timestamp with time zone.
func stripModifier(name string) string {
	if open := strings.IndexByte(name, '('); open >= 0 && !strings.Contains(name, `"`) {
		if end := strings.IndexByte(name[open:], ')'); end >= 0 {
			return name[:open] + name[open+end+1:]
		}
	}
	return name
}

func isString(name string) bool {
	return slices.Contains([]string{"text", "character varying", "character", "name", "citext", "public.citext"}, stripModifier(name))
}

// widens: every value of the first type is a value of the second.
func widens(a, b string) bool {
	order := [][]string{
		{"smallint", "integer", "bigint", "numeric"}, {"real", "double precision"}, {"smallint", "double precision"}, {"integer", "double precision"}, {"smallint", "real"},
		{"character varying", "text"}, {"cidr", "inet"}, {"date", "timestamp without time zone"}, {"date", "timestamp with time zone"}, {"time without time zone", "interval"},
	}
	for _, chain := range order {
		i, j := slices.Index(chain, a), slices.Index(chain, b)
		if i >= 0 && j > i {
			return true
		}
	}
	return false
}

// narrows says whether a change of the modifier alone can lose something: varchar(50) to varchar(3), numeric(10,4) to numeric(10,2).
func narrows(oldType, newType string) bool {
	oldMod, newMod := modifiers(oldType), modifiers(newType)
	if len(newMod) == 0 {
		return false
	}
	if len(oldMod) == 0 {
		return true
	}
	if strings.HasPrefix(newType, "numeric") {
		scale := func(m []int) (int, int) {
			if len(m) > 1 {
				return m[0] - m[1], m[1]
			}
			return m[0], 0
		}
		oldWhole, oldScale := scale(oldMod)
		newWhole, newScale := scale(newMod)
		return newWhole < oldWhole || newScale < oldScale
	}
	return newMod[0] < oldMod[0] || strings.HasPrefix(newType, "bit(") && newMod[0] != oldMod[0]
}

// modifiers are the numbers in a type's parentheses.
func modifiers(name string) []int {
	open := strings.IndexByte(name, '(')
	if open < 0 {
		return nil
	}
	end := strings.IndexByte(name[open:], ')')
	if end < 0 {
		return nil
	}
	var out []int
	for _, part := range strings.Split(name[open+1:open+end], ",") {
		n := 0
		if _, err := fmt.Sscan(part, &n); err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// rewrites says whether the server writes the table again. It errs towards yes; the rehearsal measures it.
func rewrites(from, o *Object) bool {
	oldName, newName := from.attr("type_name"), o.attr("type_name")
	if oldName == newName {
		if from.attr("type") == o.attr("type") {
			return false // only the collation: indexes are built again, the table is not
		}
		if strings.HasPrefix(newName, "numeric") {
			oldMod, newMod := modifiers(from.attr("type")), modifiers(o.attr("type"))
			return len(newMod) > 0 && (len(oldMod) < 2 || len(newMod) < 2 || oldMod[1] != newMod[1] || newMod[0] < oldMod[0])
		}
		return narrows(from.attr("type"), o.attr("type")) || strings.HasPrefix(newName, "character(") || newName == "character" || newName == "bit"
	}
	binary := [][2]string{{"character varying", "text"}, {"text", "character varying"}, {"cidr", "inet"}, {"xml", "text"}, {"bit varying", "bit varying"}}
	for _, pair := range binary {
		if oldName == pair[0] && newName == pair[1] {
			return narrows(from.attr("type"), o.attr("type"))
		}
	}
	return true
}
