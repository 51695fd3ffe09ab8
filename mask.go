package holdfast

import (
	"fmt"
	"slices"
)

// MaskKind is how a masked value is made from the real one.
type MaskKind string

// The kinds of masking. All but MaskNull and MaskExpression are deterministic within a project: equal values become equal values
// in every table and every branch, so joins keep working.
const (
	MaskNull       MaskKind = "null"        // nothing is left
	MaskHash       MaskKind = "hash"        // a keyed hash, of the column's own type
	MaskName       MaskKind = "fake_name"   // a made-up person's name
	MaskEmail      MaskKind = "fake_email"  // an address below example.invalid, which no mail reaches
	MaskPhone      MaskKind = "fake_phone"  // a number of the same look that belongs to nobody
	MaskKeepFormat MaskKind = "keep_format" // digits become digits, letters letters, the rest stays
	MaskExpression MaskKind = "expression"  // an SQL expression over the row
)

// MaskRule says how one column is masked on masked branches.
type MaskRule struct {
	Schema     string
	Table      string
	Column     string
	Kind       MaskKind
	Expression string // for MaskExpression only
}

func (r MaskRule) String() string { return r.Schema + "." + r.Table + "." + r.Column }

// Validate checks what can be checked without the database.
func (r MaskRule) Validate() error {
	invalid := func(format string, args ...any) error {
		return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...)}
	}
	if r.Schema == "" || r.Table == "" || r.Column == "" {
		return invalid("a masking rule names a schema, a table and a column")
	}
	if !slices.Contains([]MaskKind{MaskNull, MaskHash, MaskName, MaskEmail, MaskPhone, MaskKeepFormat, MaskExpression}, r.Kind) {
		return invalid("%q is no kind of masking", r.Kind)
	}
	if (r.Kind == MaskExpression) != (r.Expression != "") {
		return invalid("the rule for %s: an expression belongs to the kind %q and to no other", r, MaskExpression)
	}
	return nil
}
