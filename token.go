package holdfast

import "time"

// TokenKind is what sort of caller a token stands for.
type TokenKind string

// The kinds of tokens.
const (
	AdminToken TokenKind = "admin" // everything
	UserToken  TokenKind = "user"  // scoped to projects and rights
	AgentToken TokenKind = "agent" // development and previews only
	SetupToken TokenKind = "setup" // once: makes the first admin
	// MetricsToken reads the metrics of the whole installation and nothing else.
	MetricsToken TokenKind = "metrics"
	// PersonKind is no token: a person who signed in, as a Principal.
	PersonKind TokenKind = "person"
)

// Right is what a token or member may do.
type Right string

// The rights, each including those before it.
const (
	MayRead  Right = "read"  // see that things exist and their states
	MayWrite Right = "write" // change development and previews, and see their credentials
	MayAdmin Right = "admin" // change production, see its credentials, remove
)

// Includes says whether r covers want.
func (r Right) Includes(want Right) bool {
	rank := map[Right]int{MayRead: 1, MayWrite: 2, MayAdmin: 3}
	return rank[r] >= rank[want] && rank[want] > 0
}

// Token is a bearer credential of the API. The secret itself is never kept, only its hash.
type Token struct {
	ID         string
	Name       string
	Kind       TokenKind
	ProjectID  ProjectID // empty: every project
	Right      Right
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // zero: never
	PersonID   PersonID  // whose it is; empty: the installation's own
}

// Principal is who asks. What it may do is the smaller of its own scope (ProjectID, Right) and, where a person stands behind it,
// of what that person may do (Members).
type Principal struct {
	Name      string // for logs and audit: "ann", "token ci-deploy", "token laptop of ann"
	Source    string // the address that the request came from; empty for the product itself
	Kind      TokenKind
	ProjectID ProjectID // empty: every project
	Right     Right
	PersonID  PersonID // who signed in, or whose token it is; empty: the installation's own token
	// Members says what the person is to which project. Nil where nobody's membership bounds the scope: an admin of the
	// installation, and tokens of the installation's own.
	Members   map[ProjectID]Member
	ExpiresAt time.Time // of the token; zero: it does not end by itself
	SessionID string    // the session that the request came by; empty for tokens
}

// RightOn is what who may do on a project; empty: not even know of it.
func (who Principal) RightOn(project ProjectID) Right {
	if who.ProjectID != "" && who.ProjectID != project {
		return ""
	}
	if who.Members == nil {
		return who.Right
	}
	// A project that does not exist has no members, whatever its name.
	role := who.Members[project].Role.Right()
	if who.Right.Includes(role) {
		return role
	}
	if role.Includes(who.Right) {
		return who.Right
	}
	return ""
}

// Everywhere is what who may do on every project there is or will be, and on the installation; empty where a membership bounds it.
func (who Principal) Everywhere() Right {
	if who.ProjectID != "" || who.Members != nil {
		return ""
	}
	return who.Right
}

// Owns says whether who may do what only a project's owner may.
func (who Principal) Owns(project ProjectID) bool {
	return who.RightOn(project).Includes(MayAdmin) && (who.Members == nil || who.Members[project].Role == Owner)
}
