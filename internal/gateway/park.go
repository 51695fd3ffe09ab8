package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
)

// A client that is idle and clean does not need a server process. Its session is parked: the connection to the server is closed
// and the branch let go, while the client's own connection stays. With the client's next message the session comes back: it waits where the
// branch is held, wakes it, logs in with the key that the client's proof yielded, and gives the new process what the former one knew.

// examineTimeout bounds how long a session's server may take to tell its state, and the client to take what came before.
const examineTimeout = 10 * time.Second

// parkAtOnce is how many sessions of a branch are parked at a time.
const parkAtOnce = 16

// parkOutcome is what became of the wish to park a session.
type parkOutcome int

const (
	parked    parkOutcome = iota // it has no server process
	left                         // it has ended
	busy                         // it is in a transaction, or the client has sent something
	listening                    // it waits for notifications
	stuck                        // it has a state that cannot be carried
)

// parkWish is somebody's wish to park a session, which downstream grants or not.
type parkWish struct {
	outcome chan parkOutcome // holds one
	why     error            // of stuck; written before outcome
}

// Rest takes every session off the branch's server that does not need it now, for a server that is about to stop. Clients
// notice nothing: idle sessions are parked and come back with the client's next message. Those with a state that cannot be carried to
// another server process (temporary objects, advisory locks, open cursors, statements prepared in SQL, parameters of the client's own) are
// ended with 57P01. Sessions in a transaction are left as they are. It is Busy, and ends nothing, when one listens for notifications.
func (g *Gateway) Rest(ctx context.Context, ref holdfast.BranchRef) error {
	b := g.branches.get(ref)
	b.resting.Lock()
	defer b.resting.Unlock()
	limit := make(chan struct{}, parkAtOnce)
	var mu sync.Mutex
	var listens int
	ends := map[*session]error{}
	var all sync.WaitGroup
	for _, s := range b.inside() {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			outcome, why := s.park(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch outcome {
			case listening:
				listens++
			case stuck:
				ends[s] = why
			}
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if listens > 0 {
		return &holdfast.Error{Kind: holdfast.Busy, Message: "a session listens for notifications", Hint: "end it (UNLISTEN *), or insist"}
	}
	for s, why := range ends {
		s.endWhenIdle(cannotRest(why))
	}
	for s := range ends {
		select {
		case <-s.gone:
		case <-time.After(g.settings.EndGrace): // it was used just now
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// inside returns the sessions that have a server process.
func (b *branch) inside() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	var in []*session
	for s := range b.sessions {
		if s.attached {
			in = append(in, s)
		}
	}
	return in
}

// park takes the session off its server if it is idle and clean. why says what a stuck session has.
func (s *session) park(ctx context.Context) (_ parkOutcome, why error) {
	if s.link.Load() == nil {
		return parked, nil
	}
	if s.busy.Load() {
		return busy, nil
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	w := &parkWish{outcome: make(chan parkOutcome, 1)}
	if !s.wish.CompareAndSwap(nil, w) {
		return busy, nil
	}
	s.rouse()
	select {
	case outcome := <-w.outcome:
		return outcome, w.why
	case <-s.gone:
		return left, nil
	case <-ctx.Done():
		if s.wish.CompareAndSwap(w, nil) {
			return busy, nil
		}
		select { // it is being granted, which ends by itself
		case outcome := <-w.outcome:
			return outcome, w.why
		case <-s.gone:
			return left, nil
		}
	}
}

// grant parks the session if it may be, and says whether it has. Only downstream calls it, between two messages.
func (s *session) grant(ctx context.Context, l *link, f *frames) bool {
	w := s.wish.Swap(nil)
	if w == nil {
		return false
	}
	outcome := busy
	if s.mu.TryLock() {
		outcome, w.why = s.tryPark(ctx, l, f)
		s.mu.Unlock()
	}
	w.outcome <- outcome
	return outcome == parked
}

// tryPark examines the session and lets its server process go. The caller holds mu, so that the client's messages wait.
func (s *session) tryPark(ctx context.Context, l *link, f *frames) (parkOutcome, error) {
	_ = l.conn.SetReadDeadline(time.Time{}) // fails only when it is closed
	switch {
	case s.ending.Load() != nil || s.link.Load() != l:
		return busy, nil
	case !s.watch.quiet() || s.watch.asked != f.readies || f.status != 'I':
		// A client may have sent the next queries before it got the answer to the last.
		return busy, nil
	case s.watch.own:
		return stuck, &unfit{"parameters of its own"}
	}
	limited, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	st, others, err := examine(limited, l.conn)
	if len(others) > 0 {
		f.scan(others)
		if _, err := s.visit.stream().Write(others); err != nil {
			_ = l.conn.Close() // and so downstream ends
			return left, nil
		}
	}
	var no *unfit
	switch {
	case errors.Is(err, errListens):
		return listening, nil
	case errors.As(err, &no):
		return stuck, err
	case err != nil:
		_ = l.conn.Close() // what the server says from here on is not for the client
		return left, nil
	}
	if terminate, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_, _ = l.conn.Write(terminate) // closing says the same
	}
	// Until its process has gone it looks like one that was used just now.
	_ = l.conn.SetReadDeadline(time.Now().Add(s.gateway.settings.EndGrace))
	_, _ = io.Copy(io.Discard, l.conn)
	s.state = st
	s.link.Store(nil)
	s.branch.park(s)
	l.release()
	return parked, nil
}

// awaitReturn waits while the session is parked. It returns nil when the session is to end, or the client has gone.
func (s *session) awaitReturn() *link {
	for {
		if s.ending.Load() != nil || s.left.Load() {
			return nil
		}
		if l := s.link.Load(); l != nil {
			return l
		}
		<-s.poke
	}
}

// leave says that the client of a parked session has gone. The caller holds mu.
func (s *session) leave() {
	s.left.Store(true)
	s.rouse()
}

// comeBack gives a parked session a server process again. p is what the client says first. The caller holds mu. When it fails, the
// session is about to end with the reason.
func (s *session) comeBack(ctx context.Context, p []byte) error {
	err := s.comeBackTo(ctx, p)
	switch {
	case err == nil:
		s.rouse()
	case errors.Is(err, errClientGone):
		s.leave()
	default:
		s.gateway.log.Info("a session did not come back", "branch", s.branch.ref.String(), "err", err)
		s.end(s.reasonOf(err))
	}
	return err
}

func (s *session) comeBackTo(ctx context.Context, p []byte) error {
	if usesUnnamed(p) {
		return &unfit{"an unnamed statement of its former server process"}
	}
	there, stop, err := s.visit.whileThere(ctx)
	if err != nil {
		return err
	}
	_, err = s.comeWhenOpen(there)
	stop()
	if err == nil {
		s.state = nil
	}
	if err == nil && s.gateway.draining.Load() {
		s.whenIdle.Store(stopping())
	}
	return err
}

// reasonOf is what the client is told when its session cannot come back.
func (s *session) reasonOf(err error) *refusal {
	var theirs *serverRefusal
	var no *unfit
	switch {
	case errors.As(err, &no):
		return cannotRest(err)
	case errors.As(err, &theirs):
		return theirs.refusal()
	}
	return refusalOf(s.login.ref, err)
}

// refusal is the server's answer in our words.
func (r *serverRefusal) refusal() *refusal {
	in := bytes.NewReader(r.message)
	for {
		kind, body, err := readMessage(in, maxServerMessage)
		if err != nil {
			return ended()
		}
		var e pgproto3.ErrorResponse
		if kind == 'E' && e.Decode(body) == nil {
			return &refusal{code: e.Code, message: e.Message, hint: e.Hint}
		}
	}
}

// usesUnnamed says whether the client's first message needs the unnamed statement that it made before its session was parked: no
// server tells that one. A message that is not there yet in full counts as one that does.
func usesUnnamed(p []byte) bool {
	body := p[min(len(p), messageHead):]
	switch p[0] {
	case 'B':
		_, rest, ok := bytes.Cut(body, []byte{0}) // the portal's name
		return !ok || len(rest) == 0 || rest[0] == 0
	case 'D':
		return len(body) < 2 || body[0] == 'S' && body[1] == 0
	}
	return false
}

func cannotRest(why error) *refusal {
	r := ended()
	r.hint, r.cause = "the branch's server was stopped, and the session could not be kept: "+why.Error()+"; connect again", why
	return r
}
