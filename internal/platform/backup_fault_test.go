package platform

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// killed kills a process that look finds, as soon as it is there.
func killed(t *testing.T, what string, look func() int) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if pid := look(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatalf("kill %s: %v", what, err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("there is no %s", what)
		}
	}
}

// dumping is the number of a pg_dump of this process that writes a dump; one that is only asked for its version does not count.
func dumping() int {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), "pg_dump\x00") || !strings.Contains(string(line), "--format=") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
		fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			return pid
		}
	}
	return 0
}

// A dump, or the server under it, is killed: the backup has failed and says so, nothing of it is left, the database is whole, and the next
// backup is made.
func TestABackupWhoseDumpOrServerIsKilledHasFailed(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	const rows = 200_000
	pgtest.Exec(t, asOwner(t, p, ref(t, "shop/production")), fmt.Sprintf(`CREATE TABLE big AS SELECT n, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) AS text FROM generate_series(1, %d) n`, rows))
	b, err := p.Branch(t.Context(), admin, ref(t, "shop/production"))
	if err != nil {
		t.Fatal(err)
	}
	for what, look := range map[string]func() int{
		"pg_dump": dumping,
		"postmaster": func() int {
			if dumping() == 0 {
				return 0
			}
			raw, err := os.ReadFile(filepath.Join(h.root, string(b.ID), "data", "postmaster.pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.SplitN(string(raw), "\n", 2)[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		},
	} {
		made, job, err := p.CreateBackup(t.Context(), admin, ref(t, "shop/production"), NewBackup{Options: holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "gzip:9"}})
		if err != nil {
			t.Fatal(err)
		}
		killed(t, what, look)
		if _, err := p.jobs.wait(t.Context(), job.ID); err == nil {
			t.Errorf("%s was killed, and the backup is made", what)
		}
		failed, err := p.Backup(t.Context(), admin, string(made.ID))
		if err != nil || failed.State != holdfast.BackupFailed || failed.Failure == "" || len(failed.Copies) != 0 {
			t.Errorf("%s was killed: %+v, %v", what, failed, err)
		}
		left, err := filepath.Glob(filepath.Join(h.repository, "backups", "*", made.Name, "*"))
		if err != nil || len(left) != 1 || filepath.Base(left[0]) != "backup.json" {
			t.Errorf("%s was killed, and left is %q, %v", what, left, err)
		}
		if whole := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: holdfast.CustomFormat}); whole.Records() != rows {
			t.Errorf("after %s was killed the next backup has %d rows", what, whole.Records())
		}
	}
}
