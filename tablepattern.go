package holdfast

import (
	"fmt"
	"strings"
)

// TablePattern chooses tables by name as people write it: orders, sales.orders, sales.*, order?, "Odd Name". Names without
// quotes are folded to lower case, as in SQL. A pattern without a schema looks in every schema.
type TablePattern struct {
	schema, name []patternPart // schema is nil where none was written
}

// patternPart is a byte to be matched, or a wildcard.
type patternPart struct {
	char byte
	wild bool
}

// ParseTablePattern reads a pattern.
func ParseTablePattern(s string) (TablePattern, error) {
	invalid := func(why string) (TablePattern, error) {
		return TablePattern{}, &Error{Kind: Invalid, Message: fmt.Sprintf("%q does not name a table: %s", s, why),
			Hint: `write NAME or SCHEMA.NAME; * and ? are wildcards, and names with other characters stand in double quotes`}
	}
	var parts [][]patternPart
	var part []patternPart
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && quoted && i+1 < len(s) && s[i+1] == '"':
			part = append(part, patternPart{char: '"'})
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			part = append(part, patternPart{char: c})
		case c == '.':
			parts, part = append(parts, part), nil
		case c == 0:
			return invalid("a name cannot hold a zero byte")
		default:
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			part = append(part, patternPart{char: c, wild: c == '*' || c == '?'})
		}
	}
	parts = append(parts, part)
	switch {
	case quoted:
		return invalid("a quote is not closed")
	case len(parts) > 2:
		return invalid("it has more than two parts")
	}
	for _, p := range parts {
		if len(p) == 0 {
			return invalid("a part of it is empty")
		}
	}
	if len(parts) == 1 {
		return TablePattern{name: parts[0]}, nil
	}
	return TablePattern{schema: parts[0], name: parts[1]}, nil
}

// Matches says whether the pattern chooses the table.
func (p TablePattern) Matches(schema, name string) bool {
	return (p.schema == nil || matchParts(p.schema, schema)) && matchParts(p.name, name)
}

// String writes the pattern so that ParseTablePattern reads the same.
func (p TablePattern) String() string {
	if p.schema == nil {
		return writeParts(p.name)
	}
	return writeParts(p.schema) + "." + writeParts(p.name)
}

func writeParts(parts []patternPart) string {
	var b strings.Builder
	for _, part := range parts {
		plain := part.wild || part.char >= 'a' && part.char <= 'z' || part.char >= '0' && part.char <= '9' || part.char == '_'
		switch {
		case plain:
			b.WriteByte(part.char)
		case part.char == '"':
			b.WriteString(`""""`)
		default:
			b.WriteString(`"` + string([]byte{part.char}) + `"`)
		}
	}
	return b.String()
}

// matchParts goes back to the last * when a byte does not fit, so that it takes at most len(parts) times len(s) steps.
func matchParts(parts []patternPart, s string) bool {
	p, i, star, starAt := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(parts) && parts[p].wild && parts[p].char == '*':
			star, starAt = p, i
			p++
		case p < len(parts) && (parts[p].wild && parts[p].char == '?' || !parts[p].wild && parts[p].char == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			starAt++
			p, i = star+1, starAt
		default:
			return false
		}
	}
	for p < len(parts) && parts[p].wild && parts[p].char == '*' {
		p++
	}
	return p == len(parts)
}
