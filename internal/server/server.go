// Package server answers HTTP: the REST API that package api describes, its OpenAPI description, health, metrics, and whatever
// cmd mounts beside it. Handlers translate between JSON and the platform and do nothing else: who may do what, and what may
// happen to which state, is decided in platform.
//
// A caller may rely on this: every route but those listed as public asks for a bearer token before it reads the request's body;
// every refusal is an RFC 9457 problem; no answer of the API may be cached; no secret is logged.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

const (
	maxHeaderBytes = 64 << 10
	maxBodyBytes   = 256 << 10        // of a request; a route that takes more says so
	requestTimeout = 2 * time.Minute  // of a request that is not a stream
	closeGrace     = 10 * time.Second // for requests under way when the server closes
)

// Config is what a Server is made of.
type Config struct {
	Platform *platform.Platform
	Log      *slog.Logger
	Version  string
	// Gateway is the address of the front door for PostgreSQL clients, told to callers.
	Gateway string
	// Hosts are names under which the server is reached besides the addresses of this machine. See hostAllowed.
	Hosts []string
	// AnyHost switches the check of the Host header off; for a server that is not bound to loopback.
	AnyHost bool
	// Proxies are the addresses of proxies before this server: what they say of whom they ask for (X-Forwarded-For) is believed.
	Proxies []netip.Prefix
	// Metrics is where the server registers its own metrics and what /metrics shows. Nil: a registry of its own.
	Metrics *prometheus.Registry
	// Mounts are further handlers by pattern of http.ServeMux, such as the console at "/". They do their own authentication.
	Mounts map[string]http.Handler
	// Agents makes the handler of the agents' door; principal says who asks. Nil: there is none.
	Agents func(principal func(context.Context) holdfast.Principal) http.Handler
}

// Server is the HTTP side of the product.
type Server struct {
	config  Config
	log     *slog.Logger
	mux     *http.ServeMux
	api     huma.API
	metrics *metrics
	handler http.Handler
	http    *http.Server
	cancel  context.CancelFunc // ends what requests wait for

	// identify finds out who asks; it is caller, unless a test says otherwise.
	identify func(*http.Request) (holdfast.Principal, error)

	closing chan struct{} // closed when streams shall end
	once    sync.Once
	active  sync.WaitGroup // requests under way and the accept loop
}

// New builds the server; it does not listen yet.
func New(c Config) *Server {
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	s := &Server{config: c, log: c.Log, mux: http.NewServeMux(), closing: make(chan struct{}), metrics: newMetrics(c.Metrics)}
	s.identify = s.caller
	s.api = humago.New(s.mux, s.apiConfig())
	s.api.UseMiddleware(s.authenticate)
	s.routes()
	s.mountDescription()
	s.mountHealth()
	if c.Agents != nil {
		s.mux.Handle(api.MCPPath, s.requireToken(c.Agents(principal)))
	}
	for pattern, handler := range c.Mounts {
		s.mux.Handle(pattern, handler)
	}
	s.handler = s.guard(s.mux)
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Start serves connections of l until Close.
func (s *Server) Start(l net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + 10*time.Second, // streams push it along as they write
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.cancel = cancel
	s.active.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve HTTP", "err", err)
		}
	})
	return nil
}

// Close takes no more requests, ends streams, gives the others a few seconds and returns when every one has ended.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		if s.http == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		if err = s.http.Shutdown(ctx); err != nil {
			err = errors.Join(fmt.Errorf("shut the HTTP server down: %w", err), s.http.Close())
		}
		s.cancel() // what is left waits for nothing any more
	})
	s.active.Wait()
	return err
}
