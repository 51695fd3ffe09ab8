package history

import (
	"sync"

	"github.com/holdfast/holdfast"
)

// AlertKind says what is wrong with a branch's history.
type AlertKind string

// The alerts. Each is raised once when it begins and once more, cleared, when it is over; those that describe an event are never cleared.
const (
	StreamBroken AlertKind = "stream_broken"    // the server answers, but its WAL does not arrive
	StreamLags   AlertKind = "stream_lags"      // WAL arrives later than it should
	UploadLags   AlertKind = "upload_lags"      // a location has not had everything for too long
	SlotAtRisk   AlertKind = "slot_at_risk"     // the server is about to throw away WAL that has not arrived
	SpoolFull    AlertKind = "spool_full"       // this machine holds as much unsent history as it may; streaming waits
	BaseNeeded   AlertKind = "base_needed"      // what happens now cannot be restored until there is a new base backup
	GapFound     AlertKind = "gap_found"        // event: WAL was lost
	NewLineage   AlertKind = "new_lineage"      // event: the branch's data is not the continuation of what the archive has
	PagesCorrupt AlertKind = "pages_corrupt"    // event: a base backup found damaged pages on the server's disk
	ObjectBroken AlertKind = "object_corrupted" // event: an object of the repository is damaged or missing at a location
)

// Alert is something that a person, or the platform, must know or do.
type Alert struct {
	Branch  holdfast.BranchID
	Kind    AlertKind
	Cleared bool
	Message string
}

// alerts remembers which alerts are up, so that each is raised once.
type alerts struct {
	branch holdfast.BranchID
	tell   func(Alert)

	mu sync.Mutex
	up map[AlertKind]bool
}

func (a *alerts) raise(kind AlertKind, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.up[kind] {
		a.up[kind] = true
		a.tell(Alert{Branch: a.branch, Kind: kind, Message: message})
	}
}

func (a *alerts) clear(kind AlertKind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.up[kind] {
		delete(a.up, kind)
		a.tell(Alert{Branch: a.branch, Kind: kind, Cleared: true})
	}
}

func (a *alerts) event(kind AlertKind, message string) {
	a.tell(Alert{Branch: a.branch, Kind: kind, Message: message})
}
