package rows

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast/holdfast"
)

// Writer writes rows as a file, in constant memory. Columns comes first, Close last. Nothing reaches the file before the first row or Close.
type Writer interface {
	Columns(columns []ResultColumn) error
	Rows(rows [][]Value) error
	Close() error
}

// NewWriter makes a writer for csv, json or xlsx.
func NewWriter(format string, w io.Writer) (Writer, error) {
	buffered := bufio.NewWriterSize(w, 64<<10)
	switch format {
	case "csv":
		return &csvWriter{w: buffered}, nil
	case "json":
		return &jsonWriter{w: buffered}, nil
	case "xlsx":
		return newXLSXWriter(buffered), nil
	}
	return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("there is no format %q", format), Hint: "csv, json or xlsx"}
}

// csvWriter writes CSV by RFC 4180, as PostgreSQL reads it: NULL is nothing, an empty text is in quotes.
type csvWriter struct{ w *bufio.Writer }

func (c *csvWriter) Columns(columns []ResultColumn) error {
	row := make([]Value, len(columns))
	for i := range columns {
		row[i] = &columns[i].Name
	}
	return c.Rows([][]Value{row})
}

func (c *csvWriter) Rows(rows [][]Value) error {
	for _, row := range rows {
		for i, v := range row {
			if i > 0 {
				c.w.WriteByte(',') // a bufio.Writer keeps its error until Flush
			}
			switch {
			case v == nil:
			case *v == "" || *v == `\.` || strings.ContainsAny(*v, ",\"\r\n") || strings.TrimSpace(*v) != *v:
				c.w.WriteString(`"` + strings.ReplaceAll(*v, `"`, `""`) + `"`)
			default:
				c.w.WriteString(*v)
			}
		}
		if _, err := c.w.WriteString("\r\n"); err != nil {
			return err
		}
	}
	return nil
}

func (c *csvWriter) Close() error { return c.w.Flush() }

// jsonWriter writes a list of objects. Values stay text, so that no number loses digits. Columns of the same name stand beside each other.
type jsonWriter struct {
	w     *bufio.Writer
	names [][]byte
	begun bool
}

func (j *jsonWriter) Columns(columns []ResultColumn) error {
	for _, c := range columns {
		name, err := json.Marshal(c.Name)
		if err != nil {
			return err
		}
		j.names = append(j.names, name)
	}
	return nil
}

func (j *jsonWriter) Rows(rows [][]Value) error {
	for _, row := range rows {
		separator := ",\n  {"
		if !j.begun {
			j.begun, separator = true, "[\n  {"
		}
		j.w.WriteString(separator) // as above
		for i, v := range row {
			if i > 0 {
				j.w.WriteString(", ")
			}
			value, err := json.Marshal(v)
			if err != nil {
				return err
			}
			j.w.Write(j.names[i])
			j.w.WriteString(": ")
			j.w.Write(value)
		}
		if err := j.w.WriteByte('}'); err != nil {
			return err
		}
	}
	return nil
}

func (j *jsonWriter) Close() error {
	if !j.begun {
		j.w.WriteByte('[')
	}
	j.w.WriteString("\n]\n")
	return j.w.Flush()
}
