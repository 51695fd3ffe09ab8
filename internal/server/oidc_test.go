package server

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/platform"
	"github.com/holdfast/holdfast/internal/store"
)

const clientSecret = "the provider's secret of us"

// idp is a small OpenID Connect provider: it checks the client, the redirect and PKCE, and signs tokens.
type idp struct {
	*httptest.Server
	key    *rsa.PrivateKey
	codes  map[string]url.Values // what each code was asked for with
	claims map[string]any        // of whoever signs in next
	spoil  func(claims map[string]any)
	signer *rsa.PrivateKey // nil: key
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &idp{key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("client_id") != "holdfast" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" {
			t.Errorf("asked for with %v", q)
		}
		code := rand.Text()
		i.codes[code] = q
		back := url.Values{"code": {code}, "state": {q.Get("state")}, "session_state": {"something of the provider's own"}}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", i.token)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *idp) token(w http.ResponseWriter, r *http.Request) {
	_, secret, ok := r.BasicAuth()
	if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	asked, known := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || secret != clientSecret || !known || asked.Get("redirect_uri") != r.FormValue("redirect_uri") || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "the code was " + r.FormValue("code")})
		return
	}
	claims := map[string]any{"iss": i.URL, "aud": "holdfast", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": asked.Get("nonce")}
	for name, value := range i.claims {
		claims[name] = value
	}
	if i.spoil != nil {
		i.spoil(claims)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": i.sign(claims)})
}

func (i *idp) sign(claims map[string]any) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v) // maps of plain values
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(map[string]string{"alg": "RS256", "kid": "1"}) + "." + part(claims)
	key := i.key
	if i.signer != nil {
		key = i.signer
	}
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// withProvider is a server before which people sign in with a provider.
func withProvider(t *testing.T) (*fixture, *idp) {
	t.Helper()
	f, i := newFixture(t), newIDP(t)
	f.server.identify = f.server.caller
	p := f.server.config.Platform
	if err := p.SetOIDC(t.Context(), platform.System(), holdfast.OIDC{Name: "Example", Issuer: i.URL, ClientID: "holdfast"}, clientSecret); err != nil {
		t.Fatal(err)
	}
	return f, i
}

// cookies are what a browser keeps, by name.
type cookies map[string]string

func (c cookies) take(res *httptest.ResponseRecorder) {
	for _, set := range res.Result().Cookies() {
		if c[set.Name] = set.Value; set.MaxAge < 0 {
			delete(c, set.Name)
		}
	}
}

func (c cookies) header() map[string]string {
	var all []string
	for name, value := range c {
		all = append(all, name+"="+value)
	}
	return map[string]string{"Cookie": strings.Join(all, "; "), "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
}

// begin sends a browser to the provider and returns the way back that it gives.
func (f *fixture) begin(t *testing.T, jar cookies) string {
	t.Helper()
	res := f.send(t, http.MethodGet, api.OIDCLoginPath+"?to=/projects/shop", nil, jar.header())
	if res.Code != http.StatusSeeOther {
		t.Fatalf("got %d %s", res.Code, res.Body)
	}
	jar.take(res)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	there, err := client.Get(res.Header().Get("Location"))
	if err != nil {
		t.Fatalf("at the provider: %v (%s)", err, res.Header().Get("Location"))
	}
	there.Body.Close()
	back, err := url.Parse(there.Header.Get("Location"))
	if err != nil || back.Path != api.OIDCCallbackPath {
		t.Fatalf("the way back is %s, %v", back, err)
	}
	return back.RequestURI()
}

// through is all the way: to the provider and back. It returns where the browser lands.
func (f *fixture) through(t *testing.T, jar cookies) string {
	t.Helper()
	res := f.send(t, http.MethodGet, f.begin(t, jar), nil, jar.header())
	jar.take(res)
	return res.Header().Get("Location")
}

// you is the name of who is signed in with these cookies; empty: nobody.
func (f *fixture) you(t *testing.T, jar cookies) string {
	t.Helper()
	var info api.ServerInfo
	res := f.send(t, http.MethodGet, api.ServerPath, nil, map[string]string{"Cookie": jar.header()["Cookie"]})
	if res.Code == http.StatusUnauthorized {
		return ""
	}
	if err := json.Unmarshal(res.Body.Bytes(), &info); err != nil {
		t.Fatal(err)
	}
	return info.You.Name
}

func TestSomebodySignsInWithAProvider(t *testing.T) {
	f, i := withProvider(t)
	p := f.server.config.Platform
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "ann", Password: annsPassword, Email: "Ann@example.com"}); err != nil {
		t.Fatal(err)
	}
	var methods api.LoginMethods
	if res := f.send(t, http.MethodGet, api.LoginMethodsPath, nil, nil); json.Unmarshal(res.Body.Bytes(), &methods) != nil || methods.OIDC != "Example" {
		t.Errorf("got %s", res.Body)
	}
	i.claims = map[string]any{"sub": "1", "email": "ann@EXAMPLE.com", "email_verified": true}
	jar := cookies{}
	if at := f.through(t, jar); at != "/login?oidc=done&to=%2Fprojects%2Fshop" || f.you(t, jar) != "ann" {
		t.Fatalf("landed at %s as %q", at, f.you(t, jar))
	}
	if _, kept := jar["holdfast_signin_7600"]; kept {
		t.Error("what ties the way back to the browser is kept on")
	}
	// From now on the subject counts: another address at the provider is the same person, another person with the address is not.
	i.claims = map[string]any{"sub": "1", "email": "ann.smith@example.com", "email_verified": false}
	if jar = (cookies{}); f.through(t, jar) == "" || f.you(t, jar) != "ann" {
		t.Errorf("with another address: %q", f.you(t, jar))
	}
	i.claims = map[string]any{"sub": "2", "email": "ann@example.com", "email_verified": true}
	if jar = (cookies{}); f.through(t, jar) != "/login?oidc=refused" || !strings.Contains(jar["holdfast_refusal_7600"], "belonged%20to%20somebody%20else") || f.you(t, jar) != "" {
		t.Errorf("another subject with the address is %q", f.you(t, jar))
	}
	// An admin writes the address anew: then the other one is meant.
	email := "ann@example.com"
	if _, err := p.ChangePerson(t.Context(), platform.System(), "ann", platform.PersonChange{Email: &email}); err != nil {
		t.Fatal(err)
	}
	if jar = (cookies{}); f.through(t, jar) == "" || f.you(t, jar) != "ann" {
		t.Errorf("after the address was written anew: %q", f.you(t, jar))
	}
	disabled := true
	if _, err := p.ChangePerson(t.Context(), platform.System(), "ann", platform.PersonChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	if jar = (cookies{}); f.through(t, jar) != "/login?oidc=refused" || !strings.Contains(jar["holdfast_refusal_7600"], "disabled") || f.you(t, jar) != "" {
		t.Error("a disabled account is let in")
	}
	said := map[string]int{}
	entries, err := p.Audit(t.Context(), platform.System(), 0, 100)
	for _, e := range entries {
		said[e.Action+" "+e.Subject]++
	}
	if err != nil || said["account.oidc_link ann"] != 2 || said["login ann"] != 3 || said["login.failed ann"] != 2 || said["oidc.set "+i.URL] != 1 {
		t.Errorf("the trail has %v, %v", said, err)
	}
}

// Nobody comes in whom the provider does not vouch for, and nobody becomes somebody by choosing that one's address as a name.
func TestAProviderLetsInNobodyElse(t *testing.T) {
	f, i := withProvider(t)
	p := f.server.config.Platform
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "bob@example.com", Password: annsPassword}); err != nil {
		t.Fatal(err)
	}
	secret, _, err := p.Invite(t.Context(), platform.System(), platform.NewInvitation{Project: "shop", Role: holdfast.Viewer, Email: "eve@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	// Who has the link takes the invitation by a password; the address is not proved by that, and means nobody.
	if res := f.send(t, http.MethodPost, api.JoinPath, api.Join{Secret: secret, Name: "mallory", Password: annsPassword}, nil); res.Code != http.StatusOK {
		t.Fatalf("got %d %s", res.Code, res.Body)
	}
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "dan", Password: annsPassword, Email: "dan@example.com"}); err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dan := map[string]any{"sub": "1", "email": "dan@example.com", "email_verified": true}
	for name, c := range map[string]struct {
		claims map[string]any
		spoil  func(map[string]any)
		signer *rsa.PrivateKey
	}{
		"nobody invited":        {claims: map[string]any{"sub": "1", "email": "zoe@example.com", "email_verified": true}},
		"not verified":          {claims: map[string]any{"sub": "1", "email": "dan@example.com", "email_verified": false}},
		"no word on it":         {claims: map[string]any{"sub": "1", "email": "dan@example.com"}},
		"no address":            {claims: map[string]any{"sub": "1", "email_verified": true}},
		"a name that is chosen": {claims: map[string]any{"sub": "1", "email": "bob@example.com", "email_verified": true}},
		"an address of a link":  {claims: map[string]any{"sub": "1", "email": "eve@example.com", "email_verified": true}},
		"another's token":       {claims: dan, spoil: func(c map[string]any) { c["aud"] = "another program" }},
		"another provider's":    {claims: dan, spoil: func(c map[string]any) { c["iss"] = "https://evil.example" }},
		"an old token":          {claims: dan, spoil: func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }},
		"another sign-in's":     {claims: dan, spoil: func(c map[string]any) { c["nonce"] = "another" }},
		"no nonce":              {claims: dan, spoil: func(c map[string]any) { delete(c, "nonce") }},
		"a forged token":        {claims: dan, signer: stranger},
	} {
		i.claims, i.spoil, i.signer = c.claims, c.spoil, c.signer
		jar := cookies{}
		if at := f.through(t, jar); at != "/login?oidc=refused" || jar["holdfast_refusal_7600"] == "" || f.you(t, jar) != "" {
			t.Errorf("%s: landed at %s as %q", name, at, f.you(t, jar))
		}
	}
}

// The way back belongs to the browser that began, and is gone once.
func TestTheWayBackFromTheProviderBelongsToOneBrowser(t *testing.T) {
	f, i := withProvider(t)
	if _, err := f.server.config.Platform.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "dan", Password: annsPassword, Email: "dan@example.com"}); err != nil {
		t.Fatal(err)
	}
	i.claims = map[string]any{"sub": "1", "email": "dan@example.com", "email_verified": true}
	ways := map[string]func(back string, jar cookies) (string, cookies){
		"in another browser": func(back string, _ cookies) (string, cookies) { return back, cookies{} },
		"with another state": func(back string, jar cookies) (string, cookies) {
			return strings.Replace(back, "&state=", "&state=x", 1), jar
		},
		"with no state": func(back string, jar cookies) (string, cookies) {
			return strings.Replace(back, "&state=", "&other=", 1), jar
		},
		"with a code of one's own": func(back string, jar cookies) (string, cookies) {
			return strings.Replace(back, "code=", "code=x", 1), jar
		},
		"with another's cookie": func(back string, _ cookies) (string, cookies) {
			other := cookies{}
			f.begin(t, other)
			return back, other
		},
		"refused at the provider": func(back string, jar cookies) (string, cookies) {
			return strings.Replace(back, "code=", "error=access_denied&x=", 1), jar
		},
	}
	for name, spoil := range ways {
		jar := cookies{}
		back, jar := spoil(f.begin(t, jar), jar)
		res := f.send(t, http.MethodGet, back, nil, jar.header())
		jar.take(res)
		if at := res.Header().Get("Location"); at != "/login?oidc=refused" || jar["holdfast_refusal_7600"] == "" || f.you(t, jar) != "" {
			t.Errorf("%s: landed at %s as %q", name, at, f.you(t, jar))
		}
	}
	jar := cookies{}
	back := f.begin(t, jar)
	again := jar.header()
	jar.take(f.send(t, http.MethodGet, back, nil, again))
	if f.you(t, jar) != "dan" {
		t.Errorf("the right way lets in %q", f.you(t, jar))
	}
	second := cookies{}
	second.take(f.send(t, http.MethodGet, back, nil, again))
	if f.you(t, second) != "" {
		t.Error("the way back can be gone twice")
	}
}

func TestAnInvitationIsTakenUpAtTheProvider(t *testing.T) {
	f, i := withProvider(t)
	p := f.server.config.Platform
	if _, _, err := p.Invite(t.Context(), platform.System(), platform.NewInvitation{Project: "shop", Role: holdfast.Developer, Production: true, Email: "eve@example.com"}); err != nil {
		t.Fatal(err)
	}
	i.claims = map[string]any{"sub": "7", "email": "eve@example.com", "email_verified": true}
	jar := cookies{}
	if f.through(t, jar); f.you(t, jar) != "eve@example.com" {
		t.Fatalf("got %q", f.you(t, jar))
	}
	members, err := p.Members(t.Context(), platform.System(), "shop")
	if err != nil || len(members) != 1 || members[0].Name != "eve@example.com" || members[0].Role != holdfast.Developer || !members[0].Production {
		t.Errorf("got %+v, %v", members, err)
	}
	left, err := p.Invitations(t.Context(), platform.System(), "shop")
	if err != nil || len(left) != 0 {
		t.Errorf("the invitation is left: %+v, %v", left, err)
	}
	// There is no password to guess.
	if res := f.send(t, http.MethodPost, api.LoginPath, api.Login{Name: "eve@example.com", Password: " "}, nil); res.Code != http.StatusUnauthorized {
		t.Errorf("got %d", res.Code)
	}
}

// The provider stands for the password; who has an authenticator is asked for a code as well.
func TestTheCodeIsAskedForAfterTheProvider(t *testing.T) {
	f, i := withProvider(t)
	p := f.server.config.Platform
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "ann", Password: annsPassword, Email: "ann@example.com"}); err != nil {
		t.Fatal(err)
	}
	in, err := p.Login(t.Context(), platform.From{Source: "192.0.2.1"}, platform.Credentials{Name: "ann", Password: annsPassword})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.BeginCode(t.Context(), in.Who, annsPassword); err != nil {
		t.Fatal(err)
	}
	var person store.Person
	_ = f.store.View(t.Context(), func(tx *store.Tx) (err error) { person, err = tx.PersonByName("ann"); return err })
	recovery, err := p.ConfirmCode(t.Context(), in.Who, identity.CodeAt(person.CodeSecret, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	i.claims = map[string]any{"sub": "1", "email": "ann@example.com", "email_verified": true}
	jar := cookies{}
	if at := f.through(t, jar); at != "/login?oidc=code&to=%2Fprojects%2Fshop" || f.you(t, jar) != "" {
		t.Fatalf("landed at %s as %q", at, f.you(t, jar))
	}
	give := func(code string, jar cookies) int {
		res := f.send(t, http.MethodPost, api.OIDCCodePath, api.LoginCode{Code: code}, map[string]string{"Cookie": jar.header()["Cookie"]})
		jar.take(res)
		return res.Code
	}
	if got := give("000000", jar); got != http.StatusUnauthorized || f.you(t, jar) != "" {
		t.Errorf("a wrong code: %d", got)
	}
	if got := give(recovery[0], cookies{}); got != http.StatusUnauthorized {
		t.Errorf("a code without the provider: %d", got)
	}
	if got := give(recovery[0], jar); got != http.StatusOK || f.you(t, jar) != "ann" {
		t.Errorf("the code: %d as %q", got, f.you(t, jar))
	}
}

// The secret by which the provider knows us is in no answer, in no log, and in no file as it is; it goes to no other provider.
func TestTheProvidersSecretStaysHere(t *testing.T) {
	f, i := withProvider(t)
	var log bytes.Buffer
	f.server.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := f.server.config.Platform
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "ann", Password: annsPassword, Email: "ann@example.com", Admin: true}); err != nil {
		t.Fatal(err)
	}
	i.claims = map[string]any{"sub": "1", "email": "ann@example.com", "email_verified": true}
	jar := cookies{}
	back := f.begin(t, jar)
	jar.take(f.send(t, http.MethodGet, back, nil, jar.header()))
	res := f.send(t, http.MethodGet, api.OIDCPath, nil, map[string]string{"Cookie": jar.header()["Cookie"]})
	if res.Code != http.StatusOK || strings.Contains(res.Body.String(), clientSecret) || !strings.Contains(res.Body.String(), `"redirect_url":"http://127.0.0.1:7600/api/v1/login/oidc/callback"`) {
		t.Errorf("got %d %s", res.Code, res.Body)
	}
	query, _ := url.ParseQuery(back[strings.Index(back, "?")+1:])
	for _, secret := range []string{clientSecret, query.Get("code"), query.Get("state")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %.8q...", secret)
		}
	}
	if !strings.Contains(log.String(), api.OIDCCallbackPath) {
		t.Error("the log is empty")
	}
	other := newIDP(t)
	err := p.SetOIDC(t.Context(), platform.System(), holdfast.OIDC{Name: "Other", Issuer: other.URL, ClientID: "holdfast"}, "")
	if holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("the secret goes to another provider: %v", err)
	}
	if err := p.SetOIDC(t.Context(), platform.System(), holdfast.OIDC{Name: "Renamed", Issuer: i.URL, ClientID: "holdfast"}, ""); err != nil {
		t.Errorf("the name alone: %v", err)
	}
}
