package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// liveSource puts a running server into backup mode. end must be called in any case; it ends backup mode when finish did not.
func liveSource(ctx context.Context, server *postgres.Server, fast bool) (src source, end func() error, err error) {
	conn, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return source{}, nil, err
	}
	// Backup mode ends with its session.
	leave := func() error { return conn.Close(context.WithoutCancel(ctx)) }
	defer func() {
		if err != nil {
			err = errors.Join(err, leave())
		}
	}()
	base := Base{Major: server.Installation().Major}
	var start, checksums, segmentSize, system string
	err = conn.QueryRow(ctx, `SELECT pg_backup_start('holdfast', fast => $1)::text, current_setting('data_checksums'),
		(SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), (SELECT system_identifier::text FROM pg_control_system()), clock_timestamp()`,
		fast).Scan(&start, &checksums, &segmentSize, &system, &base.Started)
	if err != nil {
		return source{}, nil, fmt.Errorf("begin a base backup: %w", postgres.Explain(err))
	}
	if _, err := fmt.Sscan(system+" "+segmentSize, &base.SystemID, &base.SegmentSize); err != nil {
		return source{}, nil, fmt.Errorf("begin a base backup: %w", err)
	}
	if base.StartLSN, err = holdfast.ParseLSN(start); err != nil {
		return source{}, nil, err
	}
	// After backup_start's checkpoint the control file names the timeline that the backup begins on.
	if err := conn.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&base.Timeline); err != nil {
		return source{}, nil, fmt.Errorf("begin a base backup: %w", err)
	}
	base.Checksums = checksums == "on"
	src = source{dir: server.DataDir(), live: true, checksums: base.Checksums, base: base}
	src.finish = func(ctx context.Context, base *Base) ([]manifestFile, error) {
		return stopBackup(ctx, conn, src.dir, base)
	}
	return src, leave, nil
}

func stopBackup(ctx context.Context, conn *pgx.Conn, dir string, base *Base) ([]manifestFile, error) {
	control, err := readControlFile(dir)
	if err != nil {
		return nil, err
	}
	var stop, label string
	var tablespaces *string
	err = conn.QueryRow(ctx, "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(wait_for_archive => false)").Scan(&stop, &label, &tablespaces)
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&base.Stopped)
	}
	if err != nil {
		return nil, fmt.Errorf("end a base backup: %w", postgres.Explain(err))
	}
	if tablespaces != nil && *tablespaces != "" {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "a tablespace outside the data directory was made during the backup"}
	}
	if base.StopLSN, err = holdfast.ParseLSN(stop); err != nil {
		return nil, err
	}
	base.Started, base.Stopped = base.Started.UTC(), base.Stopped.UTC()
	return []manifestFile{inline(labelFile, []byte(label)), inline(controlFile, control)}, nil
}

func inline(path string, content []byte) manifestFile {
	return manifestFile{Path: path, Size: int64(len(content)), Content: content}
}

// readControlFile reads the control file until it reads the same twice: the server may be writing it.
func readControlFile(dir string) ([]byte, error) {
	var before []byte
	for range 100 {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(controlFile)))
		if err != nil {
			return nil, fmt.Errorf("read the control file: %w", err)
		}
		if len(b) > 0 && bytes.Equal(b, before) {
			return b, nil
		}
		before = b
	}
	return nil, errors.New("the control file changes all the time")
}

// coldSource is the data directory of a server that was shut down cleanly and does not run while it is read.
func coldSource(ctx context.Context, server *postgres.Server) (source, error) {
	control, err := server.Control(ctx)
	if err != nil {
		return source{}, err
	}
	if !control.ShutDownCleanly() {
		return source{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the server was not shut down cleanly", Hint: "start it first: it recovers"}
	}
	end, err := localRecordEnd(server.DataDir(), control.Timeline, control.Checkpoint, control.SegmentSize)
	if err != nil {
		return source{}, err
	}
	t := now()
	base := Base{Timeline: control.Timeline, StartLSN: control.Checkpoint, StopLSN: end, Started: t, SystemID: control.SystemID,
		Major: server.Installation().Major, SegmentSize: control.SegmentSize, Checksums: control.Checksums}
	dir := server.DataDir()
	return source{dir: dir, checksums: control.Checksums, base: base, finish: func(ctx context.Context, base *Base) ([]manifestFile, error) {
		content, err := readControlFile(dir)
		if err != nil {
			return nil, err
		}
		after, err := server.Control(ctx)
		if err != nil {
			return nil, err
		}
		if after != control {
			return nil, &holdfast.Error{Kind: holdfast.Busy, Message: "the server was started while its files were read"}
		}
		base.Stopped = t // the state is that of the beginning: nothing runs
		return []manifestFile{inline(controlFile, content)}, nil
	}}, nil
}

// localRecordEnd finds, in a data directory's own WAL, where the record ends that begins at lsn.
func localRecordEnd(dataDir string, timeline uint32, lsn holdfast.LSN, segmentSize int64) (holdfast.LSN, error) {
	scan := newWALScan(postgres.SegmentAt(timeline, lsn, segmentSize).Start(), segmentSize)
	for segment := postgres.SegmentAt(timeline, lsn, segmentSize); ; segment = segment.Next() {
		content, err := os.ReadFile(filepath.Join(dataDir, "pg_wal", segment.Name()))
		if err != nil {
			return 0, fmt.Errorf("read the last WAL: %w", err)
		}
		for len(content) > 0 {
			n := min(len(content), walPageSize)
			if err := scan.feed(content[:n]); err != nil {
				return 0, err
			}
			if scan.lastEnd > lsn {
				return scan.lastEnd, nil
			}
			content = content[n:]
		}
		if scan.ended {
			return 0, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the WAL ends before %s", lsn)}
		}
	}
}
