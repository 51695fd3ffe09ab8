package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// visit is one connection from the first byte until it is a session or gone.
type visit struct {
	gateway *Gateway
	tcp     *net.TCPConn
	addr    netip.Addr
	conn    net.Conn  // what the client's messages come through: tcp, or TLS over it
	door    *doorConn // beneath conn
	proven  bool      // no longer in the lobby

	mu       sync.Mutex
	relaying bool // the session looks after the deadlines
}

// doorConn is the connection beneath TLS. It gives back a byte that was read too early and notes which certificate was shown.
type doorConn struct {
	net.Conn
	peeked      []byte
	certificate *tls.Certificate
}

func (c *doorConn) Read(p []byte) (int, error) {
	if len(c.peeked) > 0 && len(p) > 0 {
		n := copy(p, c.peeked)
		c.peeked = c.peeked[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// interrupt ends whatever the visit waits for, unless it has become a session, which is ended in its own way.
func (v *visit) interrupt() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.relaying {
		_ = v.tcp.SetDeadline(time.Unix(1, 0)) // fails only when it is closed
	}
}

func (v *visit) becomeSession() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.relaying = true
	_ = v.tcp.SetDeadline(time.Time{}) // fails only when it is closed
}

// leave is the end of the connection, however far it came.
func (v *visit) leave() {
	_ = v.tcp.Close() // a client that is gone has closed it before
	v.leaveLobby()
}

func (v *visit) leaveLobby() {
	if !v.proven {
		v.proven = true
		v.gateway.lobby.leave(v.addr)
	}
}

// serve takes the client from its first byte to its end.
func (v *visit) serve(ctx context.Context) {
	start := time.Now()
	_ = v.tcp.SetDeadline(start.Add(v.gateway.settings.HandshakeTimeout)) // fails only when it is closed, and then reading does
	if ctx.Err() != nil {
		return
	}
	wish, cancel, err := v.negotiate(ctx)
	if err != nil {
		v.refuse(err)
		return
	}
	if cancel != nil {
		v.gateway.cancel(ctx, *cancel)
		return
	}
	login, err := v.authenticate(ctx, wish)
	if err != nil {
		v.refuse(err)
		return
	}
	v.leaveLobby()
	v.gateway.lobby.succeeded(v.addr)
	s := newSession(v, wish, login)
	f, err := s.come(ctx)
	if err != nil {
		s.gateway.cancels.remove(s.key)
		s.branch.refused.Add(1)
		v.refuse(err)
		return
	}
	s.relay(ctx, f)
}

// stream is what a session's bytes are read from and written to: the connection itself, or TLS over it.
func (v *visit) stream() net.Conn {
	if c, ok := v.conn.(*tls.Conn); ok {
		return c
	}
	return v.tcp
}

// refuse sends the error that ends the connection, if it is one that the client can be told.
func (v *visit) refuse(err error) {
	message := v.words(err)
	if message == nil {
		return // the client is gone, silent or speaks something else
	}
	v.logRefusal(err)
	_ = v.tcp.SetDeadline(time.Now().Add(v.gateway.settings.EndGrace)) // fails only when it is closed
	if _, err := v.conn.Write(message); err != nil {
		return
	}
	sayGoodbye(v.conn, v.tcp)
	// Closing with unread data would reset the connection and could destroy the message on its way.
	_, _ = io.Copy(io.Discard, v.tcp) // until the client closes or the deadline passes
}

func (v *visit) words(err error) []byte {
	var proven *confirmed
	var theirs *serverRefusal
	var ours *refusal
	switch {
	case errors.As(err, &proven):
		return append(proven.final, v.words(proven.error)...)
	case errors.As(err, &theirs):
		return theirs.message
	case errors.As(err, &ours):
		return ours.encode()
	}
	return nil
}

func (v *visit) logRefusal(err error) {
	level := slog.LevelInfo
	var told *refusal
	if errors.As(err, &told) && (told.code[:2] == "XX" || told.cause != nil) {
		level = slog.LevelWarn
	}
	v.gateway.log.Log(context.Background(), level, "refused a client", "client", v.addr.String(), "err", err)
}

// whileThere returns a context that ends when the client closes the connection, and a function to stop looking. Nothing is
// read meanwhile.
func (v *visit) whileThere(ctx context.Context) (context.Context, func(), error) {
	raw, err := v.tcp.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if raw.Read(hungUp) == nil {
			cancel(errClientGone)
		}
	}()
	return ctx, func() {
		_ = v.tcp.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, and then reading has ended
		<-done
		_ = v.tcp.SetReadDeadline(time.Time{})
		cancel(context.Canceled)
	}, nil
}

var errClientGone = errors.New("the client has closed the connection")

// hungUp says whether the other side has closed its sending side or is gone.
func hungUp(fd uintptr) bool {
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		if err == unix.EINTR {
			continue
		}
		return err != nil || n > 0
	}
}

// login is a client that has proved who it is.
type login struct {
	ref         holdfast.BranchRef
	database    string
	credentials credentials
	final       []byte // the server's final SCRAM message, which the client has not got yet
	at          time.Time
}
