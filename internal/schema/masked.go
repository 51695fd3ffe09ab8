package schema

import "strings"

// Masked returns a statement without its constants, on one line: what a person may see of somebody else's query.
func Masked(sql string) string {
	tokens := tokenize(sql)
	for i, t := range tokens {
		if t.kind == tokenString || t.kind == tokenWord && t.text[0] >= '0' && t.text[0] <= '9' {
			tokens[i] = token{tokenWord, "?"}
		}
	}
	return strings.TrimSpace(squeeze(tokens))
}

// Verb is the first word of a statement, in upper case: SELECT. Comments before it do not count.
func Verb(sql string) string {
	words := solid(tokenize(sql))
	for len(words) > 0 && words[0].is("(") {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(words[0].text)
}

// Preparable rewrites what pg_stat_statements makes of a constant with its type in front (interval $1, which the server does not
// take) into a cast ($1::interval).
func Preparable(sql string) string {
	tokens := tokenize(sql)
	var at []int // the places of what is not space
	for i, t := range tokens {
		if t.kind != tokenSpace {
			at = append(at, i)
		}
	}
	for n := range at {
		if n == 0 || tokens[at[n]].kind != tokenParam {
			continue
		}
		first := n - 1
		if n >= 4 && tokens[at[n-1]].is("ZONE") && tokens[at[n-2]].is("TIME") && (tokens[at[n-3]].is("WITH") || tokens[at[n-3]].is("WITHOUT")) {
			first = n - 4
		}
		if !typedConstant(tokens[at[first]]) || first > 0 && (tokens[at[first-1]].is(".") || tokens[at[first-1]].is(":")) {
			continue
		}
		name := squeeze(tokens[at[first] : at[n-1]+1])
		for i := at[first]; i < at[n]; i++ {
			tokens[i].text = ""
		}
		tokens[at[n]].text += "::" + name
	}
	return joinTokens(tokens)
}

// typedConstant are the types that stand before constants. No statement can have a column of such a name before a parameter.
func typedConstant(t token) bool {
	switch strings.ToLower(t.text) {
	case "interval", "date", "time", "timestamp", "timestamptz", "timetz", "uuid", "json", "jsonb", "inet", "cidr", "macaddr", "bytea", "numeric", "point", "box", "xml", "bool", "boolean", "float8", "int8", "int4", "text":
		return t.kind == tokenWord
	}
	return false
}
