package api

import (
	"context"
	"net/http"

	"github.com/holdfast/holdfast"
)

// Rescue names rows of a table to be brought back from a moment.
type Rescue struct {
	Look  string `json:"look" doc:"The branch that shows the moment; see look-at-branch." example:"production_at_20261120_140311_1a2b"`
	Table string `json:"table" doc:"table or schema.table" example:"public.deals"`
	Where string `json:"where,omitempty" maxLength:"10000" doc:"An SQL condition over the row. A row counts when it holds then or now." example:"id < 100"`
}

// RescueEvent is a line of the comparison: one of its fields is set. The table comes first; Problem or End is the last.
type RescueEvent struct {
	Table   *RescueTable  `json:"table,omitempty"`
	Change  *RescueChange `json:"change,omitempty"`
	Problem *Problem      `json:"problem,omitempty" doc:"It was ended by this; the last line."`
	End     *RescueEnd    `json:"end,omitempty" doc:"All was told; the last line."`
}

// RescueTable is the table that a rescue is about.
type RescueTable struct {
	Name     string   `json:"name" example:"public.deals"`
	Columns  []string `json:"columns" nullable:"false"`
	Key      []string `json:"key" nullable:"false" doc:"The columns of its primary key."`
	Preamble string   `json:"preamble" doc:"With what the transaction of a script of the repairs begins."`
}

// RescueChange is a row that differs.
type RescueChange struct {
	Kind string    `json:"kind" enum:"deleted,changed,added" doc:"What became of it since the moment."`
	Key  []*string `json:"key" nullable:"false"`
	Then []*string `json:"then,omitempty" doc:"Its values then, as PostgreSQL's text; left out for an added row."`
	Now  []*string `json:"now,omitempty" doc:"Its values now; left out for a deleted row."`
	SQL  string    `json:"sql,omitempty" doc:"What makes it as it was."`
}

// RescueEnd ends a comparison.
type RescueEnd struct {
	Deleted int `json:"deleted"`
	Changed int `json:"changed"`
	Added   int `json:"added"`
}

// CompareRows tells how a table's rows differ between a moment and now. Nothing is changed.
func (c *Client) CompareRows(ctx context.Context, ref holdfast.BranchRef, ask Rescue, each func(RescueEvent) error) error {
	return lines(ctx, c, refPath(RescuePath, ref), ask, func(e RescueEvent) (bool, error) {
		if e.Problem != nil {
			return true, e.Problem.Err()
		}
		return e.End != nil, each(e)
	})
}

// ApplyRescue begins to bring a table's rows back to how they were.
func (c *Client) ApplyRescue(ctx context.Context, ref holdfast.BranchRef, ask Rescue) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(RescueRunPath, ref), ask)
}

// TableCount is how many rows a table has.
type TableCount struct {
	Schema    string `json:"schema" example:"public"`
	Name      string `json:"name" example:"deals"`
	Rows      int64  `json:"rows"`
	Estimated bool   `json:"estimated" doc:"From the statistics: counting would have taken too long."`
}

// RowCounts counts the rows of a branch's tables.
func (c *Client) RowCounts(ctx context.Context, ref holdfast.BranchRef) ([]TableCount, error) {
	return list[TableCount](ctx, c, refPath(RowCountsPath, ref))
}
