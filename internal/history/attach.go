package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// slotName is the replication slot on every server. Slots are never copied, so each server has its own.
const slotName = "holdfast"

// session is one replication connection that sends WAL.
type session struct {
	conn     *pgconn.PgConn
	spool    *spool
	timeline uint32
	have     holdfast.LSN // up to where there is WAL already; the server sends the rest of its segment again
}

func (s *session) close(ctx context.Context) error { return s.conn.Close(context.WithoutCancel(ctx)) }

// connect opens a session: it decides what the server's WAL is the continuation of, and from where it is needed.
func (a *Archive) connect(ctx context.Context, server *postgres.Server, st *stream) (*session, error) {
	admin, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return nil, &unreachableError{err}
	}
	defer admin.Close(context.WithoutCancel(ctx))
	slot, err := a.ensureSlot(ctx, admin, st.gap)
	if err != nil {
		return nil, err
	}
	// Every session brings something, so a full spool must be noticed before one begins.
	if err := a.checkSpool(); err != nil {
		return nil, err
	}
	conn, err := server.ConnectReplication(ctx)
	if err != nil {
		return nil, &unreachableError{err}
	}
	s, err := a.negotiate(ctx, server, admin, conn, slot, st)
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// unreachableError says that the server does not answer: it sleeps, starts or died, which is not the history's concern.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return "the server does not answer: " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// ensureSlot makes the slot where it is missing or lost, and says from where it holds WAL. One that is not beyond the gap is made anew:
// an answer of ours can have moved it back to WAL that is gone, and PostgreSQL calls such a slot reserved all the same.
func (a *Archive) ensureSlot(ctx context.Context, admin *pgx.Conn, gap holdfast.LSN) (holdfast.LSN, error) {
	var restart, status *string
	var pid *int
	var atRisk bool
	err := admin.QueryRow(ctx, `SELECT restart_lsn::text, wal_status, active_pid,
		coalesce(wal_status = 'unreserved' OR safe_wal_size < pg_size_bytes(current_setting('max_slot_wal_keep_size')) / 4, false)
		FROM pg_replication_slots WHERE slot_name = $1`, slotName).Scan(&restart, &status, &pid, &atRisk)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return a.createSlot(ctx, admin)
	case err != nil:
		return 0, fmt.Errorf("look at the replication slot: %w", err)
	case pid != nil:
		// A connection of ours that the server still believes in, from before a crash of this program, say.
		if _, err := admin.Exec(ctx, "SELECT pg_terminate_backend($1, 5000)", *pid); err != nil {
			return 0, fmt.Errorf("end the old replication connection: %w", err)
		}
	}
	var from holdfast.LSN
	if restart != nil {
		if from, err = holdfast.ParseLSN(*restart); err != nil {
			return 0, err
		}
	}
	if status != nil && *status == "lost" || from <= gap {
		if _, err := admin.Exec(ctx, "SELECT pg_drop_replication_slot($1)", slotName); err != nil {
			return 0, fmt.Errorf("drop the lost replication slot: %w", err)
		}
		return a.createSlot(ctx, admin)
	}
	if atRisk {
		a.alerts.raise(SlotAtRisk, "the server has nearly as much WAL to keep as it may, and throws away what has not arrived when it has more")
	} else {
		a.alerts.clear(SlotAtRisk)
	}
	return from, nil
}

func (a *Archive) createSlot(ctx context.Context, admin *pgx.Conn) (holdfast.LSN, error) {
	var restart string
	_, err := admin.Exec(ctx, "SELECT pg_create_physical_replication_slot($1, true)", slotName)
	if err == nil {
		err = admin.QueryRow(ctx, "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = $1", slotName).Scan(&restart)
	}
	if err != nil {
		return 0, fmt.Errorf("create the replication slot: %w", postgres.Explain(err))
	}
	return holdfast.ParseLSN(restart)
}

// negotiate finds the place to go on from and starts the stream there.
func (a *Archive) negotiate(ctx context.Context, server *postgres.Server, admin *pgx.Conn, conn *pgconn.PgConn, slot holdfast.LSN, st *stream) (*session, error) {
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("identify the server: %w", err)
	}
	flushed, timeline := holdfast.LSN(system.XLogPos), uint32(system.Timeline)
	way := []fork{{timeline, endless}}
	var own timelineHistory
	if timeline > 1 {
		result, err := pglogrepl.TimelineHistory(ctx, conn, system.Timeline)
		if err != nil {
			return nil, fmt.Errorf("ask for the timeline's history: %w", err)
		}
		own = timelineHistory{Version: formatVersion, Timeline: timeline, Content: string(result.Content)}
		if way, err = own.forks(); err != nil {
			return nil, err
		}
	}
	sp, at, err := a.resume(ctx, server, way, flushed)
	if err != nil {
		return nil, err
	}
	if sp != nil && server.Elsewhere() && strconv.FormatUint(sp.state.Lineage.SystemID, 10) != system.SystemID {
		a.alerts.event(NewLineage, "another database cluster answers at the server's address")
		sp = nil // its marker lies here, not with the data
	}
	if st.gap != 0 && sp != nil { // the server no longer has what is missing
		at = fork{timeline, min(slot, flushed)}
		if err := sp.skipTo(at.timeline, at.end); err != nil {
			return nil, err
		}
	}
	if sp == nil {
		if sp, err = a.beginLineage(ctx, server, admin, system.SystemID); err != nil {
			return nil, err
		}
		at = fork{timeline, flushed}
	}
	if err := a.rememberTimelines(sp, own); err != nil {
		return nil, err
	}
	start, err := sp.begin(at.timeline, at.end)
	if err != nil {
		return nil, err
	}
	if err := pglogrepl.StartReplication(ctx, conn, slotName, pglogrepl.LSN(start), pglogrepl.StartReplicationOptions{Timeline: int32(at.timeline), Mode: pglogrepl.PhysicalReplication}); err != nil {
		return nil, fmt.Errorf("start the WAL stream at %s on timeline %d: %w", start, at.timeline, err)
	}
	if err := a.use(sp); err != nil {
		return nil, err
	}
	from := at.end
	if at.timeline != timeline {
		from = way[len(way)-2].end
	}
	if err := a.ensureSpan(ctx, sp, server, admin, fork{timeline, from}); err != nil {
		return nil, err
	}
	have, err := sp.flush()
	st.position.Store(uint64(have))
	st.sent.Store(uint64(max(have, flushed)))
	return &session{conn: conn, spool: sp, timeline: at.timeline, have: have}, err
}

// resume finds the lineage that the server's data directory carries on and the place from which its WAL is missing: a timeline
// and a position on it. The spool is nil when the data is nobody's continuation.
func (a *Archive) resume(ctx context.Context, server *postgres.Server, way []fork, flushed holdfast.LSN) (*spool, fork, error) {
	m, err := a.markerOf(server)
	if err != nil {
		return nil, fork{}, err
	}
	if m.Branch != a.config.Branch || m.Lineage == "" {
		return nil, fork{}, nil
	}
	s, err := a.spoolOf(ctx, m.Lineage)
	if err != nil || s == nil {
		return nil, fork{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for timeline, h := range s.state.Known {
		stored, err := h.forks()
		if err != nil {
			return nil, fork{}, err
		}
		if slices.ContainsFunc(way, func(f fork) bool { return f.timeline == timeline }) && !sameWay(way, stored, timeline) {
			a.alerts.event(NewLineage, fmt.Sprintf("timeline %d of the server is not the timeline %d that the archive has", timeline, timeline))
			return nil, fork{}, nil
		}
	}
	if s.untouched() { // begun when the data came here, see Succeed
		return s, fork{way[len(way)-1].timeline, flushed}, nil
	}
	known := false
	for i, f := range way {
		end, ok := s.endOf(f.timeline)
		switch {
		case !ok && !known:
			continue // from before the archive began
		case !ok:
			return s, fork{f.timeline, way[i-1].end}, nil
		case f.end == endless && end > flushed:
			a.alerts.event(NewLineage, fmt.Sprintf("the server is at %s, but the archive has WAL up to %s", flushed, end))
			return nil, fork{}, nil
		case end < f.end:
			return s, fork{f.timeline, end}, nil
		}
		known = true
	}
	return nil, fork{}, nil
}

// spoolOf gives the spool of a lineage. One that this machine does not know is looked up at the locations, as after a move to
// another machine; nil when nobody knows it.
func (a *Archive) spoolOf(ctx context.Context, id string) (*spool, error) {
	a.mu.Lock()
	s := a.spools[id]
	a.mu.Unlock()
	if s != nil {
		return s, nil
	}
	var state tails
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		l, ok := c.lineages[id]
		if !ok {
			return nil
		}
		state = tails{Lineage: l, Ends: map[uint32]holdfast.LSN{}, Carries: map[uint32]*walCarry{}, Known: map[uint32]timelineHistory{}}
		for key, list := range c.segments {
			if key.lineage == id {
				state.Ends[key.timeline] = list[len(list)-1].endLSN()
			}
		}
		for key, h := range c.timelines {
			if key.lineage == id {
				state.Known[key.timeline] = h
			}
		}
		return nil
	})
	if err != nil || state.Lineage.ID == "" {
		return nil, err
	}
	return a.addSpool(state)
}

// addSpool makes the spool of a lineage on this machine.
func (a *Archive) addSpool(state tails) (*spool, error) {
	dir := filepath.Join(a.path("wal"), state.Lineage.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the WAL spool: %w", err)
	}
	if err := writeJSON(filepath.Join(dir, tailsFile), state); err != nil {
		return nil, err
	}
	if err := errors.Join(postgres.SyncDir(a.path("wal")), postgres.SyncDir(a.path(""))); err != nil {
		return nil, err
	}
	s, err := openSpool(dir, state.Lineage, a.log, a.finished)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spools[state.Lineage.ID] = s
	return s, nil
}

// beginLineage starts the history of a running server's data directory that continues nothing.
func (a *Archive) beginLineage(ctx context.Context, server *postgres.Server, admin *pgx.Conn, system string) (*spool, error) {
	l := lineage{}
	var size string
	if err := admin.QueryRow(ctx, "SELECT setting, current_setting('server_version_num')::int / 10000 FROM pg_settings WHERE name = 'wal_segment_size'").Scan(&size, &l.Major); err != nil {
		return nil, fmt.Errorf("ask for the version and the size of WAL segments: %w", err)
	}
	if _, err := fmt.Sscan(system+" "+size, &l.SystemID, &l.SegmentSize); err != nil {
		return nil, fmt.Errorf("understand what the server says about itself: %w", err)
	}
	s, err := a.newLineage(l)
	if err != nil {
		return nil, err
	}
	return s, a.mark(server, marker{Branch: a.config.Branch, Lineage: s.state.Lineage.ID})
}

// newLineage names and stores a lineage. Its marker is for the caller to write, last: a crash before leaves a lineage without WAL, which hurts nobody.
func (a *Archive) newLineage(l lineage) (*spool, error) {
	l.Version, l.Began = formatVersion, now()
	l.ID = newID(l.Began)
	s, err := a.addSpool(tails{Lineage: l, Ends: map[uint32]holdfast.LSN{}, Carries: map[uint32]*walCarry{}, Known: map[uint32]timelineHistory{}})
	if err != nil {
		return nil, err
	}
	if err := a.putSealed(a.objects.lineage(l.ID), l); err != nil {
		return nil, err
	}
	a.note(func(c *catalogue) { c.lineages[l.ID] = l })
	a.log.Info("a new lineage begins", "lineage", l.ID)
	return s, nil
}

// rememberTimelines stores the history of the server's timeline, which a restore needs. Those of the timelines before it are its own beginning.
func (a *Archive) rememberTimelines(s *spool, own timelineHistory) error {
	if own.Timeline == 0 {
		return nil
	}
	id := s.state.Lineage.ID
	if !s.learn(own) {
		return nil
	}
	if err := a.putSealed(a.objects.timeline(id, own.Timeline), own); err != nil {
		return err
	}
	a.note(func(c *catalogue) { c.timelines[walKey{id, own.Timeline}] = own })
	return s.saveNow()
}

// use makes the spool the one whose unfinished segment is brought away, and finishes what another left.
func (a *Archive) use(s *spool) error {
	a.mu.Lock()
	before := a.spools[a.lineage]
	a.lineage = s.state.Lineage.ID
	a.mu.Unlock()
	if before != nil && before != s {
		return before.leave()
	}
	return nil
}

// serverPosition asks where the server's own disk has WAL up to.
func serverPosition(ctx context.Context, server *postgres.Server) (holdfast.LSN, error) {
	admin, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return 0, err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	var text string
	if err := admin.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return 0, fmt.Errorf("ask for the server's WAL position: %w", err)
	}
	return holdfast.ParseLSN(text)
}
