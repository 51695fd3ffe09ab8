package mcp

import (
	"context"
	"encoding/json"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/platform"
)

// project is a project as an agent sees it.
type project struct {
	Name     string   `json:"name"`
	Branches []branch `json:"branches"`
}

type branch struct {
	Branch      string     `json:"branch"`
	Environment string     `json:"environment"`
	Activity    string     `json:"activity"`
	SizeBytes   int64      `json:"size_bytes,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
}

// job is work that goes on after the call that began it.
type job struct {
	ID      string          `json:"job"`
	Kind    string          `json:"kind"`
	Subject string          `json:"subject"`
	State   string          `json:"state"`
	Step    string          `json:"step,omitempty"`
	Error   string          `json:"error,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

// patience is how long a call waits for the job that it began, before it tells the job's ID instead.
const patience = 45 * time.Second

func (d *door) openBranches(s *sdk.Server) {
	tool(d, s, "list_projects", "List projects and their branches. Wakes nothing.", true, d.listProjects)
	tool(d, s, "connection_string", "The connection URL of a branch, with its password.", true, func(ctx context.Context, in branchInput) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		c, err := d.platform.Connection(ctx, d.who, ref)
		return map[string]any{"url": c.URL, "host": c.Host, "port": c.Port, "user": c.User, "password": c.Password, "database": c.Database, "sslmode": c.SSLMode}, err
	})
	tool(d, s, "create_preview", "Create a preview branch: a copy of a branch that expires. A copy of production has to be masked or without rows.", false, d.createPreview)
	tool(d, s, "reset_preview", "Give a preview branch the data that its parent has now. It keeps its name and credentials; what it had is kept for seven days.", false, func(ctx context.Context, in branchInput) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		j, err := d.platform.ResetBranch(ctx, d.who, ref)
		return d.follow(ctx, j, err)
	})
	tool(d, s, "delete_preview", "Delete a preview branch.", false, func(ctx context.Context, in branchInput) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		j, err := d.platform.DeleteBranch(ctx, d.who, ref, platform.Removal{})
		return d.follow(ctx, j, err)
	})
	tool(d, s, "get_job", "How far a job is. Waits up to 45 seconds for its end.", true, func(ctx context.Context, in struct {
		Job string `json:"job" jsonschema:"the job's ID"`
	}) (any, error) {
		j, err := d.platform.Job(ctx, d.who, holdfast.JobID(in.Job))
		return d.follow(ctx, j, err)
	})
}

func (d *door) listProjects(ctx context.Context, _ nothing) (any, error) {
	projects, err := d.platform.Projects(ctx, d.who)
	if err != nil {
		return nil, err
	}
	out := []project{}
	for _, p := range projects {
		one := project{Name: p.Name, Branches: []branch{}}
		branches, err := d.platform.Branches(ctx, d.who, p.Name)
		if err != nil {
			return nil, err
		}
		for _, b := range branches {
			seen := branch{Branch: b.Ref().String(), Environment: string(b.Environment), Activity: string(b.Activity), SizeBytes: b.SizeBytes}
			if !b.ExpiresAt.IsZero() {
				seen.ExpiresAt = &b.ExpiresAt
			}
			one.Branches = append(one.Branches, seen)
		}
		out = append(out, one)
	}
	return map[string]any{"projects": out}, nil
}

type previewInput struct {
	Name       string `json:"name" jsonschema:"the new branch as project/branch"`
	From       string `json:"from" jsonschema:"the branch to copy, as project/branch"`
	At         string `json:"at,omitempty" jsonschema:"a moment of its history: 2026-11-20 14:03:11+01, or 10 minutes ago. Default: now"`
	Hours      int    `json:"hours,omitempty" jsonschema:"how long it lives; default 24, at most 720"`
	Masked     bool   `json:"masked,omitempty" jsonschema:"apply the project's masking rules before anybody can connect"`
	SchemaOnly bool   `json:"schema_only,omitempty" jsonschema:"no rows"`
}

func (d *door) createPreview(ctx context.Context, in previewInput) (any, error) {
	ref, err := holdfast.ParseBranchRef(in.Name)
	if err != nil {
		return nil, err
	}
	from, err := holdfast.ParseBranchRef(in.From)
	if err != nil {
		return nil, err
	}
	if ref.Project != from.Project {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "a preview belongs to the project of the branch that it copies"}
	}
	ask := platform.NewBranch{Name: ref.Branch, From: from, Life: time.Duration(in.Hours) * time.Hour, Masked: in.Masked, SchemaOnly: in.SchemaOnly}
	if in.At != "" {
		if ask.At, err = holdfast.ParsePoint(in.At, time.Now()); err != nil {
			return nil, err
		}
	}
	j, err := d.platform.CreateBranch(ctx, d.who, ask)
	return d.follow(ctx, j, err)
}

// follow waits for a job, but not for ever. A job that failed is an error.
func (d *door) follow(ctx context.Context, j holdfast.Job, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	watch, stop := context.WithTimeout(ctx, patience)
	defer stop()
	changes, err := d.platform.WatchJob(watch, d.who, j.ID)
	if err != nil {
		return nil, err
	}
	for changed := range changes {
		j = changed
		if j.State.Final() {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if j.State == holdfast.JobFailed {
		return nil, &holdfast.Error{Kind: j.ErrorKind, Message: j.Error}
	}
	return viewJob(j), nil
}

func viewJob(j holdfast.Job) job {
	view := job{ID: string(j.ID), Kind: j.Kind, Subject: j.Subject, State: string(j.State), Step: j.Step, Error: j.Error}
	if j.Result != "" {
		view.Result = json.RawMessage(j.Result)
	}
	return view
}
