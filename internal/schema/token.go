package schema

import "strings"

// tokenKind says what a piece of SQL text is.
type tokenKind int

const (
	tokenSpace  tokenKind = iota // white space or a comment
	tokenWord                    // an unquoted identifier, keyword or number
	tokenQuoted                  // a "quoted identifier"
	tokenString                  // any string constant, with its prefix and quotes
	tokenParam                   // $1
	tokenPunct                   // one character of anything else
)

// token is a piece of SQL text exactly as it was written.
type token struct {
	kind tokenKind
	text string
}

// name is the identifier that a token stands for, or "".
func (t token) name() string {
	switch t.kind {
	case tokenWord:
		return strings.ToLower(t.text)
	case tokenQuoted:
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`)
	}
	return ""
}

// is says whether the token is this keyword (written in upper case) or punctuation.
func (t token) is(text string) bool {
	return t.kind == tokenPunct && t.text == text || t.kind == tokenWord && strings.EqualFold(t.text, text)
}

// tokenize splits SQL without losing a byte: the texts of the tokens, joined, are the input.
func tokenize(sql string) []token {
	var out []token
	for i := 0; i < len(sql); {
		kind, end := nextToken(sql, i)
		out = append(out, token{kind, sql[i:end]})
		i = end
	}
	return out
}

func nextToken(s string, i int) (tokenKind, int) {
	c := s[i]
	switch {
	case isSpace(c):
		return tokenSpace, scanWhile(s, i, isSpace)
	case strings.HasPrefix(s[i:], "--"):
		if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
			return tokenSpace, i + n
		}
		return tokenSpace, len(s)
	case strings.HasPrefix(s[i:], "/*"):
		return tokenSpace, scanBlockComment(s, i)
	case c == '\'':
		return tokenString, scanString(s, i, false)
	case c == '"':
		return tokenQuoted, scanQuoted(s, i)
	case c == '$':
		return scanDollar(s, i)
	case isWordStart(c):
		end := scanWhile(s, i, isWordPart)
		if end < len(s) && s[end] == '\'' && isStringPrefix(s[i:end]) {
			return tokenString, scanString(s, end, strings.EqualFold(s[i:end], "E"))
		}
		return tokenWord, end
	case c >= '0' && c <= '9':
		return tokenWord, scanWhile(s, i, func(c byte) bool { return isWordPart(c) || c == '.' })
	}
	return tokenPunct, i + 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' || c == '$' }

func isStringPrefix(word string) bool {
	switch strings.ToUpper(word) {
	case "E", "B", "X", "N":
		return true
	}
	return false
}

func scanWhile(s string, i int, ok func(byte) bool) int {
	for i < len(s) && ok(s[i]) {
		i++
	}
	return i
}

// scanBlockComment: comments nest.
func scanBlockComment(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth, i = depth+1, i+2
		case strings.HasPrefix(s[i:], "*/"):
			depth, i = depth-1, i+2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return i
}

func scanString(s string, i int, escapes bool) int {
	for i++; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return i + 1
		}
	}
	return len(s)
}

func scanQuoted(s string, i int) int {
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '"' && i+1 < len(s) && s[i+1] == '"':
			i++
		case s[i] == '"':
			return i + 1
		}
	}
	return len(s)
}

// scanDollar reads a parameter ($1) or a dollar-quoted string ($tag$ ... $tag$).
func scanDollar(s string, i int) (tokenKind, int) {
	if end := scanWhile(s, i+1, func(c byte) bool { return c >= '0' && c <= '9' }); end > i+1 {
		return tokenParam, end
	}
	end := scanWhile(s, i+1, func(c byte) bool { return c != '$' && isWordPart(c) })
	if end >= len(s) || s[end] != '$' {
		return tokenPunct, i + 1
	}
	tag := s[i : end+1]
	if n := strings.Index(s[end+1:], tag); n >= 0 {
		return tokenString, end + 1 + n + len(tag)
	}
	return tokenString, len(s)
}

// joinTokens puts the texts together again.
func joinTokens(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// squeeze joins tokens with every run of white space and comments as one space.
func squeeze(tokens []token) string {
	var b strings.Builder
	space := false
	for _, t := range tokens {
		if t.kind == tokenSpace {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// solid leaves out white space and comments.
func solid(tokens []token) []token {
	out := make([]token, 0, len(tokens))
	for _, t := range tokens {
		if t.kind != tokenSpace {
			out = append(out, t)
		}
	}
	return out
}

// SplitStatements splits a script at its semicolons, minding strings, comments, parentheses and the bodies of routines in
// standard SQL (BEGIN ATOMIC ... END). Statements come without their semicolon; empty ones are left out.
func SplitStatements(script string) []string {
	var out []string
	for _, tokens := range splitTokens(tokenize(script)) {
		out = append(out, strings.TrimSpace(joinTokens(tokens)))
	}
	return out
}

func splitTokens(tokens []token) [][]token {
	pieces := splitPieces(tokens)
	out := make([][]token, len(pieces))
	for i, p := range pieces {
		out[i] = p.tokens
	}
	return out
}

// piece is a statement's tokens and where they begin among the script's.
type piece struct {
	begin  int
	tokens []token
}

func splitPieces(tokens []token) []piece {
	var out []piece
	begin, parens, blocks := 0, 0, 0
	var last token // the last token that is not space
	flush := func(end int) {
		if part := tokens[begin:end]; len(solid(part)) > 0 {
			out = append(out, piece{begin, part})
		}
	}
	for i, t := range tokens {
		switch {
		case t.kind == tokenSpace:
			continue
		case t.is("("):
			parens++
		case t.is(")"):
			parens--
		case t.is("ATOMIC") && last.is("BEGIN"):
			blocks = 1
		case blocks > 0 && t.is("CASE"):
			blocks++
		case blocks > 0 && t.is("END"):
			blocks--
		case t.is(";") && parens <= 0 && blocks == 0:
			flush(i)
			begin, parens = i+1, 0
		}
		last = t
	}
	flush(len(tokens))
	return out
}
