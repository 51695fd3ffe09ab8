package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type newBranchInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.NewBranch
}

type changeBranchInput struct {
	BranchPath
	Body api.BranchChange
}

type renameInput struct {
	BranchPath
	Body api.Rename
}

type maskInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.List[api.MaskRule]
}

func (s *Server) previewRoutes() {
	p := s.config.Platform
	addJob(s, route{method: http.MethodPost, path: api.BranchesPath, id: "create-branch", rule: toDevelop, tag: "branches", summary: "Make a preview branch as a copy of another",
		about: "It has all data of its parent, or its schema only, and credentials of its own. A copy of production's rows as they are takes the right to change production."},
		func(ctx context.Context, who holdfast.Principal, in *newBranchInput) (holdfast.Job, error) {
			ask := platform.NewBranch{Name: in.Body.Name, From: holdfast.BranchRef{Project: in.Project, Branch: in.Body.From}, Life: life(in.Body.Life),
				SchemaOnly: in.Body.SchemaOnly, Masked: in.Body.Masked, History: in.Body.History}
			if in.Body.At != "" {
				var err error
				if ask.At, err = holdfast.ParsePoint(in.Body.At, time.Now().UTC()); err != nil {
					return holdfast.Job{}, err
				}
			}
			return p.CreateBranch(ctx, who, ask)
		})
	add(s, route{method: http.MethodPatch, path: api.BranchPath, id: "change-branch", rule: toDevelop, tag: "branches", summary: "Protect a branch, or change when it expires"},
		func(ctx context.Context, who holdfast.Principal, in *changeBranchInput) (api.Branch, error) {
			change := platform.BranchChange{Protected: in.Body.Protected}
			if in.Body.Life != nil {
				d := life(*in.Body.Life)
				change.Life = &d
			}
			b, err := p.ChangeBranch(ctx, who, in.ref(), change)
			return viewBranch(b), err
		})
	addJob(s, route{method: http.MethodPost, path: api.RenamePath, id: "rename-branch", rule: toTendPreviews, tag: "branches", summary: "Give a preview branch another name and address", about: "Its sessions end."},
		func(ctx context.Context, who holdfast.Principal, in *renameInput) (holdfast.Job, error) {
			return p.RenameBranch(ctx, who, in.ref(), in.Body.Name)
		})
	addJob(s, route{method: http.MethodPost, path: api.ResetPath, id: "reset-branch", rule: toTendPreviews, tag: "branches", summary: "Give a preview branch the data that its parent has now",
		about: "It keeps name and credentials, and is masked or emptied again where it was. What it had is kept for seven days as a branch of its own; undo-restore puts it back."},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (holdfast.Job, error) {
			return p.ResetBranch(ctx, who, in.ref())
		})
	addJob(s, route{method: http.MethodDelete, path: api.BranchPath, id: "delete-branch", rule: toTendPreviews, tag: "branches", summary: "Remove a preview branch", about: removalAbout},
		func(ctx context.Context, who holdfast.Principal, in *removeBranchInput) (holdfast.Job, error) {
			return p.DeleteBranch(ctx, who, in.ref(), in.removal())
		})
	addList(s, route{method: http.MethodGet, path: api.MaskPath, id: "list-mask-rules", rule: toSee, tag: "masking", summary: "How masked branches are masked"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.MaskRule, error) {
			rules, err := p.MaskRules(ctx, who, in.Project)
			return mapped(rules, func(r holdfast.MaskRule) api.MaskRule {
				return api.MaskRule{Schema: r.Schema, Table: r.Table, Column: r.Column, Kind: string(r.Kind), Expression: r.Expression}
			}), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.MaskPath, id: "set-mask-rules", rule: toAdminister, tag: "masking", summary: "Replace the masking rules", about: "They hold for branches that are made from now on."},
		func(ctx context.Context, who holdfast.Principal, in *maskInput) error {
			return p.SetMaskRules(ctx, who, in.Project, mapped(in.Body.Items, func(r api.MaskRule) holdfast.MaskRule {
				return holdfast.MaskRule{Schema: r.Schema, Table: r.Table, Column: r.Column, Kind: holdfast.MaskKind(r.Kind), Expression: r.Expression}
			}))
		})
}

// life is a preview's life as asked for. What would overflow becomes what the rules refuse.
func life(seconds int64) time.Duration {
	if seconds < 0 || seconds > 2*api.Seconds(platform.MaxPreviewLife) {
		return -time.Second
	}
	return time.Duration(seconds) * time.Second
}
