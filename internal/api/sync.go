package api

import (
	"context"
	"net/http"

	"github.com/holdfast/holdfast"
)

// SyncRows asks for rows of one branch to be brought to another, which the path names.
type SyncRows struct {
	Source       string   `json:"source" doc:"PROJECT/BRANCH." example:"shop/try"`
	Tables       []string `json:"tables,omitempty" doc:"Patterns such as orders or sales.*; all tables when left out."`
	TableSet     string   `json:"table_set,omitempty"`
	Mode         string   `json:"mode" enum:"replace,upsert,insert-missing" doc:"What becomes of rows that are in both, or in the target only."`
	Masked       bool     `json:"masked,omitempty" doc:"By the masking rules of the source's project."`
	Dry          bool     `json:"dry,omitempty" doc:"Only say what would happen, exactly."`
	Cascade      bool     `json:"cascade,omitempty" doc:"Rows of other tables may go or change along, by foreign keys."`
	SkipTriggers bool     `json:"skip_triggers,omitempty"`
	Confirm      string   `json:"confirm,omitempty" doc:"The target's name. Not needed when dry." example:"shop/development"`
}

// RestoreBackup asks for a backup, or tables of a moment of the history, to be restored into a branch, which the path names.
type RestoreBackup struct {
	Backup   string   `json:"backup,omitempty" doc:"Its ID or name."`
	FromTime string   `json:"from_time,omitempty" doc:"In place of a backup: a moment of the branch's history, for single tables." example:"10 minutes ago"`
	Tables   []string `json:"tables,omitempty" doc:"Only these tables; patterns."`
	TableSet string   `json:"table_set,omitempty"`
	DataOnly bool     `json:"data_only,omitempty" doc:"Rows into the tables that are there."`
	Clear    bool     `json:"clear,omitempty" doc:"Replace what is there. Otherwise what is in the way is explained."`
	Mode     string   `json:"mode,omitempty" enum:"upsert,insert-missing" doc:"Merge into tables that hold rows."`
	Cascade  bool     `json:"cascade,omitempty" doc:"Rows of other tables may go or change along, by foreign keys."`
	Life     int64    `json:"life_seconds,omitempty" minimum:"0" doc:"Of a branch that is made for it; one day when left out."`
	Confirm  string   `json:"confirm,omitempty" doc:"The branch's name, where something is replaced." example:"shop/development"`
}

// ImportDatabase asks for a foreign database to be brought into a branch, which the path names.
type ImportDatabase struct {
	From  string `json:"from" doc:"Its address with the password; kept sealed, and never shown." example:"postgres://user:password@db.example.com/shop?sslmode=require"`
	Check bool   `json:"check,omitempty" doc:"Only look at it: the job's result says what was found."`
}

// Confirmation confirms an operation with the name of what it changes.
type Confirmation struct {
	Confirm string `json:"confirm" example:"shop/development"`
}

// SyncRows begins to bring rows of another branch to ref.
func (c *Client) SyncRows(ctx context.Context, ref holdfast.BranchRef, ask SyncRows) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(SyncPath, ref.Project, ref.Branch), ask)
}

// UndoSync brings back what the tables of a branch had before its newest sync.
func (c *Client) UndoSync(ctx context.Context, ref holdfast.BranchRef, confirm string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(SyncUndoPath, ref.Project, ref.Branch), Confirmation{confirm})
}

// RestoreBackup begins to restore a backup into ref.
func (c *Client) RestoreBackup(ctx context.Context, ref holdfast.BranchRef, ask RestoreBackup) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(RestoreBackupPath, ref.Project, ref.Branch), ask)
}

// UndoRestoreBackup puts back the database that the newest restore of a backup replaced.
func (c *Client) UndoRestoreBackup(ctx context.Context, ref holdfast.BranchRef, confirm string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(RestoreBackupUndoPath, ref.Project, ref.Branch), Confirmation{confirm})
}

// ImportDatabase begins to bring a foreign database into ref, which is empty.
func (c *Client) ImportDatabase(ctx context.Context, ref holdfast.BranchRef, ask ImportDatabase) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(ImportPath, ref.Project, ref.Branch), ask)
}
