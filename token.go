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
}

// Principal is who asks.
type Principal struct {
	Name      string // for logs and audit: "token ci-deploy"
	Source    string // the address that the request came from; empty for the product itself
	Kind      TokenKind
	ProjectID ProjectID // empty: every project
	Right     Right
}
