package schema

import "testing"

func TestMaskedShowsNoConstant(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 'secret', E'it\\'s', 12.5, $1, \"12\"\n FROM t -- 3": "SELECT ?, ?, ?, $1, \"12\" FROM t",
		"UPDATE t1 SET a = $tag$x'y$tag$ /* 'z' */ WHERE id=7":       "UPDATE t1 SET a = ? WHERE id=?",
		"SELECT 'cut off in the mid":                                 "SELECT ?",
	} {
		if got := Masked(sql); got != want {
			t.Errorf("Masked(%q) = %q, want %q", sql, got, want)
		}
	}
}

func TestPreparableCastsTypedConstants(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT now() - interval $1, $2":                                  "SELECT now() - $1::interval, $2",
		"SELECT timestamp with time zone $1":                              "SELECT $1::timestamp with time zone",
		"SELECT a AT TIME ZONE $1 FROM t WHERE d > date $2 AND $3 = text": "SELECT a AT TIME ZONE $1 FROM t WHERE d > $2::date AND $3 = text",
		"SELECT '$1', x.date, $1::date":                                   "SELECT '$1', x.date, $1::date",
	} {
		if got := Preparable(sql); got != want {
			t.Errorf("Preparable(%q) = %q, want %q", sql, got, want)
		}
	}
	if got := Verb("/* app */ (\nselect 1)"); got != "SELECT" {
		t.Errorf("Verb = %q", got)
	}
}
