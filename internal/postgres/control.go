package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

// Control is what a data directory's control file says.
type Control struct {
	SystemID   uint64
	State      string // as pg_controldata says it: "shut down", "in production", "in archive recovery"
	Timeline   uint32 // of the latest checkpoint
	Checkpoint holdfast.LSN
	Redo       holdfast.LSN
	// MinRecovery is where recovery must at least arrive; zero when the server was not in recovery.
	MinRecovery holdfast.LSN
	SegmentSize int64
	Checksums   bool
}

// ShutDownCleanly says whether the next start needs no recovery.
func (c Control) ShutDownCleanly() bool {
	return c.State == "shut down" || c.State == "shut down in recovery"
}

// Control reads the control file with pg_controldata. On a running server it is a moment old.
func (s *Server) Control(ctx context.Context) (Control, error) {
	out, err := s.run(ctx, "pg_controldata", "-D", s.config.DataDir)
	if err != nil {
		return Control{}, fmt.Errorf("read the control file: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parseControl(string(out))
}

func parseControl(out string) (Control, error) {
	fields := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, found := strings.Cut(line, ":"); found {
			fields[name] = strings.TrimSpace(value)
		}
	}
	var errs []error
	number := func(name string, bits int) uint64 {
		n, err := strconv.ParseUint(fields[name], 10, bits)
		errs = append(errs, err)
		return n
	}
	lsn := func(name string) holdfast.LSN {
		l, err := holdfast.ParseLSN(fields[name])
		errs = append(errs, err)
		return l
	}
	c := Control{
		SystemID:    number("Database system identifier", 64),
		State:       fields["Database cluster state"],
		Timeline:    uint32(number("Latest checkpoint's TimeLineID", 32)),
		Checkpoint:  lsn("Latest checkpoint location"),
		Redo:        lsn("Latest checkpoint's REDO location"),
		MinRecovery: lsn("Minimum recovery ending location"),
		SegmentSize: int64(number("Bytes per WAL segment", 63)),
		Checksums:   number("Data page checksum version", 32) != 0,
	}
	if err := errors.Join(errs...); err != nil {
		return Control{}, fmt.Errorf("understand the control file: %w", err)
	}
	return c, nil
}
