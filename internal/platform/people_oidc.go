package platform

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/egress"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	oidcTimeout = 15 * time.Second // for one answer of the provider
	// signInLife is how long somebody may take at the provider, and codeLife for the code of the authenticator afterwards.
	signInLife = 10 * time.Minute
	codeLife   = 5 * time.Minute

	signInPurpose = "oidc sign-in"
	codePurpose   = "oidc code"
)

// provider is the OpenID Connect provider as it described itself, kept while the settings are the same.
type provider struct {
	mu     sync.Mutex
	client *http.Client
	of     store.OIDC
	found  *identity.Provider
}

func newProvider(dial func(ctx context.Context, network, address string) (net.Conn, error)) *provider {
	if dial == nil {
		dial = egress.Guard{}.DialContext
	}
	return &provider{client: &http.Client{Timeout: oidcTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dial, TLSHandshakeTimeout: oidcTimeout, MaxIdleConns: 4, IdleConnTimeout: time.Minute}}}
}

// at asks the provider for its description, once for all who sign in.
func (v *provider) at(o store.OIDC) (*identity.Provider, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.found != nil && v.of == o {
		return v.found, nil
	}
	// What is found outlives the request that asked first; the client bounds how long asking takes.
	found, err := identity.Discover(context.Background(), v.client, o.Issuer, o.ClientID, o.Secret)
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the provider at " + o.Issuer + " cannot be asked: " + cut(err.Error(), 300), Hint: "check the issuer; one in a private network has to be allowed with `holdfast serve --allow-network`", Cause: err}
	}
	v.found, v.of = found, o
	return found, nil
}

// OIDC shows the provider that people may sign in with; NotFound where there is none.
func (p *Platform) OIDC(ctx context.Context, who holdfast.Principal) (holdfast.OIDC, error) {
	if err := checkInstallation(who); err != nil {
		return holdfast.OIDC{}, err
	}
	o, err := p.oidcSettings(ctx)
	return o.OIDC, err
}

func (p *Platform) oidcSettings(ctx context.Context) (o store.OIDC, err error) {
	var set bool
	err = p.store.View(ctx, func(tx *store.Tx) error { o, set, err = tx.OIDC(); return err })
	if err == nil && !set {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no provider to sign in with", Hint: "`holdfast oidc set` names one"}
	}
	return o, err
}

// SetOIDC lets people sign in with a provider, after it was asked for its description. An empty secret keeps the one that is there.
func (p *Platform) SetOIDC(ctx context.Context, who holdfast.Principal, ask holdfast.OIDC, secret string) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	if err := ask.Validate(); err != nil {
		return err
	}
	before, err := p.oidcSettings(ctx)
	if err != nil && holdfast.KindOf(err) != holdfast.NotFound {
		return err
	}
	if secret == "" && ask.Issuer == before.Issuer {
		secret = before.Secret // a secret of one provider is not shown to another
	}
	if secret == "" {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the provider's client secret is missing"}
	}
	next := store.OIDC{OIDC: ask, Secret: secret}
	if _, err := p.people.provider.at(next); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetOIDC(next); err != nil {
			return err
		}
		return p.record(tx, who, "oidc.set", ask.Issuer, map[string]any{"before": before.OIDC, "after": ask, "secret_changed": secret != before.Secret})
	})
}

// RemoveOIDC lets people sign in with passwords only. Who has none needs a link for one.
func (p *Platform) RemoveOIDC(ctx context.Context, who holdfast.Principal) error {
	if err := checkInstallation(who); err != nil {
		return err
	}
	before, err := p.oidcSettings(ctx)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteOIDC(); err != nil {
			return err
		}
		return p.record(tx, who, "oidc.remove", before.Issuer, map[string]any{"before": before.OIDC})
	})
}

// OIDCName is what the button says by which one signs in with a provider; empty where there is none. Everybody may know.
func (p *Platform) OIDCName(ctx context.Context) (string, error) {
	o, err := p.oidcSettings(ctx)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return "", nil
	}
	return o.Name, err
}

// signIn is what a browser keeps for us, sealed, while it is at the provider. It ties the way back to the browser that began.
type signIn struct {
	State, Nonce, Verifier string
	Redirect, To           string
	Until                  time.Time
}

// OIDCBegin sends a browser to the provider. It is to keep Kept, and to come back to redirect; to is where it wanted to go.
type OIDCBegin struct{ URL, Kept string }

// BeginOIDC begins to sign somebody in with the provider.
func (p *Platform) BeginOIDC(ctx context.Context, from From, redirect, to string) (OIDCBegin, error) {
	if err := p.people.throttle.begin(providerLimits(from)); err != nil {
		return OIDCBegin{}, err
	}
	o, err := p.oidcSettings(ctx)
	if err != nil {
		return OIDCBegin{}, err
	}
	at, err := p.people.provider.at(o)
	if err != nil {
		return OIDCBegin{}, err
	}
	s := signIn{State: rand.Text(), Nonce: rand.Text(), Verifier: identity.NewVerifier(), Redirect: redirect, To: cut(to, 500), Until: p.now().Add(signInLife)}
	kept, err := p.sealed(signInPurpose, s)
	return OIDCBegin{URL: at.AuthURL(redirect, s.State, s.Nonce, s.Verifier), Kept: kept}, err
}

// providerLimits bound how often one address makes us and the provider talk.
func providerLimits(from From) []limit {
	return []limit{{"provider " + network(from.Source), 30, 5 * time.Minute}}
}

// OIDCEnd is how signing in with a provider ended: somebody is in, or a code of the authenticator is still to come.
type OIDCEnd struct {
	LoggedIn
	To       string // where the browser wanted to go
	CodeKept string // to be kept until the code comes; empty: none is wanted
}

// FinishOIDC lets in who comes back from the provider. It is whom the provider means: by the subject that was linked before, else by a verified
// e-mail address of a person or of an invitation, and nobody else.
func (p *Platform) FinishOIDC(ctx context.Context, from From, kept, state, code string) (OIDCEnd, error) {
	var s signIn
	if err := p.unsealed(signInPurpose, kept, &s); err != nil || !p.now().Before(s.Until) || state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(s.State)) != 1 {
		return OIDCEnd{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "this sign-in was begun elsewhere, or took too long", Hint: "begin again"}
	}
	limits := providerLimits(from)
	if err := p.people.throttle.begin(limits); err != nil {
		return OIDCEnd{}, err
	}
	o, err := p.oidcSettings(ctx)
	if err != nil {
		return OIDCEnd{}, err
	}
	at, err := p.people.provider.at(o)
	if err != nil {
		return OIDCEnd{}, err
	}
	claims, err := at.Redeem(ctx, s.Redirect, code, s.Verifier, s.Nonce)
	if err != nil {
		p.log.Warn("sign in with the provider", "issuer", o.Issuer, "err", err)
		err = &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the provider did not confirm who you are", Hint: "begin again; the server's log says more", Cause: err}
		return OIDCEnd{}, p.providerRefused(ctx, from, "unknown", err)
	}
	person, err := p.personOf(ctx, from, claims)
	if err != nil {
		subject := person.Name
		if subject == "" {
			subject = "unknown"
		}
		return OIDCEnd{}, p.providerRefused(ctx, from, subject, err)
	}
	p.people.throttle.succeed(limits)
	if person.OneTimeCode { // the provider stands for the password only
		kept, err := p.sealed(codePurpose, codeWanted{Person: person.ID, Until: p.now().Add(codeLife)})
		return OIDCEnd{To: s.To, CodeKept: kept}, err
	}
	in, err := p.admit(ctx, from, person, "", "oidc")
	return OIDCEnd{LoggedIn: in, To: s.To}, err
}

func (p *Platform) providerRefused(ctx context.Context, from From, subject string, err error) error {
	who := holdfast.Principal{Name: "nobody", Source: from.Source}
	if err := p.recordAlone(ctx, who, "login.failed", subject, map[string]any{"by": "oidc", "why": err.Error()}); err != nil {
		return err
	}
	return err
}

// personOf finds whom the provider means, links that one at the first time, and makes a person of an invitation.
func (p *Platform) personOf(ctx context.Context, from From, c identity.Claims) (store.Person, error) {
	var person store.Person
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if person, err = tx.PersonByOIDC(c.Issuer, c.Subject); holdfast.KindOf(err) != holdfast.NotFound {
			return err
		}
		if c.Email == "" || !c.EmailVerified {
			return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "the provider did not verify your e-mail address", Hint: "verify it there, or sign in with a password"}
		}
		if person, err = tx.PersonByEmail(c.Email); holdfast.KindOf(err) == holdfast.NotFound {
			person, err = p.invited(tx, from, c.Email)
		}
		if err != nil {
			return err
		}
		if person.OIDCIssuer == c.Issuer && person.OIDCSubject != "" {
			// Addresses are given to somebody else when one leaves; accounts are not.
			return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "that e-mail address belonged to somebody else at the provider", Hint: "an admin of this server can write it anew: `holdfast user email`"}
		}
		if !person.DisabledAt.IsZero() {
			return nil // refused below, and not linked
		}
		if err := tx.LinkPerson(person.ID, c.Issuer, c.Subject); err != nil {
			return err
		}
		who := holdfast.Principal{Name: person.Name, Source: from.Source}
		return p.record(tx, who, "account.oidc_link", person.Name, map[string]any{"issuer": c.Issuer, "subject": c.Subject, "email": c.Email})
	})
	if err == nil && !person.DisabledAt.IsZero() {
		err = &holdfast.Error{Kind: holdfast.NotAllowed, Message: "this account is disabled", Hint: "ask an admin of this server"}
	}
	return person, err
}

// invited makes a person of the invitations for an e-mail address that the provider verified. Several may be waiting: one for each project.
func (p *Platform) invited(tx *store.Tx, from From, email string) (store.Person, error) {
	all, err := tx.InvitationsByEmail(email, p.now())
	if err != nil {
		return store.Person{}, err
	}
	if len(all) == 0 {
		return store.Person{}, &holdfast.Error{Kind: holdfast.NotAllowed, Message: "nobody with your e-mail address is known here", Hint: "ask an admin for an invitation to it"}
	}
	if err := holdfast.CheckPersonName(email); err != nil {
		return store.Person{}, err
	}
	person := store.Person{Person: holdfast.Person{ID: holdfast.PersonID(newID("per")), Name: email, Email: email, CreatedAt: p.now()}}
	for _, i := range all {
		person.Admin = person.Admin || i.Admin
	}
	who := holdfast.Principal{Name: "link " + all[0].ID, Source: from.Source}
	if err := p.insertPerson(tx, who, person); err != nil {
		return person, err
	}
	for _, i := range all {
		if err := p.takeUp(tx, holdfast.Principal{Name: "link " + i.ID, Source: from.Source}, i, person); err != nil {
			return person, err
		}
		if err := tx.DeleteInvitation(i.ID); err != nil {
			return person, err
		}
	}
	return person, nil
}

// codeWanted is what a browser keeps for us, sealed, between the provider and the code of the authenticator.
type codeWanted struct {
	Person holdfast.PersonID
	Until  time.Time
}

// FinishOIDCCode lets in who came back from the provider and has an authenticator.
func (p *Platform) FinishOIDCCode(ctx context.Context, from From, kept, code string) (LoggedIn, error) {
	var wanted codeWanted
	if err := p.unsealed(codePurpose, kept, &wanted); err != nil || !p.now().Before(wanted.Until) {
		return LoggedIn{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "this sign-in was begun elsewhere, or took too long", Hint: "begin again"}
	}
	var person store.Person
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { person, err = tx.Person(wanted.Person); return err })
	if err != nil || !person.DisabledAt.IsZero() {
		return LoggedIn{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the account is gone or disabled", Cause: err}
	}
	limits := limitsOf(person.Name, from.Source, p.device(from.Device, person.Name))
	if err := p.people.throttle.begin(limits); err != nil {
		return LoggedIn{}, err
	}
	if person, err = p.proveCode(ctx, person, code); err != nil {
		if holdfast.KindOf(err) == holdfast.Unauthenticated {
			return LoggedIn{}, p.providerRefused(ctx, from, person.Name, err)
		}
		return LoggedIn{}, err
	}
	p.people.throttle.succeed(limits)
	return p.admit(ctx, from, person, "", "oidc")
}

// sealed is a value that a browser keeps for us and cannot read, change or make.
func (p *Platform) sealed(purpose string, value any) (string, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	text, err := p.store.Seal(purpose, raw)
	return base64.RawURLEncoding.EncodeToString(text), err
}

func (p *Platform) unsealed(purpose, kept string, value any) error {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(kept))
	if err != nil {
		return err
	}
	raw, err := p.store.Unseal(purpose, text)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, value)
}
