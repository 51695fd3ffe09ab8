package history

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// baseReader writes base backups back into an empty directory.
type baseReader struct {
	mirror   mirror
	objects  objects
	scratch  string
	account  postgres.Account
	damage   *damageLog
	progress func(done, total int64)
	workers  int
}

// neededBlock is a block and the file whose pages are taken from it.
type neededBlock struct {
	block
	base int // index in the chain
	file int // index in restorePlan.files
}

// restorePlan is what to write: files, and the blocks that hold their pages, each page in exactly one.
type restorePlan struct {
	chain  []Base // newest first
	dirs   []string
	files  []manifestFile // without pages and blocks
	blocks []neededBlock
	bytes  int64
}

// restore writes the newest base of chain (the newest first, then its parents) into dir, which must be empty, and syncs it.
func (r *baseReader) restore(ctx context.Context, chain []Base, dir string) error {
	plan, err := r.plan(ctx, chain)
	if err != nil {
		return err
	}
	if err := r.makeFiles(plan, dir); err != nil {
		return err
	}
	if err := r.fill(ctx, plan, dir); err != nil {
		return err
	}
	return syncTree(ctx, dir, plan)
}

// plan reads the manifests side by side and decides for each page from which base it comes: the newest that has it.
func (r *baseReader) plan(ctx context.Context, chain []Base) (plan *restorePlan, err error) {
	readers := make([]*manifestReader, len(chain))
	defer func() {
		for _, m := range readers {
			if m != nil {
				err = errors.Join(err, m.Close())
			}
		}
	}()
	for i, base := range chain {
		if readers[i], err = r.openManifest(ctx, base); err != nil {
			return nil, err
		}
	}
	plan = &restorePlan{chain: chain, dirs: readers[0].head.Dirs}
	ahead := make([]*manifestFile, len(chain))
	for {
		file, err := readers[0].next()
		if errors.Is(err, io.EOF) {
			return plan, nil
		}
		if err != nil {
			return nil, err
		}
		versions := []manifestFile{file}
		for i := 1; i < len(readers) && file.Content == nil; i++ {
			v, err := seek(readers[i], &ahead[i], file.Path)
			if err != nil {
				return nil, err
			}
			if v == nil {
				break // it did not exist then, so the bases before have nothing of it either
			}
			versions = append(versions, *v)
		}
		if err := plan.add(versions); err != nil {
			return nil, err
		}
	}
}

// seek gives the file of that path from a manifest that is read in order, nil if it has none.
func seek(m *manifestReader, ahead **manifestFile, path string) (*manifestFile, error) {
	for {
		if *ahead == nil {
			f, err := m.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			if err != nil || f.Content != nil {
				f = manifestFile{Path: "\xff"} // behind every other
			}
			*ahead = &f
		}
		switch strings.Compare((*ahead).Path, path) {
		case 0:
			return *ahead, nil
		case 1:
			return nil, nil
		}
		*ahead = nil
	}
}

// add takes the blocks of one file, newest version first, until every page has its own.
func (p *restorePlan) add(versions []manifestFile) error {
	file := versions[0]
	pages := int((file.Size + pageSize - 1) / pageSize)
	index := len(p.files)
	p.files = append(p.files, manifestFile{Path: file.Path, Size: file.Size, Content: file.Content})
	p.bytes += file.Size
	if file.Content != nil {
		return nil
	}
	have, missing := make([]bool, pages), pages
	for base, version := range versions {
		for _, b := range version.Blocks {
			needed := false
			for _, run := range b.Runs {
				for page := run[0]; page < run[0]+run[1] && int(page) < pages; page++ {
					needed = needed || !have[page]
				}
			}
			if needed {
				missing -= p.take(index, base, b, have)
			}
		}
	}
	if missing > 0 {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the base backup %s lacks %d pages of %s", p.chain[0].ID, missing, file.Path)}
	}
	return nil
}

// take plans a block. Pages that a newer base has are marked in the block's runs by a first page beyond every file.
func (p *restorePlan) take(file, base int, b block, have []bool) (taken int) {
	var runs [][2]uint32
	for _, run := range b.Runs {
		for i := range run[1] {
			target := run[0] + i
			if int(target) >= len(have) || have[target] {
				target = noPage
			} else {
				have[target] = true
				taken++
			}
			last := len(runs) - 1
			if last >= 0 && target != noPage && runs[last][0] != noPage && runs[last][0]+runs[last][1] == target || last >= 0 && target == noPage && runs[last][0] == noPage {
				runs[last][1]++
			} else {
				runs = append(runs, [2]uint32{target, 1})
			}
		}
	}
	b.Runs = runs
	p.blocks = append(p.blocks, neededBlock{block: b, base: base, file: file})
	return taken
}

const noPage = ^uint32(0)

// openManifest brings a manifest into the scratch folder, checks it against the base's description, and begins to read it.
func (r *baseReader) openManifest(ctx context.Context, base Base) (*manifestReader, error) {
	file, err := os.CreateTemp(r.scratch, "manifest-")
	if err != nil {
		return nil, fmt.Errorf("keep a manifest: %w", err)
	}
	defer os.Remove(file.Name()) // the open file is enough
	err = r.mirror.fetch(ctx, r.objects.manifest(base.ID), r.damage, func(from io.Reader) error {
		if err := errors.Join(file.Truncate(0), rewind(file)); err != nil {
			return errors.Join(errUser, err)
		}
		h := xxh3.New128()
		n, err := io.Copy(io.MultiWriter(file, h), from)
		if err != nil {
			return err
		}
		if got := (digest{Size: n, Hash: formatHash(h.Sum128())}); got != base.Manifest {
			return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("%v instead of %v", got, base.Manifest)}
		}
		return nil
	})
	if err == nil {
		err = rewind(file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m, err := readManifest(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return m, nil
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// makeFiles makes the directories and the files in their final length, owned by the server's account.
func (r *baseReader) makeFiles(plan *restorePlan, dir string) error {
	for _, d := range plan.dirs {
		if err := r.account.MkdirAll(filepath.Join(dir, filepath.FromSlash(d))); err != nil {
			return err
		}
	}
	for _, f := range plan.files {
		if err := r.makeFile(filepath.Join(dir, filepath.FromSlash(f.Path)), f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func (r *baseReader) makeFile(path string, f manifestFile) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if f.Content != nil {
		_, err = file.Write(f.Content)
	} else {
		err = file.Truncate(f.Size)
	}
	return errors.Join(err, file.Close(), r.account.Own(path))
}

// fill reads the packs, several at a time, each from its first needed block to its last, and writes the pages where they belong.
func (r *baseReader) fill(ctx context.Context, plan *restorePlan, dir string) error {
	slices.SortFunc(plan.blocks, func(a, b neededBlock) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.Pack, b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	workers := r.workers
	if workers == 0 {
		workers = max(2, min(runtime.GOMAXPROCS(0), 8))
	}
	group, ctx := errgroup.WithContext(ctx)
	packs := make(chan []neededBlock)
	group.Go(func() error {
		defer close(packs)
		for rest := plan.blocks; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].base == rest[0].base && rest[n].Pack == rest[0].Pack {
				n++
			}
			select {
			case packs <- rest[:n]:
			case <-ctx.Done():
				return ctx.Err()
			}
			rest = rest[n:]
		}
		return nil
	})
	var done atomic.Int64
	for range workers {
		group.Go(func() error { return r.fillFrom(ctx, plan, dir, packs, &done) })
	}
	return group.Wait()
}

func (r *baseReader) fillFrom(ctx context.Context, plan *restorePlan, dir string, packs <-chan []neededBlock, done *atomic.Int64) error {
	decomp, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return fmt.Errorf("prepare decompression: %w", err)
	}
	defer decomp.Close()
	files := &openFiles{dir: dir, plan: plan}
	defer files.closeAll()
	pack := &packReader{mirror: r.mirror, damage: r.damage, decomp: decomp}
	for blocks := range packs {
		if err := pack.open(r.objects.pack(plan.chain[blocks[0].base].ID, blocks[0].Pack)); err != nil {
			return err
		}
		for _, b := range blocks {
			raw, err := pack.read(ctx, b.block)
			if err != nil {
				return errors.Join(err, pack.close())
			}
			if err := files.write(b, raw); err != nil {
				return errors.Join(fmt.Errorf("write %s: %w", plan.files[b.file].Path, err), pack.close())
			}
			if n := done.Add(int64(len(raw))); r.progress != nil {
				r.progress(min(n, plan.bytes), plan.bytes)
			}
		}
		if err := pack.close(); err != nil {
			return err
		}
	}
	return files.closeAll()
}

// packReader reads blocks of one pack, in the order of their places, from the first location that has them whole. A location that
// fails is left for the rest of the pack.
type packReader struct {
	mirror mirror
	damage *damageLog
	decomp *zstd.Decoder

	name   string
	errs   []error
	at     int // index of the location in use
	body   io.ReadCloser
	stream *bufio.Reader
	offset int64 // of the next byte of stream
	packed []byte
	raw    []byte
}

func (p *packReader) open(name string) error {
	err := p.close()
	p.name, p.at, p.errs = name, 0, nil
	return err
}

func (p *packReader) close() error {
	if p.body == nil {
		return nil
	}
	err := p.body.Close()
	p.body = nil
	return err
}

// read gives the block's uncompressed bytes, which stay valid until the next call.
func (p *packReader) read(ctx context.Context, b block) ([]byte, error) {
	for ; p.at < len(p.mirror); p.at++ {
		raw, err := p.readAt(ctx, p.mirror[p.at], b)
		if err == nil {
			return raw, nil
		}
		_ = p.close() // the error that matters is the one above
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.damage.note(p.mirror[p.at], p.name, err)
		p.errs = append(p.errs, fmt.Errorf("at %s: %w", p.mirror[p.at].Name, err))
	}
	return nil, unreadable(p.name, p.errs)
}

// farther than this, it is quicker to ask the location again than to read what lies between.
const skipAtMost = 4 << 20

func (p *packReader) readAt(ctx context.Context, l Location, b block) ([]byte, error) {
	if p.body != nil && (b.Offset < p.offset || b.Offset-p.offset > skipAtMost) {
		if err := p.close(); err != nil {
			return nil, err
		}
	}
	if p.body == nil {
		body, err := l.Get(ctx, p.name, b.Offset, -1)
		if err != nil {
			return nil, err
		}
		p.body, p.offset = body, b.Offset
		if p.stream == nil {
			p.stream = bufio.NewReaderSize(nil, 256<<10)
		}
		p.stream.Reset(body)
	}
	if _, err := p.stream.Discard(int(b.Offset - p.offset)); err != nil {
		return nil, cutShort(err)
	}
	p.packed = slices.Grow(p.packed[:0], b.Length)[:b.Length]
	if _, err := io.ReadFull(p.stream, p.packed); err != nil {
		return nil, cutShort(err)
	}
	p.offset = b.Offset + int64(b.Length)
	raw, err := p.decomp.DecodeAll(p.packed, p.raw[:0])
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the block at %d is damaged", b.Offset), Cause: err}
	}
	p.raw = raw
	if formatHash(xxh3.Hash128(raw)) != b.Hash {
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the block at %d has a wrong hash", b.Offset)}
	}
	return raw, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the object is cut short", Cause: err}
	}
	return err
}

// openFiles keeps the file that is being written open, since the blocks of one file come one after the other.
type openFiles struct {
	dir  string
	plan *restorePlan
	file *os.File
	at   int
}

func (o *openFiles) write(b neededBlock, raw []byte) error {
	if o.file == nil || o.at != b.file {
		if err := o.closeAll(); err != nil {
			return err
		}
		file, err := os.OpenFile(filepath.Join(o.dir, filepath.FromSlash(o.plan.files[b.file].Path)), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		o.file, o.at = file, b.file
	}
	size := o.plan.files[b.file].Size
	for _, run := range b.Runs {
		n := min(int64(run[1])*pageSize, int64(len(raw)))
		if run[0] != noPage {
			at := int64(run[0]) * pageSize
			if _, err := o.file.WriteAt(raw[:min(n, size-at)], at); err != nil {
				return err
			}
		}
		raw = raw[n:]
	}
	return nil
}

func (o *openFiles) closeAll() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

// syncTree makes all files and names durable: once, at the end, many at a time.
func syncTree(ctx context.Context, dir string, plan *restorePlan) error {
	paths := make([]string, 0, len(plan.files)+len(plan.dirs)+1)
	for _, f := range plan.files {
		paths = append(paths, filepath.FromSlash(f.Path))
	}
	for _, d := range plan.dirs {
		paths = append(paths, filepath.FromSlash(d))
	}
	return syncPaths(ctx, dir, append(paths, ""))
}

func syncPaths(ctx context.Context, dir string, paths []string) error {
	var group errgroup.Group
	group.SetLimit(8)
	for _, path := range paths {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			file, err := os.Open(filepath.Join(dir, path))
			if err != nil {
				return fmt.Errorf("sync the restored files: %w", err)
			}
			if err := errors.Join(file.Sync(), file.Close()); err != nil {
				return fmt.Errorf("sync %s: %w", path, err)
			}
			return nil
		})
	}
	return group.Wait()
}
