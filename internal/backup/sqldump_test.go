package backup_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// parts reads a backup in JSON: the rows of each table as COPY writes them, and the sequences.
func parts(t *testing.T, r io.Reader) (tables map[string]string, sequences []backup.JSONSequence) {
	t.Helper()
	j, err := backup.OpenJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	tables = map[string]string{}
	for {
		part, err := j.Next()
		if errors.Is(err, io.EOF) {
			return tables, sequences
		}
		if err != nil {
			t.Fatal(err)
		}
		switch p := part.(type) {
		case *backup.JSONRows:
			var rows bytes.Buffer
			if _, err := p.Copy(&rows); err != nil {
				t.Fatal(err)
			}
			tables[p.Schema+"."+p.Name] = rows.String()
		case backup.JSONSequence:
			sequences = append(sequences, p)
		}
	}
}

func TestRowsThroughDatabaseSQLAreThoseOfADump(t *testing.T) {
	from := everything(t, pgtest.Start(t))
	db, err := sql.Open("pgx", from.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var direct bytes.Buffer
	options := holdfast.BackupOptions{Format: holdfast.JSONFormat, DataOnly: true}
	if _, err := backup.DumpJSONTo(t.Context(), tools(t), database(from), options, &direct); err != nil {
		t.Fatal(err)
	}
	d, _ := destination(t, "here")
	b, err := backup.DumpRows(t.Context(), db, request(from, options, d))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := d.Catalogue.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := backup.Plain(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	wantTables, wantSequences := parts(t, &direct)
	gotTables, gotSequences := parts(t, plain)
	if len(wantTables) < 10 {
		t.Fatalf("only %d tables were compared", len(wantTables))
	}
	if diff := cmp.Diff(wantTables, gotTables); diff != "" {
		t.Errorf("rows (-dump +database/sql):\n%s", diff)
	}
	if diff := cmp.Diff(wantSequences, gotSequences); diff != "" {
		t.Errorf("sequences (-dump +database/sql):\n%s", diff)
	}
	counted, err := backup.CountRows(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Tables, counted); diff != "" {
		t.Errorf("counts (-backup +now):\n%s", diff)
	}
}
