package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// RowEdits are changes of rows that are saved as a whole or not at all.
type RowEdits struct {
	Changes []RowEdit `json:"changes" minItems:"1" maxItems:"2000" nullable:"false"`
	Trial   bool      `json:"dry_run,omitempty" doc:"Make them and take them back: the answer says what would run, or what is refused." example:"true"`
}

// RowEdit is one change of a row. Values are PostgreSQL's text; null is NULL.
type RowEdit struct {
	Kind  string             `json:"kind" enum:"insert,update,delete"`
	Table string             `json:"table" maxLength:"300" doc:"As in SQL: orders, sales.orders." example:"public.orders"`
	Old   map[string]*string `json:"old,omitempty" doc:"The row as it was read, by column: at least the primary key; every stored column where there is none. Each value must still be there."`
	Set   map[string]*string `json:"set,omitempty" doc:"New values, by column. Of an insert the other columns get their defaults."`
}

// SavedRows is what changes of rows came to.
type SavedRows struct {
	Saved     bool          `json:"saved" doc:"False when there are conflicts, and when it was a trial: then nothing was changed."`
	Changes   []SavedRow    `json:"changes" nullable:"false"`
	Conflicts []RowConflict `json:"conflicts" nullable:"false" doc:"Rows that are not as they were read."`
	Undo      string        `json:"undo,omitempty" doc:"A script that takes the changes back, as a whole or not at all, unless the rows were changed since."`
}

// SavedRow is what one change came to.
type SavedRow struct {
	Kind   string             `json:"kind"`
	Table  string             `json:"table"`
	Row    string             `json:"row" doc:"Which row it is: its key, for a person." example:"id 5"`
	Before map[string]*string `json:"before,omitempty"`
	After  map[string]*string `json:"after,omitempty" doc:"With what PostgreSQL filled in."`
	SQL    string             `json:"sql" doc:"The statement with its values."`
}

// RowConflict says that a row is not what it was when it was read.
type RowConflict struct {
	Change int                `json:"change" doc:"Which one, from 0."`
	Table  string             `json:"table"`
	Row    string             `json:"row" example:"id 5"`
	Gone   bool               `json:"gone" doc:"The row is there no more."`
	Alike  bool               `json:"alike" doc:"Several rows are the same, and the table has no key to tell them apart."`
	Then   map[string]*string `json:"then,omitempty" doc:"Those columns that differ, as they were read."`
	Now    map[string]*string `json:"now,omitempty" doc:"The same columns as they are."`
}

// EditingAllowed says until when the rows of a branch may be edited.
type EditingAllowed struct {
	Until *time.Time `json:"until,omitempty" doc:"Left out where it does not end by itself."`
}

// SQLExport asks for the rows of a query as a file.
type SQLExport struct {
	SQL    string `json:"sql" maxLength:"1000000" doc:"One statement that reads." example:"SELECT 1"`
	Format string `json:"format" enum:"csv,json,xlsx"`
	ID     string `json:"id,omitempty" maxLength:"64" doc:"By which it can be canceled." example:"q2"`
}

// XLSXContentType is the media type of Excel workbooks.
const XLSXContentType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// SavedItem is something that a person keeps for use in a project: a view of a table, or a query.
type SavedItem struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind" enum:"view,query"`
	Table     string    `json:"table,omitempty"`
	Name      string    `json:"name"`
	Body      string    `json:"body"`
	UpdatedAt time.Time `json:"updated_at"`
}

// SaveItem keeps something under a name. What has the same kind, table and name is replaced.
type SaveItem struct {
	Kind  string `json:"kind" enum:"view,query"`
	Table string `json:"table,omitempty" maxLength:"300" doc:"Which table a view is of."`
	Name  string `json:"name" minLength:"1" maxLength:"100" example:"unpaid"`
	Body  string `json:"body" maxLength:"100000" doc:"A view's settings, which the console reads and writes, or a query's SQL." example:"SELECT 1"`
}

// SaveRows changes rows of a branch as a whole or not at all.
func (c *Client) SaveRows(ctx context.Context, ref holdfast.BranchRef, edits RowEdits) (SavedRows, error) {
	return call[SavedRows](ctx, c, http.MethodPost, refPath(RowsPath, ref), edits)
}
