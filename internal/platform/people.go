package platform

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// resetLife is how long a link for a new password is good for.
const resetLife = 24 * time.Hour

// NewPerson asks for a person.
type NewPerson struct {
	Name     string
	Password string
	Admin    bool   // of the installation
	Email    string // by which the provider is believed to mean this person; empty: by none
}

// CreatePerson adds somebody who can sign in.
func (p *Platform) CreatePerson(ctx context.Context, who holdfast.Principal, ask NewPerson) (holdfast.Person, error) {
	if err := checkInstallation(who); err != nil {
		return holdfast.Person{}, err
	}
	person, err := p.newPerson(ctx, ask)
	if err != nil {
		return holdfast.Person{}, err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error { return p.insertPerson(tx, who, person) })
	return person.Person, err
}

func (p *Platform) newPerson(ctx context.Context, ask NewPerson) (store.Person, error) {
	if err := holdfast.CheckPersonName(ask.Name); err != nil {
		return store.Person{}, err
	}
	if err := holdfast.CheckPassword(ask.Name, ask.Password); err != nil {
		return store.Person{}, err
	}
	if err := holdfast.CheckEmail(ask.Email); err != nil {
		return store.Person{}, err
	}
	hash, err := p.hashPassword(ctx, ask.Password)
	return store.Person{Password: hash, Person: holdfast.Person{ID: holdfast.PersonID(newID("per")), Name: ask.Name, Admin: ask.Admin, Email: ask.Email, CreatedAt: p.now()}}, err
}

func (p *Platform) insertPerson(tx *store.Tx, who holdfast.Principal, person store.Person) error {
	if err := tx.InsertPerson(person); err != nil {
		if holdfast.KindOf(err) == holdfast.Conflict {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "somebody else has the name " + person.Name + ", or that e-mail address", Hint: "choose another"}
		}
		return err
	}
	return p.record(tx, who, "person.create", person.Name, map[string]any{"id": person.ID, "admin": person.Admin, "email": person.Email})
}

// People lists all people.
func (p *Platform) People(ctx context.Context, who holdfast.Principal) ([]holdfast.Person, error) {
	if err := checkInstallation(who); err != nil {
		return nil, err
	}
	var out []holdfast.Person
	err := p.store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.People()
		for _, person := range all {
			out = append(out, person.Person)
		}
		return err
	})
	return out, err
}

// PersonChange says what to change of a person; what is nil stays.
type PersonChange struct {
	Admin    *bool
	Disabled *bool // may not sign in, and what is signed in ends
	NoCode   bool  // forget the authenticator, for somebody who lost it
	// Email is the address by which the provider is believed to mean this person, from the next time on; empty: by none.
	Email *string
}

// ChangePerson changes what a person is to the installation. Nobody does that to oneself: there must be somebody left who can take
// it back.
func (p *Platform) ChangePerson(ctx context.Context, who holdfast.Principal, name string, change PersonChange) (holdfast.Person, error) {
	var person store.Person
	if err := checkInstallation(who); err != nil {
		return person.Person, err
	}
	if change.Email != nil {
		if err := holdfast.CheckEmail(*change.Email); err != nil {
			return person.Person, err
		}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if person, err = tx.PersonByName(name); err != nil {
			return err
		}
		if person.ID == who.PersonID && (change.Admin != nil || change.Disabled != nil || change.NoCode) {
			return &holdfast.Error{Kind: holdfast.Unsafe, Message: "you cannot do that to yourself", Hint: "ask another admin"}
		}
		before := map[string]any{"admin": person.Admin, "disabled": !person.DisabledAt.IsZero(), "email": person.Email}
		if change.Email != nil {
			person.Email = *change.Email
			if err := tx.LinkPerson(person.ID, "", ""); err != nil { // whoever had the address before is not meant any more
				return err
			}
		}
		if change.Admin != nil {
			person.Admin = *change.Admin
		}
		if change.Disabled != nil && *change.Disabled != !person.DisabledAt.IsZero() {
			person.DisabledAt = time.Time{}
			if *change.Disabled {
				person.DisabledAt = p.now()
			}
		}
		if !person.DisabledAt.IsZero() {
			if err := tx.DeleteSessions(person.ID, ""); err != nil {
				return err
			}
		}
		if change.NoCode && person.OneTimeCode {
			person.OneTimeCode = false
			if err := p.dropCode(tx, who, person); err != nil {
				return err
			}
			person.CodeSecret = nil
		}
		if err := tx.UpdatePerson(person); holdfast.KindOf(err) == holdfast.Conflict {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "somebody else has that e-mail address", Cause: err}
		} else if err != nil {
			return err
		}
		after := map[string]any{"admin": person.Admin, "disabled": !person.DisabledAt.IsZero(), "email": person.Email}
		return p.record(tx, who, "person.change", person.Name, map[string]any{"before": before, "after": after})
	})
	return person.Person, err
}

// DeletePerson removes a person with that one's roles, sessions and tokens. What the audit trail says stays.
func (p *Platform) DeletePerson(ctx context.Context, who holdfast.Principal, name string) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		person, err := tx.PersonByName(name)
		if err != nil {
			return err
		}
		if person.ID == who.PersonID {
			return &holdfast.Error{Kind: holdfast.Unsafe, Message: "you cannot delete yourself", Hint: "ask another admin"}
		}
		if err := tx.ErasePerson(person); err != nil {
			return err
		}
		return p.record(tx, who, "person.delete", person.Name, map[string]any{"id": person.ID})
	})
}

// ResetLink makes a one-time link by which a person sets a new password. The old one works until then.
func (p *Platform) ResetLink(ctx context.Context, who holdfast.Principal, name string) (string, holdfast.Invitation, error) {
	var secret string
	var invitation holdfast.Invitation
	if err := checkInstallation(who); err != nil {
		return "", invitation, err
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		person, err := tx.PersonByName(name)
		if err != nil {
			return err
		}
		invitation = holdfast.Invitation{PersonID: person.ID}
		secret, err = p.insertInvitation(tx, who, &invitation, resetLife)
		if err != nil {
			return err
		}
		return p.record(tx, who, "person.reset_link", person.Name, map[string]any{"invitation": invitation.ID})
	})
	return secret, invitation, err
}

// EndSessionsOf ends every session of a person. Tokens stay; disabling the person stops them too.
func (p *Platform) EndSessionsOf(ctx context.Context, who holdfast.Principal, name string) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		person, err := tx.PersonByName(name)
		if err != nil {
			return err
		}
		if err := tx.DeleteSessions(person.ID, ""); err != nil {
			return err
		}
		return p.record(tx, who, "logout.everywhere", person.Name, nil)
	})
}

// Account is what a person sees of oneself.
type Account struct {
	holdfast.Person
	Places []Place
}

// Place is a role in a project, by the project's name.
type Place struct {
	Project    string
	Role       holdfast.MemberRole
	Production bool
}

// Account shows a person who asks to that person.
func (p *Platform) Account(ctx context.Context, who holdfast.Principal) (Account, error) {
	var out Account
	if err := checkPerson(who); err != nil {
		return out, err
	}
	err := p.store.View(ctx, func(tx *store.Tx) error {
		person, err := tx.Person(who.PersonID)
		if err != nil {
			return err
		}
		out.Person = person.Person
		projects, err := tx.Projects()
		for _, project := range projects {
			if m, ok := who.Members[project.ID]; ok {
				out.Places = append(out.Places, Place{Project: project.Name, Role: m.Role, Production: m.Production})
			}
		}
		return err
	})
	return out, err
}

// ChangePassword gives the person who asks another password. The other sessions end; tokens stay.
func (p *Platform) ChangePassword(ctx context.Context, who holdfast.Principal, current, next string) error {
	if err := checkPerson(who); err != nil {
		return err
	}
	if err := holdfast.CheckPassword(who.Name, next); err != nil {
		return err
	}
	person, err := p.ownAccount(ctx, who, current)
	if err != nil {
		return err
	}
	if person.Password, err = p.hashPassword(ctx, next); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdatePerson(person); err != nil {
			return err
		}
		if err := tx.DeleteSessions(person.ID, who.SessionID); err != nil {
			return err
		}
		return p.record(tx, who, "account.password", who.Name, nil)
	})
}

// ownAccount is the account of the person who asks, once more proved by the password: a session that was left open is not enough.
func (p *Platform) ownAccount(ctx context.Context, who holdfast.Principal, password string) (store.Person, error) {
	var person store.Person
	if err := checkPerson(who); err != nil {
		return person, err
	}
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { person, err = tx.Person(who.PersonID); return err }); err != nil {
		return person, err
	}
	limits := limitsOf(person.Name, who.Source, "session "+who.SessionID)
	if err := p.people.throttle.begin(limits); err != nil {
		return person, err
	}
	right, err := p.checkPassword(ctx, person.Password, password)
	switch {
	case err != nil:
		return person, err
	case !right && person.Password != "":
		return person, &holdfast.Error{Kind: holdfast.Invalid, Message: "that is not your password"}
	}
	p.people.throttle.succeed(limits)
	return person, nil
}

// cut shortens what strangers send before it is kept.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "?")
}
