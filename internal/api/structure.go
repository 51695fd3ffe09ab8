package api

import (
	"context"
	"net/http"

	"github.com/holdfast/holdfast"
)

// TableSummary is a table, a view or a foreign table of a branch.
type TableSummary struct {
	Schema      string `json:"schema" example:"public"`
	Name        string `json:"name" example:"orders"`
	Kind        string `json:"kind" enum:"table,partitioned table,view,materialized view,foreign table"`
	Owner       string `json:"owner"`
	Comment     string `json:"comment"`
	Rows        int64  `json:"rows" doc:"As PostgreSQL last estimated; -1: never."`
	Bytes       int64  `json:"size_bytes" doc:"With its indexes and long values."`
	ColumnCount int    `json:"column_count"`
}

// TableColumn is a column of a table.
type TableColumn struct {
	Name      string `json:"name"`
	Type      string `json:"type" example:"numeric(12,2)"`
	Required  bool   `json:"required" doc:"NOT NULL"`
	Default   string `json:"default" doc:"The expression of a default or of a generated column; empty: none."`
	Identity  string `json:"identity" enum:",always,by default"`
	Generated string `json:"generated" enum:",stored,virtual"`
	Comment   string `json:"comment"`
}

// TableConstraint is a constraint of a table.
type TableConstraint struct {
	Name       string `json:"name"`
	Kind       string `json:"kind" enum:"primary key,unique,foreign key,check,exclusion,not null,trigger"`
	Definition string `json:"definition" doc:"As ALTER TABLE ADD CONSTRAINT takes it." example:"CHECK (total >= 0)"`
	Table      string `json:"table" doc:"Whose it is, as in SQL."`
	Valid      bool   `json:"valid" doc:"False: rows from before were not checked."`
}

// TableIndex is an index of a table.
type TableIndex struct {
	Name       string `json:"name"`
	Definition string `json:"definition" doc:"The statement that makes it."`
	Constraint bool   `json:"constraint" doc:"It comes and goes with a constraint."`
	Unique     bool   `json:"unique"`
	Valid      bool   `json:"valid" doc:"False: its making failed; it is not used."`
	Bytes      int64  `json:"size_bytes"`
}

// TableTrigger is a trigger of a table.
type TableTrigger struct {
	Name       string `json:"name"`
	Definition string `json:"definition" doc:"The statement that makes it."`
	Enabled    string `json:"enabled" enum:"origin,disabled,replica,always" doc:"In which sessions it fires; origin: in all but those of replication."`
}

// TablePolicy is a row security policy of a table.
type TablePolicy struct {
	Name       string   `json:"name"`
	Command    string   `json:"command" enum:"all,select,insert,update,delete"`
	Permissive bool     `json:"permissive"`
	Roles      []string `json:"roles" nullable:"false" doc:"public: everybody."`
	Using      string   `json:"using" doc:"Which rows can be seen; empty: not said."`
	Check      string   `json:"check" doc:"Which rows can be written; empty: not said."`
}

// TableStructure is everything that belongs to a table or a view.
type TableStructure struct {
	TableSummary
	Definition       string            `json:"definition" doc:"The query of a view."`
	PartitionKey     string            `json:"partition_key" example:"RANGE (placed_at)"`
	PartitionOf      string            `json:"partition_of"`
	PartitionBound   string            `json:"partition_bound"`
	RowSecurity      bool              `json:"row_security"`
	ForceRowSecurity bool              `json:"force_row_security" doc:"For its owner, too."`
	Columns          []TableColumn     `json:"columns" nullable:"false"`
	Constraints      []TableConstraint `json:"constraints" nullable:"false"`
	ReferencedBy     []TableConstraint `json:"referenced_by" nullable:"false" doc:"Foreign keys of other tables."`
	Indexes          []TableIndex      `json:"indexes" nullable:"false"`
	Triggers         []TableTrigger    `json:"triggers" nullable:"false"`
	Policies         []TablePolicy     `json:"policies" nullable:"false"`
}

// TableSQL returns the structure of one table as SQL. table is as in SQL.
func (c *Client) TableSQL(ctx context.Context, ref holdfast.BranchRef, table string) (SchemaDump, error) {
	return call[SchemaDump](ctx, c, http.MethodGet, Path(TableSQLPath, ref.Project, ref.Branch, table), nil)
}
