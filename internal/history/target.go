package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// target is a moment as PostgreSQL can be brought to it: a prefix of the WAL on one timeline. WAL is replayed to cut and not
// a byte further, so no setting of recovery is needed, and "the target lies after the last commit" cannot happen.
type target struct {
	walKey
	way   []fork       // from the first timeline to the target's, whose end is endless
	cut   holdfast.LSN // WAL is kept up to here
	end   holdfast.LSN // where its last whole record ends: recovery must arrive exactly here
	after time.Time    // a base must have been complete by then; zero for any
}

// resolve finds the target that a point means.
func (a *Archive) resolve(ctx context.Context, p holdfast.Point) (target, error) {
	if err := p.Validate(); err != nil {
		return target{}, err
	}
	if p.Checkpoint == "" {
		if err := a.observe(ctx); err != nil {
			return target{}, err
		}
	}
	var t target
	err := a.withCatalogue(ctx, func(c *catalogue) (err error) { t, err = c.locate(p); return err })
	if err != nil {
		return target{}, err
	}
	open := false
	err = a.withCatalogue(ctx, func(c *catalogue) error { open = c.openEnded(p, t); return nil })
	if err == nil && open {
		err = a.catchUp(ctx)
	}
	if err != nil {
		return target{}, err
	}
	switch {
	case !p.At.IsZero():
		err = a.cutBefore(ctx, &t, p.At)
	case p.Latest():
		err = a.cutAtEnd(ctx, &t)
	default:
		err = a.cutAt(ctx, &t, t.cut)
	}
	if err != nil {
		return target{}, err
	}
	// A cut on the beginning of a timeline is one on its parent.
	for n := len(t.way); n > 1 && t.cut <= t.way[n-2].end; n = len(t.way) {
		t.way = t.way[:n-1]
		t.timeline = t.way[n-2].timeline
		t.way[n-2].end = endless
	}
	return t, nil
}

// openEnded says whether the target is the end of what is known of the present timeline, so that something that was acknowledged by the
// moment asked for may not have arrived: WAL comes in order, so everything before a commit that is known has.
func (c *catalogue) openEnded(p holdfast.Point, t target) bool {
	if p.Latest() {
		return true
	}
	if p.At.IsZero() || !c.spans[len(c.spans)-1].is(t.lineage, t.timeline) {
		return false
	}
	return !slices.ContainsFunc(c.list(t.walKey), func(s storedSegment) bool { return s.lastCommit.After(p.At) })
}

// locate finds lineage and timeline of a point; for a checkpoint and a position also the cut.
func (c *catalogue) locate(p holdfast.Point) (target, error) {
	if len(c.spans) == 0 {
		return target{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch has no history yet"}
	}
	at := c.spans[len(c.spans)-1]
	t := target{cut: p.LSN, after: p.At}
	switch {
	case p.Checkpoint != "":
		cp, err := c.checkpoint(p.Checkpoint)
		if err != nil {
			return target{}, err
		}
		at.Lineage, at.Timeline, t.cut = cp.Lineage, cp.Timeline, cp.LSN
	case !p.At.IsZero():
		i, _ := slices.BinarySearchFunc(c.spans, p.At, func(s span, at time.Time) int {
			if s.Began.After(at) {
				return 1
			}
			return -1
		})
		if i == 0 {
			return target{}, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the history begins at %s, after the moment asked for", at.Began.Format(time.RFC3339)), Hint: "`holdfast history BRANCH` shows from when on it can be restored"}
		}
		at = c.spans[i-1]
	}
	t.walKey = walKey{at.Lineage, at.Timeline}
	var err error
	if t.way, err = c.way(t.walKey); err != nil {
		return target{}, err
	}
	if p.LSN != 0 { // on the timeline that was the current one's way at that position
		for i, f := range t.way {
			if p.LSN <= f.end {
				t.timeline, t.way = f.timeline, t.way[:i+1]
				t.way[i].end = endless
				break
			}
		}
	}
	return t, nil
}

// way lists the timelines that lead to one.
func (c *catalogue) way(key walKey) ([]fork, error) {
	h, ok := c.timelines[key]
	if !ok {
		if key.timeline == 1 || len(c.list(key)) > 0 && len(c.timelines) == 0 {
			return []fork{{key.timeline, endless}}, nil
		}
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the history of timeline %d is missing from the repository", key.timeline)}
	}
	return h.forks()
}

// segmentAt gives the segment of a timeline that holds the byte at lsn, and the one before it.
func (c *catalogue) segmentAt(key walKey, number uint64) (seg storedSegment, ok bool) {
	list := c.list(key)
	i, found := slices.BinarySearchFunc(list, storedSegment{segment: postgres.Segment{Number: number}}, bySegment)
	if !found {
		return storedSegment{}, false
	}
	return list[i], true
}

// cutBefore cuts before the first commit after at. PostgreSQL acknowledges a commit after it has written its record, and takes the record's time
// before; so everything that was acknowledged by then lies before the cut, and nothing that began to commit later does.
func (a *Archive) cutBefore(ctx context.Context, t *target, at time.Time) error {
	var scanFrom, found storedSegment
	var endOfRun holdfast.LSN
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		list := c.list(t.walKey)
		i := slices.IndexFunc(list, func(s storedSegment) bool { return s.lastCommit.After(at) })
		after := i
		if i < 0 {
			after = len(list) - 1
		}
		// The end of what was streamed before a gap is a moment too: that of the last commit known.
		if j := runStart(list, after); j > 0 && slices.ContainsFunc(list[:j], func(s storedSegment) bool { return s.lastCommit.Equal(at) }) {
			endOfRun = list[j-1].endLSN()
		}
		if i < 0 {
			return nil
		}
		scanFrom, found = list[i], list[i]
		if i > 0 && list[i-1].segment.Number+1 == list[i].segment.Number && list[i-1].complete() {
			scanFrom = list[i-1] // a commit at its very end is counted to the next one
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case endOfRun != 0:
		return a.cutAt(ctx, t, endOfRun)
	case found.end == 0:
		return a.cutAtEnd(ctx, t)
	}
	var cut holdfast.LSN
	scan := newWALScan(scanFrom.segment.Start(), found.segment.Size)
	scan.onCommit = func(start holdfast.LSN, when time.Time) {
		if cut == 0 && when.After(at) {
			cut = start
		}
	}
	for _, seg := range []storedSegment{scanFrom, found} {
		if seg.segment.Start() < scan.next {
			continue
		}
		content, err := a.segmentContent(ctx, seg, nil)
		if err != nil {
			return err
		}
		if err := scan.feed(content); err != nil {
			return err
		}
	}
	if cut == 0 {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the WAL segment %s holds no commit after %s, though its name says so", found.segment.Name(), at)}
	}
	return a.cutAt(ctx, t, cut)
}

// runStart gives the index of the first segment that is joined to the one at i without a gap.
func runStart(list []storedSegment, i int) int {
	for i > 0 && list[i-1].segment.Number+1 == list[i].segment.Number && list[i-1].complete() {
		i--
	}
	return i
}

// cutAtEnd cuts behind the last whole record there is.
func (a *Archive) cutAtEnd(ctx context.Context, t *target) error {
	var end holdfast.LSN
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		if list := c.list(t.walKey); len(list) > 0 {
			end = list[len(list)-1].endLSN()
		} else if n := len(t.way); n > 1 {
			end = t.way[n-2].end // a timeline of which nothing was archived yet is as its parent was
		}
		return nil
	})
	if err != nil {
		return err
	}
	if end == 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch has no WAL in its history yet"}
	}
	return a.cutAt(ctx, t, end)
}

// cutAt cuts at a position and finds where the last whole record before it ends.
func (a *Archive) cutAt(ctx context.Context, t *target, cut holdfast.LSN) error {
	t.cut = cut
	var size int64
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		size = c.lineages[t.lineage].SegmentSize
		if size == 0 {
			size = postgres.DefaultSegmentSize
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A record can be longer than a segment: begin as far before as it takes to meet one.
	last := postgres.SegmentAt(t.timeline, cut-1, size)
	for back := uint64(0); back <= min(last.Number, maxRecordSegments); back++ {
		end, missing, err := a.lastRecordEnd(ctx, t, last.Number-back, cut, size)
		if err != nil {
			return err
		}
		if end != 0 {
			t.end = end
			return nil
		}
		if missing {
			break
		}
	}
	return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the history has no WAL at %s on timeline %d", cut, t.timeline)}
}

// maxRecordSegments is how many segments a record can span: PostgreSQL's records are shorter than 1 GiB.
const maxRecordSegments = 65

// lastRecordEnd finds the last end of a record that is not behind cut, beginning with segment number first.
func (a *Archive) lastRecordEnd(ctx context.Context, t *target, first uint64, cut holdfast.LSN, size int64) (end holdfast.LSN, missing bool, err error) {
	scan := newWALScan(postgres.Segment{Number: first, Size: size}.Start(), size)
	for number := first; ; number++ {
		start := postgres.Segment{Number: number, Size: size}.Start()
		if start >= cut {
			return scan.lastEnd, false, nil
		}
		var seg storedSegment
		err := a.withCatalogue(ctx, func(c *catalogue) error {
			var ok bool
			if seg, ok = c.onWay(t, number, size); !ok || seg.endLSN() < cut && !seg.complete() {
				missing = true
			}
			return nil
		})
		if err != nil || missing {
			return 0, missing, err
		}
		content, err := a.segmentContent(ctx, seg, nil)
		if err != nil {
			return 0, false, err
		}
		if err := scan.feed(content[:min(int64(len(content)), int64(cut-start))]); err != nil {
			return 0, false, err
		}
	}
}

// onWay gives the stored segment of that number that a recovery to the target reads: of the newest timeline that had begun by its end.
func (c *catalogue) onWay(t *target, number uint64, size int64) (storedSegment, bool) {
	for i := len(t.way) - 1; i >= 0; i-- {
		begins := holdfast.LSN(0)
		if i > 0 {
			begins = t.way[i-1].end
		}
		if number < uint64(begins)/uint64(size) {
			continue
		}
		if seg, ok := c.segmentAt(walKey{t.lineage, t.way[i].timeline}, number); ok {
			return seg, true
		}
	}
	return storedSegment{}, false
}
