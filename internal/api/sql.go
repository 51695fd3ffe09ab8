package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/holdfast/holdfast"
)

// SQLRequest asks for SQL to be run on a branch, as its owner role.
type SQLRequest struct {
	SQL     string `json:"sql" maxLength:"1000000" doc:"One or more statements, separated by semicolons. The first that fails ends the script." example:"SELECT 1"`
	Write   bool   `json:"write,omitempty" doc:"It may change something; then each statement is a transaction of its own unless the script says otherwise. Without it all statements run in one read-only transaction, which none of them can leave." example:"false"`
	ID      string `json:"id,omitempty" maxLength:"64" doc:"By which it can be canceled, chosen by the caller: letters, digits, dashes and underscores. One is made up when left out." example:"q1"`
	MaxRows int    `json:"max_rows,omitempty" minimum:"0" maximum:"10000000" doc:"Of each result; 1000 when left out." example:"100"`
	Timeout int64  `json:"timeout_seconds,omitempty" minimum:"0" maximum:"3600" doc:"After which a statement is ended; 30 when left out." example:"30"`
}

// SQLAnswer is what a script came to.
type SQLAnswer struct {
	ID      string       `json:"id"`
	Results []SQLResult  `json:"results" nullable:"false" doc:"One for each statement that has succeeded, in order."`
	Notices []SQLMessage `json:"notices" nullable:"false"`
	Error   *SQLMessage  `json:"error,omitempty" doc:"Why the statement after those of the results failed. What follows it was not run."`
	Took    float64      `json:"took_ms"`
}

// SQLResult is what one statement came to.
type SQLResult struct {
	Statement int         `json:"statement" doc:"Which of the script's, from 0."`
	SQL       string      `json:"sql"`
	Tag       string      `json:"tag" doc:"PostgreSQL's." example:"SELECT 5"`
	Columns   []SQLColumn `json:"columns,omitempty" doc:"Left out for a statement without a result."`
	Rows      [][]*string `json:"rows,omitempty" doc:"Values as PostgreSQL's text; null is NULL."`
	RowCount  int         `json:"row_count" doc:"Rows that are in the answer."`
	Truncated bool        `json:"truncated" doc:"There are more rows than were asked for, or than fit."`
	Took      float64     `json:"took_ms"`
}

// SQLColumn is a column of a result.
type SQLColumn struct {
	Name string `json:"name"`
	Type string `json:"type" example:"character varying"`
	OID  uint32 `json:"type_oid" example:"1043"`
}

// SQLMessage is an error or a notice of PostgreSQL.
type SQLMessage struct {
	Severity   string `json:"severity" example:"ERROR"`
	Code       string `json:"code" doc:"SQLSTATE." example:"42703"`
	Message    string `json:"message"`
	Detail     string `json:"detail,omitempty"`
	Hint       string `json:"hint,omitempty"`
	Where      string `json:"where,omitempty"`
	Schema     string `json:"schema,omitempty"`
	Table      string `json:"table,omitempty"`
	Column     string `json:"column,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	Position   int    `json:"position,omitempty" doc:"In characters of the script, from 1."`
	Statement  int    `json:"statement" doc:"Which of the script's, from 0."`
}

// SQLEvent is a line of the stream: one of its fields is set. Rows belong to the columns before them, Done ends a statement, Error or End
// the stream; one without either was cut.
type SQLEvent struct {
	ID        string      `json:"id,omitempty" doc:"Of the query; first of all."`
	Statement int         `json:"statement"`
	Columns   []SQLColumn `json:"columns,omitempty"`
	Rows      [][]*string `json:"rows,omitempty"`
	Notice    *SQLMessage `json:"notice,omitempty"`
	Done      *SQLResult  `json:"done,omitempty" doc:"Without columns and rows, which came before."`
	Failed    *SQLMessage `json:"failed,omitempty" doc:"PostgreSQL refused the statement. What follows it is not run."`
	Problem   *Problem    `json:"problem,omitempty" doc:"The query was ended by something else; the last line."`
	End       *SQLEnd     `json:"end,omitempty" doc:"All was told; the last line."`
}

// SQLEnd ends a stream.
type SQLEnd struct {
	Took float64 `json:"took_ms"`
}

// LinesContentType is the content type of JSON values in lines.
const LinesContentType = "application/x-ndjson"

// SQL runs SQL on a branch and calls each with what happens. A statement that PostgreSQL refuses is an event, not an error.
func (c *Client) SQL(ctx context.Context, ref holdfast.BranchRef, ask SQLRequest, each func(SQLEvent) error) error {
	return lines(ctx, c, refPath(SQLPath, ref), ask, func(e SQLEvent) (bool, error) {
		switch {
		case e.Problem != nil:
			return true, e.Problem.Err()
		case e.End != nil:
			return true, nil
		}
		return false, each(e)
	})
}

// RunSQL runs SQL on a branch and returns what it came to, as far as it fits into memory. What PostgreSQL refuses is in the answer.
func (c *Client) RunSQL(ctx context.Context, ref holdfast.BranchRef, ask SQLRequest) (SQLAnswer, error) {
	return call[SQLAnswer](ctx, c, http.MethodPost, refPath(SQLPath, ref), ask)
}

// CancelSQL ends the running statement of a query.
func (c *Client) CancelSQL(ctx context.Context, ref holdfast.BranchRef, id string) error {
	return c.do(ctx, http.MethodDelete, Path(SQLQueryPath, ref.Project, ref.Branch, id), nil, nil)
}

// lines reads a stream of JSON values until see says that one was the last.
func lines[T any](ctx context.Context, c *Client, path string, in any, see func(T) (last bool, err error)) error {
	res, err := c.send(ctx, http.MethodPost, path, LinesContentType, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	decoder := json.NewDecoder(res.Body)
	for {
		var value T
		if err := decoder.Decode(&value); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the answer of " + c.URL() + " was cut", Cause: err}
		}
		if last, err := see(value); last || err != nil {
			return err
		}
	}
}
