package platform

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// System is the principal of what the product does by itself.
func System() holdfast.Principal {
	return holdfast.Principal{Name: "holdfast", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}
}

// Every decision on who may do what is made by the functions of this file, and by nothing else.

// sees says whether who may know that the project exists. What belongs to no project is seen by those who see all.
func sees(who holdfast.Principal, project holdfast.ProjectID) bool {
	if project == "" {
		return who.Everywhere().Includes(holdfast.MayRead)
	}
	return who.RightOn(project).Includes(holdfast.MayRead)
}

// checkProject refuses who may not do to the project as a whole what takes the right want. Who may not even see it is told that
// it does not exist.
func checkProject(who holdfast.Principal, p store.Project, want holdfast.Right) error {
	if !sees(who, p.ID) {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "project " + p.Name + " does not exist"}
	}
	if want != holdfast.MayRead && who.Kind == holdfast.AgentToken {
		return agentRefused("change a project")
	}
	if !who.RightOn(p.ID).Includes(want) {
		return refused(who, want, "project "+p.Name)
	}
	return nil
}

// checkOwner refuses who may not do what only a project's owners may: decide who owns it.
func checkOwner(who holdfast.Principal, p store.Project) error {
	if err := checkProject(who, p, holdfast.MayAdmin); err != nil {
		return err
	}
	if !who.Owns(p.ID) {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s may not do that to project %s: it takes an owner", who.Name, p.Name), Hint: "ask an owner of the project"}
	}
	return nil
}

// checkBranch refuses who may not change the branch or see its secrets. Production takes an admin, and never an agent.
func checkBranch(who holdfast.Principal, b store.Branch, want holdfast.Right) error {
	if !sees(who, b.ProjectID) {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "branch " + b.Ref().String() + " does not exist"}
	}
	// What a publish is rehearsed on has production's rows as they are.
	if (b.Environment == holdfast.Production || b.IsRehearsal()) && want != holdfast.MayRead {
		if who.Kind == holdfast.AgentToken {
			return agentRefused("touch production")
		}
		want = holdfast.MayAdmin
	}
	if !who.RightOn(b.ProjectID).Includes(want) {
		return refused(who, want, b.Ref().String())
	}
	return nil
}

// checkRows refuses who may not read the branch's rows. Whoever sees development sees its rows. Production's rows take an admin or
// a person to whom they were granted, and are never for an agent.
func checkRows(who holdfast.Principal, b store.Branch) error {
	err := checkBranch(who, b, holdfast.MayRead)
	if err != nil || !showsProduction(b) {
		return err
	}
	if who.Kind != holdfast.AgentToken && who.Members[b.ProjectID].Production {
		return nil
	}
	if who.Kind == holdfast.AgentToken {
		return agentRefused("read production's rows")
	}
	return checkBranch(who, b, holdfast.MayAdmin)
}

// showsProduction says whether a branch has production's rows as they are.
func showsProduction(b store.Branch) bool {
	return b.Environment == holdfast.Production || b.IsRehearsal() || b.ProductionRows
}

// checkQuery refuses who may not run SQL on a branch: reading takes the sight of its rows, writing the right to change it as well.
func checkQuery(who holdfast.Principal, b store.Branch, write bool) error {
	if err := checkRows(who, b); err != nil || !write {
		return err
	}
	if b.Look {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: b.Ref().String() + " is for reading only", Hint: "make a branch of that moment: `holdfast branch create NAME --from BRANCH --at MOMENT`"}
	}
	return checkBranch(who, b, holdfast.MayWrite)
}

// mayReadAsAgent says whether an agent may run a query on production as the role for that: it only reads, and an admin has allowed it for the project.
func mayReadAsAgent(who holdfast.Principal, b store.Branch, write bool, s AgentSettings) bool {
	return who.Kind == holdfast.AgentToken && b.Environment == holdfast.Production && s.ReadProduction && !write && who.RightOn(b.ProjectID).Includes(holdfast.MayRead)
}

// checkEdit refuses who may not edit rows of a branch by hand: it takes the right to write them, and on production to have asked for it lately
// (open), so that nobody does it in passing.
func checkEdit(who holdfast.Principal, b store.Branch, open bool) error {
	if err := checkQuery(who, b, true); err != nil {
		return err
	}
	if b.Environment == holdfast.Production && !open {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the rows of " + b.Ref().String() + " are for reading until you ask to edit them", Hint: "choose Edit again: it holds for 15 minutes"}
	}
	return nil
}

// checkCopy refuses who may not have a copy of the branch's data. A copy of production shows production: it takes the sight of its rows,
// unless it is masked or has none.
func checkCopy(who holdfast.Principal, from store.Branch, ask NewBranch) error {
	if showsProduction(from) && !ask.Masked && !ask.SchemaOnly {
		if who.Kind == holdfast.AgentToken {
			return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "an agent may not copy production's rows", Hint: "ask for a masked branch, or one with the schema only"}
		}
		if err := checkRows(who, from); err != nil {
			return err
		}
	}
	if !who.RightOn(from.ProjectID).Includes(holdfast.MayWrite) {
		return refused(who, holdfast.MayWrite, from.Ref().String())
	}
	return nil
}

// checkBackup refuses who may not do to a backup what takes the right want on its branch. Beyond its description, a backup of production is
// production: it takes an admin, and never an agent.
func checkBackup(who holdfast.Principal, b store.Backup, want holdfast.Right) error {
	if !sees(who, b.ProjectID) {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "backup " + string(b.ID) + " does not exist"}
	}
	return checkBranch(who, backedUp(b), want)
}

// backedUp is the branch that a backup is of, which need not be there any more.
func backedUp(b store.Backup) store.Branch {
	return store.Branch{Branch: holdfast.Branch{ProjectID: b.ProjectID, Project: b.Project, Name: b.Branch, Environment: b.Environment}}
}

// checkNewBranch refuses who may not make a branch in the project.
func checkNewBranch(who holdfast.Principal, p store.Project) error {
	if !who.RightOn(p.ID).Includes(holdfast.MayWrite) {
		return refused(who, holdfast.MayWrite, "project "+p.Name)
	}
	return nil
}

// checkProtection refuses who may not change whether a branch is protected.
func checkProtection(who holdfast.Principal, b store.Branch) error {
	if who.Kind == holdfast.AgentToken {
		return agentRefused("change protection")
	}
	return checkBranch(who, b, holdfast.MayAdmin)
}

// checkCancel refuses who may not stop a job: it takes who began it, or an admin of what it works on.
func checkCancel(who holdfast.Principal, j holdfast.Job) error {
	if j.Actor == who.Name || j.ProjectID != "" && who.RightOn(j.ProjectID).Includes(holdfast.MayAdmin) || who.Everywhere().Includes(holdfast.MayAdmin) {
		return nil
	}
	return refused(who, holdfast.MayAdmin, "a job of somebody else")
}

// checkProposal refuses who may not plan and rehearse a publish. Agents may: nothing of it changes production.
func checkProposal(who holdfast.Principal, p store.Project) error {
	if !sees(who, p.ID) {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "project " + p.Name + " does not exist"}
	}
	if !who.RightOn(p.ID).Includes(holdfast.MayWrite) {
		return refused(who, holdfast.MayWrite, "project "+p.Name)
	}
	return nil
}

// checkPublish refuses who may not approve a publish, apply it or take it back: that changes production.
func checkPublish(who holdfast.Principal, production store.Branch) error {
	if sees(who, production.ProjectID) && who.Kind == holdfast.AgentToken {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "an agent may plan and rehearse a publish, and not approve, apply or revert it", Hint: "a person applies it: `holdfast publish apply`"}
	}
	return checkBranch(who, production, holdfast.MayAdmin)
}

// checkHooks refuses who may not set what is run on a copy of production: at a rehearsal, when a backup is proved. A command runs on this machine, and an address in a private network is
// asked from it: both are for whom the installation belongs to.
func checkHooks(who holdfast.Principal, p store.Project, old, hooks holdfast.Hooks) error {
	if err := checkProject(who, p, holdfast.MayAdmin); err != nil {
		return err
	}
	onMachine := hooks.Command != "" && (hooks.Command != old.Command || hooks.CommandTimeout != old.CommandTimeout)
	if onMachine || hooks.AllowPrivate && (!old.AllowPrivate || hooks.URL != old.URL) {
		return checkInstallation(who)
	}
	return nil
}

// checkInstallation refuses who may not change what concerns every project.
func checkInstallation(who holdfast.Principal) error {
	if who.Kind == holdfast.AgentToken {
		return agentRefused("change the installation")
	}
	if !who.Everywhere().Includes(holdfast.MayAdmin) {
		return refused(who, holdfast.MayAdmin, "the installation")
	}
	return nil
}

// checkPlace refuses who may not have a project's data kept there. A folder is a path on the machine: whoever may name any could write over what is
// not the project's.
func checkPlace(who holdfast.Principal, l holdfast.Location) error {
	if l.Kind != holdfast.FolderLocation {
		return nil
	}
	if err := checkInstallation(who); err != nil {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "a folder on the server can be named by an admin of the installation only", Hint: "ask one, or use S3-compatible storage", Cause: err}
	}
	return nil
}

// checkPerson refuses who is not a person who signed in: the account is not the business of a token, whoever made it.
func checkPerson(who holdfast.Principal) error {
	if who.Kind == holdfast.PersonKind && who.PersonID != "" {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "that is for people who signed in, about their own account", Hint: "sign in with a name and a password"}
}

// checkTokens refuses who may not make or see any token: agents, and tokens that belong to nobody and do not reach the installation.
func checkTokens(who holdfast.Principal) error {
	switch who.Kind {
	case holdfast.AgentToken:
		return agentRefused("make or see tokens")
	case holdfast.MetricsToken:
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "a metrics token may read the metrics and nothing else"}
	}
	if who.PersonID == "" {
		return checkInstallation(who)
	}
	return nil
}

// checkGrant refuses to make a token that could do more, elsewhere or for longer than who makes it.
func checkGrant(who holdfast.Principal, ask NewToken, project holdfast.ProjectID, until time.Time) error {
	exceeds := func(how string) error {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "a token cannot " + how + " than who makes it", Hint: "ask for less, or ask an admin of this server"}
	}
	switch {
	case (ask.Kind == holdfast.AdminToken || ask.Kind == holdfast.MetricsToken) && !who.Everywhere().Includes(holdfast.MayAdmin):
		return exceeds("reach further")
	case project == "" && (who.ProjectID != "" || !who.Right.Includes(ask.Right)):
		return exceeds("reach further")
	case project != "" && !sees(who, project):
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "project " + ask.Project + " does not exist"}
	case project != "" && !who.RightOn(project).Includes(ask.Right):
		return exceeds("do more")
	case !who.ExpiresAt.IsZero() && (until.IsZero() || until.After(who.ExpiresAt)):
		return exceeds("last longer")
	}
	return nil
}

// checkRemoval refuses who may not remove a branch for good at once. An agent removes previews so that they can be brought back.
func checkRemoval(who holdfast.Principal, now bool) error {
	if now && who.Kind == holdfast.AgentToken {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "an agent may not remove anything for good at once", Hint: "remove it without `now`: it is kept for seven days"}
	}
	return nil
}

// checkAlert refuses who may not mute or acknowledge an alert: it takes an admin of what it is about.
func checkAlert(who holdfast.Principal, a holdfast.Alert) error {
	switch {
	case !sees(who, a.ProjectID):
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "alert " + string(a.ID) + " does not exist"}
	case who.Kind == holdfast.AgentToken:
		return agentRefused("mute or acknowledge alerts")
	case a.ProjectID == "":
		return checkInstallation(who)
	case !who.RightOn(a.ProjectID).Includes(holdfast.MayAdmin):
		return refused(who, holdfast.MayAdmin, "alerts of "+a.Place)
	}
	return nil
}

// checkChannel refuses who may not let a channel reach private networks from this machine: that is for whom the installation belongs to.
func checkChannel(who holdfast.Principal, old, c holdfast.Channel, newAddress bool) error {
	if c.AllowPrivate && (!old.AllowPrivate || newAddress) {
		return checkInstallation(who)
	}
	return nil
}

// checkMetrics refuses who may not read the metrics, which name every project and branch: it takes an admin of the installation, or a
// token made for that alone.
func checkMetrics(who holdfast.Principal) error {
	if who.Kind == holdfast.MetricsToken && who.Members == nil || who.Kind != holdfast.AgentToken && who.Everywhere().Includes(holdfast.MayAdmin) {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: who.Name + " may not read the metrics: they name every project", Hint: "make a token for that: `holdfast token create prometheus --kind metrics`"}
}

func refused(who holdfast.Principal, want holdfast.Right, what string) error {
	hint := "use a token with that right; `holdfast token create --right` makes one"
	if who.Kind == holdfast.PersonKind {
		hint = "an admin of the project can give you another role: `holdfast member set`"
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s may not do that to %s: it takes the right %q", who.Name, what, want), Hint: hint}
}

func agentRefused(what string) error {
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "an agent may not " + what, Hint: "work on development or on a preview; a person publishes to production"}
}

// Authenticate finds out who holds a token's secret.
func (p *Platform) Authenticate(ctx context.Context, secret string) (holdfast.Principal, error) {
	var t holdfast.Token
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		// The secret has 256 random bits: finding its hash by index gives nothing away that helps to guess it.
		t, err = tx.TokenByHash(hashSecret(secret))
		return err
	})
	unknown := &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the token is not valid", Hint: "it may have expired or been revoked; `holdfast login` sets another"}
	switch {
	case holdfast.KindOf(err) == holdfast.NotFound:
		return holdfast.Principal{}, unknown
	case err != nil:
		return holdfast.Principal{}, err
	case t.Kind == holdfast.SetupToken, !t.ExpiresAt.IsZero() && p.now().After(t.ExpiresAt):
		return holdfast.Principal{}, unknown
	}
	who := holdfast.Principal{Name: "token " + t.Name, Kind: t.Kind, ProjectID: t.ProjectID, Right: t.Right, PersonID: t.PersonID, ExpiresAt: t.ExpiresAt}
	if t.PersonID != "" {
		if who, err = p.boundToken(ctx, who); err != nil {
			return holdfast.Principal{}, err
		}
	}
	if t.Kind == holdfast.MetricsToken {
		who.Right = "" // on no project and not on the installation; see checkMetrics
	}
	p.touchToken(ctx, t)
	return who, nil
}

// boundToken is a person's token with the bounds that the person has now.
func (p *Platform) boundToken(ctx context.Context, who holdfast.Principal) (holdfast.Principal, error) {
	err := p.store.View(ctx, func(tx *store.Tx) error {
		person, err := tx.Person(who.PersonID)
		if err != nil {
			return err
		}
		if !person.DisabledAt.IsZero() {
			return &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the token is not valid", Hint: "the account that it belongs to is disabled"}
		}
		self, err := personPrincipal(tx, person.Person)
		who.Name += " of " + person.Name
		who.Members = self.Members
		return err
	})
	return who, err
}

// touchToken records the use, at most once a minute: a write for every request would be the slowest part of it.
func (p *Platform) touchToken(ctx context.Context, t holdfast.Token) {
	now := p.now()
	if now.Sub(t.LastUsedAt) < time.Minute {
		return
	}
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.TouchToken(t.ID, now) }); err != nil && ctx.Err() == nil {
		p.log.Warn("record the use of a token", "token", t.ID, "err", err)
	}
}

// NewToken asks for a token. Zero ExpiresIn is for ever; empty Project is every project.
type NewToken struct {
	Name      string
	Kind      holdfast.TokenKind
	Project   string
	Right     holdfast.Right
	ExpiresIn time.Duration
}

// CreateToken makes a token and returns its secret, which is never shown again.
func (p *Platform) CreateToken(ctx context.Context, who holdfast.Principal, ask NewToken) (string, holdfast.Token, error) {
	var none holdfast.Token
	if err := checkTokens(who); err != nil {
		return "", none, err
	}
	if err := checkNewToken(ask); err != nil {
		return "", none, err
	}
	var secret string
	var t holdfast.Token
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		var project holdfast.ProjectID
		if ask.Project != "" {
			found, err := tx.ProjectByName(ask.Project)
			if err != nil {
				return err
			}
			project = found.ID
		}
		var until time.Time
		if ask.ExpiresIn > 0 {
			until = p.now().Add(ask.ExpiresIn)
		}
		if err := checkGrant(who, ask, project, until); err != nil {
			return err
		}
		secret, t, err = p.insertToken(tx, who, ask, project)
		return err
	})
	return secret, t, err
}

func checkNewToken(ask NewToken) error {
	invalid := func(message string) error { return &holdfast.Error{Kind: holdfast.Invalid, Message: message} }
	switch {
	case ask.Name == "" || len(ask.Name) > 100:
		return invalid("a token needs a name of at most 100 bytes")
	case ask.Kind != holdfast.AdminToken && ask.Kind != holdfast.UserToken && ask.Kind != holdfast.AgentToken && ask.Kind != holdfast.MetricsToken:
		return invalid("a token's kind is admin, user, agent or metrics")
	case ask.Kind == holdfast.MetricsToken && (ask.Project != "" || ask.Right != holdfast.MayRead):
		return invalid("a metrics token reads the metrics of the whole installation")
	case ask.Kind == holdfast.AdminToken && (ask.Project != "" || ask.Right != holdfast.MayAdmin):
		return invalid("an admin token has every right on every project")
	case ask.Kind == holdfast.AgentToken && (ask.Project == "" || ask.Right == holdfast.MayAdmin):
		return invalid("an agent's token belongs to one project and may read or write")
	case !ask.Right.Includes(holdfast.MayRead):
		return invalid("a token's right is read, write or admin")
	case ask.ExpiresIn < 0:
		return invalid("a token cannot expire in the past")
	}
	return nil
}

func (p *Platform) insertToken(tx *store.Tx, who holdfast.Principal, ask NewToken, project holdfast.ProjectID) (string, holdfast.Token, error) {
	secret := newSecret("hf_" + string(ask.Kind) + "_")
	t := holdfast.Token{ID: newID("tok"), Name: ask.Name, Kind: ask.Kind, ProjectID: project, Right: ask.Right, PersonID: who.PersonID, CreatedAt: p.now()}
	if ask.ExpiresIn > 0 {
		t.ExpiresAt = t.CreatedAt.Add(ask.ExpiresIn)
	}
	if err := tx.InsertToken(t, hashSecret(secret)); err != nil {
		return "", t, err
	}
	return secret, t, p.record(tx, who, "token.create", t.Name, map[string]any{"id": t.ID, "kind": t.Kind, "right": t.Right, "project": t.ProjectID})
}

// Tokens lists tokens without their secrets: all of them for an admin of the installation, for another person those of that person.
func (p *Platform) Tokens(ctx context.Context, who holdfast.Principal) ([]TokenView, error) {
	if err := checkTokens(who); err != nil {
		return nil, err
	}
	all := checkInstallation(who) == nil
	var out []TokenView
	err := p.store.View(ctx, func(tx *store.Tx) error {
		people, err := tx.People()
		if err != nil {
			return err
		}
		names := map[holdfast.PersonID]string{}
		for _, person := range people {
			names[person.ID] = person.Name
		}
		tokens, err := tx.Tokens()
		for _, t := range tokens {
			if all || t.PersonID == who.PersonID {
				out = append(out, TokenView{Token: t, Person: names[t.PersonID]})
			}
		}
		return err
	})
	return out, err
}

// TokenView is a token with the name of whose it is; empty: the installation's own.
type TokenView struct {
	holdfast.Token
	Person string
}

// RevokeToken ends a token at once.
func (p *Platform) RevokeToken(ctx context.Context, who holdfast.Principal, id string) error {
	if err := checkTokens(who); err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		t, err := tx.Token(id)
		if err == nil && t.PersonID != who.PersonID && checkInstallation(who) != nil {
			err = &holdfast.Error{Kind: holdfast.NotFound, Message: "token " + id + " does not exist"}
		}
		if err == nil {
			err = tx.DeleteToken(id)
		}
		if err != nil {
			return err
		}
		return p.record(tx, who, "token.revoke", id, map[string]any{"name": t.Name})
	})
}

// setupLifetime is how long the link of the first start is good for.
const setupLifetime = 24 * time.Hour

// FirstStart makes the admin token and the one-time set-up token of an installation that has no token yet. Both are empty when
// it has.
func (p *Platform) FirstStart(ctx context.Context) (admin, setup string, err error) {
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		tokens, err := tx.Tokens()
		if err != nil || len(tokens) > 0 {
			return err
		}
		if admin, _, err = p.insertToken(tx, System(), NewToken{Name: "first admin", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}, ""); err != nil {
			return err
		}
		setup, _, err = p.insertToken(tx, System(), NewToken{Name: "set-up", Kind: holdfast.SetupToken, Right: holdfast.MayAdmin, ExpiresIn: setupLifetime}, "")
		return err
	})
	return admin, setup, err
}

// RedeemSetup exchanges the one-time set-up token for an admin token with the given name. source is the address that the request came from.
func (p *Platform) RedeemSetup(ctx context.Context, source, setupSecret, name string) (string, holdfast.Token, error) {
	var secret string
	var t holdfast.Token
	if name == "" || len(name) > 100 {
		return "", t, &holdfast.Error{Kind: holdfast.Invalid, Message: "a token needs a name of at most 100 bytes"}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		link, err := p.findLink(tx, setupSecret)
		if err == nil && link.ID != setupLink {
			err = &holdfast.Error{Kind: holdfast.Invalid, Message: "that is an invitation for a person, and not the set-up link", Hint: "open it in a browser, or use `holdfast user join`"}
		}
		if err != nil {
			return err
		}
		if err := p.takeLink(tx, link); err != nil {
			return err
		}
		who := holdfast.Principal{Name: "set-up link", Source: source}
		secret, t, err = p.insertToken(tx, who, NewToken{Name: name, Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}, "")
		return err
	})
	return secret, t, err
}

// newSecret makes a secret of 256 random bits behind a prefix by which scanners recognise it.
func newSecret(prefix string) string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// newPassword makes a password of letters and digits only, so that it needs no quoting in URLs, shells and files.
func newPassword() string { return rand.Text() + rand.Text()[:6] }

// newID makes an identifier that is never used again. Its prefix says of what it is.
func newID(prefix string) string {
	var b [10]byte
	rand.Read(b[:])
	return prefix + "_" + hex.EncodeToString(b[:])
}

func hashSecret(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}
