package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// session is a client that has proved who it is, on its way into a branch or inside.
type session struct {
	gateway *Gateway
	branch  *branch
	visit   *visit
	startup *startup
	login   *login
	key     cancelKey // what the client was told

	// Under branch.mu.
	attached bool
	giveUp   context.CancelCauseFunc // ends the attempt to come in

	// mu is held by who writes to the server, and by who takes the session off it or brings it back. link is nil while the session is
	// parked, and after its end; it changes under mu only.
	mu     sync.Mutex
	link   atomic.Pointer[link]
	state  *state // what the server process knew when the session was parked; under mu
	closed bool   // under mu

	watch watch                    // what the client has sent; under mu
	left  atomic.Bool              // the client has gone while the session was parked
	wish  atomic.Pointer[parkWish] // somebody wants the session parked
	poke  chan struct{}            // wakes downstream while there is no link

	ending   atomic.Pointer[refusal] // not nil: the session is to end, for this reason
	whenIdle atomic.Pointer[refusal] // the same, once it is idle
	busy     atomic.Bool             // the client has sent something since the server was last ready
	gone     chan struct{}           // closed when the server's side is closed and released
}

func newSession(v *visit, wish *startup, l *login) *session {
	return &session{gateway: v.gateway, branch: v.gateway.branches.get(l.ref), visit: v, startup: wish, login: l, key: v.gateway.cancels.reserve(),
		poke: make(chan struct{}, 1), gone: make(chan struct{})}
}

// come brings the session into its branch: it waits while that is held, wakes it, logs in at its server and tells the client.
// The frames have followed what the client got.
func (s *session) come(ctx context.Context) (*frames, error) {
	there, stop, err := s.visit.whileThere(ctx)
	if err != nil {
		return nil, err
	}
	greeting, err := s.comeWhenOpen(there)
	stop()
	if errors.Is(err, errClientGone) {
		return nil, err
	}
	// The client's proof is confirmed whatever comes then, as PostgreSQL does; in one write with the rest, for it has been waiting.
	final := appendAuthentication(nil, authSASLFinal, s.login.final)
	if err != nil {
		return nil, &confirmed{error: s.refusal(err), final: final}
	}
	s.branch.waits.Add(1)
	s.branch.waited.Add(int64(time.Since(s.login.at)))
	f := &frames{}
	f.scan(greeting.messages)
	f.readies = 0 // nobody asked for that one
	if s.gateway.draining.Load() {
		s.endWhenIdle(stopping())
	}
	if _, err := s.visit.conn.Write(append(final, greeting.messages...)); err != nil {
		s.close()
		return nil, errClientGone
	}
	return f, nil
}

// refusal is what the client is told when it cannot come in.
func (s *session) refusal(err error) error {
	var theirs *serverRefusal
	if errors.As(err, &theirs) {
		return theirs
	}
	return refusalOf(s.login.ref, err)
}

// confirmed is an error that a client gets after its proof was found right.
type confirmed struct {
	error
	final []byte // confirms the proof
}

func (c *confirmed) Unwrap() error { return c.error }

// comeWhenOpen tries until an attempt is not ended by a hold.
func (s *session) comeWhenOpen(ctx context.Context) (greeting, error) {
	patience := time.NewTimer(s.gateway.settings.HoldTimeout)
	defer patience.Stop()
	for {
		attempt, err := s.branch.enter(ctx, s, patience.C)
		if err != nil {
			return greeting{}, err
		}
		g, err := s.attempt(attempt)
		if err == nil {
			return g, nil
		}
		why := context.Cause(attempt)
		s.branch.leave(s)
		switch {
		case why == nil:
			return greeting{}, err
		case !errors.Is(why, errHeld):
			return greeting{}, why
		}
	}
}

// link is the server's side of a session.
type link struct {
	wake   Session
	conn   net.Conn
	theirs cancelKey // what the server expects
	news   []byte    // what the client is told when the session comes back
}

// release closes the server's side and lets the branch go.
func (l *link) release() {
	_ = l.conn.Close() // the server notices either way
	l.wake.Release()
}

// attempt wakes the branch and logs in; a parked session gets its state back. It leaves nothing behind when it fails.
func (s *session) attempt(ctx context.Context) (greeting, error) {
	limited, cancel := context.WithTimeout(ctx, s.gateway.settings.WakeTimeout)
	defer cancel()
	wake, err := s.gateway.waker.Acquire(limited, s.login.ref)
	if err != nil {
		return greeting{}, err
	}
	conn, err := wake.Dial(limited)
	if err != nil {
		wake.Release()
		return greeting{}, fmt.Errorf("reach the server of %s: %w", s.login.ref, err)
	}
	l := &link{wake: wake, conn: conn}
	g, err := logIn(limited, conn, s.startup, s.login.database, &s.login.credentials, s.key)
	if err == nil && s.state != nil {
		var told []byte
		told, err = s.state.replay(limited, conn)
		l.news = newsOf(append(g.messages, told...))
	}
	if err == nil {
		l.theirs = g.key
		s.gateway.cancels.give(s.key, s)
		s.visit.becomeSession()
		err = s.branch.attach(ctx, s)
	}
	if err != nil {
		l.release()
		return greeting{}, err
	}
	s.link.Store(l)
	return g, nil
}

// close ends a session that had come in. It ends what the session waits for first.
func (s *session) close() {
	if l := s.link.Load(); l != nil {
		_ = l.conn.Close() // whoever writes to it lets go of mu
	}
	s.mu.Lock()
	l := s.link.Swap(nil)
	s.closed = true
	s.mu.Unlock()
	if l != nil {
		l.release()
	}
	s.gateway.cancels.remove(s.key)
	s.branch.leave(s)
	close(s.gone)
}
