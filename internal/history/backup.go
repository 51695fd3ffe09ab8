package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// BackupRequest says how a base backup is made.
type BackupRequest struct {
	// Server is the branch's server: the attached one, running, or one that was shut down cleanly after it was attached.
	Server *postgres.Server
	// Source is from where the pages are read; empty: what the server offers.
	Source Source
	// Full stores every page. Otherwise only those are stored that changed since the newest base, as long as the chain stays short.
	Full bool
	// Fast makes PostgreSQL write its dirty pages at once instead of spreading them over its checkpoint interval.
	Fast bool
	// Progress is told how many bytes of the data directory were read; it may be nil.
	Progress func(done, total int64)
	// Workers is how many pages are read at a time; 0 chooses.
	Workers int
}

// Source is a way to read the pages of a base backup.
type Source string

const (
	// FromDirectory reads the data directory on this machine, or a frozen copy of it where the volume makes one.
	FromDirectory Source = "directory"
	// FromProtocol has the running server send its files over the replication protocol (BASE_BACKUP). Nothing else is possible for a server
	// that does not run on this machine; for one that does it is slower. It takes one of the server's max_wal_senders besides the WAL stream's.
	FromProtocol Source = "protocol"
)

// maxChain bounds how many increments follow a full base backup: each is one more to read in a restore, and one more that must be whole.
const maxChain = 7

// Backup makes a base backup. It counts, and is returned, when every location has it, it was read back, and every location has the
// WAL that it needs. After an interruption the same call goes on with what is there already.
func (a *Archive) Backup(ctx context.Context, r BackupRequest) (base Base, err error) {
	if !a.backing.TryLock() {
		return Base{}, &holdfast.Error{Kind: holdfast.Busy, Message: "a base backup of this branch is being made already"}
	}
	defer a.backing.Unlock()
	if !a.writing.TryRLock() {
		return Base{}, &holdfast.Error{Kind: holdfast.Busy, Message: "old history is being removed; try again in a moment"}
	}
	defer a.writing.RUnlock()
	m, err := a.markerOf(r.Server)
	if err != nil {
		return Base{}, err
	}
	if m.Branch != a.config.Branch {
		return Base{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the server's WAL was never streamed, so a base backup of it could not be restored"}
	}
	src, end, err := a.openSource(ctx, r)
	if err != nil {
		return Base{}, err
	}
	defer func() { err = errors.Join(err, end()) }()
	src.base.Branch, src.base.Lineage = a.config.Branch, m.Lineage
	if base, err = a.writeBase(ctx, r, src); err != nil {
		return Base{}, err
	}
	a.alerts.clear(BaseNeeded)
	if len(base.Corrupt) > 0 {
		a.alerts.event(PagesCorrupt, fmt.Sprintf("the base backup found %d damaged pages on the server's disk, the first in %s, page %d", len(base.Corrupt), base.Corrupt[0].File, base.Corrupt[0].Page))
	}
	return base, nil
}

// openSource begins to read the server's files: those of a frozen copy where there can be one, so that a running server is in
// backup mode for a moment only. A server elsewhere sends them.
func (a *Archive) openSource(ctx context.Context, r BackupRequest) (source, func() error, error) {
	switch {
	case r.Source != "" && r.Source != FromDirectory && r.Source != FromProtocol:
		return source{}, nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("there is no source %q of base backups", r.Source)}
	case r.Source == FromDirectory && r.Server.Elsewhere():
		return source{}, nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the server's data directory is not on this machine", Hint: "take the base backup over the replication protocol"}
	case r.Source == FromProtocol || r.Server.Elsewhere():
		return protocolSource(ctx, r.Server, r.Fast)
	}
	running, err := r.Server.Adopt()
	if err != nil {
		return source{}, nil, err
	}
	if !running || !a.config.Snapshots.usable() {
		return a.openDirectory(ctx, r.Server, r.Fast)
	}
	// One that is being made already began before this backup was asked for, and takes a moment: wait for it.
	a.snapping.Lock()
	frozen, err := a.snapshot(ctx, r.Server)
	a.snapping.Unlock()
	if err != nil {
		a.log.Warn("the base backup is read from the running server's files", "err", err)
		return a.openDirectory(ctx, r.Server, r.Fast)
	}
	a.reading.RLock()
	dir := a.config.Snapshots.path(frozen.ID)
	src := source{dir: dir, again: r.Server.DataDir(), live: true, checksums: frozen.Checksums, base: frozen}
	src.finish = func(_ context.Context, base *Base) ([]manifestFile, error) {
		var files []manifestFile
		for _, name := range []string{labelFile, controlFile} {
			content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				return nil, fmt.Errorf("read the snapshot: %w", err)
			}
			files = append(files, inline(name, content))
		}
		return files, nil
	}
	src.base.Files, src.base.Size = 0, 0 // counted again as they are read
	return src, func() error { a.reading.RUnlock(); return nil }, nil
}

// openDirectory begins to read the server's own files: in backup mode when it runs.
func (a *Archive) openDirectory(ctx context.Context, server *postgres.Server, fast bool) (source, func() error, error) {
	running, err := server.Adopt()
	if err != nil {
		return source{}, nil, err
	}
	if running {
		return liveSource(ctx, server, fast)
	}
	if err := a.Settle(ctx, server); err != nil {
		return source{}, nil, err
	}
	src, err := coldSource(ctx, server)
	return src, func() error { return nil }, err
}

// writeBase writes the pages, waits for the WAL, and puts the description last.
func (a *Archive) writeBase(ctx context.Context, r BackupRequest, src source) (base Base, err error) {
	parent, found, err := a.parentFor(ctx, src.base.Lineage, r.Full)
	if err != nil {
		return Base{}, err
	}
	w := &baseWriter{mirror: a.mirror, objects: a.objects, scratch: a.config.Dir, progress: r.Progress, workers: r.Workers}
	if found {
		reader := &baseReader{mirror: a.mirror, objects: a.objects, scratch: a.config.Dir}
		if w.parent, err = reader.openManifest(ctx, parent); err != nil {
			return Base{}, err
		}
		defer func() { err = errors.Join(err, w.parent.Close()) }()
		src.base.Parent, src.base.Depth = parent.ID, parent.Depth+1
	}
	j, err := a.openJournal(ctx, src.base)
	if err != nil {
		return Base{}, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	if base, err = w.write(ctx, src, j); err != nil {
		return Base{}, err
	}
	if err := a.waitStored(ctx, base); err != nil {
		return Base{}, fmt.Errorf("wait for the base backup's WAL: %w", err)
	}
	content, err := seal(base)
	if err != nil {
		return Base{}, err
	}
	name := a.objects.base(base.ID)
	if err := a.mirror.put(ctx, name, content); err != nil {
		return Base{}, err
	}
	if err := a.mirror.verify(ctx, name, digestOf(content)); err != nil {
		return Base{}, err
	}
	a.note(func(c *catalogue) { c.bases[base.ID] = knownBase{base, true} })
	return base, j.remove()
}

// parentFor gives the newest base that an increment may build on.
func (a *Archive) parentFor(ctx context.Context, lineage string, full bool) (parent Base, found bool, err error) {
	if full {
		return Base{}, false, nil
	}
	err = a.withCatalogue(ctx, func(c *catalogue) error {
		var candidates []knownBase
		for _, b := range c.bases {
			if b.Lineage == lineage && b.everywhere && b.Depth < maxChain && len(b.Corrupt) == 0 {
				candidates = append(candidates, b)
			}
		}
		if len(candidates) > 0 {
			newest := slices.MaxFunc(candidates, func(x, y knownBase) int { return cmp.Compare(x.ID, y.ID) })
			parent, found = newest.Base, true
		}
		return nil
	})
	return parent, found, err
}

// openJournal takes up an interrupted backup. One whose description was put somewhere already is left alone: it may be in use.
func (a *Archive) openJournal(ctx context.Context, base Base) (*journal, error) {
	wanted := journalHead{Version: formatVersion, Base: newID(now()), Lineage: base.Lineage, Parent: base.Parent}
	for _, l := range a.mirror {
		wanted.Locations = append(wanted.Locations, l.Name)
	}
	j, err := openJournal(a.path("base-journal"), wanted)
	if err != nil || j.head.Base == wanted.Base {
		return j, err
	}
	described := false
	err = a.withCatalogue(ctx, func(c *catalogue) error { _, described = c.bases[j.head.Base]; return nil })
	if err != nil || !described {
		return j, err
	}
	if err := errors.Join(j.remove(), j.close()); err != nil {
		return nil, err
	}
	return openJournal(a.path("base-journal"), wanted)
}

// waitStored waits until every location has the WAL from which the base becomes consistent.
func (a *Archive) waitStored(ctx context.Context, base Base) error {
	a.mu.Lock()
	st, s := a.stream, a.spools[base.Lineage]
	a.mu.Unlock()
	if st != nil {
		if err := a.waitFlushed(ctx, st, base.StopLSN, a.patience); err != nil {
			return err
		}
	}
	if s == nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the server's WAL was never streamed"}
	}
	if end, _ := s.end(base.Timeline); end < base.StopLSN {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the server's WAL is here up to %s only", end), Hint: "attach the running server first"}
	}
	if err := a.Sync(ctx); err != nil {
		return err
	}
	return a.withCatalogue(ctx, func(c *catalogue) error {
		key := walKey{base.Lineage, base.Timeline}
		way, err := c.way(key)
		if err == nil {
			_, err = c.neededWAL(&target{walKey: key, way: way, cut: base.StopLSN}, base.StartLSN)
		}
		if err != nil {
			return &holdfast.Error{Kind: holdfast.Unavailable, Message: "WAL was lost while the base backup was made", Hint: "make another one", Cause: err}
		}
		return nil
	})
}

// checkBase raises the alert that a base backup is needed when what happens now could not be restored.
func (a *Archive) checkBase(ctx context.Context) {
	needed, err := a.BaseNeeded(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.Warn("whether a base backup is needed is not known", "err", err)
	case needed:
		a.alerts.raise(BaseNeeded, "what happens now cannot be restored until there is a base backup")
	default:
		a.alerts.clear(BaseNeeded)
	}
}

// BaseNeeded says whether no base backup leads to the present of the server that was attached last.
func (a *Archive) BaseNeeded(ctx context.Context) (bool, error) {
	plan, err := a.Plan(ctx, holdfast.Point{})
	if err == nil {
		return plan.Snapshot && plan.instead == nil, nil
	}
	switch holdfast.KindOf(err) {
	case holdfast.NotFound, holdfast.Precondition:
		return true, nil
	}
	return false, err
}
