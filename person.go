package holdfast

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// PersonID identifies a person for good; names may change.
type PersonID string

// Person is somebody who signs in.
type Person struct {
	ID          PersonID
	Name        string // what one signs in with: a short name or an e-mail address, compared without regard to case
	Admin       bool   // of the installation: every right on every project, and on people
	CreatedAt   time.Time
	DisabledAt  time.Time // zero: may sign in
	LastLoginAt time.Time // zero: never
	OneTimeCode bool      // signing in takes a code of an authenticator as well
	Email       string    // by which a provider is believed to mean this person; empty: by none
}

// MaxPersonName bounds a person's name, in bytes.
const MaxPersonName = 100

// CheckPersonName says what is wrong with a name to sign in with. What it lets through stands in logs, lists and the audit trail as it is.
func CheckPersonName(name string) error {
	if name == "" || len(name) > MaxPersonName || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return &Error{Kind: Invalid, Message: "a person's name has 1 to 100 bytes and no spaces", Hint: "use a short name or an e-mail address"}
	}
	return nil
}

// The bounds of a password, in bytes. The upper one bounds the work of checking it.
const (
	MinPassword = 10
	MaxPassword = 256
)

// CheckPassword says what is wrong with a new password. Length is what makes guessing long; rules on what letters to take do not.
func CheckPassword(name, password string) error {
	switch {
	case len(password) < MinPassword || len(password) > MaxPassword:
		return &Error{Kind: Invalid, Message: fmt.Sprintf("a password has %d to %d bytes", MinPassword, MaxPassword)}
	case strings.EqualFold(password, name), strings.Count(password, password[:1]) == len(password):
		return &Error{Kind: Invalid, Message: "that password is the first that anybody would try"}
	}
	return nil
}

// MemberRole is what a person is to a project.
type MemberRole string

// The roles, each including those before it.
const (
	Viewer    MemberRole = "viewer"    // sees that things exist, their states, and development's rows
	Developer MemberRole = "developer" // all of development and previews; no row of production unless granted
	Admin     MemberRole = "admin"     // production too
	Owner     MemberRole = "owner"     // the project itself: its removal, and who owns it
)

// Right is what a role may do to the branches and settings of its project.
func (r MemberRole) Right() Right {
	switch r {
	case Viewer:
		return MayRead
	case Developer:
		return MayWrite
	case Admin, Owner:
		return MayAdmin
	}
	return ""
}

// ParseMemberRole reads a role's name.
func ParseMemberRole(name string) (MemberRole, error) {
	role := MemberRole(name)
	if role.Right() == "" {
		return "", &Error{Kind: Invalid, Message: fmt.Sprintf("%q is not a role", name), Hint: "choose viewer, developer, admin or owner"}
	}
	return role, nil
}

// Member is a person's place in a project.
type Member struct {
	ProjectID ProjectID
	PersonID  PersonID
	Role      MemberRole
	// Production grants the sight of production's rows to a role that does not have it.
	Production bool
	CreatedAt  time.Time
}

// Session is a person's being signed in in one browser. The secret in the cookie is never kept, only its hash.
type Session struct {
	ID        string
	PersonID  PersonID
	Source    string // the address that it was begun from
	Agent     string // what the browser calls itself
	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
}

// Invitation is a one-time link: for somebody new, or, where PersonID is set, for a new password.
type Invitation struct {
	ID         string
	PersonID   PersonID
	Admin      bool       // of the installation
	ProjectID  ProjectID  // empty: no project yet
	Role       MemberRole // in the project
	Production bool
	Email      string // whoever has it at the provider need not bring the link; empty: everybody needs the link
	MadeBy     string
	CreatedAt  time.Time
	ExpiresAt  time.Time
}
