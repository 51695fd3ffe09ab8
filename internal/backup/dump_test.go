package backup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// destination is a new folder and the catalogue in it.
func destination(t *testing.T, name string) (backup.Destination, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	folder, err := blob.CreateFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return backup.Destination{Name: name, Catalogue: backup.NewCatalogue(folder, "backups/shop")}, dir
}

func request(db *pgtest.Database, options holdfast.BackupOptions, destinations ...backup.Destination) backup.DumpRequest {
	return backup.DumpRequest{Database: database(db), Destinations: destinations, Backup: holdfast.Backup{Project: "shop", Branch: "production", By: "somebody", Options: options}}
}

func dump(t *testing.T, db *pgtest.Database, options holdfast.BackupOptions, destinations ...backup.Destination) holdfast.Backup {
	t.Helper()
	b, err := tools(t).Dump(t.Context(), request(db, options, destinations...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restore fetches a backup and restores it into a new database.
func restore(t *testing.T, d backup.Destination, b holdfast.Backup, req backup.RestoreRequest) (backup.RestoreResult, error) {
	t.Helper()
	tools := tools(t)
	file, release, err := tools.Fetch(t.Context(), d.Catalogue, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	req.Path = file
	return tools.Restore(t.Context(), req)
}

func TestEveryFormatCarriesEverything(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	for _, options := range []holdfast.BackupOptions{
		{Format: holdfast.PlainFormat},
		{Format: holdfast.PlainFormat, Compression: "none"},
		{Format: holdfast.CustomFormat, Compression: "gzip:1"},
		{Format: holdfast.CustomFormat, Compression: "none"},
		{Format: holdfast.DirectoryFormat, Jobs: 2},
		{Format: holdfast.JSONFormat, Compression: "zstd"},
		{Format: holdfast.JSONFormat},
		{Format: holdfast.CSVFormat},
		{Format: holdfast.CSVFormat, Compression: "none"},
	} {
		t.Run(fmt.Sprintf("%s %s", options.Format, options.Compression), func(t *testing.T) {
			first, _ := destination(t, "first")
			second, _ := destination(t, "second")
			b := dump(t, from, options, first, second)
			if b.State != holdfast.BackupCompleted || len(b.Copies) != 2 || b.Records() == 0 || b.LargeObjects != 3 {
				t.Errorf("got %+v", b)
			}
			if d := cmp.Diff(counts(checksums(t, from)), b.Tables); d != "" {
				t.Errorf("the manifest's counts are wrong (-is +manifest):\n%s", d)
			}
			for _, d := range []backup.Destination{first, second} {
				all, err := d.Catalogue.List(t.Context())
				if err != nil || len(all.Backups) != 1 || len(all.Damaged)+len(all.Strays) != 0 {
					t.Fatalf("%s lists %+v, %v", d.Name, all, err)
				}
				if d := cmp.Diff(b, all.Backups[0], cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) })); d != "" {
					t.Errorf("the manifest reads otherwise:\n%s", d)
				}
			}
			for _, jobs := range []int{1, 3} {
				to := server.Database(t)
				result, err := restore(t, second, b, backup.RestoreRequest{Target: database(to), Jobs: jobs})
				if err != nil {
					t.Fatal(err)
				}
				for _, note := range result.Notes {
					t.Errorf("left out: %s", note)
				}
				if d := cmp.Diff(sorted(b.Tables), sorted(result.Inspection.Tables)); d != "" {
					t.Errorf("the inspection counts otherwise (-manifest +inspection):\n%s", d)
				}
				sameDatabase(t, from, to)
			}
		})
	}
}

func counts(tables []holdfast.TableRecords) []holdfast.TableRecords {
	out := slices.Clone(tables)
	for i := range out {
		out[i].Checksum = ""
	}
	return out
}

func sorted(tables []holdfast.TableRecords) []holdfast.TableRecords {
	out := slices.Clone(tables)
	slices.SortFunc(out, func(a, b holdfast.TableRecords) int {
		return slices.Compare([]string{a.Schema, a.Name}, []string{b.Schema, b.Name})
	})
	return out
}

// The files are those of PostgreSQL's own programs: a user who has left us can still use them.
func TestBackupsAreFilesThatOrdinaryProgramsKnow(t *testing.T) {
	server := pgtest.Start(t)
	from := server.Database(t)
	run(t, from, `CREATE TABLE t (a integer); INSERT INTO t SELECT generate_series(1, 10)`)
	for _, c := range []struct {
		options holdfast.BackupOptions
		name    string
		magic   string
	}{
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "none"}, "dump.sql", "--\n-- PostgreSQL database dump\n"},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat}, "dump.sql.gz", "\x1f\x8b"},
		{holdfast.BackupOptions{Format: holdfast.CustomFormat}, "dump.pgdump", "PGDMP"},
		{holdfast.BackupOptions{Format: holdfast.DirectoryFormat}, "dump.tar", "toc.dat"},
		{holdfast.BackupOptions{Format: holdfast.JSONFormat, Compression: "none"}, "dump.json", `{"holdfast_backup":1,`},
	} {
		d, dir := destination(t, "folder")
		b := dump(t, from, c.options, d)
		data, err := os.ReadFile(filepath.Join(dir, "backups/shop", b.Name, c.name))
		if err != nil {
			t.Error(err)
			continue
		}
		if int64(len(data)) != b.Size || len(data) < len(c.magic) || string(data[:len(c.magic)]) != c.magic {
			t.Errorf("%s begins with %q", c.name, data[:min(len(data), 40)])
		}
	}
}

func TestTwoBackupsOfOneSecondHaveTwoNames(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	d, _ := destination(t, "folder")
	names := map[string]bool{}
	for range 3 {
		names[dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d).Name] = true
	}
	if len(names) != 3 {
		t.Errorf("got %v", names)
	}
	req := request(from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, d)
	for req.Backup.Name = range names {
		break
	}
	if _, err := tools(t).Dump(t.Context(), req); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a name was used twice: %v", err)
	}
}

func TestTablesCanBeChosen(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	for _, format := range []holdfast.BackupFormat{holdfast.CustomFormat, holdfast.JSONFormat, holdfast.CSVFormat} {
		d, _ := destination(t, "folder")
		b := dump(t, from, holdfast.BackupOptions{Format: format, Tables: []string{"events", `"Odd Schema".*`, "with_serial"}}, d)
		var names []string
		for _, r := range b.Tables {
			names = append(names, r.Name)
		}
		if want := []string{`Tab"le; --`, "events_2025_a", "events_2025_rest", "events_default", "with_serial"}; !slices.Equal(names, want) {
			t.Errorf("%s holds %q, want %q", format, names, want)
		}
		to := server.Database(t)
		run(t, to, `CREATE SCHEMA "Odd Schema"`)
		run(t, to, `DROP SCHEMA "Odd Schema"`) // pg_dump leaves the schema of chosen tables to whoever restores
		_, err := restore(t, d, b, backup.RestoreRequest{Target: database(to)})
		if err == nil {
			t.Errorf("%s restored a table into a schema that nobody made", format)
		}
	}
	d, _ := destination(t, "folder")
	_, err := tools(t).Dump(t.Context(), request(from, holdfast.BackupOptions{Format: holdfast.JSONFormat, Tables: []string{"nonsense"}}, d))
	if holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("an unknown table gave %v", err)
	}
}

func TestSchemaAndDataApart(t *testing.T) {
	server := pgtest.Start(t)
	from := everything(t, server)
	for _, format := range []holdfast.BackupFormat{holdfast.PlainFormat, holdfast.CustomFormat, holdfast.JSONFormat, holdfast.CSVFormat} {
		t.Run(string(format), func(t *testing.T) {
			d, _ := destination(t, "folder")
			schema := dump(t, from, holdfast.BackupOptions{Format: format, SchemaOnly: true}, d)
			rows := dump(t, from, holdfast.BackupOptions{Format: format, DataOnly: true}, d)
			if schema.Records() != 0 || rows.Records() == 0 {
				t.Errorf("the schema has %d rows, the data %d", schema.Records(), rows.Records())
			}
			to := server.Database(t)
			if _, err := restore(t, d, rows, backup.RestoreRequest{Target: database(to)}); holdfast.KindOf(err) != holdfast.Invalid {
				t.Errorf("rows without a schema gave %v", err)
			}
			if _, err := restore(t, d, schema, backup.RestoreRequest{Target: database(to)}); err != nil {
				t.Fatal(err)
			}
			// A trigger changes rows as they come; that is the user's will and not ours to switch off.
			run(t, to, `ALTER TABLE stamped DISABLE TRIGGER USER`)
			if _, err := restore(t, d, rows, backup.RestoreRequest{Target: database(to), DataOnly: true}); err != nil {
				t.Fatal(err)
			}
			run(t, to, `ALTER TABLE stamped ENABLE TRIGGER USER`)
			if d := cmp.Diff(checksums(t, from), checksums(t, to)); d != "" {
				t.Errorf("rows differ:\n%s", d)
			}
			if d := cmp.Diff(sequencesOf(t, from), sequencesOf(t, to)); d != "" {
				t.Errorf("sequences differ:\n%s", d)
			}
			if _, err := restore(t, d, rows, backup.RestoreRequest{Target: database(to), DataOnly: true}); holdfast.KindOf(err) != holdfast.Conflict {
				t.Errorf("rows were put over rows: %v", err)
			}
			if _, err := restore(t, d, schema, backup.RestoreRequest{Target: database(to)}); holdfast.KindOf(err) != holdfast.Conflict {
				t.Errorf("restored over a database that is not empty: %v", err)
			}
		})
	}
}
