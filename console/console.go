// Package console serves the web console, which is built from TypeScript and embedded in the binary. It is a client of the REST
// API like any other: what it can do, curl can do, and nothing here reads or decides anything.
//
// A caller may rely on this: the answers are the embedded files and nothing else; pages carry a content security policy under
// which only this origin's scripts run; everything works without any other host.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed all:dist
var built embed.FS

const (
	indexFile   = "index.html"
	assetFolder = "assets/"
	// nonceMark stands in the built page where each answer has its own nonce.
	nonceMark = "CSP_NONCE"
)

// notOurs are paths that belong to others: an address that is mistyped there must not be answered with a page.
var notOurs = []string{"/api", "/healthz", "/readyz", "/metrics", "/mcp"}

// Handler serves the console below /. Paths of pages are all answered with the same page, which finds its way by the address;
// its files lie below a path that carries the hash of the whole build, so that a browser may keep them for good and yet never
// mixes two builds.
func Handler() http.Handler {
	root, err := fs.Sub(built, "dist")
	if err != nil {
		panic("console: the embedded build has no folder: " + err.Error())
	}
	h, err := newHandler(root)
	if err != nil {
		panic("console: the embedded build is broken: " + err.Error())
	}
	return h
}

type handler struct {
	files  map[string]*file // by path in the build
	index  string
	assets string // path below which the files of this build lie
}

// file is one file of the build, and what of it is made when it is first asked for.
type file struct {
	content []byte
	media   string
	etag    string
	gzipped func() []byte // nil: it does not get smaller
}

func newHandler(root fs.FS) (*handler, error) {
	h := &handler{files: map[string]*file{}}
	whole := sha256.New()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		h.files[name] = newFile(name, content)
		fmt.Fprintf(whole, "%s\x00%d\x00", name, len(content))
		whole.Write(content)
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, ok := h.files[indexFile]
	if !ok {
		return nil, fmt.Errorf("there is no %s", indexFile)
	}
	delete(h.files, indexFile)
	h.assets = "/" + assetFolder + hex.EncodeToString(whole.Sum(nil))[:16] + "/"
	h.index = strings.ReplaceAll(string(page.content), "./"+assetFolder, h.assets)
	if !strings.Contains(h.index, h.assets) || !strings.Contains(h.index, nonceMark) {
		return nil, fmt.Errorf("%s names no script or has no place for the nonce", indexFile)
	}
	return h, nil
}

func newFile(name string, content []byte) *file {
	sum := sha256.Sum256(content)
	f := &file{content: content, media: mediaType(name), etag: hex.EncodeToString(sum[:16])}
	if strings.HasPrefix(f.media, "text/") || strings.HasPrefix(f.media, "image/svg") {
		f.gzipped = sync.OnceValue(func() []byte { return compress(content) })
	}
	return f
}

// mediaType does not ask the machine, whose tables differ: with nosniff a wrong type is a page that does not start.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	case ".txt", ".sha256":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a good one
	w.Write(content)                                      // a buffer takes everything
	w.Close()
	return b.Bytes()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "the console is only read")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(r.URL.Path, h.assets); ok {
		if f, ok := h.files[assetFolder+rest]; ok {
			serveFile(w, r, f, "public, max-age=31536000, immutable")
			return
		}
	} else if f, ok := h.files[name]; ok && !strings.HasPrefix(name, assetFolder) {
		serveFile(w, r, f, "no-cache")
		return
	} else if isPage(r.URL.Path) {
		h.servePage(w, r)
		return
	}
	// The files of another build are gone. The page notices and loads itself again.
	refuse(w, http.StatusNotFound, "there is no such file in the console")
}

// isPage says whether the path may be that of a page: it is nobody else's and does not look like a file.
func isPage(p string) bool {
	for _, other := range notOurs {
		if p == other || strings.HasPrefix(p, other+"/") {
			return false
		}
	}
	return !strings.HasPrefix(p, "/"+assetFolder) && !strings.Contains(path.Base(p), ".")
}

func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	header := w.Header()
	header.Set("Content-Security-Policy", policy(nonce))
	header.Set("Cache-Control", "no-store") // the nonce is good for one answer
	header.Set("Content-Type", "text/html; charset=utf-8")
	page := strings.ReplaceAll(h.index, nonceMark, nonce)
	header.Set("Content-Length", strconv.Itoa(len(page)))
	if r.Method == http.MethodHead {
		return
	}
	w.Write([]byte(page))
}

// policy lets scripts come from this origin and from nowhere else, never from the page itself. Some libraries put style
// elements into the page; they carry the nonce, and nothing that came in with data can know it.
func policy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
}

func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func serveFile(w http.ResponseWriter, r *http.Request, f *file, cache string) {
	content, etag := f.content, f.etag
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Cache-Control", cache)
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			content, etag = f.gzipped(), etag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", strconv.Quote(etag))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func acceptsGzip(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, quality, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if coding != "gzip" && coding != "*" {
			continue
		}
		q, err := strconv.ParseFloat(quality, 64)
		return quality == "" || err == nil && q > 0
	}
	return false
}

func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
