package platform

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	// A session ends when it was not used for sessionIdle, and after sessionLife in any case.
	sessionIdle = 24 * time.Hour
	sessionLife = 14 * 24 * time.Hour
	// loginTokenLife is how long the token is good for that the command line gets for a password.
	loginTokenLife = 90 * 24 * time.Hour
	// hashesAtOnce bounds the memory that checking passwords takes.
	hashesAtOnce  = 2
	devicePurpose = "login device"
)

// people is what signing in takes besides the metadata.
type people struct {
	cost     identity.Cost
	hashing  chan struct{}
	throttle *throttle
	provider *provider
}

func newPeople(now func() time.Time, cost identity.Cost, provider *provider) people {
	if cost == (identity.Cost{}) {
		cost = identity.DefaultCost
	}
	return people{cost: cost, hashing: make(chan struct{}, hashesAtOnce), throttle: newThrottle(now), provider: provider}
}

// From is where somebody signs in from.
type From struct {
	Source string // address
	Agent  string // what the browser or program calls itself
	Device string // what an earlier LoggedIn had as Device; empty: nothing
}

// Credentials are what somebody signs in with.
type Credentials struct {
	Name, Password string
	Code           string // of the authenticator, or a recovery code
	// TokenName asks for a token of that name rather than a session: for programs that keep one.
	TokenName string
}

// LoggedIn is what signing in gives.
type LoggedIn struct {
	Who     holdfast.Principal
	Secret  string // of the session, or of the token that was asked for
	Device  string // to be shown when signing in again; it opens nothing by itself
	Expires time.Time
}

// Login lets a person in who proves to be one. An unknown name and a wrong password look and take the same.
func (p *Platform) Login(ctx context.Context, from From, with Credentials) (LoggedIn, error) {
	limits := limitsOf(with.Name, from.Source, p.device(from.Device, with.Name))
	if err := p.people.throttle.begin(limits); err != nil {
		return LoggedIn{}, err
	}
	person, err := p.provePassword(ctx, with)
	if err == nil {
		person, err = p.proveCode(ctx, person, with.Code)
	}
	if holdfast.KindOf(err) == holdfast.Unauthenticated {
		subject := person.Name
		if subject == "" {
			subject = "unknown" // not what was typed: passwords get typed into the wrong field
		}
		who := holdfast.Principal{Name: "nobody", Source: from.Source}
		if err := p.recordAlone(ctx, who, "login.failed", subject, nil); err != nil {
			return LoggedIn{}, err
		}
		return LoggedIn{}, err
	}
	if err != nil {
		if holdfast.KindOf(err) == holdfast.Precondition { // the password was right, the code is still to come
			p.people.throttle.succeed(limits)
		}
		return LoggedIn{}, err
	}
	p.people.throttle.succeed(limits)
	return p.admit(ctx, from, person, with.TokenName, "password")
}

// provePassword returns the person if the password is right. On a refusal it returns whom it was about, if there is one.
func (p *Platform) provePassword(ctx context.Context, with Credentials) (store.Person, error) {
	var person store.Person
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { person, err = tx.PersonByName(with.Name); return err })
	if err != nil && holdfast.KindOf(err) != holdfast.NotFound {
		return store.Person{}, err
	}
	right, err := p.checkPassword(ctx, person.Password, with.Password)
	if err != nil {
		return person, err
	}
	if !right || !person.DisabledAt.IsZero() {
		return person, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the name or the password is wrong", Hint: "an admin of this server can make a link for a new password: `holdfast user reset-link`"}
	}
	if cost, ok := identity.CostOf(person.Password); ok && cost != p.people.cost {
		person.Password, err = p.hashPassword(ctx, with.Password) // written with what follows
	}
	return person, err
}

// checkPassword takes the same time whatever the stored hash is.
func (p *Platform) checkPassword(ctx context.Context, stored, password string) (bool, error) {
	if len(password) > holdfast.MaxPassword {
		password = ""
	}
	select {
	case p.people.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-p.people.hashing }()
	return identity.VerifyPassword(stored, password, p.people.cost), nil
}

func (p *Platform) hashPassword(ctx context.Context, password string) (string, error) {
	select {
	case p.people.hashing <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-p.people.hashing }()
	return identity.HashPassword(password, p.people.cost), nil
}

// admit begins a session for a person who proved to be that one, or makes the token that was asked for.
func (p *Platform) admit(ctx context.Context, from From, person store.Person, tokenName, by string) (LoggedIn, error) {
	now := p.now()
	out := LoggedIn{Secret: newSecret("hf_session_"), Expires: now.Add(sessionLife), Device: p.newDevice(person.Name)}
	session := holdfast.Session{ID: newID("ses"), PersonID: person.ID, Source: from.Source, Agent: cut(from.Agent, 200), CreatedAt: now, UsedAt: now, ExpiresAt: out.Expires}
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		person.LastLoginAt = now
		if err := tx.UpdatePerson(person); err != nil {
			return err
		}
		if err := tx.DeleteEndedSessions(now, now.Add(-sessionIdle)); err != nil {
			return err
		}
		if out.Who, err = personPrincipal(tx, person.Person); err != nil {
			return err
		}
		out.Who.Source = from.Source
		detail := map[string]any{"by": by}
		if tokenName != "" {
			var t holdfast.Token
			out.Secret, t, err = p.insertToken(tx, out.Who, NewToken{Name: tokenName, Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ExpiresIn: loginTokenLife}, "")
			detail["token"] = t.ID
			out.Expires = t.ExpiresAt
		} else {
			out.Who.SessionID, detail["session"] = session.ID, session.ID
			err = tx.InsertSession(session, hashSecret(out.Secret))
		}
		if err != nil {
			return err
		}
		return p.record(tx, out.Who, "login", person.Name, detail)
	})
	return out, err
}

// personPrincipal is a person as one who asks.
func personPrincipal(tx *store.Tx, person holdfast.Person) (holdfast.Principal, error) {
	who := holdfast.Principal{Name: person.Name, Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, PersonID: person.ID}
	if person.Admin {
		return who, nil
	}
	places, err := tx.Memberships(person.ID)
	who.Members = make(map[holdfast.ProjectID]holdfast.Member, len(places))
	for _, m := range places {
		who.Members[m.ProjectID] = m
	}
	return who, err
}

// AuthenticateSession finds out who holds a session's secret.
func (p *Platform) AuthenticateSession(ctx context.Context, secret string) (holdfast.Principal, error) {
	ended := &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the session has ended", Hint: "sign in again"}
	var who holdfast.Principal
	var session holdfast.Session
	now := p.now()
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		// The secret has 256 random bits: finding its hash by index gives nothing away that helps to guess it.
		if session, err = tx.SessionByHash(hashSecret(secret)); err != nil {
			return err
		}
		if !now.Before(session.ExpiresAt) || now.Sub(session.UsedAt) >= sessionIdle {
			return ended
		}
		person, err := tx.Person(session.PersonID)
		if err != nil {
			return err
		}
		if !person.DisabledAt.IsZero() {
			return ended
		}
		who, err = personPrincipal(tx, person.Person)
		return err
	})
	if holdfast.KindOf(err) == holdfast.NotFound {
		return holdfast.Principal{}, ended
	}
	if err != nil {
		return holdfast.Principal{}, err
	}
	who.SessionID = session.ID
	if now.Sub(session.UsedAt) >= time.Minute {
		if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.TouchSession(session.ID, now) }); err != nil && ctx.Err() == nil {
			p.log.Warn("record the use of a session", "session", session.ID, "err", err)
		}
	}
	return who, nil
}

// Logout ends the session that the request came by.
func (p *Platform) Logout(ctx context.Context, who holdfast.Principal) error {
	if err := checkPerson(who); err != nil {
		return err
	}
	return p.EndSession(ctx, who, who.SessionID)
}

// Sessions lists the sessions of the person who asks.
func (p *Platform) Sessions(ctx context.Context, who holdfast.Principal) ([]holdfast.Session, error) {
	if err := checkPerson(who); err != nil {
		return nil, err
	}
	var out []holdfast.Session
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.Sessions(who.PersonID); return err })
	live := out[:0]
	for _, s := range out {
		if now := p.now(); now.Before(s.ExpiresAt) && now.Sub(s.UsedAt) < sessionIdle {
			live = append(live, s)
		}
	}
	return live, err
}

// EndSession ends one session of the person who asks.
func (p *Platform) EndSession(ctx context.Context, who holdfast.Principal, id string) error {
	if err := checkPerson(who); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSession(who.PersonID, id); err != nil {
			return err
		}
		return p.record(tx, who, "logout", who.Name, map[string]any{"session": id})
	})
}

// EndSessions ends every session of the person who asks, this one too.
func (p *Platform) EndSessions(ctx context.Context, who holdfast.Principal) error {
	if err := checkPerson(who); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSessions(who.PersonID, ""); err != nil {
			return err
		}
		return p.record(tx, who, "logout.everywhere", who.Name, nil)
	})
}

// newDevice is a mark for a browser that signed in to an account.
func (p *Platform) newDevice(name string) string {
	text := newID("dev") + "." + hex.EncodeToString([]byte(strings.ToLower(name)))
	return text + "." + base64.RawURLEncoding.EncodeToString(p.store.Sign(devicePurpose, []byte(text)))
}

// device returns what a mark counts under, if it is one of ours for this account.
func (p *Platform) device(mark, name string) string {
	i := strings.LastIndexByte(mark, '.')
	if i < 0 || len(mark) > 512 {
		return ""
	}
	id, account, _ := strings.Cut(mark[:i], ".")
	signature, err := base64.RawURLEncoding.DecodeString(mark[i+1:])
	if err != nil || account != hex.EncodeToString([]byte(strings.ToLower(name))) || !sameBytes(signature, p.store.Sign(devicePurpose, []byte(mark[:i]))) {
		return ""
	}
	return id
}
