package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type newTokenInput struct {
	Body api.NewToken
}

type tokenInput struct {
	ID string `path:"id"`
}

func (s *Server) tokenRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.TokensPath, id: "list-tokens", rule: forOwnTokens, tag: "tokens", summary: "Your tokens, without their secrets; all of them for an admin of the installation"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) ([]api.Token, error) {
			tokens, err := p.Tokens(ctx, who)
			if err != nil {
				return nil, err
			}
			names, err := s.projectNames(ctx, who)
			return mapped(tokens, func(t platform.TokenView) api.Token {
				view := viewToken(t.Token, names)
				view.Person = t.Person
				return view
			}), err
		})
	add(s, route{method: http.MethodPost, path: api.TokensPath, id: "create-token", rule: forOwnTokens, tag: "tokens", summary: "Create a token; its secret is shown this once", status: http.StatusCreated,
		about: "It can do no more, reach no further and last no longer than who makes it. A person's token is bounded by that person's roles, as they are when it is used."},
		func(ctx context.Context, who holdfast.Principal, in *newTokenInput) (api.TokenSecret, error) {
			ask := platform.NewToken{Name: in.Body.Name, Kind: holdfast.TokenKind(in.Body.Kind), Project: in.Body.Project, Right: holdfast.Right(in.Body.Right),
				ExpiresIn: time.Duration(in.Body.ExpiresIn) * time.Second}
			secret, t, err := p.CreateToken(ctx, who, ask)
			return api.TokenSecret{Secret: secret, Token: viewToken(t, map[holdfast.ProjectID]string{t.ProjectID: in.Body.Project})}, err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.TokenPath, id: "revoke-token", rule: forOwnTokens, tag: "tokens", summary: "End a token at once"},
		func(ctx context.Context, who holdfast.Principal, in *tokenInput) error {
			return p.RevokeToken(ctx, who, in.ID)
		})
}

func (s *Server) projectNames(ctx context.Context, who holdfast.Principal) (map[holdfast.ProjectID]string, error) {
	projects, err := s.config.Platform.Projects(ctx, who)
	names := map[holdfast.ProjectID]string{}
	for _, p := range projects {
		names[p.ID] = p.Name
	}
	return names, err
}

// viewToken shows the project by its name, or by its identifier when the name is not known (any more).
func viewToken(t holdfast.Token, names map[holdfast.ProjectID]string) api.Token {
	project := names[t.ProjectID]
	if project == "" {
		project = string(t.ProjectID)
	}
	return api.Token{ID: t.ID, Name: t.Name, Kind: string(t.Kind), Project: project, Right: string(t.Right), CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt}
}
