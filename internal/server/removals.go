package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

const removalAbout = "The door is closed, the server stops, and everything is kept for seven days, in which it can be brought back. With `now` it is gone for good at once: " +
	"that takes the name once more in `confirm`, and a final backup is made first unless `no_backup` is said. Protected branches are refused."

// RemovalQuery says how something is removed. It is exported because only then its fields are filled in where it is embedded.
type RemovalQuery struct {
	Now      bool   `query:"now" doc:"For good at once."`
	Confirm  string `query:"confirm" doc:"With now: the name once more, as shop or shop/try."`
	NoBackup bool   `query:"no_backup" doc:"With now: without the final backup."`
}

func (in RemovalQuery) removal() platform.Removal {
	return platform.Removal{Now: in.Now, Confirm: in.Confirm, NoBackup: in.NoBackup}
}

type removeBranchInput struct {
	BranchPath
	RemovalQuery
}

type removeProjectInput struct {
	Project string `path:"project" example:"shop"`
	RemovalQuery
}

func (s *Server) removalRoutes() {
	p := s.config.Platform
	addJob(s, route{method: http.MethodDelete, path: api.ProjectPath, id: "delete-project", rule: toOwn, tag: "projects", summary: "Remove a project with its branches", about: removalAbout},
		func(ctx context.Context, who holdfast.Principal, in *removeProjectInput) (holdfast.Job, error) {
			return p.DeleteProject(ctx, who, in.Project, in.removal())
		})
	add(s, route{method: http.MethodPost, path: api.UndeleteProjectPath, id: "undelete-project", rule: toOwn, tag: "projects", summary: "Bring a removed project back whole"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) (api.Project, error) {
			project, err := p.UndeleteProject(ctx, who, in.Project)
			return viewProject(project), err
		})
	s.addBranch(route{method: http.MethodPost, path: api.UndeletePath, id: "undelete-branch", rule: toTendPreviews, summary: "Bring a removed preview branch back whole"}, p.UndeleteBranch)
	addList(s, route{method: http.MethodGet, path: api.RemovedPath, id: "list-removed", rule: forCallers, tag: "projects", summary: "What was removed and can be brought back"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Removed, error) {
			removed, err := p.Removed(ctx, who)
			return mapped(removed, func(r holdfast.Removed) api.Removed {
				return api.Removed{Name: r.Name(), Project: r.Project, Branch: r.Branch, DeletedAt: r.DeletedAt, PurgeAt: r.PurgeAt, Left: max(0, api.Seconds(time.Until(r.PurgeAt)))}
			}), err
		})
}
