package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast/holdfast"
)

// csvRecords reads CSV as PostgreSQL writes and reads it: an empty value without quotes is NULL and one in quotes is an empty text, which
// encoding/csv does not tell apart. It knows on which line each record began.
type csvRecords struct {
	r      *bufio.Reader
	comma  byte
	line   int64 // of the record that was read last, from 1
	at     int64 // the line that comes next
	buf    []byte
	ends   []int  // where each field ends in buf
	quoted []bool // whether it was written in quotes
	fields [][]byte

	raw     []byte // the record as it is in the file, or its beginning
	resumes bool   // after an error: skipLine finds the next record
}

func newCSVRecords(r io.Reader, comma byte) *csvRecords {
	return &csvRecords{r: bufio.NewReaderSize(r, 256<<10), comma: comma, at: 1}
}

// maxCSVRecord bounds a record: PostgreSQL takes no larger value, and a quote that is never closed must not fill the memory.
const maxCSVRecord = 64 << 20

// maxCSVRaw bounds what is kept of a record as it is in the file: enough to show a bad line.
const maxCSVRaw = 64 << 10

func (c *csvRecords) broken(format string, args ...any) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d: ", c.line) + fmt.Sprintf(format, args...)}
}

// next reads a record; nil fields are NULL. They are good until the next call.
func (c *csvRecords) next() ([][]byte, error) {
	c.buf, c.ends, c.quoted, c.line = keepSmall(c.buf), c.ends[:0], c.quoted[:0], c.at
	inQuotes, wasQuoted, any := false, false, false
	c.resumes, c.raw = false, c.raw[:0]
	for {
		b, err := c.r.ReadByte()
		if errors.Is(err, io.EOF) {
			switch {
			case inQuotes:
				return nil, c.broken("a quote is not closed")
			case !any:
				return nil, io.EOF
			}
			return c.finish(wasQuoted), nil
		}
		if err != nil {
			return nil, err
		}
		any = true
		if len(c.raw) < maxCSVRaw {
			c.raw = append(c.raw, b)
		}
		if len(c.buf) > maxCSVRecord {
			return nil, c.broken("the record is longer than %d MB: perhaps a quote is not closed", maxCSVRecord>>20)
		}
		if b == '\n' {
			c.at++
		}
		switch {
		case inQuotes && b == '"':
			if following, err := c.r.Peek(1); err == nil && following[0] == '"' {
				_, _ = c.r.Discard(1) // it was just seen
				c.buf, c.raw = append(c.buf, '"'), append(c.raw, '"')
			} else {
				inQuotes = false
			}
		case inQuotes:
			c.buf = append(c.buf, b)
		case b == '"' && !wasQuoted && len(c.buf) == c.begin():
			inQuotes, wasQuoted = true, true
		case b == '"':
			c.resumes = true
			return nil, c.broken("a quote stands in the middle of a value")
		case b == c.comma:
			c.endField(wasQuoted)
			wasQuoted = false
		case b == '\n':
			return c.finish(wasQuoted), nil
		case b == '\r':
			if following, err := c.r.Peek(1); err == nil && following[0] == '\n' {
				continue // the end of the line comes next
			} else if errors.Is(err, io.EOF) {
				return c.finish(wasQuoted), nil
			}
			c.buf = append(c.buf, b)
		default:
			if wasQuoted {
				c.resumes = true
				return nil, c.broken("a value goes on after its closing quote")
			}
			c.buf = append(c.buf, b)
		}
	}
}

// skipLine leaves the rest of a line that is no CSV.
func (c *csvRecords) skipLine() error {
	for {
		rest, err := c.r.ReadSlice('\n')
		c.raw = append(c.raw, rest[:min(len(rest), max(0, maxCSVRaw-len(c.raw)))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		c.at++
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

// begin is where the field that is being read begins.
func (c *csvRecords) begin() int {
	if len(c.ends) == 0 {
		return 0
	}
	return c.ends[len(c.ends)-1]
}

func (c *csvRecords) endField(quoted bool) {
	c.ends, c.quoted = append(c.ends, len(c.buf)), append(c.quoted, quoted)
}

func (c *csvRecords) finish(quoted bool) [][]byte {
	c.endField(quoted)
	c.fields = c.fields[:0]
	begin := 0
	for i, end := range c.ends {
		field := c.buf[begin:end:end]
		if len(field) == 0 && !c.quoted[i] {
			field = nil
		}
		c.fields, begin = append(c.fields, field), end
	}
	return c.fields
}
