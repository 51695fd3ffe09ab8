package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Settle takes the last WAL of a server that does not run from its own files, where the stream did not bring it: when this
// program was killed while the server ran on, or when the server was killed. It does nothing for a server that runs.
func (a *Archive) Settle(ctx context.Context, server *postgres.Server) error {
	running, err := server.Adopt()
	if err != nil || running {
		return err
	}
	m, err := a.markerOf(server)
	if err != nil || m.Branch != a.config.Branch {
		return err
	}
	control, err := server.Control(ctx)
	if err != nil {
		return err
	}
	s, err := a.spoolOf(ctx, m.Lineage)
	if err != nil || s == nil {
		return err
	}
	// The stream's goroutine writes into the spool while it has a session.
	if !a.session.TryLock() {
		return nil
	}
	defer a.session.Unlock()
	have, ok := s.end(control.Timeline)
	if !ok {
		return nil // a timeline that was never attached; its beginning is missing, so its end is of no use yet
	}
	end, err := localWALEnd(server.DataDir(), postgres.SegmentAt(control.Timeline, have, control.SegmentSize))
	if err != nil || have >= end {
		return err
	}
	if control.ShutDownCleanly() && end <= control.Checkpoint {
		a.alerts.event(GapFound, fmt.Sprintf("the server's files have WAL up to %s only, though it was shut down at %s", end, control.Checkpoint))
	}
	if err := a.copyWAL(s, server.DataDir(), postgres.SegmentAt(control.Timeline, have, control.SegmentSize), end); err != nil {
		return err
	}
	a.wakePacker()
	return nil
}

// localWALEnd follows a data directory's own WAL from a segment on and says where its last whole record ends, as PostgreSQL would
// find when it recovers.
func localWALEnd(dataDir string, segment postgres.Segment) (holdfast.LSN, error) {
	scan := newWALScan(segment.Start(), segment.Size)
	scan.verify = true
	for ; !scan.ended; segment = segment.Next() {
		content, err := os.ReadFile(filepath.Join(dataDir, "pg_wal", segment.Name()))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("read the server's WAL: %w", err)
		}
		if scan.feed(content) != nil { // a segment from before, kept for use again
			break
		}
	}
	return scan.lastEnd, nil
}

// copyWAL writes a data directory's segments into the spool, from the first one's beginning to end.
func (a *Archive) copyWAL(s *spool, dataDir string, segment postgres.Segment, end holdfast.LSN) error {
	if _, err := s.begin(segment.Timeline, segment.Start()); err != nil {
		return err
	}
	for ; segment.Start() < end; segment = segment.Next() {
		content, err := readUpTo(filepath.Join(dataDir, "pg_wal", segment.Name()), int64(end-segment.Start()))
		if err != nil {
			return fmt.Errorf("take the last WAL from the server's files: %w", err)
		}
		if err := s.write(segment.Start(), content); err != nil {
			return err
		}
	}
	if _, err := s.flush(); err != nil {
		return err
	}
	return s.close()
}

func readUpTo(path string, length int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, length))
	return content, errors.Join(err, file.Close())
}
