package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Token is a bearer credential of the API, without its secret.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name" example:"ci"`
	Kind       string    `json:"kind" enum:"admin,user,agent,metrics,setup"`
	Project    string    `json:"project,omitempty" doc:"The one project that it reaches; every project when left out."`
	Right      string    `json:"right" enum:"read,write,admin"`
	Person     string    `json:"person,omitempty" doc:"Whose it is, and whose role bounds it; the installation's own when left out."`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// NewToken asks for a token.
type NewToken struct {
	Name      string `json:"name" minLength:"1" maxLength:"100" example:"ci"`
	Kind      string `json:"kind" enum:"admin,user,agent,metrics" doc:"A metrics token reads /metrics and nothing else."`
	Project   string `json:"project,omitempty" doc:"The one project that it reaches; every project when left out."`
	Right     string `json:"right" enum:"read,write,admin"`
	ExpiresIn int64  `json:"expires_in_seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"0 or left out: never."`
}

// TokenSecret is a new token with its secret, which is never shown again.
type TokenSecret struct {
	Secret string `json:"secret"`
	Token  Token  `json:"token"`
}

// Setup redeems the one-time set-up link of the first start.
type Setup struct {
	Secret string `json:"secret" minLength:"1" maxLength:"200" doc:"What stands in the set-up link."`
	Name   string `json:"name" minLength:"1" maxLength:"100" doc:"A name for the admin token that is made."`
}

// ServerInfo says which server it is and as whom the caller is known to it.
type ServerInfo struct {
	Version string `json:"version"`
	Gateway string `json:"gateway,omitempty" doc:"The address of the front door for PostgreSQL clients." example:"127.0.0.1:6432"`
	You     Caller `json:"you"`
}

// Caller is who asks, as the server sees it.
type Caller struct {
	Name      string `json:"name" example:"token ci"`
	Kind      string `json:"kind" enum:"admin,user,agent,person"`
	Right     string `json:"right" enum:"read,write,admin" doc:"The most that it may do; a person's role in a project bounds it there."`
	Person    string `json:"person,omitempty" doc:"The identifier of the person who signed in, or whose token it is."`
	Admin     bool   `json:"admin" doc:"Whether it may change what concerns every project: people, tokens of the installation, the audit trail."`
	ProjectID string `json:"project_id,omitempty" doc:"The one project that it reaches; every project when left out."`
}

// AuditEntry is one line of the audit trail.
type AuditEntry struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor" example:"token ci"`
	Source  string    `json:"source,omitempty" doc:"The address that the request came from."`
	Action  string    `json:"action" example:"project.create"`
	Subject string    `json:"subject" example:"shop"`
	Detail  any       `json:"detail,omitempty"`
	Hash    string    `json:"hash" doc:"SHA-256 over this entry and the hash of the one before it, in hexadecimal."`
}

// AuditVerified says that the audit trail is whole, and how it ends. An end that is kept elsewhere shows later that nothing before it
// was changed.
type AuditVerified struct {
	Entries int64  `json:"entries"`
	Hash    string `json:"hash" doc:"The hash of the last entry, in hexadecimal."`
}

// Server says which server it is and who the caller is to it.
func (c *Client) Server(ctx context.Context) (ServerInfo, error) {
	return call[ServerInfo](ctx, c, http.MethodGet, ServerPath, nil)
}

// RedeemSetup exchanges the one-time set-up secret for an admin token.
func (c *Client) RedeemSetup(ctx context.Context, ask Setup) (TokenSecret, error) {
	return call[TokenSecret](ctx, c, http.MethodPost, SetupPath, ask)
}

// Tokens lists the tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return list[Token](ctx, c, TokensPath)
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, ask NewToken) (TokenSecret, error) {
	return call[TokenSecret](ctx, c, http.MethodPost, TokensPath, ask)
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, Path(TokenPath, id), nil, nil)
}

// VerifyAudit checks the audit trail; Corrupt where it was tampered with.
func (c *Client) VerifyAudit(ctx context.Context) (AuditVerified, error) {
	return call[AuditVerified](ctx, c, http.MethodGet, AuditVerifyPath, nil)
}

// AuditAfter lists the audit trail from entry number after on, the oldest first: at most limit entries.
func (c *Client) AuditAfter(ctx context.Context, after int64, limit int) ([]AuditEntry, error) {
	return list[AuditEntry](ctx, c, AuditExportPath+"?"+url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)}}.Encode())
}

// Audit lists the audit trail, the newest first: at most limit entries before number before (0: from the end).
func (c *Client) Audit(ctx context.Context, before int64, limit int) ([]AuditEntry, error) {
	return c.AuditMatching(ctx, AuditFilter{}, before, limit)
}

// AuditFilter says which entries of the audit trail are wanted: those of which all that is given holds. Texts are found anywhere.
type AuditFilter struct {
	Actor, Action, Subject, Source string
	Since, Until                   time.Time
}

// AuditMatching is Audit of the wanted entries only.
func (c *Client) AuditMatching(ctx context.Context, f AuditFilter, before int64, limit int) ([]AuditEntry, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, text := range map[string]string{"actor": f.Actor, "action": f.Action, "subject": f.Subject, "source": f.Source} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	return list[AuditEntry](ctx, c, AuditPath+"?"+q.Encode())
}
