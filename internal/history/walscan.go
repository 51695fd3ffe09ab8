package history

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/holdfast/holdfast"
)

// The parts of PostgreSQL's WAL format that are read here; they are the same in versions 15 to 18 (xlog_internal.h, xlogrecord.h, xact.h).
const (
	walPageSize       = 8192
	walShortHeader    = 24
	walLongHeader     = 40 // of a segment's first page
	walRecordHeader   = 24
	walContinued      = 0x0001 // XLP_FIRST_IS_CONTRECORD
	walOverwritten    = 0x0008 // XLP_FIRST_IS_OVERWRITE_CONTRECORD
	walManagerXLOG    = 0      // RM_XLOG_ID
	walManagerXact    = 1      // RM_XACT_ID
	walSwitch         = 0x40   // XLOG_SWITCH
	walCommit         = 0x00   // XLOG_XACT_COMMIT
	walCommitPrepared = 0x30   // XLOG_XACT_COMMIT_PREPARED
	walXactOperation  = 0x70   // XLOG_XACT_OPMASK
	walDataShort      = 255    // XLR_BLOCK_ID_DATA_SHORT
	walDataLong       = 254    // XLR_BLOCK_ID_DATA_LONG
	walOrigin         = 253    // XLR_BLOCK_ID_ORIGIN
	walTopLevelXID    = 252    // XLR_BLOCK_ID_TOPLEVEL_XID
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sniffLength is how much of a record is looked at: enough for the time of a commit (header, origin, top-level transaction, data
// header, time: 47 bytes).
const sniffLength = 64

// walScan reads WAL as it comes, in pieces of any length, and notices where records begin and end and when transactions commit.
// It looks at headers only and skips the rest, unless it is told to verify.
type walScan struct {
	segmentSize int64
	onCommit    func(start holdfast.LSN, at time.Time) // may be nil, as may onRecord
	onRecord    func(start holdfast.LSN)               // called when the whole record was seen

	verify bool // check every record's CRC: a wrong one ends the WAL, as it does for PostgreSQL

	next   holdfast.LSN // position of the next byte
	header []byte       // of a page, while it is being collected
	synced bool         // whether a record's start is known
	skip   int64        // bytes to skip before the next record begins: what is left of a record and its padding
	inside bool         // whether skip leads to the end of a record that began at start

	start    holdfast.LSN // of the record at hand
	sniff    []byte       // its first bytes
	length   uint32       // its length in all; zero until known
	switches bool         // whether it ends its segment
	crc      uint32       // of what came of its data, when verifying
	data     int64        // bytes of its data to come, without the padding

	lastStart holdfast.LSN // of the last record that was seen whole
	lastEnd   holdfast.LSN // its end, aligned; zero before there is one
	ended     bool         // where the next record should begin there is none: only zeros
	jump      holdfast.LSN // everything before it is filler after a segment switch
}

// newWALScan begins at a page boundary.
func newWALScan(at holdfast.LSN, segmentSize int64) *walScan {
	return &walScan{segmentSize: segmentSize, next: at, sniff: make([]byte, 0, sniffLength), header: make([]byte, 0, walLongHeader)}
}

// feed takes the next bytes. An error says that they are not WAL, or not what belongs at this position.
func (w *walScan) feed(b []byte) error {
	for len(b) > 0 && !w.ended {
		if w.next < w.jump {
			n := min(int64(len(b)), int64(w.jump-w.next))
			w.next += holdfast.LSN(n)
			b = b[n:]
			continue
		}
		inPage := int64(w.next % walPageSize)
		if size := w.headerSize(); inPage < size {
			n := min(int64(len(b)), size-inPage)
			w.header = append(w.header, b[:n]...)
			w.next += holdfast.LSN(n)
			b = b[n:]
			if int64(len(w.header)) == size {
				if err := w.pageBegins(); err != nil {
					return err
				}
				w.header = w.header[:0]
			}
			continue
		}
		n, err := w.feedRecord(b[:min(int64(len(b)), walPageSize-inPage)])
		if err != nil {
			return err
		}
		w.next += holdfast.LSN(n)
		b = b[n:]
		w.finishRecord()
	}
	w.next += holdfast.LSN(len(b))
	return nil
}

// headerSize is the length of the header of the page at hand.
func (w *walScan) headerSize() int64 {
	if int64(w.next)%w.segmentSize < walPageSize {
		return walLongHeader
	}
	return walShortHeader
}

// pageBegins looks at a page's header: the rest of which record comes first.
func (w *walScan) pageBegins() error {
	pageStart := w.next - holdfast.LSN(len(w.header))
	if isZero(w.header) {
		w.ended = true
		return nil
	}
	info := binary.LittleEndian.Uint16(w.header[2:])
	address := holdfast.LSN(binary.LittleEndian.Uint64(w.header[8:]))
	remaining := int64(binary.LittleEndian.Uint32(w.header[16:]))
	if address != pageStart {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the WAL page at %s says that it belongs to %s", pageStart, address)}
	}
	if info&walContinued == 0 {
		remaining = 0
	}
	switch {
	case info&walOverwritten != 0:
		// After a crash PostgreSQL gave up the record that continued here.
		w.synced, w.skip, w.inside = true, 0, false
		w.forgetRecord()
	case !w.synced:
		if remaining > walPageSize-int64(len(w.header)) {
			return nil // the next page says again how much is left
		}
		w.synced, w.skip = true, align8(remaining)
	case w.inRecord() && align8(remaining) != w.left():
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the WAL record at %s does not continue at %s", w.start, pageStart)}
	}
	return nil
}

func align8(n int64) int64 { return (n + 7) &^ 7 }

// inRecord says whether a record that has begun is not finished.
func (w *walScan) inRecord() bool { return w.inside || len(w.sniff) > 0 }

// left is how many bytes of the record at hand, with its padding, are to come.
func (w *walScan) left() int64 {
	if w.inside {
		return w.skip
	}
	return align8(int64(w.length)) - int64(len(w.sniff))
}

// feedRecord takes bytes of one page and says how many it used.
func (w *walScan) feedRecord(b []byte) (int64, error) {
	if !w.synced {
		return int64(len(b)), nil
	}
	if w.skip > 0 {
		n := min(int64(len(b)), w.skip)
		if w.verify && w.inside {
			part := min(n, w.data)
			w.crc = crc32.Update(w.crc, castagnoli, b[:part])
			w.data -= part
		}
		w.skip -= n
		return n, nil
	}
	if len(w.sniff) == 0 {
		w.start = w.next
	}
	want := sniffLength
	if w.length != 0 {
		want = min(want, int(w.length))
	} else if len(w.sniff) < 4 {
		want = 4 // the length is in one piece: records are aligned and pages are too
	}
	n := min(len(b), want-len(w.sniff))
	w.sniff = append(w.sniff, b[:n]...)
	if w.length == 0 && len(w.sniff) >= 4 {
		w.length = binary.LittleEndian.Uint32(w.sniff)
		if w.length == 0 {
			w.ended = true
			return int64(n), nil
		}
		if w.length < walRecordHeader {
			return 0, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("there is no WAL record at %s", w.start)}
		}
	}
	if len(w.sniff) == min(sniffLength, int(w.length)) {
		w.look()
		w.inside, w.skip = true, align8(int64(w.length))-int64(len(w.sniff))
		if w.verify {
			w.crc, w.data = crc32.Checksum(w.sniff[walRecordHeader:], castagnoli), int64(w.length)-int64(len(w.sniff))
		}
	}
	return int64(n), nil
}

// look reads the record's first bytes.
func (w *walScan) look() {
	manager, info := w.sniff[17], w.sniff[16]
	switch manager {
	case walManagerXact:
		if op := info & walXactOperation; w.onCommit != nil && (op == walCommit || op == walCommitPrepared) {
			if at, ok := commitTime(w.sniff); ok {
				w.onCommit(w.start, at)
			}
		}
	case walManagerXLOG:
		w.switches = info&0xF0 == walSwitch
	}
}

// finishRecord notices that the record at hand is complete.
func (w *walScan) finishRecord() {
	if !w.inside || w.skip > 0 {
		return
	}
	// PostgreSQL hashes the data first and then the header as far as the CRC itself.
	if w.verify && crc32.Update(w.crc, castagnoli, w.sniff[:20]) != binary.LittleEndian.Uint32(w.sniff[20:]) {
		w.ended = true
		return
	}
	w.lastStart, w.lastEnd = w.start, w.next
	if w.switches {
		w.jump = holdfast.LSN((int64(w.next) + w.segmentSize - 1) / w.segmentSize * w.segmentSize)
		w.lastEnd = w.jump
	}
	if w.onRecord != nil {
		w.onRecord(w.start)
	}
	w.inside, w.switches = false, false
	w.forgetRecord()
}

func (w *walScan) forgetRecord() { w.sniff, w.length = w.sniff[:0], 0 }

// carry is what a later scan that begins where this one stands must be given to miss no commit: the first bytes of a record
// that is too young to be judged. Nil when there is none.
func (w *walScan) carry() *walCarry {
	if len(w.sniff) == 0 || w.inside {
		return nil
	}
	return &walCarry{Next: w.next, Start: w.start, Bytes: append([]byte(nil), w.sniff...)}
}

// walCarry is the beginning of a record that continues in the next segment.
type walCarry struct {
	Next  holdfast.LSN `json:"next"`  // where that segment begins
	Start holdfast.LSN `json:"start"` // of the record
	Bytes []byte       `json:"bytes"`
}

// resume takes up a carry. The scan must stand at a segment's first byte.
func (w *walScan) resume(c *walCarry) {
	if c == nil {
		return
	}
	w.synced, w.start = true, c.Start
	w.sniff = append(w.sniff[:0], c.Bytes...)
	if len(c.Bytes) >= 4 {
		w.length = binary.LittleEndian.Uint32(c.Bytes)
	}
}

// commitTime finds xl_xact_commit.xact_time, which the main data of a commit record begins with.
func commitTime(record []byte) (time.Time, bool) {
	b := record[walRecordHeader:]
	for len(b) > 0 {
		skip := 0
		switch b[0] {
		case walOrigin:
			skip = 3
		case walTopLevelXID:
			skip = 5
		case walDataShort:
			return timestamp(b, 2)
		case walDataLong:
			return timestamp(b, 5)
		}
		if skip == 0 || skip > len(b) {
			return time.Time{}, false
		}
		b = b[skip:]
	}
	return time.Time{}, false
}

// postgresEpoch is 2000-01-01, from which PostgreSQL counts microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func timestamp(b []byte, offset int) (time.Time, bool) {
	if len(b) < offset+8 {
		return time.Time{}, false
	}
	micros := int64(binary.LittleEndian.Uint64(b[offset:]))
	return time.UnixMicro(postgresEpoch.UnixMicro() + micros).UTC(), true
}
