package history

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Where things lie in a repository. docs/formats/repository.md draws the same.
const branchesFolder = "branches/"

// objects names the objects of one branch.
type objects struct{ branch holdfast.BranchID }

func (o objects) folder() string     { return branchesFolder + string(o.branch) + "/" }
func (o objects) descriptor() string { return o.folder() + "branch.json" }
func (o objects) spans() string      { return o.folder() + "spans/" }
func (o objects) span(id string) string {
	return o.spans() + id + ".json"
}
func (o objects) checkpoints() string { return o.folder() + "checkpoints/" }
func (o objects) checkpoint(id holdfast.CheckpointID) string {
	return o.checkpoints() + string(id) + ".json"
}
func (o objects) bases() string               { return o.folder() + "bases/" }
func (o objects) base(id string) string       { return o.bases() + id + ".json" }
func (o objects) data() string                { return o.folder() + "data/" }
func (o objects) manifest(base string) string { return o.data() + base + "/manifest.zst" }
func (o objects) pack(base string, number int) string {
	return fmt.Sprintf("%s%s/pack-%06d.zst", o.data(), base, number)
}
func (o objects) wal() string              { return o.folder() + "wal/" }
func (o objects) lineage(id string) string { return o.wal() + id + "/" + lineageObject }
func (o objects) timeline(lineage string, timeline uint32) string {
	return fmt.Sprintf("%s%s/%08X.json", o.wal(), lineage, timeline)
}
func (o objects) segment(s storedSegment) string {
	return fmt.Sprintf("%s%s/%08X/%s.zst", o.wal(), s.lineage, s.segment.Timeline, s.fileName())
}

// storedSegment is a segment of WAL, or the part of one that was written so far, as it is kept.
type storedSegment struct {
	lineage    string
	segment    postgres.Segment
	end        int64     // how many bytes of it there are
	lastCommit time.Time // the latest commit in it; zero when there is none
}

// complete says whether the segment is there to its last byte.
func (s storedSegment) complete() bool { return s.end == s.segment.Size }

// endLSN is the position behind the last byte that is kept.
func (s storedSegment) endLSN() holdfast.LSN { return s.segment.Start() + holdfast.LSN(s.end) }

const commitLayout = "20060102T150405.000000Z"

// fileName tells everything that a search for a moment needs, so that listing is enough: PostgreSQL's name, the length in
// hexadecimal, the time of the latest commit.
func (s storedSegment) fileName() string {
	commit := "none"
	if !s.lastCommit.IsZero() {
		commit = s.lastCommit.UTC().Format(commitLayout)
	}
	return fmt.Sprintf("%s-%08X-%s", s.segment.Name(), s.end, commit)
}

// parseStoredSegment is the inverse of fileName.
func parseStoredSegment(lineage, name string, size int64) (storedSegment, bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 || len(parts[1]) != 8 {
		return storedSegment{}, false
	}
	segment, ok := postgres.ParseSegment(parts[0], size)
	end, err := strconv.ParseInt(parts[1], 16, 64)
	if !ok || err != nil || end <= 0 || end > size {
		return storedSegment{}, false
	}
	s := storedSegment{lineage: lineage, segment: segment, end: end}
	if parts[2] != "none" {
		if s.lastCommit, err = time.Parse(commitLayout, parts[2]); err != nil {
			return storedSegment{}, false
		}
	}
	return s, true
}

// newID makes an identifier whose order is that of time and that is never used again.
func newID(now time.Time) string {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.Replace(now.UTC().Format("20060102T150405.000Z"), ".", "", 1) + "-" + hex.EncodeToString(b[:])
}
