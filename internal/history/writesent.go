package history

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// writeSent takes the files as the server sends them, in an order of its own, and gives their manifest, unfinished, also with an error. Memory is
// bounded but for the files' names: pages wait in a fixed number of buffers, and the manifest's lines and the parent's hashes on disk.
func (w *baseWriter) writeSent(ctx context.Context, src source, journal *journal, packs *packStore, manifestPath string, base *Base) (manifest *manifestWriter, err error) {
	known, err := indexLines(w.scratch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, known.close()) }()
	if err := known.takeHashes(w.parent); err != nil {
		return nil, err
	}
	lines, err := indexLines(w.scratch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lines.close()) }()
	cutter := &sentCutter{known: known, free: make(chan []byte, 3*w.parallel())}
	for range cap(cutter.free) {
		cutter.free <- make([]byte, blockPages*pageSize)
	}
	dispatch := func(ctx context.Context, todo, ordered chan<- *part) error {
		return src.sent.files(ctx, func(path string, size int64, content io.Reader) error {
			return cutter.cut(ctx, path, size, content, ordered, todo)
		})
	}
	add := func(f manifestFile) error {
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write a manifest: %w", err)
		}
		return lines.add(f.Path, append(line, '\n'))
	}
	src.release = func(raw []byte) { cutter.free <- raw[:cap(raw)] }
	if err := w.copy(ctx, src, journal, packs, dispatch, src.sent.total, add, base); err != nil {
		return nil, err
	}
	slices.Sort(src.sent.dirs)
	manifest, err = createManifest(manifestPath, manifestHead{Base: base.ID, Parent: base.Parent, Dirs: src.sent.dirs})
	if err != nil {
		return nil, err
	}
	return manifest, lines.sorted(manifest.addLine)
}

// sentCutter cuts what a server sends into parts of at most a block.
type sentCutter struct {
	known *lineIndex
	free  chan []byte // buffers of a block's size
}

func (c *sentCutter) cut(ctx context.Context, path string, size int64, content io.Reader, ordered, todo chan<- *part) error {
	file, err := newDataFile(path)
	if err != nil {
		return err
	}
	file.size = size
	const most = blockPages * pageSize
	for offset := int64(0); offset == 0 || offset < size; offset += most {
		p := &part{file: file, offset: offset, length: min(size-offset, most), last: offset+most >= size, done: make(chan struct{})}
		select {
		case p.raw = <-c.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.raw = p.raw[:p.length]
		if _, err := io.ReadFull(content, p.raw); err != nil {
			return cutShort(err)
		}
		if file.relation { // what is half a page now is being added, and the WAL has it
			p.raw = p.raw[:p.length-p.length%pageSize]
		}
		if p.known, err = c.known.read(path, offset/pageSize*8, blockPages*8); err != nil {
			return err
		}
		if err := p.hand(ctx, ordered, todo); err != nil {
			return err
		}
	}
	return nil
}

// lineIndex keeps bytes by path in a file without a name, which no crash leaves behind.
type lineIndex struct {
	file   *os.File
	out    *bufio.Writer
	end    int64
	places map[string]place
}

type place struct{ at, length int64 }

func indexLines(dir string) (*lineIndex, error) {
	file, err := os.CreateTemp(dir, "manifest-")
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("keep a manifest: %w", err)
	}
	return &lineIndex{file: file, out: bufio.NewWriterSize(file, 256<<10), places: map[string]place{}}, nil
}

func (x *lineIndex) close() error { return x.file.Close() }

func (x *lineIndex) add(path string, content []byte) error {
	if _, twice := x.places[path]; twice {
		return fmt.Errorf("%s came twice", path)
	}
	x.places[path] = place{x.end, int64(len(content))}
	x.end += int64(len(content))
	if _, err := x.out.Write(content); err != nil {
		return fmt.Errorf("keep a manifest: %w", err)
	}
	return nil
}

// takeHashes keeps the page hashes of a manifest; nil has none.
func (x *lineIndex) takeHashes(m *manifestReader) error {
	for m != nil {
		f, err := m.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if f.Content == nil {
			if err := x.add(f.Path, f.Pages); err != nil {
				return err
			}
		}
	}
	return x.flush()
}

func (x *lineIndex) flush() error {
	if err := x.out.Flush(); err != nil {
		return fmt.Errorf("keep a manifest: %w", err)
	}
	return nil
}

// read gives at most n bytes of what was added for the path, from an offset on; none when there are none.
func (x *lineIndex) read(path string, offset, n int64) ([]byte, error) {
	p := x.places[path]
	if offset >= p.length {
		return nil, nil
	}
	b := make([]byte, min(n, p.length-offset))
	if _, err := x.file.ReadAt(b, p.at+offset); err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	return b, nil
}

// sorted gives everything in the order of the paths.
func (x *lineIndex) sorted(take func([]byte) error) error {
	if err := x.flush(); err != nil {
		return err
	}
	paths := make([]string, 0, len(x.places))
	for path := range x.places {
		paths = append(paths, path)
	}
	slices.SortFunc(paths, cmp.Compare[string])
	for _, path := range paths {
		line, err := x.read(path, 0, x.places[path].length)
		if err == nil {
			err = take(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
