package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The sources of the build, as scripts/seal.mjs lists them.
var sources = []string{"biome.json", "index.html", "package-lock.json", "package.json", "scripts", "src", "tsconfig.json", "vite.config.ts"}

const seal = "dist/source.sha256"

// The build is committed, so that building the binary takes no node. A change of the sources without a new build, or an edited
// build, would go unnoticed; this notices without node.
func TestTheCommittedBuildIsThatOfTheSources(t *testing.T) {
	want := fmt.Sprintf("source %s\nbuilt %s\n", hashOf(t, sources...), hashOf(t, "dist"))
	got, err := os.ReadFile(seal)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("console/%s says\n%sbut the files are\n%srun `make console` and commit what it built", seal, got, want)
	}
}

func hashOf(t *testing.T, roots ...string) string {
	t.Helper()
	var names []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.ToSlash(name) != seal {
				names = append(names, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryPageIsTheSamePage(t *testing.T) {
	for _, path := range []string{"/", "/setup", "/projects/shop", "/projects/shop/branches/production/settings", "/jobs/job_1", "/apiary"} {
		res := get(t, http.MethodGet, path)
		if res.StatusCode != http.StatusOK || !strings.Contains(body(t, res), `<div id="root">`) {
			t.Errorf("%s: %s, want the page", path, res.Status)
		}
		if c := res.Header.Get("Cache-Control"); c != "no-store" {
			t.Errorf("%s may be cached: %q", path, c)
		}
	}
}

func TestWhatIsNoPageIsNotAnsweredWithOne(t *testing.T) {
	for _, path := range []string{"/api/v1/nothing", "/api", "/metrics", "/healthz", "/assets/index.js", "/assets/0000000000000000/index.js", "/favicon.ico",
		"/assets/", "/index.html.bak", "/..%2fconsole.go", "/../console.go", "/assets/../../console.go"} {
		if res := get(t, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, res.Status)
		}
	}
	res := get(t, http.MethodPost, "/")
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, Allow %q", res.Status, res.Header.Get("Allow"))
	}
}

var named = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

// What the page names must be there, with a type that a browser believes under nosniff, and may be kept for good.
func TestThePageFindsItsFiles(t *testing.T) {
	page := body(t, get(t, http.MethodGet, "/projects"))
	found := named.FindAllStringSubmatch(page, -1)
	if len(found) < 3 {
		t.Fatalf("the page names %d files: %s", len(found), page)
	}
	for _, m := range found {
		res := get(t, http.MethodGet, m[1])
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", m[1], res.Status)
			continue
		}
		if c := res.Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
			t.Errorf("%s: Cache-Control %q", m[1], c)
		}
		want := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}[filepath.Ext(m[1])]
		if got := res.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: type %q, want %q", m[1], got, want)
		}
		etag := res.Header.Get("ETag")
		if again := get(t, http.MethodGet, m[1], "If-None-Match", etag); etag == "" || again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: asked again with ETag %s: %s", m[1], etag, again.Status)
		}
	}
}

// Nothing is loaded from elsewhere: the console works on a machine without the Internet.
func TestThePageNamesNoOtherHost(t *testing.T) {
	page := body(t, get(t, http.MethodGet, "/"))
	if strings.Contains(page, "//") && regexp.MustCompile(`(?:src|href)="(?:https?:)?//`).MatchString(page) {
		t.Errorf("the page names another host: %s", page)
	}
}

func TestThePolicyLetsNoInlineScriptRun(t *testing.T) {
	first, second := get(t, http.MethodGet, "/"), get(t, http.MethodGet, "/")
	policy := first.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %q: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is unsafe: %s", policy)
	}
	nonce := regexp.MustCompile(`'nonce-([A-Z2-7]{20,})'`).FindStringSubmatch(policy)
	if nonce == nil || !strings.Contains(body(t, first), `nonce="`+nonce[1]+`"`) {
		t.Errorf("the page does not carry the nonce of its policy: %s", policy)
	}
	if second.Header.Get("Content-Security-Policy") == policy {
		t.Error("two answers share a nonce")
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
		if got := first.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFilesAreCompressedForWhoAsks(t *testing.T) {
	script := named.FindStringSubmatch(regexp.MustCompile(`<script[^>]+>`).FindString(body(t, get(t, http.MethodGet, "/"))))[1]
	plain, packed := get(t, http.MethodGet, script), get(t, http.MethodGet, script, "Accept-Encoding", "br, gzip;q=0.5")
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("encodings: %q and %q, Vary %q", packed.Header.Get("Content-Encoding"), plain.Header.Get("Content-Encoding"), packed.Header.Get("Vary"))
	}
	if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
		t.Error("two encodings share an ETag")
	}
	unpacked, err := gzip.NewReader(strings.NewReader(body(t, packed)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(unpacked)
	if err != nil || !bytes.Equal(got, []byte(body(t, plain))) {
		t.Errorf("the compressed script is another one: %v", err)
	}
	for _, refused := range []string{"identity", "gzip;q=0", "gzip; q=0.0"} {
		if res := get(t, http.MethodGet, script, "Accept-Encoding", refused); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("compressed for %q", refused)
		}
	}
}

// The first screen must be there at once, over a slow line too. The bound is on everything that the page itself names.
func TestTheFirstScreenIsSmall(t *testing.T) {
	const most = 500_000
	sum := 0
	for _, m := range named.FindAllStringSubmatch(body(t, get(t, http.MethodGet, "/")), -1) {
		sum += len(body(t, get(t, http.MethodGet, m[1], "Accept-Encoding", "gzip")))
	}
	t.Logf("the first screen takes %d bytes, compressed", sum)
	if sum > most {
		t.Errorf("the first screen takes %d bytes, want at most %d", sum, most)
	}
}
