package api

import (
	"context"
	"net/http"
	"time"
)

// Project is a project with its branches.
type Project struct {
	ID        string    `json:"id"`
	Name      string    `json:"name" example:"shop"`
	Major     int       `json:"postgres_major" doc:"PostgreSQL's major version for new branches." example:"16"`
	OwnerRole string    `json:"owner_role" doc:"The role that owns the databases of every branch." example:"shop_owner"`
	CreatedAt time.Time `json:"created_at"`
	Branches  []Branch  `json:"branches" nullable:"false"`
}

// NewProject asks for a project.
type NewProject struct {
	Name       string `json:"name" doc:"1 to 20 lower-case letters, digits and dashes, beginning with a letter." example:"shop"`
	Major      int    `json:"postgres_major,omitempty" doc:"PostgreSQL's major version; the server's default when left out." example:"16"`
	SampleRows int    `json:"sample_rows,omitempty" minimum:"0" maximum:"100000000" doc:"Load the sample data set, scaled to about this many rows, into development and production."`
}

// Projects lists the projects that the caller may see.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	return list[Project](ctx, c, ProjectsPath)
}

// Project returns one project.
func (c *Client) Project(ctx context.Context, name string) (Project, error) {
	return call[Project](ctx, c, http.MethodGet, Path(ProjectPath, name), nil)
}

// CreateProject begins to create a project and returns the job that does it.
func (c *Client) CreateProject(ctx context.Context, ask NewProject) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, ProjectsPath, ask)
}
