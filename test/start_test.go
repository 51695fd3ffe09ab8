package test

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
)

var (
	shopDevelopment = holdfast.BranchRef{Project: "shop", Branch: "development"}
	shopProduction  = holdfast.BranchRef{Project: "shop", Branch: "production"}
)

// nobody is an ordinary user without rights, if this process may become one.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the tests run as a normal user already")
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

func TestFirstStartAndEveryLaterOne(t *testing.T) {
	t.Parallel()
	firstStartAndEveryLaterOne(t, nil)
}

func TestFirstStartAndEveryLaterOneAsANormalUser(t *testing.T) {
	t.Parallel()
	firstStartAndEveryLaterOne(t, nobody(t))
}

func firstStartAndEveryLaterOne(t *testing.T, as *syscall.Credential) {
	s := newServer(t, place(t), as, "--sample", "shop", "--rows", "2000")
	s.start(t)
	urls := printedURL.FindAllString(s.process.Out.String(), -1)
	link := regexp.MustCompile(`http://127\.0\.0\.1:\d+/setup#(\S+)`).FindStringSubmatch(s.process.Out.String())
	if len(urls) != 2 || link == nil || !strings.Contains(s.process.Out.String(), s.URL()) {
		t.Fatalf("the first start said:\n%s", s.process.Out)
	}
	if !strings.Contains(urls[0], "/shop_development?") || !strings.Contains(urls[1], "/shop_production?") {
		t.Errorf("the connection strings are %q", urls)
	}
	before := remembered(t, s)
	if before.rows[0] == 0 || before.rows[1] == 0 {
		t.Errorf("%v messages in the sample data", before.rows)
	}
	checkFilesWithSecrets(t, s)

	if code := s.signal(t, syscall.SIGINT); code != 0 {
		t.Errorf("Ctrl-C ended it with %d", code)
	}
	if left := pgtest.ProcessesBelow(t, s.data); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	firstLog := s.process.Log.String()

	s.start(t)
	if said := s.process.Out.String(); strings.Contains(said, "/setup#") || printedURL.MatchString(said) {
		t.Errorf("a later start tells secrets again:\n%s", said)
	}
	if after := remembered(t, s); after != before {
		t.Errorf("before the restart it was %+v, after it %+v", before, after)
	}
	checkNoSecretLies(t, s, firstLog+s.process.Log.String(), link[1], urls)
}

// memory is what a restart must not change.
type memory struct {
	development, production api.Connection
	rows                    [2]int
	projects                string
}

func remembered(t *testing.T, s *server) memory {
	t.Helper()
	m := memory{development: s.connection(t, shopDevelopment), production: s.connection(t, shopProduction)}
	for i, ref := range []holdfast.BranchRef{shopDevelopment, shopProduction} {
		m.rows[i] = value[int](t, s.connect(t, ref), "SELECT count(*) FROM messages")
	}
	projects, err := s.Projects(t.Context())
	if err != nil || len(projects) != 1 || len(projects[0].Branches) != 2 {
		t.Fatalf("projects %+v, %v", projects, err)
	}
	m.projects = projects[0].ID + projects[0].Branches[0].ID + projects[0].Branches[1].ID
	return m
}

func checkFilesWithSecrets(t *testing.T, s *server) {
	t.Helper()
	for _, name := range []string{"admin.token", "secret.key", "holdfast.db", "gateway.key"} {
		info, err := os.Stat(filepath.Join(s.data, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, ref := range []holdfast.BranchRef{shopDevelopment, shopProduction} {
		dir := s.branchDir(t, ref)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm() != 0o700 {
				t.Errorf("the directory %s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkNoSecretLies looks for passwords, tokens and the key in the log and in every file but those that are there to keep them.
func checkNoSecretLies(t *testing.T, s *server, log, setup string, urls []string) {
	t.Helper()
	secrets := []string{setup}
	for _, u := range urls {
		config, err := pgx.ParseConfig(u)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, config.Password, url.QueryEscape(config.Password))
	}
	for _, name := range []string{"admin.token", "secret.key"} {
		raw, err := os.ReadFile(filepath.Join(s.data, name))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.TrimSpace(string(raw)))
	}
	key, err := hex.DecodeString(secrets[len(secrets)-1])
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(key))
	find := func(where string, in []byte) {
		for _, secret := range secrets {
			if bytes.Contains(in, []byte(secret)) {
				t.Errorf("%s holds a secret: %.9q...", where, secret)
			}
		}
	}
	find("the log", []byte(log))
	err = filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains([]string{"admin.token", "secret.key"}, d.Name()) {
			return nil // a file that is gone by now holds nothing
		}
		raw, err := os.ReadFile(path)
		find(path, raw)
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A terminal sends Ctrl-C to everybody in front of it, and whoever started the server passes it on.
func TestCtrlCThatComesTwiceStopsOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.project(t, api.NewProject{Name: "shop"})
	if err := s.process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := s.signal(t, syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if left := pgtest.ProcessesBelow(t, s.data); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestServersWithDifferentDataDirectoriesRunSideBySide(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	a.must(t, "project", "create", "here")
	b.must(t, "project", "create", "here")
	b.must(t, "project", "create", "there")
	if got := a.must(t, "project", "list", "--json"); strings.Contains(got, "there") {
		t.Errorf("one knows the other's projects: %s", got)
	}
	here := holdfast.BranchRef{Project: "here", Branch: "production"}
	execute(t, a.connect(t, here), "CREATE TABLE mine ()")
	if value[bool](t, b.connect(t, here), "SELECT to_regclass('mine') IS NOT NULL") {
		t.Error("two projects of the same name are one")
	}
	if code := a.signal(t, syscall.SIGTERM); code != 0 {
		t.Errorf("one ended with %d", code)
	}
	b.must(t, "psql", "here/production", "--", "-c", "SELECT 1")
}
