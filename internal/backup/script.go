package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast/holdfast"
)

// scriptReader splits an SQL script, as pg_dump writes it and psql reads it, into statements and COPY data. Its rules are those of
// psql's own scanner: quotes, dollar quotes, nested comments, parentheses, and the bodies of SQL functions between BEGIN ATOMIC
// and END.
//
// psql's backslash commands are not carried out, for a script from elsewhere could start programs by them: \restrict and
// \unrestrict, which pg_dump writes around a dump against just that, are passed over, and any other is refused.
type scriptReader struct {
	r        *bufio.Reader
	line     int64 // of the next byte, from 1
	bytes    int64 // read so far
	stmt     []byte
	begins   int64 // the line on which stmt begins
	copying  bool
	copyRows int64
	pending  []byte // of a line of COPY data
	midLine  bool
	// nonconforming: standard_conforming_strings is off, so that backslashes escape in every string. Dumps from before 2010 have that.
	nonconforming bool

	parens, blocks int
	words          int
	begin          bool    // the last token was the word BEGIN
	firstWords     [4]byte // initials of create, or, replace, function, procedure among the first words
	complete       bool    // pg_dump's last line was seen
}

// maxStatement is PostgreSQL's longest message.
const maxStatement = 1 << 30

// dumpEnd is pg_dump's last line but for blank ones.
const dumpEnd = "-- PostgreSQL database dump complete"

func newScriptReader(r io.Reader) *scriptReader {
	return &scriptReader{r: bufio.NewReaderSize(r, jsonBuffer), line: 1}
}

func (s *scriptReader) broken(format string, args ...any) error {
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the script is damaged at line %d: %s", s.line, fmt.Sprintf(format, args...))}
}

// next gives the next statement with its semicolon, without comments before it. When it is a COPY from stdin, data gives its rows. The
// statement is good until the next call. At the end it gives io.EOF.
func (s *scriptReader) next() ([]byte, error) {
	if s.copying {
		if _, err := io.Copy(io.Discard, s.data()); err != nil {
			return nil, err
		}
	}
	s.stmt = keepSmall(s.stmt)
	s.parens, s.blocks, s.words, s.begin, s.firstWords = 0, 0, 0, false, [4]byte{}
	for {
		c, err := s.take()
		if errors.Is(err, io.EOF) {
			if len(s.stmt) > 0 {
				return nil, s.broken("it ends in the middle of a statement that begins on line %d", s.begins)
			}
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if len(s.stmt) == 0 && isSpace(c) {
			continue
		}
		done, err := s.step(c)
		if err != nil {
			return nil, err
		}
		if done {
			return s.stmt, s.afterStatement()
		}
		if len(s.stmt) > maxStatement {
			return nil, s.broken("a statement is longer than PostgreSQL takes")
		}
	}
}

func (s *scriptReader) take() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.bytes++
		if c == '\n' {
			s.line++
		}
	}
	return c, err
}

func (s *scriptReader) peek() byte {
	b, err := s.r.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

func (s *scriptReader) push(c byte) {
	if len(s.stmt) == 0 {
		s.begins = s.line
	}
	s.stmt = append(s.stmt, c)
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'
}

func isIdentStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isIdent(c byte) bool { return isIdentStart(c) || c >= '0' && c <= '9' || c == '$' }

// step takes one token that begins with c, and says whether it ended the statement.
func (s *scriptReader) step(c byte) (bool, error) {
	switch {
	case c == '-' && s.peek() == '-':
		return false, s.lineComment()
	case c == '/' && s.peek() == '*':
		return false, s.blockComment()
	case c == '\\':
		return false, s.command()
	case c == '\'':
		s.push(c)
		return false, s.quoted(c, s.nonconforming)
	case c == '"':
		s.push(c)
		return false, s.quoted(c, false)
	case c == '$':
		s.push(c)
		return false, s.dollar()
	case isIdentStart(c):
		s.push(c)
		return false, s.word()
	}
	s.push(c)
	s.begin = s.begin && isSpace(c)
	switch {
	case c == '(':
		s.parens++
	case c == ')' && s.parens > 0:
		s.parens--
	case c == ';':
		return s.parens == 0 && s.blocks == 0, nil
	case c >= '0' && c <= '9':
		for isIdent(s.peek()) { // 1e5, 0x1F: not the beginning of a word or a dollar quote
			d, _ := s.take()
			s.push(d)
		}
	}
	return false, nil
}

// word reads the rest of an identifier or keyword.
func (s *scriptReader) word() error {
	begin := len(s.stmt) - 1
	for isIdent(s.peek()) {
		c, err := s.take()
		if err != nil {
			return err
		}
		s.push(c)
	}
	word := s.stmt[begin:]
	if len(word) == 1 && (word[0] == 'e' || word[0] == 'E') && s.peek() == '\'' {
		c, err := s.take()
		if err != nil {
			return err
		}
		s.push(c)
		return s.quoted(c, true)
	}
	if len(word) > 9 {
		s.begin = false
		s.words++
		return nil
	}
	switch w := strings.ToLower(string(word)); w {
	case "create", "or", "replace", "function", "procedure":
		if s.words < len(s.firstWords) {
			s.firstWords[s.words] = w[0]
		}
	case "begin":
		s.begin = true
		s.words++
		return nil
	case "atomic": // BEGIN alone can be a routine's name
		if s.begin && s.isRoutine() {
			s.blocks++
		}
	case "case":
		if s.isRoutine() && s.blocks > 0 {
			s.blocks++
		}
	case "end":
		if s.isRoutine() && s.blocks > 0 {
			s.blocks--
		}
	}
	s.begin = false
	s.words++
	return nil
}

// isRoutine says whether the statement is CREATE [OR REPLACE] FUNCTION or PROCEDURE, whose body may stand between BEGIN and END.
func (s *scriptReader) isRoutine() bool {
	w := s.firstWords
	kind := w[1]
	if w[1] == 'o' && w[2] == 'r' {
		kind = w[3]
	}
	return w[0] == 'c' && (kind == 'f' || kind == 'p') && s.parens == 0
}

// quoted reads to the closing quote. A doubled quote is two pieces next to each other, which is the same here.
func (s *scriptReader) quoted(quote byte, escapes bool) error {
	for {
		c, err := s.take()
		if err != nil {
			return s.ended(err, "a quoted text")
		}
		s.push(c)
		switch {
		case c == quote:
			if escapes && s.peek() == quote { // stay in the mode with escapes
				if c, err = s.take(); err != nil {
					return err
				}
				s.push(c)
				continue
			}
			return nil
		case c == '\\' && escapes:
			if c, err = s.take(); err != nil {
				return s.ended(err, "a quoted text")
			}
			s.push(c)
		}
		if len(s.stmt) > maxStatement {
			return s.broken("a statement is longer than PostgreSQL takes")
		}
	}
}

func (s *scriptReader) ended(err error, what string) error {
	if errors.Is(err, io.EOF) {
		return s.broken("it ends inside %s", what)
	}
	return err
}

// dollar reads a dollar quote, or a parameter like $1, which is no quote.
func (s *scriptReader) dollar() error {
	begin := len(s.stmt) - 1
	for c := s.peek(); isIdentStart(c) || len(s.stmt)-begin > 1 && c >= '0' && c <= '9'; c = s.peek() {
		c, err := s.take()
		if err != nil {
			return err
		}
		s.push(c)
	}
	if s.peek() != '$' {
		return nil
	}
	c, err := s.take()
	if err != nil {
		return err
	}
	s.push(c)
	tag := bytes.Clone(s.stmt[begin:])
	for from := len(s.stmt); ; {
		c, err := s.take()
		if err != nil {
			return s.ended(err, "a dollar quote")
		}
		s.push(c)
		if c == '$' && len(s.stmt)-from >= len(tag) && bytes.HasSuffix(s.stmt, tag) {
			return nil
		}
		if len(s.stmt) > maxStatement {
			return s.broken("a statement is longer than PostgreSQL takes")
		}
	}
}

func (s *scriptReader) lineComment() error {
	line := []byte{'-'}
	for {
		c, err := s.take()
		if errors.Is(err, io.EOF) || c == '\n' {
			break
		}
		if err != nil {
			return err
		}
		if len(line) < len(dumpEnd)+1 {
			line = append(line, c)
		}
	}
	if len(s.stmt) > 0 {
		s.push('\n')
	} else if string(bytes.TrimRight(line, "\r ")) == dumpEnd {
		s.complete = true
	}
	return nil
}

func (s *scriptReader) blockComment() error {
	depth := 0
	for last := byte('/'); ; {
		c, err := s.take()
		if err != nil {
			return s.ended(err, "a comment")
		}
		switch {
		case last == '/' && c == '*':
			depth++
			c = 0
		case last == '*' && c == '/':
			depth--
			c = 0
		}
		if depth == 0 {
			if len(s.stmt) > 0 {
				s.push(' ')
			}
			return nil
		}
		last = c
	}
}

// command passes over the commands that pg_dump writes and refuses all others.
func (s *scriptReader) command() error {
	line := s.line
	text, err := s.r.ReadString('\n')
	s.bytes += int64(len(text))
	s.line += int64(strings.Count(text, "\n"))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	if len(s.stmt) == 0 && (name == "restrict" || name == "unrestrict") {
		return nil
	}
	hint := "remove it from the file; such a command could start programs on this machine"
	if name == "connect" || name == "c" {
		hint = "the file is a dump of a whole cluster, or was made with --create: dump one database without that option"
	}
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf(`line %d holds the psql command \%.40s, which is not carried out`, line, name), Hint: hint}
}

// afterStatement looks whether data follows, and whether the meaning of strings changes.
func (s *scriptReader) afterStatement() error {
	if len(s.stmt) > 200 && !hasKeyword(s.stmt, "copy") {
		return nil
	}
	switch {
	case isCopyFromStdin(s.stmt):
		rest, err := s.r.ReadString('\n')
		s.bytes += int64(len(rest))
		s.line++
		if err != nil {
			return s.ended(err, "COPY data")
		}
		if strings.TrimSpace(rest) != "" {
			return s.broken("something follows COPY on its line")
		}
		s.copying, s.copyRows, s.midLine, s.pending = true, 0, false, nil
	case hasKeyword(s.stmt, "set"):
		if name, value, ok := parseSet(s.stmt); ok && name == "standard_conforming_strings" {
			s.nonconforming = strings.EqualFold(strings.Trim(value, "'"), "off")
		}
	}
	return nil
}

// data gives the rows of the COPY that next gave, as they stand, without the closing line.
func (s *scriptReader) data() io.Reader { return (*copyData)(s) }

type copyData scriptReader

// Read fills p with as many lines as fit, for every call becomes a message to the server.
func (d *copyData) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(d.pending) == 0 {
			if !d.copying {
				break
			}
			if n > 0 && d.r.Buffered() == 0 {
				break // what we have is worth sending before we wait for more
			}
			if err := d.oneLine(); err != nil {
				return n, err
			}
			continue
		}
		m := copy(p[n:], d.pending)
		d.pending = d.pending[m:]
		n += m
		if len(d.pending) > 0 {
			break
		}
	}
	if n == 0 && !d.copying {
		return 0, io.EOF
	}
	return n, nil
}

// oneLine reads one line, or a piece of a long one, into pending.
func (d *copyData) oneLine() error {
	piece, err := d.r.ReadSlice('\n')
	d.bytes += int64(len(piece))
	switch {
	case err == nil:
		(*scriptReader)(d).line++
		if !d.midLine && (string(piece) == "\\.\n" || string(piece) == "\\.\r\n") {
			d.copying = false
			return nil
		}
		d.midLine = false
		d.copyRows++
	case errors.Is(err, bufio.ErrBufferFull):
		d.midLine = true
	case errors.Is(err, io.EOF):
		if !d.midLine && string(piece) == `\.` {
			d.copying = false
			return nil
		}
		return (*scriptReader)(d).broken("it ends in the middle of the rows of a table")
	default:
		return err
	}
	d.pending = piece // good until the next read, and there is none before it is used up
	return nil
}
