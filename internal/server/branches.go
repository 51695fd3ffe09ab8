package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// BranchPath is the part of a path that names a branch. It is exported because only then its fields are filled in where it is embedded.
type BranchPath struct {
	Project string `path:"project" example:"shop"`
	Branch  string `path:"branch" example:"development"`
}

func (in BranchPath) ref() holdfast.BranchRef {
	return holdfast.BranchRef{Project: in.Project, Branch: in.Branch}
}

type settingsInput struct {
	BranchPath
	Body api.SettingsChange
}

type sleepInput struct {
	BranchPath
	Body *api.Sleep
}

type newExtensionInput struct {
	BranchPath
	Body api.NewExtension
}

func (s *Server) branchRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.BranchesPath, id: "list-branches", rule: toSee, tag: "branches", summary: "A project's branches"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.Branch, error) {
			branches, err := p.Branches(ctx, who, in.Project)
			return mapped(branches, viewBranch), err
		})
	s.addBranch(route{method: http.MethodGet, path: api.BranchPath, id: "get-branch", rule: toSee, summary: "A branch and what its server is doing"}, p.Branch)
	s.addBranch(route{method: http.MethodPost, path: api.WakePath, id: "wake-branch", rule: toDevelop, summary: "Start a branch's server; answers when it accepts connections"}, p.Wake)
	s.addBranch(route{method: http.MethodPost, path: api.RestartPath, id: "restart-branch", rule: toDevelop, summary: "Stop a branch's server and start it again"}, p.Restart)
	add(s, route{method: http.MethodPost, path: api.SleepPath, id: "sleep-branch", rule: toDevelop, tag: "branches", summary: "Stop a branch's server; the next connection wakes it",
		about: "Sessions with an open transaction or a running query hold it, unless `force` is set."},
		func(ctx context.Context, who holdfast.Principal, in *sleepInput) (api.Branch, error) {
			b, err := p.Sleep(ctx, who, in.ref(), in.Body != nil && in.Body.Force)
			return viewBranch(b), err
		})
	s.settingRoutes()
	s.connectionRoutes()
	s.extensionRoutes()
}

// addBranch registers what is done to a branch without further input and answers with the branch.
func (s *Server) addBranch(r route, do func(context.Context, holdfast.Principal, holdfast.BranchRef) (platform.BranchView, error)) {
	r.tag = "branches"
	add(s, r, func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.Branch, error) {
		b, err := do(ctx, who, in.ref())
		return viewBranch(b), err
	})
}

func (s *Server) connectionRoutes() {
	p := s.config.Platform
	for _, c := range []struct {
		route
		do func(context.Context, holdfast.Principal, holdfast.BranchRef) (platform.Connection, error)
	}{
		{route{method: http.MethodGet, path: api.ConnectionPath, id: "get-connection", rule: toDevelop, summary: "How to connect to a branch, with the password"}, p.Connection},
		{route{method: http.MethodPost, path: api.RotatePath, id: "rotate-credentials", rule: toDevelop, summary: "Give the owner role a new password on this branch"}, p.RotateCredentials},
	} {
		c.route.tag = "connections"
		add(s, c.route, func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.Connection, error) {
			con, err := c.do(ctx, who, in.ref())
			return api.Connection{URL: con.URL, Host: con.Host, Port: con.Port, User: con.User, Password: con.Password, Database: con.Database, SSLMode: con.SSLMode}, err
		})
	}
}

func (s *Server) extensionRoutes() {
	addList(s, route{method: http.MethodGet, path: api.ExtensionsPath, id: "list-extensions", rule: toDevelop, tag: "extensions", summary: "The extensions that a branch has or could have"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) ([]api.Extension, error) {
			extensions, err := s.config.Platform.Extensions(ctx, who, in.ref())
			return mapped(extensions, func(e platform.Extension) api.Extension {
				return api.Extension{Name: e.Name, Version: e.Version, Installed: e.Installed, Allowed: e.Allowed, Comment: e.Comment}
			}), err
		})
	addEmpty(s, route{method: http.MethodPost, path: api.ExtensionsPath, id: "add-extension", rule: toDevelop, tag: "extensions", summary: "Create an extension in a branch's database",
		about: "Only extensions of the allow list can be added. One that is there already is left as it is."},
		func(ctx context.Context, who holdfast.Principal, in *newExtensionInput) error {
			return s.config.Platform.AddExtension(ctx, who, in.ref(), in.Body.Name)
		})
}

func viewBranch(b platform.BranchView) api.Branch {
	return api.Branch{ID: string(b.ID), Project: b.Project, Name: b.Name, Environment: string(b.Environment), ParentID: string(b.Parent), Database: b.Ref().Database(),
		Major: b.Major, Version: b.Version, Activity: string(b.Activity), Reason: b.Reason, Sessions: b.Sessions, SizeBytes: b.SizeBytes, NeedsRestart: b.NeedsRestart,
		Protected: b.Protected, IdleTimeout: seconds(b.Settings.IdleTimeout), Connections: b.Settings.ConnectionLimit, CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt,
		Look: b.Look, Masked: b.Masked, SchemaOnly: b.SchemaOnly}
}

// seconds is a duration as the API writes it; -1 stands for never.
func seconds(d time.Duration) int64 {
	if d == holdfast.NeverSleep {
		return -1
	}
	return int64(d / time.Second)
}

// duration is the inverse of seconds. Values that would overflow become ones that the rules refuse.
func duration(s int64) time.Duration {
	switch {
	case s == -1:
		return holdfast.NeverSleep
	case s < 0 || s > int64(holdfast.MaxIdleTimeout/time.Second):
		return holdfast.MaxIdleTimeout + time.Second
	}
	return time.Duration(s) * time.Second
}
