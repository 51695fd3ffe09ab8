package postgres

import (
	"fmt"
	"strconv"

	"github.com/holdfast/holdfast"
)

// DefaultSegmentSize is the length of a WAL segment unless initdb was told otherwise.
const DefaultSegmentSize = 16 << 20

// Segment is one file of the write-ahead log: which timeline, and the number of the segment counted from position zero.
type Segment struct {
	Timeline uint32
	Number   uint64
	Size     int64 // bytes per segment
}

// SegmentAt returns the segment that holds the byte at lsn.
func SegmentAt(timeline uint32, lsn holdfast.LSN, size int64) Segment {
	return Segment{Timeline: timeline, Number: uint64(lsn) / uint64(size), Size: size}
}

// Name is the file's name: timeline, then the position's upper half, then the segment within it, in hexadecimal.
func (s Segment) Name() string {
	perHalf := (uint64(1) << 32) / uint64(s.Size)
	return fmt.Sprintf("%08X%08X%08X", s.Timeline, s.Number/perHalf, s.Number%perHalf)
}

// Start is the position of the segment's first byte.
func (s Segment) Start() holdfast.LSN { return holdfast.LSN(s.Number * uint64(s.Size)) }

// End is the position behind the segment's last byte.
func (s Segment) End() holdfast.LSN { return holdfast.LSN((s.Number + 1) * uint64(s.Size)) }

// Next is the segment after this one on the same timeline.
func (s Segment) Next() Segment { s.Number++; return s }

// ParseSegment reads a file name as Name writes it. ok is false for every other name: partial segments, history files.
func ParseSegment(name string, size int64) (segment Segment, ok bool) {
	if len(name) != 24 {
		return Segment{}, false
	}
	var parts [3]uint64
	for i := range parts {
		n, err := strconv.ParseUint(name[8*i:8*i+8], 16, 32)
		if err != nil {
			return Segment{}, false
		}
		parts[i] = n
	}
	perHalf := (uint64(1) << 32) / uint64(size)
	segment = Segment{Timeline: uint32(parts[0]), Number: parts[1]*perHalf + parts[2], Size: size}
	return segment, parts[2] < perHalf && segment.Name() == name
}
