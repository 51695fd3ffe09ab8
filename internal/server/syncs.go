package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type syncInput struct {
	BranchPath
	Body api.SyncRows
}

type restoreBackupInput struct {
	BranchPath
	Body api.RestoreBackup
}

type importInput struct {
	BranchPath
	Body api.ImportDatabase
}

type confirmInput struct {
	BranchPath
	Body api.Confirmation
}

func (s *Server) syncRoutes() {
	p := s.config.Platform
	addJob(s, route{method: http.MethodPost, path: api.SyncPath, id: "sync-rows", rule: toDevelop, tag: "backups", summary: "Bring rows of another branch to this one",
		about: "The branch is backed up first; when that fails nothing happens. All tables change in one transaction, or none."},
		func(ctx context.Context, who holdfast.Principal, in *syncInput) (holdfast.Job, error) {
			source, err := holdfast.ParseBranchRef(in.Body.Source)
			if err != nil {
				return holdfast.Job{}, err
			}
			return p.SyncRows(ctx, who, platform.SyncRows{Target: in.ref(), Source: source, Tables: in.Body.Tables, TableSet: in.Body.TableSet, Mode: platform.MergeMode(in.Body.Mode), Masked: in.Body.Masked, Dry: in.Body.Dry,
				Cascade: in.Body.Cascade, SkipTriggers: in.Body.SkipTriggers, Confirm: in.Body.Confirm})
		})
	addJob(s, route{method: http.MethodPost, path: api.ImportPath, id: "import-database", rule: toDevelop, tag: "backups", summary: "Bring a foreign database into a branch that is empty",
		about: "The foreign database is looked at first and only read. What came is compared row count by row count, and only then takes its place."},
		func(ctx context.Context, who holdfast.Principal, in *importInput) (holdfast.Job, error) {
			return p.ImportDatabase(ctx, who, in.ref(), in.Body.From, in.Body.Check)
		})
	addJob(s, route{method: http.MethodPost, path: api.SyncUndoPath, id: "undo-sync", rule: toDevelop, tag: "backups", summary: "Bring back what a branch's tables had before its newest sync"},
		func(ctx context.Context, who holdfast.Principal, in *confirmInput) (holdfast.Job, error) {
			return p.UndoSync(ctx, who, in.ref(), in.Body.Confirm)
		})
	addJob(s, route{method: http.MethodPost, path: api.RestoreBackupPath, id: "restore-backup", rule: toDevelop, tag: "backups", summary: "Restore a backup into a branch",
		about: "It is restored aside and verified first. Then it takes the place of the branch's database, whose old state is kept for a week, or its rows are merged into single tables. A branch that does not exist is made as a preview."},
		func(ctx context.Context, who holdfast.Principal, in *restoreBackupInput) (holdfast.Job, error) {
			ask := platform.RestoreBackup{Backup: in.Body.Backup, To: in.ref(), Tables: in.Body.Tables, TableSet: in.Body.TableSet, DataOnly: in.Body.DataOnly, Clear: in.Body.Clear, Mode: platform.MergeMode(in.Body.Mode),
				Cascade: in.Body.Cascade, Life: life(in.Body.Life), Confirm: in.Body.Confirm}
			if in.Body.FromTime != "" {
				var err error
				if ask.From, err = holdfast.ParsePoint(in.Body.FromTime, time.Now().UTC()); err != nil {
					return holdfast.Job{}, err
				}
			}
			return p.RestoreBackup(ctx, who, ask)
		})
	addJob(s, route{method: http.MethodPost, path: api.RestoreBackupUndoPath, id: "undo-restore-backup", rule: toDevelop, tag: "backups", summary: "Put back the database that the newest restore of a backup replaced"},
		func(ctx context.Context, who holdfast.Principal, in *confirmInput) (holdfast.Job, error) {
			return p.UndoRestoreBackup(ctx, who, in.ref(), in.Body.Confirm)
		})
}
