package holdfast

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in a branch's write-ahead log, in bytes. Zero is no position.
type LSN uint64

// ParseLSN reads PostgreSQL's form, two hexadecimal halves with a slash: 16/B374D848.
func ParseLSN(s string) (LSN, error) {
	high, low, found := strings.Cut(s, "/")
	h, errHigh := strconv.ParseUint(high, 16, 32)
	l, errLow := strconv.ParseUint(low, 16, 32)
	if !found || errHigh != nil || errLow != nil {
		return 0, &Error{Kind: Invalid, Message: fmt.Sprintf("%q is not a WAL position", s), Hint: "write it as PostgreSQL does, for example 0/16B3748"}
	}
	return LSN(h<<32 | l), nil
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText writes PostgreSQL's form.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads PostgreSQL's form.
func (l *LSN) UnmarshalText(text []byte) error {
	parsed, err := ParseLSN(string(text))
	if err == nil {
		*l = parsed
	}
	return err
}
