package rows

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a worksheet, by the specification and limits of Excel.
const (
	maxSheetRows = 1 << 20
	maxCell      = 32767 // UTF-16 units of text
	// exactDigits is how many digits of a number Excel keeps.
	exactDigits = 15
)

// The fixed parts of a workbook (ECMA-376). They stand behind the sheets, whose number is only known then.
const (
	xlsxHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	xlsxMain = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	xlsxRels = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
)

// xlsxWriter writes an Excel workbook straight through: a sheet for each million of rows, texts in their cells. Numbers that Excel would round are
// text, and so is every other type but boolean, so that nothing is changed on the way. A text longer than a cell can be is cut and counted on the last sheet.
type xlsxWriter struct {
	buffered *bufio.Writer
	zip      *zip.Writer
	sheet    io.Writer // nil: none was begun
	sheets   int
	row      int
	columns  []ResultColumn
	cut      int
	line     strings.Builder
	notes    bool // the last sheet tells what was cut
}

func newXLSXWriter(w *bufio.Writer) *xlsxWriter {
	return &xlsxWriter{buffered: w, zip: zip.NewWriter(w)}
}

func (x *xlsxWriter) Columns(columns []ResultColumn) error {
	x.columns = columns
	return nil
}

func (x *xlsxWriter) Rows(rows [][]Value) error {
	for _, row := range rows {
		if x.sheet == nil || x.row >= maxSheetRows {
			if err := x.beginSheet(); err != nil {
				return err
			}
		}
		if err := x.writeRow(row, true); err != nil {
			return err
		}
	}
	return nil
}

func (x *xlsxWriter) beginSheet() error {
	if err := x.endSheet(); err != nil {
		return err
	}
	x.sheets++
	x.row = 0
	var err error
	if x.sheet, err = x.zip.Create(fmt.Sprintf("xl/worksheets/sheet%d.xml", x.sheets)); err != nil {
		return err
	}
	if _, err := io.WriteString(x.sheet, xlsxHead+`<worksheet `+xlsxMain+`><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>`); err != nil {
		return err
	}
	head := make([]Value, len(x.columns))
	for i := range x.columns {
		head[i] = &x.columns[i].Name
	}
	return x.writeRow(head, false)
}

func (x *xlsxWriter) endSheet() error {
	if x.sheet == nil {
		return nil
	}
	_, err := io.WriteString(x.sheet, `</sheetData></worksheet>`)
	return err
}

// writeRow writes one row; typed says whether its values are of the columns' types, or text.
func (x *xlsxWriter) writeRow(row []Value, typed bool) error {
	x.row++
	b := &x.line
	b.Reset()
	b.WriteString("<row>")
	for i, v := range row {
		kind := ""
		if typed && i < len(x.columns) {
			kind = x.columns[i].Type
		}
		switch {
		case v == nil:
			b.WriteString("<c/>")
		case kind == "boolean" && (*v == "t" || *v == "f"):
			b.WriteString(`<c t="b"><v>` + map[string]string{"t": "1", "f": "0"}[*v] + `</v></c>`)
		case isExactNumber(kind, *v):
			b.WriteString("<c><v>" + *v + "</v></c>")
		default:
			b.WriteString(`<c t="inlineStr"><is><t xml:space="preserve">`)
			x.text(*v)
			b.WriteString("</t></is></c>")
		}
	}
	b.WriteString("</row>")
	_, err := io.WriteString(x.sheet, b.String())
	return err
}

// isExactNumber says whether a value is a number that comes out of Excel as it went in.
func isExactNumber(kind, v string) bool {
	switch kind {
	case "smallint", "integer", "bigint", "numeric", "oid":
	default:
		return false
	}
	digits := strings.TrimLeft(v, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	// Excel shows 1.50 as 1.5: what is not written in the shortest way is text.
	if point && (fraction == "" || strings.HasSuffix(fraction, "0")) || len(whole) > 1 && whole[0] == '0' || len(whole)+len(fraction) > exactDigits {
		return false
	}
	_, err := strconv.ParseUint(whole+fraction, 10, 64)
	return err == nil
}

// text writes a text as XML, cut to what a cell holds. What XML cannot hold becomes Excel's escape for it.
func (x *xlsxWriter) text(v string) {
	units := 0
	for i := 0; i < len(v); {
		r, size := utf8.DecodeRuneInString(v[i:])
		units++
		if r > 0xffff {
			units++
		}
		if units > maxCell {
			x.cut++
			return
		}
		switch {
		case r == '<':
			x.line.WriteString("&lt;")
		case r == '>':
			x.line.WriteString("&gt;")
		case r == '&':
			x.line.WriteString("&amp;")
		case r == '\r':
			x.line.WriteString("_x000D_")
			units += 6
		case r < ' ' && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&x.line, "_x%04X_", r)
			units += 6
		case r == '_' && isEscape(v[i:]): // else it would be read as one
			x.line.WriteString("_x005F_")
			units += 6
		default:
			x.line.WriteString(v[i : i+size])
		}
		i += size
	}
}

// isEscape says whether text begins like Excel's escape of a character: _x000D_.
func isEscape(v string) bool {
	if len(v) < 7 || v[1] != 'x' || v[6] != '_' {
		return false
	}
	_, err := strconv.ParseUint(v[2:6], 16, 16)
	return err == nil
}

func (x *xlsxWriter) Close() error {
	if x.sheet == nil {
		if err := x.beginSheet(); err != nil {
			return err
		}
	}
	if x.cut > 0 {
		if err := x.tellCuts(); err != nil {
			return err
		}
	}
	if err := x.endSheet(); err != nil {
		return err
	}
	if err := x.writeParts(); err != nil {
		return err
	}
	if err := x.zip.Close(); err != nil {
		return err
	}
	return x.buffered.Flush()
}

func (x *xlsxWriter) tellCuts() error {
	cut := x.cut
	x.columns, x.notes = []ResultColumn{{Name: "Note"}}, true
	if err := x.beginSheet(); err != nil {
		return err
	}
	note := fmt.Sprintf("%d values were longer than the %d characters that a cell holds, and were cut. Export them as CSV or JSON to have all of them.", cut, maxCell)
	return x.writeRow([]Value{&note}, false)
}

// writeParts writes what makes a workbook of the sheets.
func (x *xlsxWriter) writeParts() error {
	var types, list, relations strings.Builder
	for n := 1; n <= x.sheets; n++ {
		name := fmt.Sprintf("Rows %d", n)
		if x.notes && n == x.sheets {
			name = "Notes"
		}
		fmt.Fprintf(&types, `<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>`, n)
		fmt.Fprintf(&list, `<sheet name="%s" sheetId="%d" r:id="rId%d"/>`, name, n, n)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Type="%s/worksheet" Target="worksheets/sheet%d.xml"/>`, n, xlsxRels, n)
	}
	const packages = "http://schemas.openxmlformats.org/package/2006/"
	for _, part := range []struct{ name, content string }{
		{"[Content_Types].xml", `<Types xmlns="` + packages + `content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` + types.String() + `</Types>`},
		{"_rels/.rels", `<Relationships xmlns="` + packages + `relationships"><Relationship Id="rId1" Type="` + xlsxRels + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", `<workbook ` + xlsxMain + ` xmlns:r="` + xlsxRels + `"><sheets>` + list.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + packages + `relationships">` + relations.String() + `</Relationships>`},
	} {
		w, err := x.zip.Create(part.name)
		if err == nil {
			_, err = io.WriteString(w, xlsxHead+part.content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
