package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Buffers of one direction: the small one is the session's own, a large one is borrowed while data comes in large pieces.
const (
	smallBuffer = 8 << 10
	largeBuffer = 64 << 10
)

// buffer is small while the traffic is.
type buffer struct {
	gateway *Gateway
	small   []byte
	large   *[]byte
}

func (g *Gateway) newBuffer() *buffer { return &buffer{gateway: g, small: make([]byte, smallBuffer)} }

func (b *buffer) bytes() []byte {
	if b.large != nil {
		return *b.large
	}
	return b.small
}

// adapt chooses the next buffer by how much the last read brought.
func (b *buffer) adapt(n int) {
	switch {
	case b.large == nil && n == smallBuffer:
		b.large = b.gateway.large.Get().(*[]byte)
	case b.large != nil && n < smallBuffer:
		b.release()
	}
}

func (b *buffer) release() {
	if b.large != nil {
		b.gateway.large.Put(b.large)
		b.large = nil
	}
}

// relay copies both ways until one side has ended, and then ends the other.
func (s *session) relay(ctx context.Context, f *frames) {
	inside, leave := context.WithCancel(ctx)
	up := make(chan struct{})
	go func() {
		defer close(up)
		s.upstream(inside)
	}()
	s.downstream(ctx, f)
	if s.ending.Load() != nil && s.busy.Load() {
		// A server does not notice that its client has gone until it has something to say.
		s.cancelQuery(context.WithoutCancel(ctx))
	}
	leave()
	s.close()
	// These deadlines fail only on what is closed.
	_ = s.visit.tcp.SetDeadline(time.Now().Add(s.gateway.settings.EndGrace))
	sayGoodbye(s.visit.conn, s.visit.tcp)
	if !s.busy.Load() {
		// Nothing is under way, so there is nothing that a reset could destroy. Else the client may still be sending: upstream reads on
		// until it has noticed, so that what was said last reaches it.
		_ = s.visit.tcp.SetReadDeadline(time.Unix(1, 0))
	}
	<-up
}

// sayGoodbye tells the client that nothing more comes. It may have gone before us.
func sayGoodbye(conn net.Conn, tcp *net.TCPConn) {
	if c, ok := conn.(*tls.Conn); ok {
		_ = c.CloseWrite()
	}
	_ = tcp.CloseWrite()
}

// upstream copies from the client to the server. Once the server takes nothing any more, the rest is dropped.
func (s *session) upstream(ctx context.Context) {
	client := s.visit.stream()
	buf := s.gateway.newBuffer()
	defer buf.release()
	deaf := false
	for {
		p := buf.bytes()
		n, err := client.Read(p)
		if n > 0 {
			s.branch.bytesIn.Add(uint64(n))
			if !deaf {
				deaf = s.toServer(ctx, p[:n]) != nil
			}
			buf.adapt(n)
		}
		if err != nil {
			s.clientEnded(err)
			return
		}
	}
}

// toServer hands on what the client sent. A session that is parked comes back first.
func (s *session) toServer(ctx context.Context, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	l := s.link.Load()
	if l == nil {
		if p[0] == 'X' { // Terminate: nobody needs a server for that
			s.leave()
			return net.ErrClosed
		}
		s.busy.Store(true)
		if err := s.comeBack(ctx, p); err != nil {
			return err
		}
		l = s.link.Load()
	}
	l.wake.Touch()
	l.wake.Carried(len(p), 0)
	if !s.busy.Load() {
		s.busy.Store(true)
	}
	s.watch.scan(p)
	_, err := l.conn.Write(p)
	return err
}

// clientEnded tells the server that no more comes. A client that closed only its sending side still gets its answers.
func (s *session) clientEnded(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link.Load()
	if l == nil {
		s.leave()
		return
	}
	half, ok := l.conn.(interface{ CloseWrite() error })
	if ok && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		_ = half.CloseWrite() // the server may have ended too
		return
	}
	_ = l.conn.Close()
}

// downstream copies from the server to the client until one of them ends or the session is to end. f has followed what
// the client got before.
func (s *session) downstream(ctx context.Context, f *frames) {
	client := s.visit.stream()
	buf := s.gateway.newBuffer()
	defer buf.release()
	l, patient := s.link.Load(), true
	for {
		if s.ending.Load() != nil && f.atBoundary() {
			s.lastWords()
			return
		}
		if s.wish.Load() != nil && f.atBoundary() && s.ending.Load() == nil {
			if s.grant(ctx, l, f) {
				if l = s.awaitReturn(); l == nil {
					if s.ending.Load() != nil {
						s.lastWords()
					}
					return
				}
				if _, err := client.Write(l.news); err != nil {
					return
				}
			}
			continue
		}
		p := buf.bytes()
		n, err := l.conn.Read(p)
		if n > 0 {
			first := f.scan(p[:n])
			last := s.ending.Load() != nil && first >= 0
			if last {
				n = first
			}
			s.branch.bytesOut.Add(uint64(n))
			l.wake.Carried(0, n)
			if _, err := client.Write(p[:n]); err != nil {
				return
			}
			if last {
				s.lastWords()
				return
			}
			s.noteReady(f)
			buf.adapt(n)
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && s.ending.Load() != nil && patient:
			// In the middle of a message: the rest of it gets its time.
			patient = false
			_ = l.conn.SetReadDeadline(time.Now().Add(s.gateway.settings.EndGrace)) // fails only when it is closed
		case errors.Is(err, os.ErrDeadlineExceeded) && s.ending.Load() == nil:
			// Somebody wishes to park the session. An end that is asked for from here on is seen above.
			_ = l.conn.SetReadDeadline(time.Time{})
			if s.ending.Load() != nil {
				_ = l.conn.SetReadDeadline(time.Unix(1, 0))
			}
		default:
			return
		}
	}
}

// noteReady remembers whether the server waits for the client outside a transaction.
func (s *session) noteReady(f *frames) {
	if !f.ready || f.status != 'I' || !f.atBoundary() {
		return
	}
	s.busy.Store(false)
	if reason := s.whenIdle.Load(); reason != nil {
		s.end(reason)
	}
}

func (s *session) lastWords() {
	_, _ = s.visit.conn.Write(s.ending.Load().encode()) // the client may have gone
}

// end asks the session to end at the next message's end. Only the first reason counts.
func (s *session) end(reason *refusal) {
	if !s.ending.CompareAndSwap(nil, reason) {
		return
	}
	// A slow client gets a last while. It fails only on what is closed.
	_ = s.visit.tcp.SetWriteDeadline(time.Now().Add(s.gateway.settings.EndGrace))
	s.rouse()
}

// rouse wakes downstream, whatever it waits for.
func (s *session) rouse() {
	if l := s.link.Load(); l != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// endWhenIdle asks the session to end once the server waits for it outside a transaction.
func (s *session) endWhenIdle(reason *refusal) {
	s.whenIdle.Store(reason)
	if !s.busy.Load() {
		s.end(reason)
	}
}
