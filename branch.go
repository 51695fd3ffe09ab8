package holdfast

import "time"

// BranchID identifies a branch for good; names can change and be used again.
type BranchID string

// ProjectID identifies a project for good.
type ProjectID string

// Environment is what a branch is for; it decides its profile and who may reach it.
type Environment string

// The environments. Every project has exactly one development and one production; previews come and go.
const (
	Development Environment = "development"
	Production  Environment = "production"
	Preview     Environment = "preview"
)

// Names of the two branches that every project has.
const (
	DevelopmentName = "development"
	ProductionName  = "production"
)

// Activity is what a branch's server is doing.
type Activity string

// The activities of a branch's server.
const (
	Asleep   Activity = "asleep"   // stopped; the next connection wakes it
	Waking   Activity = "waking"   // starting; connections wait
	Awake    Activity = "awake"    // accepts connections
	Sleeping Activity = "sleeping" // stopping; connections wait and wake it again
	Broken   Activity = "broken"   // died too often and was left stopped; a wake on demand tries again
)

// Branch is one PostgreSQL server with its data: the development or production database of a project, or a copy of one.
type Branch struct {
	ID          BranchID
	ProjectID   ProjectID
	Name        string
	Project     string // the project's name
	Environment Environment
	Parent      BranchID // empty for a branch that was created, not copied
	Major       int      // PostgreSQL's major version
	Settings    Settings
	Protected   bool
	Look        bool // a read-only copy of a moment, deleted when nobody uses it any more
	Masked      bool // the project's masking rules were applied to it
	SchemaOnly  bool // it was made without rows
	// ProductionRows says that it is a copy of production with its rows as they are: who may not read those may not read these.
	ProductionRows bool
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	DeletedAt      time.Time // zero: not deleted
}

// KeepsHistory says whether the branch's every moment is kept: development's and production's always, a preview's when it was asked for.
func (b Branch) KeepsHistory() bool { return b.Environment != Preview || b.Settings.History && !b.Look }

// Ref is the branch's name as people write it.
func (b Branch) Ref() BranchRef { return BranchRef{Project: b.Project, Branch: b.Name} }
