package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast/internal/api"
)

// OpenAPI returns the description of the API, indented, as it is served.
func (s *Server) OpenAPI() ([]byte, error) {
	raw, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, raw, "", "  ")
	out.WriteByte('\n')
	return out.Bytes(), err
}

// mountDescription serves the OpenAPI document and a page that lists the routes. Neither needs a token: they are the same for
// every installation of this version.
func (s *Server) mountDescription() {
	document, err := s.OpenAPI()
	if err != nil {
		panic("server: the API's description cannot be written: " + err.Error()) // it is made of our own types
	}
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsPage)).Execute(&page, s.operations()); err != nil {
		panic("server: the API's page cannot be written: " + err.Error())
	}
	s.mux.HandleFunc("GET "+api.OpenAPIPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		w.Write(document)
	})
	s.mux.HandleFunc("GET "+api.DocsPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page.Bytes())
	})
}

// operation is one route of the API as a reader wants it.
type operation struct {
	Tag, Method, Path, Summary, About string
	Public                            bool
	Rule                              rule
}

// operations lists the API's routes by subject.
func (s *Server) operations() []operation {
	var out []operation
	for path, item := range s.api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete} {
			if op != nil {
				isPublic, _ := op.Metadata[public].(bool)
				stated, _ := op.Metadata[ruleKey].(rule)
				out = append(out, operation{Rule: stated, Tag: op.Tags[0], Method: method, Path: path, Summary: op.Summary, About: op.Description, Public: isPublic})
			}
		}
	}
	slices.SortFunc(out, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return out
}

// docsPage has no script and no style: the policy that every answer carries allows neither.
const docsPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast API</title><meta name="viewport" content="width=device-width"></head>
<body><h1>Holdfast API</h1>
<p>The whole contract: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1). Send <code>Authorization: Bearer</code> and a token; routes marked as public need none.</p>
{{$tag := ""}}{{range .}}{{if ne .Tag $tag}}{{if $tag}}</dl>{{end}}{{$tag = .Tag}}<h2>{{.Tag}}</h2><dl>{{end}}
<dt><code>{{.Method}} {{.Path}}</code>{{if .Public}} (public){{end}}</dt><dd>{{.Summary}}.{{with .About}} {{.}}{{end}}</dd>{{end}}</dl>
</body></html>
`
