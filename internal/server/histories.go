package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type restoreInput struct {
	BranchPath
	Body api.RestoreRequest
}

// point reads the moment. A time without a zone is in UTC here: a client knows its user's zone and writes it out.
func (in restoreInput) point() (holdfast.Point, error) {
	return holdfast.ParsePoint(in.Body.At, time.Now().UTC())
}

func (s *Server) historyRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.HistoryPath, id: "get-history", rule: toSee, tag: "history", summary: "To which moments a branch can be restored"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.History, error) {
			h, err := p.History(ctx, who, in.ref())
			return viewHistory(h), err
		})
	add(s, route{method: http.MethodPost, path: api.RestorePlanPath, id: "plan-restore", rule: toSee, tag: "history", summary: "What a restore to a moment would do; does nothing"},
		func(ctx context.Context, who holdfast.Principal, in *restoreInput) (api.RestorePlan, error) {
			point, err := in.point()
			if err != nil {
				return api.RestorePlan{}, err
			}
			plan, err := p.PlanRestore(ctx, who, in.ref(), point)
			return api.RestorePlan{Earliest: plan.Window.Earliest, Latest: plan.Window.Latest, Gaps: mapped(plan.Window.Gaps, viewGap), Snapshot: plan.Snapshot, Moment: plan.Point.String(), LSN: plan.LSN.String(), Base: plan.Base, BaseAt: plan.BaseAt, Size: plan.Size, Fetch: plan.Fetch, WAL: plan.WAL, Estimate: api.Seconds(plan.Estimate)}, err
		})
	addJob(s, route{method: http.MethodPost, path: api.RestorePath, id: "restore-branch", rule: toDevelop, tag: "history", summary: "Take a branch back to a moment, in place",
		about: "It is restored beside and verified first, then takes the branch's place under the same name and credentials. What the branch had is kept for seven days as a branch of its own."},
		func(ctx context.Context, who holdfast.Principal, in *restoreInput) (holdfast.Job, error) {
			point, err := in.point()
			if err != nil {
				return holdfast.Job{}, err
			}
			return p.Restore(ctx, who, in.ref(), point)
		})
	addJob(s, route{method: http.MethodPost, path: api.LookPath, id: "look-at-branch", rule: toDevelop, tag: "history", summary: "Make a read-only copy of a moment, to be looked at beside the branch",
		about: "The job's result names it. It has credentials of its own and is deleted when nobody has used it for half a minute."},
		func(ctx context.Context, who holdfast.Principal, in *restoreInput) (holdfast.Job, error) {
			point, err := in.point()
			if err != nil {
				return holdfast.Job{}, err
			}
			return p.Look(ctx, who, in.ref(), point)
		})
	addEmpty(s, route{method: http.MethodPost, path: api.LookKeepPath, id: "keep-look", rule: toReadRows, tag: "history", summary: "Keep a look for another half a minute", about: "For who shows it without a session. Other branches need nobody to keep them."},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) error {
			return p.KeepLook(ctx, who, in.ref())
		})
	addJob(s, route{method: http.MethodPost, path: api.RestoreUndoPath, id: "undo-restore", rule: toDevelop, tag: "history", summary: "Put back what a branch had before its newest restore"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (holdfast.Job, error) {
			return p.UndoRestore(ctx, who, in.ref())
		})
}

func viewGap(g holdfast.Gap) api.Gap { return api.Gap{From: g.From, To: g.To, Reason: g.Reason} }

func viewHistory(h platform.HistoryView) api.History {
	return api.History{Earliest: h.Window.Earliest, Latest: h.Window.Latest, Window: seconds(h.KeepFor),
		Snapshots: api.Snapshots{Count: h.Snapshots.Count, Logical: h.Snapshots.Logical, Physical: h.Snapshots.Physical},
		Gaps:      mapped(h.Window.Gaps, viewGap),
		Bases: mapped(h.Bases, func(b platform.BaseView) api.BaseBackup {
			return api.BaseBackup{ID: b.ID, At: b.At, Size: b.Size, Stored: b.Stored, Incremental: b.Incremental}
		})}
}
