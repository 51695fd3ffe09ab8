package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type rescueInput struct {
	BranchPath
	Body api.Rescue
}

func (in rescueInput) ask() platform.Rescue {
	return platform.Rescue{Look: in.Body.Look, Table: in.Body.Table, Where: in.Body.Where}
}

func (s *Server) rescueRoutes() {
	p := s.config.Platform
	r := route{method: http.MethodPost, path: api.RescuePath, id: "compare-rows", rule: toReadRows, tag: "history", summary: "How a table's rows differ between a moment and now, and how each is repaired",
		about: "A stream of RescueEvent in lines, in the order of the primary key. Nothing is changed. Make a look at the moment first."}
	op := r.operation()
	op.Responses = map[string]*huma.Response{"200": {Description: "Events in lines", Content: map[string]*huma.MediaType{
		api.LinesContentType: {Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.RescueEvent](), true, "RescueEvent")},
	}}}
	huma.Register(s.api, op, func(ctx context.Context, in *rescueInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			s.streamRescue(ctx, who, in, w)
		}}, nil
	})
	addJob(s, route{method: http.MethodPost, path: api.RescueRunPath, id: "apply-rescue", rule: toDevelop, tag: "history", summary: "Bring a table's rows back to how they were",
		about: "In one transaction, after a checkpoint. A row that somebody changes meanwhile ends it, and then nothing was changed."},
		func(ctx context.Context, who holdfast.Principal, in *rescueInput) (holdfast.Job, error) {
			return p.ApplyRescue(ctx, who, in.ref(), in.ask())
		})
	addList(s, route{method: http.MethodGet, path: api.RowCountsPath, id: "count-rows", rule: toReadRows, tag: "branches", summary: "How many rows a branch's tables have"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) ([]api.TableCount, error) {
			counts, err := p.RowCounts(ctx, who, in.ref())
			return mapped(counts, func(c platform.TableCount) api.TableCount {
				return api.TableCount{Schema: c.Schema, Name: c.Name, Rows: c.Rows, Estimated: c.Estimated}
			}), err
		})
}

func (s *Server) streamRescue(ctx context.Context, who holdfast.Principal, in *rescueInput, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	out := newLineWriter(w)
	var end api.RescueEnd
	count := map[string]*int{"deleted": &end.Deleted, "changed": &end.Changed, "added": &end.Added}
	err := s.config.Platform.CompareRows(ctx, who, in.ref(), in.ask(), func(t platform.RescueTable) error {
		return out.write(api.RescueEvent{Table: &api.RescueTable{Name: t.Name, Columns: t.Columns, Key: t.Key, Preamble: t.Preamble}})
	}, func(c platform.RescueChange) error {
		*count[string(c.Kind)]++
		return out.write(api.RescueEvent{Change: &api.RescueChange{Kind: string(c.Kind), Key: c.Key, Then: c.Then, Now: c.Now, SQL: c.SQL}})
	})
	switch {
	case err != nil && !out.begun:
		writeProblem(w, s.problemOf(ctx, err))
	case err != nil:
		_ = out.write(api.RescueEvent{Problem: new(s.problemOf(ctx, err))}) // who reads has gone, or gets it
	default:
		_ = out.write(api.RescueEvent{End: &end}) // as above
	}
}
