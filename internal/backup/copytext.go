package backup

import (
	"bytes"
	"fmt"
)

// lines gives every line that is written to it, without its end, to a function. COPY's text format has no line end inside a value.
// A last line without an end is given by flush.
type lines struct {
	each func(line []byte) error
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			l.rest = append(l.rest, p...)
			return n, nil
		}
		line := p[:end]
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		if err := l.each(line); err != nil {
			return 0, err
		}
		l.rest, p = keepSmall(l.rest), p[end+1:]
	}
}

// keepSmall empties a buffer for use again, but lets one go that a huge row has blown up.
func keepSmall(b []byte) []byte {
	if cap(b) > 4<<20 {
		return nil
	}
	return b[:0]
}

// rowSplitter splits lines of COPY's text format into values.
type rowSplitter struct {
	fields  [][]byte
	scratch []byte
}

// split gives the line's values, nil for NULL. They are good until the next call and as long as line is. A table without columns
// has lines without values.
func (s *rowSplitter) split(line []byte, columns int) ([][]byte, error) {
	s.fields, s.scratch = s.fields[:0], keepSmall(s.scratch)
	if columns == 0 {
		if len(line) != 0 {
			return nil, fmt.Errorf("a row of a table without columns has a value")
		}
		return s.fields, nil
	}
	if cap(s.scratch) < len(line) {
		s.scratch = make([]byte, 0, len(line)+len(line)/2) // it must not move: fields point into it
	}
	for {
		end := bytes.IndexByte(line, '\t')
		field := line
		if end >= 0 {
			field = line[:end]
		}
		value, err := s.unescape(field)
		if err != nil {
			return nil, err
		}
		s.fields = append(s.fields, value)
		if end < 0 {
			break
		}
		line = line[end+1:]
	}
	if len(s.fields) != columns {
		return nil, fmt.Errorf("a row has %d values for %d columns", len(s.fields), columns)
	}
	return s.fields, nil
}

var unescaped = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// unescape is the value of a field. Unescaped it is never longer.
func (s *rowSplitter) unescape(field []byte) ([]byte, error) {
	at := bytes.IndexByte(field, '\\')
	if at < 0 {
		return field, nil
	}
	if len(field) == 2 && field[1] == 'N' {
		return nil, nil
	}
	begin := len(s.scratch)
	for at >= 0 {
		s.scratch = append(s.scratch, field[:at]...)
		if at+1 >= len(field) {
			return nil, fmt.Errorf("a value ends in the middle of an escape")
		}
		c := field[at+1]
		if u := unescaped[c]; u != 0 {
			c = u
		} else if c >= '0' && c <= '7' || c == 'x' {
			return nil, fmt.Errorf(`the escape \%c is not written by COPY`, c)
		}
		s.scratch = append(s.scratch, c)
		field = field[at+2:]
		at = bytes.IndexByte(field, '\\')
	}
	s.scratch = append(s.scratch, field...)
	return s.scratch[begin:len(s.scratch):len(s.scratch)], nil
}

// copyEscape says which letter stands after a backslash for a byte; 0 where the byte stands for itself.
var copyEscape = [256]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\'}

// appendCopyValue appends a value as COPY's text format has it; nil is NULL.
func appendCopyValue(dst, value []byte) []byte {
	if value == nil {
		return append(dst, `\N`...)
	}
	plain := 0
	for i, c := range value {
		if e := copyEscape[c]; e != 0 {
			dst = append(append(dst, value[plain:i]...), '\\', e)
			plain = i + 1
		}
	}
	return append(dst, value[plain:]...)
}

// appendCopyRow appends a whole line.
func appendCopyRow(dst []byte, fields [][]byte) []byte {
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, '\t')
		}
		dst = appendCopyValue(dst, f)
	}
	return append(dst, '\n')
}
