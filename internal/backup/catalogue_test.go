package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func names(t *testing.T, c *backup.Catalogue) []string {
	t.Helper()
	all, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range all.Backups {
		out = append(out, b.Name)
	}
	return out
}

func TestTheLastGoodBackupIsNotRemovedNorAPinnedOrHeldOne(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	d, dir := destination(t, "folder")
	only := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	if err := d.Catalogue.Remove(t.Context(), only.Name, false); holdfast.KindOf(err) != holdfast.Unsafe {
		t.Errorf("the last good backup: %v", err)
	}
	second := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	for _, change := range []func(*holdfast.Backup){func(b *holdfast.Backup) { b.Pinned = true }, func(b *holdfast.Backup) { b.HeldUntilProof = true }} {
		b, err := d.Catalogue.Change(t.Context(), only.Name, func(b *holdfast.Backup) { change(b); b.SHA256 = "nonsense" })
		if err != nil || b.SHA256 != only.SHA256 {
			t.Fatalf("changed to %+v, %v", b, err)
		}
		if err := d.Catalogue.Remove(t.Context(), only.Name, false); holdfast.KindOf(err) != holdfast.Unsafe {
			t.Errorf("a protected backup: %v", err)
		}
		if _, err := d.Catalogue.Change(t.Context(), only.Name, func(b *holdfast.Backup) { b.Pinned, b.HeldUntilProof = false, false }); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Catalogue.Remove(t.Context(), only.Name, false); err != nil {
		t.Error(err)
	}
	if err := d.Catalogue.Remove(t.Context(), second.Name, true); err != nil {
		t.Errorf("a person insists: %v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if err := d.Catalogue.Remove(t.Context(), second.Name, true); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("removed twice: %v", err)
	}
}

func TestRulesRemoveWhatTheyLetGoOfOneBranchOnly(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	d, _ := destination(t, "folder")
	make := func(branch string) string {
		req := request(from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
		req.Backup.Branch = branch
		b, err := tools(t).Dump(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return b.Name
	}
	old, other, newer := make("production"), make("development"), make("production")
	removed, err := d.Catalogue.Apply(t.Context(), holdfast.Retention{KeepLast: 1}, "production", time.Now().Add(time.Hour), time.UTC)
	if err != nil || !slices.Equal(removed, []string{old}) {
		t.Errorf("removed %q, %v", removed, err)
	}
	if got := names(t, d.Catalogue); !slices.Equal(got, []string{newer, other}) {
		t.Errorf("left: %q", got)
	}
}

func TestDamagedManifestsAndStraysAreTold(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	d, dir := destination(t, "folder")
	for what, damage := range map[string]func(path string) error{
		"no JSON": func(p string) error { return os.WriteFile(p, []byte("{"), 0o600) },
		"renamed": func(p string) error {
			return os.WriteFile(p, []byte(`{"version":1,"name":"other","state":"completed"}`), 0o600)
		},
		"without sum": nil,
		"stray":       os.Remove,
	} {
		b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
		manifest := filepath.Join(dir, "backups/shop", b.Name, "backup.json")
		if damage == nil {
			damage = func(p string) error {
				text, err := os.ReadFile(p)
				return errors.Join(err, os.WriteFile(p, []byte(strings.Replace(string(text), `"sha256"`, `"sha257"`, 1)), 0o600))
			}
		}
		if err := damage(manifest); err != nil {
			t.Fatal(err)
		}
		all, err := d.Catalogue.List(t.Context())
		if err != nil || len(all.Backups) != 0 || len(all.Damaged)+len(all.Strays) != 1 || (what == "stray") != (len(all.Strays) == 1) {
			t.Errorf("%s: got %+v, %v", what, all, err)
		}
		if what == "stray" {
			if _, err := d.Catalogue.Settle(t.Context(), func(holdfast.Backup) bool { return true }); err != nil {
				t.Error(err)
			}
		} else if err := d.Catalogue.Remove(t.Context(), b.Name, false); err != nil {
			t.Error(err)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Errorf("%s: left %q", what, left)
		}
	}
}

func TestABackupIsCopiedToAnotherPlace(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	first, dir := destination(t, "first")
	second, _ := destination(t, "second")
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, first)
	copied, err := backup.Replicate(t.Context(), first.Catalogue, b, second, nil)
	if err != nil || !copied.At("first") || !copied.At("second") || b.At("second") {
		t.Fatalf("got %+v, %v", copied.Copies, err)
	}
	if err := second.Catalogue.Verify(t.Context(), copied); err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, "backups/shop", b.Name, b.Object)
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, thirdDir := destination(t, "third")
	if _, err := backup.Replicate(t.Context(), first.Catalogue, b, third, nil); holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("a damaged backup was copied: %v", err)
	}
	if left := files(t, thirdDir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestAnAddressKeepsItsSecrets(t *testing.T) {
	db, err := backup.ParseDatabase("postgres://me:se%20cret%27@db.example.com:6543/shop?sslmode=require&options=endpoint%3Dep-1&channel_binding=prefer")
	if err != nil {
		t.Fatal(err)
	}
	if db.Name != "db.example.com:6543/shop" || db.Socket != "" {
		t.Errorf("got %+v", db)
	}
	for _, want := range []string{"PGHOST=db.example.com", "PGPORT=6543", "PGUSER=me", "PGPASSWORD=se cret'", "PGDATABASE=shop", "PGSSLMODE=require", "PGOPTIONS=endpoint=ep-1", "PGPASSFILE=/nonexistent"} {
		if !slices.Contains(db.Environment, want) {
			t.Errorf("%s is missing in %q", want, db.Environment)
		}
	}
	for _, bad := range []string{"", "http://x", "postgres://h", "postgres://u@h", "postgres://u:pa55word@h/d?sslkey=/etc/shadow", "postgres://u:pa55word@h/d?service=x", "postgres://u:pa55word@a,b/d", "postgres://u:pa55word@h:port/d",
		"postgres://u:pa55word@h/d?sslmode=sometimes", "postgres://u:pa55word@h/d?passfile=/x", "postgres://u:pa55word@h/\x7fd"} {
		if _, err := backup.ParseDatabase(bad); holdfast.KindOf(err) != holdfast.Invalid || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	gone, err := backup.ParseDatabase("postgres://me:pa55word@127.0.0.1:1/shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Connect(t.Context()); holdfast.KindOf(err) != holdfast.Unavailable || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("got %v", err)
	}
	db, err = backup.ParseDatabase(pgtest.Start(t).Database(t).URL())
	if err != nil || db.Socket == "" {
		t.Fatalf("got %+v, %v", db, err)
	}
	conn, err := db.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAServerNewerThanEveryPgDumpIsRefusedWithWhatToInstall(t *testing.T) {
	_, err := backup.ProgramFor(t.Context(), tools(t), "pg_dump", 99)
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(holdfast.HintOf(err), "postgresql-client-99") {
		t.Errorf("got %v, %q", err, holdfast.HintOf(err))
	}
}
