package backup

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// appendJSON appends a value, given in PostgreSQL's text form (nil: NULL), as it stands in JSON.
func (e encoding) appendJSON(dst, value []byte) ([]byte, error) {
	if value == nil {
		return append(dst, "null"...), nil
	}
	switch e.kind {
	case asNumber:
		if isJSONNumber(value) {
			return append(dst, value...), nil
		}
	case asBoolean:
		switch {
		case len(value) == 1 && value[0] == 't', string(value) == "true":
			return append(dst, "true"...), nil
		case len(value) == 1 && value[0] == 'f', string(value) == "false":
			return append(dst, "false"...), nil
		}
		return dst, fmt.Errorf("%q is no boolean", value)
	case asBase64:
		return appendBase64(dst, value)
	case asTimestamp, asTimestampTZ:
		return e.appendTimestamp(dst, value), nil
	case asArray:
		return e.appendArray(dst, value)
	}
	return appendJSONString(dst, value), nil
}

// isJSONNumber knows the forms in which PostgreSQL writes integers and floats: -12, 1.5, 1e+300, but not NaN or Infinity.
func isJSONNumber(v []byte) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	return len(v) > 0 && v[0] >= '0' && v[0] <= '9' && (len(v) == 1 || v[0] != '0' || v[1] == '.' || v[1] == 'e')
}

func appendBase64(dst, value []byte) ([]byte, error) {
	digits, found := bytes.CutPrefix(value, []byte(`\x`))
	if !found {
		return dst, fmt.Errorf("bytes do not begin with \\x")
	}
	raw := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(raw, digits); err != nil {
		return dst, fmt.Errorf("bytes: %w", err)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"'), nil
}

// appendTimestamp turns 2024-01-02 03:04:05+00 BC into 2024-01-02T03:04:05+00:00 BC. The session's time zone is UTC, so the offset is
// always +00. PostgreSQL reads this form too. Infinity stays as it is.
func (e encoding) appendTimestamp(dst, value []byte) []byte {
	date, rest, found := bytes.Cut(value, []byte(" "))
	if !found {
		return appendJSONString(dst, value)
	}
	clock, era, bc := bytes.Cut(rest, []byte(" "))
	dst = append(append(append(append(dst, '"'), date...), 'T'), clock...)
	if e.kind == asTimestampTZ && bytes.HasSuffix(clock, []byte("+00")) {
		dst = append(dst, ":00"...)
	}
	if bc {
		dst = append(append(dst, ' '), era...)
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends a string of UTF-8.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	plain := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		plain = i + 1
	}
	return append(append(dst, s[plain:]...), '"')
}

// appendArray turns {1,NULL,{"a b"}} into [1,null,["a b"]]. An array whose bounds do not begin at 1 says so in front ([0:1]={1,2}) and stays a string.
func (e encoding) appendArray(dst, value []byte) ([]byte, error) {
	if len(value) == 0 || value[0] != '{' {
		return appendJSONString(dst, value), nil
	}
	p := arrayParser{text: value, e: e}
	dst, err := p.array(dst, 0)
	if err == nil && p.at != len(value) {
		err = fmt.Errorf("something follows the array")
	}
	if err != nil {
		return dst, fmt.Errorf("array: %w", err)
	}
	return dst, nil
}

type arrayParser struct {
	text []byte
	at   int
	e    encoding
}

// maxDimensions is PostgreSQL's MAXDIM.
const maxDimensions = 6

// array reads from { to the } that belongs to it.
func (p *arrayParser) array(dst []byte, depth int) ([]byte, error) {
	if depth >= maxDimensions {
		return dst, fmt.Errorf("it has more than %d dimensions", maxDimensions)
	}
	dst = append(dst, '[')
	p.at++
	for first := true; p.at < len(p.text); first = false {
		if p.text[p.at] == '}' {
			p.at++
			return append(dst, ']'), nil
		}
		if !first {
			if p.text[p.at] != p.e.delimiter {
				return dst, fmt.Errorf("a delimiter is missing at %d", p.at)
			}
			p.at++
			dst = append(dst, ',')
		}
		var err error
		if dst, err = p.item(dst, depth); err != nil {
			return dst, err
		}
	}
	return dst, fmt.Errorf("it is not closed")
}

func (p *arrayParser) item(dst []byte, depth int) ([]byte, error) {
	if p.at >= len(p.text) {
		return dst, fmt.Errorf("it is not closed")
	}
	switch p.text[p.at] {
	case '{':
		return p.array(dst, depth+1)
	case '"':
		value, err := p.quoted()
		if err != nil {
			return dst, err
		}
		return p.e.element.appendJSON(dst, value)
	}
	begin := p.at
	for p.at < len(p.text) && p.text[p.at] != p.e.delimiter && p.text[p.at] != '}' {
		p.at++
	}
	value := p.text[begin:p.at]
	if string(value) == "NULL" {
		value = nil
	}
	return p.e.element.appendJSON(dst, value)
}

func (p *arrayParser) quoted() ([]byte, error) {
	value := []byte{}
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case '"':
			p.at++
			return value, nil
		case '\\':
			p.at++
			if p.at < len(p.text) {
				value = append(value, p.text[p.at])
			}
		default:
			value = append(value, c)
		}
	}
	return nil, fmt.Errorf("a quote is not closed")
}
