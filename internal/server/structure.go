package server

import (
	"context"
	"net/http"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type tablePath struct {
	BranchPath
	Table string `path:"table" doc:"As in SQL: orders, sales.orders." example:"orders"`
}

func (s *Server) structureRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.TablesPath, id: "list-tables", rule: toSee, tag: "schema", summary: "A branch's tables and views",
		about: "Who may see a branch may see its structure, also where its rows may not be read. It wakes the branch."},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) ([]api.TableSummary, error) {
			found, err := p.Relations(ctx, who, in.ref())
			return mapped(found, viewTable), err
		})
	add(s, route{method: http.MethodGet, path: api.TablePath, id: "show-table", rule: toSee, tag: "schema", summary: "What belongs to a table: columns, constraints, indexes, triggers, policies",
		about: "It wakes the branch."},
		func(ctx context.Context, who holdfast.Principal, in *tablePath) (api.TableStructure, error) {
			found, err := p.Relation(ctx, who, in.ref(), in.Table)
			return viewStructure(found), err
		})
	add(s, route{method: http.MethodGet, path: api.TableSQLPath, id: "dump-table", rule: toSee, tag: "schema", summary: "A table's structure as SQL", about: "It wakes the branch."},
		func(ctx context.Context, who holdfast.Principal, in *tablePath) (api.SchemaDump, error) {
			text, err := p.DumpRelation(ctx, who, in.ref(), in.Table)
			return api.SchemaDump{SQL: text}, err
		})
}

func viewTable(r platform.Relation) api.TableSummary { return api.TableSummary(r) }

func viewStructure(r platform.RelationStructure) api.TableStructure {
	constraint := func(c platform.RelationConstraint) api.TableConstraint { return api.TableConstraint(c) }
	return api.TableStructure{TableSummary: viewTable(r.Relation), Definition: r.Definition, PartitionKey: r.PartitionKey, PartitionOf: r.PartitionOf, PartitionBound: r.PartitionBound,
		RowSecurity: r.RowSecurity, ForceRowSecurity: r.ForceRowSecurity,
		Columns:      mapped(r.Columns, func(c platform.RelationColumn) api.TableColumn { return api.TableColumn(c) }),
		Constraints:  mapped(r.Constraints, constraint),
		ReferencedBy: mapped(r.ReferencedBy, constraint),
		Indexes:      mapped(r.Indexes, func(i platform.RelationIndex) api.TableIndex { return api.TableIndex(i) }),
		Triggers:     mapped(r.Triggers, func(t platform.RelationTrigger) api.TableTrigger { return api.TableTrigger(t) }),
		Policies:     mapped(r.Policies, func(p platform.RelationPolicy) api.TablePolicy { return api.TablePolicy(p) })}
}
