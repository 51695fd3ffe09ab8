package test

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// A database is imported over the network into a project that is created for it. The password comes from each place where PostgreSQL's programs
// look for it, and never from the arguments.
func TestADatabaseIsImportedFromAnAddressWithoutAPassword(t *testing.T) {
	t.Parallel()
	s, _, source := sharedProject(t, 500)
	execute(t, s.connect(t, source), `CREATE TABLE odd (n numeric, "T x" text); INSERT INTO odd VALUES ('NaN', ''), (NULL, NULL)`)
	con := s.connection(t, source)
	u, err := url.Parse(con.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(con.User)
	from, name := u.String(), source.Project+"-in"
	t.Cleanup(func() {
		_, _ = s.Sleep(context.Background(), holdfast.BranchRef{Project: name, Branch: "development"}, true)
	})
	attempt := func(stdin string, env []string, args ...string) outcome {
		t.Helper()
		user := s.user("", env...)
		user.stdin = strings.NewReader(stdin)
		o := user.run(t, binary, append([]string{"import"}, args...)...)
		if strings.Contains(o.out+o.err, con.Password) {
			t.Errorf("%v shows the password:\n%s%s", args, o.out, o.err)
		}
		return o
	}
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if o := attempt(con.Password, nil, name, "--from", from); o.code != 5 || !strings.Contains(o.err, "There is no project "+name) {
		t.Errorf("without --yes: %d, %s%s", o.code, o.out, o.err)
	}
	if _, err := s.Project(t.Context(), name); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a project was made: %v", err)
	}
	if o := attempt("", []string{"PGPASSWORD=" + con.Password}, name, "--from", from, "--check"); o.code != 3 {
		t.Errorf("checking for a project that is not there: %d, %s%s", o.code, o.out, o.err)
	}
	if o := attempt("", []string{"PGPASSWORD=wrong"}, name, "--from", from, "--yes"); o.code == 0 || !strings.Contains(o.err, "does not let us in") {
		t.Errorf("with a wrong password: %d, %s%s", o.code, o.out, o.err)
	}
	development := holdfast.BranchRef{Project: name, Branch: "development"}
	if n := value[int](t, s.connect(t, development), `SELECT count(*)::int FROM pg_class WHERE relnamespace = 'public'::regnamespace`); n != 0 {
		t.Errorf("an import that failed left %d things", n)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	entry := strings.Join([]string{host, port, "*", con.User, con.Password}, ":") + "\n"
	if o := attempt("", []string{"PGPASSFILE=" + write("open", entry, 0o644)}, name, "--from", from, "--check"); o.code == 0 || !strings.Contains(o.err, "others can read it") {
		t.Errorf("with a file that others can read: %d, %s%s", o.code, o.out, o.err)
	}
	if err := os.WriteFile(filepath.Join(s.home, ".pgpass"), []byte("other:*:*:*:no\n"+entry), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(s.home, ".pgpass"))
	for what, o := range map[string]outcome{
		"PGPASSFILE":       attempt("", []string{"PGPASSFILE=" + write("closed", entry, 0o600)}, name, "--from", from, "--check"),
		"~/.pgpass":        attempt("", nil, name, "--from", from, "--check"),
		"standard input":   attempt(con.URL, nil, name, "--from", "-", "--check"),
		"--password-file":  attempt("", nil, name, "--from", from, "--check", "--password-file", write("pw", con.Password+"\n", 0o644)),
		"an older project": attempt("", nil, source.String(), "--from", from, "--check"),
	} {
		failed := what == "an older project"
		for _, check := range []string{"version", "snapshot", "extensions", "size", "privileges", "encoding", "target"} {
			if !strings.Contains(o.out, "\n"+check+" ") {
				t.Errorf("%s: nothing is said of %s:\n%s", what, check, o.out)
			}
		}
		if (o.code != 0) != failed {
			t.Errorf("%s: %d, %s%s", what, o.code, o.out, o.err)
		}
	}
	o := attempt("", nil, name, "--from", from)
	if o.code != 0 || !strings.Contains(o.out, "the database is in "+development.String()) || !strings.Contains(o.err, "importing "+u.Host) {
		t.Errorf("the import: %d, %s%s", o.code, o.out, o.err)
	}
	const all = `SELECT (SELECT md5(string_agg(m::text, ' ' ORDER BY m::text)) FROM messages m) || (SELECT string_agg(o::text, ' ' ORDER BY o::text) FROM odd o)`
	if was, is := value[string](t, s.connect(t, source), all), value[string](t, s.connect(t, development), all); was != is {
		t.Errorf("the source holds %s, and %s came", was, is)
	}
	if o = attempt("", nil, name, "--from", from); o.code != 5 || !strings.Contains(o.err, "is not empty") {
		t.Errorf("a second import: %d, %s%s", o.code, o.out, o.err)
	}
	var jobs []api.Job
	if readJSON(t, s.must(t, "job", "list", name, "--json"), &jobs); strings.Contains(s.must(t, "job", "log", jobs[0].ID), con.Password) {
		t.Error("a job's log shows the password")
	}
}
