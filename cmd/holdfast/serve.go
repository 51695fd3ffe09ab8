package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/console"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/mcp"
	"github.com/holdfast/holdfast/internal/notify"
	"github.com/holdfast/holdfast/internal/platform"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/sample"
	"github.com/holdfast/holdfast/internal/server"
	"github.com/holdfast/holdfast/internal/store"
)

// shutdownPatience bounds how long the databases may take to shut down cleanly; each writes what is dirty in its memory.
const shutdownPatience = 5 * time.Minute

func (c *cli) serveCommand() *cobra.Command {
	shown := defaultServeConfig()
	var ask api.NewProject
	size := byteSize(0)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: the API and the front door for PostgreSQL clients",
		Long: `Runs the server in the foreground until it is interrupted; then the databases are shut down cleanly (see --keep-servers), and a second
interruption ends it at once. Databases that a crash left running are taken over at the next start.

Each setting can also be given in the environment (--gateway-public as HOLDFAST_GATEWAY_PUBLIC) and in holdfast.toml in the data directory
(gateway_public = "..."). A flag wins over the environment, and that over the file.`,
		Example: `  holdfast serve
  holdfast serve --data /srv/holdfast --http 127.0.0.1:7600 --gateway 0.0.0.0:6432 --gateway-public db.example.com:6432
  holdfast serve --sample shop --rows 100000
  sudo holdfast serve --volume 50G`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := filepath.Abs(c.dataFlag())
			if err != nil {
				return fmt.Errorf("find the data directory: %w", err)
			}
			config, err := readServeConfig(data, cmd.Flags())
			if err != nil {
				return err
			}
			if ask.Name != "" {
				if err := holdfast.CheckProjectName(ask.Name); err != nil {
					return err
				}
			}
			return c.serve(cmd.Context(), config, data, ask, int64(size))
		},
	}
	shown.flags(cmd.Flags())
	cmd.Flags().StringVar(&ask.Name, "sample", "", "at the first start, create this project with sample data")
	cmd.Flags().IntVar(&ask.SampleRows, "rows", sample.DefaultRows, "size of the sample data, in rows")
	cmd.Flags().Var(&size, "volume", "as root: where the disk cannot share blocks, keep the databases in a volume of this size (see holdfast volume create), for example 50G")
	return cmd
}

// dataFlag is the data directory of a server to start.
func (c *cli) dataFlag() string {
	if c.data != "" {
		return c.data
	}
	return c.env.defaultData()
}

// house is everything that runs in a server, and how each part is closed.
type house struct {
	config   serveConfig
	log      *slog.Logger
	dir      *dataDir
	platform *platform.Platform
	metrics  *prometheus.Registry
	url      string
	token    string // of an admin, at the first start only
	setup    string
	first    bool
	copies   string // how copies of a database could be better; empty: not at all

	volumeSize int64 // of the volume that is wanted; 0: none

	mockSecret []byte

	closers []func() error
}

// onClose says what ends the part that was opened last. Parts are closed in the opposite order.
func (h *house) onClose(what string, end func() error) {
	h.closers = append(h.closers, func() error {
		if err := end(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

func (h *house) close() error {
	var err error
	for i := len(h.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, h.closers[i]())
	}
	h.closers = nil
	return err
}

func (c *cli) serve(ctx context.Context, config serveConfig, data string, ask api.NewProject, volumeSize int64) (err error) {
	h := &house{config: config, volumeSize: volumeSize, log: c.logger(config), metrics: prometheus.NewRegistry()}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.open(ctx, data); err != nil {
		if ctx.Err() != nil {
			return nil // it was asked to stop before it stood
		}
		return err
	}
	tellManager(h.log, daemon.SdNotifyReady)
	g := greeting{url: h.url, token: h.token, data: data, setup: h.setup, sample: ask, first: h.first, copies: h.copies, managed: c.env.NotifySocket != ""}
	greeted := c.greet(ctx, g)
	if greeted == nil {
		greeted = h.dir.endFirstStart()
	}
	if greeted != nil && ctx.Err() == nil {
		h.log.Error("the first start is not complete; the next start tries again", "err", greeted, "hint", holdfast.HintOf(greeted))
	}
	<-ctx.Done()
	tellManager(h.log, daemon.SdNotifyStopping)
	if g.managed {
		h.log.Info("stopping")
	} else {
		fmt.Fprintln(c.errOut, "stopping; interrupt again to end at once")
	}
	return nil
}

func (c *cli) logger(config serveConfig) *slog.Logger {
	level, _ := config.level() // it was checked when it was read
	options := &slog.HandlerOptions{Level: level}
	if config.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.errOut, options))
	}
	return slog.New(slog.NewTextHandler(c.errOut, options))
}

// tellManager tells the service manager, where there is one, how far this program is.
func tellManager(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("tell the service manager", "state", state, "err", err)
	}
}

// open wires the house. Whatever could be refused is asked for before anything is made: the lock, the ports, the programs.
func (h *house) open(ctx context.Context, data string) error {
	dir, err := claimDataDir(data)
	if err != nil {
		return err
	}
	if dir != nil {
		h.onClose("give the data directory back", dir.Close)
		if err := dir.checkRecovered(); err != nil {
			return err
		}
	}
	listener, err := listenHTTP(ctx, h.config.HTTP)
	if err != nil {
		return err
	}
	h.onClose("close the API's port", func() error { return ignoreClosed(listener.Close()) })
	if h.config.Gateway, err = freeAddress(ctx, "gateway", h.config.Gateway); err != nil {
		return err
	}
	installations, account, err := h.programs(ctx, data)
	if err != nil {
		return err
	}
	if dir == nil {
		if dir, err = openDataDir(data); err != nil {
			return err
		}
		h.onClose("give the data directory back", dir.Close)
	}
	h.dir = dir
	if err := h.openPlatform(ctx, installations, account); err != nil {
		return err
	}
	if err := h.openGateway(ctx); err != nil {
		return err
	}
	return h.openServer(listener)
}

// programs finds what databases run with and as whom, and whether that one could reach its files.
func (h *house) programs(ctx context.Context, data string) ([]postgres.Installation, postgres.Account, error) {
	installations, err := postgres.Find(ctx, h.config.PostgreSQL)
	if err != nil {
		return nil, postgres.Account{}, err
	}
	if len(installations) == 0 {
		return nil, postgres.Account{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("no PostgreSQL server (%d to %d) was found on this machine", postgres.MinMajor, postgres.MaxMajor),
			Hint: "install one (apt install postgresql), or say where it is with --postgresql"}
	}
	account, err := postgres.ServerAccount(ctx, h.config.Account)
	if err == nil {
		err = account.CheckReachable(filepath.Join(data, branchesDir, "x"))
	}
	return installations, account, err
}

func (h *house) openPlatform(ctx context.Context, installations []postgres.Installation, account postgres.Account) error {
	first, err := h.dir.beginFirstStart()
	if err != nil {
		return err
	}
	h.first = first
	key, err := h.dir.secretKey()
	if err != nil {
		return err
	}
	h.mockSecret = mockSecret(key)
	metadata, err := store.Open(ctx, h.dir.file(metadataFile), key)
	if err != nil {
		return err
	}
	h.onClose("close the metadata", metadata.Close)
	branches, err := h.openVolume(ctx)
	if err != nil {
		return err
	}
	guard, err := h.config.guard()
	if err != nil {
		return err
	}
	h.platform, err = platform.Open(ctx, platform.Config{
		DialProvider:   guard.DialContext,
		Store:          metadata,
		Fleet:          fleet.Config{Installations: installations, Account: account, Root: branches.Root(), Volume: branches, Logger: h.log},
		GatewayAddress: publicAddress(h.config.Gateway, h.config.GatewayPublic),
		LoadSample:     loadSample,
		Log:            h.log,

		Spool:            h.dir.file(spoolDir),
		LocalRepository:  h.localRepository(),
		OpenLocation:     h.openLocation,
		TestLocation:     h.testLocation,
		CollectUploads:   h.collectUploads,
		NewRepositoryKey: newRepositoryKey,
		Notify:           notify.New(guard),
	})
	if err != nil {
		return err
	}
	h.onClose("stop the databases", h.stopPlatform)
	return h.tokens(ctx)
}

func (h *house) stopPlatform() error {
	if h.config.KeepServers {
		return h.platform.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	return h.platform.Shutdown(ctx)
}

// tokens makes the admin token of the first start and keeps it in a file. A first start that was interrupted between the two has a token
// that nobody knows; then another one is made.
func (h *house) tokens(ctx context.Context) error {
	admin, setup, err := h.platform.FirstStart(ctx)
	if err != nil {
		return fmt.Errorf("make the first tokens: %w", err)
	}
	path := h.dir.file(adminTokenFile)
	if admin == "" {
		raw, err := os.ReadFile(path)
		if err == nil || !h.first {
			h.token = strings.TrimSpace(string(raw))
			return nil
		}
		ask := platform.NewToken{Name: "first admin", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}
		if admin, _, err = h.platform.CreateToken(ctx, platform.System(), ask); err != nil {
			return fmt.Errorf("make the first token again: %w", err)
		}
	}
	h.token, h.setup = admin, setup
	return writeFile(path, []byte(admin+"\n"), 0o600)
}

func (h *house) openGateway(ctx context.Context) error {
	c := h.config
	certificate, err := h.dir.loadCertificate(c.Certificate, c.Key, func() (cert, key []byte, err error) {
		return gateway.NewCertificate(certificateHosts(c), time.Now())
	})
	if err != nil {
		return err
	}
	door := gateway.New(gateway.Settings{Listen: c.Gateway, TLS: &tls.Config{GetCertificate: certificate.get}, MockSecret: h.mockSecret}, waker{h.platform}, h.platform, h.log)
	h.platform.SetDoor(door)
	h.platform.WatchCertificate(certificate.ends)
	if err := door.Start(ctx); err != nil {
		return err
	}
	h.onClose("close the gateway", door.Close)
	h.measureGateway(door)
	return nil
}

// measureGateway adds the front door's numbers to the metrics, over all branches: whoever may read metrics may not know every name.
func (h *house) measureGateway(door *gateway.Gateway) {
	sum := func(of func(gateway.Counters) float64) func() float64 {
		return func() (total float64) {
			for _, c := range door.Stats().Branches {
				total += of(c)
			}
			return total
		}
	}
	gauge := func(name, help string, value func() float64) {
		h.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		h.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("holdfast_gateway_sessions", "Client sessions now.", sum(func(c gateway.Counters) float64 { return float64(c.Sessions) }))
	gauge("holdfast_gateway_unproven", "Connections that have not proved who they are.", func() float64 { return float64(door.Stats().Unproven) })
	gauge("holdfast_gateway_parked_sessions", "Client connections now whose session waits without a server process.", sum(func(c gateway.Counters) float64 { return float64(c.Parked) }))
	counter("holdfast_gateway_parks_total", "Sessions that were parked.", sum(func(c gateway.Counters) float64 { return float64(c.Parks) }))
	counter("holdfast_gateway_entered_total", "Clients let in.", sum(func(c gateway.Counters) float64 { return float64(c.Entered) }))
	counter("holdfast_gateway_refused_total", "Clients that proved who they are and could not be let in.", sum(func(c gateway.Counters) float64 { return float64(c.Refused) }))
	counter("holdfast_gateway_wrong_passwords_total", "Failed logins of roles that exist.", sum(func(c gateway.Counters) float64 { return float64(c.Wrong) }))
	counter("holdfast_gateway_strangers_total", "Failed logins to unknown names and roles.", func() float64 { return float64(door.Stats().Strangers) })
	counter("holdfast_gateway_shed_total", "Connections closed because too many had not proved who they are.", func() float64 { return float64(door.Stats().Shed) })
	counter("holdfast_gateway_received_bytes_total", "Bytes from clients.", sum(func(c gateway.Counters) float64 { return float64(c.BytesIn) }))
	counter("holdfast_gateway_sent_bytes_total", "Bytes to clients.", sum(func(c gateway.Counters) float64 { return float64(c.BytesOut) }))
	counter("holdfast_gateway_wait_seconds_total", "Time from a client's proof until it was let in, wakes included.", sum(func(c gateway.Counters) float64 { return c.Waited.Seconds() }))
}

// waker hands the platform to the gateway, which knows neither it nor the fleet.
type waker struct{ platform *platform.Platform }

// Acquire implements gateway.Waker.
func (w waker) Acquire(ctx context.Context, ref holdfast.BranchRef) (gateway.Session, error) {
	s, err := w.platform.Acquire(ctx, ref)
	if err != nil {
		return nil, err // not s: a nil *fleet.Session would be a Session that is not nil
	}
	return session{s}, nil
}

type session struct{ *fleet.Session }

// Dial implements gateway.Session.
func (s session) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", s.SocketPath())
}

func (h *house) openServer(listener net.Listener) error {
	loopback := listener.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !loopback {
		h.log.Warn("the API is reachable from other machines without encryption; put a proxy with TLS before it", "address", listener.Addr().String())
	}
	proxies, err := networks("proxy", h.config.Proxies)
	if err != nil {
		return err
	}
	s := server.New(server.Config{Platform: h.platform, Proxies: proxies, Log: h.log, Version: version, Gateway: publicAddress(h.config.Gateway, h.config.GatewayPublic),
		Hosts: h.config.Hosts, AnyHost: !loopback && len(h.config.Hosts) == 0, Metrics: h.metrics,
		Mounts: map[string]http.Handler{"/": console.Handler()},
		Agents: func(principal func(context.Context) holdfast.Principal) http.Handler {
			return mcp.Handler(h.platform, principal, version)
		}})
	if err := s.Start(listener); err != nil {
		return err
	}
	h.onClose("close the API", s.Close)
	h.url = "http://" + reachable(listener.Addr().String(), "127.0.0.1")
	if err := h.dir.writeServerNote(h.url); err != nil {
		return err
	}
	h.onClose("tidy the data directory", h.dir.removeServerNote)
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// certificateHosts are the names that a certificate of our own is made for.
func certificateHosts(c serveConfig) []string {
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, c.Hosts...)
	for _, address := range []string{c.Gateway, c.GatewayPublic} {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" && (net.ParseIP(host) == nil || !net.ParseIP(host).IsUnspecified()) {
			hosts = append(hosts, host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}
