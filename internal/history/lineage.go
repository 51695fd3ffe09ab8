package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// lineage is a data directory and what grew out of it: WAL that continues itself, with PostgreSQL's timelines where it was
// restored to an earlier point. A branch whose data is replaced by something else (a reset to its parent, say) begins a new
// lineage, because PostgreSQL itself would give the same names to different WAL.
type lineage struct {
	Version     int       `json:"version"`
	ID          string    `json:"lineage"`
	SystemID    uint64    `json:"system_id,string"`
	Major       int       `json:"major"`
	SegmentSize int64     `json:"wal_segment_size"`
	Began       time.Time `json:"began"`
}

// span says which lineage and timeline were the branch from a moment on.
type span struct {
	Version  int          `json:"version"`
	ID       string       `json:"id"`
	Lineage  string       `json:"lineage"`
	Timeline uint32       `json:"timeline"`
	From     holdfast.LSN `json:"from"`
	Began    time.Time    `json:"began"`
}

// marker lies in a data directory and says whose WAL it writes. It is never copied, so that a copy begins a lineage of its own.
type marker struct {
	Branch  holdfast.BranchID `json:"branch"`
	Lineage string            `json:"lineage"`
	// Since when this data is the branch: no client has written to it before, and none to what was the branch until then since. It comes into
	// the branch's place together with the data. Zero where the data was put there by other means.
	Since    time.Time    `json:"since,omitzero"`
	Timeline uint32       `json:"timeline,omitempty"` // that it had then
	From     holdfast.LSN `json:"from,omitzero"`      // and where it stood
}

func readMarker(dataDir string) (marker, error) {
	var m marker
	return m, readJSON(filepath.Join(dataDir, markerFile), &m)
}

func writeMarker(dataDir string, account postgres.Account, m marker) error {
	path := filepath.Join(dataDir, markerFile)
	return errors.Join(writeJSON(path, m), account.Own(path))
}

// elsewhereFile holds the marker of a server that does not run on this machine, in the archive's own folder.
const elsewhereFile = "elsewhere.json"

func (a *Archive) markerOf(server *postgres.Server) (marker, error) {
	if server.Elsewhere() {
		var m marker
		return m, readJSON(a.path(elsewhereFile), &m)
	}
	return readMarker(server.DataDir())
}

func (a *Archive) mark(server *postgres.Server, m marker) error {
	if server.Elsewhere() {
		return writeJSON(a.path(elsewhereFile), m)
	}
	return writeMarker(server.DataDir(), server.Account(), m)
}

func (a *Archive) unmark(server *postgres.Server) error {
	if server.Elsewhere() {
		return writeJSON(a.path(elsewhereFile), marker{})
	}
	return RemoveMarker(server.DataDir())
}

// RemoveMarker makes a data directory nobody's: the next server that is attached with it begins a lineage of its own. Whoever
// copies a data directory by other means than this package calls it on the copy.
func RemoveMarker(dataDir string) error {
	if err := os.Remove(filepath.Join(dataDir, markerFile)); gone(err) != nil {
		return fmt.Errorf("remove the lineage's marker: %w", err)
	}
	return nil
}

// tails is what this machine knows of where the archive of a lineage ends, per timeline. It is enough to go on streaming
// while no location can be reached.
type tails struct {
	Lineage lineage                    `json:"lineage"`
	Ends    map[uint32]holdfast.LSN    `json:"ends"`
	Carries map[uint32]*walCarry       `json:"carries"`
	Known   map[uint32]timelineHistory `json:"timelines"` // histories that were stored
}
