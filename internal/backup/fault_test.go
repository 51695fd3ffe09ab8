package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// watched is a location that does something in the middle of an object: when some of its bytes have come, and more are to come.
type watched struct {
	blob.Location
	after int64
	do    func() error
	once  sync.Once
}

func (w *watched) Put(ctx context.Context, name string, r io.Reader, opts blob.PutOptions) (blob.Info, error) {
	if strings.HasSuffix(name, "/backup.json") {
		return w.Location.Put(ctx, name, r, opts)
	}
	return w.Location.Put(ctx, name, &watchedReader{w: w, r: r}, opts)
}

type watchedReader struct {
	w    *watched
	r    io.Reader
	seen int64
}

func (r *watchedReader) Read(p []byte) (int, error) {
	var err error
	if r.seen >= r.w.after {
		r.w.once.Do(func() { err = r.w.do() })
	}
	if err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.seen += int64(n)
	return n, err
}

// child is the number of a program that this process runs.
func child(t *testing.T, name string) int {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
			if err == nil && bytes.HasPrefix(status, []byte("Name:\t"+name+"\n")) && bytes.Contains(status, fmt.Appendf(nil, "\nPPid:\t%d\n", os.Getpid())) {
				pid, err := strconv.Atoi(e.Name())
				if err != nil {
					t.Fatal(err)
				}
				return pid
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("no %s runs", name)
			return 0
		}
	}
}

// big makes a database whose dump is longer than every buffer on the way.
func big(t *testing.T, server *pgtest.Server) *pgtest.Database {
	t.Helper()
	db := server.Database(t)
	run(t, db, `CREATE TABLE big (id integer PRIMARY KEY, v text); INSERT INTO big SELECT g, md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text) FROM generate_series(1, 200000) g`)
	return db
}

// files lists what lies below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			all = append(all, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// failedCleanly checks that a backup that failed looks like one that failed, everywhere, and that nothing is left of it.
func failedCleanly(t *testing.T, b holdfast.Backup, err error, scratch string, dirs ...string) {
	t.Helper()
	if err == nil || b.State != holdfast.BackupFailed || b.Failure == "" || len(b.Copies) != 0 {
		t.Fatalf("got %v and %+v", err, b)
	}
	for _, dir := range dirs {
		if got := files(t, dir); len(got) != 1 || filepath.Base(got[0]) != "backup.json" {
			t.Errorf("left in %s: %q", dir, got)
		}
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := backup.NewCatalogue(folder, "backups/shop")
		kept, err := c.Get(t.Context(), b.Name)
		if err != nil || kept.State != holdfast.BackupFailed || kept.Failure == "" {
			t.Errorf("the manifest says %+v, %v", kept, err)
		}
		if _, err := c.Open(t.Context(), kept); err == nil {
			t.Error("a failed backup can be opened")
		}
	}
	if got := files(t, scratch); len(got) != 0 {
		t.Errorf("left in the scratch folder: %q", got)
	}
}

var streamed = []holdfast.BackupOptions{{Format: holdfast.PlainFormat}, {Format: holdfast.CustomFormat, Compression: "gzip:1"}, {Format: holdfast.JSONFormat}}

func TestADumpThatIsKilledLeavesNoBackup(t *testing.T) {
	from := big(t, pgtest.Start(t))
	for _, options := range append(streamed[:2:2], holdfast.BackupOptions{Format: holdfast.DirectoryFormat, Jobs: 2}) {
		d, dir := destination(t, "folder")
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		kill := func() error {
			if err := syscall.Kill(child(t, "pg_dump"), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			return nil
		}
		req := request(from, options, d)
		if options.Format == holdfast.DirectoryFormat { // it writes to the scratch folder first
			var once sync.Once
			req.Progress = func(step string, _, _ int64, _ string) {
				if step == "dumping with pg_dump" {
					once.Do(func() { go func() { _ = kill() }() })
				}
			}
		} else {
			req.Destinations[0].Catalogue = backup.NewCatalogue(&watched{Location: folder, after: 1, do: kill}, "backups/shop")
		}
		tools := tools(t)
		b, err := tools.Dump(t.Context(), req)
		failedCleanly(t, b, err, tools.Scratch, dir)
		if !strings.Contains(b.Failure, "killed") {
			t.Errorf("%s: the reason is %q", options.Format, b.Failure)
		}
	}
}

func TestAServerThatIsKilledLeavesNoBackup(t *testing.T) {
	for _, options := range streamed {
		server := pgtest.New(t)
		from := big(t, server)
		d, dir := destination(t, "folder")
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		req := request(from, options, d)
		req.Destinations[0].Catalogue = backup.NewCatalogue(&watched{Location: folder, after: 1, do: func() error {
			pgtest.EndProcessesBelow(t, server.DataDir())
			return nil
		}}, "backups/shop")
		tools := tools(t)
		b, err := tools.Dump(t.Context(), req)
		failedCleanly(t, b, err, tools.Scratch, dir)
	}
}

func TestABackupThatIsCanceledLeavesNoBackup(t *testing.T) {
	from := big(t, pgtest.Start(t))
	for _, options := range streamed {
		d, dir := destination(t, "folder")
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		req := request(from, options, d)
		req.Destinations[0].Catalogue = backup.NewCatalogue(&watched{Location: folder, after: 1, do: func() error { cancel(); return nil }}, "backups/shop")
		tools := tools(t)
		b, err := tools.Dump(ctx, req)
		failedCleanly(t, b, err, tools.Scratch, dir)
		if holdfast.KindOf(err) != holdfast.Canceled {
			t.Errorf("%s: got %v", options.Format, err)
		}
	}
}

// small mounts a disk of one megabyte.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLeavesNoBackup(t *testing.T) {
	from := big(t, pgtest.Start(t))
	for _, options := range streamed {
		good, goodDir := destination(t, "good")
		dir := small(t)
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		full := backup.Destination{Name: "full", Catalogue: backup.NewCatalogue(folder, "backups/shop")}
		tools := tools(t)
		b, err := tools.Dump(t.Context(), request(from, options, good, full))
		failedCleanly(t, b, err, tools.Scratch, goodDir, dir)
		if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(b.Failure, "full") || b.FailureHint == "" {
			t.Errorf("%s: got %v, %q", options.Format, err, b.FailureHint)
		}
		req := request(from, options, good, full)
		req.Copies = 1
		b, err = tools.Dump(t.Context(), req)
		if err != nil || len(b.Copies) != 1 || b.Copies[0].Destination != "good" {
			t.Fatalf("one copy would do: got %+v, %v", b.Copies, err)
		}
		if err := good.Catalogue.Verify(t.Context(), b); err != nil {
			t.Error(err)
		}
		if other, err := full.Catalogue.Get(t.Context(), b.Name); err != nil || other.State != holdfast.BackupFailed {
			t.Errorf("the full disk's manifest says %+v, %v", other, err)
		}
	}
}

func TestAScratchDiskThatIsFullIsSaid(t *testing.T) {
	from := big(t, pgtest.Start(t))
	d, dir := destination(t, "folder")
	tools := tools(t)
	tools.Scratch = small(t)
	b, err := tools.Dump(t.Context(), request(from, holdfast.BackupOptions{Format: holdfast.DirectoryFormat, Compression: "none"}, d))
	failedCleanly(t, b, err, tools.Scratch, dir)
	if !strings.Contains(b.Failure, "No space left") {
		t.Errorf("got %q", b.Failure)
	}
	b = dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	if _, _, err := tools.Fetch(t.Context(), d.Catalogue, b, nil); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("fetching gave %v", err)
	}
	if got := files(t, tools.Scratch); len(got) != 0 {
		t.Errorf("left in the scratch folder: %q", got)
	}
}

// A location that breaks off in the middle, as a bucket does when the network goes.
func TestALocationThatBreaksOffLeavesNoBackup(t *testing.T) {
	from := big(t, pgtest.Start(t))
	gone := &holdfast.Error{Kind: holdfast.Unavailable, Message: "the network is gone"}
	for _, options := range streamed {
		d, dir := destination(t, "folder")
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		req := request(from, options, d)
		req.Destinations[0].Catalogue = backup.NewCatalogue(&watched{Location: folder, after: 300000, do: func() error { return gone }}, "backups/shop")
		tools := tools(t)
		b, err := tools.Dump(t.Context(), req)
		failedCleanly(t, b, err, tools.Scratch, dir)
		if holdfast.KindOf(err) != holdfast.Unavailable {
			t.Errorf("%s: got %v", options.Format, err)
		}
	}
}

func TestAProcessThatIsKilledLeavesNoBackup(t *testing.T) {
	if dir := os.Getenv("BACKUP_CHILD_DIR"); dir != "" {
		folder, err := blob.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		from, err := backup.ParseDatabase(os.Getenv("BACKUP_CHILD_DATABASE"))
		if err != nil {
			t.Fatal(err)
		}
		stop := &watched{Location: folder, after: 1, do: func() error {
			fmt.Println("in the middle")
			select {}
		}}
		_, err = tools(t).Dump(t.Context(), backup.DumpRequest{Database: from, Destinations: []backup.Destination{{Name: "folder", Catalogue: backup.NewCatalogue(stop, "backups/shop")}},
			Backup: holdfast.Backup{Branch: "production", Options: holdfast.BackupOptions{Format: holdfast.PlainFormat}}})
		t.Fatal(err)
	}
	from := big(t, pgtest.Start(t))
	_, dir := destination(t, "folder")
	cmd := exec.Command(os.Args[0], "-test.run=^TestAProcessThatIsKilledLeavesNoBackup$")
	cmd.Env = append(os.Environ(), "BACKUP_CHILD_DIR="+dir, "BACKUP_CHILD_DATABASE="+from.AdminURL())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("in the middle"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "in the middle" {
		t.Fatalf("the child says %q, %v", said, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	folder, err := blob.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := backup.NewCatalogue(folder, "backups/shop")
	before, err := c.List(t.Context())
	if err != nil || len(before.Backups) != 1 || before.Backups[0].State != holdfast.BackupInProgress {
		t.Fatalf("got %+v, %v", before, err)
	}
	if settled, err := c.Settle(t.Context(), func(holdfast.Backup) bool { return true }); err != nil || len(settled) != 0 {
		t.Errorf("a living backup was settled: %v, %v", settled, err)
	}
	settled, err := c.Settle(t.Context(), func(holdfast.Backup) bool { return false })
	if err != nil || len(settled) != 1 {
		t.Fatalf("got %+v, %v", settled, err)
	}
	failedCleanly(t, settled[0], errors.New("it was killed"), "/nonexistent", dir)
}
