package server

import (
	"context"
	"net/http"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type newCheckpointInput struct {
	BranchPath
	Body api.NewCheckpoint
}

// CheckpointPath is the part of a path that names a checkpoint.
type CheckpointPath struct {
	BranchPath
	Checkpoint string `path:"checkpoint"`
}

type pinInput struct {
	CheckpointPath
	Body api.Pin
}

type locationInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.Location
}

type locationNameInput struct {
	Project  string `path:"project" example:"shop"`
	Location string `path:"location" example:"offsite"`
}

func (s *Server) checkpointRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.CheckpointsPath, id: "list-checkpoints", rule: toSee, tag: "history", summary: "A branch's checkpoints"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) ([]api.Checkpoint, error) {
			checkpoints, err := p.Checkpoints(ctx, who, in.ref())
			return mapped(checkpoints, viewCheckpoint), err
		})
	add(s, route{method: http.MethodPost, path: api.CheckpointsPath, id: "create-checkpoint", rule: toDevelop, tag: "history", summary: "Name the present moment of a branch", status: http.StatusCreated},
		func(ctx context.Context, who holdfast.Principal, in *newCheckpointInput) (api.Checkpoint, error) {
			c, err := p.CreateCheckpoint(ctx, who, in.ref(), platform.NewCheckpoint{Label: in.Body.Label, Code: in.Body.Code, Pinned: in.Body.Pinned})
			return viewCheckpoint(c), err
		})
	add(s, route{method: http.MethodGet, path: api.CheckpointPath, id: "get-checkpoint", rule: toSee, tag: "history", summary: "One checkpoint"},
		func(ctx context.Context, who holdfast.Principal, in *CheckpointPath) (api.Checkpoint, error) {
			c, err := p.Checkpoint(ctx, who, in.ref(), holdfast.CheckpointID(in.Checkpoint))
			return viewCheckpoint(c), err
		})
	addEmpty(s, route{method: http.MethodPatch, path: api.CheckpointPath, id: "pin-checkpoint", rule: toDevelop, tag: "history", summary: "Keep a checkpoint until it is unpinned"},
		func(ctx context.Context, who holdfast.Principal, in *pinInput) error {
			return p.PinCheckpoint(ctx, who, in.ref(), holdfast.CheckpointID(in.Checkpoint), in.Body.Pinned)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.CheckpointPath, id: "delete-checkpoint", rule: toDevelop, tag: "history", summary: "Forget a checkpoint", about: "The moment itself can be restored as long as the history reaches back to it."},
		func(ctx context.Context, who holdfast.Principal, in *CheckpointPath) error {
			return p.DeleteCheckpoint(ctx, who, in.ref(), holdfast.CheckpointID(in.Checkpoint))
		})
	s.locationRoutes()
}

func viewCheckpoint(c holdfast.Checkpoint) api.Checkpoint {
	return api.Checkpoint{ID: string(c.ID), At: c.At, LSN: c.LSN.String(), Label: c.Label, Reason: string(c.Reason), Code: c.Code, Pinned: c.Pinned,
		SchemaFingerprint: c.SchemaFingerprint, Timeline: c.Timeline, KeptUntil: c.KeptUntil, Lost: c.Lost}
}

func (s *Server) locationRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.LocationsPath, id: "list-locations", rule: toSee, tag: "locations", summary: "Where a project's history is kept"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.Location, error) {
			locations, err := p.Locations(ctx, who, in.Project)
			return mapped(locations, viewLocation), err
		})
	addEmpty(s, route{method: http.MethodPost, path: api.LocationsPath, id: "add-location", rule: toAdminister, tag: "locations", summary: "Keep a project's history at a further place",
		about: "The place is tried out first. A new base backup is made, because a place without one restores nothing."},
		func(ctx context.Context, who holdfast.Principal, in *locationInput) error {
			return p.AddLocation(ctx, who, in.Project, askedLocation(in.Body))
		})
	add(s, route{method: http.MethodPost, path: api.LocationTestPath, id: "test-location", rule: toAdminister, tag: "locations", summary: "Try a place out; adds nothing"},
		func(ctx context.Context, who holdfast.Principal, in *locationInput) (api.LocationTest, error) {
			steps, err := p.TestLocation(ctx, who, in.Project, askedLocation(in.Body))
			if err != nil && len(steps) > 0 {
				return api.LocationTest{Steps: steps, Hint: holdfast.HintOf(err)}, nil // what failed stands in the steps
			}
			return api.LocationTest{Steps: steps, OK: err == nil}, err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.LocationPath, id: "remove-location", rule: toAdminister, tag: "locations", summary: "Forget a place", about: "What lies there stays there."},
		func(ctx context.Context, who holdfast.Principal, in *locationNameInput) error {
			return p.RemoveLocation(ctx, who, in.Project, in.Location)
		})
	addList(s, route{method: http.MethodGet, path: api.KeysPath, id: "list-repository-keys", rule: toAdminister, tag: "locations", summary: "The keys that a project's history is encrypted with",
		about: "Each is an age recipient and its identity. Keep them elsewhere: without them nobody can read the history when this machine is lost."},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]string, error) {
			return p.RepositoryKeys(ctx, who, in.Project)
		})
	addEmpty(s, route{method: http.MethodPost, path: api.KeysPath, id: "rotate-repository-key", rule: toAdminister, tag: "locations", summary: "Encrypt with a new key from now on"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) error {
			return p.RotateRepositoryKey(ctx, who, in.Project)
		})
}

func viewLocation(l holdfast.Location) api.Location {
	return api.Location{Name: l.Name, Kind: string(l.Kind), Folder: l.Folder, Endpoint: l.Endpoint, Region: l.Region, Bucket: l.Bucket, Prefix: l.Prefix, PathStyle: l.PathStyle, Insecure: l.Insecure,
		AccessKey: l.AccessKey, Encrypt: l.Encrypt, LockDays: l.LockDays}
}

func askedLocation(l api.Location) platform.NewLocation {
	return platform.NewLocation{Secret: l.Secret, Location: holdfast.Location{Name: l.Name, Kind: holdfast.LocationKind(l.Kind), Folder: l.Folder, Endpoint: l.Endpoint, Region: l.Region, Bucket: l.Bucket,
		Prefix: l.Prefix, PathStyle: l.PathStyle, Insecure: l.Insecure, AccessKey: l.AccessKey, Encrypt: l.Encrypt, LockDays: l.LockDays}}
}
