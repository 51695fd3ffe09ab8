package rows_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast/holdfast/internal/rows"
)

var exported = []rows.ResultColumn{{Name: "n", Type: "bigint"}, {Name: `say "hi", <b>`, Type: "text"}, {Name: "yes", Type: "boolean"}, {Name: "price", Type: "numeric"}}

func export(t *testing.T, format string, values ...[]rows.Value) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := rows.NewWriter(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Columns(exported); err != nil {
		t.Fatal(err)
	}
	for _, row := range values {
		if err := w.Rows([][]rows.Value{row}); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() > 0 {
		t.Errorf("%s: something was written before it had to be", format)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRowsAreWrittenAsCSVAndJSONWithoutLosingAnything(t *testing.T) {
	row := []rows.Value{is("9223372036854775807"), is("a \"b\",\r\n<c> é"), nil, is("0.10")}
	got, err := csv.NewReader(bytes.NewReader(export(t, "csv", row, []rows.Value{nil, is(""), nil, nil}))).ReadAll()
	// Go's reader takes the line end inside of a value for a plain one.
	if err != nil || len(got) != 3 || got[0][1] != exported[1].Name || got[1][0] != *row[0] || got[1][1] != "a \"b\",\n<c> é" || got[1][3] != "0.10" {
		t.Errorf("CSV: %q, %v", got, err)
	}
	if text := string(export(t, "csv", []rows.Value{nil, is(""), nil, nil})); !strings.HasSuffix(text, "\r\n,\"\",,\r\n") {
		t.Errorf("NULL and the empty text are the same: %q", text)
	}
	var list []map[string]*string
	if err := json.Unmarshal(export(t, "json", row, row), &list); err != nil || len(list) != 2 || *list[1]["n"] != *row[0] || *list[0][exported[1].Name] != *row[1] || list[0]["yes"] != nil {
		t.Errorf("JSON: %v, %v", list, err)
	}
	if err := json.Unmarshal(export(t, "json"), &list); err != nil || len(list) != 0 {
		t.Errorf("no rows as JSON: %v, %v", list, err)
	}
}

// workbook reads the cells of each sheet: type and text.
func workbook(t *testing.T, file []byte) (sheets [][][][2]string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		var sheet struct {
			Rows []struct {
				Cells []struct {
					Type  string `xml:"t,attr"`
					Value string `xml:"v"`
					Text  string `xml:"is>t"`
				} `xml:"c"`
			} `xml:"sheetData>row"`
		}
		if err := xml.Unmarshal(content, &sheet); err != nil {
			t.Fatalf("%s is no XML: %v", f.Name, err)
		}
		if !strings.HasPrefix(f.Name, "xl/worksheets/") {
			continue
		}
		var read [][][2]string
		for _, r := range sheet.Rows {
			var cells [][2]string
			for _, c := range r.Cells {
				cells = append(cells, [2]string{c.Type, c.Value + c.Text})
			}
			read = append(read, cells)
		}
		sheets = append(sheets, read)
	}
	for _, want := range []string{"[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"} {
		if !slices.Contains(names, want) {
			t.Errorf("the workbook lacks %s: %v", want, names)
		}
	}
	return sheets
}

func TestAWorkbookHoldsNumbersThatExcelKeepsAndTheRestAsText(t *testing.T) {
	long := strings.Repeat("x", 40000)
	sheets := workbook(t, export(t, "xlsx",
		[]rows.Value{is("42"), is("<a> & _x0041_ \x01\r"), is("t"), is("-1.5")},
		[]rows.Value{is("9223372036854775807"), is(long), is("f"), is("1.50")},
		[]rows.Value{nil, is(""), nil, is("NaN")}))
	if len(sheets) != 2 {
		t.Fatalf("%d sheets, want the rows and the notes", len(sheets))
	}
	want := [][][2]string{
		{{"inlineStr", "n"}, {"inlineStr", exported[1].Name}, {"inlineStr", "yes"}, {"inlineStr", "price"}},
		{{"", "42"}, {"inlineStr", "<a> & _x005F_x0041_ _x0001__x000D_"}, {"b", "1"}, {"", "-1.5"}},
		{{"inlineStr", "9223372036854775807"}, {"inlineStr", long[:32767]}, {"b", "0"}, {"inlineStr", "1.50"}},
		{{"", ""}, {"inlineStr", ""}, {"", ""}, {"inlineStr", "NaN"}},
	}
	for i, row := range want {
		if !slices.Equal(sheets[0][i], row) {
			t.Errorf("row %d is %.200v, want %.200v", i, sheets[0][i], row)
		}
	}
	if note := sheets[1][1][0][1]; !strings.HasPrefix(note, "1 values were longer") {
		t.Errorf("the note says %q", note)
	}
	if empty := workbook(t, export(t, "xlsx")); len(empty) != 1 || len(empty[0]) != 1 {
		t.Errorf("a workbook without rows: %v", empty)
	}
}
