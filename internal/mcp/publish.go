package mcp

import (
	"context"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast/internal/platform"
)

type publishInput struct {
	Project string `json:"project" jsonschema:"the project's name"`
	Number  int    `json:"number,omitempty" jsonschema:"the publish's number; 0 or nothing: the newest"`
}

func (d *door) openPublish(s *sdk.Server) {
	tool(d, s, "propose_publish", "Plan a publish: what would bring production to development's schema, with hazards, drift and questions. Changes neither database.", false,
		func(ctx context.Context, in struct {
			Project string   `json:"project" jsonschema:"the project's name"`
			Answers []string `json:"answers,omitempty" jsonschema:"to questions of the plan, for example rename:users.fullname=display_name"`
		}) (any, error) {
			return d.platform.PlanPublish(ctx, d.who, in.Project, platform.NewPublish{Answers: in.Answers})
		})
	tool(d, s, "rehearse_publish", "Run a planned publish on a copy of production and check data, running code and speed. Then a person can approve it.", false,
		func(ctx context.Context, in publishInput) (any, error) {
			j, err := d.platform.RehearsePublish(ctx, d.who, in.Project, in.Number, false)
			return d.follow(ctx, j, err)
		})
	tool(d, s, "get_publish", "A publish with its plan and the report of its rehearsal.", true, func(ctx context.Context, in publishInput) (any, error) {
		return d.platform.Publish(ctx, d.who, in.Project, in.Number)
	})
	tool(d, s, "publish_log", "What each statement of a publish did, in rehearsal and in production.", true, func(ctx context.Context, in publishInput) (any, error) {
		events, err := d.platform.PublishLog(ctx, d.who, in.Project, in.Number)
		return map[string]any{"events": events}, err
	})
	tool(d, s, "apply_publish", "Apply a rehearsed publish to production. For people: an agent proposes, and a person approves with `holdfast publish apply`.", false,
		func(ctx context.Context, in publishInput) (any, error) {
			j, err := d.platform.ApplyPublish(ctx, d.who, in.Project, in.Number, nil)
			return d.follow(ctx, j, err)
		})
}
