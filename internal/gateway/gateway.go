// Package gateway lets a client reach a branch by its database name and wakes the branch first if it sleeps.
//
// It proves who the client is (SCRAM-SHA-256, against verifiers that it is handed) before it asks for anything to be woken.
// An unknown name, an unknown role and a wrong password are answered with the same bytes after the same time. It then logs in at the
// branch's server with the key that the client's own proof yields: without the client's secret it can open nothing.
//
// It reads the protocol until the session is ready for queries; after that it copies bytes in constant memory and looks at
// nothing but where a message ends. It keeps nothing on disk and never reads the metadata store.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast/holdfast"
)

// Waker makes a branch's server reachable.
type Waker interface {
	// Acquire waits until the branch's server accepts connections, waking it if it sleeps, and keeps it awake until the session
	// is released. Errors are *holdfast.Error: TooMany when the branch's limit of sessions is reached, Busy or Unavailable
	// when it cannot be woken now, NotFound when it is gone. A context that ends ends the wait.
	Acquire(ctx context.Context, ref holdfast.BranchRef) (Session, error)
}

// Session is one client's hold on a branch that is awake. Its methods may be called from many goroutines.
type Session interface {
	// Dial opens a new connection to the server, over its Unix socket.
	Dial(ctx context.Context) (net.Conn, error)
	// Touch says that a byte of the client has arrived. It is called for each piece of data, so it must be cheap.
	Touch()
	// Carried counts bytes from the client and to it, once for each piece as well.
	Carried(received, sent int)
	// Release ends the hold. It is called once.
	Release()
}

// Verifiers knows the roles of branches.
type Verifiers interface {
	// Verifier returns what the role's password is checked against. ok is false when there is no such branch or no such role that
	// may log in. It never wakes a branch.
	Verifier(ctx context.Context, ref holdfast.BranchRef, role string) (v holdfast.Verifier, ok bool)
}

// Settings of a gateway. A zero value of a field means its default.
type Settings struct {
	// Listen is the TCP address, host:port.
	Listen string
	// TLS holds the certificate: in Certificates, or by GetCertificate, which may change it while the gateway runs. nil offers no
	// encryption, and then AllowPlaintext is needed.
	TLS *tls.Config
	// AllowPlaintext lets sessions in that are not encrypted.
	AllowPlaintext bool

	HandshakeTimeout time.Duration // from the first byte to the password's proof; default 15 s
	WakeTimeout      time.Duration // until a branch is awake and has let the client in; default 60 s
	HoldTimeout      time.Duration // at a branch that is held; default 2 min
	EndGrace         time.Duration // for a session that is ended to take the message that says so; default 2 s

	// LookupFloor is the least time that a look-up seems to take, and the step in which it seems to take longer; default 5 ms.
	LookupFloor time.Duration
	// FailureDelay is how long the answer to an address's first failed login takes; each further one takes twice as long, up
	// to MaxFailureDelay. Defaults 100 ms and 5 s.
	FailureDelay, MaxFailureDelay time.Duration
	// MaxUnproven is how many connections may be open that have not proved who they are; further ones are closed at once. One address
	// may have half of them. Default 1000.
	MaxUnproven int
	// MockSecret makes the salts that unknown names are answered with. With the same secret they survive a restart, as real ones do.
	// Default: random.
	MockSecret []byte
}

func (s Settings) withDefaults() Settings {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&s.HandshakeTimeout, 15 * time.Second}, {&s.WakeTimeout, time.Minute}, {&s.HoldTimeout, 2 * time.Minute}, {&s.EndGrace, 2 * time.Second},
		{&s.LookupFloor, 5 * time.Millisecond}, {&s.FailureDelay, 100 * time.Millisecond}, {&s.MaxFailureDelay, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if s.MaxUnproven == 0 {
		s.MaxUnproven = 1000
	}
	if len(s.MockSecret) == 0 {
		s.MockSecret = make([]byte, 32)
		_, _ = rand.Read(s.MockSecret) // never fails
	}
	return s
}

// Gateway is the front door. Its methods may be called from many goroutines.
type Gateway struct {
	settings  Settings
	tls       *tls.Config
	waker     Waker
	verifiers Verifiers
	log       *slog.Logger
	lobby     *lobby
	pace      *pace
	branches  branches
	cancels   cancels
	large     sync.Pool // of *[]byte, largeBuffer long

	shed, strangers atomic.Uint64
	draining        atomic.Bool

	mu       sync.Mutex
	listener net.Listener // nil: not started, or no longer listening
	stop     context.CancelCauseFunc
	closed   bool
	running  sync.WaitGroup // the accept loop and every connection
}

// New returns a gateway that does nothing until Start.
func New(settings Settings, waker Waker, verifiers Verifiers, log *slog.Logger) *Gateway {
	settings = settings.withDefaults()
	g := &Gateway{settings: settings, waker: waker, verifiers: verifiers, log: log,
		large: sync.Pool{New: func() any { p := make([]byte, largeBuffer); return &p }},
		pace:  &pace{step: settings.LookupFloor},
		lobby: newLobby(settings.MaxUnproven, settings.FailureDelay, settings.MaxFailureDelay)}
	if settings.TLS != nil {
		g.tls = doorTLS(settings.TLS)
	}
	return g
}

// Start begins to listen and returns. A port that is taken is a Precondition.
func (g *Gateway) Start(ctx context.Context) error {
	if g.tls == nil && !g.settings.AllowPlaintext {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the gateway has no certificate and refuses plaintext, so nobody could enter"}
	}
	listener, err := listen(ctx, g.settings.Listen)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.listener != nil {
		_ = listener.Close() // nobody has come in yet
		return fmt.Errorf("start the gateway: it was started or closed before")
	}
	// The gateway outlives the call that starts it; Close ends it.
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	g.listener, g.stop = listener, stop
	g.running.Go(func() { g.acceptAll(life, listener) })
	return nil
}

// Addr is the address that the gateway listens on, nil when it does not.
func (g *Gateway) Addr() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return nil
	}
	return g.listener.Addr()
}

// Drain stops listening and ends each session with 57P01 as soon as it is idle and outside a transaction. It returns when
// none is left, or with ctx's error.
func (g *Gateway) Drain(ctx context.Context) error {
	g.stopListening()
	g.draining.Store(true)
	for _, b := range g.branches.all() {
		b.drain()
	}
	gone := make(chan struct{})
	go func() {
		g.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the sessions to end: %w", ctx.Err())
	}
}

// Close stops listening, ends every session with 57P01 and returns when all are gone.
func (g *Gateway) Close() error {
	g.stopListening()
	g.mu.Lock()
	g.closed = true
	stop := g.stop
	g.mu.Unlock()
	if stop != nil {
		stop(stopping()) // before the sessions end, so that none begins afterwards
	}
	for _, b := range g.branches.all() {
		b.endAll(stopping())
	}
	g.running.Wait()
	return nil
}

func (g *Gateway) stopListening() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close() // what it says does not change that nobody comes in any more
		g.listener = nil
	}
}
