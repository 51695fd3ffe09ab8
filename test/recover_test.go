package test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// recoverable is a line of `holdfast recover --list --json`.
type recoverable struct {
	Project, Branch string
	Latest          time.Time
	Checkpoints     int
	Problems        []string
}

// list says what a repository holds.
func list(t *testing.T, as command, flags ...string) []recoverable {
	t.Helper()
	var rows []recoverable
	readJSON(t, as.must(t, binary, append([]string{"recover", "--list", "--json"}, flags...)...), &rows)
	return rows
}

// A machine is lost. Nothing but the repository and its key is left: projects, branches, checkpoints, rows, every moment and the passwords come
// back, also when the recovery itself is killed.
func TestAnEmptyMachineIsRecoveredFromARepositoryAndItsKey(t *testing.T) {
	t.Parallel()
	dir := place(t)
	s := newServer(t, dir, nil)
	s.start(t)
	repository, keyFile := filepath.Join(dir, "offsite"), filepath.Join(dir, "keys.txt")
	if err := os.Mkdir(repository, 0o700); err != nil {
		t.Fatal(err)
	}
	development, production := s.project(t, api.NewProject{Name: "shop"})
	s.must(t, "location", "add", "shop", "offsite", "--folder", repository, "--encrypt")
	if err := os.WriteFile(keyFile, []byte(s.must(t, "location", "keys", "shop")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(t, "branch", "settings", production.String(), "--history-window", "14d", "--set", "work_mem=7MB")
	moment, url := fillProduction(t, s, development, production)
	flags := []string{"--from", repository, "--key", keyFile}
	waitUntilStored(t, s, func() command { return s.user("") }, flags)

	if code := s.signal(t, syscall.SIGKILL); code != -1 {
		t.Fatalf("kill -9 ended it with %d", code)
	}
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
	refuseBadKeys(t, s, dir, repository)
	killRecovery(t, s, flags)

	told := s.must(t, append([]string{"recover"}, flags...)...)
	if !strings.Contains(told, "reporter shop_owner") || !strings.Contains(told, "shop/development") {
		t.Errorf("the recovery says:\n%s", told)
	}
	if o := s.holdfast(t, append([]string{"recover"}, flags...)...); o.code == 0 || !strings.Contains(o.err, "is not empty") {
		t.Errorf("a second recovery over the first: %d %s", o.code, o.err)
	}
	s.start(t)
	checkRecovered(t, s, production, moment, url)
}

// fillProduction makes rows, a role and a checkpoint, and returns a moment between two rows and how its owner connects.
func fillProduction(t *testing.T, s *server, development, production holdfast.BranchRef) (moment, url string) {
	t.Helper()
	conn := s.connect(t, production)
	servetest.Until(t, "a base backup", func() bool {
		h, err := s.History(t.Context(), production)
		return err == nil && len(h.Bases) > 0
	})
	execute(t, conn, "CREATE TABLE deals (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
	execute(t, conn, "CREATE ROLE reporter LOGIN PASSWORD 'a password of its own'")
	execute(t, conn, "INSERT INTO deals SELECT generate_series(1, 100)")
	moment = value[string](t, conn, "SELECT clock_timestamp()::text")
	s.must(t, "checkpoint", "create", production.String(), "--label", "before import")
	execute(t, conn, "INSERT INTO deals SELECT generate_series(101, 250)")
	url = s.connection(t, production).URL
	_ = conn.Close(t.Context())
	s.sleep(t, production)
	s.sleep(t, development)
	return moment, url
}

// waitUntilStored waits until the repository holds all of production. as gives the command that looks at it, each time anew.
func waitUntilStored(t *testing.T, s *server, as func() command, flags []string) {
	t.Helper()
	at := time.Now()
	servetest.Until(t, "everything to reach the repository", func() bool {
		for _, row := range list(t, as(), flags...) {
			if row.Branch == "production" && row.Checkpoints == 1 && len(row.Problems) == 0 {
				// The last commit was before the branch went to sleep; its shutdown follows within the second.
				left, err := filepath.Glob(filepath.Join(s.data, "spool", "*", "outbox", "branches", "*", "*", "*", "*", "*"))
				return err == nil && len(left) == 0 && time.Since(at) > time.Second
			}
		}
		return false
	})
}

func refuseBadKeys(t *testing.T, s *server, dir, repository string) {
	t.Helper()
	if o := s.holdfast(t, "recover", "--from", repository); o.code == 0 || !strings.Contains(o.err, "is encrypted") {
		t.Errorf("without a key: %d %s", o.code, o.err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(dir, "wrong.txt")
	if err := os.WriteFile(wrong, []byte(other.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := s.holdfast(t, "recover", "--from", repository, "--key", wrong); o.code == 0 || !strings.Contains(o.err, "do not open the repository") {
		t.Errorf("with the wrong key: %d %s", o.code, o.err)
	}
	if o := s.holdfast(t, "recover", "--from", dir, "--key", wrong); o.code == 0 || !strings.Contains(o.err, "there is no history") {
		t.Errorf("from where nothing is: %d %s", o.code, o.err)
	}
	if _, err := os.Stat(s.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused recovery left something: %v", err)
	}
}

// killRecovery kills recoveries at different places; the server refuses what they left.
func killRecovery(t *testing.T, s *server, flags []string) {
	t.Helper()
	for _, reached := range []string{"holdfast.db", "branches/.new-*", "branches/br_*"} {
		b := s.user("").begin(t, binary, append([]string{"recover"}, flags...)...)
		servetest.Until(t, "the recovery to make "+reached, func() bool {
			found, err := filepath.Glob(filepath.Join(s.data, reached))
			return err == nil && len(found) > 0 || b.Gone()
		})
		if code := b.signal(t, syscall.SIGKILL); code != -1 {
			t.Fatalf("the recovery ended with %d before it made %s:\n%s", code, reached, b.Log)
		}
	}
	refused(t, s, 6, "is not complete")
}

func checkRecovered(t *testing.T, s *server, production holdfast.BranchRef, moment, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url) // with the old password, at the old address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if n := value[int](t, conn, "SELECT count(*) FROM deals"); n != 250 {
		t.Errorf("%d rows came back, want 250", n)
	}
	if mem := value[string](t, conn, "SHOW work_mem"); mem != "7MB" {
		t.Errorf("work_mem is %s", mem)
	}
	if o := s.holdfast(t, "env", production.String()); o.code == 0 || !strings.Contains(o.err, "credentials rotate") {
		t.Errorf("a password that nobody here knows: %d %s%s", o.code, o.out, o.err)
	}
	var h api.History
	readJSON(t, s.must(t, "history", production.String(), "--json"), &h)
	if h.Window != 14*24*3600 {
		t.Errorf("the window is %d seconds", h.Window)
	}
	if out := s.must(t, "checkpoint", "list", production.String()); !strings.Contains(out, "before import") {
		t.Errorf("the checkpoints are:\n%s", out)
	}
	// A moment from before the loss can be had, and history goes on.
	execute(t, conn, "INSERT INTO deals VALUES (1000)")
	s.must(t, "branch", "create", "shop/then", "--from", production.String(), "--at", moment)
	then := s.connect(t, holdfast.BranchRef{Project: "shop", Branch: "then"})
	if n := value[int](t, then, "SELECT count(*) FROM deals"); n != 100 {
		t.Errorf("at %s there are %d rows, want 100", moment, n)
	}
	now := value[string](t, conn, "SELECT clock_timestamp()::text")
	s.must(t, "branch", "create", "shop/now", "--from", production.String(), "--at", now)
	if n := value[int](t, s.connect(t, holdfast.BranchRef{Project: "shop", Branch: "now"}), "SELECT count(*) FROM deals"); n != 251 {
		t.Errorf("at %s there are %d rows, want 251", now, n)
	}
	s.must(t, "credentials", "rotate", production.String(), "--yes")
	if n := value[int](t, s.connect(t, production), "SELECT count(*) FROM deals"); n != 251 {
		t.Errorf("with the new password there are %d rows", n)
	}
	var found []api.Project
	readJSON(t, s.must(t, "project", "list", "--json"), &found)
	if len(found) != 1 || !slices.ContainsFunc(found[0].Branches, func(b api.Branch) bool { return b.Name == "development" }) {
		raw, _ := json.Marshal(found)
		t.Errorf("the projects are %s", raw)
	}
}
