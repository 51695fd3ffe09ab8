package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast/holdfast"
)

// Removal says how something is removed. The zero Removal keeps it for seven days.
type Removal struct {
	Now      bool   // for good at once
	Confirm  string // with Now: the name once more
	NoBackup bool   // with Now: without the final backup
}

func (r Removal) query() string {
	q := url.Values{}
	if r.Now {
		q.Set("now", "true")
	}
	if r.Confirm != "" {
		q.Set("confirm", r.Confirm)
	}
	if r.NoBackup {
		q.Set("no_backup", "true")
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Removed is a project or a branch that was removed and can be brought back.
type Removed struct {
	Name      string    `json:"name" doc:"shop for a project, shop/try for a branch."`
	Project   string    `json:"project"`
	Branch    string    `json:"branch,omitempty" doc:"Left out for a project."`
	DeletedAt time.Time `json:"deleted_at"`
	PurgeAt   time.Time `json:"purge_at" doc:"It can be brought back until then."`
	Left      int64     `json:"left_seconds" doc:"The time that is left."`
}

// DeleteProject begins to remove a project and returns the job that does it.
func (c *Client) DeleteProject(ctx context.Context, name string, how Removal) (Job, error) {
	return call[Job](ctx, c, http.MethodDelete, Path(ProjectPath, name)+how.query(), nil)
}

// DeleteBranch begins to remove a preview branch and returns the job that does it.
func (c *Client) DeleteBranch(ctx context.Context, ref holdfast.BranchRef, how Removal) (Job, error) {
	return call[Job](ctx, c, http.MethodDelete, refPath(BranchPath, ref)+how.query(), nil)
}

// Removed lists what was removed and can be brought back.
func (c *Client) Removed(ctx context.Context) ([]Removed, error) {
	return list[Removed](ctx, c, RemovedPath)
}

// UndeleteProject brings a removed project back.
func (c *Client) UndeleteProject(ctx context.Context, name string) (Project, error) {
	return call[Project](ctx, c, http.MethodPost, Path(UndeleteProjectPath, name), nil)
}

// UndeleteBranch brings a removed branch back.
func (c *Client) UndeleteBranch(ctx context.Context, ref holdfast.BranchRef) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPost, refPath(UndeletePath, ref), nil)
}
