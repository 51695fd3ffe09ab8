package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

type proofHooksInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.ProofHooks
}

func (s *Server) proofHookRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.ProofHooksPath, id: "get-proof-hooks", rule: toSee, tag: "backups", summary: "A project's own checks of restored backups"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) (api.ProofHooks, error) {
			h, err := p.ProofHooks(ctx, who, in.Project)
			out := api.ProofHooks{AssertionTimeout: api.Seconds(h.AssertionTimeout), Command: h.Command, CommandTimeout: api.Seconds(h.CommandTimeout), URL: h.URL, URLTimeout: api.Seconds(h.URLTimeout), AllowPrivate: h.AllowPrivate}
			for _, a := range h.Assertions {
				out.Assertions = append(out.Assertions, api.Assertion{Name: a.Name, SQL: a.SQL, NoRows: a.NoRows})
			}
			return out, err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.ProofHooksPath, id: "set-proof-hooks", rule: toAdminister, tag: "backups", summary: "Replace a project's own checks of restored backups",
		about: "They run whenever a backup is verified, and their results are in the signed report. A command, and a URL in a private network, take the right to change the installation."},
		func(ctx context.Context, who holdfast.Principal, in *proofHooksInput) error {
			h := in.Body
			hooks := holdfast.ProofHooks{AssertionTimeout: time.Duration(h.AssertionTimeout) * time.Second, Hooks: holdfast.Hooks{Command: h.Command, CommandTimeout: time.Duration(h.CommandTimeout) * time.Second,
				URL: h.URL, URLTimeout: time.Duration(h.URLTimeout) * time.Second, AllowPrivate: h.AllowPrivate}}
			for _, a := range h.Assertions {
				hooks.Assertions = append(hooks.Assertions, holdfast.Assertion{Name: a.Name, SQL: a.SQL, NoRows: a.NoRows})
			}
			return p.SetProofHooks(ctx, who, in.Project, hooks)
		})
}
