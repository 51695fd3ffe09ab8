package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"github.com/holdfast/holdfast"
)

const (
	blockPages = 128             // at most so many pages in a block: 1 MiB
	partPages  = 16 * blockPages // what a worker takes at a time: 16 MiB
)

// part is a piece of a file, and what a worker found there.
type part struct {
	file   dataFile
	offset int64  // of its first byte in the file
	length int64  // as it was when the file was listed
	known  []byte // page hashes of the parent for this piece; may be shorter
	last   bool   // of its file

	raw []byte // its content where a server sends it; nil: to be read from the file

	done    chan struct{} // closed when what follows is set
	pages   []byte
	blocks  []block
	size    int64 // how many bytes there were
	corrupt []CorruptPage
	err     error
}

// pageReader is a worker: it reads parts, checks and hashes their pages, and packs those that the parent does not have.
type pageReader struct {
	dir       string
	again     string       // see source
	current   rereader     // see source
	start     holdfast.LSN // where the backup began
	checksums bool
	live      bool // the files may change while they are read
	journal   *journal
	packs     packWriter
	comp      *zstd.Encoder
	raw       []byte
	changed   []byte
	out       []byte
}

// read works on one part.
func (w *pageReader) read(ctx context.Context, p *part) error {
	if p.raw != nil {
		err := w.block(ctx, nil, p, p.raw)
		p.size = int64(len(p.raw))
		return err
	}
	file, err := os.Open(filepath.Join(w.dir, filepath.FromSlash(p.file.path)))
	if err != nil {
		return gone(err)
	}
	defer file.Close()
	for p.size < p.length {
		if err := ctx.Err(); err != nil {
			return err
		}
		want := min(blockPages*pageSize, p.length-p.size)
		n, err := file.ReadAt(w.raw[:want], p.offset+p.size)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if p.file.relation && w.live {
			n -= n % pageSize // what is half a page now is being added, and the WAL has it
		}
		if n == 0 {
			return nil
		}
		if err := w.block(ctx, file, p, w.raw[:n]); err != nil {
			return err
		}
		p.size += int64(n)
		if int64(n) < want {
			return nil
		}
	}
	return nil
}

// block checks and hashes the pages that were read and packs the changed ones.
func (w *pageReader) block(ctx context.Context, file *os.File, p *part, raw []byte) error {
	first := uint32((p.offset + p.size) / pageSize)
	w.changed = w.changed[:0]
	var runs [][2]uint32
	for i := 0; i*pageSize < len(raw); i++ {
		page, number := raw[i*pageSize:min((i+1)*pageSize, len(raw))], first+uint32(i)
		if err := w.check(ctx, file, p, page, number); err != nil {
			return err
		}
		hash := xxh3.Hash(page)
		p.pages = binary.BigEndian.AppendUint64(p.pages, hash)
		at := len(p.pages) - 8
		if at+8 <= len(p.known) && binary.BigEndian.Uint64(p.known[at:]) == hash {
			continue
		}
		w.changed = append(w.changed, page...)
		if last := len(runs) - 1; last >= 0 && runs[last][0]+runs[last][1] == number {
			runs[last][1]++
		} else {
			runs = append(runs, [2]uint32{number, 1})
		}
	}
	if len(runs) == 0 {
		return nil
	}
	hash := formatHash(xxh3.Hash128(w.changed))
	if b, ok := w.journal.find(p.file.path, hash, runs); ok {
		p.blocks = append(p.blocks, b)
		return nil
	}
	w.out = w.comp.EncodeAll(w.changed, w.out[:0])
	p.blocks = append(p.blocks, w.packs.add(p.file.path, w.out, block{Hash: hash, Runs: runs}))
	return nil
}

// A page that is being written can be read half old and half new. So often, and at such distances, it is read again.
const (
	tornRetries = 8
	tornWait    = time.Millisecond // doubled each time: a quarter of a second in all
)

// check verifies a page's checksum. A page that stays wrong was changed by what the backup's WAL repeats, or is corrupt on the
// server's own disk; that is noted, and the backup goes on, because the other pages need one too.
func (w *pageReader) check(ctx context.Context, file *os.File, p *part, page []byte, number uint32) error {
	if !w.checksums || !p.file.relation || len(page) < pageSize {
		return nil
	}
	for retry := 0; ; retry++ {
		if pageIsSound(page, p.file.first+number) {
			return nil
		}
		if !w.live || retry == tornRetries {
			break
		}
		timer := time.NewTimer(tornWait << retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		switch excused, err := w.readAgain(ctx, file, p, page, number); {
		case err != nil:
			return fmt.Errorf("read a page again: %w", err)
		case excused:
			return nil
		}
	}
	if lsn := pageLSN(page); w.live && lsn >= w.start && lsn < w.start+1<<40 {
		return nil
	}
	p.corrupt = append(p.corrupt, CorruptPage{File: p.file.path, Page: number})
	return nil
}

// readAgain reads a page once more, and says whether it is no more: cut off meanwhile, and the WAL says so. When the files are a frozen
// copy of a running server's, or were sent, the page is looked at in the original: if it is sound there, it was caught while it was being
// written, and since that was after the backup began the WAL has all of it.
func (w *pageReader) readAgain(ctx context.Context, file *os.File, p *part, page []byte, number uint32) (excused bool, err error) {
	if w.current != nil {
		now, err := w.current(ctx, p.file.path, number)
		return err == nil && (len(now) < pageSize || pageIsSound(now, p.file.first+number)), err
	}
	into := page
	if w.again != "" {
		original, err := os.Open(filepath.Join(w.again, filepath.FromSlash(p.file.path)))
		if err != nil {
			return true, gone(err)
		}
		defer original.Close()
		file, into = original, make([]byte, pageSize)
	}
	_, err = file.ReadAt(into, int64(number)*pageSize)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	// The frozen page itself is kept: a newer one could be from after the end of the backup.
	return err == nil && w.again != "" && pageIsSound(into, p.file.first+number), err
}
