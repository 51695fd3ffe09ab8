package api

import (
	"context"
	"net/http"
)

// ProofHooks are a project's own checks of backups that are restored to prove them.
type ProofHooks struct {
	Assertions       []Assertion `json:"assertions,omitempty" maxItems:"100"`
	AssertionTimeout int64       `json:"assertion_timeout_seconds,omitempty" example:"300" minimum:"0" maximum:"3600" doc:"Of each; 5 minutes when left out."`
	Command          string      `json:"command,omitempty" doc:"For a shell on the server's machine, with DATABASE_URL of the restored copy in its environment. Setting it takes the right to change the installation." example:"cd /srv/shop && make smoke-test"`
	CommandTimeout   int64       `json:"command_timeout_seconds,omitempty" example:"300" minimum:"0" maximum:"3600" doc:"5 minutes when left out."`
	URL              string      `json:"url,omitempty" doc:"Is sent a POST with the database_url of the restored copy; any answer but 2xx is a failure." example:"https://ci.example.com/check"`
	URLTimeout       int64       `json:"url_timeout_seconds,omitempty" example:"300" minimum:"0" maximum:"3600"`
	AllowPrivate     bool        `json:"allow_private,omitempty" doc:"The URL may lead to this machine or into a private network."`
}

// Assertion is a query that says whether restored data is right.
type Assertion struct {
	Name   string `json:"name" example:"every order has a customer" maxLength:"100"`
	SQL    string `json:"sql" example:"SELECT count(*) > 0 FROM orders" maxLength:"16384"`
	NoRows bool   `json:"no_rows,omitempty" doc:"It must give no row. Otherwise it must give one row with one boolean, true."`
}

// ProofHooks shows a project's own checks of restored backups.
func (c *Client) ProofHooks(ctx context.Context, project string) (ProofHooks, error) {
	return call[ProofHooks](ctx, c, http.MethodGet, Path(ProofHooksPath, project), nil)
}

// SetProofHooks replaces a project's own checks of restored backups.
func (c *Client) SetProofHooks(ctx context.Context, project string, hooks ProofHooks) error {
	return c.do(ctx, http.MethodPut, Path(ProofHooksPath, project), hooks, nil)
}
