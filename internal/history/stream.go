package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

const (
	flushEvery    = 500 * time.Millisecond // bounds what the loss of this machine's memory costs
	statusEvery   = 10 * time.Second       // asks for an answer too, so that an idle server is heard
	silentAtMost  = 35 * time.Second       // without any message the connection is dead
	catchUpAtMost = 15 * time.Second       // longer than the pause before another try
	attachAtMost  = 30 * time.Second
	retryFirst    = 100 * time.Millisecond
	retryLast     = 5 * time.Second
)

// stream receives the WAL of one server until it is detached.
type stream struct {
	server  *postgres.Server
	cancel  context.CancelFunc
	ended   chan struct{}
	ready   chan struct{} // closed when the first session streams
	reached holdfast.LSN  // up to where the last session came
	gap     holdfast.LSN  // the server has thrown away what is missing from here on, and nothing has come since; zero: no

	position atomic.Uint64 // flushed on this machine
	sent     atomic.Uint64 // the newest position that the server spoke of
	caughtUp atomic.Int64  // when the two were last equal, in Unix microseconds; zero while not connected

	lastWhole atomic.Int64           // as caughtUp, but remembered when the connection is lost
	broken    atomic.Pointer[string] // why the last session ended
}

// Attach begins to stream the server's WAL and returns when it does. It tries until then, or until ctx ends; afterwards it goes
// on, over restarts of the server and lost connections, until Detach. The server must be the branch's own.
func (a *Archive) Attach(ctx context.Context, server *postgres.Server) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	st := &stream{server: server, cancel: cancel, ended: make(chan struct{}), ready: make(chan struct{})}
	a.mu.Lock()
	if a.stream != nil {
		a.mu.Unlock()
		cancel()
		return &holdfast.Error{Kind: holdfast.Conflict, Message: "the branch's WAL is being streamed already"}
	}
	a.stream = st
	a.mu.Unlock()
	lastErr := make(chan error, 1)
	a.work.Go(func() {
		defer close(st.ended)
		a.receive(life, st, lastErr)
	})
	select {
	case <-st.ready:
		return nil
	case <-st.ended:
		return &holdfast.Error{Kind: holdfast.Canceled, Message: "the history was closed"}
	case <-ctx.Done():
		a.detach()
		return errors.Join(fmt.Errorf("stream WAL: %w", ctx.Err()), <-lastErr)
	}
}

// Detach ends streaming when everything that the server has written so far is on this machine's disk, and brings the rest of
// the unfinished segment on its way to the locations. It works on a running server, and on one that was stopped, whose last bytes it
// takes from its files where it must; that is how a branch goes to sleep without losing any. Sync waits for the locations.
func (a *Archive) Detach(ctx context.Context) error {
	a.mu.Lock()
	st := a.stream
	a.mu.Unlock()
	if st == nil {
		return nil
	}
	err := a.drain(ctx, st)
	a.detach()
	if err != nil {
		err = a.takeFromFiles(ctx, st.server, err)
	}
	return errors.Join(err, a.uploadPartial(false))
}

// takeFromFiles takes the last WAL of a server that does not run. For one that runs there is only the reason why its WAL does not come.
func (a *Archive) takeFromFiles(ctx context.Context, server *postgres.Server, reason error) error {
	running, err := server.Adopt()
	if err != nil {
		return errors.Join(reason, err)
	}
	if running {
		return reason
	}
	return a.Settle(ctx, server)
}

// catchUp takes what the branch's server has written until now: over the stream while the server runs, which may have to begin first, as after a restore
// or a crash; else from its files.
func (a *Archive) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attachAtMost)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		again, err := a.catchUpOnce(ctx)
		if !again {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the history does not reach that moment yet: the branch's server does not answer, or its WAL is not being streamed",
				Hint: "try again in a minute; the log says what keeps it", Cause: err}
		}
	}
}

// catchUpOnce says whether to try again because the server or the stream is just beginning or ending.
func (a *Archive) catchUpOnce(ctx context.Context) (again bool, err error) {
	a.mu.Lock()
	st := a.stream
	a.mu.Unlock()
	var server *postgres.Server
	if st != nil {
		server = st.server
		target, err := serverPosition(ctx, server)
		if err == nil {
			err = a.waitFlushed(ctx, st, target, min(catchUpAtMost, a.patience))
			select {
			case <-st.ended:
				return err != nil, err
			default:
				return false, err
			}
		}
	} else if server, err = a.server(); server == nil || err != nil {
		return false, err
	}
	running, err := server.Adopt()
	if running || err != nil {
		return running, err
	}
	return false, a.Settle(ctx, server)
}

// drain waits for what a running server has. An error says that it does not run, or that its WAL does not come.
func (a *Archive) drain(ctx context.Context, st *stream) error {
	target, err := serverPosition(ctx, st.server)
	if err != nil {
		return err
	}
	return a.waitFlushed(ctx, st, target, a.patience)
}

// detach ends streaming at once.
func (a *Archive) detach() {
	a.mu.Lock()
	st := a.stream
	a.stream = nil
	a.mu.Unlock()
	if st != nil {
		st.cancel()
		<-st.ended
		for _, kind := range []AlertKind{StreamBroken, StreamLags, SlotAtRisk} {
			a.alerts.clear(kind)
		}
	}
}

// WaitFlushed returns when the attached server's WAL is on this machine's disk up to lsn. It gives up when none arrives for a minute.
func (a *Archive) WaitFlushed(ctx context.Context, lsn holdfast.LSN) error {
	a.mu.Lock()
	st := a.stream
	a.mu.Unlock()
	if st == nil {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the branch's WAL is not being streamed"}
	}
	return a.waitFlushed(ctx, st, lsn, a.patience)
}

// waitFlushed waits as long as WAL arrives, and for patience when none does.
func (a *Archive) waitFlushed(ctx context.Context, st *stream, lsn holdfast.LSN, patience time.Duration) error {
	stalled := time.NewTimer(patience)
	defer stalled.Stop()
	for last := holdfast.LSN(st.position.Load()); ; {
		a.mu.Lock()
		flushed := a.flushed
		a.mu.Unlock()
		at := holdfast.LSN(st.position.Load())
		if at >= lsn {
			return nil
		}
		if at != last {
			last = at
			stalled.Reset(patience)
		}
		select {
		case <-flushed:
		case <-stalled.C:
			return st.stalledError(at, lsn, patience)
		case <-st.ended:
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the WAL stream ended"}
		case <-ctx.Done():
			return fmt.Errorf("wait for WAL up to %s: %w", lsn, ctx.Err())
		}
	}
}

func (s *stream) stalledError(at, lsn holdfast.LSN, patience time.Duration) error {
	e := &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the server's WAL is needed up to %s, but it has arrived up to %s only and none came for %s", lsn, at, patience),
		Hint: "the log says why the WAL stream is broken; it is tried again all the time"}
	if reason := s.broken.Load(); reason != nil {
		e.Cause = errors.New(*reason)
	}
	return e
}

// receive holds sessions with the server, one after the other. Only WAL that arrives makes the pauses short again: a server that accepts a
// connection and then breaks it is asked ever more rarely.
func (a *Archive) receive(ctx context.Context, st *stream, lastErr chan error) {
	pause, brokenSince := retryFirst, time.Time{}
	remember := func(err error) {
		select {
		case <-lastErr:
		default:
		}
		lastErr <- err
	}
	remember(nil)
	for ctx.Err() == nil {
		err := a.hold(ctx, st, func() {
			pause, brokenSince, st.gap = retryFirst, time.Time{}, 0
			st.broken.Store(nil)
		})
		if ctx.Err() != nil {
			return
		}
		remember(err)
		reason := fmt.Sprint(err)
		st.broken.Store(&reason)
		brokenSince = a.judge(st, err, brokenSince)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, retryLast)
	}
}

// hold holds one session, from connecting to its end. delivers is called when it brings WAL, or the server has no more.
func (a *Archive) hold(ctx context.Context, st *stream, delivers func()) error {
	a.session.Lock()
	defer a.session.Unlock()
	s, err := a.connect(ctx, st.server, st)
	if err != nil {
		return err
	}
	a.streaming(ctx, st)
	err = a.run(ctx, st, s, delivers)
	st.caughtUp.Store(0)
	st.position.Store(0) // the next session may be of other data, whose positions are smaller
	_ = s.close(ctx)     // whether the server heard of it or not, the next session ends it
	var flushErr error
	st.reached, flushErr = s.spool.flush()
	return errors.Join(err, flushErr, s.spool.close())
}

// streaming is called when a session streams.
func (a *Archive) streaming(ctx context.Context, st *stream) {
	a.alerts.clear(StreamBroken)
	st.caughtUp.Store(time.Now().UnixMicro())
	select {
	case <-st.ready:
	default:
		close(st.ready)
	}
	a.work.Go(func() { a.checkBase(ctx) })
}

// judge says what a session's end means. It returns since when the stream has been broken.
func (a *Archive) judge(st *stream, err error, since time.Time) time.Time {
	var down *unreachableError
	var pg *pgconn.PgError
	switch {
	case err == nil || errors.Is(err, errTimelineEnded) || errors.As(err, &down):
		return time.Time{}
	case errors.Is(err, errDiverged):
		// The next session finds no lineage that the server carries on.
		a.alerts.event(NewLineage, err.Error())
		if err := a.unmark(st.server); err != nil {
			a.log.Error("the lineage could not be ended", "err", err)
		}
		return time.Time{}
	case errors.As(err, &pg) && pg.Code == "58P01" && st.gap == 0: // undefined_file: the segment was removed
		st.gap = st.reached
		a.alerts.event(GapFound, "WAL was lost: "+pg.Message)
		return time.Time{}
	}
	a.log.Info("the WAL stream broke and is tried again", "err", err)
	if since.IsZero() {
		since = time.Now()
	}
	if time.Since(since) > a.config.MaxLag {
		a.alerts.raise(StreamBroken, "the server's WAL does not arrive: "+err.Error())
	}
	return since
}

var errTimelineEnded = errors.New("the server went on to another timeline")

// run receives until the session ends.
func (a *Archive) run(ctx context.Context, st *stream, s *session, delivers func()) error {
	loop := &receiving{archive: a, stream: st, session: s, heard: time.Now(), began: s.have, delivers: delivers}
	for {
		msgCtx, cancel := context.WithDeadline(ctx, loop.nextDue())
		msg, err := s.conn.ReceiveMessage(msgCtx)
		cancel()
		if err != nil && (ctx.Err() != nil || !pgconn.Timeout(err)) {
			return fmt.Errorf("receive WAL: %w", err)
		}
		if err == nil {
			loop.heard = time.Now()
			if err := loop.take(ctx, msg); err != nil {
				return err
			}
		}
		if err := loop.due(ctx); err != nil {
			return err
		}
	}
}

// receiving is the state of one session's loop.
type receiving struct {
	archive   *Archive
	stream    *stream
	session   *session
	written   time.Time // when the oldest byte was written that is not flushed; zero: none
	heard     time.Time
	lastReply time.Time
	received  holdfast.LSN
	reply     bool         // the server wants to hear of us now
	told      bool         // the server has said in this session how far it is
	began     holdfast.LSN // up to where there was WAL when the session began
	delivers  func()
}

func (r *receiving) nextDue() time.Time {
	next := r.lastReply.Add(statusEvery)
	if !r.written.IsZero() && r.written.Add(flushEvery).Before(next) {
		next = r.written.Add(flushEvery)
	}
	if t := time.Now(); next.Before(t) {
		return t.Add(time.Millisecond)
	}
	return next
}

// take handles one message.
func (r *receiving) take(ctx context.Context, msg pgproto3.BackendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		return r.takeData(msg.Data)
	case *pgproto3.CopyDone:
		// The end of a timeline that is not the server's own. Its last segment is not continued here.
		if _, err := r.session.spool.flush(); err != nil {
			return err
		}
		return errors.Join(errTimelineEnded, r.session.spool.endTimeline(r.session.timeline))
	case *pgproto3.ErrorResponse:
		return pgconn.ErrorResponseToPgError(msg)
	}
	return nil
}

func (r *receiving) takeData(data []byte) error {
	if len(data) == 0 {
		return errors.New("the server sent an empty message")
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		m, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return fmt.Errorf("understand the server's keepalive: %w", err)
		}
		r.reply = r.reply || m.ReplyRequested
		r.stream.sent.Store(uint64(m.ServerWALEnd))
		r.told = true
	case pglogrepl.XLogDataByteID:
		m, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return fmt.Errorf("understand the server's WAL message: %w", err)
		}
		if err := r.archive.checkDisk(); err != nil {
			return err
		}
		if err := r.session.spool.write(holdfast.LSN(m.WALStart), m.WALData); err != nil {
			return err
		}
		r.received = holdfast.LSN(m.WALStart) + holdfast.LSN(len(m.WALData))
		r.stream.sent.Store(uint64(max(m.ServerWALEnd, pglogrepl.LSN(r.received))))
		if r.written.IsZero() {
			r.written = time.Now()
		}
	}
	return nil
}

// due flushes and answers when it is time. A server that is shutting down waits for the answer that its last record is safe.
func (r *receiving) due(ctx context.Context) error {
	now := time.Now()
	if now.Sub(r.heard) > silentAtMost {
		return errors.New("the server has been silent for too long")
	}
	flush := !r.written.IsZero() && (r.reply || now.Sub(r.written) >= flushEvery)
	if !flush && !r.reply && now.Sub(r.lastReply) < statusEvery {
		return nil
	}
	flushed, err := r.session.spool.flush()
	if err != nil {
		return err
	}
	r.written = time.Time{}
	if flushed > r.began || r.told && uint64(flushed) >= r.stream.sent.Load() {
		r.delivers()
	}
	r.archive.arrived(r.stream, flushed)
	ask := now.Sub(r.lastReply) >= statusEvery
	err = pglogrepl.SendStandbyStatusUpdate(ctx, r.session.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(flushed), WALFlushPosition: pglogrepl.LSN(flushed), ReplyRequested: ask})
	if err != nil {
		return fmt.Errorf("answer the server: %w", err)
	}
	r.lastReply, r.reply = now, false
	return r.archive.checkSpool()
}

// arrived tells everybody who waits that WAL is on the disk.
func (a *Archive) arrived(st *stream, flushed holdfast.LSN) {
	st.position.Store(uint64(flushed))
	t := time.Now()
	if uint64(flushed) >= st.sent.Load() {
		st.caughtUp.Store(t.UnixMicro())
		st.lastWhole.Store(t.UnixMicro())
		a.alerts.clear(StreamLags)
	} else if last := st.caughtUp.Load(); last != 0 && t.Sub(time.UnixMicro(last)) > a.config.MaxLag {
		a.alerts.raise(StreamLags, fmt.Sprintf("the server is at %s, and only WAL up to %s has arrived", holdfast.LSN(st.sent.Load()), flushed))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.flushed)
	a.flushed = make(chan struct{})
}

// diskReserve is what the history leaves free where its WAL arrives. When databases have filled the disk, what brings space back has to be noted
// there, too: the removal of a branch, or the first bytes that somebody frees.
const diskReserve = 8 << 20

// checkDisk stops the stream while the disk is all but full.
func (a *Archive) checkDisk() error {
	space, err := volume.SpaceOf(a.config.Dir)
	if err != nil || space.Free >= diskReserve {
		return err
	}
	message := fmt.Sprintf("the disk has less than %d MB left; the server keeps further WAL itself, as much as it may", diskReserve>>20)
	a.alerts.raise(SpoolFull, message)
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: message}
}

// checkSpool stops the stream while too much waits on this machine.
func (a *Archive) checkSpool() error {
	if err := a.checkDisk(); err != nil {
		return err
	}
	if n, _, _ := a.outbox.backlog(); int64(n)*postgres.DefaultSegmentSize < a.config.MaxSpool { // cannot be too much
		a.alerts.clear(SpoolFull)
		return nil
	}
	var size int64
	err := filepath.WalkDir(a.config.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return gone(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return gone(err)
	})
	if err != nil {
		return fmt.Errorf("measure the spool: %w", err)
	}
	if size <= a.config.MaxSpool {
		a.alerts.clear(SpoolFull)
		return nil
	}
	message := fmt.Sprintf("%d MB of history wait on this machine; the server keeps further WAL itself, as much as it may", size>>20)
	a.alerts.raise(SpoolFull, message)
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: message}
}
