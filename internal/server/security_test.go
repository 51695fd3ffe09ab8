package server

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// unsafe are the operations that may change something, with a path and a body that are valid.
func (f *fixture) unsafe(t *testing.T) (ops []*huma.Operation, paths, bodies []string) {
	t.Helper()
	for path, item := range f.server.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			p := strings.NewReplacer("{project}", "shop", "{branch}", "development").Replace(path)
			ops, paths, bodies = append(ops, op), append(paths, regexp.MustCompile(`\{\w+\}`).ReplaceAllString(p, "x")), append(bodies, f.example(t, op))
		}
	}
	if len(ops) < 80 {
		t.Fatalf("the walk found only %d operations that change something", len(ops))
	}
	return ops, paths, bodies
}

// What a page of another site can make a browser send with our cookie reaches no route that changes something, whichever it is.
func TestNoRouteThatChangesSomethingCanBeForged(t *testing.T) {
	f, cookie := signedIn(t)
	trail := func() int64 {
		last, err := f.server.config.Platform.VerifyAudit(t.Context(), platform.System())
		if err != nil {
			t.Fatal(err)
		}
		return last.Seq
	}
	before := trail()
	ops, paths, bodies := f.unsafe(t)
	deliberate := map[string]string{"Content-Type": "application/json", api.RequestHeader: "1"}
	elsewhere := map[string]map[string]string{
		"a page of another site":              {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"a page on another port":              {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9999"},
		"a foreign Origin":                    {"Origin": "https://evil.example"},
		"an Origin of our name's kind":        {"Origin": "http://127.0.0.1:7600.evil.example"},
		"a sandboxed frame":                   {"Origin": "null"},
		"our own Origin, but a foreign fetch": {"Origin": "http://127.0.0.1:7600", "Sec-Fetch-Site": "cross-site"},
	}
	// What a form can send where the browser does not say where it comes from.
	forms := []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"}
	for i, op := range ops {
		at := op.Method + " " + paths[i]
		for name, header := range elsewhere {
			h := map[string]string{"Cookie": cookie}
			for _, more := range []map[string]string{deliberate, header} {
				for k, v := range more {
					h[k] = v
				}
			}
			if res := do(f.server, op.Method, paths[i], bodies[i], h); res.Code != http.StatusForbidden || !strings.Contains(res.Body.String(), "another site") {
				t.Errorf("%s from %s: got %d %.150s", at, name, res.Code, res.Body)
			}
		}
		isPublic := slices.Contains(publicRoutes, op.Method+" "+op.Path)
		for _, media := range forms {
			h := map[string]string{"Cookie": cookie}
			if media != "" {
				h["Content-Type"] = media
			}
			res := do(f.server, op.Method, paths[i], bodies[i], h)
			said := strings.Contains(res.Body.String(), "has to say that it is meant")
			if !isPublic && (res.Code != http.StatusForbidden || !said) || isPublic && (res.Code < 400 || len(res.Header()["Set-Cookie"]) > 0) {
				t.Errorf("%s as a form with %q: got %d %.150s", at, media, res.Code, res.Body)
			}
		}
	}
	if after := trail(); after != before {
		done, err := f.server.config.Platform.AuditAfter(t.Context(), platform.System(), before, 10)
		t.Errorf("%d things were done: %+v, %v", after-before, done, err)
	}
	// The walk would notice: with the header of our own page a route is reached.
	h := map[string]string{"Cookie": cookie, api.RequestHeader: "1", "Origin": "http://127.0.0.1:7600", "Sec-Fetch-Site": "same-origin"}
	if res := do(f.server, http.MethodPost, api.LogoutPath, "", h); res.Code != http.StatusNoContent {
		t.Errorf("our own page: got %d %s", res.Code, res.Body)
	}
}

// A cookie opens no other door: what is no operation of the API takes no request that a page elsewhere could make.
func TestWhatIsMountedBesideTheAPIIsGuardedAlike(t *testing.T) {
	reached := 0
	mount := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ })
	s := bare(Config{Mounts: map[string]http.Handler{"/mcp": mount}})
	for _, header := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Host": "evil.example"}} {
		if res := do(s, http.MethodPost, "/mcp", "{}", header); res.Code != http.StatusForbidden && res.Code != http.StatusMisdirectedRequest || reached > 0 {
			t.Errorf("%v: got %d", header, res.Code)
		}
	}
}

// Every cookie that is ever set: out of a script's reach, not sent along by other sites, and under TLS for this host alone.
func TestEveryCookieIsGuarded(t *testing.T) {
	f, _ := withProvider(t)
	p := f.server.config.Platform
	if _, err := p.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "ann", Password: annsPassword}); err != nil {
		t.Fatal(err)
	}
	invitation, _, err := p.Invite(t.Context(), platform.System(), platform.NewInvitation{Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, encrypted := range []bool{false, true} {
		seen := map[string]bool{}
		collect := func(method, path string, body any, header map[string]string) *httptest.ResponseRecorder {
			t.Helper()
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(method, path, strings.NewReader(string(raw)))
			r.Host = "127.0.0.1:7600"
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(api.RequestHeader, "1")
			for k, v := range header {
				r.Header.Set(k, v)
			}
			if encrypted {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			f.server.ServeHTTP(w, r)
			for _, c := range w.Result().Cookies() {
				name := strings.TrimPrefix(c.Name, "__Host-")
				seen[regexp.MustCompile(`_\d+$`).ReplaceAllString(name, "")] = true
				forScripts := strings.Contains(c.Name, "_refusal") // why one was refused, which the page shows
				lax := strings.Contains(c.Name, "_signin")         // comes back with a navigation from the provider
				switch {
				case c.Path != "/" || c.Domain != "":
					t.Errorf("%s: path %q, domain %q", c.Name, c.Path, c.Domain)
				case encrypted != c.Secure || encrypted != strings.HasPrefix(c.Name, "__Host-"):
					t.Errorf("%s: Secure is %v under TLS %v", c.Name, c.Secure, encrypted)
				case !c.HttpOnly && !forScripts:
					t.Errorf("%s: scripts can read it", c.Name)
				case c.SameSite != http.SameSiteStrictMode && !(lax && c.SameSite == http.SameSiteLaxMode):
					t.Errorf("%s: SameSite is %v", c.Name, c.SameSite)
				case forScripts && (strings.Contains(c.Value, "hf_") || c.MaxAge > 60):
					t.Errorf("%s tells %q for %d s", c.Name, c.Value, c.MaxAge)
				}
			}
			return w
		}
		if res := collect(http.MethodPost, api.LoginPath, api.Login{Name: "ann", Password: annsPassword}, nil); res.Code != http.StatusOK {
			t.Fatalf("got %d %s", res.Code, res.Body)
		} else {
			cookie, _, _ := strings.Cut(res.Header()["Set-Cookie"][0], ";")
			collect(http.MethodPost, api.LogoutPath, nil, map[string]string{"Cookie": cookie})
		}
		if !encrypted {
			if res := collect(http.MethodPost, api.JoinPath, api.Join{Secret: invitation, Name: "eve", Password: annsPassword}, nil); res.Code != http.StatusOK {
				t.Fatalf("got %d %s", res.Code, res.Body)
			}
		}
		if res := collect(http.MethodGet, api.OIDCLoginPath+"?to=/projects", nil, nil); res.Code != http.StatusSeeOther {
			t.Fatalf("got %d %s", res.Code, res.Body)
		}
		collect(http.MethodGet, api.OIDCCallbackPath+"?code=x&state=y", nil, nil)
		if want := []string{"holdfast_session", "holdfast_device", "holdfast_signin", "holdfast_refusal"}; len(seen) != len(want) || slices.ContainsFunc(want, func(name string) bool { return !seen[name] }) {
			t.Errorf("the cookies are %v, want %v: one that is new has to be looked at here", fmt.Sprint(seen), want)
		}
	}
}

// No answer of the API takes scripts of another site's page for its reader: without a word on who else may read it, a browser keeps it back.
func TestNoAnswerIsSharedWithOtherSites(t *testing.T) {
	f, cookie := signedIn(t)
	ops := f.server.operations()
	for _, op := range ops {
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(op.Path, "x")
		for _, method := range []string{http.MethodOptions, op.Method} {
			h := do(f.server, method, path, "{}", map[string]string{"Cookie": cookie, "Origin": "https://evil.example", "Access-Control-Request-Method": op.Method}).Header()
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s is %s", method, path, name, h.Get(name))
				}
			}
			if h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: got %v", method, path, h)
			}
		}
	}
}
