package holdfast

import "time"

// RemovalGrace is how long what somebody removed is kept whole before it is purged.
const RemovalGrace = 7 * 24 * time.Hour

// Removed is a project or a branch that was removed and can be brought back.
type Removed struct {
	Project   string
	Branch    string // empty: the whole project
	ProjectID ProjectID
	DeletedAt time.Time
	PurgeAt   time.Time // it can be brought back before
}

// Name is the removed thing as people write it.
func (r Removed) Name() string {
	if r.Branch == "" {
		return r.Project
	}
	return BranchRef{Project: r.Project, Branch: r.Branch}.String()
}
