package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// kindOfStatus names refusals that were made before a handler saw the request: a bad body, an unknown path.
func kindOfStatus(status int) holdfast.Kind {
	switch status {
	case http.StatusNotFound:
		return holdfast.NotFound
	case http.StatusRequestTimeout:
		return holdfast.Timeout
	case http.StatusForbidden:
		return holdfast.NotAllowed
	}
	if status >= 400 && status < 500 {
		return holdfast.Invalid
	}
	return holdfast.Internal
}

// problemOf makes an error presentable. The cause of an error and whatever was not meant for anybody stay here: they go to the
// log, and the caller gets a mark to find them by.
func (s *Server) problemOf(ctx context.Context, err error) api.Problem {
	kind := holdfast.KindOf(err)
	p := newProblem(api.StatusOf(kind), kind, "", holdfast.HintOf(err))
	var meant *holdfast.Error
	switch {
	case errors.As(err, &meant):
		p.Detail = meant.Message
	case kind == holdfast.Timeout:
		p.Detail = "it took longer than it may"
	case kind == holdfast.Canceled:
		p.Detail = "the request was ended"
	default:
		p.Detail = "something went wrong inside the server"
	}
	level := slog.LevelDebug
	if kind == holdfast.Internal || kind == holdfast.Corrupt {
		level = slog.LevelError
		mark := rand.Text()[:8]
		if p.Hint == "" {
			p.Hint = "the server's log says more, under ref " + mark
		}
		s.log.Log(ctx, level, "request failed", "ref", mark, "kind", kind, "err", err)
		return p
	}
	s.log.Log(ctx, level, "request refused", "kind", kind, "err", err)
	if r := request(ctx); r != nil {
		s.config.Platform.NoteRefusal(ctx, principal(ctx), r.Method+" "+r.URL.Path, nil, err)
	}
	return p
}

func newProblem(status int, kind holdfast.Kind, detail, hint string) api.Problem {
	return api.Problem{Type: api.ProblemType(kind.String()), Title: http.StatusText(status), Status: status, Detail: detail, Code: kind.String(), Hint: hint}
}

// writeProblem answers with a problem outside of a handler.
func writeProblem(w http.ResponseWriter, p api.Problem) {
	h := w.Header()
	h.Set("Content-Type", api.ProblemContentType)
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// failure is a problem as huma wants errors.
type failure struct{ api.Problem }

func (f *failure) Error() string             { return f.Detail }
func (f *failure) GetStatus() int            { return f.Status }
func (f *failure) ContentType(string) string { return api.ProblemContentType }

func (s *Server) fail(ctx context.Context, err error) error {
	f := &failure{s.problemOf(ctx, err)}
	switch f.Status {
	case http.StatusUnauthorized:
		return huma.ErrorWithHeaders(f, http.Header{"Www-Authenticate": {`Bearer realm="holdfast"`}})
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return huma.ErrorWithHeaders(f, http.Header{"Retry-After": {"5"}})
	}
	return f
}

// presentProblem turns what huma itself refuses (a body that is no JSON, an unknown field) into our problem. It drops the value
// that huma would repeat: it may be a secret.
func presentProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(m.Status, kindOfStatus(m.Status), m.Detail, "")
	var wrong []string
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		p.Fields = append(p.Fields, api.ProblemField{Location: e.Location, Message: e.Message})
		field := strings.TrimPrefix(e.Location, "body.")
		switch {
		case e.Message == "unexpected property" || e.Message == "unknown query parameter":
			wrong = append(wrong, "there is no "+field)
		case field == "":
			wrong = append(wrong, e.Message)
		default:
			wrong = append(wrong, field+": "+e.Message)
		}
	}
	if len(wrong) > 0 {
		p.Detail = "the request is not valid: " + strings.Join(wrong, "; ")
	}
	return p, nil
}
