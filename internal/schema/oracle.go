package schema

import (
	"maps"
	"slices"
	"strings"
)

// Leftover is a difference between two dumps: something that stands in one of them and not in the other.
type Leftover struct {
	InFirst bool   `json:"in_first"` // it stands in the first dump only; otherwise in the second only
	Object  string `json:"object"`   // the table or statement that it is part of
	SQL     string `json:"sql"`
}

// String is the leftover as a diff prints it.
func (l Leftover) String() string {
	sign := "+ "
	if l.InFirst {
		sign = "- "
	}
	return sign + l.Object + ": " + l.SQL
}

// OracleEqual compares two outputs of `pg_dump --schema-only` and lists what differs; none means that the structures are equal.
// It knows nothing of this package's own model: that is what makes it a judge. The order of statements and of a table's columns,
// white space, comments, settings and psql's own lines do not count.
func OracleEqual(first, second string) []Leftover {
	a, b := facts(first), facts(second)
	var out []Leftover
	for _, fact := range slices.Sorted(maps.Keys(a)) {
		if a[fact] > b[fact] {
			out = append(out, leftover(fact, true))
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(b)) {
		if b[fact] > a[fact] {
			out = append(out, leftover(fact, false))
		}
	}
	return out
}

func leftover(fact string, inFirst bool) Leftover {
	object, sql, _ := strings.Cut(fact, factSeparator)
	return Leftover{InFirst: inFirst, Object: object, SQL: sql}
}

const factSeparator = "\x1f"

// facts takes a dump apart into what it says, each with the number of times that it says so.
func facts(dump string) map[string]int {
	lines := strings.Split(dump, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`) || strings.HasPrefix(line, `\connect`) {
			lines[i] = ""
		}
	}
	out := map[string]int{}
	tablespace, method := "", ""
	replaced := map[string]bool{}
	for _, tokens := range splitTokens(tokenize(strings.Join(lines, "\n"))) {
		words := solid(tokens)
		switch {
		case startsWith(words, "SET", "default_tablespace"):
			tablespace = settingValue(words)
		case startsWith(words, "SET", "default_table_access_method"):
			method = settingValue(words)
		case startsWith(words, "SET"), startsWith(words, "SELECT", "pg_catalog", ".", "set_config"):
		default:
			for _, fact := range statementFacts(tokens, words, tablespace, method) {
				out[fact]++
				if object, _, _ := strings.Cut(fact, factSeparator); strings.HasPrefix(object, "CREATE OR REPLACE VIEW ") {
					replaced["CREATE VIEW "+strings.TrimPrefix(object, "CREATE OR REPLACE VIEW ")] = true
				}
			}
		}
	}
	// pg_dump breaks a circle of views, and one of a view and its table's primary key, with a stand-in that it replaces later: only the
	// replacement counts. A fact that is added while a map is walked may or may not be met by the walk, hence a list of them.
	for _, fact := range slices.Sorted(maps.Keys(out)) {
		if object, _, _ := strings.Cut(fact, factSeparator); replaced[object] {
			delete(out, fact)
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(out)) {
		object, sql, _ := strings.Cut(fact, factSeparator)
		if strings.HasPrefix(object, "CREATE OR REPLACE VIEW ") {
			delete(out, fact)
			object = strings.Replace(object, " OR REPLACE", "", 1)
			out[object+factSeparator+strings.Replace(sql, " OR REPLACE", "", 1)]++
		}
	}
	return out
}

func startsWith(tokens []token, words ...string) bool {
	if len(tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if !tokens[i].is(w) {
			return false
		}
	}
	return true
}

// settingValue is the value of SET name = value; an empty string and the default heap are no value.
func settingValue(words []token) string {
	if v := strings.Trim(words[len(words)-1].text, `'`); v != "heap" {
		return v
	}
	return ""
}

func statementFacts(tokens, words []token, tablespace, method string) []string {
	tokens = sortOptions(tokens)
	where := ""
	if tablespace != "" {
		where += " TABLESPACE " + tablespace
	}
	text := squeeze(tokens)
	switch {
	case isCreateTable(words):
		if method != "" {
			where += " USING " + method
		}
		return tableFacts(tokens, where)
	case startsWith(words, "CREATE", "INDEX"), startsWith(words, "CREATE", "UNIQUE", "INDEX"), startsWith(words, "CREATE", "MATERIALIZED", "VIEW"):
		return []string{headOf(words) + factSeparator + text + where}
	case startsWith(words, "ALTER", "TABLE"):
		return alterTableFacts(tokens, words, text, where)
	case startsWith(words, "CREATE", "STATISTICS"):
		return []string{headOf(words) + factSeparator + sortStatistics(tokens)}
	case startsWith(words, "ALTER", "PUBLICATION"):
		return []string{headOf(words) + factSeparator + sortColumns(tokens)}
	}
	return []string{headOf(words) + factSeparator + text}
}

// sortOptions sorts the storage parameters in WITH (...): they stand in the order in which they were set.
func sortOptions(tokens []token) []token {
	for i, t := range tokens {
		if t.is("WITH") && i+2 < len(tokens) && tokens[i+2].is("(") {
			elements, end := splitList(tokens, i+2)
			sortedList := token{tokenWord, strings.Join(sortedTexts(elements), ", ")}
			return slices.Concat(tokens[:i+3], []token{sortedList}, tokens[end:])
		}
	}
	return tokens
}

func isCreateTable(words []token) bool {
	if !startsWith(words, "CREATE") {
		return false
	}
	for _, w := range words[1:min(4, len(words))] {
		if w.is("TABLE") {
			return true
		}
		if !w.is("UNLOGGED") && !w.is("FOREIGN") {
			return false
		}
	}
	return false
}

// headOf names what a statement is about: its words up to the first that is neither a keyword of its head nor part of a name.
func headOf(words []token) string {
	var b strings.Builder
	for i, w := range words {
		if w.is("(") || w.is("AS") && i > 2 || i > 12 || w.is("IS") || w.is("FROM") && i > 2 || w.is("ON") && words[1].is("STATISTICS") {
			break
		}
		if i > 0 && !w.is(".") && !words[i-1].is(".") {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// tableFacts takes CREATE TABLE apart: the order of the columns does not count, and a default or a check counts alike whether
// it stands inside the statement or behind it.
func tableFacts(tokens []token, where string) []string {
	open := -1
	for i, t := range tokens {
		if t.is("(") {
			open = i
			break
		}
	}
	if open < 0 {
		return []string{headOf(solid(tokens)) + factSeparator + squeeze(tokens) + where}
	}
	head := squeeze(tokens[:open])
	table := "TABLE " + tableName(solid(tokens[:open]))
	elements, end := splitList(tokens, open)
	out := []string{table + factSeparator + head + " () " + squeeze(tokens[end+1:]) + where}
	for _, element := range elements {
		words := solid(element)
		if len(words) == 0 {
			continue
		}
		if words[0].is("CONSTRAINT") || words[0].is("CHECK") || words[0].is("LIKE") {
			out = append(out, table+factSeparator+squeeze(element))
			continue
		}
		rest, expression := cutDefault(element)
		out = append(out, table+factSeparator+"COLUMN "+squeeze(rest))
		if len(expression) > 0 {
			out = append(out, table+factSeparator+"DEFAULT OF "+words[0].text+": "+squeeze(expression))
		}
	}
	return out
}

// tableName is the qualified name behind CREATE ... TABLE.
func tableName(words []token) string {
	for i, w := range words {
		if w.is("TABLE") {
			return joinTokens(words[i+1:])
		}
	}
	return joinTokens(words)
}

// splitList splits the parenthesised list that opens at open; end is the index of its closing parenthesis.
func splitList(tokens []token, open int) (elements [][]token, end int) {
	depth, begin := 0, open+1
	for i := open; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.is("(") || t.is("["):
			depth++
		case t.is("]"):
			depth--
		case t.is(")"):
			depth--
			if depth == 0 {
				return append(elements, tokens[begin:i]), i
			}
		case t.is(",") && depth == 1:
			elements = append(elements, tokens[begin:i])
			begin = i + 1
		}
	}
	return elements, len(tokens) - 1
}

// cutDefault takes the DEFAULT clause out of a column's definition. pg_dump writes NOT NULL, COLLATE and OPTIONS behind it; inside
// an expression the server prints them in parentheses.
func cutDefault(element []token) (rest, expression []token) {
	depth, begin, end := 0, -1, len(element)
	for i, t := range element {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && begin < 0 && t.is("DEFAULT"):
			begin = i
		case depth == 0 && begin >= 0 && end == len(element) && (t.is("NOT") || t.is("CONSTRAINT") || t.is("OPTIONS") || t.is("COLLATE")):
			end = i
		}
	}
	if begin < 0 {
		return element, nil
	}
	return slices.Concat(element[:begin], element[end:]), element[begin+1 : end]
}

func alterTableFacts(tokens, words []token, text, where string) []string {
	i := 2
	if i < len(words) && words[i].is("ONLY") {
		i++
	}
	name := i
	for i++; i+1 < len(words) && words[i].is("."); i += 2 {
	}
	table, rest := "TABLE "+joinTokens(words[name:min(i, len(words))]), words[min(i, len(words)):]
	switch {
	case startsWith(rest, "ADD", "CONSTRAINT"):
		at := slices.IndexFunc(tokens, func(t token) bool { return t.is("ADD") })
		return []string{table + factSeparator + squeeze(tokens[at+1:]) + where}
	case len(rest) > 4 && startsWith(rest, "ALTER", "COLUMN") && startsWith(rest[3:], "SET", "DEFAULT"):
		at := slices.IndexFunc(tokens, func(t token) bool { return t.is("DEFAULT") })
		return []string{table + factSeparator + "DEFAULT OF " + rest[2].text + ": " + squeeze(tokens[at+1:])}
	}
	return []string{table + factSeparator + text}
}

// sortStatistics sorts the columns of a statistics object: they stand in the order of the table's columns.
func sortStatistics(tokens []token) string {
	on, from := -1, len(tokens)
	for i, t := range tokens {
		if t.is("ON") && on < 0 {
			on = i
		}
		if t.is("FROM") {
			from = i
		}
	}
	if on < 0 || from < on {
		return squeeze(tokens)
	}
	list := append([]token{{tokenPunct, "("}}, tokens[on+1:from]...)
	elements, _ := splitList(append(list, token{tokenPunct, ")"}), 0)
	return squeeze(tokens[:on+1]) + " " + strings.Join(sortedTexts(elements), ", ") + " " + squeeze(tokens[from:])
}

// sortColumns sorts the column list of a publication's table, which stands in the order of the table's columns.
func sortColumns(tokens []token) string {
	for i, t := range tokens {
		if t.is("WHERE") {
			break
		}
		if t.is("(") {
			elements, end := splitList(tokens, i)
			return squeeze(tokens[:i]) + " (" + strings.Join(sortedTexts(elements), ", ") + ") " + squeeze(tokens[end+1:])
		}
	}
	return squeeze(tokens)
}

func sortedTexts(elements [][]token) []string {
	texts := make([]string, len(elements))
	for i, e := range elements {
		texts[i] = squeeze(e)
	}
	slices.Sort(texts)
	return texts
}
