package backup_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestRowsOfABackupAreShownPageByPage(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE "Odd ""one""" (id int, "a,b" text); INSERT INTO "Odd ""one""" SELECT n, CASE n WHEN 3 THEN NULL WHEN 4 THEN '' ELSE E'x\ty\n"' || n END FROM generate_series(1, 5) n;
		CREATE TABLE other AS SELECT 1 AS n`)
	for _, options := range []holdfast.BackupOptions{{Format: holdfast.PlainFormat}, {Format: holdfast.CustomFormat}, {Format: holdfast.DirectoryFormat}, {Format: holdfast.JSONFormat}, {Format: holdfast.CSVFormat}} {
		d, dir := destination(t, "folder")
		b := dump(t, from, options, d)
		file := filepath.Join(dir, "backups/shop", b.Name, b.Object)
		page, err := tools(t).Preview(t.Context(), file, `"Odd ""one"""`, 1, 3)
		if err != nil {
			t.Fatalf("%s: %v", options.Format, err)
		}
		var got []string
		for _, row := range page.Rows {
			text := "NULL"
			if row[1] != nil {
				text = "<" + *row[1] + ">"
			}
			got = append(got, *row[0]+text)
		}
		if want := "2<x\ty\n\"2>|3NULL|4<>"; strings.Join(got, "|") != want || strings.Join(page.Columns, "|") != "id|a,b" || page.Schema != "public" {
			t.Errorf("%s: got %q of %+v", options.Format, got, page)
		}
		if page, err = tools(t).Preview(t.Context(), file, `public.other`, 7, 3); err != nil || len(page.Rows) != 0 {
			t.Errorf("%s: beyond the end: %+v, %v", options.Format, page, err)
		}
		if _, err = tools(t).Preview(t.Context(), file, "missing", 0, 3); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("%s: a missing table gave %v", options.Format, err)
		}
	}
}
