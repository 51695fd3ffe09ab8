package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// agent makes a token for an agent of the project.
func (s *server) agent(t *testing.T, project string) string {
	t.Helper()
	made, err := s.CreateToken(t.Context(), api.NewToken{Name: "agent of " + project, Kind: "agent", Project: project, Right: "write"})
	if err != nil {
		t.Fatal(err)
	}
	return made.Secret
}

// bearer sends a token with every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// mcp opens a session of the protocol's own client.
func mcp(t *testing.T, transport sdk.Transport) *sdk.ClientSession {
	t.Helper()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func (s *server) mcp(t *testing.T, token string) *sdk.ClientSession {
	t.Helper()
	return mcp(t, &sdk.StreamableClientTransport{Endpoint: "http://" + s.http + api.MCPPath, HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true})
}

// use calls a tool and returns its text, and whether it was refused.
func use(t *testing.T, session *sdk.ClientSession, tool string, arguments map[string]any) (text string, refused bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	for _, c := range result.Content {
		if c, ok := c.(*sdk.TextContent); ok {
			text += c.Text
		}
	}
	return text, result.IsError
}

func mustUse(t *testing.T, session *sdk.ClientSession, tool string, arguments map[string]any) string {
	t.Helper()
	text, refused := use(t, session, tool, arguments)
	if refused {
		t.Fatalf("%s %v was refused: %s", tool, arguments, text)
	}
	return text
}

// An agent works on development, over HTTP and over pipes, and what it did is taken back by one command.
func TestAnAgentWorksOnDevelopment(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 100)
	s.withBase(t, development)
	token := s.agent(t, development.Project)
	overHTTP := s.mcp(t, token)
	cmd := exec.Command(binary, "mcp")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = append(s.environment(), "HOLDFAST_URL=http://"+s.http, "HOLDFAST_TOKEN="+token), s.home, &syscall.SysProcAttr{Credential: s.as}
	overPipes := mcp(t, &sdk.CommandTransport{Command: cmd})

	on := func(more map[string]any) map[string]any {
		arguments := map[string]any{"branch": development.String()}
		for k, v := range more {
			arguments[k] = v
		}
		return arguments
	}
	for _, session := range []*sdk.ClientSession{overHTTP, overPipes} {
		for _, c := range []struct {
			tool      string
			arguments map[string]any
			want      []string
		}{
			{"list_projects", nil, []string{development.String(), production.String()}},
			{"run_sql", on(map[string]any{"sql": "SELECT count(*) FROM messages; SELECT NULL::int AS none"}), []string{`"100"`, `[[null]]`}},
			{"run_sql", on(map[string]any{"sql": "DELETE FROM messages"}), []string{"25006"}}, // it did not ask to write
			{"describe_schema", on(nil), []string{"CREATE TABLE"}},
			{"explain", on(map[string]any{"sql": "SELECT * FROM messages", "analyze": true}), []string{"Buffers"}},
			{"slow_queries", map[string]any{"branch": production.String()}, []string{"queries"}},
			{"connection_string", on(nil), []string{"postgresql://"}},
		} {
			got := mustUse(t, session, c.tool, c.arguments)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %.400s", c.tool, got)
				}
			}
		}
	}
	mustUse(t, overHTTP, "run_sql", on(map[string]any{"sql": "DELETE FROM messages; ALTER TABLE messages ADD COLUMN spoiled int", "write": true}))
	if n := value[int](t, s.connect(t, development), "SELECT count(*) FROM messages"); n != 0 {
		t.Fatalf("%d rows are left", n)
	}
	mustUse(t, overPipes, "create_preview", map[string]any{"name": development.Project + "/try", "from": production.String(), "schema_only": true})
	mustUse(t, overPipes, "reset_preview", map[string]any{"branch": development.Project + "/try"})
	mustUse(t, overPipes, "delete_preview", map[string]any{"branch": development.Project + "/try"})
	if got := mustUse(t, overHTTP, "propose_publish", map[string]any{"project": development.Project}); !strings.Contains(got, "spoiled") {
		t.Errorf("plan: %.400s", got)
	}
	s.must(t, "undo", development.String(), "--yes")
	if n := value[int](t, s.connect(t, development), "SELECT count(*) FROM messages"); n != 100 {
		t.Errorf("after undo there are %d rows", n)
	}
}

// An agent that tries to reach production fails, whichever way it takes; and where it may read there, in each that is more than reading.
func TestAnAgentDoesNotReachProduction(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 10)
	token := s.agent(t, development.Project)
	own, real := s.connection(t, development), s.connection(t, production)
	for _, reads := range []bool{false, true} {
		if reads {
			s.must(t, "project", "agents", production.Project, "--read-production")
		}
		t.Run(fmt.Sprintf("reads=%v", reads), func(t *testing.T) {
			t.Run("by the API", func(t *testing.T) { agentByAPI(t, s, token, production, reads) })
			t.Run("by MCP", func(t *testing.T) { agentByMCP(t, s.mcp(t, token), production, real.Password, reads) })
			t.Run("by names at the front door", func(t *testing.T) { agentAtTheDoor(t, own, real) })
			t.Run("by SQL in development", func(t *testing.T) { agentBySQL(t, s, development, production) })
		})
		if got := s.psql(t, production, "SELECT count(*) FROM messages"); got != "10" {
			t.Fatalf("production has %s rows", got)
		}
	}
	if entries := s.must(t, "audit", "--json", "--what", "agent.refused", "--who", "agent of "+production.Project); !strings.Contains(entries, "agent.refused") {
		t.Error("no refusal stands in the audit trail")
	}
}

func agentByMCP(t *testing.T, session *sdk.ClientSession, production holdfast.BranchRef, password string, reads bool) {
	attempts := map[string]map[string]any{
		"connection_string": {"branch": production.String()},
		"run_sql":           {"branch": production.String(), "sql": "SELECT * FROM messages"},
		"explain":           {"branch": production.String(), "sql": "SELECT * FROM messages", "analyze": true},
		"create_checkpoint": {"branch": production.String(), "label": "mine"},
		"restore":           {"branch": production.String(), "at": "1 second ago"},
		"create_preview":    {"name": production.Project + "/copy", "from": production.String()},
		"reset_preview":     {"branch": production.String()},
		"delete_preview":    {"branch": production.String()},
		"apply_publish":     {"project": production.Project, "number": 1},
	}
	if reads {
		attempts["run_sql"] = map[string]any{"branch": production.String(), "sql": "DELETE FROM messages", "write": true}
		if text, refused := use(t, session, "explain", map[string]any{"branch": production.String(), "sql": "DELETE FROM messages", "analyze": true}); !refused && !strings.Contains(text, `"error":{`) {
			t.Errorf("explain of a write: %s", text)
		}
		delete(attempts, "explain")
	}
	for tool, arguments := range attempts {
		if text, refused := use(t, session, tool, arguments); !refused || strings.Contains(text, password) || !strings.Contains(text, "hint") {
			t.Errorf("%s: %s", tool, text)
		}
	}
}

func agentByAPI(t *testing.T, s *server, token string, production holdfast.BranchRef, reads bool) {
	project := api.ProjectsPath + "/" + production.Project
	branch := project + "/branches/" + production.Branch
	query := `{"sql":"SELECT * FROM messages"}`
	if reads {
		query = `{"sql":"SELECT pg_catalog.nextval('messages_id_seq')","write":true}`
	}
	for _, attempt := range []struct{ method, path, body string }{
		{"GET", branch + "/connection", ""},
		{"POST", branch + "/credentials/rotate", "{}"},
		{"POST", branch + "/sql", query},
		{"POST", branch + "/sql", `{"sql":"DELETE FROM messages","write":true}`},
		{"PUT", project + "/agents", `{"read_production":true}`},
		{"POST", branch + "/checkpoints", `{"label":"x"}`},
		{"POST", branch + "/restore", `{"at":"1 second ago"}`},
		{"POST", branch + "/restore/preview", `{"at":"1 second ago"}`},
		{"POST", branch + "/restore/undo", "{}"},
		{"POST", branch + "/reset", "{}"},
		{"POST", branch + "/rename", `{"name":"mine"}`},
		{"PATCH", branch, `{"protected":false}`},
		{"PATCH", branch + "/settings", `{"connection_limit":1}`},
		{"DELETE", branch, ""},
		{"POST", branch + "/sleep", `{"force":true}`},
		{"POST", branch + "/restart", "{}"},
		{"POST", branch + "/extensions", `{"name":"citext"}`},
		{"POST", branch + "/rescue", `{"look":"x","table":"messages"}`},
		{"POST", project + "/branches", fmt.Sprintf(`{"name":"copy","from":%q}`, production.Branch)},
		{"PUT", project + "/masking", `{"items":[]}`},
		{"POST", project + "/publishes/1/apply", "{}"},
		{"POST", project + "/publishes/1/revert", "{}"},
		{"POST", project + "/locations", `{"name":"mine","kind":"folder","folder":"/tmp/mine"}`},
		{"POST", project + "/repository-keys", "{}"},
		{"GET", project + "/repository-keys", ""},
		{"POST", api.BackupsPath, fmt.Sprintf(`{"project":%q,"branch":%q}`, production.Project, production.Branch)},
		{"POST", api.TokensPath, `{"name":"more","kind":"admin","right":"admin"}`},
		{"GET", api.AuditPath, ""},
		{"DELETE", project, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), attempt.method, "http://"+s.http+attempt.path, strings.NewReader(attempt.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := bearer(token).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		var problem api.Problem
		if err != nil || answer.StatusCode != http.StatusForbidden || json.Unmarshal(body, &problem) != nil || problem.Hint == "" {
			t.Errorf("%s %s: %d %s", attempt.method, attempt.path, answer.StatusCode, bytes.TrimSpace(body))
		}
	}
}

func agentAtTheDoor(t *testing.T, own, real api.Connection) {
	var tries sync.WaitGroup
	for what, change := range map[string]func(*pgx.ConnConfig){
		"production's database":       func(c *pgx.ConnConfig) { c.Database = real.Database },
		"production as its owner":     func(c *pgx.ConnConfig) { c.Database, c.User = real.Database, real.User },
		"the administrator":           func(c *pgx.ConnConfig) { c.User = "holdfast" },
		"the superuser":               func(c *pgx.ConnConfig) { c.User = "postgres" },
		"the role of backups":         func(c *pgx.ConnConfig) { c.User = "holdfast_backup" },
		"the maintenance database":    func(c *pgx.ConnConfig) { c.Database = "postgres" },
		"replication":                 func(c *pgx.ConnConfig) { c.RuntimeParams["replication"] = "true" },
		"replication of the database": func(c *pgx.ConnConfig) { c.RuntimeParams["replication"] = "database" },
		"a name with two databases":   func(c *pgx.ConnConfig) { c.Database = own.Database + "/" + real.Database },
		"the role of agents":          func(c *pgx.ConnConfig) { c.Database, c.User = real.Database, "holdfast_agent" },
	} {
		config, err := pgx.ParseConfig(own.URL)
		if err != nil {
			t.Fatal(err)
		}
		change(config)
		tries.Go(func() { // at once: the front door takes its time to refuse
			if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
				t.Errorf("%s: it is in", what)
				_ = conn.Close(t.Context())
			}
		})
	}
	tries.Wait()
}

func agentBySQL(t *testing.T, s *server, development, production holdfast.BranchRef) {
	conn := s.connect(t, development)
	directory := s.branchDir(t, production)
	execute(t, conn, "CREATE TABLE IF NOT EXISTS loot (line text)")
	for what, sql := range map[string]string{
		"dblink": "CREATE EXTENSION dblink",
		"postgres_fdw over a socket": "CREATE EXTENSION postgres_fdw; CREATE SERVER p FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '" + filepath.Dir(directory) + "', dbname '" + production.Database() + "'); " +
			"CREATE USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (user 'holdfast'); CREATE FOREIGN TABLE f (id int) SERVER p OPTIONS (table_name 'messages'); SELECT * FROM f",
		"file_fdw":                    "CREATE EXTENSION file_fdw",
		"adminpack":                   "CREATE EXTENSION adminpack",
		"COPY FROM PROGRAM":           "COPY loot FROM PROGRAM 'cat " + directory + "/PG_VERSION'",
		"COPY TO PROGRAM":             "COPY loot TO PROGRAM 'cat'",
		"COPY FROM a file":            "COPY loot FROM '" + directory + "/postgresql.auto.conf'",
		"pg_read_file":                "SELECT pg_read_file('" + directory + "/PG_VERSION')",
		"pg_ls_dir":                   "SELECT pg_ls_dir('" + directory + "')",
		"pg_stat_file":                "SELECT pg_stat_file('" + directory + "/PG_VERSION')",
		"lo_import":                   "SELECT lo_import('" + directory + "/PG_VERSION')",
		"lo_export":                   "SELECT lo_export(1, '/tmp/x')",
		"SET ROLE":                    "SET ROLE holdfast",
		"SET SESSION AUTHORIZATION":   "SET SESSION AUTHORIZATION holdfast",
		"a role of the server's":      "GRANT pg_execute_server_program TO CURRENT_USER",
		"a role that reads files":     "GRANT pg_read_server_files TO CURRENT_USER",
		"a superuser":                 "CREATE ROLE root SUPERUSER",
		"a role that replicates":      "CREATE ROLE replica REPLICATION LOGIN",
		"a function in C":             "CREATE FUNCTION run(text) RETURNS int AS 'libc.so.6', 'system' LANGUAGE c",
		"an untrusted language":       "CREATE EXTENSION plpython3u",
		"LOAD":                        "LOAD '/tmp/x.so'",
		"ALTER SYSTEM":                "ALTER SYSTEM SET archive_command = 'true'",
		"a tablespace":                "CREATE TABLESPACE t LOCATION '" + directory + "'",
		"a subscription":              "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p",
		"a slot":                      "SELECT pg_create_physical_replication_slot('x')",
		"the verifiers of passwords":  "SELECT rolpassword FROM pg_authid",
		"the server's settings":       "SELECT pg_reload_conf()",
		"a large object of the files": "SELECT lo_from_bytea(0, pg_read_binary_file('" + directory + "/PG_VERSION'))",
	} {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", what, err)
		}
		if conn.IsClosed() {
			conn = s.connect(t, development)
		}
	}
	if n := value[int](t, conn, "SELECT count(*) FROM loot"); n != 0 {
		t.Errorf("%d lines were read", n)
	}
}
