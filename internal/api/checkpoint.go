package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// Checkpoint is a named moment of a branch.
type Checkpoint struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	LSN    string    `json:"lsn" example:"0/5000148"`
	Label  string    `json:"label,omitempty" example:"before import"`
	Reason string    `json:"reason" enum:"manual,daily,before_publish,before_restore,before_sync,before_removal,before_agent"`
	Code   string    `json:"code,omitempty" doc:"The commit of the code that belongs to it."`
	Pinned bool      `json:"pinned" doc:"It is kept until it is unpinned."`

	KeptUntil time.Time `json:"kept_until,omitzero" doc:"It is kept until then, with the history that it needs. Left out: as long as the branch's history reaches back to it."`
	Lost      string    `json:"lost,omitempty" doc:"Why its moment cannot be restored, as things are. Left out: it can."`

	SchemaFingerprint string `json:"schema_fingerprint,omitempty" doc:"Equal for equal schemas. It is read a moment after the checkpoint is made, and left out for one that was made while the branch slept."`
	Timeline          uint32 `json:"timeline" doc:"PostgreSQL's; each restore in place begins another."`
}

// NewCheckpoint asks for a checkpoint of the present moment.
type NewCheckpoint struct {
	Label  string `json:"label,omitempty" maxLength:"63" example:"before import"`
	Code   string `json:"code,omitempty" maxLength:"100" doc:"The commit of the code that belongs to it."`
	Pinned bool   `json:"pinned,omitempty"`
}

// Pin says whether a checkpoint is kept.
type Pin struct {
	Pinned bool `json:"pinned"`
}

// Location is a place where a project's history is kept.
type Location struct {
	Name      string `json:"name" example:"offsite"`
	Kind      string `json:"kind" enum:"folder,s3"`
	Folder    string `json:"folder,omitempty" example:"/mnt/backup/holdfast"`
	Endpoint  string `json:"endpoint,omitempty" example:"s3.eu-central-1.amazonaws.com"`
	Region    string `json:"region,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	PathStyle bool   `json:"path_style,omitempty"`
	Insecure  bool   `json:"insecure,omitempty" doc:"Plain HTTP: for an endpoint on this machine or a trusted network only."`
	AccessKey string `json:"access_key,omitempty"`
	Secret    string `json:"secret,omitempty" doc:"The secret key. It is kept sealed and never shown."`
	Encrypt   bool   `json:"encrypt,omitempty" doc:"Objects are encrypted with the project's key before they leave this machine."`
	LockDays  int    `json:"lock_days,omitempty" minimum:"0" maximum:"3660" doc:"For so many days the bucket destroys a backup for nobody, us included. It must have been made with object lock." example:"0"`
}

// LocationTest is what trying a place out came to.
type LocationTest struct {
	Steps []string `json:"steps" nullable:"false"`
	OK    bool     `json:"ok"`
	Hint  string   `json:"hint,omitempty" doc:"What to do about what failed."`
}

// Checkpoints lists a branch's checkpoints.
func (c *Client) Checkpoints(ctx context.Context, ref holdfast.BranchRef) ([]Checkpoint, error) {
	return list[Checkpoint](ctx, c, refPath(CheckpointsPath, ref))
}

// Checkpoint returns one checkpoint.
func (c *Client) Checkpoint(ctx context.Context, ref holdfast.BranchRef, id string) (Checkpoint, error) {
	return call[Checkpoint](ctx, c, http.MethodGet, Path(CheckpointPath, ref.Project, ref.Branch, id), nil)
}

// CreateCheckpoint names the present moment of a branch.
func (c *Client) CreateCheckpoint(ctx context.Context, ref holdfast.BranchRef, ask NewCheckpoint) (Checkpoint, error) {
	return call[Checkpoint](ctx, c, http.MethodPost, refPath(CheckpointsPath, ref), ask)
}

// PinCheckpoint keeps a checkpoint until it is unpinned.
func (c *Client) PinCheckpoint(ctx context.Context, ref holdfast.BranchRef, id string, pinned bool) error {
	return c.do(ctx, http.MethodPatch, Path(CheckpointPath, ref.Project, ref.Branch, id), Pin{Pinned: pinned}, nil)
}

// DeleteCheckpoint forgets a checkpoint.
func (c *Client) DeleteCheckpoint(ctx context.Context, ref holdfast.BranchRef, id string) error {
	return c.do(ctx, http.MethodDelete, Path(CheckpointPath, ref.Project, ref.Branch, id), nil, nil)
}

// Locations lists the places where a project's history is kept.
func (c *Client) Locations(ctx context.Context, project string) ([]Location, error) {
	return list[Location](ctx, c, Path(LocationsPath, project))
}

// AddLocation tries a place out and adds it, or replaces the one of that name.
func (c *Client) AddLocation(ctx context.Context, project string, l Location) error {
	return c.do(ctx, http.MethodPost, Path(LocationsPath, project), l, nil)
}

// TestLocation tries a place out and adds nothing.
func (c *Client) TestLocation(ctx context.Context, project string, l Location) (LocationTest, error) {
	return call[LocationTest](ctx, c, http.MethodPost, Path(LocationTestPath, project), l)
}

// RemoveLocation forgets a place; what lies there stays.
func (c *Client) RemoveLocation(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodDelete, Path(LocationPath, project, name), nil, nil)
}

// RepositoryKeys shows the keys that a project's history is encrypted with, the newest first.
func (c *Client) RepositoryKeys(ctx context.Context, project string) ([]string, error) {
	return list[string](ctx, c, Path(KeysPath, project))
}

// RotateRepositoryKey makes a new key; what was written before stays readable with the old.
func (c *Client) RotateRepositoryKey(ctx context.Context, project string) error {
	return c.do(ctx, http.MethodPost, Path(KeysPath, project), nil, nil)
}
