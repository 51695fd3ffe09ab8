package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
)

// Branch is a branch and what its server is doing.
type Branch struct {
	ID           string    `json:"id"`
	Project      string    `json:"project" example:"shop"`
	Name         string    `json:"name" example:"development"`
	Environment  string    `json:"environment" enum:"development,production,preview"`
	ParentID     string    `json:"parent_id,omitempty" doc:"The branch of which it is a copy."`
	Database     string    `json:"database" doc:"Its main database, which is also its address at the front door." example:"shop_development"`
	Major        int       `json:"postgres_major" example:"16"`
	Version      string    `json:"postgres_version,omitempty" doc:"PostgreSQL's full version." example:"16.10"`
	Activity     string    `json:"activity" enum:"asleep,waking,awake,sleeping,broken" doc:"What its server is doing."`
	Reason       string    `json:"reason,omitempty" doc:"Why its server is as it is, when there is something to say."`
	Sessions     int       `json:"sessions" doc:"Clients connected now."`
	SizeBytes    int64     `json:"size_bytes" doc:"Size of its data directory as last measured; 0: not yet."`
	NeedsRestart bool      `json:"needs_restart" doc:"A changed setting or a package upgrade takes effect at the next start."`
	Protected    bool      `json:"protected"`
	IdleTimeout  int64     `json:"idle_timeout_seconds" doc:"After how much idle time it falls asleep; -1: never."`
	Connections  int       `json:"connection_limit"`
	CreatedAt    time.Time `json:"created_at"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	Look         bool      `json:"look,omitempty" doc:"A read-only copy of a moment, deleted when nobody has used it for half a minute."`
	Masked       bool      `json:"masked,omitempty" doc:"The project's masking rules were applied to it."`
	SchemaOnly   bool      `json:"schema_only,omitempty" doc:"It was made without rows."`
}

// Ref is the branch's name as people write it.
func (b Branch) Ref() holdfast.BranchRef {
	return holdfast.BranchRef{Project: b.Project, Branch: b.Name}
}

// Settings is a branch's configuration, every row of it.
type Settings struct {
	IdleTimeout int64       `json:"idle_timeout_seconds" doc:"After how much idle time it falls asleep; -1: never."`
	Connections int         `json:"connection_limit" doc:"How many client sessions the front door admits at once."`
	Window      int64       `json:"history_window_seconds" doc:"How far back it can be restored."`
	Parameters  []Parameter `json:"parameters" nullable:"false" doc:"PostgreSQL's settings: those in effect and those that can be changed."`
}

// Parameter is one PostgreSQL setting of a branch.
type Parameter struct {
	Name     string `json:"name" example:"work_mem"`
	Value    string `json:"value,omitempty" doc:"In effect; left out where PostgreSQL's own default holds." example:"8MB"`
	Profile  string `json:"profile,omitempty" doc:"What the profile of the branch's environment says."`
	Changed  bool   `json:"changed" doc:"It was set on this branch."`
	Settable bool   `json:"settable" doc:"It can be set on a branch."`
}

// SettingsChange says which settings to change. What is left out stays as it is.
type SettingsChange struct {
	IdleTimeout *int64             `json:"idle_timeout_seconds,omitempty" doc:"60 to 604800, or -1 for a branch that never sleeps."`
	Connections *int               `json:"connection_limit,omitempty"`
	Window      *int64             `json:"history_window_seconds,omitempty" doc:"How far back it can be restored: 21600 to 3024000."`
	Parameters  map[string]*string `json:"parameters,omitempty" doc:"PostgreSQL settings by name; null returns one to its profile."`
}

// Connection is everything a client needs to connect to a branch as its owner role. It holds a password: never store or log it.
type Connection struct {
	URL      string `json:"url" example:"postgres://shop_owner:secret@127.0.0.1:6432/shop_development?sslmode=require"`
	Host     string `json:"host" example:"127.0.0.1"`
	Port     int    `json:"port" example:"6432"`
	User     string `json:"user" example:"shop_owner"`
	Password string `json:"password"`
	Database string `json:"database" example:"shop_development"`
	SSLMode  string `json:"sslmode" example:"require"`
}

// Sleep asks a branch to sleep.
type Sleep struct {
	Force bool `json:"force,omitempty" doc:"End the sessions that hold it."`
}

// Extension is a PostgreSQL extension as a branch sees it.
type Extension struct {
	Name      string `json:"name" example:"pg_trgm"`
	Version   string `json:"version" doc:"The version that would be installed."`
	Installed string `json:"installed,omitempty" doc:"The installed version; left out when it is not."`
	Allowed   bool   `json:"allowed" doc:"It can be added to this branch."`
	Comment   string `json:"comment,omitempty"`
}

// NewExtension asks for an extension.
type NewExtension struct {
	Name string `json:"name" minLength:"1" maxLength:"63" example:"pg_trgm"`
}

// Branches lists a project's branches.
func (c *Client) Branches(ctx context.Context, project string) ([]Branch, error) {
	return list[Branch](ctx, c, Path(BranchesPath, project))
}

// Branch returns one branch.
func (c *Client) Branch(ctx context.Context, ref holdfast.BranchRef) (Branch, error) {
	return call[Branch](ctx, c, http.MethodGet, refPath(BranchPath, ref), nil)
}

// Settings returns a branch's whole configuration.
func (c *Client) Settings(ctx context.Context, ref holdfast.BranchRef) (Settings, error) {
	return call[Settings](ctx, c, http.MethodGet, refPath(SettingsPath, ref), nil)
}

// ChangeSettings changes some of a branch's settings.
func (c *Client) ChangeSettings(ctx context.Context, ref holdfast.BranchRef, change SettingsChange) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPatch, refPath(SettingsPath, ref), change)
}

// Connection returns what a client needs to connect, the password included.
func (c *Client) Connection(ctx context.Context, ref holdfast.BranchRef) (Connection, error) {
	return call[Connection](ctx, c, http.MethodGet, refPath(ConnectionPath, ref), nil)
}

// RotateCredentials gives the owner role a new password on this branch; the old one stops working.
func (c *Client) RotateCredentials(ctx context.Context, ref holdfast.BranchRef) (Connection, error) {
	return call[Connection](ctx, c, http.MethodPost, refPath(RotatePath, ref), nil)
}

// Wake starts a branch's server and returns when it accepts connections.
func (c *Client) Wake(ctx context.Context, ref holdfast.BranchRef) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPost, refPath(WakePath, ref), nil)
}

// Sleep stops a branch's server. Sessions hold it unless force is set.
func (c *Client) Sleep(ctx context.Context, ref holdfast.BranchRef, force bool) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPost, refPath(SleepPath, ref), Sleep{Force: force})
}

// Restart stops a branch's server and starts it again.
func (c *Client) Restart(ctx context.Context, ref holdfast.BranchRef) (Branch, error) {
	return call[Branch](ctx, c, http.MethodPost, refPath(RestartPath, ref), nil)
}

// Extensions lists the extensions that a branch has or could have.
func (c *Client) Extensions(ctx context.Context, ref holdfast.BranchRef) ([]Extension, error) {
	return list[Extension](ctx, c, refPath(ExtensionsPath, ref))
}

// AddExtension creates an extension in a branch's main database.
func (c *Client) AddExtension(ctx context.Context, ref holdfast.BranchRef, name string) error {
	return c.do(ctx, http.MethodPost, refPath(ExtensionsPath, ref), NewExtension{Name: name}, nil)
}

func refPath(template string, ref holdfast.BranchRef) string {
	return Path(template, ref.Project, ref.Branch)
}
