package mcp

import (
	"context"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/platform"
)

type checkpoint struct {
	ID     string    `json:"checkpoint"`
	Label  string    `json:"label,omitempty"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
	LSN    string    `json:"lsn"`
}

func viewCheckpoint(c holdfast.Checkpoint) checkpoint {
	return checkpoint{ID: string(c.ID), Label: c.Label, Reason: string(c.Reason), Time: c.At, LSN: c.LSN.String()}
}

func (d *door) openHistory(s *sdk.Server) {
	tool(d, s, "create_checkpoint", "Name the present moment of development, so that it can be restored.", false, func(ctx context.Context, in struct {
		Branch string `json:"branch" jsonschema:"the branch as project/branch"`
		Label  string `json:"label" jsonschema:"what a person would look for"`
	}) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		c, err := d.platform.CreateCheckpoint(ctx, d.who, ref, platform.NewCheckpoint{Label: in.Label})
		return viewCheckpoint(c), err
	})
	tool(d, s, "list_checkpoints", "The checkpoints of a branch, with those that were made before writes.", true, func(ctx context.Context, in branchInput) (any, error) {
		ref, err := holdfast.ParseBranchRef(in.Branch)
		if err != nil {
			return nil, err
		}
		found, err := d.platform.Checkpoints(ctx, d.who, ref)
		out := []checkpoint{}
		for _, c := range found {
			out = append(out, viewCheckpoint(c))
		}
		return map[string]any{"checkpoints": out}, err
	})
	tool(d, s, "restore", "Put development back to a checkpoint or a moment, in place. What it had is kept for seven days as a branch. Production is restored by a person.", false,
		func(ctx context.Context, in struct {
			Branch     string `json:"branch" jsonschema:"the branch as project/branch"`
			Checkpoint string `json:"checkpoint,omitempty" jsonschema:"a checkpoint's ID"`
			At         string `json:"at,omitempty" jsonschema:"or a moment: 2026-11-20 14:03:11+01, or 10 minutes ago"`
		}) (any, error) {
			ref, err := holdfast.ParseBranchRef(in.Branch)
			if err != nil {
				return nil, err
			}
			point := holdfast.Point{Checkpoint: holdfast.CheckpointID(in.Checkpoint)}
			if in.Checkpoint == "" {
				if point, err = holdfast.ParsePoint(in.At, time.Now()); err != nil {
					return nil, err
				}
			}
			j, err := d.platform.Restore(ctx, d.who, ref, point)
			return d.follow(ctx, j, err)
		})
}
