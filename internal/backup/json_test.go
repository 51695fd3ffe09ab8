package backup_test

import (
	"bytes"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestJSONCarriesEverything(t *testing.T) {
	server := pgtest.Start(t)
	from, to := everything(t, server), server.Database(t)
	path := writeFile(t, func(b *bytes.Buffer) error {
		_, err := backup.DumpJSONTo(t.Context(), tools(t), database(from), holdfast.BackupOptions{Format: holdfast.JSONFormat}, b)
		return err
	})
	result, err := tools(t).Restore(t.Context(), backup.RestoreRequest{Target: database(to), Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range result.Notes {
		t.Errorf("left out: %s", note)
	}
	sameDatabase(t, from, to)
}
