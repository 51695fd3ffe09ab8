package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
)

func listen(ctx context.Context, address string) (net.Listener, error) {
	// A client that vanished without a word is noticed within two minutes.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	listener, err := config.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the gateway's address %s is taken by another program", address),
			Hint: "choose another one with --gateway", Cause: err}
	case errors.Is(err, syscall.EACCES):
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the gateway may not listen on %s", address),
			Hint: "choose a port above 1023 with --gateway", Cause: err}
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}

// acceptAll lets connections in until the listener is closed.
func (g *Gateway) acceptAll(ctx context.Context, listener net.Listener) {
	pause := time.Duration(0)
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors or memory: those who are in can still leave, so wait for that.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			g.log.Error("accept a connection", "err", err)
			if wait(ctx, pause) != nil {
				return
			}
			continue
		}
		pause = 0
		g.admit(ctx, conn.(*net.TCPConn))
	}
}

// admit gives the connection a goroutine, or closes it when too many are there that have not proved who they are.
func (g *Gateway) admit(ctx context.Context, conn *net.TCPConn) {
	addr := remoteAddr(conn)
	if !g.lobby.enter(addr, time.Now()) {
		g.shed.Add(1)
		_ = conn.Close() // it was never ours
		return
	}
	g.running.Go(func() {
		visit := &visit{gateway: g, tcp: conn, addr: addr}
		defer visit.leave()
		// Closing the gateway must reach a goroutine that waits for a silent client.
		stop := context.AfterFunc(ctx, visit.interrupt)
		defer stop()
		visit.serve(ctx)
	})
}

func remoteAddr(conn *net.TCPConn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}

// wait waits for d, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
