package holdfast

import "time"

// Project is a development database, a production database and the branches made of them.
type Project struct {
	ID        ProjectID
	Name      string
	Major     int // PostgreSQL's major version for new branches
	CreatedAt time.Time
	DeletedAt time.Time // zero: not deleted
}

// OwnerRole is the role that owns the databases of every branch of the project and that its users log in as. It is the same on
// every branch, so that schemas of two branches compare equal; the passwords differ.
func (p Project) OwnerRole() string { return OwnerRole(p.Name) }

// OwnerRole is the owner role of the project with that name.
func OwnerRole(project string) string { return project + "_owner" }
