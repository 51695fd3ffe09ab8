package api

import (
	"context"
	"net/http"
)

// MCPPath is the agents' door. It speaks the Model Context Protocol and is no operation of this API.
const MCPPath = "/mcp"

// AgentSettings are what a project's agents may do beyond development and previews.
type AgentSettings struct {
	ReadProduction   bool  `json:"read_production" doc:"Agents may run queries on production, in a read-only transaction and as a role that can only select."`
	StatementTimeout int64 `json:"statement_timeout_seconds,omitempty" example:"10" minimum:"0" maximum:"60" doc:"Of such a query; 10 when left out."`
}

// AgentSettings shows what a project's agents may do beyond development and previews.
func (c *Client) AgentSettings(ctx context.Context, project string) (AgentSettings, error) {
	return call[AgentSettings](ctx, c, http.MethodGet, Path(AgentSettingsPath, project), nil)
}

// SetAgentSettings says what a project's agents may do from now on.
func (c *Client) SetAgentSettings(ctx context.Context, project string, s AgentSettings) error {
	return c.do(ctx, http.MethodPut, Path(AgentSettingsPath, project), s, nil)
}
