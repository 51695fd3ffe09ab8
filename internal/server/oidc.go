package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// signInCookie is what a browser keeps for us while it is at the provider, and until the code of the authenticator comes.
const signInCookie = "holdfast_signin"

// refusalCookie holds why the provider's word did not help; the page for signing in reads it.
const refusalCookie = "holdfast_refusal"

// loginPagePath is where the console lets people sign in.
const loginPagePath = "/login"

type oidcInput struct {
	Body api.OIDCChange
}

type oidcBeginInput struct {
	To string `query:"to" maxLength:"500" doc:"The page of the console to come back to."`
}

type oidcCallbackInput struct {
	State string `query:"state" maxLength:"500"`
	Code  string `query:"code" maxLength:"4000"`
}

type oidcCodeInput struct {
	Body api.LoginCode
}

// sent is the output of a handler that sends a browser elsewhere.
type sent struct {
	Location  string   `header:"Location"`
	SetCookie []string `header:"Set-Cookie"`
}

func (s *Server) oidcRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.OIDCPath, id: "get-oidc", rule: forInstallation, tag: "people", summary: "The OpenID Connect provider that people may sign in with"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) (api.OIDC, error) {
			o, err := p.OIDC(ctx, who)
			return s.viewOIDC(ctx, o), err
		})
	add(s, route{method: http.MethodPut, path: api.OIDCPath, id: "set-oidc", rule: forInstallation, tag: "people", summary: "Let people sign in with an OpenID Connect provider",
		about: "The provider is asked for its description first. Somebody gets in by a verified e-mail address of a person or an invitation, and is known by the provider's subject from then on."},
		func(ctx context.Context, who holdfast.Principal, in *oidcInput) (api.OIDC, error) {
			o := holdfast.OIDC{Name: in.Body.Name, Issuer: in.Body.Issuer, ClientID: in.Body.ClientID}
			return s.viewOIDC(ctx, o), p.SetOIDC(ctx, who, o, in.Body.ClientSecret)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.OIDCPath, id: "remove-oidc", rule: forInstallation, tag: "people", summary: "Let people sign in with passwords only"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) error { return p.RemoveOIDC(ctx, who) })
	add(s, route{method: http.MethodGet, path: api.LoginMethodsPath, id: "login-methods", rule: forAnyone, tag: "account", summary: "How one can sign in here"},
		func(ctx context.Context, _ holdfast.Principal, _ *struct{}) (api.LoginMethods, error) {
			name, err := p.OIDCName(ctx)
			return api.LoginMethods{OIDC: name}, err
		})
	addSent(s, route{method: http.MethodGet, path: api.OIDCLoginPath, id: "begin-oidc", rule: forAnyone, tag: "account", summary: "Send a browser to the provider to sign in"}, s.beginOIDC)
	addSent(s, route{method: http.MethodGet, path: api.OIDCCallbackPath, id: "finish-oidc", rule: forAnyone, tag: "account", summary: "Where the provider sends a browser back to"}, s.finishOIDC)
	addLogin(s, route{method: http.MethodPost, path: api.OIDCCodePath, id: "finish-oidc-code", rule: forAnyone, tag: "account", summary: "Give the code of the authenticator after the provider"},
		func(ctx context.Context, from platform.From, in *oidcCodeInput) (platform.LoggedIn, bool, error) {
			l, err := p.FinishOIDCCode(ctx, from, keptSignIn(request(ctx)), in.Body.Code)
			return l, false, err
		})
}

// addSent registers a handler that sends a browser to another page. It has no person to tell a problem to but the one before the browser: that one
// reads it on the page for signing in.
func addSent[I any](s *Server, r route, handle func(context.Context, *http.Request, *I) (sent, error)) {
	r.status = http.StatusSeeOther
	op := r.operation()
	op.SkipValidateParams = true // providers add what they like
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*sent, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		out, err := handle(ctx, request(ctx), in)
		if err != nil {
			problem, r := s.problemOf(ctx, err), request(ctx)
			out = sent{Location: loginPage("refused", ""), SetCookie: []string{signInKept(r, "", 0), refusal(r, problem)}}
		}
		return &out, nil
	})
}

func (s *Server) beginOIDC(ctx context.Context, r *http.Request, in *oidcBeginInput) (sent, error) {
	b, err := s.config.Platform.BeginOIDC(ctx, s.from(r), callbackURL(r), in.To)
	return sent{Location: b.URL, SetCookie: []string{signInKept(r, b.Kept, 10*time.Minute)}}, err
}

func (s *Server) finishOIDC(ctx context.Context, r *http.Request, in *oidcCallbackInput) (sent, error) {
	end, err := s.config.Platform.FinishOIDC(ctx, s.from(r), keptSignIn(r), in.State, in.Code)
	switch {
	case err != nil:
		return sent{}, err
	case end.CodeKept != "":
		return sent{Location: loginPage("code", end.To), SetCookie: []string{signInKept(r, end.CodeKept, 5*time.Minute)}}, nil
	}
	return sent{Location: loginPage("done", end.To), SetCookie: []string{signInKept(r, "", 0), newCookie(r, sessionCookie, end.Secret, time.Until(end.Expires)), newCookie(r, deviceCookie, end.Device, deviceLife)}}, nil
}

// loginPage is the console's page for signing in, told how it went with the provider.
func loginPage(state, to string) string {
	q := url.Values{"oidc": {state}}
	if to != "" {
		q.Set("to", to)
	}
	return loginPagePath + "?" + q.Encode()
}

// refusal is why a sign-in was refused, as a cookie for the page to read and to clear: what stands in an address anybody could write there.
func refusal(r *http.Request, problem api.Problem) string {
	text := url.PathEscape(strings.TrimSpace(problem.Detail + "\n" + problem.Hint))
	c := http.Cookie{Name: cookieName(r, refusalCookie), Value: text, Path: "/", MaxAge: 60, Secure: encrypted(r), SameSite: http.SameSiteStrictMode}
	return c.String()
}

// callbackURL is where the provider sends a browser back to, as the browser reached us. The provider knows which it may send browsers to.
func callbackURL(r *http.Request) string {
	scheme := "http"
	if encrypted(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + api.OIDCCallbackPath
}

// signInKept is the cookie of a sign-in under way. Coming back from the provider is a navigation from another site, on which a cookie that is
// Strict stays at home; a Lax one comes along, and nothing is done for it but finishing what this browser began.
func signInKept(r *http.Request, value string, life time.Duration) string {
	c := http.Cookie{Name: cookieName(r, signInCookie), Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: encrypted(r), SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

func keptSignIn(r *http.Request) string {
	found := r.CookiesNamed(cookieName(r, signInCookie))
	if len(found) != 1 || len(found[0].Value) > 3000 {
		return ""
	}
	return found[0].Value
}

func (s *Server) viewOIDC(ctx context.Context, o holdfast.OIDC) api.OIDC {
	return api.OIDC{Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: callbackURL(request(ctx))}
}
