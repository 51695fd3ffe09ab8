package history

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

type seenCommit struct {
	Start holdfast.LSN
	At    string
}

// The WAL has everything that is awkward: records across pages and segments, one longer than a segment, segment switches,
// prepared transactions, and a record that was cut off by a crash.
func TestWALScanSeesWhatPgWaldumpSees(t *testing.T) {
	pg := pgtest.New(t, pgtest.Parameter("max_prepared_transactions", "5"), pgtest.Parameter("wal_keep_size", "1GB"), pgtest.Parameter("fsync", "on"))
	waldumpProgram(t, pg)
	db := pg.Database(t)
	from := writeAwkwardWAL(t, db)
	if err := pg.Stop(t.Context(), postgres.Immediate); err != nil {
		t.Fatal(err)
	}
	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, db.ConnectOwner(t), "INSERT INTO t SELECT g, 'after the crash' FROM generate_series(1, 100) g")
	admin := db.Connect(t)
	pgtest.Exec(t, admin, "CHECKPOINT") // flushes up to the end of a record, not to the middle of one
	end, err := holdfast.ParseLSN(pgtest.Value[string](t, admin, "SELECT pg_current_wal_flush_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	wantStarts, wantCommits := waldump(t, pg, from, end)
	if len(wantCommits) < 25 {
		t.Fatalf("pg_waldump sees only %d commits", len(wantCommits))
	}

	gotStarts, gotCommits := scanAll(t, pg.DataDir(), from, end, false)
	if d := cmp.Diff(wantCommits, gotCommits); d != "" {
		t.Error("commits (-pg_waldump +scan):", d)
	}
	if d := cmp.Diff(wantStarts, gotStarts); d != "" {
		t.Error("records (-pg_waldump +scan):", d)
	}
	// A scan that begins anew at each segment, as after a restart, misses no commit.
	if _, gotCommits = scanAll(t, pg.DataDir(), from, end, true); cmp.Diff(wantCommits, gotCommits) != "" {
		t.Error("commits after restarts (-pg_waldump +scan):", cmp.Diff(wantCommits, gotCommits))
	}
}

func writeAwkwardWAL(t *testing.T, db *pgtest.Database) holdfast.LSN {
	t.Helper()
	admin, c := db.Connect(t), db.ConnectOwner(t)
	pgtest.Exec(t, admin, "SELECT pg_switch_wal()")
	pgtest.Exec(t, c, "CREATE TABLE t (id int, x text)")
	from, err := holdfast.ParseLSN(pgtest.Value[string](t, admin, "SELECT pg_current_wal_insert_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		pgtest.Exec(t, c, "INSERT INTO t SELECT g, repeat('x', 3000) FROM generate_series(1, 150) g")
		pgtest.Exec(t, c, "BEGIN; INSERT INTO t VALUES (1, 'rolled back'); ROLLBACK")
		switch i {
		case 5:
			pgtest.Exec(t, c, "SELECT pg_logical_emit_message(true, 'big', repeat('0123456789', 2000000))")
		case 9:
			pgtest.Exec(t, admin, "SELECT pg_switch_wal()")
		case 13:
			pgtest.Exec(t, c, "BEGIN; INSERT INTO t VALUES (1, 'prepared'); PREPARE TRANSACTION 'p'")
			pgtest.Exec(t, c, "COMMIT PREPARED 'p'")
		case 17:
			pgtest.Exec(t, admin, "CHECKPOINT")
		}
	}
	// Everything up to here survives the crash; what follows is only partly written by then.
	pgtest.Exec(t, c, "SET synchronous_commit = on; INSERT INTO t VALUES (2, 'kept')")
	pgtest.Exec(t, c, "BEGIN; INSERT INTO t SELECT g, repeat('y', 3000) FROM generate_series(1, 150) g")
	return from / 0x1000000 * 0x1000000
}

var waldumpLine = regexp.MustCompile(`^rmgr: (\S+).* lsn: ([0-9A-F]+/[0-9A-F]+), .* desc: (\S+) ?(.*)`)

// waldumpProgram skips where PostgreSQL was installed without the tool that the scan is compared with.
func waldumpProgram(t *testing.T, pg *pgtest.Server) string {
	t.Helper()
	path := filepath.Join(pg.Installation().BinDir, "pg_waldump")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the scan is compared with pg_waldump, which is not there: %v", err)
	}
	return path
}

// waldump lists where records begin and when transactions committed, as PostgreSQL's own tool sees it.
func waldump(t *testing.T, pg *pgtest.Server, from, end holdfast.LSN) (starts []holdfast.LSN, commits []seenCommit) {
	t.Helper()
	cmd := pg.Account().Command(t.Context(), waldumpProgram(t, pg), "-p", filepath.Join(pg.DataDir(), "pg_wal"), "-s", from.String())
	out, err := cmd.Output()
	if len(out) == 0 {
		t.Fatalf("pg_waldump: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		m := waldumpLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		start, err := holdfast.ParseLSN(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if start >= end {
			break
		}
		starts = append(starts, start)
		if m[1] == "Transaction" && (m[3] == "COMMIT" || m[3] == "COMMIT_PREPARED") {
			_, text, _ := strings.Cut(m[4], "20")
			at, err := time.Parse("2006-01-02 15:04:05.000000 MST", strings.TrimSuffix("20"+text[:strings.Index(text, " UTC")+4], ";"))
			if err != nil {
				t.Fatal(err, line)
			}
			commits = append(commits, seenCommit{start, at.Format(time.RFC3339Nano)})
		}
	}
	return starts, commits
}

// scanAll feeds the segments of pg_wal from a position to another and lists where records begin and when transactions committed.
func scanAll(t *testing.T, dataDir string, from, end holdfast.LSN, restart bool) (starts []holdfast.LSN, commits []seenCommit) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dataDir, "pg_wal", "0000*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	const size = postgres.DefaultSegmentSize
	random := rand.New(rand.NewPCG(1, 2))
	scan := newWALScan(from, size)
	scan.verify = true
	scan.onCommit = func(start holdfast.LSN, at time.Time) {
		commits = append(commits, seenCommit{start, at.Format(time.RFC3339Nano)})
	}
	scan.onRecord = func(start holdfast.LSN) { starts = append(starts, start) }
	for _, file := range files {
		segment, ok := postgres.ParseSegment(filepath.Base(file), size)
		if !ok || segment.Start() < from || segment.Start() > end {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b = b[:min(int64(len(b)), int64(end-segment.Start()))]
		if restart {
			next := newWALScan(segment.Start(), size)
			next.onCommit, next.onRecord = scan.onCommit, scan.onRecord
			next.resume(scan.carry())
			scan = next
		}
		for len(b) > 0 {
			n := min(len(b), 1+random.IntN(20000))
			if random.IntN(3) == 0 {
				n = min(len(b), 1+random.IntN(40))
			}
			if err := scan.feed(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
	}
	return starts, commits
}
