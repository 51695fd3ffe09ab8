package platform

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/usage"
)

const (
	// meterInterval is how often usage is counted: what a crash loses is what was used since, at most.
	meterInterval = 30 * time.Second
	// meterLag is how far behind the present it is counted: what a server did a moment ago may not be known yet.
	meterLag = time.Second
	// positionTimeout bounds the question for a server's WAL position.
	positionTimeout = 2 * time.Second
	// closingTimeout bounds the last count before the control plane ends.
	closingTimeout = 10 * time.Second
	// keepUsageHours is how long usage is kept by the hour; then it is by the day.
	keepUsageHours = 62 * 24 * time.Hour
)

// metering counts what is used. The amounts and the meters, which say up to when they are counted, are stored in one transaction: a crash at
// any moment counts nothing twice.
type metering struct {
	mu      sync.Mutex // held while it is counted
	run     string     // names this run of the control plane
	begun   time.Time
	events  *fleet.Subscription
	found   map[holdfast.BranchID]foundServer    // what ran when this run began
	changes map[holdfast.BranchID][]usage.Change // not counted yet
	resumed map[holdfast.BranchID]bool           // counted in this run
	settled map[holdfast.BranchID]bool           // asleep since its WAL position was read
	folded  time.Time                            // the day on which old hours were last folded
}

// foundServer is what the control plane found of a branch's server when it began.
type foundServer struct {
	ran     bool
	started time.Time
}

// runs says whether a server that does this uses the machine on behalf of its users: until it has stopped, and not while it only starts.
func runs(a holdfast.Activity) bool { return a == holdfast.Awake || a == holdfast.Sleeping }

// openMetering begins to count. A failure is in the log: it is no reason to keep databases away, and the next count makes it good.
func (p *Platform) openMetering(ctx context.Context) {
	p.metering.run, p.metering.begun, p.metering.events = newID("run"), p.now(), p.fleet.Subscribe()
	p.metering.changes = map[holdfast.BranchID][]usage.Change{}
	p.metering.resumed, p.metering.settled = map[holdfast.BranchID]bool{}, map[holdfast.BranchID]bool{}
	p.metering.found = p.findServers(ctx)
	if err := p.countUsage(ctx, p.now()); err != nil && ctx.Err() == nil {
		p.log.Error("count the usage", "err", err)
	}
}

// findServers looks which servers run.
func (p *Platform) findServers(ctx context.Context) map[holdfast.BranchID]foundServer {
	var all []store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.AllBranches(); return err }); err != nil && ctx.Err() == nil {
		p.log.Error("look which servers run", "err", err)
	}
	found := map[holdfast.BranchID]foundServer{}
	for _, b := range all {
		if status, err := p.fleet.Status(b.ID); err == nil {
			started, err := p.fleet.Started(b.ID)
			found[b.ID] = foundServer{ran: err == nil && !started.IsZero() && runs(status.Activity), started: started}
		}
	}
	return found
}

// meter counts until ctx ends.
func (p *Platform) meter(ctx context.Context) {
	tick := time.NewTicker(meterInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := p.countUsage(ctx, p.now().Add(-meterLag)); err != nil && ctx.Err() == nil {
			p.log.Error("count the usage", "err", err)
			continue
		}
		p.enforceBudgets(ctx)
	}
}

func (p *Platform) closeMetering() {
	ctx, cancel := context.WithTimeout(context.Background(), closingTimeout)
	defer cancel()
	if err := p.countUsage(ctx, p.now()); err != nil {
		p.log.Error("count the usage", "err", err)
	}
	_ = p.metering.events.Close() // cannot fail
}

// metered is a branch to count: one that is there, or one of which backups are left.
type metered struct {
	id      holdfast.BranchID
	project holdfast.ProjectID
	ref     holdfast.BranchRef
	branch  *store.Branch // nil: gone
	born    time.Time
	backups struct{ stored, logical int64 }
	meter   usage.Meter
	reading usage.Reading
	later   []usage.Change // what happened after the reading
}

// countUsage counts up to a moment.
func (p *Platform) countUsage(ctx context.Context, at time.Time) error {
	m := &p.metering
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events.Drain() {
		m.changes[e.ID] = append(m.changes[e.ID], usage.Change{At: e.At, Awake: runs(e.Activity)})
		m.settled[e.ID] = false
	}
	all, err := p.listMetered(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, b := range all {
		group.Go(func() error { p.readUsage(ctx, b, at); return nil })
	}
	_ = group.Wait() // its functions return nil
	for _, b := range all {
		if b.reading.Server != "" && b.branch != nil {
			m.settled[b.id] = !b.awake() && len(b.later) == 0
		}
	}
	day := at.UTC().Truncate(24 * time.Hour)
	counted := map[holdfast.BranchID]bool{}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		clear(counted)
		for _, b := range all {
			next, hours := b.meter.Count(b.reading)
			if next.Through.Equal(b.meter.Through) {
				continue
			}
			counted[b.id] = true
			if err := putUsage(tx, b, next, hours); err != nil {
				return err
			}
		}
		if m.folded.Equal(day) {
			return nil
		}
		return tx.FoldUsage(day.Add(-keepUsageHours))
	})
	if err != nil {
		return err
	}
	m.folded = day
	for _, b := range all {
		if counted[b.id] {
			m.changes[b.id], m.resumed[b.id] = b.later, true
		}
	}
	p.forgetUncounted(all)
	return p.judgeBudgets(ctx, at)
}

func putUsage(tx *store.Tx, b *metered, next usage.Meter, hours []usage.Hour) error {
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := tx.PutUsageMeter(store.UsageMeter{BranchID: b.id, ProjectID: b.project, Ref: b.ref, Meter: string(raw)}); err != nil {
		return err
	}
	for _, h := range hours {
		if err := tx.AddUsage(b.id, h.Start, h.Used); err != nil {
			return err
		}
	}
	return nil
}

// forgetUncounted drops what is remembered of branches that are gone.
func (p *Platform) forgetUncounted(all []*metered) {
	for id := range p.metering.changes {
		if !slices.ContainsFunc(all, func(b *metered) bool { return b.id == id }) && len(p.metering.changes[id]) > 0 {
			// One that is being made is not in the list yet: its changes are kept for a while.
			last := p.metering.changes[id][len(p.metering.changes[id])-1]
			if time.Since(last.At) > time.Hour {
				delete(p.metering.changes, id)
			}
		}
	}
}

// listMetered lists what is to be counted, with how far it is.
func (p *Platform) listMetered(ctx context.Context) ([]*metered, error) {
	var branches []store.Branch
	var meters []store.UsageMeter
	var backups []store.Backup
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if branches, err = tx.AllBranches(); err != nil {
			return err
		}
		if meters, err = tx.UsageMeters(); err != nil {
			return err
		}
		backups, err = tx.Backups("")
		return err
	})
	if err != nil {
		return nil, err
	}
	byID, byRef := map[holdfast.BranchID]*metered{}, map[holdfast.BranchRef]*metered{}
	var all []*metered
	for _, b := range branches {
		if b.State != store.Ready {
			continue
		}
		m := &metered{id: b.ID, project: b.ProjectID, ref: b.Ref(), branch: &b, born: b.CreatedAt}
		all = append(all, m)
		byID[b.ID] = m
		if b.DeletedAt.IsZero() {
			byRef[b.Ref()] = m
		}
	}
	for _, b := range backups {
		if b.State != holdfast.BackupCompleted {
			continue
		}
		ref := holdfast.BranchRef{Project: b.Project, Branch: b.Branch}
		m := byID[b.BranchID]
		if m == nil && b.BranchID == "" {
			m = byRef[ref] // it was found at a location, and belongs to who has the name
		}
		if m == nil && b.BranchID != "" {
			m = &metered{id: b.BranchID, project: b.ProjectID, ref: ref, born: p.metering.begun}
			all, byID[b.BranchID] = append(all, m), m
		}
		if m != nil {
			m.backups.logical += b.Size
			m.backups.stored += b.Size * int64(max(1, len(b.Copies)))
		}
	}
	for _, kept := range meters {
		if m := byID[kept.BranchID]; m != nil {
			if err := json.Unmarshal([]byte(kept.Meter), &m.meter); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// readUsage looks at one branch. What does not answer is read the next time.
func (p *Platform) readUsage(ctx context.Context, b *metered, at time.Time) {
	m := &p.metering
	b.reading = usage.Reading{At: at, Born: b.born, Levels: p.levels(b), Run: m.run}
	if b.born.Before(m.begun) {
		b.reading.Born = m.begun // it was there before anything was counted
	}
	if b.branch == nil {
		return
	}
	status, err := p.fleet.Status(b.id)
	if err != nil {
		return
	}
	b.reading.Received, b.reading.Sent = status.Received, status.Sent
	if !m.resumed[b.id] {
		b.reading.Changes = p.resumeUsage(b)
	}
	for _, c := range m.changes[b.id] {
		if c.At.After(at) {
			b.later = append(b.later, c)
		} else {
			b.reading.Changes = append(b.reading.Changes, c)
		}
	}
	// What the server does now is known for sure; of the events too many may have come at once.
	if len(b.later) == 0 && !status.Since.After(at) && b.awake() != runs(status.Activity) {
		b.reading.Changes = append(b.reading.Changes, usage.Change{At: status.Since, Awake: runs(status.Activity)})
	}
	if m.settled[b.id] {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	server, wal, err := p.fleet.Position(ctx, b.id)
	if err == nil {
		b.reading.Server, b.reading.WAL = server, wal
	} else if !errors.Is(err, fleet.ErrAsleep) && ctx.Err() == nil {
		p.log.Debug("ask for a WAL position", "branch", b.id, "err", err)
	}
}

// awake says whether the server ran at the moment of the reading.
func (b *metered) awake() bool {
	if n := len(b.reading.Changes); n > 0 {
		return b.reading.Changes[n-1].Awake
	}
	return b.meter.Awake
}

// resumeUsage says what a branch's server did since it was last counted by a former run of the control plane.
func (p *Platform) resumeUsage(b *metered) []usage.Change {
	found, ok := p.metering.found[b.id]
	if !ok {
		return nil // it was made in this run, whose events tell everything
	}
	if changes := p.metering.changes[b.id]; len(changes) > 0 && changes[0].Awake {
		found.ran = false // it was seen between its start and the first event of that
	}
	return b.meter.Resume(found.ran, found.started)
}

// levels is what a branch holds now, as last measured.
func (p *Platform) levels(b *metered) usage.Levels {
	l := usage.Levels{BackupBytes: b.backups.stored, BackupLogical: b.backups.logical}
	if b.branch == nil {
		return l
	}
	was := b.meter.Levels
	l.Quarters = usage.Size(b.branch.Effective()["shared_buffers"])
	l.RootBytes, l.ChildBytes, l.DataLogical = was.RootBytes, was.ChildBytes, was.DataLogical
	l.HistoryBytes, l.HistoryLogical = was.HistoryBytes, was.HistoryLogical
	data, history := p.sizes.all(b.id)
	copied := b.branch.Parent != ""
	if data.Physical > 0 {
		l.RootBytes, l.ChildBytes, l.DataLogical = data.Physical, 0, data.Logical
		if copied {
			l.RootBytes, l.ChildBytes = 0, data.Exclusive
		}
	}
	if history.Stored > 0 {
		l.HistoryBytes, l.HistoryLogical = history.Stored, history.Logical
	}
	if b.branch.DeletedAt.IsZero() {
		l.Branches = 1
		if copied {
			l.Children = 1
		}
	}
	return l
}
