package rows

import (
	"strings"
	"unicode/utf8"
)

// Statement is one SQL statement of a script, without the semicolon behind it.
type Statement struct {
	Text  string
	Start int    // in characters of the script, from 0
	Words string // its first words that are no names, in upper case: "CREATE INDEX", "ROLLBACK TO"
}

// Command is the word that a statement begins with.
func (s Statement) Command() string {
	command, _, _ := strings.Cut(s.Words, " ")
	return command
}

// Split cuts a script where psql does: at semicolons outside of strings, quoted names, comments, parentheses and the bodies of
// functions. Nothing is lost by a wrong cut but an error: PostgreSQL takes one statement at a time from Run.
func Split(script string) []Statement {
	var out []Statement
	s := splitter{text: script}
	for s.at < len(script) {
		if text, start := s.next(); s.word != "" || s.other {
			out = append(out, Statement{Text: text, Start: utf8.RuneCountInString(script[:start]), Words: strings.TrimSpace(s.word)})
		}
	}
	return out
}

// splitter reads one statement after the other.
type splitter struct {
	text string
	at   int

	// Of the statement that is read.
	word  string // its first words
	words int
	other bool // it has something that is no word
	start int
	depth int // of parentheses
	body  int // of BEGIN ATOMIC ... END
}

// next reads up to the semicolon that ends a statement, or to the end.
func (s *splitter) next() (text string, start int) {
	s.word, s.words, s.other, s.start, s.depth, s.body = "", 0, false, -1, 0, 0
	for s.at < len(s.text) {
		begin := s.at
		c := s.text[s.at]
		switch {
		case c == ';' && s.depth <= 0 && s.body == 0:
			s.at++
			if s.start < 0 {
				return "", begin
			}
			return s.text[s.start:begin], s.start
		case s.space():
			continue
		case c == '\'':
			s.quoted('\'', false)
		case c == '"':
			s.quoted('"', false)
		case c == '$' && s.dollar():
		case isLetter(c):
			s.readWord()
		default:
			switch c {
			case '(':
				s.depth++
			case ')':
				s.depth--
			}
			s.at++
		}
		if s.start < 0 {
			s.start = begin
		}
		s.other = true
	}
	if s.start < 0 {
		return "", len(s.text)
	}
	return strings.TrimRight(s.text[s.start:], " \t\r\n"), s.start
}

// space passes white space or a comment, and says whether there was some.
func (s *splitter) space() bool {
	rest := s.text[s.at:]
	switch {
	case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
		s.at++
	case strings.HasPrefix(rest, "--"):
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		s.at += end
	case strings.HasPrefix(rest, "/*"):
		s.comment()
	default:
		return false
	}
	return true
}

// comment passes a comment in which others may lie.
func (s *splitter) comment() {
	depth := 0
	for s.at < len(s.text) {
		switch {
		case strings.HasPrefix(s.text[s.at:], "/*"):
			depth++
			s.at += 2
		case strings.HasPrefix(s.text[s.at:], "*/"):
			depth--
			s.at += 2
		default:
			s.at++
		}
		if depth == 0 {
			return
		}
	}
}

// quoted passes a string or a quoted name. A doubled quote is one of its characters: two strings beside each other read the same.
func (s *splitter) quoted(quote byte, escapes bool) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch {
		case escapes && s.text[s.at] == '\\':
			s.at++
		case s.text[s.at] == quote:
			s.at++
			return
		}
	}
	s.at = min(s.at, len(s.text))
}

// dollar passes a string in dollar quotes, if one begins here.
func (s *splitter) dollar() bool {
	end := s.at + 1
	for end < len(s.text) && isLetter(s.text[end]) || end < len(s.text) && end > s.at+1 && isDigit(s.text[end]) {
		end++
	}
	if end >= len(s.text) || s.text[end] != '$' {
		return false
	}
	tag := s.text[s.at : end+1]
	s.at = end + 1
	if n := strings.Index(s.text[s.at:], tag); n >= 0 {
		s.at += n + len(tag)
	} else {
		s.at = len(s.text)
	}
	return true
}

// readWord passes a keyword or name, and a string that it is the prefix of.
func (s *splitter) readWord() {
	begin := s.at
	for s.at < len(s.text) && (isLetter(s.text[s.at]) || isDigit(s.text[s.at]) || s.text[s.at] == '$') {
		s.at++
	}
	word := strings.ToUpper(s.text[begin:s.at])
	if s.at < len(s.text) && s.text[s.at] == '\'' && (word == "E" || word == "B" || word == "X" || word == "N") {
		s.quoted('\'', word == "E")
		return
	}
	if s.words < 4 {
		s.word += word + " "
	}
	s.words++
	// The body of a function in SQL has statements of its own.
	if !strings.HasPrefix(s.word, "CREATE FUNCTION ") && !strings.HasPrefix(s.word, "CREATE PROCEDURE ") && !strings.HasPrefix(s.word, "CREATE OR REPLACE ") || s.depth > 0 {
		return
	}
	switch {
	case word == "BEGIN", word == "CASE" && s.body > 0:
		s.body++
	case word == "END" && s.body > 0:
		s.body--
	}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
