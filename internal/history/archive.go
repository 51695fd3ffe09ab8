package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Config says what an archive is of and where it lies.
type Config struct {
	Branch    holdfast.BranchID
	Dir       string     // this machine's folder for what is on its way; it belongs to this archive alone
	Locations []Location // at least one; all hold the same
	// Server gives the branch's server on this machine, attached or not, or NotFound where there is none; nil: there never is one.
	Server func() (*postgres.Server, error)
	Log    *slog.Logger
	Alert  func(Alert) // called from many goroutines; must not block
	// UploadEvery is how often the unfinished WAL segment is brought to the locations while it grows; zero is a minute. It bounds what the
	// loss of this machine costs.
	UploadEvery time.Duration
	// MaxSpool bounds the bytes that wait on this machine for a location that is down; zero is 8 GiB. Beyond, the server keeps its WAL itself.
	MaxSpool int64
	// Snapshots says where frozen copies of the data are kept on this machine; nil: nowhere.
	Snapshots *Snapshots
	// MaxLag is how late WAL may be at the spool or at a location before an alert; zero is a minute.
	MaxLag time.Duration
}

// Archive is the history of one branch. All methods may be called at the same time.
type Archive struct {
	config  Config
	objects objects
	mirror  mirror
	log     *slog.Logger
	alerts  *alerts
	outbox  *outbox

	cataloguing sync.Mutex // held while the catalogue is loaded
	mu          sync.Mutex
	known       *catalogue // nil until somebody asks
	loading     bool
	noted       []func(*catalogue) // what happened while it was loaded
	spools      map[string]*spool  // by lineage
	patience    time.Duration      // how long to wait for WAL that does not come
	lineage     string             // of the server that was attached last
	stream      *stream            // nil: not attached
	flushed     chan struct{}      // closed and renewed at each flush
	snapshots   []Base             // oldest first

	snapshotBytes     int64 // that they alone take, as last measured
	snapshotsMeasured time.Time
	snapshotRetry     time.Time // not before; of the goroutine that keeps alone

	writing    sync.RWMutex // held for reading while objects are in use, for writing while some are deleted
	reading    sync.RWMutex // held for reading while a snapshot is in use, for writing while one is removed
	snapping   sync.Mutex   // held while a snapshot is made or removed
	backing    sync.Mutex   // held during a base backup
	session    sync.Mutex   // held by whoever writes into a spool
	succession sync.Mutex   // held while it is decided what is the branch since when
	sending    sync.Mutex   // held while WAL is put into the outbox
	packing    chan struct{}
	encoders   sync.Pool
	spaces     sync.Pool // of *[]byte, for segments
	stop       context.CancelFunc
	work       sync.WaitGroup
	closed     sync.Once
}

// Open takes up the archive of a branch: what a crash left on this machine goes on its way. No location needs to be within reach.
func Open(config Config) (*Archive, error) {
	if len(config.Locations) == 0 {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch has no location for its history"}
	}
	if config.UploadEvery == 0 {
		config.UploadEvery = time.Minute
	}
	if config.MaxSpool == 0 {
		config.MaxSpool = 8 << 30
	}
	if config.MaxLag == 0 {
		config.MaxLag = time.Minute
	}
	a := &Archive{config: config, objects: objects{config.Branch}, mirror: config.Locations, log: config.Log.With("branch", config.Branch),
		patience: time.Minute, spools: map[string]*spool{}, flushed: make(chan struct{}), packing: make(chan struct{}, 1),
		alerts: &alerts{branch: config.Branch, tell: config.Alert, up: map[AlertKind]bool{}}}
	if err := os.MkdirAll(a.path(""), 0o700); err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	if err := errors.Join(a.openSpools(), a.openSnapshots(context.Background())); err != nil {
		return nil, err
	}
	var err error
	if a.outbox, err = openOutbox(a.path("outbox"), a.mirror, a.log, a.uploaded); err != nil {
		return nil, err
	}
	last, err := a.lastSpan()
	if err != nil {
		a.outbox.close()
		return nil, err
	}
	a.lineage = last.Lineage
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	a.work.Go(func() { a.packWAL(ctx) })
	a.work.Go(func() { a.keep(ctx) })
	a.wakePacker()
	return a, nil
}

func (a *Archive) path(name string) string { return filepath.Join(a.config.Dir, name) }

// openSpools takes up the WAL of every lineage that this machine has received.
func (a *Archive) openSpools() error {
	entries, err := os.ReadDir(a.path("wal"))
	if gone(err) != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	for _, entry := range entries {
		s, err := openSpool(filepath.Join(a.path("wal"), entry.Name()), lineage{}, a.log, a.finished)
		if err != nil {
			return err
		}
		if s.state.Lineage.ID == entry.Name() { // else a crash came before the first save, and nothing was received
			a.spools[entry.Name()] = s
		}
	}
	return nil
}

// Close ends streaming and uploading, and returns when every goroutine has ended. What waits stays on disk for the next Open.
func (a *Archive) Close() error {
	var err error
	a.closed.Do(func() {
		a.detach()
		a.stop()
		a.work.Wait()
		a.outbox.close()
		for _, s := range a.allSpools() {
			err = errors.Join(err, s.close())
		}
	})
	return err
}

// sendAtMost is how long to wait for locations that take nothing: several tries of what waits longest between two.
const sendAtMost = 5 * time.Minute

// Sync waits until everything that was received or written so far is at every location. It gives up, with the reason, when none of it
// gets there for five minutes.
func (a *Archive) Sync(ctx context.Context) error {
	if err := a.uploadPartial(true); err != nil {
		return err
	}
	return a.outbox.wait(ctx, sendAtMost)
}

// RetryNow tries to bring away at once what waits, as after a location was mended.
func (a *Archive) RetryNow() { a.outbox.retryNow() }

func (a *Archive) wakePacker() {
	select {
	case a.packing <- struct{}{}:
	default:
	}
}

// packWAL compresses finished segments into the outbox.
func (a *Archive) packWAL(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.packing:
		}
		if err := a.packAll(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("WAL waits to be compressed", "err", err)
			a.alerts.raise(UploadLags, "WAL cannot be compressed for its way to the locations: "+err.Error())
		}
	}
}

func (a *Archive) packAll(ctx context.Context) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	for _, s := range a.allSpools() {
		found, err := s.waiting()
		if err != nil {
			return err
		}
		// As long as one core compresses, the server's stream is limited by that core.
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(max(1, min(runtime.GOMAXPROCS(0), 4)))
		for _, seg := range found {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return a.packOne(s, seg)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) packOne(s *spool, seg storedSegment) error {
	content, done, ok, err := a.borrow(s, seg)
	if err != nil || !ok {
		return err
	}
	err = a.sendSegment(seg, content)
	done()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, seg.fileName())); err != nil {
		return fmt.Errorf("clear the WAL spool: %w", err)
	}
	return nil
}

// borrow reads a segment into memory that is used again: getting sixteen fresh megabytes takes longer than reading them. done gives it back.
func (a *Archive) borrow(s *spool, seg storedSegment) (content []byte, done func(), ok bool, err error) {
	space, found := a.spaces.Get().(*[]byte)
	if !found {
		space = new([]byte)
	}
	if content, ok, err = s.content(seg, *space); err != nil || !ok {
		return nil, nil, ok, err
	}
	*space = content[:0]
	return content, func() { a.spaces.Put(space) }, true, nil
}

func (a *Archive) allSpools() []*spool {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*spool, 0, len(a.spools))
	for _, s := range a.spools {
		list = append(list, s)
	}
	return list
}

// sendSegment brings a segment, or as much of one as there is, on its way.
func (a *Archive) sendSegment(seg storedSegment, content []byte) error {
	packed, err := a.compress(content)
	if err != nil {
		return err
	}
	if err := a.outbox.put(a.objects.segment(seg), packed); err != nil {
		return err
	}
	a.note(func(c *catalogue) { c.addSegment(seg) })
	return nil
}

// finished is told of every segment that is finished on this machine.
func (a *Archive) finished(seg storedSegment) {
	a.note(func(c *catalogue) { c.addSegment(seg) })
	a.wakePacker()
}

// compress makes one zstd frame. The encoders are used again: making one takes as long as compressing a megabyte.
func (a *Archive) compress(content []byte) ([]byte, error) {
	comp, ok := a.encoders.Get().(*zstd.Encoder)
	if !ok {
		var err error
		if comp, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
	}
	defer a.encoders.Put(comp)
	return comp.EncodeAll(content, make([]byte, 0, len(content)/3)), nil
}

// uploadPartial brings the unfinished segment on its way if it grew since the last time.
func (a *Archive) uploadPartial(now bool) error {
	a.mu.Lock()
	s := a.spools[a.lineage]
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	// Segments that are finished but not compressed belong to what was received so far.
	if now {
		if err := a.packAll(context.Background()); err != nil {
			return err
		}
	}
	a.sending.Lock()
	defer a.sending.Unlock()
	seg, ok := s.current()
	if !ok {
		return nil
	}
	if s.sent.segment == seg.segment && s.sent.end >= seg.end {
		return nil
	}
	content, done, ok, err := a.borrow(s, seg)
	if err != nil || !ok {
		return err // finished meanwhile
	}
	err = a.sendSegment(seg, content)
	done()
	if err != nil {
		return err
	}
	s.sent = seg
	return nil
}

// uploaded is told of every object that reached all locations. A longer piece of a segment makes the shorter ones superfluous.
func (a *Archive) uploaded(string) {
	a.mu.Lock()
	var shorter []storedSegment
	if a.known != nil {
		shorter, a.known.shorter = a.known.superfluous(func(s storedSegment) bool { return a.outbox.has(a.objects.segment(s)) })
	}
	a.mu.Unlock()
	for _, seg := range shorter {
		if err := a.dropSegment(seg); err != nil {
			a.log.Warn("a superfluous piece of WAL stays until the next clean-up", "object", a.objects.segment(seg), "err", err)
		}
	}
}

func (a *Archive) dropSegment(seg storedSegment) error {
	name := a.objects.segment(seg)
	if err := a.outbox.drop(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return a.mirror.delete(ctx, name)
}

// keep looks after what is due by time.
func (a *Archive) keep(ctx context.Context) {
	tick := time.NewTicker(min(a.config.UploadEvery, time.Second))
	defer tick.Stop()
	next := time.Now().Add(a.config.UploadEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Now().After(next) {
			next = time.Now().Add(a.config.UploadEvery)
			if err := a.uploadPartial(false); err != nil {
				a.log.Error("the WAL segment at hand could not be sent", "err", err)
			}
			a.wakePacker()
		}
		a.watchBacklog()
		a.keepSnapshots(ctx)
	}
}

func (a *Archive) watchBacklog() {
	n, oldest, err := a.outbox.backlog()
	if n == 0 || time.Since(oldest) < a.config.MaxLag {
		a.alerts.clear(UploadLags)
		return
	}
	reason := "no answer yet"
	if err != nil {
		reason = err.Error()
	}
	a.alerts.raise(UploadLags, fmt.Sprintf("%d objects of the history wait since %s to reach every location: %s", n, oldest.Format(time.RFC3339), reason))
}

// note keeps the catalogue, if it was loaded, up to date.
func (a *Archive) note(change func(*catalogue)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.known != nil:
		change(a.known)
	case a.loading:
		a.noted = append(a.noted, change)
	}
}

// withCatalogue loads the catalogue if need be and gives it to look, which must not keep it.
func (a *Archive) withCatalogue(ctx context.Context, look func(*catalogue) error) error {
	if err := a.loadOnce(ctx); err != nil {
		return err
	}
	// The unfinished segments grow without telling the catalogue.
	var growing []storedSegment
	for _, s := range a.allSpools() {
		if seg, ok := s.current(); ok {
			growing = append(growing, seg)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.growing, a.known.snapshots = growing, a.snapshots
	return look(a.known)
}

func (a *Archive) loadOnce(ctx context.Context) error {
	a.cataloguing.Lock()
	defer a.cataloguing.Unlock()
	a.mu.Lock()
	if a.known != nil {
		a.mu.Unlock()
		return nil
	}
	a.loading, a.noted = true, nil
	a.mu.Unlock()
	c, err := loadCatalogue(ctx, a.mirror, a.objects, a.outbox)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loading = false
	if err != nil {
		return err
	}
	for _, s := range a.spools {
		found, err := s.waiting()
		if err != nil {
			return err
		}
		for _, seg := range found {
			c.addSegment(seg)
		}
	}
	for _, change := range a.noted {
		change(c)
	}
	a.known, a.noted = c, nil
	for _, problem := range c.problems {
		a.log.Warn("part of the history's catalogue cannot be read", "err", problem)
	}
	return nil
}

// putSealed accepts a described object: it is on this machine's disk when it returns, and on its way.
func (a *Archive) putSealed(name string, v any) error {
	b, err := seal(v)
	if err != nil {
		return err
	}
	return a.outbox.put(name, b)
}

// Recommended gives the PostgreSQL parameters that streaming needs. maxHeld bounds, in bytes, the WAL that a server keeps for a
// receiver that does not take it, so that it never fills the disk.
func Recommended(maxHeld int64) map[string]string {
	return map[string]string{
		"wal_level":              "replica",
		"max_wal_senders":        "10",
		"max_replication_slots":  "10",
		"max_slot_wal_keep_size": fmt.Sprintf("%dMB", max(maxHeld>>20, 2*postgres.DefaultSegmentSize>>20)),
	}
}
