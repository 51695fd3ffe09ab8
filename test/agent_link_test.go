package test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A coding agent finds its way to a branch by what the command says, state by state, and reads its answers line by line.
func TestAnAgentLinksADirectory(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	code := place(t)
	url, token := "http://"+s.http, s.agent(t, development.Project)
	step := func(exit int, state, url, token string, args ...string) map[string]any {
		t.Helper()
		o := s.user(code, "HOLDFAST_URL="+url, "HOLDFAST_TOKEN="+token).run(t, binary, append([]string{"link", "--agent"}, args...)...)
		var got map[string]any
		if err := json.Unmarshal([]byte(o.out), &got); err != nil || o.code != exit || got["state"] != state || strings.Count(o.out, "\n") != 1 {
			t.Fatalf("want %s: %+v, %v", state, o, err)
		}
		return got
	}
	step(7, "server_missing", "http://"+takenPort(t), token)
	step(4, "login_needed", url, "hf_agent_wrong")
	step(2, "branch_needed", url, token, development.Project+"/nowhere")
	step(4, "production_refused", url, token, production.String())
	for range 2 {
		if got := step(0, "linked", url, token); got["branch"] != development.String() || got["file"] != filepath.Join(code, ".holdfast") {
			t.Errorf("got %v", got)
		}
	}
	agent := s.user(code, "HOLDFAST_URL="+url, "HOLDFAST_TOKEN="+token)
	lines := strings.Split(strings.TrimSpace(agent.must(t, binary, "branch", "list")), "\n")
	for _, line := range lines {
		var b struct{ Name string }
		if err := json.Unmarshal([]byte(line), &b); err != nil || b.Name == "" {
			t.Errorf("a line of the list: %s, %v", line, err)
		}
	}
	if len(lines) != 2 {
		t.Errorf("the list: %q", lines)
	}
	if o := agent.run(t, binary, "sleep", production.String()); o.code != 4 || !strings.HasPrefix(o.err, `{"error":`) {
		t.Errorf("a refusal: %+v", o)
	}
	if out := agent.must(t, binary, "branch", "list", "--json=false"); !strings.HasPrefix(out, "BRANCH") {
		t.Errorf("for a person: %s", out)
	}
}
