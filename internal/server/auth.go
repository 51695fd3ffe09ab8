package server

import (
	"context"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// maxToken bounds what is taken for a token: longer ones are not hashed.
const maxToken = 512

type principalKey struct{}

type requestKey struct{}

// request is the HTTP request behind an operation.
func request(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// principal is who asks; the zero value, who may do nothing, on public routes.
func principal(ctx context.Context) holdfast.Principal {
	who, _ := ctx.Value(principalKey{}).(holdfast.Principal)
	return who
}

// authenticate lets an operation see only requests with a valid token, unless it is marked as public. It runs before the body is read.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	ctx = huma.WithValue(ctx, requestKey{}, r)
	if isPublic, _ := ctx.Operation().Metadata[public].(bool); isPublic {
		// A page of another site can make an old browser send a body without a type, but none that is JSON: it could sign somebody in as another one.
		if r.Method != http.MethodGet && r.Header.Get("Content-Type") == "" {
			writeProblem(w, newProblem(http.StatusUnsupportedMediaType, holdfast.Invalid, "the request does not say what its body is", "send JSON with the header Content-Type: application/json"))
			return
		}
		next(huma.WithValue(ctx, principalKey{}, holdfast.Principal{Source: s.source(r)}))
		return
	}
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

// caller finds out who asks: by a bearer token, or by the cookie of a session.
func (s *Server) caller(r *http.Request) (holdfast.Principal, error) {
	var who holdfast.Principal
	secret, ok := bearerToken(r.Header)
	session, cookie := sessionSecret(r)
	var err error
	switch {
	case ok:
		who, err = s.config.Platform.Authenticate(r.Context(), secret)
	case cookie && r.Header.Get("Authorization") == "":
		if err := checkDeliberate(r); err != nil {
			return who, err
		}
		who, err = s.config.Platform.AuthenticateSession(r.Context(), session)
	default:
		return who, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the request carries no token",
			Hint: "send `Authorization: Bearer` and a token; `holdfast login` keeps one for the command line"}
	}
	who.Source = s.source(r)
	return who, err
}

// checkDeliberate refuses what a page of another site could make a browser send along with our cookie. guard has refused by then what
// browsers say comes from elsewhere; this holds for browsers that do not say it: a form can send neither the header nor JSON.
func checkDeliberate(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Header.Get(api.RequestHeader) != "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && media == "application/json" {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "a request with a session's cookie that changes something has to say that it is meant",
		Hint: "send the header " + api.RequestHeader + ", or JSON"}
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

// source is the address that a request came from: of the proxy before us what it says, of others what they are.
func (s *Server) source(r *http.Request) string {
	host := addressOf(r.RemoteAddr)
	// Each proxy adds whom it was asked by at the end; what stands before the first one that we do not trust is hearsay.
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && s.isProxy(host); i-- {
		address, err := netip.ParseAddr(strings.TrimSpace(forwarded[i]))
		if err != nil {
			break
		}
		host = address.String()
	}
	return host
}

func (s *Server) isProxy(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(s.config.Proxies, func(p netip.Prefix) bool { return p.Contains(address.Unmap()) })
}

// addressOf is an address without its port.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

const (
	sessionCookie = "holdfast_session"
	deviceCookie  = "holdfast_device"
	deviceLife    = 365 * 24 * time.Hour
)

// encrypted says whether the browser speaks TLS, to us or to a proxy before us. Who lies about it harms only oneself: cookies are then
// sent over TLS alone.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookieName is a cookie's name for this request. Under TLS it has the prefix that keeps other hosts of the domain from setting it;
// without, the port, because browsers share cookies between the servers of one machine.
func cookieName(r *http.Request, name string) string {
	if encrypted(r) {
		return "__Host-" + name
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return name + "_" + port
	}
	return name
}

func newCookie(r *http.Request, name, value string, life time.Duration) string {
	c := http.Cookie{Name: cookieName(r, name), Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: encrypted(r), SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// sessionSecret is what the session's cookie holds; false when there is none, or more than one.
func sessionSecret(r *http.Request) (string, bool) {
	found := r.CookiesNamed(cookieName(r, sessionCookie))
	if len(found) != 1 || found[0].Value == "" || len(found[0].Value) > maxToken {
		return "", false
	}
	return found[0].Value, true
}

// from is where somebody signs in from.
func (s *Server) from(r *http.Request) platform.From {
	f := platform.From{Source: s.source(r), Agent: r.UserAgent()}
	if c, err := r.Cookie(cookieName(r, deviceCookie)); err == nil {
		f.Device = c.Value
	}
	return f
}
