package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast/holdfast"
)

// CSVContentType is the media type of CSV files.
const CSVContentType = "text/csv"

// TableExport asks for a table as CSV.
type TableExport struct {
	Table     string   `json:"table" doc:"As in SQL: orders, sales.orders." example:"public.orders"`
	Columns   []string `json:"columns,omitempty" doc:"In this order; all but computed ones when left out."`
	Where     string   `json:"where,omitempty" maxLength:"10000" doc:"An SQL condition." example:"id < 100"`
	Delimiter string   `json:"delimiter,omitempty" maxLength:"2" doc:"One ASCII character, or \\t; a comma when left out."`
	Encoding  string   `json:"encoding,omitempty" maxLength:"50" doc:"An IANA name; UTF-8 when left out."`
	NoHeader  bool     `json:"no_header,omitempty"`
}

// TableImport says how a CSV file is brought into a table. It goes as the query of the request.
type TableImport struct {
	Table     string
	Map       []string // FILECOLUMN=TABLECOLUMN; FILECOLUMN= leaves it out
	Upsert    []string // columns of a unique key
	Delimiter string
	Encoding  string
	NoHeader  bool
	DryRun    bool
	Rejects   bool // keep the good rows, tell the bad ones
}

// ImportEvent is a line of the answer to an import: one of its fields is set. Problem or End is the last.
type ImportEvent struct {
	Columns []string     `json:"columns,omitempty" doc:"Of the table, in the order of the rejected rows' values. Comes before the first of them."`
	Reject  *RejectedRow `json:"reject,omitempty"`
	Problem *Problem     `json:"problem,omitempty" doc:"The import ended with this."`
	End     *ImportEnd   `json:"end,omitempty"`
}

// RejectedRow is a row that the table did not take.
type RejectedRow struct {
	Line   int64     `json:"line" doc:"Of the file, where the row begins, from 1."`
	Reason string    `json:"reason"`
	Values []*string `json:"values,omitempty" doc:"Null is NULL. Left out where the line is no CSV."`
	Text   string    `json:"text,omitempty" doc:"The line as it is, where it is no CSV."`
}

// ImportEnd says what an import did.
type ImportEnd struct {
	Rows     int64 `json:"rows"`
	Rejected int64 `json:"rejected"`
	DryRun   bool  `json:"dry_run" doc:"Nothing of it was kept."`
}

// ExportTable opens a table as CSV. The caller closes the reader. A stream that was cut ends with an error.
func (c *Client) ExportTable(ctx context.Context, ref holdfast.BranchRef, ask TableExport) (io.ReadCloser, error) {
	res, err := c.send(ctx, http.MethodPost, refPath(ExportTablePath, ref), CSVContentType, ask)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// ImportTable sends a CSV file and tells each row that was rejected, with the table's columns that its values belong to.
func (c *Client) ImportTable(ctx context.Context, ref holdfast.BranchRef, ask TableImport, file io.Reader, reject func(columns []string, row RejectedRow) error) (ImportEnd, error) {
	q := url.Values{"table": {ask.Table}, "delimiter": {ask.Delimiter}, "encoding": {ask.Encoding}, "no_header": {strconv.FormatBool(ask.NoHeader)},
		"dry_run": {strconv.FormatBool(ask.DryRun)}, "rejects": {strconv.FormatBool(ask.Rejects)}, "map": ask.Map, "upsert": ask.Upsert}
	res, err := c.upload(ctx, refPath(ImportTablePath, ref)+"?"+q.Encode(), LinesContentType, CSVContentType, file, 0)
	if err != nil {
		return ImportEnd{}, err
	}
	defer res.Body.Close()
	var columns []string
	for d := json.NewDecoder(res.Body); ; {
		var e ImportEvent
		if err := d.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return ImportEnd{}, &holdfast.Error{Kind: holdfast.Unavailable, Message: "the answer of " + c.URL() + " was cut", Cause: err}
		}
		switch {
		case e.Problem != nil:
			return ImportEnd{}, e.Problem.Err()
		case e.End != nil:
			return *e.End, nil
		case e.Columns != nil:
			columns = e.Columns
		case e.Reject != nil && reject != nil:
			if err := reject(columns, *e.Reject); err != nil {
				return ImportEnd{}, err
			}
		}
	}
}

// AdoptBackup sends a dump that was made elsewhere, to be kept as a backup of a branch. size is that of the file, 0 where it is not known. The answer has the backup's ID and the job's, which inspects and keeps it.
func (c *Client) AdoptBackup(ctx context.Context, ref holdfast.BranchRef, name string, file io.Reader, size int64) (Backup, error) {
	var b Backup
	q := url.Values{"name": {name}}
	res, err := c.upload(ctx, refPath(AdoptBackupPath, ref)+"?"+q.Encode(), "application/json", "application/octet-stream", file, size)
	if err != nil {
		return b, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&b); err != nil {
		return b, &holdfast.Error{Kind: holdfast.Unavailable, Message: "the answer of " + c.URL() + " could not be read", Cause: err}
	}
	return b, nil
}
