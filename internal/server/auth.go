package server

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
)

// maxToken bounds what is taken for a token: longer ones are not hashed.
const maxToken = 512

type principalKey struct{}

// principal is who asks; the zero value, who may do nothing, on public routes.
func principal(ctx context.Context) holdfast.Principal {
	who, _ := ctx.Value(principalKey{}).(holdfast.Principal)
	return who
}

// authenticate lets an operation see only requests with a valid token, unless it is marked as public. It runs before the body is read.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	if isPublic, _ := ctx.Operation().Metadata[public].(bool); isPublic {
		next(huma.WithValue(ctx, principalKey{}, holdfast.Principal{Source: source(ctx.RemoteAddr())}))
		return
	}
	r, w := humago.Unwrap(ctx)
	who, err := s.identify(r)
	if err != nil {
		writeProblem(w, s.problemOf(r.Context(), err))
		return
	}
	noteCaller(r, who)
	next(huma.WithValue(ctx, principalKey{}, who))
}

// requireToken is authenticate for handlers that are not operations of the API.
func (s *Server) requireToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.identify(r)
		if err != nil {
			writeProblem(w, s.problemOf(r.Context(), err))
			return
		}
		noteCaller(r, who)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, who)))
	})
}

func (s *Server) caller(r *http.Request) (holdfast.Principal, error) {
	secret, ok := bearerToken(r.Header)
	if !ok {
		return holdfast.Principal{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the request carries no token",
			Hint: "send `Authorization: Bearer` and a token; `holdfast login` keeps one for the command line"}
	}
	who, err := s.config.Platform.Authenticate(r.Context(), secret)
	who.Source = source(r.RemoteAddr)
	return who, err
}

func bearerToken(h http.Header) (string, bool) {
	// Two headers could be read differently by a proxy and by us.
	if len(h.Values("Authorization")) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxToken
}

// source is the address that a request came from, without the port.
func source(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
