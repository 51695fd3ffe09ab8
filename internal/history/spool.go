package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// spool is where the WAL of one lineage arrives on this machine. The segment at hand grows in a file named like PostgreSQL's with
// .partial behind; a finished one gets the name under which it is stored and waits to be taken over (see Archive.pack).
//
// One goroutine begins, writes and flushes; any may ask.
type spool struct {
	dir      string
	log      *slog.Logger
	finished func(storedSegment) // called when a file waits to be taken over

	mu         sync.Mutex
	state      tails
	file       *os.File // nil: none is open
	begun      bool     // whether there is an unfinished segment, open or not
	segment    postgres.Segment
	have       []byte // what the file held when it was begun; the server sends it again
	size       int64  // of the file
	next       holdfast.LSN
	flushed    holdfast.LSN // everything before it is on the disk
	scan       *walScan
	lastCommit time.Time
	safeCommit time.Time // the last one before flushed: what is described is never later than what is there

	sent storedSegment // the last unfinished segment that was brought away; guarded by the archive's sending
}

const (
	tailsFile     = "tails.json"
	partialSuffix = ".partial"
)

// openSpool opens the spool in dir for a lineage, which is new when state in dir does not name it.
func openSpool(dir string, of lineage, log *slog.Logger, finished func(storedSegment)) (*spool, error) {
	s := &spool{dir: dir, log: log, finished: finished}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the WAL spool: %w", err)
	}
	if err := readJSON(filepath.Join(dir, tailsFile), &s.state); err != nil {
		return nil, err
	}
	if s.state.Lineage.ID == "" {
		s.state.Lineage = of
	}
	if s.state.Ends == nil {
		s.state.Ends, s.state.Carries, s.state.Known = map[uint32]holdfast.LSN{}, map[uint32]*walCarry{}, map[uint32]timelineHistory{}
	}
	if err := s.takePartials(); err != nil {
		return nil, fmt.Errorf("open the WAL spool: %w", err)
	}
	return s, nil
}

// takePartials learns from the unfinished segments how far the WAL really came, and gives up what a crash of the machine left
// torn at their ends.
func (s *spool) takePartials() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), partialSuffix)
		segment, ok := postgres.ParseSegment(name, s.state.Lineage.SegmentSize)
		if !found || !ok {
			continue
		}
		if err := errors.Join(s.open(segment), s.closeFile()); err != nil {
			return err
		}
		s.state.Ends[segment.Timeline] = max(s.state.Ends[segment.Timeline], s.flushed)
	}
	return nil
}

// validWAL says how many of a segment's bytes are whole records.
func validWAL(segment postgres.Segment, content []byte) int64 {
	scan := newWALScan(segment.Start(), segment.Size)
	scan.verify = true
	if err := scan.feed(content); err != nil && scan.lastEnd == 0 {
		return 0
	}
	if scan.lastEnd < segment.Start() {
		return 0
	}
	return min(int64(scan.lastEnd-segment.Start()), int64(len(content)))
}

// save writes the state. The caller holds mu.
func (s *spool) save() error { return writeJSON(filepath.Join(s.dir, tailsFile), s.state) }

func (s *spool) saveNow() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.save()
}

// learn takes up a timeline's history and says whether it is new.
func (s *spool) learn(h timelineHistory) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.state.Known[h.Timeline]
	s.state.Known[h.Timeline] = h
	return !known
}

// skipTo gives up what lies before the segment of lsn: it cannot be had any more.
func (s *spool) skipTo(timeline uint32, lsn holdfast.LSN) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Ends[timeline] = postgres.SegmentAt(timeline, lsn, s.state.Lineage.SegmentSize).Start()
	return s.save()
}

// leave finishes whatever is unfinished: the server that attached last does not carry this lineage on.
func (s *spool) leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaveOthers(postgres.Segment{Size: s.state.Lineage.SegmentSize})
}

// begin makes ready for the segment that holds lsn; what comes next is the segment's first byte. What is left of another segment is finished as it is.
func (s *spool) begin(timeline uint32, lsn holdfast.LSN) (holdfast.LSN, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	segment := postgres.SegmentAt(timeline, lsn, s.state.Lineage.SegmentSize)
	if err := s.leaveOthers(segment); err != nil {
		return 0, err
	}
	return segment.Start(), s.open(segment)
}

// leaveOthers finishes unfinished segments of other timelines or positions: nothing will be added to them.
func (s *spool) leaveOthers(but postgres.Segment) error {
	if err := s.closeFile(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("look into the WAL spool: %w", err)
	}
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), partialSuffix)
		if !found || name == but.Name() {
			continue
		}
		if segment, ok := postgres.ParseSegment(name, s.state.Lineage.SegmentSize); ok {
			if err := s.open(segment); err != nil {
				return err
			}
			if err := s.finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// open opens a segment's file. The caller holds mu.
func (s *spool) open(segment postgres.Segment) error {
	path := filepath.Join(s.dir, segment.Name()+partialSuffix)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open a WAL segment: %w", err)
	}
	content, err := os.ReadFile(path)
	if err == nil {
		content = content[:validWAL(segment, content)]
		err = errors.Join(file.Truncate(int64(len(content))), file.Sync(), postgres.SyncDir(s.dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open a WAL segment: %w", err), file.Close())
	}
	s.file, s.begun, s.segment, s.have, s.size, s.lastCommit = file, true, segment, content, int64(len(content)), time.Time{}
	s.next, s.flushed = segment.Start(), segment.Start()+holdfast.LSN(len(content))
	s.scan = newWALScan(segment.Start(), segment.Size)
	s.scan.onCommit = func(_ holdfast.LSN, at time.Time) {
		if at.After(s.lastCommit) {
			s.lastCommit = at
		}
	}
	s.scan.resume(s.state.Carries[segment.Timeline].at(segment.Start()))
	s.feed(content)
	s.safeCommit = s.lastCommit
	return nil
}

// feed keeps the knowledge of commits up to date. WAL that cannot be read is kept all the same: PostgreSQL judges it at replay.
func (s *spool) feed(b []byte) {
	if err := s.scan.feed(b); err != nil {
		s.log.Error("the WAL stream has something that cannot be read; times may be mapped less exactly", "segment", s.segment.Name(), "err", err)
		commit := s.scan.onCommit
		s.scan = newWALScan(s.segment.End(), s.segment.Size)
		s.scan.onCommit = commit
	}
}

// errDiverged says that the server sends other bytes than the archive has for the same place.
var errDiverged = errors.New("the server's WAL is not what the archive has for the same positions")

// write takes the bytes at lsn, which must be the next ones.
func (s *spool) write(lsn holdfast.LSN, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lsn != s.next {
		return fmt.Errorf("the WAL stream jumps from %s to %s", s.next, lsn)
	}
	for len(b) > 0 {
		if s.file == nil {
			if err := s.open(postgres.SegmentAt(s.segment.Timeline, s.next, s.segment.Size)); err != nil {
				return err
			}
		}
		n := min(int64(len(b)), int64(s.segment.End()-s.next))
		if err := s.put(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if s.next == s.segment.End() {
			if err := s.finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// put compares what the file has and appends what it has not.
func (s *spool) put(b []byte) error {
	at := int64(s.next - s.segment.Start())
	s.next += holdfast.LSN(len(b))
	if known := int64(len(s.have)) - at; known > 0 {
		known = min(known, int64(len(b)))
		if !bytes.Equal(s.have[at:at+known], b[:known]) {
			return errDiverged
		}
		b = b[known:]
	}
	if len(b) == 0 {
		return nil
	}
	s.have = nil
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		return fmt.Errorf("write WAL: %w", err)
	}
	s.size += int64(len(b))
	s.feed(b)
	return nil
}

// flush makes what was written durable and says up to where it is.
func (s *spool) flush() (holdfast.LSN, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.sync()
	return s.flushed, err
}

func (s *spool) sync() error {
	end := s.segment.Start() + holdfast.LSN(s.size)
	if s.file == nil || end <= s.flushed {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync WAL: %w", err)
	}
	s.flushed, s.safeCommit = end, s.lastCommit
	return nil
}

// finish gives the segment at hand, complete or not, its name, after which nothing is added to it. The caller holds mu.
func (s *spool) finish() error {
	if err := s.sync(); err != nil {
		return err
	}
	done := s.stored()
	path := s.file.Name()
	if err := s.closeFile(); err != nil {
		return err
	}
	s.begun = false
	if done.end == 0 {
		return os.Remove(path)
	}
	// The state first: a crash before the rename leaves a partial segment of full length, which is finished when it is opened again.
	s.state.Ends[done.segment.Timeline] = max(s.state.Ends[done.segment.Timeline], done.endLSN())
	if done.complete() {
		s.state.Carries[done.segment.Timeline] = s.scan.carry()
	}
	if err := s.save(); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(s.dir, done.fileName())); err != nil {
		return fmt.Errorf("finish a WAL segment: %w", err)
	}
	if err := postgres.SyncDir(s.dir); err != nil {
		return err
	}
	s.finished(done)
	return nil
}

func (s *spool) closeFile() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.sync(), s.file.Close())
	s.file = nil
	return err
}

// stored describes the segment at hand as it would be kept now. The caller holds mu.
func (s *spool) stored() storedSegment {
	return storedSegment{lineage: s.state.Lineage.ID, segment: s.segment, end: int64(s.flushed - s.segment.Start()), lastCommit: s.safeCommit}
}

// current describes the unfinished segment as it is on the disk; ok is false when there is none.
func (s *spool) current() (at storedSegment, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun || s.flushed == s.segment.Start() {
		return storedSegment{}, false
	}
	return s.stored(), true
}

// content reads a segment that current or waiting described, or the beginning of it that was meant; ok is false when it is not here any more.
// It is read into the given space where that is large enough.
func (s *spool) content(seg storedSegment, into []byte) (content []byte, ok bool, err error) {
	for _, name := range []string{seg.fileName(), seg.segment.Name() + partialSuffix} {
		file, err := os.Open(filepath.Join(s.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("read a WAL segment: %w", err)
		}
		if int64(cap(into)) < seg.end {
			into = make([]byte, seg.end)
		}
		content = into[:seg.end]
		_, err = io.ReadFull(file, content)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, false, fmt.Errorf("read the WAL segment %s: %w", name, err)
		}
		return content, true, nil
	}
	return nil, false, nil
}

// end says where the WAL of a timeline ends on this machine's disk; ok is false when nothing of it was ever here.
func (s *spool) end(timeline uint32) (lsn holdfast.LSN, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endOf(timeline)
}

func (s *spool) endOf(timeline uint32) (lsn holdfast.LSN, ok bool) {
	lsn, ok = s.state.Ends[timeline]
	if s.begun && s.segment.Timeline == timeline && s.flushed > s.segment.Start() {
		lsn, ok = max(lsn, s.flushed), true
	}
	return lsn, ok
}

// untouched says whether nothing of the lineage has arrived yet. The caller holds mu.
func (s *spool) untouched() bool {
	return len(s.state.Ends) == 0 && !(s.begun && s.flushed > s.segment.Start())
}

// waiting lists the finished segments that were not taken over yet.
func (s *spool) waiting() ([]storedSegment, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("look into the WAL spool: %w", err)
	}
	var found []storedSegment
	for _, entry := range entries {
		if seg, ok := parseStoredSegment(s.state.Lineage.ID, entry.Name(), s.state.Lineage.SegmentSize); ok {
			found = append(found, seg)
		}
	}
	return found, nil
}

// close closes the file at hand, which begin opens again.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeFile()
}

// at gives the carry if it belongs to the segment that begins at lsn. It is nil-safe.
func (c *walCarry) at(lsn holdfast.LSN) *walCarry {
	if c == nil || c.Next != lsn {
		return nil
	}
	return c
}

// endTimeline finishes what is there of a timeline that goes no further.
func (s *spool) endTimeline(timeline uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil || s.segment.Timeline != timeline {
		return nil
	}
	return s.finish()
}
