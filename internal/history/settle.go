package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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
	if err := a.lockSession(ctx); err != nil {
		return err
	}
	defer a.session.Unlock()
	have, ok := s.end(control.Timeline)
	if !ok {
		if have, ok, err = a.join(s, server.DataDir(), control.Timeline); !ok {
			return err
		}
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

// lockSession waits until no session with the server is left: one writes into the spool, and ends when the server does.
func (a *Archive) lockSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpAtMost)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !a.session.TryLock() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the WAL stream of a server that has stopped does not end"}
		}
	}
	return nil
}

// join finds where a timeline of which nothing was streamed continues what the archive has: the server stopped before its first session. It is
// false for a lineage of which nothing has arrived at all, of which nothing can be restored either.
func (a *Archive) join(s *spool, dataDir string, timeline uint32) (holdfast.LSN, bool, error) {
	s.mu.Lock()
	untouched := s.untouched()
	s.mu.Unlock()
	if untouched {
		return 0, false, nil
	}
	missing := &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the history has nothing of the server's timeline %d yet", timeline), Hint: "wake the branch and try again"}
	own, err := ownTimeline(dataDir, timeline)
	if err != nil || own.Timeline == 0 {
		return 0, false, errors.Join(err, missing)
	}
	way, err := own.forks()
	if err != nil {
		return 0, false, err
	}
	parent := way[len(way)-2]
	end, ok := s.end(parent.timeline)
	if !ok || end < parent.end {
		return 0, false, missing
	}
	if local, err := localWALEnd(dataDir, postgres.SegmentAt(timeline, parent.end, s.state.Lineage.SegmentSize)); err != nil || local < parent.end {
		return 0, false, errors.Join(err, missing)
	}
	return parent.end, true, a.rememberTimelines(s, own)
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
