package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// source is a data directory that stays restorable while it is read: a running server in backup mode, or a frozen copy.
type source struct {
	dir       string
	again     string           // where a page that was read half written is read again; empty: dir
	current   rereader         // the same for files that are sent
	sent      *baseStream      // the files come from here; nil: from dir
	release   func(raw []byte) // takes back the buffer of a part that was sent
	live      bool
	checksums bool
	base      Base // what is known at the start: timeline, start LSN, ...
	// finish ends backup mode. It sets what is only known then, and returns the content of the files that were not to be read from the directory.
	finish func(ctx context.Context, base *Base) (files []manifestFile, err error)
}

// rereader gives a page of the server's file as it is now; less than a page when it is no more.
type rereader func(ctx context.Context, path string, page uint32) ([]byte, error)

// baseWriter writes one base backup.
type baseWriter struct {
	mirror   mirror
	objects  objects
	scratch  string // local folder for the manifest and the journal
	parent   *manifestReader
	progress func(done, total int64)
	workers  int // 0: as many as there are processors, within bounds
	packSize int // 0: the default
}

// write brings the source to every location, all but the description, which the caller puts when the WAL is safe too.
func (w *baseWriter) write(ctx context.Context, src source, journal *journal) (base Base, err error) {
	base = src.base
	base.Version, base.ID = formatVersion, journal.head.Base
	manifestPath := filepath.Join(w.scratch, "manifest-"+base.ID)
	packs, uploading := newPackStore(ctx, w.mirror, w.packSize, journal.last+1, func(n int) string { return w.objects.pack(base.ID, n) }, journal.stored)
	packs.packs = journal.sums
	write := w.writeTree
	if src.sent != nil {
		write = w.writeSent
	}
	manifest, err := write(uploading, src, journal, packs, manifestPath, &base)
	if manifest != nil {
		defer func() { err = errors.Join(err, manifest.close(), os.Remove(manifestPath)) }()
	}
	if err != nil {
		return Base{}, errors.Join(err, packs.wait())
	}
	if err := packs.wait(); err != nil {
		return Base{}, err
	}
	files, err := src.finish(ctx, &base)
	if err != nil {
		return Base{}, err
	}
	for _, f := range files {
		if err := manifest.add(f); err != nil {
			return Base{}, err
		}
		base.Size += f.Size
		base.Files++
	}
	base.Packs = packs.packs
	for _, p := range base.Packs {
		base.Stored += p.Size
	}
	if err := manifest.finish(); err != nil {
		return Base{}, err
	}
	base.Manifest, err = w.putManifest(ctx, manifestPath, w.objects.manifest(base.ID))
	return base, err
}

// writeTree reads the files of the source's directory and gives their manifest, unfinished, also with an error.
func (w *baseWriter) writeTree(ctx context.Context, src source, journal *journal, packs *packStore, manifestPath string, base *Base) (*manifestWriter, error) {
	tree, err := readDataTree(src.dir)
	if err != nil {
		return nil, err
	}
	manifest, err := createManifest(manifestPath, manifestHead{Base: base.ID, Parent: base.Parent, Dirs: tree.dirs})
	if err != nil {
		return nil, err
	}
	dispatch := func(ctx context.Context, todo, ordered chan<- *part) error {
		return w.dispatch(ctx, tree, todo, ordered)
	}
	return manifest, w.copy(ctx, src, journal, packs, dispatch, tree.bytes, manifest.add, base)
}

// parallel is how many pages are worked on at a time.
func (w *baseWriter) parallel() int {
	if w.workers == 0 {
		return max(2, min(runtime.GOMAXPROCS(0), 8))
	}
	return w.workers
}

// copy works on all parts that dispatch cuts, several at a time, and adds the files in the order in which they were cut.
func (w *baseWriter) copy(ctx context.Context, src source, journal *journal, packs *packStore, dispatch func(ctx context.Context, todo, ordered chan<- *part) error,
	total int64, add func(manifestFile) error, base *Base) error {
	workers := w.parallel()
	group, ctx := errgroup.WithContext(ctx)
	todo, ordered := make(chan *part), make(chan *part, 4*workers)
	group.Go(func() error {
		defer close(todo)
		defer close(ordered)
		return dispatch(ctx, todo, ordered)
	})
	for range workers {
		group.Go(func() error { return w.work(ctx, src, journal, packs, todo) })
	}
	group.Go(func() error { return w.collect(ctx, total, ordered, add, base) })
	return group.Wait()
}

// dispatch cuts the files into parts and finds, for each, what the parent knows of its pages.
func (w *baseWriter) dispatch(ctx context.Context, tree dataTree, todo, ordered chan<- *part) error {
	var known manifestFile
	exhausted := w.parent == nil
	for _, file := range tree.files {
		for !exhausted && (known.Path < file.path) {
			f, err := w.parent.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if exhausted = err != nil || f.Content != nil; !exhausted {
				known = f
			}
		}
		for offset := int64(0); offset == 0 || offset < file.size; offset += partPages * pageSize {
			p := &part{file: file, offset: offset, length: min(file.size-offset, partPages*pageSize), done: make(chan struct{})}
			p.last = offset+partPages*pageSize >= file.size
			if known.Path == file.path {
				p.known = known.Pages[min(int64(len(known.Pages)), offset/pageSize*8):]
			}
			if err := p.hand(ctx, ordered, todo); err != nil {
				return err
			}
		}
	}
	return nil
}

// hand gives the part to whoever waits for it.
func (p *part) hand(ctx context.Context, to ...chan<- *part) error {
	for _, out := range to {
		select {
		case out <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (w *baseWriter) work(ctx context.Context, src source, journal *journal, packs *packStore, todo <-chan *part) error {
	comp, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return fmt.Errorf("prepare compression: %w", err)
	}
	defer comp.Close()
	r := &pageReader{dir: src.dir, again: src.again, current: src.current, start: src.base.StartLSN, checksums: src.checksums, live: src.live, journal: journal,
		packs: packWriter{store: packs}, comp: comp, raw: make([]byte, blockPages*pageSize)}
	for p := range todo {
		p.err = r.read(ctx, p)
		if p.raw != nil {
			src.release(p.raw)
		}
		close(p.done)
		if p.err != nil {
			return fmt.Errorf("back up %s: %w", p.file.path, p.err)
		}
	}
	r.packs.flush()
	return nil
}

// collect puts the parts of each file together again, in the order in which they were cut.
func (w *baseWriter) collect(ctx context.Context, total int64, ordered <-chan *part, add func(manifestFile) error, base *Base) error {
	var file manifestFile
	var done int64
	begun, cut := false, false
	for p := range ordered {
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if p.err != nil {
			return nil // the worker says why
		}
		if !begun {
			file, begun, cut = manifestFile{Path: p.file.path}, true, false
		}
		// A file that was cut short while it was read is taken as it was then: the WAL repeats what came later.
		if !cut {
			file.Size += p.size
			file.Pages = append(file.Pages, p.pages...)
			file.Blocks = append(file.Blocks, p.blocks...)
			base.Corrupt = append(base.Corrupt, p.corrupt...)
			cut = p.size < p.length
		}
		done += p.length
		if w.progress != nil {
			w.progress(done, total)
		}
		if p.last {
			if err := add(file); err != nil {
				return err
			}
			base.Size += file.Size
			base.Files++
			begun = false
		}
	}
	return nil
}

// putManifest brings the manifest to every location and reads it back.
func (w *baseWriter) putManifest(ctx context.Context, path, name string) (digest, error) {
	want, err := digestAtFile(path)
	if err != nil {
		return digest{}, err
	}
	if err := putFile(ctx, w.mirror, path, name, want.Size); err != nil {
		return digest{}, err
	}
	return want, w.mirror.verify(ctx, name, want)
}

// now is a time as it is written into objects: UTC, microseconds as PostgreSQL's.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
