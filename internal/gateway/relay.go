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
	up := make(chan struct{})
	go func() {
		defer close(up)
		s.upstream()
	}()
	s.downstream(f)
	if s.ending.Load() != nil && s.busy.Load() {
		// A server does not notice that its client has gone until it has something to say.
		s.cancelQuery(context.WithoutCancel(ctx))
	}
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
func (s *session) upstream() {
	client, server := s.visit.stream(), s.server
	buf := s.gateway.newBuffer()
	defer buf.release()
	deaf := false
	for {
		p := buf.bytes()
		n, err := client.Read(p)
		if n > 0 {
			s.wake.Touch()
			s.branch.bytesIn.Add(uint64(n))
			if !s.busy.Load() {
				s.busy.Store(true)
			}
			if !deaf {
				_, writeErr := server.Write(p[:n])
				deaf = writeErr != nil
			}
			buf.adapt(n)
		}
		if err != nil {
			s.clientEnded(err)
			return
		}
	}
}

// clientEnded tells the server that no more comes. A client that closed only its sending side still gets its answers.
func (s *session) clientEnded(err error) {
	half, ok := s.server.(interface{ CloseWrite() error })
	if ok && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		_ = half.CloseWrite() // the server may have ended too
		return
	}
	_ = s.server.Close()
}

// downstream copies from the server to the client until one of them ends or the session is to end. f has followed what
// the client got before.
func (s *session) downstream(f *frames) {
	client, server := s.visit.stream(), s.server
	buf := s.gateway.newBuffer()
	defer buf.release()
	patient := true
	for {
		if s.ending.Load() != nil && f.atBoundary() {
			s.lastWords()
			return
		}
		p := buf.bytes()
		n, err := server.Read(p)
		if n > 0 {
			first := f.scan(p[:n])
			last := s.ending.Load() != nil && first >= 0
			if last {
				n = first
			}
			s.branch.bytesOut.Add(uint64(n))
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
			_ = server.SetReadDeadline(time.Now().Add(s.gateway.settings.EndGrace)) // fails only when it is closed
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
	// A slow client gets a last while, and downstream wakes if it waits for the server. Both fail only on what is closed.
	_ = s.visit.tcp.SetWriteDeadline(time.Now().Add(s.gateway.settings.EndGrace))
	_ = s.server.SetReadDeadline(time.Unix(1, 0))
}

// endWhenIdle asks the session to end once the server waits for it outside a transaction.
func (s *session) endWhenIdle(reason *refusal) {
	s.whenIdle.Store(reason)
	if !s.busy.Load() {
		s.end(reason)
	}
}
