// Package console_test drives the web console in a real browser, against the built binary with real PostgreSQL. Each scenario is
// a script in scenarios/; browser.mjs runs it and complains about errors in the browser's console, breaches of the content
// security policy and requests to other hosts.
package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/servetest"
)

const (
	patience      = 3 * time.Minute // for one scenario
	firstRunBound = time.Minute     // from the link to the connection string on the clipboard
	providerHost  = "127.0.0.2"     // where the scenario "provider" has somebody to sign in with
)

func TestConsole(t *testing.T) {
	b := findBrowser(t)
	pgtest.Installation(t)   // skips where there is no PostgreSQL
	b.Folder = pgtest.Dir(t) // removed after the server has ended, which writes to it
	s := startServer(t)
	b.Base, b.Token = s.url, s.token(t)

	t.Run("from the set-up link to a connection string", func(t *testing.T) {
		b := b
		b.Link, b.Token = s.link, ""
		var found struct {
			URL  string
			Took int64
		}
		b.run(t, "first-run", &found)
		took := time.Duration(found.Took) * time.Millisecond
		t.Logf("it took %s", took.Round(time.Millisecond))
		if took > firstRunBound {
			t.Errorf("it took %s, want less than %s", took, firstRunBound)
		}
		if err := connect(t, found.URL); err != nil {
			t.Errorf("the copied connection string does not work: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow() // the others need the project
	}
	t.Run("connect", func(t *testing.T) {
		var found struct{ Before, URL, Env string }
		b.run(t, "connect", &found)
		if err := connect(t, found.Before); err == nil {
			t.Error("the old password still works")
		}
		if err := connect(t, found.URL); err != nil {
			t.Errorf("the new password does not work: %v", err)
		}
	})
	for _, name := range []string{
		"sql", "branches", "data", "data-work", "structure", "history", "backups", "backup-places", "production",
		"publish", "removal", "rescue", "standing",
		"text-stays-text", "job", "people", "provider", "activity", "session", "phone", "keyboard", "names",
	} {
		t.Run(name, func(t *testing.T) { b.run(t, name, &struct{}{}) })
	}
	t.Run("no secret reached the log", func(t *testing.T) { s.searchLog(t) })
}

// browser is what a scenario is told.
type browser struct {
	Tools    string `json:"tools"`
	Chromium string `json:"chromium"`
	Base     string `json:"base"`
	Token    string `json:"token,omitempty"`
	Link     string `json:"link,omitempty"`
	Shots    string `json:"shots,omitempty"`
	Folder   string `json:"folder"` // for scenarios to keep something in, beside the server's own

	node string
}

// findBrowser skips, saying what is missing, where there is no browser to test in.
func findBrowser(t *testing.T) browser {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a browser and a minute")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node; the console is not tested in a browser")
	}
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if chromium, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		t.Skip("there is no chromium; `scripts/install.sh test` installs it")
	}
	tools, err := filepath.Abs("../../.tools/browser")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tools, "node_modules", "playwright-core")); err != nil {
		t.Skip("there is no playwright-core in .tools/browser; `scripts/install.sh test` installs it")
	}
	return browser{Tools: tools, Chromium: chromium, Shots: os.Getenv("HOLDFAST_TEST_SHOTS"), node: node}
}

// run runs a scenario and reads what it found out into found.
func (b browser) run(t *testing.T, scenario string, found any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	known, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, b.node, "browser.mjs", scenario)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(known), &out, &errs
	// The browser's processes are in the group, too: none may outlive the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", scenario, err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), found); err != nil {
		t.Fatalf("%s answered %q: %v", scenario, out.String(), err)
	}
}

func connect(t *testing.T, url string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	return conn.Ping(t.Context())
}

// server is a built holdfast that serves.
type server struct {
	dir, url, link string
	process        *servetest.Process
}

var setupLink = regexp.MustCompile(`http://\S+/setup#\S+`)

// startServer builds the binary and starts it in a directory of its own. It is stopped when the test ends.
func startServer(t *testing.T) *server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "holdfast")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/holdfast").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s := &server{dir: filepath.Join(pgtest.Dir(t), "data")}
	if err := os.MkdirAll(s.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	var err error
	s.process, err = servetest.Launch(servetest.Options{Binary: binary, Data: s.dir, Args: []string{"--log-level", "debug", "--allow-network", providerHost + "/32"}, Env: append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.process.Greeted(); err != nil {
		t.Fatal(err)
	}
	if s.link = setupLink.FindString(s.process.Out.String()); s.link == "" {
		t.Fatalf("the server prints no set-up link:\n%s", s.process.Out)
	}
	s.url = s.link[:strings.Index(s.link, "/setup#")]
	return s
}

func (s *server) token(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// secrets are tokens and passwords as the product makes them.
var secrets = regexp.MustCompile(`hf_(admin|user|agent|session|invite)_\S+|postgres(ql)?://[^ @]+:[^ @]+@`)

// The log, at its most talkative, may name every request, but no secret. The set-up link alone is printed for the person.
func (s *server) searchLog(t *testing.T) {
	t.Helper()
	log := s.process.Out.String() + s.process.Log.String()
	if !strings.Contains(log, "/api/v1/join") {
		t.Fatalf("the log does not tell of requests:\n%s", log)
	}
	for line := range strings.Lines(log) {
		if secrets.MatchString(line) || strings.Contains(line, "hf_setup_") && !strings.Contains(line, "set-up link") {
			t.Errorf("a secret is in the log: %.200s", line)
		}
	}
}
