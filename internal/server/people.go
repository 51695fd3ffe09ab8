package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type personInput struct {
	Person string `path:"person" maxLength:"100" example:"ann"`
}

type newPersonInput struct {
	Body api.NewPerson
}

type personChangeInput struct {
	Person string `path:"person" maxLength:"100" example:"ann"`
	Body   api.PersonChange
}

type invitationInput struct {
	Body api.NewInvitation
}

type invitationIDInput struct {
	ID string `path:"id"`
}

func (s *Server) peopleRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.PeoplePath, id: "list-people", rule: forInstallation, tag: "people", summary: "Everybody who can sign in"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Person, error) {
			people, err := p.People(ctx, who)
			return mapped(people, viewPerson), err
		})
	add(s, route{method: http.MethodPost, path: api.PeoplePath, id: "create-person", rule: forInstallation, tag: "people", summary: "Add somebody, with a password", status: http.StatusCreated,
		about: "An invitation lets somebody choose the password alone."},
		func(ctx context.Context, who holdfast.Principal, in *newPersonInput) (api.Person, error) {
			person, err := p.CreatePerson(ctx, who, platform.NewPerson{Name: in.Body.Name, Password: in.Body.Password, Admin: in.Body.Admin, Email: in.Body.Email})
			return viewPerson(person), err
		})
	add(s, route{method: http.MethodPatch, path: api.PersonPath, id: "change-person", rule: forInstallation, tag: "people", summary: "Make somebody an admin or not, disable, or forget the authenticator"},
		func(ctx context.Context, who holdfast.Principal, in *personChangeInput) (api.Person, error) {
			person, err := p.ChangePerson(ctx, who, in.Person, platform.PersonChange{Admin: in.Body.Admin, Disabled: in.Body.Disabled, NoCode: in.Body.NoCode, Email: in.Body.Email})
			return viewPerson(person), err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.PersonPath, id: "delete-person", rule: forInstallation, tag: "people", summary: "Remove somebody with all roles, sessions and tokens"},
		func(ctx context.Context, who holdfast.Principal, in *personInput) error {
			return p.DeletePerson(ctx, who, in.Person)
		})
	add(s, route{method: http.MethodPost, path: api.ResetLinkPath, id: "reset-link", rule: forInstallation, tag: "people", summary: "Make a one-time link by which somebody sets a new password", status: http.StatusCreated},
		func(ctx context.Context, who holdfast.Principal, in *personInput) (api.Link, error) {
			secret, i, err := p.ResetLink(ctx, who, in.Person)
			return viewLink(secret, i, ""), err
		})
	addEmpty(s, route{method: http.MethodPost, path: api.PersonLogoutPath, id: "logout-person", rule: forInstallation, tag: "people", summary: "End every session of somebody"},
		func(ctx context.Context, who holdfast.Principal, in *personInput) error {
			return p.EndSessionsOf(ctx, who, in.Person)
		})
	add(s, route{method: http.MethodPost, path: api.InvitationsPath, id: "invite", rule: forInstallation, tag: "people", summary: "Make a one-time link for somebody new", status: http.StatusCreated},
		func(ctx context.Context, who holdfast.Principal, in *invitationInput) (api.Link, error) {
			secret, i, err := p.Invite(ctx, who, platform.NewInvitation{Admin: in.Body.Admin, Email: in.Body.Email, ExpiresIn: time.Duration(in.Body.ExpiresIn) * time.Second})
			return viewLink(secret, i, ""), err
		})
	addList(s, route{method: http.MethodGet, path: api.InvitationsPath, id: "list-invitations", rule: forInstallation, tag: "people", summary: "One-time links that were not used yet"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Invitation, error) {
			return s.invitations(ctx, who, "")
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.InvitationPath, id: "revoke-invitation", rule: forInstallation, tag: "people", summary: "End a one-time link"},
		func(ctx context.Context, who holdfast.Principal, in *invitationIDInput) error {
			return p.RevokeInvitation(ctx, who, "", in.ID)
		})
}

// MemberPath is the part of a path that names somebody in a project.
type MemberPath struct {
	Project string `path:"project" example:"shop"`
	Person  string `path:"person" maxLength:"100" example:"ann"`
}

type memberInput struct {
	MemberPath
	Body api.MemberRole
}

type projectInvitationInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.NewProjectInvitation
}

type projectInvitationIDInput struct {
	Project string `path:"project" example:"shop"`
	ID      string `path:"id"`
}

func (s *Server) memberRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.MembersPath, id: "list-members", rule: toSee, tag: "people", summary: "Who has a role in a project"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.Member, error) {
			members, err := p.Members(ctx, who, in.Project)
			return mapped(members, func(m platform.MemberView) api.Member {
				return api.Member{Name: m.Name, Role: string(m.Role), ProductionRows: m.Production, Disabled: m.Disabled, CreatedAt: m.CreatedAt}
			}), err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.MemberPath, id: "set-member", rule: toAdminister, tag: "people", summary: "Give somebody a role in a project", about: "Owners are made and unmade by owners."},
		func(ctx context.Context, who holdfast.Principal, in *memberInput) error {
			return p.SetMember(ctx, who, in.Project, in.Person, holdfast.MemberRole(in.Body.Role), in.Body.ProductionRows)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.MemberPath, id: "remove-member", rule: toAdminister, tag: "people", summary: "Take somebody's role in a project away"},
		func(ctx context.Context, who holdfast.Principal, in *MemberPath) error {
			return p.RemoveMember(ctx, who, in.Project, in.Person)
		})
	add(s, route{method: http.MethodPost, path: api.ProjectInvitationsPath, id: "invite-to-project", rule: toAdminister, tag: "people", summary: "Make a one-time link for somebody new in a project", status: http.StatusCreated},
		func(ctx context.Context, who holdfast.Principal, in *projectInvitationInput) (api.Link, error) {
			secret, i, err := p.Invite(ctx, who, platform.NewInvitation{Project: in.Project, Role: holdfast.MemberRole(in.Body.Role), Production: in.Body.ProductionRows, Email: in.Body.Email,
				ExpiresIn: time.Duration(in.Body.ExpiresIn) * time.Second})
			return viewLink(secret, i, in.Project), err
		})
	addList(s, route{method: http.MethodGet, path: api.ProjectInvitationsPath, id: "list-project-invitations", rule: toAdminister, tag: "people", summary: "A project's one-time links that were not used yet"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.Invitation, error) {
			return s.invitations(ctx, who, in.Project)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.ProjectInvitationPath, id: "revoke-project-invitation", rule: toAdminister, tag: "people", summary: "End a one-time link of a project"},
		func(ctx context.Context, who holdfast.Principal, in *projectInvitationIDInput) error {
			return p.RevokeInvitation(ctx, who, in.Project, in.ID)
		})
}

func (s *Server) invitations(ctx context.Context, who holdfast.Principal, project string) ([]api.Invitation, error) {
	all, err := s.config.Platform.Invitations(ctx, who, project)
	if err != nil {
		return nil, err
	}
	names, err := s.projectNames(ctx, who)
	return mapped(all, func(i holdfast.Invitation) api.Invitation { return viewInvitation(i, names[i.ProjectID]) }), err
}

func viewInvitation(i holdfast.Invitation, project string) api.Invitation {
	return api.Invitation{ID: i.ID, Reset: i.PersonID != "", Admin: i.Admin, Project: project, Role: string(i.Role), ProductionRows: i.Production,
		Email: i.Email, MadeBy: i.MadeBy, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
}

func viewLink(secret string, i holdfast.Invitation, project string) api.Link {
	return api.Link{Secret: secret, Path: api.JoinPagePath + "#" + secret, Invitation: viewInvitation(i, project)}
}
