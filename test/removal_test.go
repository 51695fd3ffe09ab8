package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// objectsBelow lists the files of a folder location.
func objectsBelow(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

// A control plane that is killed while it removes a project completes the removal, and the project comes back whole. One that is killed
// while it purges completes the purge: nothing of the history is left, the keys of the branches are destroyed, and the final backup can be read.
func TestRemovalsAndPurgesThatAreKilledAreCompleted(t *testing.T) {
	t.Parallel()
	dir := place(t)
	s := newServer(t, dir, nil)
	s.start(t)
	offsite, remains := filepath.Join(dir, "offsite"), filepath.Join(dir, "remains")
	if err := os.Mkdir(offsite, 0o700); err != nil {
		t.Fatal(err)
	}
	_, production := s.project(t, api.NewProject{Name: "shop", SampleRows: 10})
	s.must(t, "location", "add", "shop", "offsite", "--folder", offsite, "--encrypt")
	keys := filepath.Join(dir, "keys.txt")
	if err := os.WriteFile(keys, []byte(s.must(t, "location", "keys", "shop")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.withBase(t, production)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE kept AS SELECT 7 AS n")
	_ = conn.Close(t.Context())

	for step := range 2 {
		job, err := s.DeleteProject(t.Context(), "shop", api.Removal{})
		if err != nil {
			t.Fatal(err)
		}
		s.killAt(t, job, step)
		if left := postmasters(t, s); len(left) > 0 {
			t.Errorf("servers of a removed project run on: %v", left)
		}
		s.must(t, "undelete", "shop")
		if n := value[int](t, s.connect(t, production), "SELECT n FROM kept"); n != 7 {
			t.Errorf("after a crash at step %d production came back with %d", step, n)
		}
	}
	s.killInPurge(t, offsite, remains)

	// What an erasure might leave opens for nobody, and the portable backup for who has the project's key.
	if o := s.holdfast(t, "recover", "--list", "--from", remains, "--key", keys); o.code == 0 || !strings.Contains(o.err, "none of the keys opens") {
		t.Errorf("what remains can be read: %d %s%s", o.code, o.out, o.err)
	}
	s.readFinalBackup(t, filepath.Join(dir, "final.dump"))
}

// postmasters lists the branches' directories in which a server runs.
func postmasters(t *testing.T, s *server) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.data, "branches", "*", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// killInPurge removes the project for good and kills the server in the removal and whenever the purge has come one branch further. What the
// location held, without the keys, is copied to remains.
func (s *server) killInPurge(t *testing.T, offsite, remains string) {
	t.Helper()
	if err := os.CopyFS(remains, os.DirFS(offsite)); err != nil {
		t.Fatal(err)
	}
	for _, key := range objectsBelow(t, remains) {
		if strings.HasSuffix(key, ".age") {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		}
	}
	job, err := s.DeleteProject(t.Context(), "shop", api.Removal{Now: true, Confirm: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	s.killAt(t, job, 1)
	before := len(branchesOn(t, s))
	servetest.Until(t, "the purge begins", func() bool { return len(branchesOn(t, s)) < before || before == 0 })
	s.signal(t, syscall.SIGKILL)
	s.start(t)
	servetest.Until(t, "the last directory is gone", func() bool { return len(branchesOn(t, s)) == 0 })
	s.signal(t, syscall.SIGKILL)
	s.start(t)
	servetest.Until(t, "the history is erased", func() bool { return len(objectsBelow(t, filepath.Join(offsite, "branches"))) == 0 })
}

// readFinalBackup downloads the backup that was made before the removal and looks into it.
func (s *server) readFinalBackup(t *testing.T, path string) {
	t.Helper()
	all, err := s.Backups(t.Context(), "shop", holdfast.ProductionName)
	if err != nil || len(all) == 0 {
		t.Fatalf("the final backups: %v, %v", all, err)
	}
	s.must(t, "backup", "download", all[0].ID, "--output", path)
	if raw, err := os.ReadFile(path); err != nil || !strings.Contains(string(raw), "kept") {
		t.Errorf("the final backup has %d bytes, %v", len(raw), err)
	}
}
