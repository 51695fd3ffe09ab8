package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two servers, each with a token that only it has: which one answers tells which way a command went.
func TestHowACommandFindsItsServer(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	a.must(t, "token", "create", "in-a")
	b.must(t, "token", "create", "in-b")
	token := func(s *server) string {
		raw, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(raw))
	}
	user := a.user("") // HOLDFAST_DATA leads to a
	expect := func(want string, further []string, args ...string) {
		t.Helper()
		c := user
		c.env = append(append([]string{}, user.env...), further...)
		if got := c.must(t, binary, append([]string{"token", "list"}, args...)...); !strings.Contains(got, want) {
			t.Errorf("%v %v: want %s, got\n%s", further, args, want, got)
		}
	}
	expect("in-a", nil)
	expect("in-b", []string{"HOLDFAST_DATA=" + b.data})
	expect("in-b", nil, "--data", b.data)

	login := user
	login.stdin = strings.NewReader(token(b) + "\n")
	login.must(t, binary, "login", "far", "--url", b.URL())
	expect("in-b", nil) // the login comes before the local data directory
	expect("in-a", nil, "--data", a.data)
	expect("in-a", []string{"HOLDFAST_URL=" + a.URL(), "HOLDFAST_TOKEN=" + token(a)}) // and the environment before the login
	expect("in-b", []string{"HOLDFAST_URL=" + b.URL()})                               // with the token of the login to the same address
	expect("in-b", []string{"HOLDFAST_URL=" + a.URL(), "HOLDFAST_TOKEN=" + token(a)}, "--server", "far")
	logins := filepath.Join(a.home, "config", "holdfast", "logins.json")
	if info, err := os.Stat(logins); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the logins: %v, %v", info, err)
	}
	if o := user.run(t, binary, "login", "bad", "--url", a.URL(), "--token", "hf_wrong"); o.code != 4 {
		t.Errorf("a login with a wrong token ended with %d: %s", o.code, o.err)
	}
	user.must(t, binary, "logout", "far")
	expect("in-a", nil)
	user.env = append(user.env, "HOLDFAST_DATA="+filepath.Join(a.home, "nothing"))
	if o := user.run(t, binary, "project", "list"); o.code != 1 || !strings.Contains(o.err, "holdfast serve") {
		t.Errorf("without any server it ended with %d: %s", o.code, o.err)
	}
}

func TestTheSetUpLinkIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, rest, found := strings.Cut(s.process.Out.String(), "set-up link")
	if !found {
		t.Fatalf("it said:\n%s", s.process.Out)
	}
	link := strings.Fields(rest)[0]
	elsewhere := s.user("", "HOLDFAST_DATA="+filepath.Join(s.home, "nothing"))
	elsewhere.must(t, binary, "login", "--setup", link)
	elsewhere.must(t, binary, "project", "list")
	if o := elsewhere.run(t, binary, "login", "again", "--setup", link); o.code == 0 {
		t.Error("the set-up link works twice")
	}
}

func TestALinkFileNamesTheBranch(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	deep := filepath.Join(place(t), "app", "src", "deep")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	top, below := s.user(filepath.Dir(filepath.Dir(deep))), s.user(deep)
	if o := below.run(t, binary, "env"); o.code != 2 {
		t.Errorf("without a link it ended with %d: %s", o.code, o.err)
	}
	if o := top.run(t, binary, "link", development.Project+"/nowhere"); o.code != 3 {
		t.Errorf("a link to nowhere ended with %d: %s", o.code, o.err)
	}
	top.must(t, binary, "link", development.String())
	if got, want := below.must(t, binary, "env"), s.must(t, "env", development.String()); got != want {
		t.Errorf("below the link env is\n%s", got)
	}
	if got, want := below.must(t, binary, "env", "production"), s.must(t, "env", production.String()); got != want {
		t.Errorf("below the link env production is\n%s", got)
	}
	if got := below.must(t, binary, "psql", "--", "-XAtc", "SELECT current_database()"); got != s.connection(t, development).Database+"\n" {
		t.Errorf("below the link psql came to %s", got)
	}
	top.must(t, binary, "link", "--remove")
	if o := below.run(t, binary, "env"); o.code != 2 {
		t.Errorf("after the link was removed it ended with %d: %s", o.code, o.err)
	}
}
