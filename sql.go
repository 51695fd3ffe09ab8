package holdfast

import "strings"

// QuoteIdentifier makes any name safe to stand as an SQL identifier. Every identifier in generated SQL passes here.
// A NUL byte cannot be part of a PostgreSQL name and ends it.
func QuoteIdentifier(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// QuoteQualified quotes each part and joins them with dots: "schema"."table".
func QuoteQualified(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = QuoteIdentifier(p)
	}
	return strings.Join(quoted, ".")
}

// QuoteLiteral makes any text safe to stand as an SQL string literal, whatever standard_conforming_strings says. Prefer
// parameters; this is for utility statements, which take none.
func QuoteLiteral(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	quoted := `'` + strings.ReplaceAll(text, `'`, `''`) + `'`
	if strings.Contains(quoted, `\`) {
		return ` E` + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
