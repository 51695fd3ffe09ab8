package history

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

// timelineHistory is what PostgreSQL writes into 0000000N.history: how timeline N came about.
type timelineHistory struct {
	Version  int    `json:"version"`
	Timeline uint32 `json:"timeline"`
	Content  string `json:"content"` // of the file, as PostgreSQL wrote it
}

// fork is a timeline on the way to another, and where it was left.
type fork struct {
	timeline uint32
	end      holdfast.LSN // the next timeline begins here; endless for the last one
}

const endless = ^holdfast.LSN(0)

// forks parses the way from the first timeline to this one, which comes last.
func (h timelineHistory) forks() ([]fork, error) {
	var path []fork
	for line := range strings.Lines(h.Content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, badHistory(h.Timeline)
		}
		timeline, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, badHistory(h.Timeline)
		}
		end, err := holdfast.ParseLSN(fields[1])
		if err != nil {
			return nil, badHistory(h.Timeline)
		}
		if n := len(path); uint32(timeline) >= h.Timeline || n > 0 && (path[n-1].timeline >= uint32(timeline) || path[n-1].end > end) {
			return nil, badHistory(h.Timeline)
		}
		path = append(path, fork{uint32(timeline), end})
	}
	return append(path, fork{h.Timeline, endless}), nil
}

func badHistory(timeline uint32) error {
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the history of timeline %d cannot be understood", timeline)}
}

// sameWay says whether two ways agree on every timeline up to the given one.
func sameWay(a, b []fork, upto uint32) bool {
	for i := 0; ; i++ {
		endA, endB := i >= len(a) || a[i].timeline > upto, i >= len(b) || b[i].timeline > upto
		switch {
		case endA || endB:
			return endA == endB
		case a[i].timeline != b[i].timeline:
			return false
		case a[i].timeline != upto && a[i].end != b[i].end:
			return false
		}
	}
}

// timelineFile is the name under which PostgreSQL looks for a timeline's history.
func timelineFile(timeline uint32) string { return fmt.Sprintf("%08X.history", timeline) }
