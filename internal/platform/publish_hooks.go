package platform

import (
	"context"
	"fmt"
	"strconv"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
)

// runHooks runs the project's own checks against the copy. One that fails stands between the plan and production.
func (h *rehearsing) runHooks(ctx context.Context, report *RehearsalReport) error {
	if report.Error != "" {
		return nil // there is nothing to check
	}
	c := h.connection(h.copy, holdfast.OwnerRole(h.found.project.Name), h.input.Copy.Password)
	about := map[string]any{"project": h.found.project.Name, "publish": h.pub.Number}
	report.Hooks = append(report.Hooks, h.Platform.runHooks(ctx, h.hooks, checked{branch: h.copy.ID, connection: c, about: about,
		environment: []string{"HOLDFAST_PROJECT=" + h.found.project.Name, "HOLDFAST_PUBLISH=" + strconv.Itoa(h.pub.Number)}})...)
	for _, r := range report.Hooks {
		if !r.OK {
			report.Reasons = append(report.Reasons, publish.Reason{Verdict: publish.Blocked, Code: "hook", Text: fmt.Sprintf("the project's own check (%s) failed: %s", r.Check, r.Error)})
		}
		h.run.Log(fmt.Sprintf("the project's own check (%s): %s in %s", r.Check, hookVerdict(r), rounded(r.Time)))
	}
	return ctx.Err()
}
