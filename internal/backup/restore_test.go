package backup_test

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// untouched fails the test when the database holds anything.
func untouched(t *testing.T, db *pgtest.Database) {
	t.Helper()
	if got := list(t, db, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace`); len(got) != 0 {
		t.Errorf("the database was touched: it holds %q", got)
	}
}

func TestATruncatedFileIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	server := pgtest.Start(t)
	from, to := everything(t, server), server.Database(t)
	for _, options := range []holdfast.BackupOptions{{Format: holdfast.PlainFormat, Compression: "none"}, {Format: holdfast.PlainFormat}, {Format: holdfast.CustomFormat},
		{Format: holdfast.CustomFormat, Compression: "none"}, {Format: holdfast.DirectoryFormat}, {Format: holdfast.JSONFormat}, {Format: holdfast.JSONFormat, Compression: "zstd"}, {Format: holdfast.CSVFormat}} {
		d, dir := destination(t, "folder")
		b := dump(t, from, options, d)
		whole, err := os.ReadFile(filepath.Join(dir, "backups/shop", b.Name, b.Object))
		if err != nil {
			t.Fatal(err)
		}
		size := len(whole)
		if options.Format == holdfast.DirectoryFormat {
			size -= 2 << 10 // a tar ends with two empty blocks and is padded; without them it is whole
		}
		for _, n := range []int{0, 1, 5, 100, size / 10, size / 2, size * 9 / 10, size - 120} {
			path := filepath.Join(t.TempDir(), "cut")
			if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := tools(t).Restore(t.Context(), backup.RestoreRequest{Target: database(to), Path: path})
			if k := holdfast.KindOf(err); k != holdfast.Corrupt && k != holdfast.Invalid {
				t.Errorf("%s %s cut after %d of %d bytes: %v", options.Format, options.Compression, n, len(whole), err)
			}
			untouched(t, to)
		}
	}
}

func TestADamagedBackupIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	for _, options := range []holdfast.BackupOptions{{Format: holdfast.PlainFormat, Compression: "none"}, {Format: holdfast.CustomFormat, Compression: "none"}, {Format: holdfast.DirectoryFormat}, {Format: holdfast.JSONFormat}, {Format: holdfast.CSVFormat}} {
		d, dir := destination(t, "folder")
		b := dump(t, from, options, d)
		path := filepath.Join(dir, "backups/shop", b.Name, b.Object)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.Catalogue.Verify(t.Context(), b); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s is verified: %v", options.Format, err)
		}
		tools := tools(t)
		if _, _, err := tools.Fetch(t.Context(), d.Catalogue, b, nil); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s is fetched: %v", options.Format, err)
		}
		if left := files(t, tools.Scratch); len(left) != 0 {
			t.Errorf("left in the scratch folder: %q", left)
		}
	}
}

func TestABackupCannotBeReadWithAnotherKey(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	folder, err := blob.CreateFolder(filepath.Join(t.TempDir(), "folder"))
	if err != nil {
		t.Fatal(err)
	}
	catalogue := func() *backup.Catalogue {
		recipient, identity, err := blob.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := blob.ParseKeys(recipient, identity)
		if err != nil {
			t.Fatal(err)
		}
		return backup.NewCatalogue(blob.NewEncrypted(folder, keys), "backups")
	}
	right, wrong := catalogue(), catalogue()
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, backup.Destination{Name: "sealed", Catalogue: right})
	if err := right.Verify(t.Context(), b); err != nil {
		t.Error(err)
	}
	if _, err := wrong.Get(t.Context(), b.Name); err == nil {
		t.Error("the manifest was read with another key")
	}
	if _, _, err := tools(t).Fetch(t.Context(), wrong, b, nil); err == nil {
		t.Error("the bytes were read with another key")
	}
}

func TestARestoreThatIsInterruptedSaysSo(t *testing.T) {
	server := pgtest.Start(t)
	from := big(t, server)
	production := server.Database(t)
	run(t, production, `CREATE TABLE big (id integer PRIMARY KEY, v text); INSERT INTO big VALUES (1, 'production')`)
	before := checksums(t, production)
	for _, options := range streamed {
		d, _ := destination(t, "folder")
		b := dump(t, from, options, d)
		tools := tools(t)
		file, release, err := tools.Fetch(t.Context(), d.Catalogue, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, dataOnly := range []bool{false, true} {
			to := server.Database(t)
			if dataOnly {
				run(t, to, `CREATE TABLE big (id integer PRIMARY KEY, v text)`)
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, err = tools.Restore(ctx, backup.RestoreRequest{Target: database(to), Path: file, DataOnly: dataOnly, Progress: func(step string, _, _ int64, _ string) {
				if step == `restoring "public"."big"` {
					cancel()
				}
			}})
			cancel()
			if holdfast.KindOf(err) != holdfast.Canceled {
				t.Errorf("%s: got %v", options.Format, err)
			}
			if n := pgtest.Value[int64](t, to.Connect(t), `SELECT count(*) FROM big`); n != 0 {
				t.Errorf("%s: %d rows of an interrupted restore are there", options.Format, n)
			}
		}
		if err := release(); err != nil {
			t.Error(err)
		}
		if left := files(t, tools.Scratch); len(left) != 0 {
			t.Errorf("left in the scratch folder: %q", left)
		}
	}
	if after := checksums(t, production); after[0] != before[0] {
		t.Error("production was changed")
	}
}

func TestAPgRestoreThatIsKilledIsAFailure(t *testing.T) {
	server := pgtest.Start(t)
	from, to := big(t, server), server.Database(t)
	d, _ := destination(t, "folder")
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	var once sync.Once
	_, err := restore(t, d, b, backup.RestoreRequest{Target: database(to), Jobs: 2, Progress: func(step string, _, _ int64, _ string) {
		if step == "restoring with pg_restore" {
			once.Do(func() {
				go func() { _ = syscall.Kill(child(t, "pg_restore"), syscall.SIGKILL) }()
			})
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const end = "\n--\n-- PostgreSQL database dump complete\n--\n\n"

// Settings that came (transaction_timeout) and went (default_with_oids), a schema named by the search path, the schema public and the
// language plpgsql made anew, owners and rights of roles that are not here: what dumps of other versions hold.
func TestDumpsOfOtherVersionsAreRestored(t *testing.T) {
	to := pgtest.Start(t).Database(t)
	path := script(t, `--
-- PostgreSQL database dump
--

-- Dumped from database version 9.2.24
-- Dumped by pg_dump version 9.2.24

SET statement_timeout = 0;
SET setting_of_tomorrow = 0;
SET client_encoding = 'LATIN1';
SET standard_conforming_strings = on;
CREATE SCHEMA public;
ALTER SCHEMA public OWNER TO somebody_else;
CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;
COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';
SET search_path = public, pg_catalog;
SET default_with_oids = false;
CREATE TABLE t (a integer, b text);
ALTER TABLE public.t OWNER TO somebody_else;
COPY t (a, b) FROM stdin;
1	`+"caf\xe9"+`
\.
REVOKE ALL ON TABLE t FROM PUBLIC;
GRANT ALL ON TABLE t TO somebody_else;
`+end)
	tools := tools(t)
	in, err := tools.Inspect(t.Context(), path)
	if err != nil || in.Major != 9 || len(in.Tables) != 1 || in.Tables[0] != (holdfast.TableRecords{Schema: "public", Name: "t", Records: 1}) {
		t.Errorf("inspected as %+v, %v", in, err)
	}
	result, err := tools.Restore(t.Context(), backup.RestoreRequest{Target: database(to), Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[string](t, to.Connect(t), `SELECT b FROM t`); got != "café" {
		t.Errorf("got %q", got)
	}
	notes := strings.Join(result.Notes, "\n")
	for _, want := range []string{"setting_of_tomorrow", "default_with_oids", "schema public"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not speak of %s: %s", want, notes)
		}
	}
}

func TestAFailureNamesTheLineAndTheStatement(t *testing.T) {
	to := pgtest.Start(t).Database(t)
	_, err := tools(t).Restore(t.Context(), backup.RestoreRequest{Target: database(to), Path: script(t, "SELECT 1;\nCREATE TABLE t (a nonsense);"+end)})
	if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "CREATE TABLE t (a nonsense)") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoDumpIsRefused(t *testing.T) {
	tarFile := filepath.Join(t.TempDir(), "other.tar")
	f, err := os.Create(tarFile)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, name := range []string{"1.dat", "../../etc/passwd"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	picture, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
	if err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{
		"nothing": script(t, ""), "a text": script(t, "Dear user,\nhello"), "a picture": script(t, string(picture)), "other JSON": script(t, `{"a": 1, "tables": []}`),
		"a shell": script(t, `\! touch /tmp/pwned`+end), "a tar that leaves its folder": tarFile, "a cluster": script(t, "SELECT 1;\n\\connect other\n"+end),
		"SQL of our own": script(t, "CREATE TABLE t (a integer);\n"),
	} {
		if _, err := tools(t).Inspect(t.Context(), path); holdfast.KindOf(err) != holdfast.Invalid && holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// Dumps that PostgreSQL's own programs made, as users bring them.
func TestForeignDumpsAreAdopted(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	pgDump := filepath.Join(server.Installation().BinDir, "pg_dump")
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		args   []string
		packed bool
		format holdfast.BackupFormat
	}{
		{"plain.sql", []string{"-Fp"}, false, holdfast.PlainFormat}, {"packed.sql.gz", []string{"-Fp"}, true, holdfast.PlainFormat}, {"inserts.sql", []string{"-Fp", "--column-inserts"}, false, holdfast.PlainFormat},
		{"custom.dump", []string{"-Fc"}, false, holdfast.CustomFormat}, {"tar.tar", []string{"-Ft"}, false, holdfast.DirectoryFormat}, {"directory", []string{"-Fd"}, false, holdfast.DirectoryFormat}, {"tar", []string{"-Ft"}, true, holdfast.DirectoryFormat}, // its name does not say how it is packed
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, c.name)
			cmd := exec.Command(pgDump, append(c.args, "--file="+path)...)
			cmd.Env = append(os.Environ(), from.Server.ClientEnvironment(from.Name)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if c.packed {
				packFile(t, path)
			}
			d, _ := destination(t, "folder")
			b, err := tools(t).Adopt(t.Context(), path, request(from, holdfast.BackupOptions{}, d))
			if err != nil {
				t.Fatal(err)
			}
			if b.State != holdfast.BackupCompleted || b.Options.Format != c.format || b.Major != server.Installation().Major || !strings.HasPrefix(b.Tool, "pg_dump") {
				t.Errorf("adopted as %+v", b)
			}
			to := server.Database(t)
			if _, err := restore(t, d, b, backup.RestoreRequest{Target: database(to)}); err != nil {
				t.Fatal(err)
			}
			sameDatabase(t, from, to)
		})
	}
}

func packFile(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSomeTablesAreRestored(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	want := map[string]holdfast.TableRecords{}
	for _, r := range checksums(t, from) {
		want[r.Name] = r
	}
	for _, options := range []holdfast.BackupOptions{{Format: holdfast.PlainFormat}, {Format: holdfast.CustomFormat}, {Format: holdfast.JSONFormat}, {Format: holdfast.CSVFormat}} {
		d, _ := destination(t, "folder")
		b := dump(t, from, options, d)
		to := server.Database(t)
		result, err := restore(t, d, b, backup.RestoreRequest{Target: database(to), Tables: []string{"every_type", `"Odd Schema".*`, "employee"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range checksums(t, to) {
			switch r.Name {
			case "every_type", `Tab"le; --`, "employee":
				if r != want[r.Name] {
					t.Errorf("%s: %s is %+v, want %+v", options.Format, r.Name, r, want[r.Name])
				}
			default:
				if r.Records != 0 {
					t.Errorf("%s: %s has %d rows", options.Format, r.Name, r.Records)
				}
			}
		}
		if !strings.Contains(strings.Join(result.Notes, "\n"), "foreign key") {
			t.Errorf("%s: nothing says that a foreign key was left out: %q", options.Format, result.Notes)
		}
		if _, err := restore(t, d, b, backup.RestoreRequest{Target: database(server.Database(t)), Tables: []string{"nonsense"}}); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("an unknown table gave %v", err)
		}
	}
}

func TestTheCallerCanMakeTheExtensions(t *testing.T) {
	server := pgtest.Start(t)
	from, to := everything(t, server), server.Database(t)
	d, _ := destination(t, "folder")
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	var made []string
	conn := to.Connect(t)
	_, err := restore(t, d, b, backup.RestoreRequest{Target: database(to), Jobs: 4, Extension: func(ctx context.Context, name, schema string) error {
		made = append(made, name+" in "+schema)
		_, err := conn.Exec(ctx, "CREATE EXTENSION "+holdfast.QuoteIdentifier(name)+" SCHEMA "+holdfast.QuoteIdentifier(schema))
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(made, ", "); got != "citext in public, hstore in public" {
		t.Errorf("made %s", got)
	}
	sameDatabase(t, from, to)
}

func TestAPolicyThatHidesRowsIsAnErrorAndNeverALoss(t *testing.T) {
	server := pgtest.Start(t)
	from := server.Database(t)
	run(t, from, `CREATE TABLE secret (id integer); INSERT INTO secret VALUES (1), (2); ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON secret USING (id = 1); GRANT SELECT ON secret TO `+pgtest.Owner)
	owner, err := backup.ParseDatabase(from.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, options := range streamed {
		d, dir := destination(t, "folder")
		req := request(from, options, d)
		req.Database = owner
		b, err := tools(t).Dump(t.Context(), req)
		failedCleanly(t, b, err, "/nonexistent", dir)
		if holdfast.KindOf(err) != holdfast.NotAllowed || !strings.Contains(b.Failure, "row-level security") {
			t.Errorf("%s: got %v", options.Format, err)
		}
		if manifest, err := os.ReadFile(filepath.Join(dir, "backups/shop", b.Name, "backup.json")); err != nil || strings.Contains(string(manifest), pgtest.OwnerPassword) {
			t.Errorf("the manifest holds the password, or %v", err)
		}
	}
}
