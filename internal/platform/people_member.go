package platform

import (
	"context"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// invitationLife is how long an invitation is good for unless somebody says otherwise.
const (
	invitationLife    = 7 * 24 * time.Hour
	maxInvitationLife = 30 * 24 * time.Hour
)

// MemberView is a member as others see it.
type MemberView struct {
	holdfast.Member
	Name     string
	Disabled bool
}

// Members lists who has a role in a project.
func (p *Platform) Members(ctx context.Context, who holdfast.Principal, project string) ([]MemberView, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	var out []MemberView
	err = p.store.View(ctx, func(tx *store.Tx) error {
		members, err := tx.Members(found.ID)
		for _, m := range members {
			person, err := tx.Person(m.PersonID)
			if err != nil {
				return err
			}
			out = append(out, MemberView{Member: m, Name: person.Name, Disabled: !person.DisabledAt.IsZero()})
		}
		return err
	})
	return out, err
}

// SetMember gives a person a role in a project, or another one. Owners are made by owners.
func (p *Platform) SetMember(ctx context.Context, who holdfast.Principal, project, name string, role holdfast.MemberRole, production bool) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	if _, err := holdfast.ParseMemberRole(string(role)); err != nil {
		return err
	}
	return p.changeMember(ctx, who, found, name, func(tx *store.Tx, person store.Person, before holdfast.Member) error {
		if role == holdfast.Owner {
			if err := checkOwner(who, found); err != nil {
				return err
			}
		}
		if err := tx.SetMember(holdfast.Member{ProjectID: found.ID, PersonID: person.ID, Role: role, Production: production, CreatedAt: p.now()}); err != nil {
			return err
		}
		return p.record(tx, who, "member.set", project+": "+person.Name, map[string]any{
			"before": map[string]any{"role": before.Role, "production": before.Production}, "after": map[string]any{"role": role, "production": production}})
	})
}

// RemoveMember takes a person's role in a project away.
func (p *Platform) RemoveMember(ctx context.Context, who holdfast.Principal, project, name string) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	return p.changeMember(ctx, who, found, name, func(tx *store.Tx, person store.Person, before holdfast.Member) error {
		if err := tx.DeleteMember(found.ID, person.ID); err != nil {
			return err
		}
		return p.record(tx, who, "member.remove", project+": "+person.Name, map[string]any{"before": map[string]any{"role": before.Role, "production": before.Production}})
	})
}

// changeMember finds the person and refuses to touch an owner unless an owner asks, and to leave a project without one.
func (p *Platform) changeMember(ctx context.Context, who holdfast.Principal, project store.Project, name string, change func(*store.Tx, store.Person, holdfast.Member) error) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		person, err := tx.PersonByName(name)
		if err != nil {
			return err
		}
		members, err := tx.Members(project.ID)
		if err != nil {
			return err
		}
		var before holdfast.Member
		owners := 0
		for _, m := range members {
			if m.PersonID == person.ID {
				before = m
			}
			if m.Role == holdfast.Owner {
				owners++
			}
		}
		if before.Role == holdfast.Owner {
			if err := checkOwner(who, project); err != nil {
				return err
			}
		}
		if err := change(tx, person, before); err != nil {
			return err
		}
		if owners == 0 || who.Members == nil { // an admin of the installation can always name another
			return nil
		}
		members, err = tx.Members(project.ID)
		for _, m := range members {
			if m.Role == holdfast.Owner {
				return err
			}
		}
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: "project " + project.Name + " would have no owner", Hint: "make somebody else an owner first"}
	})
}

// NewInvitation asks for a one-time link for somebody new.
type NewInvitation struct {
	Project    string // empty: none yet
	Role       holdfast.MemberRole
	Production bool
	Admin      bool   // of the installation
	Email      string // whoever has it at the provider gets in without the link as well; empty: by the link only
	ExpiresIn  time.Duration
}

// Invite makes a one-time link for somebody new. Its secret is never shown again.
func (p *Platform) Invite(ctx context.Context, who holdfast.Principal, ask NewInvitation) (string, holdfast.Invitation, error) {
	invitation := holdfast.Invitation{Admin: ask.Admin, Role: ask.Role, Production: ask.Production, Email: ask.Email}
	if err := holdfast.CheckEmail(ask.Email); err != nil {
		return "", invitation, err
	}
	if ask.Project == "" || ask.Admin {
		if err := checkInstallation(who); err != nil {
			return "", invitation, err
		}
	}
	if ask.Project != "" {
		found, _, err := p.findProject(ctx, who, ask.Project, holdfast.MayAdmin)
		if err != nil {
			return "", invitation, err
		}
		if _, err := holdfast.ParseMemberRole(string(ask.Role)); err != nil {
			return "", invitation, err
		}
		if ask.Role == holdfast.Owner {
			if err := checkOwner(who, found); err != nil {
				return "", invitation, err
			}
		}
		invitation.ProjectID = found.ID
	}
	if ask.ExpiresIn == 0 {
		ask.ExpiresIn = invitationLife
	}
	if ask.ExpiresIn < 0 || ask.ExpiresIn > maxInvitationLife {
		return "", invitation, &holdfast.Error{Kind: holdfast.Invalid, Message: "an invitation lasts 30 days at most"}
	}
	var secret string
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if secret, err = p.insertInvitation(tx, who, &invitation, ask.ExpiresIn); err != nil {
			return err
		}
		return p.record(tx, who, "invitation.create", invitation.ID, map[string]any{"project": ask.Project, "role": ask.Role, "production": ask.Production, "admin": ask.Admin, "email": ask.Email})
	})
	return secret, invitation, err
}

func (p *Platform) insertInvitation(tx *store.Tx, who holdfast.Principal, i *holdfast.Invitation, life time.Duration) (string, error) {
	secret := newSecret("hf_invite_")
	i.ID, i.MadeBy, i.CreatedAt = newID("inv"), who.Name, p.now()
	i.ExpiresAt = i.CreatedAt.Add(life)
	return secret, tx.InsertInvitation(*i, hashSecret(secret))
}

// Invitations lists the links of a project that were not used; an empty project: all links.
func (p *Platform) Invitations(ctx context.Context, who holdfast.Principal, project string) ([]holdfast.Invitation, error) {
	id, err := p.invitationScope(ctx, who, project)
	if err != nil {
		return nil, err
	}
	var out []holdfast.Invitation
	err = p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.Invitations(id); return err })
	return out, err
}

// RevokeInvitation ends a link of a project; an empty project: any link.
func (p *Platform) RevokeInvitation(ctx context.Context, who holdfast.Principal, project, id string) error {
	scope, err := p.invitationScope(ctx, who, project)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Invitations(scope)
		if err != nil {
			return err
		}
		for _, i := range all {
			if i.ID == id {
				if err := tx.DeleteInvitation(id); err != nil {
					return err
				}
				return p.record(tx, who, "invitation.revoke", id, nil)
			}
		}
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "invitation " + id + " does not exist"}
	})
}

func (p *Platform) invitationScope(ctx context.Context, who holdfast.Principal, project string) (holdfast.ProjectID, error) {
	if project == "" {
		return "", checkInstallation(who)
	}
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	return found.ID, err
}

// Join redeems a one-time link: the set-up link of the first start makes the first admin, an invitation somebody new, a reset link a new
// password for whom it was made. Whoever did so is signed in.
func (p *Platform) Join(ctx context.Context, from From, secret, name, password string) (LoggedIn, error) {
	invitation, err := p.link(ctx, secret)
	if err != nil {
		return LoggedIn{}, err
	}
	var person store.Person
	if invitation.PersonID != "" {
		person, err = p.renewed(ctx, invitation.PersonID, password)
	} else {
		person, err = p.newPerson(ctx, NewPerson{Name: name, Password: password, Admin: invitation.Admin})
	}
	if err != nil {
		return LoggedIn{}, err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := p.findLink(tx, secret); err != nil { // somebody else may have been quicker
			return err
		}
		if err := p.takeLink(tx, invitation); err != nil {
			return err
		}
		who := holdfast.Principal{Name: person.Name, Source: from.Source}
		if invitation.PersonID != "" {
			if err := tx.DeleteSessions(person.ID, ""); err != nil {
				return err
			}
			if err := tx.UpdatePerson(person); err != nil {
				return err
			}
			return p.record(tx, who, "account.password", person.Name, map[string]any{"invitation": invitation.ID})
		}
		who.Name = "link " + invitation.ID
		if err := p.insertPerson(tx, who, person); err != nil {
			return err
		}
		return p.takeUp(tx, who, invitation, person)
	})
	if err != nil {
		return LoggedIn{}, err
	}
	if person.OneTimeCode { // the link stands for the password only
		return LoggedIn{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the new password is set; sign in with it and a code of the authenticator"}
	}
	return p.admit(ctx, from, person, "", "link")
}

// takeUp gives a new person the role that an invitation is for.
func (p *Platform) takeUp(tx *store.Tx, who holdfast.Principal, i holdfast.Invitation, person store.Person) error {
	if i.ProjectID == "" {
		return nil
	}
	if err := tx.SetMember(holdfast.Member{ProjectID: i.ProjectID, PersonID: person.ID, Role: i.Role, Production: i.Production, CreatedAt: p.now()}); err != nil {
		return err
	}
	return p.record(tx, who, "member.set", person.Name, map[string]any{"project": i.ProjectID, "after": map[string]any{"role": i.Role, "production": i.Production}})
}

func (p *Platform) renewed(ctx context.Context, id holdfast.PersonID, password string) (store.Person, error) {
	var person store.Person
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { person, err = tx.Person(id); return err })
	if err == nil {
		err = holdfast.CheckPassword(person.Name, password)
	}
	if err == nil && !person.DisabledAt.IsZero() {
		err = &holdfast.Error{Kind: holdfast.NotAllowed, Message: "this account is disabled", Hint: "ask an admin of this server"}
	}
	if err == nil {
		person.Password, err = p.hashPassword(ctx, password)
	}
	return person, err
}

// setupLink is the identifier that the set-up link has as an invitation.
const setupLink = "set-up"

// link finds what a one-time secret is good for. The set-up token of the first start is an invitation to be the first admin.
func (p *Platform) link(ctx context.Context, secret string) (i holdfast.Invitation, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) error { i, err = p.findLink(tx, secret); return err })
	return i, err
}

func (p *Platform) findLink(tx *store.Tx, secret string) (holdfast.Invitation, error) {
	i, err := tx.InvitationByHash(hashSecret(secret))
	if holdfast.KindOf(err) == holdfast.NotFound {
		var setup holdfast.Token
		if setup, err = tx.TokenByHash(hashSecret(secret)); err == nil && setup.Kind == holdfast.SetupToken {
			i = holdfast.Invitation{ID: setupLink, MadeBy: setup.ID, Admin: true, ExpiresAt: setup.ExpiresAt}
		}
	}
	if holdfast.KindOf(err) == holdfast.NotFound || err == nil && !p.now().Before(i.ExpiresAt) {
		err = &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the link was used already or has expired",
			Hint: "ask for another; that of the first start is made up for by the admin token in admin.token in the data directory"}
	}
	return i, err
}

func (p *Platform) takeLink(tx *store.Tx, i holdfast.Invitation) error {
	if i.ID == setupLink {
		return tx.DeleteToken(i.MadeBy)
	}
	return tx.DeleteInvitation(i.ID)
}
