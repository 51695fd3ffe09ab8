package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// serve builds the example and runs it until the test ends.
func serve(t *testing.T, url string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shop")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-folder", filepath.Join(t.TempDir(), "backups"))
	cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "ADMIN_TOKEN=secret")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the example ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

// contract is the description of the server's API: the handler's answers must be the same.
type contract struct {
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]any
		}
	}
}

func readContract(t *testing.T) contract {
	t.Helper()
	text, err := os.ReadFile("../../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var c contract
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// check compares the members of an object with those of a schema of the server.
func (c contract) check(t *testing.T, schema string, object map[string]any) {
	t.Helper()
	s, found := c.Components.Schemas[schema]
	if !found {
		t.Fatalf("the server has no schema %s", schema)
	}
	for _, name := range s.Required {
		if _, found := object[name]; !found {
			t.Errorf("a %s lacks %s: %v", schema, name, object)
		}
	}
	for name := range object {
		if _, found := s.Properties[name]; !found {
			t.Errorf("a server's %s has no %s", schema, name)
		}
	}
}

// The requests are those of docs/backups.md.
func TestTheExampleAnswersTheDocumentedRequests(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	pgtest.Exec(t, db.ConnectOwner(t), `CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, name text, paid boolean);
		INSERT INTO orders (name, paid) VALUES ('', true), (NULL, false), (E'tab\tand "quote"', NULL)`)
	c, at := readContract(t), serve(t, db.URL())+"/api/admin/backups"
	call := func(method, url, body string, want int) map[string]any {
		t.Helper()
		text := request(t, method, url, "secret", body, want)
		object := map[string]any{}
		if len(text) > 0 {
			if err := json.Unmarshal(text, &object); err != nil {
				t.Fatalf("%s %s: %v: %s", method, url, err, text)
			}
		}
		return object
	}
	ask := `{"project":"shop","branch":"development","tables":["orders"]}`

	made := call("POST", at, ask, http.StatusAccepted)
	c.check(t, "Backup", made)
	if made["status"] != "in_progress" {
		t.Errorf("a new backup is %v", made["status"])
	}
	one := at + "/" + made["id"].(string)
	deadline := time.Now().Add(30 * time.Second)
	for made["status"] == "in_progress" && time.Now().Before(deadline) {
		made = call("GET", one, "", http.StatusOK)
	}
	c.check(t, "Backup", made)
	if made["status"] != "completed" || made["records"] != 3.0 {
		t.Fatalf("the backup is %v", made)
	}
	list := call("GET", at+"?project=shop", "", http.StatusOK)["items"].([]any)
	if len(list) != 1 {
		t.Fatalf("the list is %v", list)
	}
	c.check(t, "Backup", list[0].(map[string]any))

	page := call("GET", one+"/data?table=orders&page=2&limit=2", "", http.StatusOK)
	c.check(t, "BackupData", page)
	if rows := page["rows"].([]any); len(rows) != 1 || rows[0].(map[string]any)["name"] != "tab\tand \"quote\"" || page["total"] != 3.0 {
		t.Errorf("the second page is %v", page)
	}
	stats := call("GET", at+"/stats?project=shop&branch=development", "", http.StatusOK)
	c.check(t, "BackupStats", stats)
	if stats["total"] != 3.0 {
		t.Errorf("stats say %v", stats)
	}
	checkFile(t, request(t, "GET", one+"/download", "secret", "", http.StatusOK))

	c.check(t, "Problem", call("DELETE", one, "", http.StatusConflict)) // the last good one
	call("DELETE", one+"?force=true", "", http.StatusNoContent)
	c.check(t, "Problem", call("GET", one, "", http.StatusNotFound))
	call("POST", at, `{"project":"shop","branch":"development","format":"plain"}`, http.StatusUnprocessableEntity)
	call("POST", at, `{"project":"shop","branch":"production"}`, http.StatusNotFound)
	for _, method := range []string{"GET", "POST"} {
		request(t, method, at, "wrong", ask, http.StatusUnauthorized)
	}
}

func request(t *testing.T, method, url, token, body string, want int) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s answers %s, want %d: %v: %s", method, url, res.Status, want, err, text)
	}
	return text
}

// checkFile reads the file as a restore does, which checks its end, and compares the rows.
func checkFile(t *testing.T, file []byte) {
	t.Helper()
	j, err := backup.OpenJSON(strings.NewReader(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for {
		part, err := j.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows, ok := part.(*backup.JSONRows); ok {
			if _, err := rows.Copy(&got); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"1\t\tt", "2\t\\N\tf", `3	tab\tand "quote"	\N`}
	if lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n"); !slices.Equal(lines, want) {
		t.Errorf("the file holds %q, want %q", lines, want)
	}
}
