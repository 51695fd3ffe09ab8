package backup

import (
	"bytes"
	"regexp"
	"strings"
)

// hasKeyword says whether the statement begins with the word, in any case.
func hasKeyword(stmt []byte, word string) bool {
	return len(stmt) >= len(word) && strings.EqualFold(string(stmt[:len(word)]), word) && (len(stmt) == len(word) || !isIdent(stmt[len(word)]))
}

// beginsWith says whether the statement begins with these words, in any case and with any white space between them.
func beginsWith(stmt []byte, words ...string) bool {
	for _, w := range words {
		stmt = bytes.TrimLeft(stmt, " \t\r\n\f\v")
		if !hasKeyword(stmt, w) {
			return false
		}
		stmt = stmt[len(w):]
	}
	return true
}

// parseName reads a name of one or more parts at the beginning of text: public."Odd ""name""". Parts without quotes are folded to lower case.
func parseName(text []byte) (parts []string, rest []byte, ok bool) {
	rest = bytes.TrimLeft(text, " \t\r\n")
	for {
		var part string
		switch {
		case len(rest) > 0 && rest[0] == '"':
			end := 1
			for {
				i := bytes.IndexByte(rest[end:], '"')
				if i < 0 {
					return nil, text, false
				}
				end += i + 1
				if end >= len(rest) || rest[end] != '"' {
					break
				}
				end++
			}
			part, rest = strings.ReplaceAll(string(rest[1:end-1]), `""`, `"`), rest[end:]
		case len(rest) > 0 && isIdentStart(rest[0]):
			end := 1
			for end < len(rest) && isIdent(rest[end]) {
				end++
			}
			part, rest = strings.ToLower(string(rest[:end])), rest[end:]
		default:
			return nil, text, false
		}
		parts = append(parts, part)
		if len(rest) == 0 || rest[0] != '.' {
			return parts, rest, true
		}
		rest = rest[1:]
	}
}

// tableName is the last two parts of a name; the schema is empty where none was written.
func tableName(parts []string) (schema, name string) {
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	return schema, parts[len(parts)-1]
}

// isCopyFromStdin says whether rows follow the statement.
func isCopyFromStdin(stmt []byte) bool {
	if !hasKeyword(stmt, "copy") {
		return false
	}
	_, rest, ok := parseName(stmt[len("copy"):])
	if !ok {
		return false
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if len(rest) > 0 && rest[0] == '(' {
		if rest = afterParentheses(rest); rest == nil {
			return false
		}
	}
	return beginsWith(rest, "from", "stdin")
}

// afterParentheses is what follows the list of names in parentheses with which text begins.
func afterParentheses(text []byte) []byte {
	quoted := false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ')' && !quoted:
			return text[i+1:]
		}
	}
	return nil
}

// rowTarget is the table into which a COPY or INSERT statement puts rows.
func rowTarget(stmt []byte) (schema, name string, ok bool) {
	var rest []byte
	switch {
	case isCopyFromStdin(stmt):
		rest = stmt[len("copy"):]
	case beginsWith(stmt, "insert", "into"):
		rest = bytes.TrimLeft(stmt[len("insert"):], " \t\r\n")[len("into"):]
	default:
		return "", "", false
	}
	parts, _, ok := parseName(rest)
	if !ok {
		return "", "", false
	}
	schema, name = tableName(parts)
	return schema, name, true
}

var setStatement = regexp.MustCompile(`(?is)^set\s+(?:session\s+)?([a-z_][a-z0-9_.]*)\s*(?:=|\sto\s)\s*(.*?)\s*;?\s*$`)

// parseSet reads SET name = value. SET LOCAL, SET ROLE and their like are none.
func parseSet(stmt []byte) (name, value string, ok bool) {
	if len(stmt) > 1000 {
		return "", "", false
	}
	m := setStatement.FindSubmatch(stmt)
	if m == nil {
		return "", "", false
	}
	return strings.ToLower(string(m[1])), string(m[2]), true
}

var (
	ownerClause   = regexp.MustCompile(`(?is)\sowner\s+to\s+("([^"]|"")+"|[^\s";]+)\s*;\s*$`)
	sequenceValue = regexp.MustCompile(`(?is)^select\s+(pg_catalog\.)?setval\s*\(`)
	objectCreate  = regexp.MustCompile(`(?is)^select\s+(pg_catalog\.)?(lo_create|lo_creat|lo_from_bytea)\s*\(`)
	objectCall    = regexp.MustCompile(`(?is)^select\s+(pg_catalog\.)?(lo_create|lo_open|lowrite|lo_close|lo_from_bytea|lo_put|lo_creat)\s*\(`)
)

// statementKind says what a statement of a dump is for.
type statementKind int

const (
	schemaStatement statementKind = iota
	sessionStatement
	rowStatement      // COPY or INSERT
	sequenceStatement // setval
	objectStatement   // bytes of a large object, and the transaction around them
	refreshStatement
	ownerStatement
	rightsStatement
)

// classify looks only at the beginning of a statement, and for owners at its end.
func classify(stmt []byte) statementKind {
	head := stmt[:min(len(stmt), 200)]
	switch {
	case isCopyFromStdin(stmt), beginsWith(head, "insert", "into"):
		return rowStatement
	case sequenceValue.Match(head):
		return sequenceStatement
	case objectCall.Match(head), beginsWith(head, "comment", "on", "large"), beginsWith(head, "begin"), beginsWith(head, "commit"):
		return objectStatement
	case beginsWith(head, "refresh", "materialized"):
		return refreshStatement
	case beginsWith(head, "set", "session", "authorization"), beginsWith(head, "alter") && len(stmt) < 4000 && ownerClause.Match(stmt):
		return ownerStatement
	case beginsWith(head, "set"), beginsWith(head, "reset"), beginsWith(head, "select"):
		return sessionStatement
	case beginsWith(head, "grant"), beginsWith(head, "revoke"), beginsWith(head, "alter", "default", "privileges"):
		return rightsStatement
	}
	return schemaStatement
}

// objectCreation says whether the statement makes a large object.
func objectCreation(stmt []byte) bool { return objectCreate.Match(stmt[:min(len(stmt), 100)]) }
