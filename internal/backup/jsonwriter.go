package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// JSONVersion is the version of the JSON format that is written, and the newest that is read.
const JSONVersion = 1

// JSONHeader is what stands before the data of a backup in JSON.
type JSONHeader struct {
	Version       int       `json:"holdfast_backup"`
	Tool          string    `json:"tool,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	Database      string    `json:"database,omitempty"`
	ServerVersion string    `json:"server_version,omitempty"`
	Encoding      string    `json:"encoding,omitempty"` // of the database; the file is UTF-8
	DataOnly      bool      `json:"data_only,omitempty"`
	SchemaOnly    bool      `json:"schema_only,omitempty"`
}

// JSONSchema is the schema as SQL: what must be there before the rows, and what is made after them.
type JSONSchema struct {
	PreData  string `json:"pre_data"`
	PostData string `json:"post_data"`
}

// JSONColumn describes a column of a table in JSON.
type JSONColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
	encodingJSON
}

// JSONTable is the head of a table in JSON.
type JSONTable struct {
	Schema  string       `json:"schema"`
	Name    string       `json:"name"`
	Columns []JSONColumn `json:"columns"`
}

// JSONSequence is where a sequence stands.
type JSONSequence struct {
	Schema    string `json:"schema"`
	Name      string `json:"name"`
	LastValue int64  `json:"last_value,string"`
	IsCalled  bool   `json:"is_called"`
}

// JSONLargeObject is the head of a large object.
type JSONLargeObject struct {
	OID     uint32  `json:"oid"`
	Owner   string  `json:"owner,omitempty"`
	Comment *string `json:"comment,omitempty"`
}

// JSONView is a materialized view that is to be filled again.
type JSONView struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// JSONEnd says what must have come before it.
type JSONEnd struct {
	Tables       int64  `json:"tables"`
	Records      int64  `json:"records"`
	LargeObjects int64  `json:"large_objects"`
	SHA256       string `json:"sha256"` // of every byte before the key "end"
}

// JSONWriter writes a backup in JSON, in the order of docs/formats/backup-json.md: Schema, for each table Table, Rows and EndTable, then
// Sequences, LargeObject with Chunks, Views, and Close. After an error every call gives it again.
type JSONWriter struct {
	w     io.Writer
	hash  hash.Hash
	buf   []byte
	err   error
	end   JSONEnd
	table []encoding
	name  string
	rows  int64
	stage jsonStage
	items int // in the list that is open
}

type jsonStage int

const (
	stageHead jsonStage = iota
	stageTables
	stageTable
	stageSequences
	stageObjects
	stageObject
	stageViews
	stageClosed
)

// jsonBuffer is how much is gathered before it is written.
const jsonBuffer = 256 << 10

// NewJSONWriter begins a backup. The header's version is filled in.
func NewJSONWriter(w io.Writer, header JSONHeader) *JSONWriter {
	j := &JSONWriter{w: w, hash: sha256.New()}
	header.Version = JSONVersion
	head := marshal(header)
	j.buf = append(append(j.buf, head[:len(head)-1]...), ",\n"...) // the object stays open
	return j
}

// marshal encodes what always can be encoded, without escapes for HTML.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("backup: a header cannot be encoded: %v", err)) // its types cannot fail
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Schema writes the schema. It comes first or not at all.
func (j *JSONWriter) Schema(s JSONSchema) error {
	if j.stage != stageHead {
		panic("backup: the schema comes first")
	}
	j.buf = append(append(append(j.buf, `"schema":`...), marshal(s)...), ",\n"...)
	return j.flush(false)
}

// Table begins a table.
func (j *JSONWriter) Table(t Table) error {
	j.open(stageTables)
	head := JSONTable{Schema: t.Schema, Name: t.Name, Columns: []JSONColumn{}}
	j.table = j.table[:0]
	for _, c := range t.Columns {
		head.Columns = append(head.Columns, JSONColumn{Name: c.Name, Type: c.Type, encodingJSON: c.enc.json()})
		j.table = append(j.table, c.enc)
	}
	text := marshal(head)
	j.next()
	j.buf = append(append(j.buf, text[:len(text)-1]...), `,"rows":[`...)
	j.stage, j.rows, j.name = stageTable, 0, t.String()
	return j.flush(false)
}

// Row writes a row: the columns' values in PostgreSQL's text form, nil for NULL.
func (j *JSONWriter) Row(values [][]byte) error {
	if j.err != nil {
		return j.err
	}
	if j.rows > 0 {
		j.buf = append(j.buf, ',')
	}
	j.buf = append(j.buf, '\n', '[')
	for i, v := range values {
		if i > 0 {
			j.buf = append(j.buf, ',')
		}
		var err error
		if j.buf, err = j.table[i].appendJSON(j.buf, v); err != nil {
			j.err = fmt.Errorf("row %d of %s: %w", j.rows+1, j.name, err)
			return j.err
		}
	}
	j.buf = append(j.buf, ']')
	j.rows++
	return j.flush(false)
}

// EndTable ends the table and returns the number of its rows.
func (j *JSONWriter) EndTable() (int64, error) {
	j.buf = append(j.buf, "\n],\"records\":"...)
	j.buf = strconv.AppendInt(j.buf, j.rows, 10)
	j.buf = append(j.buf, '}')
	j.stage = stageTables
	j.end.Tables++
	j.end.Records += j.rows
	return j.rows, j.flush(false)
}

// Sequences writes where the sequences stand.
func (j *JSONWriter) Sequences(all []JSONSequence) error {
	j.open(stageSequences)
	for _, s := range all {
		j.next()
		j.buf = append(j.buf, marshal(s)...)
	}
	return j.flush(false)
}

// LargeObject begins a large object; its bytes follow in chunks.
func (j *JSONWriter) LargeObject(o JSONLargeObject) error {
	j.open(stageObjects)
	text := marshal(o)
	j.next()
	j.buf = append(append(j.buf, text[:len(text)-1]...), `,"data":[`...)
	j.stage, j.rows = stageObject, 0
	j.end.LargeObjects++
	return j.flush(false)
}

// Chunk writes the next bytes of the large object.
func (j *JSONWriter) Chunk(data []byte) error {
	if j.rows > 0 {
		j.buf = append(j.buf, ',')
	}
	j.rows++
	j.buf = append(j.buf, '\n', '"')
	j.buf = base64.StdEncoding.AppendEncode(j.buf, data)
	j.buf = append(j.buf, '"')
	return j.flush(false)
}

// EndLargeObject ends the large object.
func (j *JSONWriter) EndLargeObject() error {
	j.buf = append(j.buf, "]}"...)
	j.stage = stageObjects
	return j.flush(false)
}

// Views writes the materialized views in the order in which they can be filled.
func (j *JSONWriter) Views(all []JSONView) error {
	j.open(stageViews)
	for _, v := range all {
		j.next()
		j.buf = append(j.buf, marshal(v)...)
	}
	return j.flush(false)
}

// Close writes the end with what came before it. It does not close the writer below.
func (j *JSONWriter) Close() error {
	if j.err != nil || j.stage == stageClosed {
		return j.err
	}
	j.open(stageClosed)
	if err := j.flush(true); err != nil {
		return err
	}
	j.end.SHA256 = hex.EncodeToString(j.hash.Sum(nil))
	j.buf = append(append(append(j.buf, `"end":`...), marshal(j.end)...), "}\n"...)
	return j.flush(true)
}

// open closes the lists before the stage and opens those up to it, so that every list stands in every backup.
func (j *JSONWriter) open(stage jsonStage) {
	keys := map[jsonStage]string{stageTables: `"tables":[`, stageSequences: `"sequences":[`, stageObjects: `"large_objects":[`, stageViews: `"materialized_views":[`}
	if j.stage > stage || j.stage == stageTable || j.stage == stageObject {
		panic("backup: the parts of a backup come in their order")
	}
	for j.stage < stage {
		if keys[j.stage] != "" {
			j.buf = append(j.buf, "\n],\n"...)
		}
		j.stage++
		if j.stage == stageTable || j.stage == stageObject {
			j.stage++
		}
		j.buf = append(j.buf, keys[j.stage]...)
		j.items = 0
	}
}

// next begins the next item of the list that is open.
func (j *JSONWriter) next() {
	if j.items > 0 {
		j.buf = append(j.buf, ',')
	}
	j.buf = append(j.buf, '\n')
	j.items++
}

func (j *JSONWriter) flush(all bool) error {
	if j.err != nil {
		return j.err
	}
	if len(j.buf) < jsonBuffer && !all {
		return nil
	}
	j.hash.Write(j.buf)
	if _, err := j.w.Write(j.buf); err != nil {
		j.err = fmt.Errorf("write the backup: %w", err)
		return j.err
	}
	j.buf = keepSmall(j.buf)
	return nil
}

// headerOf is the header of a backup.
func headerOf(b holdfast.Backup) JSONHeader {
	return JSONHeader{Tool: b.Tool, CreatedAt: b.SnapshotAt, Database: b.Database, ServerVersion: b.ServerVersion, DataOnly: b.Options.DataOnly, SchemaOnly: b.Options.SchemaOnly}
}
