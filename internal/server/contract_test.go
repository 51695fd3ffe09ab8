package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

var update = flag.Bool("update", false, "write docs/openapi.json and the table of routes in docs/api.md anew")

// publicRoutes are the only operations that need no token. Adding one is a decision about security.
var publicRoutes = []string{"POST " + api.JoinPath, "POST " + api.LoginPath, "GET " + api.LoginMethodsPath, "GET " + api.OIDCLoginPath, "GET " + api.OIDCCallbackPath, "POST " + api.OIDCCodePath, "POST " + api.SetupPath}

// bare is a server whose platform has never been opened: good for what is decided before a handler runs, and nothing else.
func bare(c Config) *Server {
	c.Platform = &platform.Platform{}
	c.Log = slog.New(slog.DiscardHandler)
	return New(c)
}

func TestTheOpenAPIDocumentIsTheOneInDocs(t *testing.T) {
	got, err := bare(Config{}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/openapi.json", got)
}

func TestTheTableOfRoutesInDocsIsComplete(t *testing.T) {
	var table bytes.Buffer
	table.WriteString("| route | what it does | who |\n|---|---|---|\n")
	for _, op := range bare(Config{}).operations() {
		fmt.Fprintf(&table, "| `%s %s` | %s | %s |\n", op.Method, op.Path, op.Summary, op.Rule)
	}
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- routes: written by a test -->\n", "<!-- end of routes -->\n"
	before, rest, _ := strings.Cut(string(page), begin)
	_, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatal("docs/api.md has no place for the table of routes")
	}
	golden(t, "../../docs/api.md", []byte(before+begin+table.String()+end+after))
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the server says; look at the change with git diff after: go test ./internal/server -update", path)
	}
}

// A parameter that is in a path but not in the document is one that the handler never gets.
func TestEveryPathParameterReachesItsHandler(t *testing.T) {
	s := bare(Config{})
	for path, item := range s.api.OpenAPI().Paths {
		var want []string
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
			want = append(want, m[1])
		}
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			var got []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					got = append(got, p.Name)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s gets %v of %s", op.OperationID, got, path)
			}
		}
	}
}

// Each path that package api names must be a documented operation, or one of the few that are not JSON.
func TestEveryPathOfTheContractIsServed(t *testing.T) {
	source, err := os.ReadFile("../api/path.go")
	if err != nil {
		t.Fatal(err)
	}
	s := bare(Config{})
	declared := regexp.MustCompile(`(?m)^\t(\w+Path) += `).FindAllStringSubmatch(string(source), -1)
	if len(declared) < 15 {
		t.Fatalf("found only %d paths", len(declared))
	}
	documented := s.api.OpenAPI().Paths
	outside := []string{api.SetupPagePath, api.JoinPagePath, api.OpenAPIPath, api.DocsPath, api.HealthPath, api.ReadyPath, api.MetricsPath}
	if got := len(documented) + len(outside); got != len(declared) {
		t.Errorf("package api declares %d paths, %d are served", len(declared), got)
	}
	for _, path := range outside {
		if _, pattern := s.mux.Handler(httptest.NewRequest(http.MethodGet, path, nil)); pattern != "GET "+path {
			t.Errorf("%s is served by %q", path, pattern)
		}
	}
}

func TestEveryRouteButThePublicOnesAsksForAToken(t *testing.T) {
	s := bare(Config{})
	var open []string
	for _, op := range s.operations() {
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(op.Path, "x")
		// A body that would be refused: it must not even be looked at before the token is.
		res := do(s, op.Method, path, `{"nonsense`, nil)
		if res.Code != http.StatusUnauthorized {
			open = append(open, op.Method+" "+op.Path)
			continue
		}
		p := problem(t, res)
		if p.Code != "unauthenticated" || p.Hint == "" || res.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: got %+v, %v", op.Method, op.Path, p, res.Header())
		}
	}
	if !slices.Equal(open, publicRoutes) {
		t.Errorf("without a token one reaches %v, want %v", open, publicRoutes)
	}
	if res := do(s, http.MethodGet, api.MetricsPath, "", nil); res.Code != http.StatusUnauthorized {
		t.Errorf("metrics are shown to strangers: %d", res.Code)
	}
	var document struct {
		Security []map[string][]string
		Paths    map[string]map[string]struct {
			Security *[]map[string][]string
		}
	}
	raw, err := s.OpenAPI()
	if err != nil || json.Unmarshal(raw, &document) != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method, op := range methods {
			isPublic := slices.Contains(publicRoutes, strings.ToUpper(method)+" "+path)
			if saysPublic := op.Security != nil && len(*op.Security) == 0; saysPublic != isPublic {
				t.Errorf("%s %s: the document says public: %v", method, path, saysPublic)
			}
		}
	}
}

func TestRefusalsBeforeAHandlerAreProblems(t *testing.T) {
	s := bare(Config{})
	long := `{"secret":"` + strings.Repeat("x", maxBodyBytes) + `","name":"a"}`
	for _, c := range []struct {
		name, method, path, body string
		header                   map[string]string
		status                   int
		code, says               string
	}{
		{"an unknown path", "GET", "/api/v1/nonsense", "", nil, 404, "not_found", "no such path"},
		{"a wrong method", "DELETE", "/api/v1/projects", "", nil, 405, "invalid", "DELETE cannot"},
		{"an unknown field", "POST", api.SetupPath, `{"secret":"s","name":"a","bogus":1}`, nil, 422, "invalid", "there is no bogus"},
		{"a missing field", "POST", api.SetupPath, `{"secret":"s"}`, nil, 422, "invalid", "name"},
		{"a body that is no JSON", "POST", api.SetupPath, `{"secret":"hunter2`, nil, 400, "invalid", "unexpected end"},
		{"another media type", "POST", api.SetupPath, `secret=s`, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, "invalid", ""},
		{"a body of no type", "POST", api.SetupPath, `{"secret":"s","name":"a"}`, map[string]string{"Content-Type": ""}, 415, "invalid", "what its body is"},
		{"no body", "POST", api.SetupPath, ``, nil, 400, "invalid", "body is required"},
		{"a body that is too long", "POST", api.SetupPath, long, nil, 413, "invalid", ""},
		{"a page of another site", "POST", api.SetupPath, `{}`, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "not_allowed", "another site"},
		{"a page of another origin", "POST", api.SetupPath, `{}`, map[string]string{"Origin": "http://evil.example"}, 403, "not_allowed", "another site"},
		{"a name bound to our address", "GET", "/healthz", "", map[string]string{"Host": "evil.example"}, 421, "invalid", "evil.example"},
	} {
		header := map[string]string{"Content-Type": "application/json"}
		maps.Copy(header, c.header)
		res := do(s, c.method, c.path, c.body, header)
		p := problem(t, res)
		if res.Code != c.status || p.Status != c.status || p.Code != c.code || p.Type != "urn:holdfast:problem:"+c.code || p.Title == "" || !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: got %d %+v", c.name, res.Code, p)
		}
		if strings.Contains(res.Body.String(), "hunter2") {
			t.Errorf("%s: the answer repeats what was sent", c.name)
		}
		if strings.HasPrefix(c.path, "/api") && res.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be cached", c.name)
		}
	}
	if allow := do(s, "DELETE", "/api/v1/projects", "", nil).Header().Get("Allow"); allow != "GET, POST" {
		t.Errorf("allowed: %q", allow)
	}
}

func TestTheHostHeaderMustNameThisServer(t *testing.T) {
	for _, c := range []struct {
		host string
		want bool
	}{
		{"127.0.0.1:7600", true}, {"localhost:7600", true}, {"localhost", true}, {"[::1]:7600", true}, {"[::1]", true}, {"192.168.1.5:7600", true},
		{"db.example.com:7600", true}, {"DB.example.com", true}, {"evil.example:7600", false}, {"localhost.evil.example", false}, {"127.0.0.1.evil.example", false}, {"", false},
	} {
		if got := bare(Config{Hosts: []string{"db.example.com"}}).hostAllowed(c.host); got != c.want {
			t.Errorf("%q: got %v", c.host, got)
		}
	}
	if !bare(Config{AnyHost: true}).hostAllowed("anything.example") {
		t.Error("a server open to every name refused one")
	}
}

func TestTheBearerTokenIsReadStrictly(t *testing.T) {
	for _, c := range []struct {
		headers []string
		token   string
		ok      bool
	}{
		{[]string{"Bearer abc"}, "abc", true}, {[]string{"bearer  abc "}, "abc", true}, {nil, "", false}, {[]string{"Basic abc"}, "", false}, {[]string{"Bearer "}, "", false},
		{[]string{"Bearer abc", "Bearer def"}, "", false}, {[]string{"Bearer " + strings.Repeat("x", 513)}, "", false}, {[]string{"abc"}, "", false},
	} {
		token, ok := bearerToken(http.Header{"Authorization": c.headers})
		if ok != c.ok || ok && token != c.token {
			t.Errorf("%.60v: got %.20q %v", c.headers, token, ok)
		}
	}
}

func TestEveryKindHasAStatusAndKeepsItsCause(t *testing.T) {
	var log bytes.Buffer
	s := bare(Config{})
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	for k := holdfast.Internal; k <= holdfast.Corrupt; k++ {
		status := api.StatusOf(k)
		if (k == holdfast.Internal || k == holdfast.Corrupt) != (status == 500) || status < 400 {
			t.Errorf("%v: status %d", k, status)
		}
		p := s.problemOf(t.Context(), fmt.Errorf("outer: %w", &holdfast.Error{Kind: k, Message: "it cannot be", Hint: "try", Cause: fmt.Errorf("at /secret/path")}))
		if p.Status != status || p.Code != k.String() || p.Detail != "it cannot be" || p.Hint != "try" {
			t.Errorf("%v: got %+v", k, p)
		}
	}
	p := s.problemOf(t.Context(), fmt.Errorf("open /secret/path: permission denied"))
	if strings.Contains(p.Detail+p.Hint, "/secret") || p.Code != "internal" {
		t.Errorf("a stranger learns %+v", p)
	}
	if mark := p.Hint[len(p.Hint)-8:]; !strings.Contains(log.String(), "ref="+mark) || !strings.Contains(log.String(), "/secret/path") {
		t.Errorf("the log does not say what happened under %s: %s", mark, log.String())
	}
}

func TestProbesAndDescriptionNeedNoToken(t *testing.T) {
	s := bare(Config{})
	for path, want := range map[string]string{api.HealthPath: "ok", api.DocsPath: "<dt><code>GET /api/v1/projects</code>", api.OpenAPIPath: `"openapi": "3.1.0"`} {
		res := do(s, http.MethodGet, path, "", nil)
		if res.Code != http.StatusOK || !strings.Contains(res.Body.String(), want) {
			t.Errorf("%s: got %d %.200s", path, res.Code, res.Body)
		}
	}
}

func TestAPanicIsAProblemAndEndsOnlyItsRequest(t *testing.T) {
	s := bare(Config{Mounts: map[string]http.Handler{"/boom": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })}})
	if p := problem(t, do(s, http.MethodGet, "/boom", "", nil)); p.Status != 500 || strings.Contains(p.Detail, "boom") {
		t.Errorf("got %+v", p)
	}
}

func do(h http.Handler, method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	r.Host = "127.0.0.1:7600"
	for k, v := range header {
		if k == "Host" {
			r.Host = v
		} else {
			r.Header.Set(k, v)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problem(t *testing.T, res *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	var p api.Problem
	if got := res.Header().Get("Content-Type"); got != api.ProblemContentType {
		t.Errorf("content type %q, body %.200s", got, res.Body)
	}
	if err := json.Unmarshal(res.Body.Bytes(), &p); err != nil {
		t.Errorf("read %q: %v", res.Body, err)
	}
	return p
}
