package test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

func TestATableMovesAsCSVFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	conn := s.connect(t, development)
	execute(t, conn, `CREATE TABLE orders (id int PRIMARY KEY, note text, total numeric CHECK (total >= 0)); INSERT INTO orders VALUES (1, E'a "quote", a comma\nand a line', 1.50), (2, '', NULL), (3, NULL, 3)`)
	dir := place(t)
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	rows := func() string {
		t.Helper()
		return value[string](t, conn, `SELECT string_agg(concat_ws('|', id, coalesce(note, 'NULL'), coalesce(total::text, 'NULL')), ' ' ORDER BY id) FROM orders WHERE id > 1`)
	}
	out := file("out.csv", "")
	s.must(t, "export", "table", development.String(), "public.orders", "--out", out, "--where", "id < 3")
	if text, err := os.ReadFile(out); err != nil || string(text) != "id,note,total\n1,\"a \"\"quote\"\", a comma\nand a line\",1.50\n2,\"\",\n" {
		t.Errorf("exported as %q, %v", text, err)
	}
	in := file("in.csv", "Number;Note;Sum;Left out\n2;two;2;x\n4;\"\";4;x\nfive;five;5;x\n6;;-6;x\n7;;7;x\n")
	arguments := []string{"import", "table", development.String(), "orders", "--file", in, "--delimiter", ";", "--map", "Number=id", "--map", "Note=note", "--map", "Sum=total", "--map", "Left out=", "--upsert", "id"}
	bad := file("bad.csv", "")
	if o := s.holdfast(t, arguments...); o.code == 0 || !strings.Contains(o.err, "line 4") || rows() != "2||NULL 3|NULL|3" {
		t.Errorf("an import with a bad row: %d, %s\nrows are %s", o.code, o.err, rows())
	}
	if got := s.must(t, append(arguments, "--rejects", bad, "--dry-run")...); !strings.Contains(got, "3 rows would come into orders") || !strings.Contains(got, "2 rows were rejected") || rows() != "2||NULL 3|NULL|3" {
		t.Errorf("a dry run says %s\nrows are %s", got, rows())
	}
	if got := s.must(t, append(arguments, "--rejects", bad)...); !strings.Contains(got, "3 rows came into orders") || rows() != "2|two|2 3|NULL|3 4||4 7|NULL|7" {
		t.Errorf("the import says %s\nrows are %s", got, rows())
	}
	text, err := os.ReadFile(bad)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err != nil || len(lines) != 3 || lines[0] != "holdfast_line,holdfast_reason,id,note,total" || !strings.HasPrefix(lines[1], "4,") || !strings.HasSuffix(lines[1], ",five,five,5") || !strings.HasPrefix(lines[2], "5,") {
		t.Errorf("the rejected rows are\n%s\n%v", text, err)
	}
	mended := file("mended.csv", strings.NewReplacer(",five,five,", ",5,five,", "-6", "6").Replace(string(text)))
	s.must(t, "import", "table", development.String(), "orders", "--file", mended)
	if got := rows(); got != "2|two|2 3|NULL|3 4||4 5|five|5 6|NULL|6 7|NULL|7" {
		t.Errorf("with the mended rows: %s", got)
	}
}

// Files made by the stock programs, with names that mislead, are known by their bytes, restored, and refused when they are cut.
func TestDumpsMadeElsewhereAreAdoptedByTheirBytes(t *testing.T) {
	t.Parallel()
	program(t, "pg_dump", "apt-get install postgresql-client")
	s, development, production := sharedProject(t, 500)
	from, dir := s.connection(t, development), place(t)
	user := s.user(dir, "FROM="+from.URL)
	user.must(t, "/bin/bash", "-c", `set -eo pipefail
		pg_dump --no-owner --format=custom "$FROM" > custom.sql; pg_dump --no-owner --format=tar "$FROM" > tar.json; pg_dump --no-owner "$FROM" > plain.csv
		gzip -c plain.csv > plain.pgdump; pg_dump --no-owner --format=directory --file=folder "$FROM"; tar -C folder -czf directory.txt .`)
	for _, format := range []string{"json", "csv"} {
		var b api.Backup
		readJSON(t, s.must(t, "backup", "create", development.String(), "--format", format, "--json"), &b)
		s.must(t, "backup", "download", b.ID, "--packed", "--output", filepath.Join(dir, "ours-"+format+".bin"))
	}
	was := contents(t, from.URL)
	for file, format := range map[string]string{"custom.sql": "custom", "tar.json": "directory", "plain.csv": "plain", "plain.pgdump": "plain", "directory.txt": "directory", "ours-json.bin": "json", "ours-csv.bin": "csv"} {
		var b api.Backup
		readJSON(t, s.must(t, "backup", "adopt", production.String(), filepath.Join(dir, file), "--json"), &b)
		if b.Status != "completed" || b.Format != format || len(b.SHA256) != 64 || b.Branch != "production" {
			t.Errorf("%s was adopted as %+v", file, b)
		}
		s.must(t, "backup", "restore", b.ID, "--to", development.String(), "--clear", "--yes")
		if is := contents(t, from.URL); is != was {
			t.Errorf("%s, restored:\n%s\nwant\n%s", file, is, was)
		}
	}
	whole, err := os.ReadFile(filepath.Join(dir, "custom.sql"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Backups(t.Context(), production.Project, "production")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cut": whole[:len(whole)/2], "noise": []byte("\x00\x01 nothing that anybody knows")} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if o := s.holdfast(t, "backup", "adopt", production.String(), path); o.code == 0 || o.err == "" {
			t.Errorf("%s: %d, %s%s", name, o.code, o.out, o.err)
		}
	}
	after, err := s.Backups(t.Context(), production.Project, "production")
	completed := 0
	for _, b := range after {
		if b.Status == "completed" {
			completed++
		}
	}
	if err != nil || completed != len(before) {
		t.Errorf("%d backups are completed, want %d: %v", completed, len(before), err)
	}
}

func TestRowsAreSyncedBothWaysAndTheSyncIsUndone(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	const tables = `CREATE TABLE customers (id int PRIMARY KEY, email text); CREATE TABLE orders (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer int REFERENCES customers)`
	dev, prod := s.connect(t, development), s.connect(t, production)
	execute(t, dev, tables)
	execute(t, prod, tables+`; INSERT INTO customers SELECT n, 'person' || n || '@example.com' FROM generate_series(1, 20) n; INSERT INTO orders (customer) SELECT n FROM generate_series(1, 20) n`)
	s.must(t, "mask", "set", development.Project, "public.customers.email=fake_email")
	if got := s.must(t, "sync", production.String(), development.String(), "--masked", "--yes"); !strings.Contains(got, "sync undo") {
		t.Errorf("it says %s", got)
	}
	if n := value[int](t, dev, `SELECT count(*)::int FROM customers JOIN orders ON customer = customers.id WHERE email LIKE '%@example.invalid'`); n != 20 {
		t.Errorf("%d masked customers with their orders came", n)
	}
	execute(t, dev, `INSERT INTO orders (customer) VALUES (1)`) // behind what came: the sequence was set
	// Production is not changed by a slip: nobody is asked, another name is typed, a dry run.
	if o := s.holdfast(t, "sync", development.String(), production.String(), "--tables", "orders"); o.code != 5 || !strings.Contains(o.err, "--yes") {
		t.Errorf("without a word of consent: %d, %s", o.code, o.err)
	}
	if _, err := s.SyncRows(t.Context(), production, api.SyncRows{Source: development.String(), Mode: "replace", Confirm: development.String()}); err == nil {
		t.Error("the wrong name was typed and it began")
	}
	s.must(t, "sync", development.String(), production.String(), "--tables", "orders", "--mode", "upsert", "--dry-run")
	if n := value[int](t, prod, `SELECT count(*)::int FROM orders`); n != 20 {
		t.Errorf("production has %d orders", n)
	}
	s.must(t, "sync", development.String(), production.String(), "--tables", "orders", "--mode", "upsert", "--yes")
	if n := value[int](t, prod, `SELECT count(*)::int FROM orders`); n != 21 {
		t.Errorf("after the sync production has %d orders", n)
	}
	all, err := s.Backups(t.Context(), production.Project, "production")
	if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].Name, "prod_backup_before_sync_") || !all[0].Held || all[0].Status != "completed" {
		t.Errorf("the backups of production are %+v, %v", all, err)
	}
	s.must(t, "sync", "undo", production.String(), "--yes")
	if n := value[int](t, prod, `SELECT count(*)::int FROM orders`); n != 20 {
		t.Errorf("after the undo production has %d orders", n)
	}
}

// The requests of docs/backups.md, as a person who may administer and as a coding agent.
func TestTheDocumentedRequestsOfBackups(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 50)
	raw, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	admin, agent := strings.TrimSpace(string(raw)), s.agent(t, development.Project)
	at := "http://" + s.http + "/api/admin/backups"
	request := func(token, method, url, body string, want int) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != want {
			t.Fatalf("%s %s %s answers %s, want %d: %v: %s", method, url, body, answer.Status, want, err, text)
		}
		return text
	}
	call := func(token, method, url, body string, want int) map[string]any {
		t.Helper()
		object := map[string]any{}
		if text := request(token, method, url, body, want); len(text) > 0 {
			if err := json.Unmarshal(text, &object); err != nil {
				t.Fatalf("%s %s: %v: %s", method, url, err, text)
			}
		}
		return object
	}
	made := func(token, body string) (url string, b map[string]any) {
		t.Helper()
		b = call(token, "POST", at, body, http.StatusAccepted)
		if b["status"] != "in_progress" {
			t.Errorf("a new backup is %v", b["status"])
		}
		url = at + "/" + b["id"].(string)
		servetest.Until(t, "the backup ends", func() bool {
			b = call(token, "GET", url, "", http.StatusOK)
			return b["status"] != "in_progress"
		})
		if b["status"] != "completed" || b["format"] != "json" {
			t.Fatalf("the backup is %v", b)
		}
		return url, b
	}
	project := development.Project
	for _, c := range []struct{ token, branch string }{{admin, "development"}, {agent, "development"}, {admin, "production"}} {
		one, b := made(c.token, `{"project":"`+project+`","branch":"`+c.branch+`","tables":["messages"]}`)
		if b["records"] != 50.0 {
			t.Errorf("%s: %v rows", c.branch, b["records"])
		}
		list := call(c.token, "GET", at+"?project="+project+"&branch="+c.branch, "", http.StatusOK)["items"].([]any)
		if len(list) == 0 || list[0].(map[string]any)["id"] != b["id"] {
			t.Errorf("the list is %v", list)
		}
		page := call(c.token, "GET", one+"/data?table=messages&page=5&limit=12", "", http.StatusOK)
		if rows := page["rows"].([]any); len(rows) != 2 || page["total"] != 50.0 {
			t.Errorf("the fifth page is %v", page)
		}
		stats := call(c.token, "GET", at+"/stats?project="+project+"&branch="+c.branch+"&tables=messages", "", http.StatusOK)
		if stats["total"] != 50.0 {
			t.Errorf("stats say %v", stats)
		}
		var file map[string]any
		if err := json.Unmarshal(request(c.token, "GET", one+"/download", "", http.StatusOK), &file); err != nil || len(file) == 0 {
			t.Errorf("the file is %v, %v", file, err)
		}
		if c.branch == "production" {
			call(agent, "DELETE", one, "", http.StatusForbidden)
			call(admin, "DELETE", one, "", http.StatusConflict) // the last good one
			call(admin, "DELETE", one+"?force=true", "", http.StatusNoContent)
			call(admin, "GET", one, "", http.StatusNotFound)
		}
	}
	for _, format := range []string{"plain", "custom", "directory", "csv"} {
		call(admin, "POST", at, `{"project":"`+project+`","branch":"development","format":"`+format+`"}`, http.StatusAccepted)
	}
	call(agent, "POST", at, `{"project":"`+project+`","branch":"production"}`, http.StatusForbidden)
	call(admin, "POST", at, `{"project":"`+project+`","branch":"development","format":"xml"}`, http.StatusUnprocessableEntity)
	call(admin, "POST", at, `{"project":"`+project+`","branch":"nowhere"}`, http.StatusNotFound)
	call("nobody", "GET", at, "", http.StatusUnauthorized)
}

// Production stands as it was, or as the backup has it, whenever the control plane is killed during a restore into it, and the next one completes it.
func TestARestoreOfABackupThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, production := s.project(t, api.NewProject{Name: "shop"})
	execute(t, s.connect(t, production), `CREATE TABLE kept AS SELECT n, repeat('x', 200) AS pad FROM generate_series(1, 20000) n`)
	const backedUp, changed = "20000 0 false", "20000 2857 true"
	state := func() (got string) {
		t.Helper()
		servetest.Until(t, "production answers", func() bool { // while the databases are exchanged it does not
			con, err := s.Connection(t.Context(), production)
			if err != nil {
				return false
			}
			conn, err := pgx.Connect(t.Context(), con.URL)
			if err != nil {
				return false
			}
			defer conn.Close(context.Background())
			return conn.QueryRow(t.Context(), `SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE pad = 'changed'), (to_regclass('later') IS NOT NULL)::text) FROM kept`).Scan(&got) == nil
		})
		return got
	}
	var b api.Backup
	readJSON(t, s.must(t, "backup", "create", production.String(), "--json"), &b)
	for step := range 4 {
		execute(t, s.connect(t, production), `UPDATE kept SET pad = 'changed' WHERE n % 7 = 0; CREATE TABLE later (n int)`)
		job, err := s.RestoreBackup(t.Context(), production, api.RestoreBackup{Backup: b.ID, Clear: true, Confirm: production.String()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, reached := context.WithCancel(t.Context())
		_, err = s.FollowJob(ctx, job.ID, func(j api.Job) {
			if j.State == "running" && j.StepIndex >= step && j.Step != "" {
				reached()
			}
		})
		reached()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s.signal(t, syscall.SIGKILL)
		s.start(t)
		if got := state(); got != changed && got != backedUp {
			t.Errorf("killed at step %d production is neither as before nor as backed up: %s", step, got)
		}
		last, err := s.FollowJob(t.Context(), job.ID, func(api.Job) {})
		if err != nil || last.Err() != nil {
			t.Fatalf("after a crash at step %d: %v, %v", step, err, last.Err())
		}
		if got := state(); got != backedUp {
			t.Errorf("after the crash at step %d it was completed to %s, want %s", step, got, backedUp)
		}
		if n := value[int](t, s.connect(t, production), `SELECT count(*)::int FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') AND datname NOT LIKE 'before\_restore\_%'`); n != 1 {
			t.Errorf("after the crash at step %d there are %d databases beside those that are kept", step, n)
		}
	}
	all, err := s.Backups(t.Context(), "shop", "production")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Status == "in_progress" {
			t.Errorf("%s is still in progress", one.Name)
		}
	}
}
