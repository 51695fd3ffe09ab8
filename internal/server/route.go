package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// bearer is the name of the one way to authenticate, as the OpenAPI document calls it.
const bearer = "bearer"

// public marks the operations that need no token.
const public = "public"

func (s *Server) apiConfig() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[api.Problem]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Holdfast", Version: "v1",
				Description: "PostgreSQL environments: projects, their branches, and what happens to them. Every refusal is a problem of RFC 9457 whose `code` says what to do about it."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				bearer: {Type: "http", Scheme: "bearer", Description: "A token's secret, made with `holdfast token create`."},
			}},
			Security: []map[string][]string{{bearer: {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{presentProblem},
	}
}

// route is what is said about an operation, in code and in the OpenAPI document.
type route struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	about        string
	status       int   // of success; 0: 200, or 204 without a body
	rule         rule  // who may use it; see rule.go
	body         int64 // how large a request's body may be, in bytes; 0: maxBodyBytes
}

func (r route) operation() huma.Operation {
	if r.body == 0 {
		r.body = maxBodyBytes
	}
	op := huma.Operation{Method: r.method, Path: r.path, OperationID: r.id, Tags: []string{r.tag}, Summary: r.summary, Description: r.about,
		DefaultStatus: r.status, MaxBodyBytes: r.body, Metadata: map[string]any{public: r.rule == forAnyone, ruleKey: r.rule},
		Extensions: map[string]any{"x-who": string(r.rule)}}
	if r.rule == forAnyone {
		op.Security = []map[string][]string{}
	}
	return op
}

// answer is the output of a handler that has a body.
type answer[T any] struct {
	Body T
}

// accepted is the output of a handler that began a job.
type accepted struct {
	Location string `header:"Location" doc:"Where the job is."`
	Body     api.Job
}

// add registers a handler that answers with an O.
func add[I, O any](s *Server, r route, handle func(context.Context, holdfast.Principal, *I) (O, error)) {
	huma.Register(s.api, r.operation(), func(ctx context.Context, in *I) (*answer[O], error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		out, err := handle(ctx, principal(ctx), in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &answer[O]{Body: out}, nil
	})
}

// addList registers a handler that answers with a list.
func addList[I, O any](s *Server, r route, handle func(context.Context, holdfast.Principal, *I) ([]O, error)) {
	add(s, r, func(ctx context.Context, who holdfast.Principal, in *I) (api.List[O], error) {
		items, err := handle(ctx, who, in)
		if items == nil {
			items = []O{} // an empty list is [] in JSON, never null
		}
		return api.List[O]{Items: items}, err
	})
}

// addEmpty registers a handler that has nothing to say but that it is done.
func addEmpty[I any](s *Server, r route, handle func(context.Context, holdfast.Principal, *I) error) {
	huma.Register(s.api, r.operation(), func(ctx context.Context, in *I) (*struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if err := handle(ctx, principal(ctx), in); err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, nil
	})
}

// addJob registers a handler that begins a job.
func addJob[I any](s *Server, r route, handle func(context.Context, holdfast.Principal, *I) (holdfast.Job, error)) {
	r.status = http.StatusAccepted
	huma.Register(s.api, r.operation(), func(ctx context.Context, in *I) (*accepted, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		job, err := handle(ctx, principal(ctx), in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &accepted{Location: api.Path(api.JobPath, string(job.ID)), Body: viewJob(job)}, nil
	})
}

// routes is the table of contents of the API.
func (s *Server) routes() {
	s.installationRoutes()
	s.projectRoutes()
	s.removalRoutes()
	s.monitoringRoutes()
	s.agentRoutes()
	s.branchRoutes()
	s.previewRoutes()
	s.historyRoutes()
	s.checkpointRoutes()
	s.sqlRoutes()
	s.dataRoutes()
	s.structureRoutes()
	s.rescueRoutes()
	s.publishRoutes()
	s.backupRoutes()
	s.tableCSVRoutes()
	s.syncRoutes()
	s.usageRoutes()
	s.jobRoutes()
	s.alertRoutes()
	s.tokenRoutes()
	s.loginRoutes()
	s.oidcRoutes()
	s.accountRoutes()
	s.peopleRoutes()
	s.memberRoutes()
}
