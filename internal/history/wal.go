package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// segmentContent gives the bytes of a stored segment. Of an unfinished one a longer piece may have taken the place since it was planned with: then
// they are the beginning of that.
func (a *Archive) segmentContent(ctx context.Context, seg storedSegment, log *damageLog) ([]byte, error) {
	if longer, ok, err := a.longerPiece(ctx, seg); err != nil || ok {
		return a.beginningOf(ctx, longer, seg, log, err)
	}
	content, err := a.pieceContent(ctx, seg, log)
	if holdfast.KindOf(err) != holdfast.NotFound || seg.complete() {
		return content, err
	}
	// It went between the two, or another process writes into this repository.
	a.mu.Lock()
	a.known = nil
	a.mu.Unlock()
	if longer, ok, lookErr := a.longerPiece(ctx, seg); lookErr == nil && ok {
		return a.beginningOf(ctx, longer, seg, log, nil)
	}
	return nil, err
}

func (a *Archive) longerPiece(ctx context.Context, seg storedSegment) (longer storedSegment, ok bool, err error) {
	if seg.complete() {
		return storedSegment{}, false, nil
	}
	err = a.withCatalogue(ctx, func(c *catalogue) error {
		longer, ok = c.segmentAt(walKey{seg.lineage, seg.segment.Timeline}, seg.segment.Number)
		ok = ok && longer.end > seg.end
		return nil
	})
	return longer, ok, err
}

func (a *Archive) beginningOf(ctx context.Context, longer, seg storedSegment, log *damageLog, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	content, err := a.segmentContent(ctx, longer, log)
	if err != nil {
		return nil, err
	}
	return content[:seg.end], nil
}

// pieceContent gives the bytes of exactly this piece, from this machine if they are still here.
func (a *Archive) pieceContent(ctx context.Context, seg storedSegment, log *damageLog) ([]byte, error) {
	a.mu.Lock()
	s := a.spools[seg.lineage]
	a.mu.Unlock()
	if s != nil {
		if content, ok, err := s.content(seg, nil); err != nil || ok {
			return content, err
		}
	}
	name := a.objects.segment(seg)
	if file, ok := a.outbox.read(name); ok {
		content, err := unpackSegment(file, seg)
		if err := errors.Join(err, file.Close()); err == nil {
			return content, nil
		}
	}
	var content []byte
	err := a.mirror.fetch(ctx, name, log, func(r io.Reader) error {
		var err error
		content, err = unpackSegment(r, seg)
		return err
	})
	return content, err
}

// unpackSegment decompresses a segment and checks that it is the one that its name promises. The compressed form carries a checksum.
func unpackSegment(r io.Reader, seg storedSegment) ([]byte, error) {
	decomp, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(4*seg.segment.Size)))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer decomp.Close()
	content := make([]byte, seg.end+1)
	n, err := io.ReadFull(decomp, content)
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && holdfast.KindOf(err) != holdfast.Internal:
		return nil, err
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || int64(n) != seg.end:
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("%d bytes of WAL were found instead of %d", n, seg.end), Cause: err}
	}
	content = content[:n]
	if seg.end >= walPageSize {
		scan := newWALScan(seg.segment.Start(), seg.segment.Size)
		if err := scan.feed(content[:walLongHeader]); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// neededWAL lists the segments from a base's start to the target, or says which is missing.
func (c *catalogue) neededWAL(t *target, from holdfast.LSN) ([]storedSegment, error) {
	size := c.lineages[t.lineage].SegmentSize
	if size == 0 {
		size = postgres.DefaultSegmentSize
	}
	var needed []storedSegment
	last := uint64(t.cut-1) / uint64(size)
	for number := uint64(from) / uint64(size); number <= last; number++ {
		seg, ok := c.onWay(t, number, size)
		if !ok || number < last && !seg.complete() || number == last && seg.endLSN() < t.cut {
			name := postgres.Segment{Timeline: t.timeline, Number: number, Size: size}.Name()
			return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("the WAL segment %s is missing from the history", name)}
		}
		needed = append(needed, seg)
	}
	return needed, nil
}

// materialise writes the needed WAL into pg_wal, so that PostgreSQL finds it without asking, and nothing of it behind the target.
func (a *Archive) materialise(ctx context.Context, t *target, needed []storedSegment, dataDir string, account postgres.Account, log *damageLog, progress func(done, total int)) error {
	walDir := filepath.Join(dataDir, "pg_wal")
	if err := account.MkdirAll(walDir); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, min(runtime.GOMAXPROCS(0), 4)))
	paths := make([]string, len(needed))
	for i, seg := range needed {
		paths[i] = filepath.Join("pg_wal", seg.segment.Name())
		group.Go(func() error {
			content, err := a.segmentContent(groupCtx, seg, log)
			if err != nil {
				return err
			}
			if over := int64(seg.segment.End()) - int64(t.cut); over > 0 {
				content = content[:min(int64(len(content)), seg.segment.Size-over)]
			}
			if progress != nil {
				progress(i+1, len(needed))
			}
			return writeSegment(filepath.Join(dataDir, paths[i]), content, seg.segment.Size, account)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	histories, err := a.writeTimelines(ctx, t, walDir, account)
	if err != nil {
		return err
	}
	return syncPaths(ctx, dataDir, append(append(paths, histories...), "pg_wal"))
}

// writeSegment writes a segment in its full length; what is not there reads as zeros, which end the WAL.
func writeSegment(path string, content []byte, size int64, account postgres.Account) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write a WAL segment: %w", err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Truncate(size)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write a WAL segment: %w", err)
	}
	return account.Own(path)
}

// writeTimelines writes the histories of all timelines of the lineage, not only of those on the way: PostgreSQL gives the restored server
// the first number behind the target's of which it knows no history, and it must be one that nobody used.
func (a *Archive) writeTimelines(ctx context.Context, t *target, walDir string, account postgres.Account) ([]string, error) {
	var histories []timelineHistory
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		for key, h := range c.timelines {
			if key.lineage == t.lineage {
				histories = append(histories, h)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, h := range histories {
		path := filepath.Join(walDir, timelineFile(h.Timeline))
		if err := writeSynced(path, []byte(h.Content)); err != nil {
			return nil, err
		}
		if err := account.Own(path); err != nil {
			return nil, err
		}
		paths = append(paths, filepath.Join("pg_wal", timelineFile(h.Timeline)))
	}
	return paths, nil
}
