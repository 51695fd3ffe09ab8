package backup

import (
	"context"
	"io"

	"github.com/holdfast/holdfast"
)

// DumpJSONTo writes a database as JSON, without a catalogue.
func DumpJSONTo(ctx context.Context, tools Tools, db Database, options holdfast.BackupOptions, w io.Writer) ([]holdfast.TableRecords, error) {
	s, err := openSnapshot(ctx, db, options.Tables, 0)
	if err != nil {
		return nil, err
	}
	defer s.close()
	b := holdfast.Backup{Options: options, SnapshotAt: s.at, Database: db.Name, ServerVersion: s.server.Version}
	counts, _, err := s.dumpJSON(ctx, tools, b, w, nil)
	return counts, err
}

// ProgramFor finds a program as the room does.
func ProgramFor(ctx context.Context, tools Tools, name string, major int) (string, error) {
	return tools.program(ctx, name, major)
}
