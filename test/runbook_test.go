package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/servetest"
)

// runbook is a page of docs/runbooks that is executed block by block, as it stands there, in the place of the machine that it speaks of.
type runbook struct {
	s       *server
	blocks  []string // not executed yet
	replace []string // what stands in the page, and what it is here; in pairs
	bin     string   // before everything else in PATH
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// openRunbook reads a page. The test fails if it executes less than all of it.
func openRunbook(t *testing.T, s *server, name string, replace ...string) *runbook {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "docs", "runbooks", name))
	if err != nil {
		t.Fatal(err)
	}
	b := &runbook{s: s, bin: place(t), replace: replace}
	for _, found := range shellBlock.FindAllStringSubmatch(string(raw), -1) {
		b.blocks = append(b.blocks, found[1])
	}
	for i := 0; i < len(replace); i += 2 {
		if !slices.ContainsFunc(b.blocks, func(block string) bool { return strings.Contains(block, replace[i]) }) {
			t.Fatalf("%s does not speak of %q any more", name, replace[i])
		}
	}
	// sudo is for who is not root; what is to be done as the databases' account is done as that, if it is another one.
	const sudo = `#!/bin/sh
if [ "$1" = -u ]; then
	user=$2; shift 2
	[ "$(id -u)" = 0 ] && exec runuser -u "$user" -- "$@"
fi
exec "$@"
`
	if err := os.WriteFile(filepath.Join(b.bin, "sudo"), []byte(sudo), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(b.bin, "holdfast")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if len(b.blocks) > 0 && !t.Failed() {
			t.Errorf("%s has %d blocks that were not executed", name, len(b.blocks))
		}
	})
	return b
}

// next executes so many further blocks and returns what they printed. The service manager's part is the test's.
func (b *runbook) next(t *testing.T, n int, more ...string) string {
	t.Helper()
	var said string
	for _, block := range b.blocks[:n] {
		text := strings.NewReplacer(slices.Concat(more, b.replace)...).Replace(block)
		var script []string
		run := func() {
			if len(script) > 0 {
				user := b.s.user("", "PATH="+b.bin+":"+os.Getenv("PATH"))
				said += user.must(t, "bash", "-euc", strings.Join(script, "\n"))
			}
			script = nil
		}
		for line := range strings.Lines(text) {
			switch strings.TrimSpace(line) {
			case "sudo systemctl stop holdfast":
				run()
				if !b.s.process.Gone() {
					b.s.signal(t, syscall.SIGTERM)
				}
			case "sudo systemctl start holdfast":
				run()
				b.s.start(t)
			default:
				script = append(script, strings.TrimSuffix(line, "\n"))
			}
		}
		run()
	}
	b.blocks = b.blocks[n:]
	return said
}

// waitUntilGone waits until a removed project is purged, and its name is free.
func waitUntilGone(t *testing.T, s *server, project string) {
	t.Helper()
	servetest.Until(t, "the purge of "+project, func() bool {
		trail, err := s.Audit(t.Context(), 0, 200)
		return err == nil && slices.ContainsFunc(trail, func(e api.AuditEntry) bool { return e.Action == "project.purge" && e.Subject == project })
	})
}

func wantRows(t *testing.T, s *server, ref holdfast.BranchRef, table string, want int) {
	t.Helper()
	if n := value[int](t, s.connect(t, ref), "SELECT count(*)::int FROM "+table); n != want {
		t.Errorf("%s of %s has %d rows, want %d", table, ref, n, want)
	}
}

func TestRunbookOfADeletedDatabase(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 0)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE orders AS SELECT generate_series(1, 10) AS id")
	before := s.connection(t, production)
	s.must(t, "project", "delete", production.Project, "--yes")
	book := openRunbook(t, s, "database-deleted.md", "shop", production.Project)
	if out := book.next(t, 1); !strings.Contains(out, production.Project) {
		t.Errorf("what can be brought back:\n%s", out)
	}
	book.next(t, 1)
	wantRows(t, s, production, "orders", 10)
	if s.connection(t, production) != before {
		t.Error("the address or the password has changed")
	}
}

// What is there after seven days is what is there after a removal with --now: the portable backups.
func TestRunbookOfADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	s, _, production := sharedProject(t, 0)
	execute(t, s.connect(t, production), "CREATE TABLE orders AS SELECT generate_series(1, 10) AS id")
	s.must(t, "project", "delete", production.Project, "--now", "--confirm", production.Project)
	waitUntilGone(t, s, production.Project)
	all, err := s.Backups(t.Context(), "", "")
	i := slices.IndexFunc(all, func(b api.Backup) bool { return b.Project == production.Project && b.Branch == production.Branch })
	if err != nil || i < 0 {
		t.Fatalf("no backup is left: %v, %v", all, err)
	}
	book := openRunbook(t, s, "database-deleted-for-good.md", "shop", production.Project, "backup_prod_20261120_140311", all[i].ID)
	if out := book.next(t, 1); !strings.Contains(out, all[i].Name) {
		t.Errorf("the list of backups:\n%s", out)
	}
	book.next(t, 1)
	wantRows(t, s, production, "orders", 10)
	if out := book.next(t, 1); !strings.Contains(out, s.connection(t, production).Password) {
		t.Error("the new password is not shown")
	}
}

func TestRunbookOfDataThatAreWrongOrDamaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, production := s.project(t, api.NewProject{Name: "shop"})
	s.withBase(t, production)
	conn := s.connect(t, production)
	execute(t, conn, "CREATE TABLE orders AS SELECT n AS id, repeat('x', 500) AS note FROM generate_series(1, 500) n; ALTER TABLE orders ADD PRIMARY KEY (id)")
	book := openRunbook(t, s, "data-corrupted.md")
	moment := now(t, conn)
	execute(t, conn, "DELETE FROM orders WHERE id > 10")
	if out := book.next(t, 1, "10 minutes ago", moment); !strings.Contains(out, "500") {
		t.Errorf("then:\n%s", out)
	}
	book.next(t, 1, "10 minutes ago", moment)
	wantRows(t, s, production, "orders", 500)
	moment = now(t, conn)
	execute(t, conn, "DROP TABLE orders")
	book.next(t, 1, "10 minutes ago", moment)
	wantRows(t, s, production, "orders", 500)

	conn = s.connect(t, production)
	execute(t, conn, "INSERT INTO orders SELECT n, repeat('y', 500) FROM generate_series(501, 1000) n")
	moment = now(t, conn)
	file := filepath.Join(s.branchDir(t, production), "data", value[string](t, conn, "SELECT pg_relation_filepath('orders')"))
	_ = conn.Close(t.Context())
	s.sleep(t, production)
	damagePages(t, file)
	if o := s.holdfast(t, "sql", production.String(), "SELECT sum(length(note)) FROM orders"); o.code == 0 || !strings.Contains(o.err, "invalid page") {
		t.Fatalf("the damage is not noticed: %+v", o)
	}
	book.next(t, 1, "1 minute ago", moment)
	wantRows(t, s, production, "orders", 1000)
	if out := book.next(t, 1); !strings.Contains(out, "after_the_damage") {
		t.Errorf("the proof:\n%s", out)
	}
}

// damagePages overwrites the middle of the pages of a table's file.
func damagePages(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(2); page < 10; page++ {
		if _, err := f.WriteAt([]byte("this is not what was written here"), page*8192+4000); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRunbookOfALostMachine(t *testing.T) {
	t.Parallel()
	dir := place(t)
	s := newServer(t, dir, nil)
	s.start(t)
	repository, keys := filepath.Join(dir, "offsite"), filepath.Join(dir, "keys.txt")
	if err := os.Mkdir(repository, 0o700); err != nil {
		t.Fatal(err)
	}
	_, production := s.project(t, api.NewProject{Name: "shop"})
	s.must(t, "location", "add", "shop", "offsite", "--folder", repository, "--encrypt")
	if err := os.WriteFile(keys, []byte(s.must(t, "location", "keys", "shop")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.fill(t, production, "--from", repository, "--key", keys)
	url := s.connection(t, production).URL
	s.process.Kill()
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
	book := openRunbook(t, s, "machine-lost.md", "/mnt/backup/holdfast", repository, "keys.txt", keys, "/srv/holdfast", s.data)
	if out := book.next(t, 1); !strings.Contains(out, "shop/production") {
		t.Errorf("the location has:\n%s", out)
	}
	book.next(t, 2)
	wantOrders(t, s, url)
	book.next(t, 1)
	wantRows(t, s, production, "orders", 10)
}

// wantOrders looks for the ten orders with a password from before.
func wantOrders(t *testing.T, s *server, url string) {
	t.Helper()
	if got := s.user("").must(t, "psql", url, "-XAtc", "SELECT count(*) FROM orders"); got != "10\n" {
		t.Errorf("with the old password there are %s rows", got)
	}
}

// fill makes ten rows and waits until the repository has them: what is shown of a repository goes up to the last commit in it.
func (s *server) fill(t *testing.T, ref holdfast.BranchRef, from ...string) {
	t.Helper()
	s.withBase(t, ref)
	conn := s.connect(t, ref)
	execute(t, conn, "CREATE TABLE orders AS SELECT generate_series(1, 10) AS id")
	made := value[time.Time](t, conn, "SELECT clock_timestamp()")
	execute(t, conn, "CREATE TABLE later ()")
	_ = conn.Close(t.Context())
	s.sleep(t, ref)
	servetest.Until(t, "the rows to reach the repository", func() bool {
		return slices.ContainsFunc(list(t, s.user(""), from...), func(r recoverable) bool {
			return r.Branch == ref.Branch && len(r.Problems) == 0 && !r.Latest.Before(made)
		})
	})
}

// The server was killed, the databases run on, and the metadata are gone. A start does not take that for a new installation.
func TestRunbookOfLostMetadata(t *testing.T) {
	t.Parallel()
	s := start(t)
	development, production := s.project(t, api.NewProject{Name: "shop"})
	s.fill(t, production, "--from", filepath.Join(s.data, "repository"))
	url := s.connection(t, production).URL
	s.must(t, "wake", production.String())
	s.must(t, "wake", development.String())
	s.signal(t, syscall.SIGKILL)
	for _, name := range []string{"holdfast.db", "holdfast.db-wal", "holdfast.db-shm"} {
		if err := os.RemoveAll(filepath.Join(s.data, name)); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, s, 6, "holdfast.db is missing")
	book := openRunbook(t, s, "metadata-lost.md", "/srv/holdfast", s.data)
	book.next(t, 3)
	wantOrders(t, s, url)
}

// Nothing can read the location nor the metadata: what is left are the databases of the machine.
func TestRunbookOfALostKey(t *testing.T) {
	t.Parallel()
	dir := place(t)
	s := newServer(t, dir, nil)
	s.start(t)
	repository, rescue := filepath.Join(dir, "offsite"), filepath.Join(dir, "var")
	for _, made := range []string{repository, repository + "-new", rescue} {
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(rescue, 0o1777); err != nil { // as /var/tmp
		t.Fatal(err)
	}
	development, production := s.project(t, api.NewProject{Name: "shop", SampleRows: 10})
	s.must(t, "location", "add", "shop", "offsite", "--folder", repository, "--encrypt")
	execute(t, s.connect(t, production), "CREATE TABLE orders AS SELECT generate_series(1, 10) AS id")
	s.signal(t, syscall.SIGTERM)
	if err := os.Remove(filepath.Join(s.data, "secret.key")); err != nil {
		t.Fatal(err)
	}
	refused(t, s, 6, "secret.key is missing")
	book := openRunbook(t, s, "key-lost.md", "/srv/holdfast", s.data, "/var/tmp", rescue, "/usr/lib/postgresql/16/bin", pgtest.Installation(t).BinDir, "/mnt/backup/holdfast", repository)
	book.next(t, 3)
	wantRows(t, s, production, "orders", 10)
	wantRows(t, s, development, "messages", 10)
	if out := book.next(t, 1); !strings.Contains(out, "AGE-SECRET-KEY-") {
		t.Error("the new key is not shown")
	}
}

func TestRunbookOfAFullDisk(t *testing.T) {
	t.Parallel()
	dir := place(t)
	disk := filepath.Join(dir, "srv")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, disk, 0, "mode=0755,size=450m")
	s := newServer(t, disk, nil)
	s.start(t)
	t.Cleanup(func() {
		if t.Failed() {
			used, err := exec.Command("du", "-xk", "-a", "--threshold=4M", disk).CombinedOutput()
			t.Logf("what takes the space: %v\n%s", err, used)
		}
	})
	_, production := s.project(t, api.NewProject{Name: "shop"})
	execute(t, s.connect(t, production), "CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 30) AS note FROM generate_series(1, 10) n")
	s.must(t, "branch", "create", "shop/try", "--from", production.String())
	book := openRunbook(t, s, "disk-full.md", "/srv/holdfast", s.data, "/srv/reserve", filepath.Join(disk, "reserve"))
	book.next(t, 1)
	conn := s.connect(t, production)
	for n := 0; ; n++ {
		_, err := conn.Exec(t.Context(), "INSERT INTO orders SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 5000) n")
		if err != nil {
			t.Logf("after %d inserts: %v", n, err)
			break
		}
		if n > 200 {
			t.Fatal("the disk does not fill")
		}
	}
	book.next(t, 3)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=600m"); err != nil { // what the history could not store yet takes space now
		t.Fatal(err)
	}
	book.next(t, 1)
	if n := value[int](t, s.connect(t, production), "SELECT count(*)::int FROM orders WHERE id <= 10"); n < 10 {
		t.Errorf("%d of the first rows are there", n)
	}
}

func TestRunbookOfABadPublish(t *testing.T) {
	t.Parallel()
	s, development, production := sharedProject(t, 0)
	project := development.Project
	s.psql(t, development, "CREATE TABLE orders (id int PRIMARY KEY, total int)")
	s.must(t, "publish", project, "--yes")
	s.psql(t, production, "INSERT INTO orders SELECT n, n FROM generate_series(1, 10) n")
	s.psql(t, development, "ALTER TABLE orders DROP total")
	s.must(t, "publish", project, "--yes", "--allow", "lossy,breaking")
	bad := s.publish(t, project)
	if bad.Number != 2 || bad.Checkpoint == "" {
		t.Fatalf("the bad publish has the number %d and the checkpoint %q", bad.Number, bad.Checkpoint)
	}
	checkpoint := bad.Checkpoint
	s.psql(t, production, "INSERT INTO orders VALUES (11)")
	book := openRunbook(t, s, "bad-publish.md", "shop", project)
	if out := book.next(t, 1); !strings.Contains(out, "apply") {
		t.Errorf("what the publish did:\n%s", out)
	}
	book.next(t, 1)
	const rows = "SELECT count(*) || ' ' || sum(total) FROM orders"
	if got := s.psql(t, production, rows); got != "11 55" {
		t.Errorf("production has %s", got)
	}

	// The other way goes back to the moment before the publish, and leaves the eleventh row in the branch that it keeps.
	if out := book.next(t, 1, "20261120T140311123Z-1a2b3c4d", checkpoint); !strings.Contains(out, checkpoint) {
		t.Errorf("the publish does not name its checkpoint:\n%s", out)
	}
	if got := s.psql(t, production, rows); got != "10 55" {
		t.Errorf("production has %s", got)
	}
	s.must(t, "restore", "undo", production.String(), "--yes")
	if got := s.psql(t, production, rows); got != "11 55" {
		t.Errorf("what the restore kept has %s", got)
	}
}

// Every page in docs/runbooks is one that the index knows and a test executes.
func TestEveryRunbookIsExecuted(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "docs", "runbooks", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	read := func(path string) string {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	index, tests := read(filepath.Join("..", "docs", "runbooks", "README.md")), read("runbook_test.go")
	for _, page := range pages {
		name := filepath.Base(page)
		if name != "README.md" && (!strings.Contains(index, "("+name+")") || !strings.Contains(tests, fmt.Sprintf("openRunbook(t, s, %q", name))) {
			t.Errorf("%s is not in the index, or no test executes it", name)
		}
	}
}
