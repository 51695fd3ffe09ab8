package holdfast_test

import (
	"testing"

	"github.com/holdfast/holdfast"
)

func TestQuoting(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{holdfast.QuoteIdentifier(`a"b`), `"a""b"`},
		{holdfast.QuoteIdentifier("a\x00b"), `"a"`},
		{holdfast.QuoteQualified("s", `t"x`), `"s"."t""x"`},
		{holdfast.QuoteLiteral(`it's`), `'it''s'`},
		{holdfast.QuoteLiteral(`a\'b`), ` E'a\\''b'`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
