package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// Snapshots says where frozen copies of the branch's data directory are kept on this machine. They share their blocks with it, so they cost
// next to nothing at first, and make a restore as quick as the WAL since the last one is short.
type Snapshots struct {
	Volume   *volume.Volume // must share blocks; else no snapshots are made
	Dir      string         // below the volume's root; belongs to this archive alone
	EveryWAL int64          // a new one after so many bytes of WAL; zero is 160 MiB, so that no restore from one replays more than 256 MiB
	Every    time.Duration  // a new one after so long, if there was WAL since; zero is six hours
	KeepFor  time.Duration  // older ones go, but for the last; zero is holdfast.DefaultWindow
	Keep     int            // at most so many; zero is 64
	MinFree  int64          // bytes of the volume that snapshots give back before the disk fills; zero is a tenth
}

func (s *Snapshots) usable() bool { return s != nil && s.Volume != nil && s.Volume.Reflinks() }

func (s *Snapshots) path(id string) string { return filepath.Join(s.Dir, id) }

// describedBy is the file that says that a snapshot is whole. It is written last.
func (s *Snapshots) describedBy(id string) string { return filepath.Join(s.Dir, id+".json") }

// openSnapshots lists the whole ones and removes what a crash left half made or half removed.
func (a *Archive) openSnapshots(ctx context.Context) error {
	s := a.config.Snapshots
	if !s.usable() {
		return nil
	}
	s.EveryWAL = cmp.Or(s.EveryWAL, 160<<20)
	s.Every = cmp.Or(s.Every, 6*time.Hour)
	s.KeepFor = cmp.Or(s.KeepFor, holdfast.DefaultWindow)
	s.Keep = cmp.Or(s.Keep, 64)
	entries, err := os.ReadDir(s.Dir)
	if gone(err) != nil {
		return fmt.Errorf("look at the snapshots: %w", err)
	}
	for _, entry := range entries {
		id, isDescription := strings.CutSuffix(entry.Name(), ".json")
		var b Base
		err := readJSON(s.describedBy(id), &b)
		_, dirErr := os.Stat(s.path(id))
		switch {
		case err == nil && b.ID == id && dirErr == nil:
			if isDescription {
				a.snapshots = append(a.snapshots, b)
			}
		case isDescription:
			err = os.Remove(s.describedBy(id))
		default:
			err = s.Volume.Remove(ctx, filepath.Join(s.Dir, entry.Name()))
		}
		if err != nil {
			return fmt.Errorf("clear the snapshots: %w", err)
		}
	}
	slices.SortFunc(a.snapshots, byID)
	return nil
}

func byID(x, y Base) int { return cmp.Compare(x.ID, y.ID) }

// Snapshot freezes the branch's data directory: a running server's under the backup API, one that sleeps as it is. Older snapshots go
// when there are too many or the disk fills.
func (a *Archive) Snapshot(ctx context.Context, server *postgres.Server) (Base, error) {
	if !a.config.Snapshots.usable() || server.Elsewhere() {
		return Base{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the volume cannot share blocks, so there are no snapshots"}
	}
	if !a.snapping.TryLock() {
		return Base{}, &holdfast.Error{Kind: holdfast.Busy, Message: "a snapshot of this branch is being made already"}
	}
	defer a.snapping.Unlock()
	return a.snapshot(ctx, server)
}

// snapshot makes one. The caller holds snapping.
func (a *Archive) snapshot(ctx context.Context, server *postgres.Server) (Base, error) {
	s := a.config.Snapshots
	m, err := a.markerOf(server)
	if err != nil {
		return Base{}, err
	}
	if m.Branch != a.config.Branch {
		return Base{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the server's WAL was never streamed, so a snapshot of it could not be restored"}
	}
	if err := a.evict(ctx, s.Keep-1); err != nil {
		return Base{}, err
	}
	if room, err := s.room(); err != nil {
		return Base{}, err
	} else if room < 0 {
		return Base{}, errNoRoom
	}
	src, end, err := a.openDirectory(ctx, server, true)
	if err != nil {
		return Base{}, err
	}
	base, err := a.freeze(ctx, src, server, m.Lineage)
	if err := errors.Join(err, end()); err != nil {
		return Base{}, err
	}
	a.mu.Lock()
	a.snapshots = append(a.snapshots, base)
	a.mu.Unlock()
	return base, nil
}

// freeze clones the source's directory and describes the clone.
func (a *Archive) freeze(ctx context.Context, src source, server *postgres.Server, lineage string) (base Base, err error) {
	s := a.config.Snapshots
	base = src.base
	base.Version, base.Branch, base.Lineage, base.ID = formatVersion, a.config.Branch, lineage, newID(now())
	dir := s.path(base.ID)
	cloned, err := s.Volume.Clone(ctx, src.dir, dir, volume.CloneOptions{Skip: notInCopy, Last: []string{controlFile}})
	if err != nil {
		return Base{}, fmt.Errorf("freeze the data directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Volume.Remove(context.WithoutCancel(ctx), dir))
		}
	}()
	base.Files, base.Size = cloned.Files, cloned.Bytes
	files, err := src.finish(ctx, &base)
	if err != nil {
		return Base{}, err
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := errors.Join(writeSynced(name, f.Content), server.Account().Own(name), postgres.SyncDir(filepath.Dir(name))); err != nil {
			return Base{}, err
		}
	}
	return base, writeJSON(s.describedBy(base.ID), base)
}

// notInCopy says what of a data directory is left out of a clone; readDataTree leaves out the same.
func notInCopy(rel string) bool {
	name := path.Base(rel)
	for _, dir := range emptied {
		if strings.HasPrefix(rel, dir+"/") {
			return true
		}
	}
	if rel != controlFile && slices.Contains(left, rel) {
		return true
	}
	relation := strings.HasPrefix(rel, "base/") || strings.HasPrefix(rel, "global/")
	return strings.HasPrefix(name, "pg_internal.init") || strings.HasPrefix(name, "pgsql_tmp") || relation && temporaryName.MatchString(name)
}

// SnapshotUsage is what the snapshots cost.
type SnapshotUsage struct {
	Count    int
	Logical  int64     // bytes, as if each were a copy
	Physical int64     // bytes that they alone keep from being free
	Measured time.Time // when Physical was; zero: not yet
}

// measureEvery is how often the snapshots' share of the disk is measured, which reads every file's extents.
const measureEvery = 10 * time.Minute

// SnapshotUsage says what the snapshots cost, as last measured.
func (a *Archive) SnapshotUsage() SnapshotUsage {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := SnapshotUsage{Count: len(a.snapshots), Physical: a.snapshotBytes, Measured: a.snapshotsMeasured}
	for _, b := range a.snapshots {
		u.Logical += b.Size
	}
	return u
}

func (a *Archive) measureSnapshots(ctx context.Context) {
	a.mu.Lock()
	due := time.Since(a.snapshotsMeasured) > measureEvery
	a.mu.Unlock()
	if !due {
		return
	}
	var used int64
	if _, err := os.Stat(a.config.Snapshots.Dir); err == nil {
		u, err := a.config.Snapshots.Volume.Usage(ctx, a.config.Snapshots.Dir)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("the snapshots could not be measured", "err", err)
			}
			return
		}
		used = u.Exclusive
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.snapshotBytes, a.snapshotsMeasured = used, time.Now()
}

// Snapshots lists the snapshots, newest first.
func (a *Archive) Snapshots() []Base {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Clone(a.snapshots)
	slices.Reverse(list)
	return list
}

// errNoRoom says that a snapshot would be the next one to go.
var errNoRoom = &holdfast.Error{Kind: holdfast.Precondition, Message: "the volume has too little free space for snapshots"}

// room says how many bytes the volume has free beyond those that snapshots must leave.
func (s *Snapshots) room() (int64, error) {
	space, err := s.Volume.Space()
	if err != nil {
		return 0, err
	}
	return space.Free - cmp.Or(s.MinFree, space.Total/10), nil
}

// EvictSnapshots gives space back: the oldest snapshots go until no more than keep are left.
func (a *Archive) EvictSnapshots(ctx context.Context, keep int) error {
	a.snapping.Lock()
	defer a.snapping.Unlock()
	return a.evict(ctx, keep)
}

// evict removes the oldest snapshots while there are more than keep or the volume has too little room. The caller holds snapping.
func (a *Archive) evict(ctx context.Context, keep int) error {
	s := a.config.Snapshots
	for {
		a.mu.Lock()
		n := len(a.snapshots)
		var oldest Base
		if n > 0 {
			oldest = a.snapshots[0]
		}
		a.mu.Unlock()
		room, err := s.room()
		if err != nil {
			return err
		}
		outlived := n > 1 && time.Since(oldest.Stopped) > s.KeepFor
		if n == 0 || n <= keep && room >= 0 && !outlived {
			return nil
		}
		if !a.reading.TryLock() { // a restore or a backup reads one
			return nil
		}
		a.mu.Lock()
		a.snapshots = a.snapshots[1:]
		a.mu.Unlock()
		// The description first: what lies there without one is removed when the archive is opened.
		err = errors.Join(gone(os.Remove(s.describedBy(oldest.ID))), s.Volume.Remove(ctx, s.path(oldest.ID)))
		a.reading.Unlock()
		if err != nil {
			return fmt.Errorf("remove a snapshot: %w", err)
		}
	}
}

// snapshotDue says whether so much WAL, or some WAL so long ago, has come since the last snapshot that there should be another.
func (a *Archive) snapshotDue() (*postgres.Server, bool) {
	s := a.config.Snapshots
	if !s.usable() {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.stream
	if st == nil || st.caughtUp.Load() == 0 {
		return nil, false
	}
	position := holdfast.LSN(st.position.Load())
	if position == 0 {
		return nil, false
	}
	for _, b := range a.snapshots {
		if b.Lineage != a.lineage || b.StopLSN > position {
			continue
		}
		since := int64(position - b.StopLSN)
		if since < s.EveryWAL && (since < idleWAL || time.Since(b.Stopped) < s.Every) {
			return nil, false
		}
	}
	return st.server, true
}

// idleWAL is what a server writes that nobody uses: less is no reason for a snapshot.
const idleWAL = 1 << 20

// snapshotPause is how long after a failure the next snapshot is tried.
const snapshotPause = time.Minute

// keepSnapshots makes a snapshot when one is due, and gives space back when the disk fills.
func (a *Archive) keepSnapshots(ctx context.Context) {
	if !a.config.Snapshots.usable() {
		return
	}
	a.measureSnapshots(ctx)
	if server, due := a.snapshotDue(); due && !server.Elsewhere() && time.Now().After(a.snapshotRetry) {
		_, err := a.Snapshot(ctx, server)
		if err == nil || holdfast.KindOf(err) == holdfast.Busy {
			return
		}
		// Each try makes PostgreSQL write its dirty pages, so they do not follow at once.
		a.snapshotRetry = time.Now().Add(snapshotPause)
		if ctx.Err() == nil && !errors.Is(err, errNoRoom) {
			a.log.Warn("no snapshot could be made", "err", err)
		}
	}
	if a.snapping.TryLock() {
		defer a.snapping.Unlock()
		if err := a.evict(ctx, a.config.Snapshots.Keep); err != nil && ctx.Err() == nil {
			a.log.Warn("no snapshot could be removed", "err", err)
		}
	}
}

// keepSnapshotsFor lets the older ones go when snapshots are looked after next.
func (a *Archive) keepSnapshotsFor(window time.Duration) {
	if !a.config.Snapshots.usable() {
		return
	}
	a.snapping.Lock()
	defer a.snapping.Unlock()
	a.config.Snapshots.KeepFor = max(window, time.Minute)
}

// fromSnapshot clones a snapshot to where a server is restored to.
func (a *Archive) fromSnapshot(ctx context.Context, b Base, server *postgres.Server, progress func(done, total int64)) error {
	s := a.config.Snapshots
	if err := os.Remove(server.DataDir()); err != nil { // Clone makes it; prepareEmpty has made sure that it is empty
		return fmt.Errorf("make way for a clone: %w", err)
	}
	_, err := s.Volume.Clone(ctx, s.path(b.ID), server.DataDir(), volume.CloneOptions{Progress: progress})
	return err
}
