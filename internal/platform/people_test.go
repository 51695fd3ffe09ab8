package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/store"
)

const password = "a long password"

// town is a platform with two projects that have no servers, with a clock of its own and with passwords that are cheap to check.
func town(t *testing.T) (*Platform, *time.Time) {
	t.Helper()
	h := newHome(t)
	p := h.open(t)
	now := time.Now()
	p.now = func() time.Time { return now }
	p.people.cost = identity.Cost{Memory: 64, Time: 1, Threads: 1}
	err := h.store.Update(t.Context(), func(tx *store.Tx) error {
		for _, name := range []string{"shop", "other"} {
			if err := tx.InsertProject(store.Project{Project: holdfast.Project{ID: holdfast.ProjectID("prj_" + name), Name: name, Major: 18, CreatedAt: now}, State: store.Ready}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, &now
}

func settle(t *testing.T, p *Platform, name string, role holdfast.MemberRole) {
	t.Helper()
	if _, err := p.CreatePerson(t.Context(), admin, NewPerson{Name: name, Password: password}); err != nil {
		t.Fatal(err)
	}
	if role != "" {
		if err := p.SetMember(t.Context(), admin, "shop", name, role, false); err != nil {
			t.Fatal(err)
		}
	}
}

func login(p *Platform, name, password, code, source string) (LoggedIn, error) {
	return p.Login(context.Background(), From{Source: source, Agent: "test"}, Credentials{Name: name, Password: password, Code: code})
}

func mustLogin(t *testing.T, p *Platform, name string) LoggedIn {
	t.Helper()
	l, err := login(p, name, password, "", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantKind(t *testing.T, what string, err error, want holdfast.Kind) {
	t.Helper()
	if err == nil || holdfast.KindOf(err) != want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestAPersonSignsInAndASessionEnds(t *testing.T) {
	p, now := town(t)
	settle(t, p, "ann", holdfast.Developer)
	_, err := login(p, "ann", "a wrong password", "", "192.0.2.1")
	wantKind(t, "a wrong password", err, holdfast.Unauthenticated)
	_, unknown := login(p, "bob", password, "", "192.0.2.1")
	if unknown == nil || unknown.Error() != err.Error() {
		t.Errorf("a stranger learns who exists: %v, %v", err, unknown)
	}
	l := mustLogin(t, p, "ANN")
	who, err := p.AuthenticateSession(t.Context(), l.Secret)
	if err != nil || who.Name != "ann" || who.RightOn("prj_shop") != holdfast.MayWrite || who.RightOn("prj_other") != "" {
		t.Fatalf("got %+v, %v", who, err)
	}
	_, err = p.Authenticate(t.Context(), l.Secret)
	wantKind(t, "a session's secret as a token", err, holdfast.Unauthenticated)

	*now = now.Add(sessionIdle - time.Minute)
	if _, err := p.AuthenticateSession(t.Context(), l.Secret); err != nil {
		t.Errorf("a session that is used ends: %v", err)
	}
	*now = now.Add(sessionIdle)
	_, err = p.AuthenticateSession(t.Context(), l.Secret)
	wantKind(t, "a session that was not used", err, holdfast.Unauthenticated)

	l = mustLogin(t, p, "ann")
	for range 2 * sessionLife / sessionIdle {
		*now = now.Add(sessionIdle / 2)
		_, err = p.AuthenticateSession(t.Context(), l.Secret)
	}
	wantKind(t, "a session that was used all the time", err, holdfast.Unauthenticated)

	here, there := mustLogin(t, p, "ann"), mustLogin(t, p, "ann")
	sessions, err := p.Sessions(t.Context(), here.Who)
	if err != nil || len(sessions) != 2 {
		t.Errorf("got %+v, %v", sessions, err)
	}
	if err := p.ChangePassword(t.Context(), here.Who, password, "another password"); err != nil {
		t.Fatal(err)
	}
	_, err = p.AuthenticateSession(t.Context(), there.Secret)
	wantKind(t, "another session after the password was changed", err, holdfast.Unauthenticated)
	if _, err := p.AuthenticateSession(t.Context(), here.Secret); err != nil {
		t.Errorf("the session that changed the password ended: %v", err)
	}
	if err := p.EndSessions(t.Context(), here.Who); err != nil {
		t.Fatal(err)
	}
	_, err = p.AuthenticateSession(t.Context(), here.Secret)
	wantKind(t, "after signing out everywhere", err, holdfast.Unauthenticated)
	trail(t, p, "person.create", "member.set", "login.failed", "login", "account.password", "logout.everywhere")
}

// trail checks that each action is in the audit trail, and no password.
func trail(t *testing.T, p *Platform, actions ...string) {
	t.Helper()
	entries, err := p.Audit(t.Context(), admin, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range actions {
		if !slices.ContainsFunc(entries, func(e AuditEntry) bool { return e.Action == action }) {
			t.Errorf("%s is not in the audit trail", action)
		}
	}
	if text := fmt.Sprintf("%+v", entries); strings.Contains(text, password) || strings.Contains(text, "hf_") {
		t.Error("a secret is in the audit trail")
	}
}

// A stranger who guesses is slowed down; the owner of the account gets in meanwhile, from elsewhere and from a browser that is known.
func TestGuessingIsSlowedDownAndLocksNobodyOut(t *testing.T) {
	p, now := town(t)
	settle(t, p, "ann", "")
	settle(t, p, "bob", "")
	known := mustLogin(t, p, "ann").Device
	guess := func(name, source string) holdfast.Kind {
		_, err := login(p, name, "a wrong guess!", "", source)
		return holdfast.KindOf(err)
	}
	wrong := 0
	for range 20 {
		if guess("ann", "203.0.113.9") == holdfast.Unauthenticated {
			wrong++
		}
	}
	if wrong != 6 {
		t.Errorf("%d guesses at once were looked at, want 6", wrong)
	}
	_, err := login(p, "ann", password, "", "203.0.113.9")
	wantKind(t, "the right password from where was guessed", err, holdfast.TooMany)
	if _, err := login(p, "ann", password, "", "192.0.2.7"); err != nil {
		t.Errorf("the owner from elsewhere: %v", err)
	}
	if _, err := p.Login(t.Context(), From{Source: "203.0.113.9", Device: known}, Credentials{Name: "ann", Password: password}); err != nil {
		t.Errorf("the owner from behind the same address, in a known browser: %v", err)
	}
	for range 100 { // from a whole subnet, and with others' names
		guess(fmt.Sprintf("user%d", wrong), fmt.Sprintf("2001:db8::%d", wrong))
		guess("bob", fmt.Sprintf("198.51.100.%d", wrong))
		wrong++
	}
	if got := guess("bob", "2001:db8::ffff"); got != holdfast.TooMany {
		t.Errorf("a subnet is not taken for one source: %v", got)
	}
	if p.device(known, "bob") != "" || p.device(known+"x", "ann") != "" || p.device(known, "Ann") == "" {
		t.Error("a browser's mark counts for another account, forged, or not for its own")
	}
	for range 30 {
		guess("ann", fmt.Sprintf("10.0.%d.1", wrong))
		wrong++
	}
	if _, err := p.Login(t.Context(), From{Source: "192.0.2.50", Device: known}, Credentials{Name: "ann", Password: password}); err != nil {
		t.Errorf("the owner, while many sources guess: %v", err)
	}
	*now = now.Add(throttleMemory + time.Minute)
	if _, err := login(p, "ann", password, "", "203.0.113.9"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestManyGuessesAtOnceAreCountedBeforeTheyFail(t *testing.T) {
	now := time.Now()
	th := newThrottle(func() time.Time { return now })
	limits := limitsOf("ann", "203.0.113.9", "")
	let := 0
	for range 50 {
		if th.begin(limits) == nil {
			let++
		}
	}
	if let != 6 {
		t.Errorf("%d were let through", let)
	}
}

func TestAnUnknownNameTakesAsLongAsAWrongPassword(t *testing.T) {
	p, _ := town(t)
	p.people.cost = identity.Cost{Memory: 16 << 10, Time: 2, Threads: 1}
	settle(t, p, "ann", "")
	took := map[string][]time.Duration{}
	for i := range 15 {
		for _, name := range []string{"ann", "nobody"} {
			began := time.Now()
			_, err := login(p, name, "a wrong guess!", "", fmt.Sprintf("192.0.2.%d", i))
			took[name] = append(took[name], time.Since(began))
			wantKind(t, name, err, holdfast.Unauthenticated)
		}
	}
	median := func(name string) time.Duration { slices.Sort(took[name]); return took[name][len(took[name])/2] }
	if a, b := median("ann"), median("nobody"); a > 2*b || b > 2*a {
		t.Errorf("a wrong password takes %s, an unknown name %s", a, b)
	}
}

func TestSigningInWithAnAuthenticator(t *testing.T) {
	p, now := town(t)
	settle(t, p, "ann", "")
	who := mustLogin(t, p, "ann").Who
	_, err := p.BeginCode(t.Context(), who, "not the password")
	wantKind(t, "without the password", err, holdfast.Invalid)
	if _, err := p.BeginCode(t.Context(), who, password); err != nil {
		t.Fatal(err)
	}
	var person store.Person
	read := func() {
		_ = p.store.View(t.Context(), func(tx *store.Tx) (err error) { person, err = tx.Person(who.PersonID); return err })
	}
	read()
	mustLogin(t, p, "ann") // it counts for nothing yet
	_, err = p.ConfirmCode(t.Context(), who, "000000x")
	wantKind(t, "a wrong confirmation", err, holdfast.Invalid)
	recovery, err := p.ConfirmCode(t.Context(), who, identity.CodeAt(person.CodeSecret, *now))
	if err != nil || len(recovery) != recoveryCodes {
		t.Fatalf("got %v, %v", recovery, err)
	}
	_, err = login(p, "ann", password, "", "192.0.2.1")
	wantKind(t, "no code", err, holdfast.Precondition)
	_, err = login(p, "ann", password, identity.CodeAt(person.CodeSecret, *now), "192.0.2.1")
	wantKind(t, "the code that confirmed", err, holdfast.Unauthenticated)
	*now = now.Add(time.Minute)
	code := identity.CodeAt(person.CodeSecret, *now)
	if _, err := login(p, "ann", password, code, "192.0.2.1"); err != nil {
		t.Errorf("the code: %v", err)
	}
	_, err = login(p, "ann", password, code, "192.0.2.2")
	wantKind(t, "the code a second time", err, holdfast.Unauthenticated)
	_, err = login(p, "ann", "a wrong password", recovery[0], "192.0.2.3")
	wantKind(t, "a wrong password with a recovery code", err, holdfast.Unauthenticated)
	if _, err := login(p, "ann", password, strings.ToLower(recovery[0]), "192.0.2.4"); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	_, err = login(p, "ann", password, recovery[0], "192.0.2.5")
	wantKind(t, "a recovery code a second time", err, holdfast.Unauthenticated)
	guesses := 0
	for i := range 30 {
		if _, err := login(p, "ann", password, fmt.Sprintf("%06d", i), "192.0.2.6"); holdfast.KindOf(err) == holdfast.Unauthenticated {
			guesses++
		}
	}
	if guesses > 6 {
		t.Errorf("%d codes could be tried at once", guesses)
	}
	if _, err := p.ChangePerson(t.Context(), admin, "ann", PersonChange{NoCode: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := login(p, "ann", password, "", "192.0.2.8"); err != nil {
		t.Errorf("after the authenticator was forgotten: %v", err)
	}
	read()
	if len(person.CodeSecret) != 0 {
		t.Error("the secret is kept")
	}
	trail(t, p, "account.code_on", "login.recovery_code", "account.code_off")
}

func TestATokenNeverExceedsItsMaker(t *testing.T) {
	p, now := town(t)
	settle(t, p, "ann", holdfast.Developer)
	ann := mustLogin(t, p, "ann").Who
	user := func(project string, right holdfast.Right, life time.Duration) NewToken {
		return NewToken{Name: "t", Kind: holdfast.UserToken, Project: project, Right: right, ExpiresIn: life}
	}
	for name, ask := range map[string]NewToken{
		"more right":      user("shop", holdfast.MayAdmin, 0),
		"an admin token":  {Name: "t", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin},
		"another project": user("other", holdfast.MayRead, 0),
	} {
		if _, _, err := p.CreateToken(t.Context(), ann, ask); holdfast.KindOf(err) != holdfast.NotAllowed && holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("%s: got %v", name, err)
		}
	}
	secret, made, err := p.CreateToken(t.Context(), ann, user("shop", holdfast.MayWrite, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	agent, _, err := p.CreateToken(t.Context(), ann, NewToken{Name: "a", Kind: holdfast.AgentToken, Project: "shop", Right: holdfast.MayWrite})
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.Authenticate(t.Context(), secret)
	if err != nil || token.RightOn("prj_shop") != holdfast.MayWrite || token.Name != "token t of ann" {
		t.Fatalf("got %+v, %v", token, err)
	}
	for name, ask := range map[string]NewToken{"longer": user("shop", holdfast.MayRead, 0), "wider": user("", holdfast.MayRead, time.Minute)} {
		_, _, err := p.CreateToken(t.Context(), token, ask)
		wantKind(t, "a token's token that is "+name, err, holdfast.NotAllowed)
	}
	if _, _, err := p.CreateToken(t.Context(), token, user("shop", holdfast.MayRead, time.Minute)); err != nil {
		t.Errorf("a smaller token: %v", err)
	}
	agentWho, _ := p.Authenticate(t.Context(), agent)
	_, _, err = p.CreateToken(t.Context(), agentWho, user("shop", holdfast.MayRead, time.Minute))
	wantKind(t, "an agent's token", err, holdfast.NotAllowed)
	_, err = p.Sessions(t.Context(), token)
	wantKind(t, "the account by a token", err, holdfast.NotAllowed)

	// The token follows its person down.
	if err := p.SetMember(t.Context(), admin, "shop", "ann", holdfast.Viewer, false); err != nil {
		t.Fatal(err)
	}
	if token, err = p.Authenticate(t.Context(), secret); err != nil || token.RightOn("prj_shop") != holdfast.MayRead {
		t.Errorf("got %v, %v", token.RightOn("prj_shop"), err)
	}
	settle(t, p, "bob", holdfast.Owner)
	bob := mustLogin(t, p, "bob").Who
	if tokens, err := p.Tokens(t.Context(), bob); err != nil || len(tokens) != 0 {
		t.Errorf("bob sees %+v, %v", tokens, err)
	}
	wantKind(t, "somebody else's token", p.RevokeToken(t.Context(), bob, made.ID), holdfast.NotFound)
	yes, no := true, false
	for _, disabled := range []*bool{&yes, &no} {
		if _, err := p.ChangePerson(t.Context(), admin, "ann", PersonChange{Disabled: disabled}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Authenticate(t.Context(), secret); (err != nil) != *disabled {
			t.Errorf("disabled %v: %v", *disabled, err)
		}
	}
	if err := p.DeletePerson(t.Context(), admin, "ann"); err != nil {
		t.Fatal(err)
	}
	_, err = p.Authenticate(t.Context(), agent)
	wantKind(t, "the agent of somebody who is gone", err, holdfast.Unauthenticated)
	*now = now.Add(time.Second)
}

func TestALinkWorksOnceAndForAWhile(t *testing.T) {
	p, now := town(t)
	from := From{Source: "192.0.2.1"}
	_, setup, err := p.FirstStart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Join(t.Context(), from, setup, "ada", "short")
	wantKind(t, "a short password", err, holdfast.Invalid)
	ada, err := p.Join(t.Context(), from, setup, "ada", password)
	if err != nil || ada.Who.Everywhere() != holdfast.MayAdmin {
		t.Fatalf("got %+v, %v", ada.Who, err)
	}
	_, err = p.Join(t.Context(), from, setup, "mallory", password)
	wantKind(t, "the set-up link again", err, holdfast.Unauthenticated)

	settle(t, p, "olga", holdfast.Owner)
	settle(t, p, "adam", holdfast.Admin)
	olga, adam := mustLogin(t, p, "olga").Who, mustLogin(t, p, "adam").Who
	_, _, err = p.Invite(t.Context(), adam, NewInvitation{Project: "shop", Role: holdfast.Owner})
	wantKind(t, "an admin who invites an owner", err, holdfast.NotAllowed)
	_, _, err = p.Invite(t.Context(), olga, NewInvitation{Project: "shop", Role: holdfast.Viewer, Admin: true})
	wantKind(t, "an owner who invites an admin of the installation", err, holdfast.NotAllowed)
	secret, _, err := p.Invite(t.Context(), adam, NewInvitation{Project: "shop", Role: holdfast.Developer, Production: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Join(t.Context(), from, secret, "ADA", password)
	wantKind(t, "a name that is taken", err, holdfast.Conflict)
	dan, err := p.Join(t.Context(), from, secret, "dan", password)
	if err != nil || dan.Who.Members["prj_shop"].Role != holdfast.Developer || !dan.Who.Members["prj_shop"].Production {
		t.Fatalf("got %+v, %v", dan.Who, err)
	}
	_, err = p.Join(t.Context(), from, secret, "eve", password)
	wantKind(t, "an invitation again", err, holdfast.Unauthenticated)
	late, i, err := p.Invite(t.Context(), ada.Who, NewInvitation{ExpiresIn: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RevokeInvitation(t.Context(), adam, "shop", i.ID); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a project's admin ends another's invitation: %v", err)
	}
	*now = now.Add(time.Hour)
	_, err = p.Join(t.Context(), from, late, "eve", password)
	wantKind(t, "an invitation that is over", err, holdfast.Unauthenticated)

	reset, _, err := p.ResetLink(t.Context(), ada.Who, "dan")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Join(t.Context(), from, reset, "", "another password"); err != nil {
		t.Fatal(err)
	}
	_, err = p.AuthenticateSession(t.Context(), dan.Secret)
	wantKind(t, "a session from before the reset", err, holdfast.Unauthenticated)
	if _, err := login(p, "dan", "another password", "", "192.0.2.9"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	trail(t, p, "invitation.create", "person.reset_link", "account.password", "login")
}

func TestAProjectKeepsAnOwner(t *testing.T) {
	p, _ := town(t)
	settle(t, p, "olga", holdfast.Owner)
	settle(t, p, "adam", holdfast.Admin)
	olga, adam := mustLogin(t, p, "olga").Who, mustLogin(t, p, "adam").Who
	set := func(who holdfast.Principal, name string, role holdfast.MemberRole) error {
		return p.SetMember(t.Context(), who, "shop", name, role, false)
	}
	wantKind(t, "an admin makes itself owner", set(adam, "adam", holdfast.Owner), holdfast.NotAllowed)
	wantKind(t, "an admin unmakes the owner", p.RemoveMember(t.Context(), adam, "shop", "olga"), holdfast.NotAllowed)
	wantKind(t, "the last owner goes", p.RemoveMember(t.Context(), olga, "shop", "olga"), holdfast.Unsafe)
	wantKind(t, "the last owner steps down", set(olga, "olga", holdfast.Viewer), holdfast.Unsafe)
	wantKind(t, "another project", p.SetMember(t.Context(), olga, "other", "adam", holdfast.Viewer, false), holdfast.NotFound)
	if err := set(olga, "adam", holdfast.Owner); err != nil {
		t.Error(err)
	}
	if err := p.RemoveMember(t.Context(), olga, "shop", "olga"); err != nil {
		t.Error(err)
	}
	olga = mustLogin(t, p, "olga").Who
	if projects, err := p.Projects(t.Context(), olga); err != nil || len(projects) != 0 {
		t.Errorf("who left sees %+v, %v", projects, err)
	}
	members, err := p.Members(t.Context(), admin, "shop")
	if err != nil || len(members) != 1 || members[0].Name != "adam" || members[0].Role != holdfast.Owner {
		t.Errorf("got %+v, %v", members, err)
	}
}

// Every refusal of a name and a password has done the work of checking a password once: how long it took tells nothing.
func TestNoLoginIsRefusedWithoutTheWork(t *testing.T) {
	p, _ := town(t)
	settle(t, p, "ann", holdfast.Viewer)
	settle(t, p, "dan", holdfast.Viewer)
	disabled := true
	if _, err := p.ChangePerson(t.Context(), admin, "dan", PersonChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertPerson(store.Person{Person: holdfast.Person{ID: "per_nopassword", Name: "nopassword"}})
	}); err != nil {
		t.Fatal(err)
	}
	// Whoever checks a password takes a place here and gives it back.
	places, work := make(chan struct{}), 0
	p.people.hashing = places
	counted, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(counted)
		for {
			select {
			case <-places:
				work++
				places <- struct{}{}
			case <-stop:
				return
			}
		}
	}()
	attempts := map[string]Credentials{
		"a wrong password":       {Name: "ann", Password: "a wrong password"},
		"an unknown name":        {Name: "zoe", Password: password},
		"a disabled account":     {Name: "dan", Password: password},
		"an account without one": {Name: "nopassword", Password: password},
		"a password too long":    {Name: "ann", Password: strings.Repeat("x", holdfast.MaxPassword+1)},
	}
	said := map[string]bool{}
	for name, with := range attempts {
		_, err := p.Login(t.Context(), From{Source: "192.0.2.1"}, with)
		wantKind(t, name, err, holdfast.Unauthenticated)
		said[err.Error()] = true
	}
	close(stop)
	<-counted
	if work != len(attempts) || len(said) != 1 {
		t.Errorf("%d attempts did the work %d times and were told %v", len(attempts), work, said)
	}
}
