package backup

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/holdfast/holdfast"
)

// maxHead is the longest head of a table or of another part, in bytes.
const maxHead = 16 << 20

// JSONReader reads a backup in JSON part by part. It takes any arrangement of white space and passes members that it does not know.
type JSONReader struct {
	Header JSONHeader

	s      *jsonScanner
	list   string // the key of the list that is open
	items  int
	table  *JSONRows
	object *JSONChunks
	found  JSONEnd
	done   bool
}

// OpenJSON reads up to the first part.
func OpenJSON(r io.Reader) (*JSONReader, error) {
	j := &JSONReader{s: newJSONScanner(r)}
	if err := j.s.expect('{'); err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	for {
		if j.s.peek() != '"' {
			return nil, j.s.broken("a name is missing")
		}
		sum := j.s.sum()
		name, err := j.s.key()
		if err != nil {
			return nil, err
		}
		if isPart(name) {
			j.list, j.found.SHA256 = name, sum
			break
		}
		value, err := j.s.raw(nil, maxHead)
		if err != nil {
			return nil, err
		}
		fields[name] = value
		if err := j.s.expect(','); err != nil {
			return nil, err
		}
	}
	if err := decodeFields(fields, &j.Header); err != nil {
		return nil, j.s.broken("its header cannot be read: %v", err)
	}
	switch {
	case j.Header.Version == 0:
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the file is JSON, but no backup", Hint: `a backup begins with {"holdfast_backup":`}
	case j.Header.Version > JSONVersion:
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the backup has version %d of the format; this program reads up to %d", j.Header.Version, JSONVersion), Hint: "use a newer program"}
	}
	return j, j.enter()
}

// decodeFields fills a struct from members that were read one by one.
func decodeFields(fields map[string]json.RawMessage, into any) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func isPart(key string) bool {
	switch key {
	case "schema", "tables", "sequences", "large_objects", "materialized_views", "end":
		return true
	}
	return false
}

// enter opens the list of the key that was read.
func (j *JSONReader) enter() error {
	j.items = 0
	if j.list == "schema" || j.list == "end" {
		return nil
	}
	return j.s.expect('[')
}

// Next gives the next part: *JSONSchema, *JSONRows, []JSONSequence, *JSONChunks or []JSONView. What was not read of the part before is
// passed. io.EOF comes after the end was found and everything before it was what it says; anything else is Corrupt.
func (j *JSONReader) Next() (any, error) {
	if err := j.finishPart(); err != nil {
		return nil, err
	}
	for !j.done {
		switch j.list {
		case "schema":
			part, err := j.schema()
			if err != nil {
				return nil, err
			}
			return part, j.nextKey()
		case "end":
			return nil, j.readEnd()
		case "sequences":
			var all []JSONSequence
			err := eachItem(j, func(s JSONSequence) { all = append(all, s) })
			return all, err
		case "materialized_views":
			var all []JSONView
			err := eachItem(j, func(v JSONView) { all = append(all, v) })
			return all, err
		}
		if more, err := j.more(); err != nil {
			return nil, err
		} else if !more {
			if err := j.nextKey(); err != nil {
				return nil, err
			}
			continue
		}
		if j.list == "tables" {
			return j.openTable()
		}
		return j.openObject()
	}
	return nil, io.EOF
}

// finishPart passes what the caller left unread.
func (j *JSONReader) finishPart() error {
	if j.table != nil {
		if _, err := j.table.Copy(nil); err != nil {
			return err
		}
		j.table = nil
	}
	if j.object != nil {
		if err := j.object.Each(func([]byte) error { return nil }); err != nil {
			return err
		}
		j.object = nil
	}
	return nil
}

// more says whether the open list has another item, and passes the comma before it or the bracket behind it.
func (j *JSONReader) more() (bool, error) {
	if j.s.accept(']') {
		return false, nil
	}
	if j.items > 0 {
		if err := j.s.expect(','); err != nil {
			return false, err
		}
	}
	j.items++
	return true, nil
}

// nextKey goes on to the next part.
func (j *JSONReader) nextKey() error {
	for {
		if err := j.s.expect(','); err != nil {
			return err
		}
		if j.s.peek() != '"' {
			return j.s.broken("a name is missing")
		}
		sum := j.s.sum()
		key, err := j.s.key()
		if err != nil {
			return err
		}
		if isPart(key) {
			j.list, j.found.SHA256 = key, sum
			return j.enter()
		}
		if _, err := j.s.raw(nil, maxHead); err != nil {
			return err
		}
	}
}

func (j *JSONReader) schema() (*JSONSchema, error) {
	schema := &JSONSchema{}
	if err := j.s.expect('{'); err != nil {
		return nil, err
	}
	for first := true; !j.s.accept('}'); first = false {
		if !first {
			if err := j.s.expect(','); err != nil {
				return nil, err
			}
		}
		key, err := j.s.key()
		if err != nil {
			return nil, err
		}
		text, err := j.s.str()
		if err != nil {
			return nil, err
		}
		switch key {
		case "pre_data":
			schema.PreData = string(text)
		case "post_data":
			schema.PostData = string(text)
		}
	}
	return schema, nil
}

func eachItem[T any](j *JSONReader, each func(T)) error {
	for {
		more, err := j.more()
		if err != nil {
			return err
		}
		if !more {
			return j.nextKey()
		}
		raw, err := j.s.raw(nil, maxHead)
		if err != nil {
			return err
		}
		var item T
		if err := json.Unmarshal(raw, &item); err != nil {
			return j.s.broken("%v", err)
		}
		each(item)
	}
}

// readEnd compares what was found with what the end says.
func (j *JSONReader) readEnd() error {
	raw, err := j.s.raw(nil, maxHead)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage // exact names: a struct would take them in any case
	if err := json.Unmarshal(raw, &fields); err != nil {
		return j.s.broken("its end cannot be read: %v", err)
	}
	if err := j.s.expect('}'); err != nil {
		return err
	}
	if j.s.peek() != 0 || !errors.Is(j.s.err, io.EOF) {
		return j.s.broken("something follows the end")
	}
	var found map[string]json.RawMessage
	if err := json.Unmarshal(marshal(j.found), &found); err != nil {
		return err
	}
	for name, value := range found {
		if string(fields[name]) != string(value) {
			return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the file is not what was written: its %s is %s and should be %s", name, value, fields[name]), Hint: "it was damaged or edited; take another copy"}
		}
	}
	j.done = true
	return io.EOF
}

// head reads the members of an object up to the list with that name, and opens the list.
func (j *JSONReader) head(list string, into any) error {
	if err := j.s.expect('{'); err != nil {
		return err
	}
	fields := map[string]json.RawMessage{}
	for {
		key, err := j.s.key()
		if err != nil {
			return err
		}
		if key == list {
			break
		}
		value, err := j.s.raw(nil, maxHead)
		if err != nil {
			return err
		}
		fields[key] = value
		if err := j.s.expect(','); err != nil {
			return err
		}
	}
	if err := decodeFields(fields, into); err != nil {
		return j.s.broken("%v", err)
	}
	return j.s.expect('[')
}

// tail passes what follows the list in an object, and returns the members.
func (j *JSONReader) tail() (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	for !j.s.accept('}') {
		if err := j.s.expect(','); err != nil {
			return nil, err
		}
		key, err := j.s.key()
		if err != nil {
			return nil, err
		}
		if fields[key], err = j.s.raw(nil, maxHead); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// JSONRows are the rows of a table.
type JSONRows struct {
	JSONTable
	j         *JSONReader
	encodings []encoding
	decode    rowDecoder
	done      bool
	count     int64
}

func (j *JSONReader) openTable() (*JSONRows, error) {
	t := &JSONRows{j: j}
	if err := j.head("rows", &t.JSONTable); err != nil {
		return nil, err
	}
	if t.Schema == "" || t.Name == "" {
		return nil, j.s.broken("a table has no name")
	}
	for _, c := range t.Columns {
		e, err := c.parse()
		if err != nil {
			return nil, j.s.broken("column %s: %v", c.Name, err)
		}
		t.encodings = append(t.encodings, e)
	}
	j.table = t
	return t, nil
}

// Table is the table as far as the file describes it.
func (t *JSONRows) Table() Table {
	out := Table{Schema: t.Schema, Name: t.Name}
	for i, c := range t.Columns {
		out.Columns = append(out.Columns, Column{Name: c.Name, Type: c.Type, enc: t.encodings[i]})
	}
	return out
}

// Copy writes all rows as COPY's text format to w, or nowhere when w is nil, and returns their number. A second call gives the same number.
func (t *JSONRows) Copy(w io.Writer) (int64, error) {
	if t.done {
		return t.count, nil
	}
	t.done = true
	var out []byte
	for !t.j.s.accept(']') {
		if t.count > 0 {
			if err := t.j.s.expect(','); err != nil {
				return t.count, err
			}
		}
		var err error
		if out, err = t.decode.row(t.j.s, out, t.encodings); err != nil {
			return t.count, fmt.Errorf("row %d of %s: %w", t.count+1, holdfast.QuoteQualified(t.Schema, t.Name), err)
		}
		t.count++
		if w == nil {
			out = keepSmall(out)
		} else if len(out) >= jsonBuffer/2 {
			if _, err := w.Write(out); err != nil {
				return t.count, err
			}
			out = keepSmall(out)
		}
	}
	if w != nil {
		if _, err := w.Write(out); err != nil {
			return t.count, err
		}
	}
	return t.count, t.finish()
}

// finish checks the table's own count.
func (t *JSONRows) finish() error {
	fields, err := t.j.tail()
	if err != nil {
		return err
	}
	if records, err := strconv.ParseInt(string(fields["records"]), 10, 64); err != nil || records != t.count {
		return t.j.s.broken("%s has %d rows and should have %s", holdfast.QuoteQualified(t.Schema, t.Name), t.count, fields["records"])
	}
	t.j.found.Tables++
	t.j.found.Records += t.count
	return nil
}

// JSONChunks are the bytes of a large object.
type JSONChunks struct {
	JSONLargeObject
	j    *JSONReader
	done bool
}

func (j *JSONReader) openObject() (*JSONChunks, error) {
	o := &JSONChunks{j: j}
	if err := j.head("data", &o.JSONLargeObject); err != nil {
		return nil, err
	}
	if o.OID == 0 {
		return nil, j.s.broken("a large object has no number")
	}
	j.object = o
	return o, nil
}

// Each gives every chunk of bytes in order; it is good until the function returns.
func (o *JSONChunks) Each(give func([]byte) error) error {
	if o.done {
		return nil
	}
	o.done = true
	var raw []byte
	for first := true; !o.j.s.accept(']'); first = false {
		if !first {
			if err := o.j.s.expect(','); err != nil {
				return err
			}
		}
		text, err := o.j.s.str()
		if err != nil {
			return err
		}
		if raw, err = base64.StdEncoding.AppendDecode(raw[:0], text); err != nil {
			return o.j.s.broken("large object %d: %v", o.OID, err)
		}
		if err := give(raw); err != nil {
			return err
		}
	}
	o.j.found.LargeObjects++
	_, err := o.j.tail()
	return err
}
