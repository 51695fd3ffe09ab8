package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// NewBranch asks for a preview branch: a copy of another branch with a server and credentials of its own.
type NewBranch struct {
	Name       string `json:"name" doc:"Lower-case letters, digits, dashes and underscores, beginning with a letter." example:"try"`
	From       string `json:"from" doc:"The branch of the same project to copy." example:"development"`
	At         string `json:"at,omitempty" doc:"The moment of its history to copy; as it is now when left out." example:"2026-11-20 14:03:11+01"`
	Life       int64  `json:"life_seconds,omitempty" minimum:"0" doc:"After how long it is deleted: one minute to 30 days; one day when left out." example:"86400"`
	SchemaOnly bool   `json:"schema_only,omitempty" doc:"Without the rows."`
	History    bool   `json:"history,omitempty" doc:"Its every moment is kept until it is deleted, as development's and production's always are."`
	Masked     bool   `json:"masked,omitempty" doc:"The project's masking rules are applied before anybody can connect."`
}

// BranchChange says what to change of a branch. What is left out stays as it is.
type BranchChange struct {
	Protected *bool  `json:"protected,omitempty" doc:"A protected branch is not deleted, not even when it expires."`
	Life      *int64 `json:"life_seconds,omitempty" doc:"For a preview: after how long from now it is deleted."`
}

// Rename asks for another name.
type Rename struct {
	Name string `json:"name" example:"other"`
}

// MaskRule says how one column is masked on masked branches.
type MaskRule struct {
	Schema     string `json:"schema" example:"public"`
	Table      string `json:"table" example:"contacts"`
	Column     string `json:"column" example:"email"`
	Kind       string `json:"kind" enum:"null,hash,fake_name,fake_email,fake_phone,keep_format,expression"`
	Expression string `json:"expression,omitempty" doc:"SQL over the row, for the kind expression." example:"date_trunc('year', born)"`
}

// CreateBranch begins to make a preview branch and returns the job that does it.
func (c *Client) CreateBranch(ctx context.Context, project string, ask NewBranch) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(BranchesPath, project), ask)
}

// ChangeBranch protects a branch or changes when it expires.
func (c *Client) ChangeBranch(ctx context.Context, ref holdfast.BranchRef, change BranchChange) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPatch, refPath(BranchPath, ref), change)
}

// RenameBranch begins to rename a preview branch. Its sessions end and its address changes.
func (c *Client) RenameBranch(ctx context.Context, ref holdfast.BranchRef, name string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(RenamePath, ref), Rename{Name: name})
}

// ResetBranch begins to give a preview branch the data that its parent has now.
func (c *Client) ResetBranch(ctx context.Context, ref holdfast.BranchRef) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(ResetPath, ref), nil)
}

// MaskRules lists a project's masking rules.
func (c *Client) MaskRules(ctx context.Context, project string) ([]MaskRule, error) {
	return list[MaskRule](ctx, c, Path(MaskPath, project))
}

// SetMaskRules replaces a project's masking rules.
func (c *Client) SetMaskRules(ctx context.Context, project string, rules []MaskRule) error {
	return c.do(ctx, http.MethodPut, Path(MaskPath, project), List[MaskRule]{Items: rules}, nil)
}

// Seconds is a duration as the API writes it.
func Seconds(d time.Duration) int64 { return int64(d / time.Second) }
