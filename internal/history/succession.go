package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Succeed prepares next, which takes the place of the branch's server old at once: clients are held and neither runs. What old wrote last is
// taken, and the moment is written into next's data directory, so that it comes into force by the same rename as the data. A crash before
// has changed nothing. It may be repeated.
func (a *Archive) Succeed(ctx context.Context, old, next *postgres.Server) error {
	if err := a.Settle(ctx, old); err != nil {
		// A server that is broken is replaced all the same: that may be why.
		a.alerts.event(GapFound, "the last WAL before the data was replaced cannot be had: "+err.Error())
	}
	control, err := next.Control(ctx)
	if err != nil {
		return err
	}
	m, err := readMarker(next.DataDir())
	if err != nil {
		return err
	}
	if m.Branch != a.config.Branch || m.Lineage == "" { // a copy of another branch
		s, err := a.newLineage(lineage{Major: next.Installation().Major, SystemID: control.SystemID, SegmentSize: control.SegmentSize})
		if err != nil {
			return err
		}
		m = marker{Branch: a.config.Branch, Lineage: s.state.Lineage.ID}
	}
	m.Since, m.Timeline, m.From = now(), control.Timeline, control.Checkpoint
	return writeMarker(next.DataDir(), next.Account(), m)
}

// observe notes since when the data that is in the branch's place is the branch, before any WAL of it was asked for.
func (a *Archive) observe(ctx context.Context) error {
	server, err := a.server()
	if server == nil || err != nil {
		return err
	}
	m, err := a.markerOf(server)
	if err != nil || m.Branch != a.config.Branch || m.Since.IsZero() {
		return err
	}
	a.succession.Lock()
	defer a.succession.Unlock()
	last, err := a.lastSpan()
	if err != nil || last.is(m.Lineage, m.Timeline) || !m.Since.After(last.Began) {
		return err
	}
	s, err := a.spoolOf(ctx, m.Lineage)
	if err != nil || s == nil {
		return err
	}
	own, err := ownTimeline(server.DataDir(), m.Timeline)
	if err != nil {
		return err
	}
	if err := a.rememberTimelines(s, own); err != nil {
		return err
	}
	return a.putSpan(span{Lineage: m.Lineage, Timeline: m.Timeline, From: m.From, Began: m.Since})
}

// server gives the branch's server on this machine, nil where there is none.
func (a *Archive) server() (*postgres.Server, error) {
	if a.config.Server == nil {
		return nil, nil
	}
	server, err := a.config.Server()
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil, nil
	}
	return server, err
}

// ownTimeline reads the history of a server's timeline from its files. The first timeline has none, and neither has a copy's whose origin's was not copied.
func ownTimeline(dataDir string, timeline uint32) (timelineHistory, error) {
	if timeline <= 1 {
		return timelineHistory{}, nil
	}
	content, err := os.ReadFile(filepath.Join(dataDir, "pg_wal", timelineFile(timeline)))
	if errors.Is(err, fs.ErrNotExist) {
		return timelineHistory{}, nil
	}
	if err != nil {
		return timelineHistory{}, fmt.Errorf("read the server's timeline: %w", err)
	}
	return timelineHistory{Version: formatVersion, Timeline: timeline, Content: string(content)}, nil
}

// ensureSpan notes that this lineage and timeline are the branch, unless they were already: since the moment that was recorded when the data was
// put in the branch's place. It is never the time of the call: clients may have committed before.
func (a *Archive) ensureSpan(ctx context.Context, s *spool, server *postgres.Server, admin *pgx.Conn, at fork) error {
	a.succession.Lock()
	defer a.succession.Unlock()
	id := s.state.Lineage.ID
	last, err := a.lastSpan()
	if err != nil || last.is(id, at.timeline) {
		return err
	}
	m, err := a.markerOf(server)
	if err != nil {
		return err
	}
	began := m.Since
	if m.Lineage != id || m.Timeline != at.timeline || !began.After(last.Began) {
		if began, err = unrecordedBegin(ctx, server, admin, at.timeline, last); err != nil {
			return err
		}
	}
	return a.putSpan(span{Lineage: id, Timeline: at.timeline, From: at.end, Began: began})
}

// unrecordedBegin is for data that nobody announced, such as a folder that was changed by hand. Nothing was committed on a timeline before its history
// was written, nor in data that was put in place of other data before the server started.
func unrecordedBegin(ctx context.Context, server *postgres.Server, admin *pgx.Conn, timeline uint32, last span) (time.Time, error) {
	if last.ID == "" {
		return now(), nil // there is nothing before it that it could be taken for
	}
	if info, err := os.Stat(filepath.Join(server.DataDir(), "pg_wal", timelineFile(timeline))); err == nil && info.ModTime().After(last.Began) {
		return info.ModTime().UTC().Truncate(time.Microsecond), nil
	}
	var began time.Time
	if err := admin.QueryRow(ctx, "SELECT pg_postmaster_start_time()").Scan(&began); err != nil {
		return time.Time{}, fmt.Errorf("ask when the server started: %w", err)
	}
	return later(began.UTC(), last.Began.Add(time.Microsecond)), nil
}

// putSpan stores a span. The caller holds succession.
func (a *Archive) putSpan(next span) error {
	next.Version, next.ID = formatVersion, newID(next.Began)
	if err := a.putSealed(a.objects.span(next.ID), next); err != nil {
		return err
	}
	a.note(func(c *catalogue) { c.addSpan(next) })
	return writeJSON(a.path(spanFile), next)
}

// is says whether the span is of that lineage and timeline.
func (s span) is(lineage string, timeline uint32) bool {
	return s.Lineage == lineage && s.Timeline == timeline
}

// spanFile remembers the last span on this machine.
const spanFile = "span.json"

func (a *Archive) lastSpan() (span, error) {
	var last span
	return last, readJSON(a.path(spanFile), &last)
}
