package history

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast/internal/blob"
)

// defaultPackSize is about how long a pack becomes. Packs are built in memory, so that a location that fails can be given the same bytes
// again; a worker and an upload hold one each.
const defaultPackSize = 16 << 20

// packStore puts packs at every location, reads them back, and notes each in the journal once it is safe everywhere.
type packStore struct {
	mirror  mirror
	size    int
	name    func(number int) string
	stored  func(packInfo, []packBlock) error // called for one pack at a time, when every location has it
	uploads *errgroup.Group
	submit  func(number int, buf *bytes.Buffer, blocks []packBlock) // waits while two uploads are running

	mu      sync.Mutex
	next    int // number of the next pack
	packs   []packInfo
	buffers sync.Pool
}

// packBlock says which pages a block of a pack holds.
type packBlock struct {
	Path string `json:"path"`
	block
}

// newPackStore also gives the context of the uploads, which ends when one of them has failed.
func newPackStore(ctx context.Context, m mirror, size, first int, name func(int) string, stored func(packInfo, []packBlock) error) (*packStore, context.Context) {
	uploads, ctx := errgroup.WithContext(ctx)
	uploads.SetLimit(2)
	if size == 0 {
		size = defaultPackSize
	}
	s := &packStore{mirror: m, size: size, name: name, stored: stored, uploads: uploads, next: first}
	s.buffers.New = func() any { return bytes.NewBuffer(make([]byte, 0, size+blockPages*pageSize)) }
	s.submit = func(number int, buf *bytes.Buffer, blocks []packBlock) {
		uploads.Go(func() error { return s.upload(ctx, number, buf, blocks) })
	}
	return s, ctx
}

// packWriter fills packs for one worker.
type packWriter struct {
	store  *packStore
	number int
	buf    *bytes.Buffer // nil: no pack is begun
	blocks []packBlock
}

// add appends a compressed block and completes its place.
func (w *packWriter) add(path string, compressed []byte, b block) block {
	if w.buf == nil {
		w.store.mu.Lock()
		w.number = w.store.next
		w.store.next++
		w.store.mu.Unlock()
		w.buf = w.store.buffers.Get().(*bytes.Buffer)
		w.buf.Reset()
	}
	b.Pack, b.Offset, b.Length = w.number, int64(w.buf.Len()), len(compressed)
	w.buf.Write(compressed)
	w.blocks = append(w.blocks, packBlock{Path: path, block: b})
	if w.buf.Len() >= w.store.size {
		w.flush()
	}
	return b
}

// flush hands the pack at hand to be uploaded, and waits for its turn: this is what keeps memory bounded.
func (w *packWriter) flush() {
	if w.buf == nil {
		return
	}
	number, buf, blocks := w.number, w.buf, w.blocks
	w.buf, w.blocks = nil, nil
	w.store.submit(number, buf, blocks)
}

func (s *packStore) upload(ctx context.Context, number int, buf *bytes.Buffer, blocks []packBlock) error {
	content, name := buf.Bytes(), s.name(number)
	info := packInfo{Number: number, digest: digestOf(content)}
	err := s.mirror.each(ctx, func(ctx context.Context, l Location) error {
		if _, err := l.Put(ctx, name, bytes.NewReader(content), blob.PutOptions{Size: int64(len(content))}); err != nil {
			return fmt.Errorf("put %s at %s: %w", name, l.Name, err)
		}
		return nil
	})
	if err == nil {
		err = s.mirror.verify(ctx, name, info.digest)
	}
	s.buffers.Put(buf)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs = append(s.packs, info)
	return s.stored(info, blocks)
}

// wait returns when every pack is everywhere.
func (s *packStore) wait() error { return s.uploads.Wait() }
