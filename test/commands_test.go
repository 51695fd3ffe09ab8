package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

var variables = []string{"DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"}

func TestEnvPrintsExactlySixVariablesInEveryFormat(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	con := s.connection(t, development)
	want := map[string]string{"DATABASE_URL": con.URL, "PGHOST": con.Host, "PGPORT": fmt.Sprint(con.Port), "PGUSER": con.User, "PGPASSWORD": con.Password, "PGDATABASE": con.Database}
	if u, err := url.Parse(con.URL); err != nil || u.Query().Get("sslmode") != "require" || u.Path != "/"+con.Database {
		t.Errorf("the URL is %s, %v", con.URL, err)
	}
	formats := map[string]func(string) (names []string, values map[string]string){
		"env": func(text string) (names []string, values map[string]string) {
			values = map[string]string{}
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				names, values[name] = append(names, name), strings.Trim(value, "'")
			}
			return names, values
		},
		"json": func(text string) (names []string, values map[string]string) {
			if err := json.Unmarshal([]byte(text), &values); err != nil {
				t.Error(err)
			}
			return variables, values
		},
		"yaml": func(text string) (names []string, values map[string]string) {
			if err := yaml.Unmarshal([]byte(text), &values); err != nil {
				t.Error(err)
			}
			return variables, values
		},
		"table": func(text string) (names []string, values map[string]string) {
			values = map[string]string{}
			for _, line := range strings.Split(strings.TrimSpace(text), "\n")[1:] {
				fields := strings.Fields(line)
				names, values[fields[0]] = append(names, fields[0]), fields[1]
			}
			return names, values
		},
	}
	for name, parse := range formats {
		printed := s.must(t, "env", development.String(), "-o", name)
		names, values := parse(printed)
		if !slices.Equal(names, variables) || fmt.Sprint(values) != fmt.Sprint(want) {
			t.Errorf("-o %s printed:\n%s", name, printed)
		}
	}
	if s.must(t, "env", development.String()) != s.must(t, "env", development.String(), "-o", "env") {
		t.Error("env is not the default format")
	}
	shell := s.user("", "HF="+binary)
	if got := shell.must(t, "/bin/sh", "-c", `eval "$("$HF" env `+development.String()+`)"; printf %s "$DATABASE_URL"`); got != con.URL {
		t.Errorf("a shell read %q", got)
	}
}

func TestRunGivesAProgramItsDatabaseAndReturnsItsStatus(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	con := s.connection(t, development)
	user := s.user("", "PGSERVICE=elsewhere", "PGHOSTADDR=192.0.2.1", "MINE=kept")
	printed := user.must(t, binary, "run", development.String(), "--", "env")
	for _, want := range []string{"DATABASE_URL=" + con.URL, "PGHOST=" + con.Host, fmt.Sprintf("PGPORT=%d", con.Port), "PGUSER=" + con.User, "PGPASSWORD=" + con.Password, "PGDATABASE=" + con.Database, "MINE=kept"} {
		if !slices.Contains(strings.Split(printed, "\n"), want) {
			t.Errorf("the program's environment has no %.20s...", want)
		}
	}
	if strings.Contains(printed, "elsewhere") || strings.Contains(printed, "192.0.2.1") {
		t.Error("variables that lead elsewhere were left in")
	}
	if got := user.must(t, binary, "run", development.String(), "--", "psql", "-XAtc", "SELECT current_database()"); got != con.Database+"\n" {
		t.Errorf("psql without arguments came to %q", got)
	}
	for code, program := range map[int][]string{0: {"true"}, 7: {"sh", "-c", "exit 7"}, 127: {"no-such-program"}, 126: {"/etc/passwd"}} {
		if o := user.run(t, binary, append([]string{"run", production.String(), "--"}, program...)...); o.code != code {
			t.Errorf("%v ended with %d: %s", program, o.code, o.err)
		}
	}
}

func TestPsqlOpensTheRealOne(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	name := development.String()
	if got := s.must(t, "psql", name, "--", "-XAtc", "SELECT 6*7"); got != "42\n" {
		t.Errorf("got %q", got)
	}
	fromInput := s.user("")
	fromInput.stdin = strings.NewReader("SELECT 'from ' || 'input';\n")
	if got := fromInput.must(t, binary, "psql", name, "--", "-XAt"); got != "from input\n" {
		t.Errorf("got %q", got)
	}
	if o := s.holdfast(t, "psql", name, "--", "-Xc", "SELECT nonsense", "-v", "ON_ERROR_STOP=1"); o.code != 1 {
		t.Errorf("psql's own status is lost: %d", o.code)
	}
}

func TestARotatedPasswordEndsTheOldOne(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	for _, ref := range []string{development.String(), production.String()} {
		old := strings.TrimSpace(s.must(t, "run", ref, "--", "printenv", "DATABASE_URL"))
		user := s.user("")
		user.must(t, "psql", old, "-Xc", "SELECT 1")
		if ref == production.String() {
			if o := s.holdfast(t, "credentials", "rotate", ref); o.code != 5 {
				t.Errorf("production's password was changed without a question: %d, %s", o.code, o.err)
			}
			user.must(t, "psql", old, "-Xc", "SELECT 1")
		}
		s.must(t, "credentials", "rotate", ref, "--yes")
		if o := user.run(t, "psql", old, "-Xc", "SELECT 1"); o.code == 0 || !strings.Contains(o.err, "password authentication failed") {
			t.Errorf("%s: the old password: %d, %s", ref, o.code, o.err)
		}
		fresh := strings.TrimSpace(s.must(t, "run", ref, "--", "printenv", "DATABASE_URL"))
		user.must(t, "psql", fresh, "-Xc", "SELECT 1")
		s.must(t, "sleep", ref) // and so it is for a branch that has to be woken
		user.must(t, "psql", fresh, "-Xc", "SELECT 1")
		if o := user.run(t, "psql", old, "-Xc", "SELECT 1"); o.code == 0 {
			t.Errorf("%s: the old password opens a branch that slept", ref)
		}
	}
}

func TestProjectsBranchesAndJobsAreListed(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := "listed"
	if o := s.holdfast(t, "project", "create", name); o.code != 0 || strings.ContainsAny(o.err, "\r\x1b") {
		t.Fatalf("where there is no terminal progress is not plain lines: %d\n%q", o.code, o.err)
	}
	var projects []api.Project
	readJSON(t, s.must(t, "project", "list", "--json"), &projects)
	complete := func(p api.Project) bool {
		return p.Name == name && len(p.Branches) == 2 && p.Branches[0].SizeBytes > 10<<20 && p.Branches[1].SizeBytes > 10<<20
	}
	if !slices.ContainsFunc(projects, complete) {
		t.Errorf("the projects are %+v", projects)
	}
	for _, ref := range []string{name + "/development", name + "/production"} {
		if got := s.must(t, "project", "show", name); !strings.Contains(got, ref) {
			t.Errorf("project show misses %s:\n%s", ref, got)
		}
		if got := s.must(t, "branch", "list", name); !strings.Contains(got, ref) {
			t.Errorf("branch list misses %s:\n%s", ref, got)
		}
	}
	var jobs []api.Job
	readJSON(t, s.must(t, "job", "list", name, "--json"), &jobs)
	created := slices.IndexFunc(jobs, func(j api.Job) bool { return j.Kind == "create_project" && j.Subject == name })
	if created < 0 || jobs[created].State != "succeeded" {
		t.Fatalf("the jobs are %+v", jobs)
	}
	s.must(t, "job", "watch", jobs[created].ID)
	if got := s.must(t, "job", "log", jobs[created].ID); got == "" {
		t.Error("the job's log is empty")
	}
}

func readJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

func TestExitCodesHaveTheirCauses(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	reader := strings.TrimSpace(s.must(t, "token", "create", "reader", "--project", development.Project, "--right", "read"))
	held := s.connect(t, development)
	execute(t, held, "BEGIN")
	execute(t, held, "SELECT 1")
	defer execute(t, held, "ROLLBACK")

	impatient := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html>504 Gateway Time-out</html>", http.StatusGatewayTimeout)
	}))
	defer impatient.Close()

	for _, c := range []struct {
		cause string
		code  int
		env   []string
		args  []string
	}{
		{"it is done", 0, nil, []string{"branch", "show", development.String()}},
		{"nobody listens there", 1, []string{"HOLDFAST_URL=http://127.0.0.1:1", "HOLDFAST_TOKEN=x"}, []string{"project", "list"}},
		{"no such command", 2, nil, []string{"projekt", "list"}},
		{"no such flag", 2, nil, []string{"project", "list", "--nonsense"}},
		{"a name that cannot be", 2, nil, []string{"project", "create", "Not A Name"}},
		{"an idle time out of bounds", 2, nil, []string{"branch", "settings", development.String(), "--idle", "5s"}},
		{"no such project", 3, nil, []string{"project", "show", "nowhere"}},
		{"no such branch", 3, nil, []string{"env", development.Project + "/nowhere"}},
		{"no such job", 3, nil, []string{"job", "show", "job_00000000000000000000"}},
		{"a token that is not valid", 4, []string{"HOLDFAST_TOKEN=hf_wrong"}, []string{"project", "list"}},
		{"a token without the right", 4, []string{"HOLDFAST_TOKEN=" + reader}, []string{"credentials", "rotate", development.String()}},
		{"a token that may not see the password", 4, []string{"HOLDFAST_TOKEN=" + reader}, []string{"env", production.String()}},
		{"it exists already", 5, nil, []string{"project", "create", development.Project}},
		{"somebody works there", 5, nil, []string{"sleep", development.String()}},
		{"it would not be safe", 5, nil, []string{"branch", "settings", production.String(), "--set", "fsync=off"}},
		{"a proxy before the server gave up waiting for it", 7, []string{"HOLDFAST_URL=" + impatient.URL, "HOLDFAST_TOKEN=x"}, []string{"project", "list"}},
		{"a port that is taken", 6, nil, []string{"serve", "--data", filepath.Join(s.home, "new"), "--http", takenPort(t)}},
		{"something that the server cannot do without", 6, nil, []string{"doctor", "--http", takenPort(t), "--data", filepath.Join(s.home, "new")}},
	} {
		o := s.user("", c.env...).run(t, binary, c.args...)
		if o.code != c.code {
			t.Errorf("%s: `holdfast %s` ended with %d, want %d\n%s%s", c.cause, strings.Join(c.args, " "), o.code, c.code, o.out, o.err)
		}
		if c.code != 0 && (!strings.HasPrefix(o.err, "holdfast: ") || strings.Contains(o.err, "goroutine")) {
			t.Errorf("%s: the error reads:\n%s", c.cause, o.err)
		}
	}
}

func TestSettingsAreShownAndDangerousOnesRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	show := func(ref fmt.Stringer, name string) string {
		return strings.TrimSpace(s.must(t, "psql", ref.String(), "--", "-XAtc", "SHOW "+name))
	}
	for _, c := range []struct{ name, development, production string }{
		{"fsync", "on", "on"},
		{"full_page_writes", "on", "on"},
		{"synchronous_commit", "off", "on"},
		{"data_checksums", "on", "on"},
		{"shared_buffers", "32MB", "128MB"},
		{"listen_addresses", "", ""},
		{"server_encoding", "UTF8", "UTF8"},
		{"max_connections", "110", "110"},
	} {
		if got := show(development, c.name); got != c.development {
			t.Errorf("development has %s = %q, want %q", c.name, got, c.development)
		}
		if got := show(production, c.name); got != c.production {
			t.Errorf("production has %s = %q, want %q", c.name, got, c.production)
		}
	}
	if got := s.must(t, "psql", production.String(), "--", "-XAtc", "SELECT count(*) > 0 FROM pg_settings WHERE name LIKE 'pg_stat_statements%'"); got != "t\n" {
		t.Error("production has no statistics of statements")
	}
	for setting, reason := range map[string]string{"fsync=off": "power cut", "full_page_writes=off": "power cut", "synchronous_commit=off": "a crash would lose transactions", "FSync=No": "power cut"} {
		if o := s.holdfast(t, "branch", "settings", production.String(), "--set", setting); o.code != 5 || !strings.Contains(o.err, reason) {
			t.Errorf("%s on production: %d, %s", setting, o.code, o.err)
		}
	}
	for _, setting := range []string{"nonsense=1", "archive_command=rm -rf /", "listen_addresses=*", "work_mem=much"} {
		if o := s.holdfast(t, "branch", "settings", production.String(), "--set", setting); o.code != 2 || o.err == "" {
			t.Errorf("%s: %d, %s", setting, o.code, o.err)
		}
	}
	s.must(t, "branch", "settings", production.String(), "--set", "work_mem=9MB")
	if got := show(production, "work_mem"); got != "9MB" {
		t.Errorf("a setting that needs no restart is %s", got)
	}
	s.must(t, "branch", "settings", development.String(), "--set", "fsync=off", "--set", "shared_buffers=40MB")
	s.must(t, "restart", development.String())
	if got := show(development, "fsync") + show(development, "shared_buffers"); got != "off40MB" {
		t.Errorf("after the restart development has %s", got)
	}
}

// The owner that a user gets must not be a way out of the database.
func TestTheOwnerIsNotASuperuser(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	for _, statement := range []string{
		"COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/out'", "CREATE ROLE more SUPERUSER",
		"ALTER SYSTEM SET archive_command = 'true'", "CREATE EXTENSION adminpack", "SET ROLE holdfast_admin", "LOAD '/tmp/x.so'",
	} {
		if o := s.holdfast(t, "psql", development.String(), "--", "-Xc", statement); o.code == 0 {
			t.Errorf("the owner may say: %s", statement)
		}
	}
	for _, statement := range []string{
		"CREATE ROLE app LOGIN PASSWORD 'app''s \"own\" päßword'", "CREATE SCHEMA extra", "GRANT CREATE, USAGE ON SCHEMA extra TO app", "CREATE DATABASE other", "CREATE EXTENSION pg_trgm", "SELECT count(*) FROM pg_stat_activity",
	} {
		if o := s.holdfast(t, "psql", development.String(), "--", "-Xc", statement); o.code != 0 {
			t.Errorf("the owner may not say %s: %s", statement, o.err)
		}
	}
	con := s.connection(t, development)
	app := url.URL{Scheme: "postgresql", User: url.UserPassword("app", `app's "own" päßword`), Host: fmt.Sprintf("%s:%d", con.Host, con.Port), RawQuery: "sslmode=require"}
	for _, database := range []string{con.Database, "other@" + con.Database} {
		app.Path = database
		if got := s.user("").must(t, "psql", app.String(), "-XAtc", "SELECT current_user"); got != "app\n" {
			t.Errorf("a role made with SQL came to %s as %s", database, got)
		}
	}
	if o := s.user("").run(t, "psql", "-X", "-h", filepath.Join(s.branchDir(t, development), "data.socket"), "-U", con.User, con.Database, "-c", "SELECT 1"); o.code == 0 {
		t.Error("being local opened the branch's own socket without a password")
	}
}

func TestExtensionsComeFromTheAllowList(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	s.must(t, "extension", "add", "pg_stat_statements", development.String())
	s.must(t, "extension", "add", "pg_stat_statements", development.String())
	if o := s.holdfast(t, "extension", "add", "file_fdw", development.String()); o.code == 0 {
		t.Error("an extension that reads the server's files was added")
	}
	if o := s.holdfast(t, "extension", "add", "no_such_thing", development.String()); o.code == 0 || o.code == 1 {
		t.Errorf("an unknown extension: %d, %s", o.code, o.err)
	}
}

func TestInterruptingACommandThatWaitsLeavesTheJob(t *testing.T) {
	t.Parallel()
	s := shared(t)
	w := s.user("").begin(t, binary, "project", "create", "patient", "--sample", "--rows", "100000")
	servetest.Until(t, "the command follows its job", func() bool { return strings.Contains(w.Log.String(), "/3]") })
	if code := w.signal(t, syscall.SIGINT); code != 130 {
		t.Errorf("it ended with %d: %s", code, w.Log)
	}
	var jobs []api.Job
	readJSON(t, s.must(t, "job", "list", "patient", "--json"), &jobs)
	created := slices.IndexFunc(jobs, func(j api.Job) bool { return j.Kind == "create_project" })
	if created < 0 {
		t.Fatalf("the jobs are %+v", jobs)
	}
	s.must(t, "job", "watch", jobs[created].ID)
	s.must(t, "psql", "patient/production", "--", "-Xc", "SELECT count(*) FROM messages")
	for _, branch := range []string{"patient/development", "patient/production"} {
		s.must(t, "sleep", branch)
	}
}

func TestCompletionIsMadeForFourShells(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := s.must(t, "completion", shell); len(got) < 1000 {
			t.Errorf("%s: %q", shell, got)
		}
	}
	if got := s.must(t, "__complete", "cred"); !strings.Contains(got, "credentials") {
		t.Errorf("completing cred: %s", got)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := shared(t)
	fresh := filepath.Join(place(t), "fresh")
	var found []struct{ Check, State, Detail, Mend string }
	readJSON(t, s.must(t, "doctor", "--data", fresh, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--json"), &found)
	for _, check := range []string{"PostgreSQL", "copy-on-write", "disk space", "clock", "open files"} {
		if !slices.ContainsFunc(found, func(f struct{ Check, State, Detail, Mend string }) bool { return f.Check == check && f.Detail != "" }) {
			t.Errorf("nothing is said about %s: %+v", check, found)
		}
	}
	for _, f := range found {
		if f.State != "ok" && f.Mend == "" {
			t.Errorf("%s is %s, and how to mend it is not said", f.Check, f.State)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("looking made the data directory")
	}
	if o := s.holdfast(t, "doctor", "--data", fresh, "--http", takenPort(t)); o.code != 6 || !strings.Contains(o.out, "missing") {
		t.Errorf("with a taken port it ended with %d:\n%s%s", o.code, o.out, o.err)
	}
}
