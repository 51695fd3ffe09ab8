package schema

import (
	"strconv"
	"strings"
)

// violations is a query for the rows that a check looks for. Its columns are a JSON text that names the row.
func (c Check) violations() (string, bool) {
	from := " FROM " + c.rowsAs("t") + " WHERE "
	row := c.rowName("t")
	switch c.Kind {
	case CheckNotNull:
		return "SELECT " + row + from + "t." + quote(c.Columns[0]) + " IS NULL", true
	case CheckUnfilled:
		return c.unfilled(), true
	case CheckNoRows, CheckRowsLeave:
		return "SELECT " + row + from + "true", true
	case CheckValuesLeave:
		return "SELECT " + row + from + "t." + quote(c.Columns[0]) + " IS NOT NULL", true
	case CheckExpression:
		return "SELECT " + c.rowName(quote(c.Table.Name)) + " FROM " + c.rowsAs(quote(c.Table.Name)) + " WHERE NOT (" + c.Expression + ")", true
	case CheckForeignKey:
		return "SELECT " + row + from + c.orphan(), true
	case CheckUnique:
		return c.duplicates()
	case CheckExclusion:
		return c.exclusions()
	}
	return "", false
}

// rowsAs is the table under an alias, with the columns that the plan adds as far as their values are known.
func (c Check) rowsAs(alias string) string {
	added := ""
	for _, a := range c.Added {
		if a[1] != "" {
			added += ", " + a[1] + " AS " + quote(a[0])
		}
	}
	if added == "" || c.Kind == CheckNoRows || c.Kind == CheckRowsLeave {
		return c.Table.tableName() + " AS " + alias
	}
	return "(SELECT x.ctid, x.*" + added + " FROM " + c.Table.tableName() + " AS x) AS " + alias
}

// rowName is an expression for the JSON text that names a row: its primary key, or its place where it has none.
func (c Check) rowName(alias string) string {
	if len(c.Key) == 0 {
		return "jsonb_build_object('ctid', " + alias + ".ctid::text)::text"
	}
	parts := make([]string, len(c.Key))
	for i, k := range c.Key {
		parts[i] = literal(k) + ", " + alias + "." + quote(k)
	}
	return "jsonb_build_object(" + strings.Join(parts, ", ") + ")::text"
}

// unfilled finds the rows for which no value was set aside.
func (c Check) unfilled() string {
	only := onlyWord(c.Only)
	if len(c.Columns) > 0 {
		on := make([]string, len(c.Columns))
		for i, k := range c.Columns {
			on[i] = "t." + quote(k) + " = s.k" + strconv.Itoa(i+1)
		}
		return "SELECT " + c.rowName("t") + " FROM " + only + c.Table.tableName() + " AS t WHERE NOT EXISTS (SELECT FROM " + c.RefTable.tableName() + " AS s WHERE " + strings.Join(on, " AND ") + ")"
	}
	d := digest(c.RefColumns, "r.")
	return "SELECT " + c.rowName("t") + " FROM (SELECT r.ctid, r.*, " + d + " AS _holdfast_k, row_number() OVER (PARTITION BY " + d + ") AS _holdfast_n FROM " + only + c.Table.tableName() + " AS r) AS t" +
		" WHERE NOT EXISTS (SELECT FROM " + c.RefTable.tableName() + " AS s WHERE s.k = t._holdfast_k AND s.n = t._holdfast_n)"
}

func (c Check) orphan() string {
	var present, same []string
	for i, col := range c.Columns {
		present = append(present, "t."+quote(col)+" IS NOT NULL")
		if i < len(c.RefColumns) {
			same = append(same, "p."+quote(c.RefColumns[i])+" = t."+quote(col))
		}
	}
	return strings.Join(present, " AND ") + " AND NOT EXISTS (SELECT FROM " + c.RefTable.tableName() + " AS p WHERE " + strings.Join(same, " AND ") + ")"
}

// duplicates finds keys that more than one row has.
func (c Check) duplicates() (string, bool) {
	keys, where := make([]string, 0, len(c.Columns)), ""
	for _, col := range c.Columns {
		keys = append(keys, quote(col))
	}
	if len(keys) == 0 {
		keys, where = indexKeys(c.Definition)
	}
	if len(keys) == 0 {
		return "", false
	}
	var conditions, named []string
	if where != "" {
		conditions = append(conditions, "("+where+")")
	}
	for _, k := range keys {
		if !c.NullsEqual {
			conditions = append(conditions, "("+k+") IS NOT NULL")
		}
		named = append(named, literal(strings.ReplaceAll(k, `"`, ""))+", "+k)
	}
	sql := "SELECT jsonb_build_object(" + strings.Join(named, ", ") + ", 'rows', count(*))::text FROM " + c.rowsAs(quote(c.Table.Name))
	if len(conditions) > 0 {
		sql += " WHERE " + strings.Join(conditions, " AND ")
	}
	return sql + " GROUP BY " + strings.Join(keys, ", ") + " HAVING count(*) > 1", true
}

// indexKeys takes the key expressions and the condition out of an index's definition.
func indexKeys(definition string) (keys []string, where string) {
	tokens := tokenize(definition)
	for i, t := range tokens {
		if !t.is("(") {
			continue
		}
		elements, end := splitList(tokens, i)
		for _, e := range elements {
			keys = append(keys, keyExpression(e))
		}
		for j := end + 1; j < len(tokens); j++ {
			if tokens[j].is("WHERE") {
				where = strings.TrimSpace(joinTokens(tokens[j+1:]))
			}
		}
		return keys, where
	}
	return nil, ""
}

// keyExpression leaves out of an index element what says how it is ordered.
func keyExpression(element []token) string {
	words := solid(element)
	if len(words) == 0 {
		return ""
	}
	end := 1
	if words[0].is("(") {
		end = closing(words, 0) + 1
	}
	for end < len(words) && (words[end].is(".") || words[end-1].is(".")) {
		end++
	}
	if end < len(words) && words[end].is("(") {
		end = closing(words, end) + 1
	}
	out := squeezeWords(words[:end])
	for i := end; i+1 < len(words); i++ {
		if words[i].is("COLLATE") {
			out += " COLLATE " + joinTokens(words[i+1:min(i+4, len(words))])
			break
		}
	}
	return out
}

func closing(words []token, open int) int {
	_, end := splitList(words, open)
	return end
}

// squeezeWords joins tokens so that words stay apart.
func squeezeWords(words []token) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 && w.kind != tokenPunct && words[i-1].kind != tokenPunct {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// exclusions finds pairs of rows that an exclusion constraint forbids, as far as it speaks of plain columns.
func (c Check) exclusions() (string, bool) {
	tokens := tokenize(c.Definition)
	for i, t := range tokens {
		if !t.is("(") {
			continue
		}
		elements, end := splitList(tokens, i)
		if strings.TrimSpace(joinTokens(tokens[end+1:])) != "" {
			return "", false
		}
		var same []string
		for _, e := range elements {
			words := solid(e)
			at := -1
			for j, w := range words {
				if w.is("WITH") {
					at = j
				}
			}
			if at < 1 || words[0].name() == "" || at > 1 && words[1].is("(") {
				return "", false
			}
			same = append(same, "t."+words[0].text+" "+joinTokens(words[at+1:])+" o."+words[0].text)
		}
		return "SELECT " + c.rowName("t") + " FROM " + c.Table.tableName() + " AS t JOIN " + c.Table.tableName() + " AS o ON t.ctid < o.ctid AND " + strings.Join(same, " AND "), true
	}
	return "", false
}

// Functions that convert one value and say how it went. They live for one transaction, in the session's temporary schema.
const (
	tryFunction  = "pg_temp._holdfast_try"
	sameFunction = "pg_temp._holdfast_same"
)

// castFunctions are the statements that make those functions for a check of kind cast: the first returns whether the conversion
// works, the second whether the value survives it and the way back.
func (c Check) castFunctions() []string {
	column, using := quote(c.Columns[0]), c.Using
	if using == "" {
		using = column + "::" + c.Type
	}
	body := func(condition string) string {
		return literal("#variable_conflict use_variable\nBEGIN RETURN " + condition + "; EXCEPTION WHEN OTHERS THEN RETURN false; END")
	}
	head := "(" + column + " " + c.OldType + ") RETURNS boolean LANGUAGE plpgsql AS "
	if len(c.Labels) > 0 {
		list := make([]string, len(c.Labels))
		for i, l := range c.Labels {
			list[i] = literal(l)
		}
		labels := "(ARRAY[" + strings.Join(list, ", ") + "]::text[])"
		fits := column + "::text = ANY " + labels
		if c.Arrays {
			fits = "NOT EXISTS (SELECT FROM unnest(" + column + "::text[]) AS v WHERE v <> ALL " + labels + ")"
		}
		return []string{"CREATE FUNCTION " + tryFunction + head + body(fits), "CREATE FUNCTION " + sameFunction + head + body("true")}
	}
	if c.jsonToBinary() {
		return []string{"CREATE FUNCTION " + tryFunction + head + body(column+"::jsonb IS NOT NULL"),
			"CREATE FUNCTION " + sameFunction + "(j json) RETURNS boolean LANGUAGE plpgsql AS " + literal(sameJSON)}
	}
	same := "(" + using + ")::" + c.OldType + " IS NOT DISTINCT FROM " + column
	if c.OldType == "json" || c.OldType == "xml" { // these cannot be compared but as texts
		same = "(" + using + ")::" + c.OldType + "::text IS NOT DISTINCT FROM " + column + "::text"
	}
	if isString(stripModifier(c.OldType)) && !isString(stripModifier(c.Type)) {
		same = "true" // a text that can be read as the new type keeps its meaning
	}
	return []string{"CREATE FUNCTION " + tryFunction + head + body("("+using+")::text IS NOT NULL OR "+column+" IS NULL"), "CREATE FUNCTION " + sameFunction + head + body(same)}
}

// jsonToBinary says whether json becomes jsonb by the server's own conversion.
func (c Check) jsonToBinary() bool {
	return c.Kind == CheckCast && c.OldType == "json" && c.Type == "jsonb" && c.Using == ""
}

// sameJSON is false for a document that repeats a key or has keys in an order that jsonb does not keep, at any depth. White space is
// no part of a document's value.
const sameJSON = `BEGIN
	CASE json_typeof(j)
	WHEN 'array' THEN
		RETURN NOT EXISTS (SELECT FROM json_array_elements(j) AS e(v) WHERE json_typeof(v) IN ('array', 'object') AND NOT ` + sameFunction + `(v));
	WHEN 'object' THEN
		RETURN ARRAY(SELECT k FROM json_object_keys(j) WITH ORDINALITY AS e(k, n) ORDER BY n) = ARRAY(SELECT k FROM jsonb_object_keys(j::jsonb) WITH ORDINALITY AS e(k, n) ORDER BY n)
			AND NOT EXISTS (SELECT FROM json_each(j) AS e(k, v) WHERE json_typeof(v) IN ('array', 'object') AND NOT ` + sameFunction + `(v));
	ELSE
		RETURN true;
	END CASE;
END`

// castViolations are the queries for values that cannot be converted, and for those that change.
func (c Check) castViolations() (fail, change string) {
	v := "t." + quote(c.Columns[0])
	name := strings.TrimSuffix(c.rowName("t"), "::text") + " || jsonb_build_object(" + literal(c.Columns[0]) + ", " + v + "::text)"
	from := "SELECT (" + name + ")::text FROM " + c.Table.tableName() + " AS t WHERE " + v + " IS NOT NULL AND "
	return from + "NOT " + tryFunction + "(" + v + ")", from + tryFunction + "(" + v + ") AND NOT " + sameFunction + "(" + v + ")"
}

// partitionTables are the statements that make an empty table, partitioned as the new one, beside the old one: its partitions know
// their bounds as conditions.
func (c Check) partitionTables() []string {
	out := []string{"CREATE TEMPORARY TABLE _holdfast_parted (LIKE " + c.Table.tableName() + ") PARTITION BY " + c.Definition + ""}
	for i, b := range c.Bounds {
		out = append(out, "CREATE TEMPORARY TABLE _holdfast_part_"+strconv.Itoa(i)+" PARTITION OF pg_temp._holdfast_parted "+b)
	}
	return out
}

// partitionCondition is true for rows that belong to one of those partitions.
const partitionCondition = `SELECT coalesce(string_agg('(' || pg_get_partition_constraintdef(inhrelid) || ')', ' OR '), 'false')
	FROM pg_inherits WHERE inhparent = 'pg_temp._holdfast_parted'::regclass`
