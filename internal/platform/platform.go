// Package platform holds the use cases: creating a project, waking a branch, rotating credentials. It joins the other rooms and
// is the one place where permission and protection are decided: every exported method takes the principal who asks.
//
// A caller may rely on this: what takes time is a durable job that is done or taken back, never left half; what changes
// something is in the audit trail in the same transaction; every refusal is a *holdfast.Error that says why.
package platform

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/notify"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/volume"
)

// Config is what a Platform is made of.
type Config struct {
	Store *store.Store
	// Fleet describes the servers' home; the hooks in it are filled by the platform.
	Fleet fleet.Config
	// GatewayAddress is host:port under which clients reach the front door; it stands in connection strings.
	GatewayAddress string
	// LoadSample fills a database with sample data as its owner, in the transaction that it is given. Nil: there is none to load.
	LoadSample func(ctx context.Context, tx pgx.Tx, rows int, progress func(done, total int64)) error
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now
	// PasswordCost is the work of checking a password; zero: the default.
	PasswordCost identity.Cost
	// DialProvider connects to the OpenID Connect provider that an admin named; nil: to public addresses only.
	DialProvider func(ctx context.Context, network, address string) (net.Conn, error)
	// Spool is this machine's folder for history on its way to its locations.
	Spool string
	// LocalRepository is where the history of a project without locations of its own is kept.
	LocalRepository holdfast.Location
	// OpenLocation opens a place where history is kept. keys are the project's repository keys, the newest first.
	OpenLocation func(ctx context.Context, l store.Location, keys [][]byte) (history.Location, error)
	// TestLocation tries a place out and returns a line for each step.
	TestLocation func(ctx context.Context, l store.Location) ([]string, error)
	// CollectUploads removes what interrupted uploads left at a place, and says how many there were.
	CollectUploads func(ctx context.Context, l store.Location) (int, error)
	// NewRepositoryKey makes a key that OpenLocation understands.
	NewRepositoryKey func() ([]byte, error)
	// Notify tells people of alerts. Nil: nobody is told.
	Notify *notify.Sender
}

// Platform is the product behind the API.
type Platform struct {
	store   *store.Store
	fleet   *fleet.Fleet
	jobs    *jobs
	log     *slog.Logger
	now     func() time.Time
	sample  func(ctx context.Context, tx pgx.Tx, rows int, progress func(done, total int64)) error
	gateway struct {
		host string
		port int
	}
	doors     doorkeeper
	directory directory
	sizes     sizes
	metering  metering
	budgets   budgets
	tools     backup.Tools
	readers   readers
	people    people

	histories       histories
	checkpoints     checkpoints
	alerts          *alerts
	wakes           wakes
	notify          *notify.Sender // nil: nobody is told of alerts
	queries         queries
	looked          sync.Map // the BranchID of a look, and when somebody last said to be looking
	agents          agents
	editors         editors
	purges          purges
	spool           string
	localRepository holdfast.Location
	openLocation    func(ctx context.Context, l store.Location, keys [][]byte) (history.Location, error)
	testLocation    func(ctx context.Context, l store.Location) ([]string, error)
	collectUploads  func(ctx context.Context, l store.Location) (int, error)
	newKey          func() ([]byte, error)
	volume          *volume.Volume // nil: there are no snapshots

	closing sync.Once
	stop    context.CancelFunc // ends what runs in wg
	wg      sync.WaitGroup
}

// Open brings the installation to life: adopts the servers that run, takes up unfinished jobs. Close ends it.
func Open(ctx context.Context, c Config) (*Platform, error) {
	p := &Platform{store: c.Store, log: c.Log, now: c.Now, sample: c.LoadSample, spool: c.Spool, localRepository: c.LocalRepository, openLocation: c.OpenLocation,
		testLocation: c.TestLocation, collectUploads: c.CollectUploads, newKey: c.NewRepositoryKey, volume: c.Fleet.Volume, notify: c.Notify}
	if p.now == nil {
		p.now = time.Now
	}
	p.alerts = newAlerts(p.now())
	p.people = newPeople(func() time.Time { return p.now() }, c.PasswordCost, newProvider(c.DialProvider))
	p.tools.Scratch = filepath.Join(c.Spool, "scratch")
	for _, i := range c.Fleet.Installations {
		p.tools.Directories = append(p.tools.Directories, i.BinDir)
	}
	if err := errors.Join(p.tools.CleanScratch(), p.clearAdopted(ctx)); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(c.GatewayAddress)
	if err == nil {
		p.gateway.host = host
		p.gateway.port, err = strconv.Atoi(port)
	}
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the gateway's address is not host:port", Cause: err}
	}
	p.jobs = newJobs(c.Store, c.Log, p.now)
	p.jobs.kinds[createProjectJob] = jobKind{run: p.runCreateProject, undo: p.undoCreateProject}
	p.jobs.kinds[rotateJob] = jobKind{run: p.runRotate}
	p.jobs.kinds[createBranchJob] = jobKind{run: p.runCreateBranch, undo: p.undoCreateBranch}
	p.jobs.kinds[deleteBranchJob] = jobKind{run: p.runDeleteBranch}
	p.jobs.kinds[baseBackupJob] = jobKind{run: p.runBaseBackup}
	p.jobs.kinds[restoreJob] = jobKind{run: p.runRestore, undo: p.undoRestore}
	p.jobs.kinds[adoptJob] = jobKind{run: p.runAdopt}
	p.jobs.kinds[applyJob] = jobKind{run: p.runApply, undo: p.undoApply}
	p.jobs.kinds[rehearseJob] = jobKind{run: p.runRehearse, undo: p.undoRehearse}
	p.jobs.kinds[rescueJob] = jobKind{run: p.runRescue}
	p.jobs.kinds[renameBranchJob] = jobKind{run: p.runRenameBranch, undo: p.undoRenameBranch}
	p.jobs.kinds[removeJob] = jobKind{run: p.runRemove, undo: p.undoRemove}
	p.backupJobs()
	if err := p.directory.load(ctx, p.store); err != nil {
		return nil, err
	}
	if err := p.openFleet(ctx, c.Fleet); err != nil {
		return nil, err
	}
	p.jobs.explain = p.fleet.ExplainSpace
	if err := p.openHistories(ctx); err != nil {
		return nil, errors.Join(err, p.closeHistories(), p.fleet.Close())
	}
	p.openMetering(ctx)
	if err := p.jobs.resume(ctx); err != nil {
		return nil, errors.Join(err, p.closeHistories(), p.fleet.Close())
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.wg.Go(func() { p.tendBackups(background) })
	p.wg.Go(func() { p.measure(background) })
	p.wg.Go(func() { p.meter(background) })
	p.wg.Go(func() { p.monitor(background) })
	p.wg.Go(func() { p.expire(background) })
	p.wg.Go(func() { p.watchActivity(background) })
	p.wg.Go(func() { p.tendHistories(background) })
	p.wg.Go(func() { p.watchServers(background) })
	p.wg.Go(func() { p.tendAlerts(background) })
	p.wg.Go(func() { p.tellChannels(background) })
	p.wg.Go(func() { p.purgePublishes(background) })
	return p, nil
}

// Close ends the control plane's work. Servers go on running and unfinished jobs go on at the next start. Twice is harmless.
func (p *Platform) Close() error {
	var err error
	p.closing.Do(func() {
		p.quiet()
		err = errors.Join(p.closeHistories(), p.fleet.Close())
	})
	return err
}

// Shutdown is Close after stopping every server cleanly.
func (p *Platform) Shutdown(ctx context.Context) error {
	var err error
	p.closing.Do(func() {
		p.jobs.close()
		err = p.fleet.Shutdown(ctx) // the archives take the servers' last bytes
		p.quiet()
		err = errors.Join(err, p.detachHistories(ctx), p.closeHistories())
	})
	return err
}

// quiet ends everything of the platform's own.
func (p *Platform) quiet() {
	p.stop()
	p.jobs.close()
	p.wg.Wait()
	p.checkpoints.reading.Wait()
	p.closeMetering()
}

// Ready says whether requests can be served.
func (p *Platform) Ready(ctx context.Context) error {
	return p.store.View(ctx, func(tx *store.Tx) error { _, err := tx.Projects(); return err })
}
