package backup

import (
	"encoding/base64"
	"encoding/hex"
)

// rowDecoder turns a row of JSON into a line of COPY's text format.
type rowDecoder struct {
	value, raw []byte
}

func (d *rowDecoder) row(s *jsonScanner, dst []byte, columns []encoding) ([]byte, error) {
	if err := s.expect('['); err != nil {
		return dst, err
	}
	for i, e := range columns {
		if i > 0 {
			if err := s.expect(','); err != nil {
				return dst, err
			}
			dst = append(dst, '\t')
		}
		var err error
		if e.kind == asText && s.peek() == '"' { // the most common case, without a detour
			text, err := s.str()
			if err != nil {
				return dst, err
			}
			dst = appendCopyValue(dst, text)
			continue
		}
		d.value = keepSmall(d.value)
		var null bool
		if d.value, null, err = d.scalarOrArray(s, d.value, e); err != nil {
			return dst, err
		}
		if null {
			dst = append(dst, `\N`...)
		} else {
			dst = appendCopyValue(dst, notNil(d.value))
		}
	}
	if err := s.expect(']'); err != nil {
		return dst, err
	}
	return append(dst, '\n'), nil
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// scalarOrArray appends the value in PostgreSQL's text form.
func (d *rowDecoder) scalarOrArray(s *jsonScanner, dst []byte, e encoding) (_ []byte, null bool, err error) {
	if e.kind == asArray && s.peek() == '[' {
		dst, err = d.array(s, dst, e, 0)
		return dst, false, err
	}
	return d.scalar(s, dst, e)
}

func (d *rowDecoder) scalar(s *jsonScanner, dst []byte, e encoding) (_ []byte, null bool, err error) {
	if s.peek() == '"' {
		text, err := s.str()
		switch {
		case err != nil:
			return dst, false, err
		case e.kind == asBoolean:
			return dst, false, s.broken("a boolean is missing")
		case e.kind != asBase64:
			return append(dst, text...), false, nil
		}
		if d.raw, err = base64.StdEncoding.AppendDecode(keepSmall(d.raw), text); err != nil {
			return dst, false, s.broken("%v", err)
		}
		return hex.AppendEncode(append(dst, `\x`...), d.raw), false, nil
	}
	word, err := s.word()
	switch {
	case err != nil:
		return dst, false, err
	case string(word) == "null":
		return dst, true, nil
	case e.kind == asBoolean && (string(word) == "true" || string(word) == "false"):
		return append(dst, word[0]), false, nil
	case e.kind == asNumber && isJSONNumber(word):
		return append(dst, word...), false, nil
	}
	return dst, false, s.broken("%q cannot stand for a value of encoding %s", word, e.kind)
}

// array turns [1,null,["a b"]] into {1,NULL,{"a b"}}. Every string is quoted, which is never wrong.
func (d *rowDecoder) array(s *jsonScanner, dst []byte, e encoding, depth int) ([]byte, error) {
	if depth >= maxDimensions {
		return dst, s.broken("an array has more than %d dimensions", maxDimensions)
	}
	if err := s.expect('['); err != nil {
		return dst, err
	}
	dst = append(dst, '{')
	for first := true; !s.accept(']'); first = false {
		if !first {
			if err := s.expect(','); err != nil {
				return dst, err
			}
			dst = append(dst, e.delimiter)
		}
		var err error
		if s.peek() == '[' {
			if dst, err = d.array(s, dst, e, depth+1); err != nil {
				return dst, err
			}
			continue
		}
		begin := len(dst)
		var null bool
		if dst, null, err = d.scalar(s, append(dst, '"'), *e.element); err != nil {
			return dst, err
		}
		if null {
			dst = append(dst[:begin], "NULL"...)
			continue
		}
		dst = append(quoteElement(dst, begin+1), '"')
	}
	return append(dst, '}'), nil
}

// quoteElement puts a backslash before every quote and backslash from begin on.
func quoteElement(dst []byte, begin int) []byte {
	extra := 0
	for _, c := range dst[begin:] {
		if c == '"' || c == '\\' {
			extra++
		}
	}
	if extra == 0 {
		return dst
	}
	end := len(dst)
	for range extra {
		dst = append(dst, 0)
	}
	to := len(dst)
	for from := end - 1; from >= begin; from-- {
		to--
		dst[to] = dst[from]
		if c := dst[from]; c == '"' || c == '\\' {
			to--
			dst[to] = '\\'
		}
	}
	return dst
}
