package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// History is to which moments a branch can be restored.
type History struct {
	Earliest  time.Time    `json:"earliest,omitzero" doc:"Left out while there is no base backup yet."`
	Latest    time.Time    `json:"latest,omitzero"`
	Gaps      []Gap        `json:"gaps" nullable:"false" doc:"Times that cannot be restored."`
	Window    int64        `json:"window_seconds" doc:"How far back it is kept."`
	Bases     []BaseBackup `json:"bases" nullable:"false"`
	Snapshots Snapshots    `json:"snapshots"`
}

// Snapshots are the frozen copies of a branch on the server's own disk, from which restores begin that need little WAL.
type Snapshots struct {
	Count    int   `json:"count" doc:"0 where the file system cannot share blocks."`
	Logical  int64 `json:"logical_bytes" doc:"As if each were a copy."`
	Physical int64 `json:"physical_bytes" doc:"What they alone take on the disk, as last measured; 0: not yet."`
}

// Gap is a time to which a branch cannot be restored.
type Gap struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// BaseBackup is a copy of all pages, or of those that changed since the one before, from which restores begin.
type BaseBackup struct {
	ID          string    `json:"id"`
	At          time.Time `json:"at"`
	Size        int64     `json:"size_bytes" doc:"Of the data directory."`
	Stored      int64     `json:"stored_bytes" doc:"Of what this backup stored itself."`
	Incremental bool      `json:"incremental"`
}

// RestorePlan is what a restore would do.
type RestorePlan struct {
	Earliest time.Time `json:"earliest" doc:"The window: what can be had at all."`
	Latest   time.Time `json:"latest"`
	Gaps     []Gap     `json:"gaps" nullable:"false" doc:"Times that cannot be restored."`
	Moment   string    `json:"moment" example:"2026-11-20 14:03:11Z"`
	LSN      string    `json:"lsn" doc:"Where the WAL ends that is replayed." example:"0/5000148"`
	Base     string    `json:"base"`
	BaseAt   time.Time `json:"base_at"`
	Snapshot bool      `json:"snapshot" doc:"It begins with a frozen copy on the server's own disk instead of a base backup."`
	Size     int64     `json:"size_bytes" doc:"Of the restored data."`
	Fetch    int64     `json:"fetch_bytes" doc:"Stored bytes to read."`
	WAL      int64     `json:"wal_bytes" doc:"To replay."`
	Estimate int64     `json:"estimate_seconds" doc:"Rough."`
}

// RestoreRequest names a moment of a branch.
type RestoreRequest struct {
	At string `json:"at" doc:"A time with its zone, \"10 minutes ago\", lsn:0/5000148 or checkpoint:ID." example:"2026-11-20 14:03:11+01"`
}

// History returns to which moments a branch can be restored.
func (c *Client) History(ctx context.Context, ref holdfast.BranchRef) (History, error) {
	return call[History](ctx, c, http.MethodGet, refPath(HistoryPath, ref), nil)
}

// PlanRestore says what a restore would do, and does nothing.
func (c *Client) PlanRestore(ctx context.Context, ref holdfast.BranchRef, at string) (RestorePlan, error) {
	return call[RestorePlan](ctx, c, http.MethodPost, refPath(RestorePlanPath, ref), RestoreRequest{At: at})
}

// Restore begins to take a branch back to a moment, in place.
func (c *Client) Restore(ctx context.Context, ref holdfast.BranchRef, at string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(RestorePath, ref), RestoreRequest{At: at})
}

// Look begins to make a read-only copy of a moment, which is deleted when nobody has used it for half a minute.
func (c *Client) Look(ctx context.Context, ref holdfast.BranchRef, at string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(LookPath, ref), RestoreRequest{At: at})
}

// KeepLook keeps a look for another half a minute.
func (c *Client) KeepLook(ctx context.Context, ref holdfast.BranchRef) error {
	return c.do(ctx, http.MethodPost, refPath(LookKeepPath, ref), nil, nil)
}

// UndoRestore begins to put back what a branch had before its newest restore.
func (c *Client) UndoRestore(ctx context.Context, ref holdfast.BranchRef) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, refPath(RestoreUndoPath, ref), nil)
}
