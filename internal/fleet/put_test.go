package fleet_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func setting(name, value string) func(*fleet.Spec) {
	return func(s *fleet.Spec) {
		s.Parameters = map[string]string{"max_connections": "150", name: value}
	}
}

func (y *yard) show(t *testing.T, name string) string {
	t.Helper()
	conn, err := y.Admin(t.Context(), id, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	return pgtest.Value[string](t, conn.Conn, "SELECT current_setting($1)", name)
}

func TestSettingsOfARunningBranch(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if restart, err := y.Put(t.Context(), spec(setting("work_mem", "7MB"))); err != nil || restart {
		t.Errorf("work_mem: restart %v, %v", restart, err)
	}
	if got := y.show(t, "work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s", got)
	}
	if restart, err := y.Put(t.Context(), spec(setting("shared_buffers", "40MB"))); err != nil || !restart {
		t.Errorf("shared_buffers: restart %v, %v", restart, err)
	}
	if s, err := y.Status(id); err != nil || !s.RestartNeeded {
		t.Errorf("the status is %+v, %v", s, err)
	}
	if _, err := y.Put(t.Context(), spec(setting("work_mem", "plenty"))); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a bad value: %v", err)
	}
	if err := y.Restart(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := y.show(t, "shared_buffers"); got != "40MB" {
		t.Errorf("shared_buffers is %s", got)
	}
	if s, err := y.Status(id); err != nil || s.RestartNeeded || s.Activity != holdfast.Awake {
		t.Errorf("the status is %+v, %v", s, err)
	}
	if err := y.Sleep(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	if restart, err := y.Put(t.Context(), spec(setting("shared_buffers", "44MB"))); err != nil || restart {
		t.Errorf("asleep: restart %v, %v", restart, err)
	}
	if got := y.show(t, "shared_buffers"); got != "44MB" {
		t.Errorf("shared_buffers is %s", got)
	}
}

func TestStatisticsArePreloaded(t *testing.T) {
	y := newYard(t)
	y.create(t, spec(func(s *fleet.Spec) { s.Statistics = true }))
	if !pgtest.Installation(t).HasLibrary("pg_stat_statements") {
		t.Skip("this installation has no pg_stat_statements")
	}
	if got := y.show(t, "shared_preload_libraries"); got != "pg_stat_statements" {
		t.Errorf("preloaded is %q", got)
	}
}

// A data directory that a clone or a restore made is taken over, with our walls around it.
func TestADataDirectoryFromElsewhereIsTakenOver(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	copied := spec(func(s *fleet.Spec) { s.ID = "copy" })
	if _, err := y.Put(t.Context(), copied); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("without data: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", y.Dir(spec()), y.Dir(copied)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(y.DataDir(copied), "pg_hba.conf"), []byte("local all all trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Put(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	conn, err := y.Admin(t.Context(), copied.ID, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if got := pgtest.Value[int](t, conn.Conn, "SELECT n FROM public.kept"); got != 7 {
		t.Errorf("read %d", got)
	}
	if got := pgtest.Value[int](t, conn.Conn, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'"); got != 0 {
		t.Error("its old doors are open")
	}
	if y.kept(t) != 7 {
		t.Error("the origin was hurt")
	}
}

func TestASuspendedBranchMakesClientsWait(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	y.client(t)
	resume, err := y.Suspend(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if pids := pgtest.ProcessesBelow(t, y.config.Root); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := y.Wake(impatient, id); holdfast.KindOf(err) != holdfast.Timeout {
		t.Errorf("woken while suspended: %v", err)
	}
	woken := make(chan error, 1)
	go func() { woken <- y.Wake(t.Context(), id) }()
	resume()
	resume()
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
}

func TestEventsTellTheStory(t *testing.T) {
	y := newYard(t)
	y.create(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := y.Sleep(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	var story []string
	for range 4 {
		event, err := y.events.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		story = append(story, string(event.Activity))
	}
	if got := strings.Join(story, " "); got != "waking awake sleeping asleep" {
		t.Errorf("the story is %s", got)
	}
	if err := y.events.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := y.events.Next(ended); err == nil {
		t.Error("an event after the end")
	}
}

func TestAReplacedExecutableIsToldAndMendedByARestart(t *testing.T) {
	install := pgtest.Installation(t)
	// Not called bin: PostgreSQL would look for its libraries beside it.
	prefix := filepath.Join(pgtest.Dir(t), "programs")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", install.BinDir, prefix).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := filepath.Join(prefix, "postgres")
	if head, err := os.ReadFile(program); err != nil || bytes.HasPrefix(head, []byte("#!")) {
		t.Skipf("%s is a script that starts another program: %v", program, err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "--version").CombinedOutput(); err != nil {
		t.Skipf("a copied postgres does not run: %v: %s", err, out)
	}
	y := newYard(t)
	y.create(t, spec())
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	install.BinDir = prefix
	y.config.Installations = []postgres.Installation{install}
	y.open(t, spec())
	if err := y.Wake(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `cp "$1" "$1.new" && mv "$1.new" "$1"`, "sh", program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s, err := y.Status(id); err != nil || !s.Replaced {
		t.Errorf("the status is %+v, %v", s, err)
	}
	if err := y.Restart(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if s, err := y.Status(id); err != nil || s.Replaced {
		t.Errorf("after a restart the status is %+v, %v", s, err)
	}
}
