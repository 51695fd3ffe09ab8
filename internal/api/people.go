package api

import (
	"context"
	"net/http"
	"time"
)

// RequestHeader is what a request that is authorised by a session's cookie carries if it changes something and has no JSON body. A page of
// another site cannot set it.
const RequestHeader = "Holdfast-Request"

// Login signs a person in.
type Login struct {
	Name      string `json:"name" minLength:"1" maxLength:"100" example:"ann"`
	Password  string `json:"password" minLength:"1" maxLength:"256"`
	Code      string `json:"code,omitempty" maxLength:"40" doc:"Of the authenticator, or a recovery code. Asked for with the code precondition."`
	TokenName string `json:"token_name,omitempty" maxLength:"100" doc:"Asks for a token of that name in the answer instead of a session: for programs."`
}

// LoggedIn is what signing in gives. The session's secret is in the cookie.
type LoggedIn struct {
	You     Caller    `json:"you"`
	Token   string    `json:"token,omitempty" doc:"The token that was asked for."`
	Expires time.Time `json:"expires_at"`
}

// Join redeems a one-time link.
type Join struct {
	Secret   string `json:"secret" minLength:"1" maxLength:"200" doc:"What stands in the link after the #."`
	Name     string `json:"name,omitempty" maxLength:"100" example:"ann" doc:"What to sign in with. A link for a new password takes none."`
	Password string `json:"password" minLength:"10" maxLength:"256"`
}

// Person is somebody who signs in.
type Person struct {
	ID          string    `json:"id"`
	Name        string    `json:"name" example:"ann"`
	Admin       bool      `json:"admin" doc:"Of the installation: every right on every project, and on people."`
	Disabled    bool      `json:"disabled"`
	OneTimeCode bool      `json:"one_time_code" doc:"Signing in takes a code of an authenticator as well."`
	Email       string    `json:"email,omitempty" doc:"By which the OpenID Connect provider is believed to mean this person."`
	CreatedAt   time.Time `json:"created_at"`
	LastLoginAt time.Time `json:"last_login_at,omitzero"`
}

// NewPerson asks for a person.
type NewPerson struct {
	Name     string `json:"name" minLength:"1" maxLength:"100" example:"ann"`
	Password string `json:"password" minLength:"10" maxLength:"256" example:"a long password"`
	Admin    bool   `json:"admin,omitempty"`
	Email    string `json:"email,omitempty" maxLength:"100" doc:"By which the OpenID Connect provider is believed to mean this person."`
}

// PersonChange says what to change of a person; what is left out stays.
type PersonChange struct {
	Admin    *bool   `json:"admin,omitempty"`
	Disabled *bool   `json:"disabled,omitempty" doc:"May not sign in; sessions end and tokens stop."`
	Email    *string `json:"email,omitempty" maxLength:"100" doc:"By which the OpenID Connect provider is believed to mean this person; empty: by none. Whoever was meant before no longer is."`
	NoCode   bool    `json:"forget_code,omitempty" doc:"Forget the authenticator, for somebody who lost it."`
}

// Account is what a person sees of oneself.
type Account struct {
	Person
	Places []Place `json:"places" nullable:"false"`
}

// Place is a role in a project.
type Place struct {
	Project        string `json:"project"`
	Role           string `json:"role" enum:"viewer,developer,admin,owner"`
	ProductionRows bool   `json:"production_rows"`
}

// NewPassword changes one's own password.
type NewPassword struct {
	Current string `json:"current" maxLength:"256"`
	New     string `json:"new" minLength:"10" maxLength:"256" example:"a long password"`
}

// Password proves once more who it is.
type Password struct {
	Password string `json:"password" maxLength:"256"`
}

// CodeSetup is what an authenticator needs to be told.
type CodeSetup struct {
	Secret string `json:"secret" doc:"To be typed in."`
	URL    string `json:"url" doc:"To be shown as a picture: otpauth://..."`
}

// Code is a code of an authenticator.
type Code struct {
	Code string `json:"code" minLength:"6" maxLength:"10" example:"123456"`
}

// Session is one's being signed in in one browser.
type Session struct {
	ID        string    `json:"id"`
	Source    string    `json:"source" doc:"The address that it was begun from."`
	Agent     string    `json:"agent" doc:"What the browser calls itself."`
	Current   bool      `json:"current"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Member is somebody with a role in a project.
type Member struct {
	Name           string    `json:"name"`
	Role           string    `json:"role" enum:"viewer,developer,admin,owner"`
	ProductionRows bool      `json:"production_rows" doc:"May read production's rows whatever the role."`
	Disabled       bool      `json:"disabled"`
	CreatedAt      time.Time `json:"created_at"`
}

// MemberRole gives somebody a role.
type MemberRole struct {
	Role           string `json:"role" enum:"viewer,developer,admin,owner"`
	ProductionRows bool   `json:"production_rows,omitempty"`
}

// NewInvitation asks for a one-time link for somebody new.
type NewInvitation struct {
	Admin     bool   `json:"admin,omitempty" doc:"Of the installation."`
	Email     string `json:"email,omitempty" maxLength:"100" doc:"Whoever has this address at the OpenID Connect provider gets in without the link as well."`
	ExpiresIn int64  `json:"expires_in_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"0 or left out: a week."`
}

// NewProjectInvitation asks for a one-time link for somebody new in a project.
type NewProjectInvitation struct {
	MemberRole
	Email     string `json:"email,omitempty" maxLength:"100" doc:"Whoever has this address at the OpenID Connect provider gets in without the link as well."`
	ExpiresIn int64  `json:"expires_in_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"0 or left out: a week."`
}

// Invitation is a one-time link that was not used yet, without its secret.
type Invitation struct {
	ID             string    `json:"id"`
	Reset          bool      `json:"reset" doc:"It sets a new password for somebody who is known."`
	Admin          bool      `json:"admin"`
	Project        string    `json:"project,omitempty"`
	Role           string    `json:"role,omitempty"`
	ProductionRows bool      `json:"production_rows"`
	Email          string    `json:"email,omitempty"`
	MadeBy         string    `json:"made_by"`
	CreatedAt      time.Time `json:"created_at"`
	ExpiresAt      time.Time `json:"expires_at"`
}

// Link is a new one-time link. Its secret is never shown again.
type Link struct {
	Secret     string     `json:"secret"`
	Path       string     `json:"path" doc:"What follows the server's address in the link." example:"/join#hf_invite_..."`
	Invitation Invitation `json:"invitation"`
}

// Login signs a person in and returns a token, where one was asked for.
func (c *Client) Login(ctx context.Context, ask Login) (LoggedIn, error) {
	return call[LoggedIn](ctx, c, http.MethodPost, LoginPath, ask)
}

// Join redeems a one-time link.
func (c *Client) Join(ctx context.Context, ask Join) (LoggedIn, error) {
	return call[LoggedIn](ctx, c, http.MethodPost, JoinPath, ask)
}

// People lists all people.
func (c *Client) People(ctx context.Context) ([]Person, error) {
	return list[Person](ctx, c, PeoplePath)
}

// CreatePerson adds somebody who can sign in.
func (c *Client) CreatePerson(ctx context.Context, ask NewPerson) (Person, error) {
	return call[Person](ctx, c, http.MethodPost, PeoplePath, ask)
}

// ChangePerson changes what a person is to the installation.
func (c *Client) ChangePerson(ctx context.Context, name string, change PersonChange) (Person, error) {
	return call[Person](ctx, c, http.MethodPatch, Path(PersonPath, name), change)
}

// DeletePerson removes a person.
func (c *Client) DeletePerson(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, Path(PersonPath, name), nil, nil)
}

// ResetLink makes a one-time link for a new password.
func (c *Client) ResetLink(ctx context.Context, name string) (Link, error) {
	return call[Link](ctx, c, http.MethodPost, Path(ResetLinkPath, name), nil)
}

// EndSessions ends every session of a person.
func (c *Client) EndSessions(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, Path(PersonLogoutPath, name), nil, nil)
}

// Invite makes a one-time link for somebody new.
func (c *Client) Invite(ctx context.Context, ask NewInvitation) (Link, error) {
	return call[Link](ctx, c, http.MethodPost, InvitationsPath, ask)
}

// InviteTo makes a one-time link for somebody new in a project.
func (c *Client) InviteTo(ctx context.Context, project string, ask NewProjectInvitation) (Link, error) {
	return call[Link](ctx, c, http.MethodPost, Path(ProjectInvitationsPath, project), ask)
}

// Invitations lists the one-time links that were not used; project may be empty for all of them.
func (c *Client) Invitations(ctx context.Context, project string) ([]Invitation, error) {
	if project == "" {
		return list[Invitation](ctx, c, InvitationsPath)
	}
	return list[Invitation](ctx, c, Path(ProjectInvitationsPath, project))
}

// RevokeInvitation ends a one-time link; project may be empty.
func (c *Client) RevokeInvitation(ctx context.Context, project, id string) error {
	path := Path(InvitationPath, id)
	if project != "" {
		path = Path(ProjectInvitationPath, project, id)
	}
	return c.do(ctx, http.MethodDelete, path, nil, nil)
}

// Members lists who has a role in a project.
func (c *Client) Members(ctx context.Context, project string) ([]Member, error) {
	return list[Member](ctx, c, Path(MembersPath, project))
}

// SetMember gives somebody a role in a project.
func (c *Client) SetMember(ctx context.Context, project, name string, role MemberRole) error {
	return c.do(ctx, http.MethodPut, Path(MemberPath, project, name), role, nil)
}

// RemoveMember takes somebody's role in a project away.
func (c *Client) RemoveMember(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodDelete, Path(MemberPath, project, name), nil, nil)
}
