package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Session is one client's place on a branch. Touch may be called by many goroutines.
type Session struct {
	fleet  *Fleet
	branch *branch
	path   string
	dialed atomic.Bool
	once   sync.Once
}

// Acquire admits a client to a branch: it waits until the branch is awake and returns the session to give back with
// Release. It is TooMany when the branch's connection limit is reached, those who still wait included.
func (f *Fleet) Acquire(ctx context.Context, id holdfast.BranchID) (*Session, error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	if err := b.enter(); err != nil {
		return nil, err
	}
	path, err := f.wakeAndStay(ctx, b)
	if err != nil {
		b.leave()
		return nil, err
	}
	return &Session{fleet: f, branch: b, path: path}, nil
}

func (b *branch) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit := b.spec.ConnectionLimit; limit > 0 && b.sessions >= limit {
		return &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("the branch has its %d connections already", limit),
			Hint: "close some, use a connection pool, or raise the branch's connection limit"}
	}
	b.sessions++
	return nil
}

func (b *branch) leave() {
	b.touch()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions--
}

// wakeAndStay wakes the branch and touches it in the moment in which it is seen awake, so that it does not fall asleep
// before the caller uses it.
func (f *Fleet) wakeAndStay(ctx context.Context, b *branch) (socketPath string, err error) {
	for {
		if err := f.wake(ctx, b); err != nil {
			return "", err
		}
		b.mu.Lock()
		if b.activity == holdfast.Awake && !b.gone {
			b.touch()
			path := b.server.SocketPath()
			b.mu.Unlock()
			return path, nil
		}
		b.mu.Unlock()
	}
}

// SocketPath is the Unix socket at which the server listens.
func (s *Session) SocketPath() string { return s.path }

// Dial connects to the server. The first time, where the server has died and nobody has noticed yet, it waits for the next one.
// Later connections of a session, such as one that cancels a query, are about the server of the first and wake none.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) {
	var conn net.Conn
	dial := func(server *postgres.Server) error {
		var err error
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "unix", server.SocketPath())
		return err
	}
	var err error
	if s.dialed.Load() {
		var server *postgres.Server
		if server, err = s.branch.serverOrError(s.fleet); err == nil {
			err = dial(server)
		}
	} else {
		err = s.fleet.reach(ctx, s.branch, dial)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the branch's server: %w", err)
	}
	s.dialed.Store(true)
	return conn, nil
}

// Touch says that the client has sent something: the branch is in use.
func (s *Session) Touch() { s.branch.touch() }

// Carried counts bytes from the client and to it.
func (s *Session) Carried(received, sent int) {
	s.branch.received.Add(uint64(received))
	s.branch.sent.Add(uint64(sent))
}

// Release gives the place back. A second Release does nothing.
func (s *Session) Release() { s.once.Do(s.branch.leave) }

// HoldAwake is Hold for work that can wait for another time: it wakes nothing, and is ErrAsleep for a branch that is not awake.
func (f *Fleet) HoldAwake(id holdfast.BranchID) (release func(), err error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.activity != holdfast.Awake || b.gone {
		return nil, ErrAsleep
	}
	b.holds++
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holds--
	}), nil
}

// Hold wakes a branch and keeps it awake until release is called: for work that uses the server without being a client's
// session. A second release does nothing.
func (f *Fleet) Hold(ctx context.Context, id holdfast.BranchID) (release func(), err error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.holds++
	b.mu.Unlock()
	let := sync.OnceFunc(func() {
		b.touch()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holds--
	})
	if _, err := f.wakeAndStay(ctx, b); err != nil {
		let()
		return nil, err
	}
	return let, nil
}

// Conn is a session of the control plane's own. The branch stays awake until it is closed.
type Conn struct {
	*pgx.Conn
	release func()
}

// Close closes the session and lets the branch sleep again.
func (c *Conn) Close(ctx context.Context) error {
	defer c.release()
	return c.Conn.Close(ctx)
}

// Admin wakes a branch and opens a session of the administrator in one of its databases. Statements that run a user's code
// belong into ConnectAs.
func (f *Fleet) Admin(ctx context.Context, id holdfast.BranchID, database string) (*Conn, error) {
	return f.connect(ctx, id, func(s *postgres.Server) (*pgx.Conn, error) { return s.Connect(ctx, database) })
}

// ConnectAs wakes a branch and opens a session of a role in one of its databases.
func (f *Fleet) ConnectAs(ctx context.Context, id holdfast.BranchID, role, password, database string) (*Conn, error) {
	return f.connect(ctx, id, func(s *postgres.Server) (*pgx.Conn, error) { return s.ConnectAs(ctx, role, password, database) })
}

func (f *Fleet) connect(ctx context.Context, id holdfast.BranchID, open func(*postgres.Server) (*pgx.Conn, error)) (*Conn, error) {
	release, err := f.Hold(ctx, id)
	if err != nil {
		return nil, err
	}
	b, err := f.find(id)
	if err != nil {
		release()
		return nil, err
	}
	var conn *pgx.Conn
	err = f.reach(ctx, b, func(server *postgres.Server) error {
		var err error
		conn, err = open(server)
		return err
	})
	if err != nil {
		release()
		return nil, err
	}
	return &Conn{Conn: conn, release: release}, nil
}

// Between the death of a server and the moment in which its watcher has noticed, it seems to be awake. So a connection that
// fails like that is tried again, this often and with this pause, until the watcher has done its work.
const (
	reachTries = 100
	reachPause = 50 * time.Millisecond
)

// reach wakes a branch and connects to its server.
func (f *Fleet) reach(ctx context.Context, b *branch, open func(*postgres.Server) error) error {
	pause := time.NewTicker(reachPause)
	defer pause.Stop()
	for try := 1; ; try++ {
		if _, err := f.wakeAndStay(ctx, b); err != nil {
			return err
		}
		server, err := b.serverOrError(f)
		if err != nil {
			return err
		}
		if err = open(server); err == nil || try == reachTries || !isGoingAway(err) {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
}

// isGoingAway says whether an error is that of a server which is dead, dying, or not up again yet.
func isGoingAway(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "57P01" || pg.Code == "57P02" || pg.Code == "57P03"
	}
	// EAGAIN: a Unix socket whose queue is full.
	for _, sign := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOENT, syscall.EAGAIN, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// Server returns the server of a branch, for what other rooms do with one. Starting and stopping it is the Fleet's alone.
func (f *Fleet) Server(id holdfast.BranchID) (*postgres.Server, error) {
	b, err := f.find(id)
	if err != nil {
		return nil, err
	}
	return b.serverOrError(f)
}
