package sample

import (
	"strconv"
	"strings"
	"time"
)

// copyLine builds one line of COPY's text format: values separated by tabs, backslash escapes, \N for null.
type copyLine struct{ buf []byte }

func (l *copyLine) reset() { l.buf = l.buf[:0] }

// end closes the line and returns it; it is valid until the next reset.
func (l *copyLine) end() []byte {
	if n := len(l.buf); n > 0 {
		l.buf[n-1] = '\n' // in place of the last value's tab
	}
	return l.buf
}

func (l *copyLine) null() { l.buf = append(l.buf, '\\', 'N', '\t') }

func (l *copyLine) integer(n int64) {
	l.buf = strconv.AppendInt(l.buf, n, 10)
	l.buf = append(l.buf, '\t')
}

// reference is an integer that is null when it is 0.
func (l *copyLine) reference(id int64) {
	if id == 0 {
		l.null()
		return
	}
	l.integer(id)
}

func (l *copyLine) boolean(b bool) {
	if b {
		l.buf = append(l.buf, 't', '\t')
		return
	}
	l.buf = append(l.buf, 'f', '\t')
}

// decimal writes units of 10 to the power of -scale as a number. Integers keep the bytes equal on machines whose floating
// point fuses operations.
func (l *copyLine) decimal(units int64, scale int) {
	if units < 0 {
		l.buf = append(l.buf, '-')
		units = -units
	}
	power := int64(1)
	for range scale {
		power *= 10
	}
	l.buf = strconv.AppendInt(l.buf, units/power, 10)
	l.buf = append(l.buf, '.')
	fraction := strconv.FormatInt(units%power, 10)
	l.buf = append(l.buf, strings.Repeat("0", scale-len(fraction))...)
	l.buf = append(l.buf, fraction...)
	l.buf = append(l.buf, '\t')
}

// money writes cents.
func (l *copyLine) money(cents int64) { l.decimal(cents, 2) }

func (l *copyLine) text(s string) {
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\':
			l.buf = append(l.buf, '\\', '\\')
		case '\n':
			l.buf = append(l.buf, '\\', 'n')
		case '\r':
			l.buf = append(l.buf, '\\', 'r')
		case '\t':
			l.buf = append(l.buf, '\\', 't')
		default:
			l.buf = append(l.buf, c)
		}
	}
	l.buf = append(l.buf, '\t')
}

// array writes a text[]. Every element is quoted, so none needs a look at its bytes to decide.
func (l *copyLine) array(elements []string) {
	var b strings.Builder
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(arrayEscape.Replace(e))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	l.text(b.String())
}

var arrayEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (l *copyLine) timestamp(unixSeconds int64) {
	l.buf = time.Unix(unixSeconds, 0).UTC().AppendFormat(l.buf, "2006-01-02 15:04:05+00")
	l.buf = append(l.buf, '\t')
}

func (l *copyLine) date(unixSeconds int64) {
	l.buf = time.Unix(unixSeconds, 0).UTC().AppendFormat(l.buf, "2006-01-02")
	l.buf = append(l.buf, '\t')
}
