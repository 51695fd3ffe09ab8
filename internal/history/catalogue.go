package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// catalogue is what an archive holds, as its objects' names and descriptions say. It is never stored: the objects are the catalogue.
type catalogue struct {
	lineages    map[string]lineage
	segments    map[walKey][]storedSegment // in order; of one segment only the longest
	shorter     []storedSegment            // what a longer one made superfluous
	growing     []storedSegment            // unfinished segments on this machine, as they are now
	timelines   map[walKey]timelineHistory
	spans       []span // in order of time
	bases       map[string]knownBase
	checkpoints map[holdfast.CheckpointID]holdfast.Checkpoint
	snapshots   []Base  // on this machine
	problems    []error // locations that could not be listed, descriptions that are damaged
}

// walKey names the WAL of one timeline.
type walKey struct {
	lineage  string
	timeline uint32
}

// knownBase is a base backup and whether every location has it.
type knownBase struct {
	Base
	everywhere bool
}

func newCatalogue() *catalogue {
	return &catalogue{lineages: map[string]lineage{}, segments: map[walKey][]storedSegment{}, timelines: map[walKey]timelineHistory{},
		bases: map[string]knownBase{}, checkpoints: map[holdfast.CheckpointID]holdfast.Checkpoint{}}
}

// addSegment takes up a segment, or drops it when a longer piece of it is known.
func (c *catalogue) addSegment(s storedSegment) {
	key := walKey{s.lineage, s.segment.Timeline}
	list := c.segments[key]
	i, found := slices.BinarySearchFunc(list, s, bySegment)
	switch {
	case !found:
		c.segments[key] = slices.Insert(list, i, s)
	case list[i] == s:
	case list[i].end < s.end:
		c.shorter = append(c.shorter, list[i])
		list[i] = s
	default:
		c.shorter = append(c.shorter, s)
	}
}

// list gives the segments of a timeline in order, the growing one included.
func (c *catalogue) list(key walKey) []storedSegment {
	list := c.segments[key]
	for _, g := range c.growing {
		if g.lineage != key.lineage || g.segment.Timeline != key.timeline {
			continue
		}
		i, found := slices.BinarySearchFunc(list, g, bySegment)
		switch {
		case !found:
			list = slices.Insert(slices.Clone(list), i, g)
		case list[i].end < g.end:
			list = slices.Clone(list)
			list[i] = g
		}
	}
	return list
}

// superfluous splits the pieces that a longer one replaced: those whose replacement has arrived, and those that must stay until it has.
func (c *catalogue) superfluous(waits func(storedSegment) bool) (drop, keep []storedSegment) {
	for _, s := range c.shorter {
		list := c.segments[walKey{s.lineage, s.segment.Timeline}]
		if i, found := slices.BinarySearchFunc(list, s, bySegment); found && waits(list[i]) {
			keep = append(keep, s)
		} else {
			drop = append(drop, s)
		}
	}
	return drop, keep
}

func bySegment(a, b storedSegment) int { return cmp.Compare(a.segment.Number, b.segment.Number) }

func (c *catalogue) addSpan(s span) {
	if !slices.ContainsFunc(c.spans, func(k span) bool { return k.ID == s.ID }) {
		c.spans = append(c.spans, s)
		slices.SortStableFunc(c.spans, func(a, b span) int { return a.Began.Compare(b.Began) })
	}
}

// loadCatalogue lists every location and reads the descriptions. Objects that wait in the outbox count as stored.
func loadCatalogue(ctx context.Context, m mirror, o objects, out *outbox) (*catalogue, error) {
	l := &loader{mirror: m, objects: o, out: out, into: newCatalogue()}
	// The outbox first: what leaves it meanwhile is seen at the locations.
	var local []string
	if out != nil {
		local = out.names()
	}
	for _, prefix := range []string{o.wal(), o.spans(), o.bases(), o.checkpoints()} {
		found, problems, err := m.list(ctx, prefix)
		if err != nil {
			return nil, &holdfast.Error{Kind: holdfast.Unavailable, Message: "no location of the history can be read", Cause: err}
		}
		l.into.problems = append(l.into.problems, problems...)
		for _, name := range local {
			if strings.HasPrefix(name, prefix) && found[name] == nil {
				found[name] = make([]bool, len(m))
			}
		}
		if err := l.read(ctx, prefix, found); err != nil {
			return nil, err
		}
	}
	return l.into, nil
}

type loader struct {
	mirror  mirror
	objects objects
	out     *outbox

	mu   sync.Mutex
	into *catalogue
}

// read takes up the objects below one prefix: the described ones first, several at a time, because a segment's name is understood with its
// lineage's segment size.
func (l *loader) read(ctx context.Context, prefix string, found listing) error {
	var group errgroup.Group
	group.SetLimit(8)
	var segments []string
	for name := range found {
		if !strings.HasSuffix(name, ".json") {
			segments = append(segments, name)
			continue
		}
		group.Go(func() error {
			if err := l.readDescription(ctx, prefix, name, found.everywhere(name)); err != nil {
				return fmt.Errorf("read the history's catalogue: %w", err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.Sort(segments)
	for _, name := range segments {
		id := path.Base(path.Dir(path.Dir(name)))
		size := l.into.lineages[id].SegmentSize
		if size == 0 {
			size = postgres.DefaultSegmentSize // the description is damaged
		}
		if s, ok := parseStoredSegment(id, strings.TrimSuffix(path.Base(name), ".zst"), size); ok {
			l.into.addSegment(s)
		}
	}
	return nil
}

func (l *loader) readDescription(ctx context.Context, prefix, name string, everywhere bool) error {
	var add func(c *catalogue)
	var v any
	switch prefix {
	case l.objects.wal():
		if strings.HasSuffix(name, "/"+lineageObject) {
			d := new(lineage)
			v, add = d, func(c *catalogue) { c.lineages[d.ID] = *d }
			break
		}
		if _, err := strconv.ParseUint(strings.TrimSuffix(path.Base(name), ".json"), 16, 32); err != nil {
			return nil // not ours
		}
		d, id := new(timelineHistory), path.Base(path.Dir(name))
		v, add = d, func(c *catalogue) { c.timelines[walKey{id, d.Timeline}] = *d }
	case l.objects.spans():
		d := new(span)
		v, add = d, func(c *catalogue) { c.addSpan(*d) }
	case l.objects.bases():
		d := new(Base)
		v, add = d, func(c *catalogue) { c.bases[d.ID] = knownBase{*d, everywhere} }
	case l.objects.checkpoints():
		d := new(storedCheckpoint)
		v, add = d, func(c *catalogue) { c.checkpoints[d.ID] = d.checkpoint(l.objects.branch) }
	}
	if err := readObject(ctx, l.mirror, l.out, name, nil, v); err != nil {
		switch holdfast.KindOf(err) {
		case holdfast.NotFound: // removed since it was listed
			return nil
		case holdfast.Corrupt: // what it describes cannot be used, and everything else can
			l.mu.Lock()
			defer l.mu.Unlock()
			l.into.problems = append(l.into.problems, err)
			return nil
		}
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	add(l.into)
	return nil
}

// readObject reads a sealed object from the outbox, where its newest version is, or from the locations.
func readObject(ctx context.Context, m mirror, out *outbox, name string, log *damageLog, v any) error {
	if out != nil {
		if file, ok := out.read(name); ok {
			b, err := io.ReadAll(io.LimitReader(file, maxSealed))
			if err := errors.Join(err, file.Close()); err == nil {
				return unseal(name, b, v)
			}
		}
	}
	return m.readSealed(ctx, name, log, v)
}

// lineageObject describes a lineage, in its WAL folder.
const lineageObject = "lineage.json"

// storedCheckpoint is a checkpoint as it is written into the repository.
type storedCheckpoint struct {
	Version           int                       `json:"version"`
	ID                holdfast.CheckpointID     `json:"id"`
	Lineage           string                    `json:"lineage"`
	Timeline          uint32                    `json:"timeline"`
	LSN               holdfast.LSN              `json:"lsn"`
	At                time.Time                 `json:"at"`
	Label             string                    `json:"label,omitempty"`
	Reason            holdfast.CheckpointReason `json:"reason"`
	SchemaFingerprint string                    `json:"schema_fingerprint,omitempty"`
	Code              string                    `json:"code,omitempty"`
	Pinned            bool                      `json:"pinned"`
	KeptUntil         time.Time                 `json:"kept_until,omitzero"`
}

func (s storedCheckpoint) checkpoint(branch holdfast.BranchID) holdfast.Checkpoint {
	return holdfast.Checkpoint{ID: s.ID, BranchID: branch, Lineage: s.Lineage, Timeline: s.Timeline, LSN: s.LSN, At: s.At, Label: s.Label,
		Reason: s.Reason, SchemaFingerprint: s.SchemaFingerprint, Code: s.Code, Pinned: s.Pinned, KeptUntil: s.KeptUntil}
}

func storeCheckpoint(c holdfast.Checkpoint) storedCheckpoint {
	return storedCheckpoint{Version: formatVersion, ID: c.ID, Lineage: c.Lineage, Timeline: c.Timeline, LSN: c.LSN, At: c.At, Label: c.Label,
		Reason: c.Reason, SchemaFingerprint: c.SchemaFingerprint, Code: c.Code, Pinned: c.Pinned, KeptUntil: c.KeptUntil}
}
