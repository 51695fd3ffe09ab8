package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

const annsPassword = "a long password"

// signedIn is a server with a person called ann, and the cookie of a session of hers.
func signedIn(t *testing.T) (*fixture, string) {
	t.Helper()
	f := newFixture(t)
	f.server.identify = f.server.caller
	if _, err := f.server.config.Platform.CreatePerson(t.Context(), platform.System(), platform.NewPerson{Name: "ann", Password: annsPassword, Admin: true}); err != nil {
		t.Fatal(err)
	}
	res := f.send(t, http.MethodPost, api.LoginPath, api.Login{Name: "Ann", Password: annsPassword}, nil)
	if res.Code != http.StatusOK {
		t.Fatalf("got %d %s", res.Code, res.Body)
	}
	cookie, _, _ := strings.Cut(res.Header()["Set-Cookie"][0], ";")
	return f, cookie
}

func (f *fixture) send(t *testing.T, method, path string, body any, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	h := map[string]string{}
	raw := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		raw, h["Content-Type"] = string(b), "application/json"
	}
	for k, v := range header {
		h[k] = v
	}
	return do(f.server, method, path, raw, h)
}

func TestTheSessionsCookieIsOutOfReach(t *testing.T) {
	f, _ := signedIn(t)
	for _, c := range []struct {
		name   string
		header map[string]string
		want   string
	}{
		{"without TLS", nil, `^holdfast_session_7600=hf_session_[\w-]{43}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Strict$`},
		{"behind TLS", map[string]string{"X-Forwarded-Proto": "https"}, `^__Host-holdfast_session=hf_session_[\w-]{43}; Path=/; Max-Age=\d+; HttpOnly; Secure; SameSite=Strict$`},
	} {
		res := f.send(t, http.MethodPost, api.LoginPath, api.Login{Name: "ann", Password: annsPassword}, c.header)
		cookies := res.Header()["Set-Cookie"]
		if len(cookies) != 2 || !regexp.MustCompile(c.want).MatchString(cookies[0]) || !strings.Contains(cookies[1], "; HttpOnly") {
			t.Errorf("%s: got %q", c.name, cookies)
		}
		if strings.Contains(res.Body.String(), "hf_session_") {
			t.Errorf("%s: the secret is in the body, where scripts can read it", c.name)
		}
	}
}

func TestASessionLivesFromLoginToLogout(t *testing.T) {
	f, cookie := signedIn(t)
	header := map[string]string{"Cookie": cookie}
	var info api.ServerInfo
	if res := f.send(t, http.MethodGet, api.ServerPath, nil, header); res.Code != http.StatusOK || json.Unmarshal(res.Body.Bytes(), &info) != nil || info.You.Name != "ann" || info.You.Kind != "person" || !info.You.Admin {
		t.Fatalf("got %d %s", res.Code, res.Body)
	}
	for name, h := range map[string]map[string]string{
		"over TLS under the plain name": {"Cookie": cookie, "X-Forwarded-Proto": "https"},
		"twice":                         {"Cookie": cookie + "; " + cookie},
		"with a bad token beside it":    {"Cookie": cookie, "Authorization": "Bearer nonsense"},
		"changed":                       {"Cookie": cookie + "x"},
	} {
		if res := f.send(t, http.MethodGet, api.ServerPath, nil, h); res.Code != http.StatusUnauthorized {
			t.Errorf("a cookie %s: got %d", name, res.Code)
		}
	}
	header[api.RequestHeader] = "1"
	if res := f.send(t, http.MethodPost, api.LogoutPath, nil, header); res.Code != http.StatusNoContent || !strings.Contains(res.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("got %d %v", res.Code, res.Header())
	}
	if res := f.send(t, http.MethodGet, api.ServerPath, nil, header); res.Code != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", res.Code)
	}
}

// What a page elsewhere can make a browser send with our cookie is refused, whether the browser says where it comes from or not.
func TestARequestForgedByAnotherSiteIsRefused(t *testing.T) {
	f, cookie := signedIn(t)
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		status int
	}{
		{"a form of another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded"}, "a=b", 403},
		{"a page on another port of this host", map[string]string{"Sec-Fetch-Site": "same-site", "Content-Type": "application/json"}, `{}`, 403},
		{"an old browser with an Origin", map[string]string{"Origin": "http://evil.example", "Content-Type": "application/json"}, `{}`, 403},
		{"a sandboxed frame", map[string]string{"Origin": "null", "Content-Type": "application/json"}, `{}`, 403},
		{"an older browser's form", map[string]string{"Content-Type": "text/plain"}, `{"name":"x"}`, 403},
		{"an older browser's empty form", nil, "", 403},
		{"our own page", map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}, `{"name":"ci","kind":"user","right":"read"}`, 201},
		{"our own page without Sec-Fetch-Site", map[string]string{"Origin": "http://127.0.0.1:7600", "Content-Type": "application/json"}, `{"name":"ci","kind":"user","right":"read"}`, 201},
	} {
		header := map[string]string{"Cookie": cookie}
		for k, v := range c.header {
			header[k] = v
		}
		if res := do(f.server, http.MethodPost, api.TokensPath, c.body, header); res.Code != c.status {
			t.Errorf("%s: got %d %s", c.name, res.Code, res.Body)
		}
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	f, cookie := signedIn(t)
	var log bytes.Buffer
	f.server.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	res := f.send(t, http.MethodPost, api.TokensPath, api.NewToken{Name: "ci", Kind: "user", Right: "read"}, map[string]string{"Cookie": cookie})
	var made api.TokenSecret
	if err := json.Unmarshal(res.Body.Bytes(), &made); err != nil || made.Secret == "" {
		t.Fatalf("got %s, %v", res.Body, err)
	}
	f.send(t, http.MethodGet, api.ServerPath, nil, map[string]string{"Authorization": "Bearer " + made.Secret})
	f.send(t, http.MethodGet, api.ServerPath+"?token="+made.Secret, nil, map[string]string{"Authorization": "Bearer " + made.Secret + "x"})
	f.send(t, http.MethodPost, api.LoginPath, api.Login{Name: "ann", Password: "hunter2hunter2"}, nil)
	f.send(t, http.MethodPost, api.JoinPath, api.Join{Secret: "hf_invite_guess", Password: "hunter2hunter2"}, nil)
	_, session, _ := strings.Cut(cookie, "=")
	for _, secret := range []string{made.Secret, session, "hunter2", "hf_invite_guess", annsPassword} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %.12q...", secret)
		}
	}
	if !strings.Contains(log.String(), "path="+api.LoginPath) {
		t.Error("the log is empty")
	}
}

// A proxy is believed only where the operator says that there is one, and only what it says itself.
func TestWhereARequestComesFrom(t *testing.T) {
	s := bare(Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "8.8.8.8", "192.0.2.1"},
		{"10.0.0.1:5", "8.8.8.8", "8.8.8.8"},
		{"10.0.0.1:5", "1.1.1.1, 8.8.8.8", "8.8.8.8"},
		{"10.0.0.1:5", "1.1.1.1, 8.8.8.8, 10.0.0.2", "8.8.8.8"},
		{"10.0.0.1:5", "nonsense", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:5", "2001:db8::1", "2001:db8::1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("X-Forwarded-For", c.forwarded)
		if got := s.source(r); got != c.want {
			t.Errorf("%s forwarding %q: got %s", c.remote, c.forwarded, got)
		}
	}
}

// Names in paths are names: none of them leads to a file, to another route or to another project.
func TestPathsLeadNowhereElse(t *testing.T) {
	f, cookie := signedIn(t)
	for _, path := range []string{"/api/v1/projects/..%2f..%2fetc%2fpasswd", "/api/v1/projects/%2e%2e", "/api/v1/projects/shop%2fbranches", "/api/v1/projects/shop/branches/..%2f..%2fother",
		"/api/v1/projects/shop%00", "/api/v1/../../etc/passwd", "/api/v1/projects//shop", "/api/v1/people/..%5c..%5cwindows"} {
		res := f.send(t, http.MethodGet, path, nil, map[string]string{"Cookie": cookie})
		if res.Code == http.StatusOK || strings.Contains(res.Body.String(), "root:") {
			t.Errorf("%s: got %d %.200s", path, res.Code, res.Body)
		}
		if to := res.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "/") {
			t.Errorf("%s: leads to %s", path, to)
		}
	}
}

// No answer of the API lets a script run, and none may be framed.
func TestAnswersCarryAPolicyUnderWhichNothingRuns(t *testing.T) {
	f, cookie := signedIn(t)
	for _, path := range []string{api.ServerPath, api.DocsPath, api.OpenAPIPath, api.HealthPath, "/api/v1/nonsense"} {
		h := f.send(t, http.MethodGet, path, nil, map[string]string{"Cookie": cookie}).Header()
		if got := h.Get("Content-Security-Policy"); got != "default-src 'none'; frame-ancestors 'none'" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: got %s", path, fmt.Sprint(h))
		}
	}
}
