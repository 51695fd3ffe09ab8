package backup

import (
	"context"
	"fmt"
)

// encodingKind is how a value of a column stands in JSON.
type encodingKind string

const (
	asText        encodingKind = "text"        // a string: PostgreSQL's own text form
	asNumber      encodingKind = "number"      // a number that every reader can hold, or a string where it is none (NaN)
	asBoolean     encodingKind = "boolean"     // true or false
	asBase64      encodingKind = "base64"      // a string
	asTimestamp   encodingKind = "timestamp"   // a string: ISO 8601 without an offset
	asTimestampTZ encodingKind = "timestamptz" // a string: ISO 8601 with an offset
	asArray       encodingKind = "array"       // an array of values, or a string where bounds do not begin at 1
)

// encoding is how a column's values stand in JSON.
type encoding struct {
	kind      encodingKind
	element   *encoding // of an array
	delimiter byte      // between the elements of an array in PostgreSQL's text form
}

// pgTypes are the types of a database, by OID.
type pgTypes map[uint32]pgType

type pgType struct {
	base      uint32 // of a domain
	element   uint32 // of a true array
	delimiter byte
}

// OIDs of built-in types; they are the same in every PostgreSQL.
const (
	oidBool, oidBytea, oidInt2, oidInt4, oidOID    = 16, 17, 21, 23, 26
	oidFloat4, oidFloat8, oidTimestamp, oidTSTZ    = 700, 701, 1114, 1184
	oidInt8, oidText, oidDate, oidJSON, oidNumeric = 20, 25, 1082, 114, 1700
)

func readTypes(ctx context.Context, conn session) (pgTypes, error) {
	types := pgTypes{}
	var (
		oid       uint32
		typ       pgType
		delimiter int32
	)
	err := conn.each(ctx, []any{&oid, &typ.base, &typ.element, &delimiter}, func() error {
		typ.delimiter = byte(delimiter)
		types[oid] = typ
		return nil
	}, `
		SELECT t.oid, t.typbasetype, CASE WHEN t.typoutput = 'pg_catalog.array_out'::regproc THEN t.typelem ELSE 0::oid END, ascii(t.typdelim::text)
		FROM pg_catalog.pg_type t WHERE t.typtype = 'd' OR t.typoutput = 'pg_catalog.array_out'::regproc OR t.typdelim <> ','`)
	if err != nil {
		return nil, fmt.Errorf("list the types: %w", err)
	}
	return types, nil
}

// encoding is how values of the type stand in JSON; a domain's as those of the type below it.
func (types pgTypes) encoding(oid uint32) encoding {
	for types[oid].base != 0 {
		oid = types[oid].base
	}
	switch oid {
	case oidBool:
		return encoding{kind: asBoolean}
	case oidBytea:
		return encoding{kind: asBase64}
	case oidInt2, oidInt4, oidOID, oidFloat4, oidFloat8:
		return encoding{kind: asNumber}
	case oidTimestamp:
		return encoding{kind: asTimestamp}
	case oidTSTZ:
		return encoding{kind: asTimestampTZ}
	}
	element := types[oid].element
	if element == 0 {
		return encoding{kind: asText}
	}
	inner := types.encoding(element)
	if inner.kind == asArray { // an array of a domain over an array: its elements are quoted literals
		inner = encoding{kind: asText}
	}
	delimiter := byte(',')
	if d := types[element].delimiter; d != 0 {
		delimiter = d
	}
	return encoding{kind: asArray, element: &inner, delimiter: delimiter}
}

// encodingJSON is an encoding in the header of a table.
type encodingJSON struct {
	Encoding  encodingKind `json:"encoding"`
	Elements  encodingKind `json:"elements,omitempty"`
	Delimiter string       `json:"delimiter,omitempty"` // where it is not a comma
}

func (e encoding) json() encodingJSON {
	out := encodingJSON{Encoding: e.kind}
	if e.element != nil {
		out.Elements = e.element.kind
		if e.delimiter != ',' {
			out.Delimiter = string(rune(e.delimiter))
		}
	}
	return out
}

func (e encodingJSON) parse() (encoding, error) {
	simple := func(k encodingKind) bool {
		switch k {
		case asText, asNumber, asBoolean, asBase64, asTimestamp, asTimestampTZ:
			return true
		}
		return false
	}
	switch {
	case simple(e.Encoding):
		return encoding{kind: e.Encoding}, nil
	case e.Encoding == asArray && simple(e.Elements) && (e.Delimiter == "" || len(e.Delimiter) == 1 && e.Delimiter[0] < 0x80):
		out := encoding{kind: asArray, element: &encoding{kind: e.Elements}, delimiter: ','}
		if e.Delimiter != "" {
			out.delimiter = e.Delimiter[0]
		}
		return out, nil
	}
	return encoding{}, fmt.Errorf("the encoding %q of %q is not known", e.Encoding, e.Elements)
}
