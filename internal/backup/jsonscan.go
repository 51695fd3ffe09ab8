package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/holdfast/holdfast"
)

// jsonScanner reads JSON token by token with constant memory, as long as no single token is huge. It hashes what it has passed.
type jsonScanner struct {
	r      io.Reader
	buf    []byte
	at     int // the next byte
	hashed int // bytes of buf that were hashed
	hash   hash.Hash
	passed int64 // bytes that left the buffer
	err    error // of the reader, once it has no more
	token  []byte
}

// maxToken is the longest value that PostgreSQL can hold, in base64 and with escapes.
const maxToken = 2 << 30

func newJSONScanner(r io.Reader) *jsonScanner {
	return &jsonScanner{r: r, hash: sha256.New(), buf: make([]byte, 0, jsonBuffer)}
}

// fill reads more; false at the end.
func (s *jsonScanner) fill() bool {
	if s.err != nil {
		return false
	}
	s.hash.Write(s.buf[s.hashed:s.at])
	s.passed += int64(s.at)
	n := copy(s.buf[:cap(s.buf)], s.buf[s.at:])
	s.buf, s.at, s.hashed = s.buf[:n], 0, 0
	for tries := 0; ; tries++ {
		got, err := s.r.Read(s.buf[n:cap(s.buf)])
		s.buf = s.buf[:n+got]
		if err != nil {
			s.err = err
		}
		if got > 0 || err != nil {
			return got > 0
		}
		if tries > 100 {
			s.err = io.ErrNoProgress
			return false
		}
	}
}

// sum is the SHA-256 of everything before the next byte.
func (s *jsonScanner) sum() string {
	s.hash.Write(s.buf[s.hashed:s.at])
	s.hashed = s.at
	return hex.EncodeToString(s.hash.Sum(nil))
}

func (s *jsonScanner) broken(format string, args ...any) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	if s.err != nil && s.at >= len(s.buf) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the file ends early, after %d bytes", s.passed+int64(s.at))}
	}
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the file is damaged at byte %d: %s", s.passed+int64(s.at), fmt.Sprintf(format, args...))}
}

// peek is the next byte that is no white space; 0 at the end.
func (s *jsonScanner) peek() byte {
	for {
		for ; s.at < len(s.buf); s.at++ {
			if c := s.buf[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				return c
			}
		}
		if !s.fill() {
			return 0
		}
	}
}

func (s *jsonScanner) expect(c byte) error {
	if s.peek() != c {
		return s.broken("%q is missing", c)
	}
	s.at++
	return nil
}

// accept passes c when it is next.
func (s *jsonScanner) accept(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// key reads the name of a member of an object, and the colon.
func (s *jsonScanner) key() (string, error) {
	name, err := s.str()
	if err != nil {
		return "", err
	}
	return string(name), s.expect(':')
}

// str reads a string. It is good until the next token.
func (s *jsonScanner) str() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.broken("a string is missing")
	}
	s.at++
	s.token = keepSmall(s.token)
	for {
		rest := s.buf[s.at:]
		i := 0
		for i < len(rest) && rest[i] != '"' && rest[i] != '\\' && rest[i] >= ' ' {
			i++
		}
		if i < len(rest) && rest[i] == '"' && len(s.token) == 0 {
			s.at += i + 1
			return rest[:i:i], nil // the common case: nothing to copy
		}
		s.token = append(s.token, rest[:i]...)
		s.at += i
		if len(s.token) > maxToken {
			return nil, s.broken("a value is too long")
		}
		if i == len(rest) {
			if !s.fill() {
				return nil, s.broken("a string is not closed")
			}
			continue
		}
		switch rest[i] {
		case '"':
			s.at++
			return s.token, nil
		case '\\':
			s.at++
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			return nil, s.broken("a control character stands in a string")
		}
	}
}

// next takes one byte of a token.
func (s *jsonScanner) next() (byte, bool) {
	if s.at >= len(s.buf) && !s.fill() {
		return 0, false
	}
	s.at++
	return s.buf[s.at-1], true
}

var jsonEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (s *jsonScanner) escape() error {
	c, ok := s.next()
	if e := jsonEscapes[c]; ok && e != 0 {
		s.token = append(s.token, e)
		return nil
	}
	if c != 'u' {
		return s.broken("an escape is not known")
	}
	r, err := s.unit()
	if err != nil {
		return err
	}
	if r >= 0xD800 && r < 0xDC00 {
		if a, _ := s.next(); a != '\\' {
			return s.broken("half a character")
		}
		if b, _ := s.next(); b != 'u' {
			return s.broken("half a character")
		}
		low, err := s.unit()
		if err != nil {
			return err
		}
		if low < 0xDC00 || low > 0xDFFF {
			return s.broken("half a character")
		}
		r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
	} else if r >= 0xDC00 && r <= 0xDFFF || r == 0 {
		return s.broken("half a character")
	}
	s.token = utf8.AppendRune(s.token, r)
	return nil
}

// unit reads the four digits of an escape.
func (s *jsonScanner) unit() (rune, error) {
	var r rune
	for range 4 {
		c, _ := s.next()
		i := strings.IndexByte("0123456789abcdefABCDEF", c)
		if i < 0 {
			return 0, s.broken("an escape is not complete")
		}
		if i > 15 {
			i -= 6
		}
		r = r<<4 | rune(i)
	}
	return r, nil
}

// word reads a number, true, false or null. It is good until the next token.
func (s *jsonScanner) word() ([]byte, error) {
	s.peek()
	s.token = keepSmall(s.token)
	for {
		begin := s.at
		for s.at < len(s.buf) && isWordByte(s.buf[s.at]) {
			s.at++
		}
		s.token = append(s.token, s.buf[begin:s.at]...)
		if len(s.token) > 1<<10 {
			return nil, s.broken("a number is too long")
		}
		if s.at < len(s.buf) || !s.fill() {
			break
		}
	}
	if len(s.token) == 0 {
		return nil, s.broken("a value is missing")
	}
	return s.token, nil
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// raw reads any value as it stands, but for white space, up to a limit.
func (s *jsonScanner) raw(dst []byte, limit int) ([]byte, error) {
	switch s.peek() {
	case '"':
		v, err := s.str()
		if err != nil {
			return dst, err
		}
		dst = appendJSONString(dst, v)
	case '{', '[':
		return s.rawNested(dst, limit)
	default:
		w, err := s.word()
		if err != nil {
			return dst, err
		}
		dst = append(dst, w...)
	}
	if len(dst) > limit {
		return dst, s.broken("a part is too long")
	}
	return dst, nil
}

// rawNested reads an object or a list. It counts its depth, so that a hostile file cannot exhaust the stack.
func (s *jsonScanner) rawNested(dst []byte, limit int) ([]byte, error) {
	const deepest = 64
	depth := 0
	for {
		switch c := s.peek(); c {
		case '{', '[':
			depth++
			s.at++
			dst = append(dst, c)
		case '}', ']':
			depth--
			s.at++
			dst = append(dst, c)
		case ',', ':':
			s.at++
			dst = append(dst, c)
		default:
			var err error
			if dst, err = s.raw(dst, limit); err != nil {
				return dst, err
			}
		}
		if depth == 0 {
			return dst, nil
		}
		if depth > deepest || len(dst) > limit {
			return dst, s.broken("a part is too deep or too long")
		}
	}
}
