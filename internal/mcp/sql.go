package mcp

import (
	"context"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/platform"
)

// Bounds of what one call returns: an agent reads all of it.
const (
	maxRows       = 200
	maxValueBytes = 256 << 10
	maxSchema     = 200 << 10
)

type sqlInput struct {
	Branch         string `json:"branch" jsonschema:"the branch as project/branch"`
	SQL            string `json:"sql" jsonschema:"one or more statements"`
	Write          bool   `json:"write,omitempty" jsonschema:"allow changes; without it everything runs in a read-only transaction"`
	MaxRows        int    `json:"max_rows,omitempty" jsonschema:"of each result; default and most 200"`
	TimeoutSeconds int    `json:"timeout_seconds,omitempty" jsonschema:"default 30, at most 100"`
}

// result is what one statement gave.
type result struct {
	Statement string                 `json:"statement"`
	Columns   []string               `json:"columns,omitempty"`
	Types     []string               `json:"types,omitempty"`
	Rows      [][]*string            `json:"rows,omitempty"`
	Tag       string                 `json:"tag,omitempty"`
	Truncated bool                   `json:"truncated,omitempty"`
	Notices   []string               `json:"notices,omitempty"`
	Error     *platform.QueryMessage `json:"error,omitempty"`
}

func (d *door) openSQL(s *sdk.Server) {
	tool(d, s, "run_sql", "Run SQL on a branch, as its owner. Read-only unless write is true; values are PostgreSQL's text. A checkpoint of development is made before a write, "+
		"at most one a minute, so that restore can undo it. Where the project allows it, production can be read, as a role that can only select.", false, d.runSQL)
	tool(d, s, "describe_schema", "The schema of a branch as DDL (pg_dump --schema-only).", true, d.describeSchema)
	tool(d, s, "explain", "The plan of a query as PostgreSQL makes it; with analyze it is run, in a read-only transaction.", true, d.explain)
	tool(d, s, "slow_queries", "The statements that took most time in a branch, with their calls and times (pg_stat_statements).", true, func(ctx context.Context, in struct {
		Branch string `json:"branch" jsonschema:"the branch as project/branch"`
		Limit  int    `json:"limit,omitempty" jsonschema:"default 20, at most 100"`
	}) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		if in.Limit <= 0 || in.Limit > 100 {
			in.Limit = 20
		}
		slow, err := d.platform.SlowQueries(ctx, d.who, ref, in.Limit)
		return map[string]any{"queries": slow}, err
	})
}

func (d *door) runSQL(ctx context.Context, in sqlInput) (any, error) {
	ref, err := holdfast.ParseBranchRef(in.Branch)
	if err != nil {
		return nil, err
	}
	q := platform.Query{SQL: in.SQL, Write: in.Write, MaxRows: min(in.MaxRows, maxRows), MaxBytes: maxValueBytes, Timeout: time.Duration(min(in.TimeoutSeconds, 100)) * time.Second}
	if q.MaxRows <= 0 {
		q.MaxRows = maxRows
	}
	results, err := d.query(ctx, ref, q)
	return map[string]any{"results": results}, err
}

// query collects what a query gives. What PostgreSQL refuses stands in the last result.
func (d *door) query(ctx context.Context, ref holdfast.BranchRef, q platform.Query) ([]*result, error) {
	var results []*result
	at := func(statement int) *result {
		for len(results) <= statement {
			results = append(results, &result{})
		}
		return results[statement]
	}
	err := d.platform.RunQuery(ctx, d.who, ref, q, func(string) error { return nil }, func(e platform.QueryEvent) error {
		r := at(e.Statement)
		for _, c := range e.Columns {
			r.Columns, r.Types = append(r.Columns, c.Name), append(r.Types, c.Type)
		}
		r.Rows = append(r.Rows, e.Rows...)
		switch {
		case e.Notice != nil:
			r.Notices = append(r.Notices, e.Notice.Severity+": "+e.Notice.Message)
		case e.Done != nil:
			r.Statement, r.Tag, r.Truncated = e.Done.SQL, e.Done.Tag, e.Done.Truncated
		case e.Failed != nil:
			r.Error = e.Failed
		}
		return nil
	})
	return results, err
}

func (d *door) describeSchema(ctx context.Context, in branchInput) (any, error) {
	ref, err := holdfast.ParseBranchRef(in.Branch)
	if err != nil {
		return nil, err
	}
	ddl, err := d.platform.DumpSchema(ctx, d.who, ref)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"ddl": ddl}
	if len(ddl) > maxSchema {
		cut := strings.LastIndexByte(ddl[:maxSchema], '\n')
		out["ddl"], out["truncated"] = ddl[:cut+1], "the schema is larger than one answer; ask the catalogue with run_sql for the rest"
	}
	return out, nil
}

func (d *door) explain(ctx context.Context, in struct {
	Branch  string `json:"branch" jsonschema:"the branch as project/branch"`
	SQL     string `json:"sql" jsonschema:"one query"`
	Analyze bool   `json:"analyze,omitempty" jsonschema:"run it and count"`
}) (any, error) {
	ref, err := holdfast.ParseBranchRef(in.Branch)
	if err != nil {
		return nil, err
	}
	prefix := "EXPLAIN (FORMAT TEXT) "
	if in.Analyze {
		prefix = "EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) "
	}
	results, err := d.query(ctx, ref, platform.Query{SQL: prefix + in.SQL, MaxRows: 2000, MaxBytes: maxValueBytes})
	return map[string]any{"results": results}, err
}
