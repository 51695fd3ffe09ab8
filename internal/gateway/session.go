package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// session is a client that has proved who it is, on its way into a branch or inside.
type session struct {
	gateway *Gateway
	branch  *branch
	visit   *visit
	wish    *startup
	login   *login
	key     cancelKey // what the client was told

	// Under branch.mu.
	attached bool
	giveUp   context.CancelCauseFunc // ends the attempt to come in

	// Since it came in.
	wake   Session
	server net.Conn
	theirs cancelKey // what the server expects

	ending   atomic.Pointer[refusal] // not nil: the session is to end, for this reason
	whenIdle atomic.Pointer[refusal] // the same, once it is idle
	busy     atomic.Bool             // the client has sent something since the server was last ready
	gone     chan struct{}           // closed when the server's side is closed and released
}

func newSession(v *visit, wish *startup, l *login) *session {
	return &session{gateway: v.gateway, branch: v.gateway.branches.get(l.ref), visit: v, wish: wish, login: l, gone: make(chan struct{})}
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

// attempt wakes the branch and logs in. It leaves nothing behind when it fails.
func (s *session) attempt(ctx context.Context) (greeting, error) {
	limited, cancel := context.WithTimeout(ctx, s.gateway.settings.WakeTimeout)
	defer cancel()
	wake, err := s.gateway.waker.Acquire(limited, s.login.ref)
	if err != nil {
		return greeting{}, err
	}
	s.wake = wake
	if s.server, err = wake.Dial(limited); err != nil {
		wake.Release()
		return greeting{}, fmt.Errorf("reach the server of %s: %w", s.login.ref, err)
	}
	s.key = s.gateway.cancels.reserve()
	g, err := logIn(limited, s.server, s.wish, s.login.database, &s.login.credentials, s.key)
	if err == nil {
		s.theirs = g.key
		s.gateway.cancels.give(s.key, s)
		s.visit.becomeSession()
		err = s.branch.attach(ctx, s)
	}
	if err != nil {
		s.release()
		return greeting{}, err
	}
	return g, nil
}

// release closes the server's side and lets the branch go.
func (s *session) release() {
	s.gateway.cancels.remove(s.key)
	_ = s.server.Close() // the server notices either way
	s.wake.Release()
}

// close ends a session that had come in.
func (s *session) close() {
	s.release()
	s.branch.leave(s)
	close(s.gone)
}
