package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// guard stands before every handler: it checks where the request was meant to go, sets the headers that every answer has, logs,
// counts, and keeps a handler's panic from ending anything but its own request.
func (s *Server) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.active.Add(1)
		defer s.active.Done()
		started := time.Now()
		rec := &recorder{ResponseWriter: w}
		note := &requestNote{}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, note))
		defer func() {
			s.recoverPanic(rec, r, recover())
			s.finished(r, rec, note, time.Since(started))
		}()
		setHeaders(rec.Header(), r.URL.Path)
		switch {
		case !s.hostAllowed(r.Host):
			writeProblem(rec, newProblem(http.StatusMisdirectedRequest, holdfast.Invalid, fmt.Sprintf("this server is not %q", r.Host),
				"reach it by its address, or start it with --host for this name"))
		case crossOrigin.Check(r) != nil:
			writeProblem(rec, newProblem(http.StatusForbidden, holdfast.NotAllowed, "a page of another site may not do that", ""))
		default:
			next.ServeHTTP(rec, r)
		}
	})
}

// setHeaders sets what every answer has. A handler that serves pages replaces the content security policy by its own.
func setHeaders(h http.Header, path string) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if strings.HasPrefix(path, "/api/") {
		h.Set("Cache-Control", "no-store")
	}
}

// hostAllowed says whether the Host header names this server. A server on loopback is reachable from every page in a browser
// of this machine whose name resolves to 127.0.0.1 (DNS rebinding); such a page cannot forge the Host header.
func (s *Server) hostAllowed(hostport string) bool {
	if s.config.AnyHost {
		return true
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if host == "localhost" || slices.ContainsFunc(s.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	_, err = netip.ParseAddr(host) // an address is not a name that somebody could have bound to us
	return err == nil
}

func (s *Server) recoverPanic(w *recorder, r *http.Request, panicked any) {
	if panicked == nil {
		return
	}
	s.log.ErrorContext(r.Context(), "handler panicked", "path", r.URL.Path, "err", panicked, "stack", string(debug.Stack()))
	if w.status == 0 {
		writeProblem(w, newProblem(http.StatusInternalServerError, holdfast.Internal, "something went wrong inside the server", "the server's log says more"))
		return
	}
	// The answer has begun: cutting the connection is the one way left to say that it is not whole.
	panic(http.ErrAbortHandler)
}

// requestNote is what handlers tell the request log.
type requestNote struct{ caller string }

type noteKey struct{}

func noteCaller(r *http.Request, who holdfast.Principal) {
	if note, ok := r.Context().Value(noteKey{}).(*requestNote); ok {
		note.caller = who.Name
	}
}

func (s *Server) finished(r *http.Request, w *recorder, note *requestNote, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	route := r.Pattern
	if route == "" || route == "/api/" {
		route = "none" // a stranger must not make up label values
	}
	s.metrics.request(route, status, took)
	// The query is left out: a later route could carry something in it that is nobody's business.
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Duration("took", took), slog.Int64("bytes", w.written), slog.String("caller", note.caller), slog.String("source", s.source(r)), slog.String("agent", r.UserAgent()))
}

// recorder remembers how a request was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	written int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// unknownRoute answers what no route of the API does.
func (s *Server) unknownRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, holdfast.Invalid, r.Method+" cannot be done here", "allowed: "+strings.Join(allowed, ", ")))
		return
	}
	writeProblem(w, newProblem(http.StatusNotFound, holdfast.NotFound, "there is no such path in the API", "see "+api.OpenAPIPath))
}
