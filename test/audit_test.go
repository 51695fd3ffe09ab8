package test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "modernc.org/sqlite" // the metadata, to tamper with it

	"github.com/holdfast/holdfast/internal/api"
)

// browserOf is a person who signed in as a browser does: with a cookie.
type browserOf struct {
	s      *server
	cookie string
}

// ask sends a request and returns the status and the body of the answer.
func (b *browserOf) ask(t *testing.T, method, path string, body any) (int, []byte) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.s.http+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, c := range answer.Cookies() {
		if strings.Contains(c.Name, "session") {
			b.cookie = c.Name + "=" + c.Value
		}
	}
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, read
}

func (b *browserOf) must(t *testing.T, method, path string, body any) {
	t.Helper()
	if status, answer := b.ask(t, method, path, body); status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

// What people do to data and secrets is in the trail: who, what, to what, from where, and for rows what they were and are. The trail finds out
// whoever changes, removes or moves an entry behind the server's back.
func TestTheAuditTrailSaysWhatWasDoneAndIsNotRewritten(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, production := s.project(t, api.NewProject{Name: "shop"})
	s.must(t, "sql", development.String(), "CREATE TABLE prices (id int PRIMARY KEY, amount numeric)", "--write")
	if _, err := s.CreatePerson(t.Context(), api.NewPerson{Name: "ann", Password: "a long password", Admin: true}); err != nil {
		t.Fatal(err)
	}
	ann := &browserOf{s: s}
	if status, answer := ann.ask(t, http.MethodPost, api.LoginPath, api.Login{Name: "ann", Password: "not her password"}); status != http.StatusUnauthorized {
		t.Fatalf("a wrong password: %d %s", status, answer)
	}
	ann.must(t, http.MethodPost, api.LoginPath, api.Login{Name: "ann", Password: "a long password"})
	s.must(t, "publish", "shop", "--yes")
	s.psql(t, production, "INSERT INTO prices VALUES (1, 9.90)") // shows the credentials to psql
	path := api.ProjectsPath + "/shop/branches/production"
	was, is, one := "9.90", "0.90", "1"
	ann.must(t, http.MethodPost, path+"/editing", map[string]any{})
	ann.must(t, http.MethodPost, path+"/rows", api.RowEdits{Changes: []api.RowEdit{{Kind: "update", Table: "prices", Old: map[string]*string{"id": &one, "amount": &was}, Set: map[string]*string{"amount": &is}}}})
	var backup api.Backup
	readJSON(t, s.must(t, "backup", "create", production.String(), "--json"), &backup)
	s.must(t, "backup", "download", backup.ID, "--output", filepath.Join(s.home, "backup"))
	s.must(t, "backup", "restore", backup.ID, "--to", development.String(), "--clear", "--yes")
	s.must(t, "restore", production.String(), "--at", "1 second ago", "--yes")
	ann.must(t, http.MethodPost, api.LogoutPath, map[string]any{})

	entries, err := s.Audit(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]api.AuditEntry{}
	for _, e := range entries {
		found[e.Action+" "+e.Subject] = e
	}
	token := "token first admin"
	for what, actor := range map[string]string{
		"project.create shop":              token,
		"person.create ann":                token,
		"login.failed ann":                 "nobody",
		"login ann":                        "ann",
		"logout ann":                       "ann",
		"publish.create shop":              token,
		"publish.apply shop":               token,
		"credentials.view shop/production": token,
		"data.edit_opened shop/production": "ann",
		"data.edit shop/production":        "ann",
		"backup.create shop/production":    token,
		"backup.download shop/production":  token,
		"backup.restore shop/development":  token,
		"branch.restore shop/production":   token,
		"sql.run " + development.String():  token,
		"token.create first admin":         "holdfast",
	} {
		e, is := found[what]
		if !is { // some name the number of a publish, too
			for _, other := range entries {
				if is = strings.HasPrefix(other.Action+" "+other.Subject, what); is {
					e = other
					break
				}
			}
		}
		if !is || e.Actor != actor || actor != "holdfast" && e.Source != "127.0.0.1" || e.At.IsZero() {
			t.Errorf("%s: the trail has %+v, want it done by %s from here", what, e, actor)
		}
	}
	if text := string(mustJSON(t, found["data.edit shop/production"].Detail)); !strings.Contains(text, `"before":{"amount":"9.90"`) || !strings.Contains(text, `"after":{"amount":"0.90"`) {
		t.Errorf("the edit of production is told as %s", text)
	}
	if text := string(mustJSON(t, entries)); strings.Contains(text, "a long password") || strings.Contains(text, s.connection(t, production).Password) || strings.Contains(text, "hf_") {
		t.Error("a secret is in the trail")
	}
	for how, statement := range map[string]string{
		"changed": "UPDATE audit SET actor = 'bob' WHERE seq = 4",
		"removed": "DELETE FROM audit WHERE seq = 4",
		"moved":   "UPDATE audit SET seq = -1 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = -1",
	} {
		s.tamper(t, how, statement)
	}
}

// tamper changes the trail while nobody serves it, lets it be verified, and puts it back.
func (s *server) tamper(t *testing.T, how, statement string) {
	t.Helper()
	change := func(statement string) {
		t.Helper()
		if code := s.signal(t, syscall.SIGINT); code != 0 {
			t.Fatalf("the server ended with %d", code)
		}
		db, err := sql.Open("sqlite", "file:"+url.PathEscape(filepath.Join(s.data, "holdfast.db")))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s.start(t)
	}
	if out := s.must(t, "audit", "verify"); !strings.Contains(out, "whole") {
		t.Errorf("before an entry is %s: %s", how, out)
	}
	change("CREATE TABLE kept AS SELECT * FROM audit; " + statement)
	if o := s.holdfast(t, "audit", "verify"); o.code == 0 || !strings.Contains(o.err, "tampered with at entry 4") {
		t.Errorf("an entry is %s: it ended with %d: %s%s", how, o.code, o.out, o.err)
	}
	// The server's own entries since then hang on the signed end, which was not touched.
	change("DELETE FROM audit WHERE seq IN (SELECT seq FROM kept); INSERT INTO audit SELECT * FROM kept; DROP TABLE kept")
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
