package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// The scripts in testdata/live run against a server that is there, which they reach as a user on another machine does.
func TestLiveScripts(t *testing.T) {
	s := serveIn(t, serveDir(t))
	token, err := os.ReadFile(filepath.Join(s.dir, adminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/live",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("HOLDFAST_URL", s.URL())
			e.Setenv("HOLDFAST_TOKEN", strings.TrimSpace(string(token)))
			return os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// What the API promises, on a real platform: each route once as it should go, and the refusals that matter.
func TestTheAPIKeepsItsContract(t *testing.T) {
	s := serveIn(t, serveDir(t))
	t.Run("jobs", func(t *testing.T) { contractJobs(t, s) })
	t.Run("branches", func(t *testing.T) { contractBranches(t, s) })
	t.Run("settings", func(t *testing.T) { contractSettings(t, s) })
	t.Run("credentials", func(t *testing.T) { contractCredentials(t, s) })
	t.Run("extensions", func(t *testing.T) { contractExtensions(t, s) })
	t.Run("tokens", func(t *testing.T) { contractTokens(t, s) })
	t.Run("set-up", func(t *testing.T) { contractSetup(t, s) })
	t.Run("probes", func(t *testing.T) { contractProbes(t, s) })
	t.Run("audit", func(t *testing.T) { contractAudit(t, s) })
}

func wantKind(t *testing.T, what string, err error, want holdfast.Kind) {
	t.Helper()
	if err == nil || holdfast.KindOf(err) != want {
		t.Errorf("%s: got %v (%v), want %v", what, err, holdfast.KindOf(err), want)
	}
}

func contractJobs(t *testing.T, s *serving) {
	ctx := t.Context()
	if projects, err := s.Projects(ctx); err != nil || len(projects) != 0 {
		t.Errorf("projects: %v, %v", projects, err)
	}
	job, err := s.CreateProject(ctx, api.NewProject{Name: "shop"})
	if err != nil || job.State == "" || job.Subject != "shop" {
		t.Fatalf("got %+v, %v", job, err)
	}
	_, err = s.CreateProject(ctx, api.NewProject{Name: "shop"})
	wantKind(t, "the same name again", err, holdfast.Conflict)
	_, err = s.CreateProject(ctx, api.NewProject{Name: "Shop_1"})
	wantKind(t, "a name that cannot be", err, holdfast.Invalid)
	_, err = s.CreateProject(ctx, api.NewProject{Name: "old", Major: 9})
	if err == nil {
		t.Error("PostgreSQL 9 was accepted")
	}
	var states []string
	last, err := s.FollowJob(ctx, job.ID, func(j api.Job) { states = append(states, j.State) })
	if err != nil || last.State != "succeeded" || last.Err() != nil || states[len(states)-1] != "succeeded" {
		t.Fatalf("got %+v, %v after %v", last, err, states)
	}
	if again, err := s.FollowJob(ctx, job.ID, func(api.Job) {}); err != nil || again.State != "succeeded" {
		t.Errorf("following a job that has ended: %+v, %v", again, err)
	}
	lines, err := s.JobLog(ctx, job.ID, 0)
	if err != nil || len(lines) == 0 {
		t.Fatalf("log: %v, %v", lines, err)
	}
	if rest, err := s.JobLog(ctx, job.ID, lines[len(lines)-1].Seq); err != nil || len(rest) != 0 {
		t.Errorf("after the last line: %v, %v", rest, err)
	}
	if jobs, err := s.Jobs(ctx, "shop", 10); err != nil || len(jobs) == 0 {
		t.Errorf("jobs: %v, %v", jobs, err)
	}
	_, err = s.CancelJob(ctx, job.ID)
	wantKind(t, "cancelling a job that has ended", err, holdfast.Conflict)
	_, err = s.Job(ctx, "job_nonsense")
	wantKind(t, "a job that does not exist", err, holdfast.NotFound)
	_, err = s.FollowJob(ctx, "job_nonsense", func(api.Job) {})
	wantKind(t, "following a job that does not exist", err, holdfast.NotFound)
}

func contractBranches(t *testing.T, s *serving) {
	ctx := t.Context()
	p, err := s.Project(ctx, "shop")
	if err != nil || p.OwnerRole != "shop_owner" || len(p.Branches) != 2 || p.Major == 0 {
		t.Fatalf("got %+v, %v", p, err)
	}
	branches, err := s.Branches(ctx, "shop")
	if err != nil || len(branches) != 2 {
		t.Errorf("got %+v, %v", branches, err)
	}
	_, err = s.Project(ctx, "nonsense")
	wantKind(t, "a project that does not exist", err, holdfast.NotFound)
	_, err = s.Branch(ctx, holdfast.BranchRef{Project: "shop", Branch: "../../etc"})
	wantKind(t, "a branch that cannot exist", err, holdfast.NotFound)
	for _, step := range []struct {
		name string
		do   func() (api.Branch, error)
		want holdfast.Activity
	}{
		{"wake", func() (api.Branch, error) { return s.Wake(ctx, development) }, holdfast.Awake},
		{"wake again", func() (api.Branch, error) { return s.Wake(ctx, development) }, holdfast.Awake},
		{"restart", func() (api.Branch, error) { return s.Restart(ctx, development) }, holdfast.Awake},
		{"sleep", func() (api.Branch, error) { return s.Sleep(ctx, development, false) }, holdfast.Asleep},
		{"sleep again", func() (api.Branch, error) { return s.Sleep(ctx, development, true) }, holdfast.Asleep},
	} {
		if b, err := step.do(); err != nil || b.Activity != string(step.want) || b.Environment != "development" {
			t.Errorf("%s: got %+v, %v", step.name, b, err)
		}
	}
}

func contractSettings(t *testing.T, s *serving) {
	ctx := t.Context()
	idle, limit, memory := int64(600), 20, "8MB"
	b, err := s.ChangeSettings(ctx, production, api.SettingsChange{IdleTimeout: &idle, Connections: &limit, Parameters: map[string]*string{"work_mem": &memory}})
	if err != nil || b.IdleTimeout != 600 || b.Connections != 20 {
		t.Fatalf("got %+v, %v", b, err)
	}
	parameter := func(name string) api.Parameter {
		got, err := s.Settings(ctx, production)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(got.Parameters, func(p api.Parameter) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no %s in %+v", name, got)
		}
		return got.Parameters[i]
	}
	if p := parameter("work_mem"); p.Value != "8MB" || !p.Changed || !p.Settable {
		t.Errorf("got %+v", p)
	}
	if p := parameter("fsync"); p.Value != "on" || p.Profile != "on" || p.Changed {
		t.Errorf("got %+v", p)
	}
	never := int64(-1)
	if b, err := s.ChangeSettings(ctx, production, api.SettingsChange{IdleTimeout: &never, Parameters: map[string]*string{"work_mem": nil}}); err != nil || b.IdleTimeout != -1 || b.Connections != 20 {
		t.Errorf("got %+v, %v", b, err)
	}
	if p := parameter("work_mem"); p.Value != "" || p.Changed {
		t.Errorf("got %+v", p)
	}
	off, nonsense, huge, short := "off", "a lot", int64(1)<<62, int64(5)
	for name, c := range map[string]struct {
		change api.SettingsChange
		want   holdfast.Kind
	}{
		"a dangerous setting":          {api.SettingsChange{Parameters: map[string]*string{"fsync": &off}}, holdfast.Unsafe},
		"an unknown setting":           {api.SettingsChange{Parameters: map[string]*string{"archive_command": &off}}, holdfast.Invalid},
		"a value that makes no sense":  {api.SettingsChange{Parameters: map[string]*string{"work_mem": &nonsense}}, holdfast.Invalid},
		"an idle time that overflows":  {api.SettingsChange{IdleTimeout: &huge}, holdfast.Invalid},
		"an idle time that is too low": {api.SettingsChange{IdleTimeout: &short}, holdfast.Invalid},
	} {
		_, err := s.ChangeSettings(ctx, production, c.change)
		wantKind(t, name, err, c.want)
	}
}

func contractCredentials(t *testing.T, s *serving) {
	ctx := t.Context()
	old, err := s.Connection(ctx, development)
	if err != nil || old.User != "shop_owner" || old.Database != "shop_development" || old.SSLMode != "require" || !strings.Contains(old.URL, old.Password) {
		t.Fatalf("got %v", err)
	}
	fresh, err := s.RotateCredentials(ctx, development)
	if err != nil || fresh.Password == old.Password {
		t.Fatalf("rotated: %v", err)
	}
	if conn, err := pgx.Connect(ctx, old.URL); err == nil {
		conn.Close(ctx)
		t.Error("the old password still works")
	}
	if n := count(t, fresh.URL, "pg_class LIMIT 1"); n == 0 {
		t.Error("the new password does not work")
	}
	kept, err := s.Connection(ctx, development)
	if err != nil || kept != fresh {
		t.Errorf("the new password was not kept: %v", err)
	}
}

func contractExtensions(t *testing.T, s *serving) {
	ctx := t.Context()
	extensions, err := s.Extensions(ctx, development)
	if err != nil || len(extensions) == 0 {
		t.Fatalf("got %v, %v", extensions, err)
	}
	wantKind(t, "an extension that does not exist", s.AddExtension(ctx, development, "nonsense"), holdfast.Precondition)
	if !slices.ContainsFunc(extensions, func(e api.Extension) bool { return e.Name == "pg_trgm" && e.Allowed }) {
		t.Skip("pg_trgm is not installed on this machine")
	}
	for range 2 {
		if err := s.AddExtension(ctx, development, "pg_trgm"); err != nil {
			t.Fatal(err)
		}
	}
	extensions, err = s.Extensions(ctx, development)
	if err != nil || !slices.ContainsFunc(extensions, func(e api.Extension) bool { return e.Name == "pg_trgm" && e.Installed != "" }) {
		t.Errorf("got %v, %v", extensions, err)
	}
}

// as is the server as another token sees it.
func (s *serving) as(t *testing.T, ask api.NewToken) *api.Client {
	t.Helper()
	made, err := s.CreateToken(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	c, err := api.NewClient(s.URL(), made.Secret, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func contractTokens(t *testing.T, s *serving) {
	ctx := t.Context()
	me, err := s.Server(ctx)
	if err != nil || me.You.Kind != "admin" || me.You.Right != "admin" || me.Gateway == "" {
		t.Errorf("got %+v, %v", me, err)
	}
	reader := s.as(t, api.NewToken{Name: "reader", Kind: "user", Project: "shop", Right: "read", ExpiresIn: 3600})
	if p, err := reader.Projects(ctx); err != nil || len(p) != 1 {
		t.Errorf("a reader sees %v, %v", p, err)
	}
	_, err = reader.Connection(ctx, development)
	wantKind(t, "a reader asks for a password", err, holdfast.NotAllowed)
	_, err = reader.Tokens(ctx)
	wantKind(t, "a reader lists tokens", err, holdfast.NotAllowed)
	agent := s.as(t, api.NewToken{Name: "agent", Kind: "agent", Project: "shop", Right: "write"})
	if _, err := agent.Connection(ctx, development); err != nil {
		t.Errorf("an agent asks for development's password: %v", err)
	}
	_, err = agent.Connection(ctx, production)
	wantKind(t, "an agent asks for production's password", err, holdfast.NotAllowed)
	_, err = agent.Sleep(ctx, production, true)
	wantKind(t, "an agent stops production", err, holdfast.NotAllowed)

	tokens, err := s.Tokens(ctx)
	i := slices.IndexFunc(tokens, func(k api.Token) bool { return k.Name == "reader" })
	if err != nil || i < 0 || tokens[i].Project != "shop" || tokens[i].ExpiresAt.IsZero() {
		t.Fatalf("got %+v, %v", tokens, err)
	}
	if err := s.RevokeToken(ctx, tokens[i].ID); err != nil {
		t.Fatal(err)
	}
	_, err = reader.Projects(ctx)
	wantKind(t, "a revoked token", err, holdfast.Unauthenticated)
	wantKind(t, "revoking it again", s.RevokeToken(ctx, tokens[i].ID), holdfast.NotFound)
	_, err = s.CreateToken(ctx, api.NewToken{Name: "x", Kind: "agent", Right: "write"})
	wantKind(t, "an agent of every project", err, holdfast.Invalid)
	_, err = s.CreateToken(ctx, api.NewToken{Name: "x", Kind: "king", Right: "write"})
	wantKind(t, "a kind that does not exist", err, holdfast.Invalid)
}

func contractSetup(t *testing.T, s *serving) {
	_, secret, _ := strings.Cut(s.Out.String(), "setup#")
	secret = strings.Fields(secret)[0]
	stranger, err := api.NewClient(s.URL(), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.RedeemSetup(t.Context(), api.Setup{Secret: "hf_setup_guess", Name: "me"})
	wantKind(t, "a wrong link", err, holdfast.Unauthenticated)
	made, err := stranger.RedeemSetup(t.Context(), api.Setup{Secret: secret, Name: "me"})
	if err != nil || made.Token.Kind != "admin" || made.Secret == "" {
		t.Fatalf("got %+v, %v", made.Token, err)
	}
	trail, err := s.Audit(t.Context(), 0, 5)
	if err != nil || !slices.ContainsFunc(trail, func(e api.AuditEntry) bool { return e.Actor == "set-up link" && e.Source == "127.0.0.1" }) {
		t.Errorf("the trail does not say from where the link was redeemed: %+v, %v", trail, err)
	}
	_, err = stranger.RedeemSetup(t.Context(), api.Setup{Secret: secret, Name: "me"})
	wantKind(t, "the link again", err, holdfast.Unauthenticated)
}

func contractProbes(t *testing.T, s *serving) {
	get := func(path, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get(api.ReadyPath, ""); status != 200 || body != "ready\n" {
		t.Errorf("ready: %d %s", status, body)
	}
	token, err := os.ReadFile(filepath.Join(s.dir, adminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	status, body := get(api.MetricsPath, strings.TrimSpace(string(token)))
	for _, want := range []string{`holdfast_http_requests_total{route="GET /api/v1/projects",status="200"} [1-9]`, `holdfast_gateway_entered_total [1-9]`,
		`holdfast_last_successful_backup_timestamp_seconds{branch="production",project="shop"} 0`, `holdfast_last_verified_timestamp_seconds{branch="production",project="shop"} 0`,
		`holdfast_wal_archive_lag_seconds{branch="development",project="shop"} `, `holdfast_branch_awake{branch="development",project="shop"} [01]`,
		`holdfast_branch_sessions{branch="production",project="shop"} `, `holdfast_wake_seconds_count{branch="development",project="shop"} [1-9]`,
		`holdfast_jobs{kind="create_project",state="succeeded"} [1-9]`, `holdfast_alerts_firing{branch="",condition="wal_gap",project="",severity="critical"} 0`} {
		if status != 200 || !regexp.MustCompile(`(?m)^`+strings.NewReplacer("{", `\{`, "}", `\}`).Replace(want)).MatchString(body) {
			t.Errorf("metrics: %d without %s in\n%s", status, want, body)
		}
	}
	contractDashboard(t, body)
	// The metrics name every project: reading one project is not enough, and who may read the metrics may read nothing else.
	for _, c := range []struct {
		ask     api.NewToken
		metrics int
	}{
		{api.NewToken{Name: "prometheus", Kind: "metrics", Right: "read"}, 200},
		{api.NewToken{Name: "reader of all", Kind: "user", Right: "read"}, 403},
		{api.NewToken{Name: "admin of one", Kind: "user", Project: "shop", Right: "admin"}, 403},
		{api.NewToken{Name: "agent of one", Kind: "agent", Project: "shop", Right: "write"}, 403},
	} {
		made, err := s.CreateToken(t.Context(), c.ask)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := get(api.MetricsPath, made.Secret); status != c.metrics {
			t.Errorf("metrics for %s: %d, want %d", c.ask.Name, status, c.metrics)
		}
		if status, body := get("/api/v1/projects", made.Secret); c.ask.Kind == "metrics" && strings.Contains(body, "shop") {
			t.Errorf("a metrics token sees projects: %d %s", status, body)
		}
	}
	if status, _ = get(api.MetricsPath, "hf_wrong"); status != 401 {
		t.Errorf("metrics with a wrong token: %d", status)
	}
}

// contractDashboard checks that a server tells every metric that the dashboard in docs asks for.
func contractDashboard(t *testing.T, metrics string) {
	raw, err := os.ReadFile("../../docs/grafana-dashboard.json")
	if err != nil || !json.Valid(raw) {
		t.Fatalf("the dashboard is not JSON: %v", err)
	}
	asked := regexp.MustCompile(`holdfast_[a-z_]+`).FindAllString(string(raw), -1)
	if len(asked) < 20 {
		t.Errorf("the dashboard asks for %v only", asked)
	}
	for _, name := range asked {
		family := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
		if !strings.Contains(metrics, "# TYPE "+family+" ") {
			t.Errorf("the dashboard asks for %s, which nobody tells", name)
		}
	}
}

func contractAudit(t *testing.T, s *serving) {
	entries, err := s.Audit(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]api.AuditEntry{}
	for _, e := range entries {
		seen[e.Action] = e
	}
	for _, action := range []string{"project.create", "credentials.view", "credentials.rotate", "branch.settings", "token.create", "token.revoke"} {
		if e, ok := seen[action]; !ok || action != "token.create" && (e.Source != "127.0.0.1" || e.Actor == "") {
			t.Errorf("%s: got %+v", action, e)
		}
	}
	if older, err := s.Audit(t.Context(), entries[1].Seq, 1); err != nil || len(older) != 1 || older[0].Seq != entries[2].Seq {
		t.Errorf("paging: got %+v, %v", older, err)
	}
	raw, err := json.Marshal(entries)
	if err != nil || bytes.Contains(raw, []byte("hf_setup_")) {
		t.Errorf("the trail holds a secret (%v)", err)
	}
}
