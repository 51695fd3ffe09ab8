package adminbackup_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/holdfast/holdfast/adminbackup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

const path = "/api/admin/backups"

func open(t *testing.T, db *pgtest.Database) *sql.DB {
	t.Helper()
	pool, err := sql.Open("pgx", db.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

func handler(t *testing.T, config adminbackup.Config) *adminbackup.Handler {
	t.Helper()
	h, err := adminbackup.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func call(h http.Handler, method, url, body string) (int, map[string]any) {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := map[string]any{}
	_ = json.Unmarshal(w.Body.Bytes(), &answer) // an answer that is none shows itself in what lacks
	return w.Code, answer
}

func everybody(*http.Request, adminbackup.Access) (string, error) { return "somebody", nil }

func ended(t *testing.T, h http.Handler, id any) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if _, b := call(h, "GET", path+"/"+id.(string), ""); b["status"] != "in_progress" {
			return b
		}
	}
	t.Fatal("the backup does not end")
	return nil
}

const ask = `{"project":"shop","branch":"production"}`

func TestWithoutPermissionNothingIsAnswered(t *testing.T) {
	db := open(t, pgtest.Start(t).Database(t))
	only := func(_ *http.Request, access adminbackup.Access) (string, error) {
		if access.Action != adminbackup.See {
			return "", errors.New("a secret reason")
		}
		return "viewer", nil
	}
	for name, authorize := range map[string]func(*http.Request, adminbackup.Access) (string, error){"no function": nil, "a viewer": only} {
		h := handler(t, adminbackup.Config{Databases: []adminbackup.Database{{Project: "shop", Branch: "production", DB: db}}, Folder: t.TempDir(), Authorize: authorize})
		for _, c := range []struct{ method, path string }{{"POST", path}, {"GET", path + "/x/download"}, {"GET", path + "/x/data"}, {"DELETE", path + "/x"}} {
			status, answer := call(h, c.method, c.path, ask)
			if status != http.StatusForbidden || strings.Contains(answer["detail"].(string), "secret") {
				t.Errorf("%s: %s %s answers %d %v", name, c.method, c.path, status, answer)
			}
		}
		if status, _ := call(h, "GET", path, ""); (status == http.StatusOK) != (authorize != nil) {
			t.Errorf("%s: the list answers %d", name, status)
		}
	}
}

func TestABackupThatFailsSaysWhyAndHasNoBytes(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	h := handler(t, adminbackup.Config{Databases: []adminbackup.Database{{Project: "shop", Branch: "production", DB: open(t, db)}}, Folder: t.TempDir(), Authorize: everybody})
	status, b := call(h, "POST", path, `{"project":"shop","branch":"production","tables":["nothing"]}`)
	if status != http.StatusAccepted {
		t.Fatalf("answers %d %v", status, b)
	}
	b = ended(t, h, b["id"])
	if b["status"] != "failed" || !strings.Contains(b["error"].(string), "nothing") || b["created_by"] != "somebody" {
		t.Errorf("the backup is %v", b)
	}
	if status, _ := call(h, "GET", path+"/"+b["id"].(string)+"/download", ""); status != http.StatusFailedDependency {
		t.Errorf("its download answers %d", status)
	}
}

// A backup waits for a table that somebody alters; the program ends meanwhile, and a new one takes over the folder.
func TestABackupThatTheProgramLeavesIsFailed(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	owner := db.ConnectOwner(t)
	pgtest.Exec(t, owner, "CREATE TABLE orders (id int); BEGIN; LOCK TABLE orders")
	config := adminbackup.Config{Databases: []adminbackup.Database{{Project: "shop", Branch: "production", DB: open(t, db)}}, Folder: t.TempDir(), Authorize: everybody}
	h := handler(t, config)
	_, b := call(h, "POST", path, ask)
	if status, second := call(h, "POST", path, ask); status != http.StatusConflict {
		t.Errorf("a second backup answers %d %v", status, second)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := call(h, "POST", path, ask); status != http.StatusServiceUnavailable {
		t.Errorf("after the end a backup answers %d", status)
	}
	pgtest.Exec(t, owner, "ROLLBACK")
	again := handler(t, config)
	if left := ended(t, again, b["id"]); left["status"] != "failed" {
		t.Errorf("what was left is %v", left)
	}
	_, b = call(again, "POST", path, ask)
	if b = ended(t, again, b["id"]); b["status"] != "completed" {
		t.Errorf("a backup afterwards is %v", b)
	}
	if _, err := adminbackup.New(context.Background(), adminbackup.Config{Folder: t.TempDir(), Databases: []adminbackup.Database{{Project: "shop", Branch: "production"}}}); err == nil {
		t.Error("a database that is nil is taken")
	}
}
