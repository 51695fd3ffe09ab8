package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
)

// anyText draws texts with everything that has a meaning somewhere.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringN(0, 30, -1), rapid.StringOfN(rapid.SampledFrom([]rune("\\\"'{}[](),;:\n\r\t\b\f\v\x01\x1f\x7f NULLntr.u0ü💩\u2028")), 0, 20, -1)).
		Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
}

func TestValuesComeBackFromJSON(t *testing.T) {
	kinds := []encodingKind{asText, asBase64, asBoolean, asNumber, asTimestamp, asTimestampTZ}
	value := func(t *rapid.T, kind encodingKind) []byte {
		if rapid.IntRange(0, 5).Draw(t, "null") == 0 {
			return nil
		}
		switch kind {
		case asBase64:
			var b bytes.Buffer
			b.WriteString(`\x`)
			for _, c := range rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes") {
				b.WriteString(string([]byte{hexDigits[c>>4], hexDigits[c&15]}))
			}
			return b.Bytes()
		case asBoolean:
			return []byte(rapid.SampledFrom([]string{"t", "f"}).Draw(t, "boolean"))
		case asNumber:
			return []byte(rapid.SampledFrom([]string{"0", "-0", "1", "-32768", "1e+300", "5e-324", "0.1", "NaN", "Infinity", "-Infinity", "4294967295"}).Draw(t, "number"))
		case asTimestamp, asTimestampTZ:
			return []byte(rapid.SampledFrom([]string{"infinity", "-infinity"}).Draw(t, "time"))
		}
		return []byte(anyText().Draw(t, "text"))
	}
	rapid.Check(t, func(t *rapid.T) {
		table := Table{Schema: "s", Name: anyText().Filter(func(s string) bool { return s != "" }).Draw(t, "table")}
		for range rapid.IntRange(0, 4).Draw(t, "columns") {
			e := encoding{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
			table.Columns = append(table.Columns, Column{Name: anyText().Draw(t, "column"), Type: "any", enc: e})
		}
		var rows [][][]byte
		var want []byte
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			row := [][]byte{}
			for _, c := range table.Columns {
				row = append(row, value(t, c.enc.kind))
			}
			rows, want = append(rows, row), appendCopyRow(want, row)
		}
		var file bytes.Buffer
		j := NewJSONWriter(&file, JSONHeader{CreatedAt: time.Unix(0, 0)})
		if err := j.Table(table); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if err := j.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.EndTable(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(file.Bytes()) {
			t.Fatalf("not JSON: %s", file.Bytes())
		}
		got, err := readBack(&file)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q, %v\nwant %q", got, err, want)
		}
		// And the lines of COPY come apart as they were put together.
		var s rowSplitter
		i := 0
		l := &lines{each: func(line []byte) error {
			values, err := s.split(line, len(table.Columns))
			if err != nil {
				return err
			}
			for c, v := range values {
				if (v == nil) != (rows[i][c] == nil) || !bytes.Equal(v, rows[i][c]) {
					t.Errorf("row %d column %d: got %q, want %q", i, c, v, rows[i][c])
				}
			}
			i++
			return nil
		}}
		if _, err := l.Write(want); err != nil {
			t.Fatal(err)
		}
	})
}

func readBack(r io.Reader) ([]byte, error) {
	j, err := OpenJSON(r)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for {
		part, err := j.Next()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		if rows, ok := part.(*JSONRows); ok {
			if _, err := rows.Copy(&out); err != nil {
				return nil, err
			}
		}
	}
}

func TestArraysComeBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := encoding{kind: asArray, element: &encoding{kind: asText}, delimiter: rapid.SampledFrom([]byte{',', ';'}).Draw(t, "delimiter")}
		var build func(depth int) string
		build = func(depth int) string {
			var items []string
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				switch {
				case depth > 1:
					items = append(items, build(depth-1))
				case rapid.IntRange(0, 4).Draw(t, "null") == 0:
					items = append(items, "NULL")
				default:
					items = append(items, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(anyText().Draw(t, "item"))+`"`)
				}
			}
			return "{" + strings.Join(items, string(rune(e.delimiter))) + "}"
		}
		literal := build(rapid.IntRange(1, 3).Draw(t, "dimensions"))
		text, err := e.appendJSON(nil, []byte(literal))
		if err != nil || !json.Valid(text) {
			t.Fatalf("%s became %s, %v", literal, text, err)
		}
		var d rowDecoder
		back, null, err := d.scalarOrArray(newJSONScanner(bytes.NewReader(text)), nil, e)
		if err != nil || null || string(back) != literal {
			t.Fatalf("%s became %s and %s, %v", literal, text, back, err)
		}
	})
}

func TestTimesInJSONAreISO(t *testing.T) {
	for _, c := range []struct {
		kind     encodingKind
		in, want string
	}{
		{asTimestampTZ, "2024-01-02 03:04:05.678+00", `"2024-01-02T03:04:05.678+00:00"`}, {asTimestampTZ, "0044-03-15 12:00:00+00 BC", `"0044-03-15T12:00:00+00:00 BC"`},
		{asTimestamp, "2024-01-02 03:04:05", `"2024-01-02T03:04:05"`}, {asTimestamp, "-infinity", `"-infinity"`},
	} {
		got, err := encoding{kind: c.kind}.appendJSON(nil, []byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s became %s, %v", c.in, got, err)
		}
	}
}

// sample is a small backup with every part.
func sample(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	j := NewJSONWriter(&b, JSONHeader{Database: "d", CreatedAt: time.Unix(1, 0).UTC()})
	table := Table{Schema: "public", Name: "t", Columns: []Column{{Name: "a", Type: "integer", enc: encoding{kind: asNumber}}, {Name: "b", Type: "text", enc: encoding{kind: asText}}}}
	steps := []func() error{
		func() error { return j.Schema(JSONSchema{PreData: "CREATE TABLE t (a int, b text);\n", PostData: ""}) },
		func() error { return j.Table(table) },
		func() error { return j.Row([][]byte{[]byte("1"), []byte("é \"\\ \n")}) },
		func() error { return j.Row([][]byte{nil, {}}) },
		func() error { _, err := j.EndTable(); return err },
		func() error { return j.Sequences([]JSONSequence{{Schema: "public", Name: "s", LastValue: 7}}) },
		func() error { return j.LargeObject(JSONLargeObject{OID: 5}) },
		func() error { return j.Chunk([]byte("bytes")) }, func() error { return j.EndLargeObject() },
		func() error { return j.Views([]JSONView{{Schema: "public", Name: "v"}}) },
		j.Close,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestATruncatedJSONBackupIsRefusedWhereverItWasCut(t *testing.T) {
	whole := sample(t)
	if _, err := inspectJSON(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	for n := range len(bytes.TrimRight(whole, "\n")) {
		if _, err := inspectJSON(bytes.NewReader(whole[:n])); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("cut after %d bytes (%q): %v", n, whole[max(0, n-20):n], err)
		}
	}
}

func TestAJSONBackupWithAFlippedBitIsRefusedWhereverItIs(t *testing.T) {
	whole := bytes.TrimRight(sample(t), "\n")
	for n := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[n] ^= 1 << bit
			if _, err := inspectJSON(bytes.NewReader(damaged)); err == nil {
				t.Errorf("bit %d of byte %d (%q) is not missed", bit, n, whole[max(0, n-20):n+1])
			}
		}
	}
}

func TestMembersOfANewerWriterArePassed(t *testing.T) {
	// The end's hash is of what stands before it, so an unknown member is added where a newer writer would, and the hash made anew.
	text := strings.Replace(string(sample(t)), `"sequences":[`, `"later":{"deep":[1,{"a":"]"}]},"sequences":[`, 1)
	head, _, _ := strings.Cut(text, `"end":`)
	s := newJSONScanner(strings.NewReader(head))
	for s.peek() != 0 {
		s.at++
	}
	text = head + `"end":{"tables":1,"records":2,"large_objects":1,"sha256":"` + s.sum() + `"}}`
	if _, err := inspectJSON(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		text string
		kind holdfast.Kind
	}{
		{strings.Replace(text, `"holdfast_backup":1`, `"holdfast_backup":2`, 1), holdfast.Precondition},
		{`{"a":1,"tables":[]}`, holdfast.Invalid}, {`{}`, holdfast.Corrupt}, {`{"holdfast_backup":1,"end":{}}`, holdfast.Corrupt},
		{`{"holdfast_backup":1,"x":` + strings.Repeat("[", 1000), holdfast.Corrupt},
	} {
		if _, err := inspectJSON(strings.NewReader(c.text)); holdfast.KindOf(err) != c.kind {
			t.Errorf("%.60s: got %v, want %s", c.text, err, c.kind)
		}
	}
}

func FuzzJSONReader(f *testing.F) {
	f.Add([]byte(`{"holdfast_backup":1,"tables":[{"schema":"s","name":"t","columns":[{"name":"a","type":"x","encoding":"array","elements":"text"}],"rows":[[["a",null]]],"records":1}],"end":{}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = inspectJSON(bytes.NewReader(data)) // must return, and not panic
	})
}

func FuzzScriptReader(f *testing.F) {
	f.Add("COPY t FROM stdin;\n1\n\\.\nSELECT $x$;$x$;")
	f.Fuzz(func(_ *testing.T, script string) {
		_, _ = split(script) // must return, and not panic
	})
}
