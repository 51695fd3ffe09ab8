package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type loginInput struct {
	Body api.Login
}

type joinInput struct {
	Body api.Join
}

// admitted is the output of a handler that signs somebody in.
type admitted struct {
	SetCookie []string `header:"Set-Cookie" doc:"The session's secret, and a mark by which this browser is known when it signs in again."`
	Body      api.LoggedIn
}

func (s *Server) loginRoutes() {
	p := s.config.Platform
	addLogin(s, route{method: http.MethodPost, path: api.LoginPath, id: "login", rule: forAnyone, tag: "account", summary: "Sign in with a name and a password",
		about: "The session's secret is in a cookie that scripts cannot read. A refusal with the code `precondition` asks for a code of the authenticator; one with `too_many` says how long to wait."},
		func(ctx context.Context, from platform.From, in *loginInput) (platform.LoggedIn, bool, error) {
			l, err := p.Login(ctx, from, platform.Credentials{Name: in.Body.Name, Password: in.Body.Password, Code: in.Body.Code, TokenName: in.Body.TokenName})
			return l, in.Body.TokenName != "", err
		})
	addLogin(s, route{method: http.MethodPost, path: api.JoinPath, id: "join", rule: forAnyone, tag: "account", summary: "Redeem a one-time link and sign in",
		about: "The set-up link makes the first admin, an invitation somebody new, a reset link a new password."},
		func(ctx context.Context, from platform.From, in *joinInput) (platform.LoggedIn, bool, error) {
			l, err := p.Join(ctx, from, in.Body.Secret, in.Body.Name, in.Body.Password)
			return l, false, err
		})
	huma.Register(s.api, route{method: http.MethodPost, path: api.LogoutPath, id: "logout", rule: forPeople, tag: "account", summary: "End the session that the request came by"}.operation(),
		func(ctx context.Context, _ *struct{}) (*leaving, error) {
			if err := p.Logout(ctx, principal(ctx)); err != nil {
				return nil, s.fail(ctx, err)
			}
			return &leaving{SetCookie: []string{newCookie(request(ctx), sessionCookie, "", 0)}}, nil
		})
}

// leaving is the output of a handler that takes the session's cookie back.
type leaving struct {
	SetCookie []string `header:"Set-Cookie"`
}

// addLogin registers a handler that signs somebody in, with cookies unless it says that they are not wanted.
func addLogin[I any](s *Server, r route, handle func(context.Context, platform.From, *I) (l platform.LoggedIn, token bool, err error)) {
	huma.Register(s.api, r.operation(), func(ctx context.Context, in *I) (*admitted, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		req := request(ctx)
		l, token, err := handle(ctx, s.from(req), in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &admitted{Body: api.LoggedIn{You: viewCaller(l.Who), Expires: l.Expires}}
		if token {
			out.Body.Token = l.Secret
			return out, nil
		}
		out.SetCookie = []string{newCookie(req, sessionCookie, l.Secret, time.Until(l.Expires)), newCookie(req, deviceCookie, l.Device, deviceLife)}
		return out, nil
	})
}

type passwordInput struct {
	Body api.Password
}

type newPasswordInput struct {
	Body api.NewPassword
}

type codeInput struct {
	Body api.Code
}

type sessionInput struct {
	ID string `path:"id"`
}

func (s *Server) accountRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.AccountPath, id: "get-account", rule: forPeople, tag: "account", summary: "You, and your roles"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) (api.Account, error) {
			a, err := p.Account(ctx, who)
			return api.Account{Person: viewPerson(a.Person), Places: mapped(a.Places, func(p platform.Place) api.Place {
				return api.Place{Project: p.Project, Role: string(p.Role), ProductionRows: p.Production}
			})}, err
		})
	addEmpty(s, route{method: http.MethodPost, path: api.PasswordPath, id: "change-password", rule: forPeople, tag: "account", summary: "Change your password", about: "Your other sessions end; your tokens stay."},
		func(ctx context.Context, who holdfast.Principal, in *newPasswordInput) error {
			return p.ChangePassword(ctx, who, in.Body.Current, in.Body.New)
		})
	addList(s, route{method: http.MethodGet, path: api.SessionsPath, id: "list-sessions", rule: forPeople, tag: "account", summary: "Where you are signed in"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Session, error) {
			sessions, err := p.Sessions(ctx, who)
			return mapped(sessions, func(v holdfast.Session) api.Session {
				return api.Session{ID: v.ID, Source: v.Source, Agent: v.Agent, Current: v.ID == who.SessionID, CreatedAt: v.CreatedAt, UsedAt: v.UsedAt, ExpiresAt: v.ExpiresAt}
			}), err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.SessionPath, id: "end-session", rule: forPeople, tag: "account", summary: "Sign out somewhere"},
		func(ctx context.Context, who holdfast.Principal, in *sessionInput) error {
			return p.EndSession(ctx, who, in.ID)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.SessionsPath, id: "end-sessions", rule: forPeople, tag: "account", summary: "Sign out everywhere, here too"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) error { return p.EndSessions(ctx, who) })
	s.codeRoutes()
}

func (s *Server) codeRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodPost, path: api.CodePath, id: "begin-code", rule: forPeople, tag: "account", summary: "Make a secret for an authenticator", about: "It counts for nothing until a code of it is confirmed."},
		func(ctx context.Context, who holdfast.Principal, in *passwordInput) (api.CodeSetup, error) {
			setup, err := p.BeginCode(ctx, who, in.Body.Password)
			return api.CodeSetup{Secret: setup.Secret, URL: setup.URL}, err
		})
	addList(s, route{method: http.MethodPost, path: api.CodeConfirmPath, id: "confirm-code", rule: forPeople, tag: "account", summary: "Sign in with codes from now on; answers with recovery codes, shown this once"},
		func(ctx context.Context, who holdfast.Principal, in *codeInput) ([]string, error) {
			return p.ConfirmCode(ctx, who, in.Body.Code)
		})
	addEmpty(s, route{method: http.MethodPost, path: api.CodeRemovePath, id: "remove-code", rule: forPeople, tag: "account", summary: "Sign in without codes again"},
		func(ctx context.Context, who holdfast.Principal, in *passwordInput) error {
			return p.RemoveCode(ctx, who, in.Body.Password)
		})
}

func viewPerson(p holdfast.Person) api.Person {
	return api.Person{ID: string(p.ID), Name: p.Name, Admin: p.Admin, Disabled: !p.DisabledAt.IsZero(), OneTimeCode: p.OneTimeCode, Email: p.Email, CreatedAt: p.CreatedAt, LastLoginAt: p.LastLoginAt}
}
