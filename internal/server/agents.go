package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type agentSettingsInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.AgentSettings
}

func (s *Server) agentRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.AgentSettingsPath, id: "get-agent-settings", rule: toSee, tag: "projects", summary: "What a project's agents may do beyond development and previews"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) (api.AgentSettings, error) {
			a, err := p.AgentSettings(ctx, who, in.Project)
			return api.AgentSettings{ReadProduction: a.ReadProduction, StatementTimeout: api.Seconds(a.StatementTimeout)}, err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.AgentSettingsPath, id: "set-agent-settings", rule: toAdminister, tag: "projects", summary: "Set what a project's agents may do beyond development and previews",
		about: "Off unless it is set. With read_production agents see production's rows as they are; they cannot change any."},
		func(ctx context.Context, who holdfast.Principal, in *agentSettingsInput) error {
			return p.SetAgentSettings(ctx, who, in.Project, platform.AgentSettings{ReadProduction: in.Body.ReadProduction, StatementTimeout: time.Duration(in.Body.StatementTimeout) * time.Second})
		})
}
