package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type projectInput struct {
	Project string `path:"project" example:"shop"`
}

type newProjectInput struct {
	Body api.NewProject
}

func (s *Server) projectRoutes() {
	addList(s, route{method: http.MethodGet, path: api.ProjectsPath, id: "list-projects", rule: forCallers, tag: "projects", summary: "The projects you may see"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Project, error) {
			projects, err := s.config.Platform.Projects(ctx, who)
			return mapped(projects, viewProject), err
		})
	addJob(s, route{method: http.MethodPost, path: api.ProjectsPath, id: "create-project", rule: forInstallation, tag: "projects", summary: "Create a project with a development and a production database",
		about: "The answer is the job that does it. The name is taken at once; the databases can be used when the job has succeeded."},
		func(ctx context.Context, who holdfast.Principal, in *newProjectInput) (holdfast.Job, error) {
			return s.config.Platform.CreateProject(ctx, who, platform.NewProject{Name: in.Body.Name, Major: in.Body.Major, SampleRows: in.Body.SampleRows})
		})
	add(s, route{method: http.MethodGet, path: api.ProjectPath, id: "get-project", rule: toSee, tag: "projects", summary: "A project and its branches"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) (api.Project, error) {
			p, err := s.config.Platform.Project(ctx, who, in.Project)
			return viewProject(p), err
		})
}

func viewProject(p platform.ProjectView) api.Project {
	return api.Project{ID: string(p.ID), Name: p.Name, Major: p.Major, OwnerRole: p.OwnerRole(), CreatedAt: p.CreatedAt, Branches: mapped(p.Branches, viewBranch)}
}

// mapped translates each item. It is never nil: an empty list is [] in JSON.
func mapped[A, B any](in []A, view func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = view(v)
	}
	return out
}

// rawJSON passes JSON that is kept as text on as it is; nil when there is none.
func rawJSON(text string) any {
	if text == "" || text == "{}" || !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}
