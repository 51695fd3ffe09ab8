package gateway

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// cancelTimeout bounds how long a cancel request may take.
const cancelTimeout = 10 * time.Second

// cancels finds the session that a cancel request means. The keys that clients are told are ours: servers of many branches
// give out the same process ids.
type cancels struct {
	mu       sync.Mutex
	sessions map[uint32]*session
}

// reserve makes a key that no other session has.
func (c *cancels) reserve() cancelKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions = map[uint32]*session{}
	}
	for {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		key := cancelKey{binary.BigEndian.Uint32(random[:]) >> 1, binary.BigEndian.Uint32(random[4:])}
		// Clients read the number as a signed one, and some take 0 for none.
		if _, taken := c.sessions[key.pid]; taken || key.pid == 0 {
			continue
		}
		c.sessions[key.pid] = nil
		return key
	}
}

// give lets the key stand for the session, which knows its server's key by now.
func (c *cancels) give(key cancelKey, s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[key.pid] = s
}

func (c *cancels) remove(key cancelKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, key.pid)
}

// find returns the session whose whole key this is.
func (c *cancels) find(key cancelKey) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[key.pid]
	if s == nil || subtle.ConstantTimeEq(int32(s.key.secret), int32(key.secret)) != 1 {
		return nil
	}
	return s
}

// cancel passes a cancel request on to the server of its session. There is no answer, but it returns only when the server has seen
// to it, for a client that waits for the end relies on that.
func (g *Gateway) cancel(ctx context.Context, key cancelKey) {
	if s := g.cancels.find(key); s != nil {
		s.cancelQuery(ctx)
	}
}

func (s *session) cancelQuery(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	l := s.link.Load()
	if l == nil {
		return // a session that is parked runs nothing
	}
	conn, err := l.wake.Dial(ctx)
	if err != nil {
		s.gateway.log.Debug("pass a cancel request on", "branch", s.branch.ref.String(), "err", err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(l.theirs.packet()); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1)) // the server closes the connection when it has sent the signal
}
