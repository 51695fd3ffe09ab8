package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast/holdfast"
)

// Base describes a base backup. It is what bases/ID.json holds, written when everything else is at every location and was read back.
type Base struct {
	Version     int               `json:"version"`
	ID          string            `json:"id"`
	Branch      holdfast.BranchID `json:"branch"`
	Lineage     string            `json:"lineage"`
	Timeline    uint32            `json:"timeline"`
	StartLSN    holdfast.LSN      `json:"start_lsn"` // recovery begins with the WAL segment that holds it
	StopLSN     holdfast.LSN      `json:"stop_lsn"`  // recovery must at least arrive here
	Started     time.Time         `json:"started"`
	Stopped     time.Time         `json:"stopped"`
	SystemID    uint64            `json:"system_id,string"`
	Major       int               `json:"major"`
	SegmentSize int64             `json:"wal_segment_size"`
	Parent      string            `json:"parent,omitempty"` // the base whose unchanged pages this one does not repeat
	Depth       int               `json:"depth"`            // how many parents there are
	Files       int               `json:"files"`
	Size        int64             `json:"size"`          // bytes of the data directory
	Stored      int64             `json:"stored"`        // bytes of this base's packs
	Manifest    digest            `json:"manifest"`      // of manifest.zst
	Packs       []packInfo        `json:"packs"`         // in the order of their numbers
	Corrupt     []CorruptPage     `json:"corrupt_pages"` // pages whose checksum was wrong on the server's own disk
	Checksums   bool              `json:"page_checksums"`
}

// CorruptPage is a page that was damaged already when it was backed up.
type CorruptPage struct {
	File string `json:"file"`
	Page uint32 `json:"page"` // of the file
}

type packInfo struct {
	Number int `json:"number"`
	digest
}

// manifestHead is the first line of a manifest.
type manifestHead struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Base    string   `json:"base"`
	Parent  string   `json:"parent,omitempty"`
	Dirs    []string `json:"dirs"`
}

const manifestFormat = "holdfast-base"

// manifestFile is a line of a manifest: a file of the data directory. The lines are sorted by path, but for the files with Content,
// which come last.
type manifestFile struct {
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	Pages   []byte  `json:"pages,omitempty"`  // XXH3 of each 8 KiB, the last perhaps shorter, as 8 bytes big-endian
	Blocks  []block `json:"blocks,omitempty"` // where the pages lie that the parent does not have
	Content []byte  `json:"content,omitempty"`
}

// block is a run of zstd-compressed bytes in a pack: pages of one file, one after the other.
type block struct {
	Pack   int         `json:"pack"`
	Offset int64       `json:"at"`
	Length int         `json:"len"`
	Hash   string      `json:"xxh3_128"` // of the uncompressed bytes
	Runs   [][2]uint32 `json:"runs"`     // first page and number of pages, ascending
}

// manifestWriter writes a manifest into a local file.
type manifestWriter struct {
	file *os.File
	comp *zstd.Encoder
	json *json.Encoder
}

func createManifest(path string, head manifestHead) (*manifestWriter, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a manifest: %w", err)
	}
	comp, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create a manifest: %w", err), file.Close())
	}
	w := &manifestWriter{file: file, comp: comp, json: json.NewEncoder(comp)}
	head.Format, head.Version = manifestFormat, formatVersion
	if err := w.json.Encode(head); err != nil {
		return nil, errors.Join(fmt.Errorf("write a manifest: %w", err), w.close())
	}
	return w, nil
}

func (w *manifestWriter) add(f manifestFile) error {
	if err := w.json.Encode(f); err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	return nil
}

// addLine adds a file as one line of JSON, with its line break.
func (w *manifestWriter) addLine(line []byte) error {
	if _, err := w.comp.Write(line); err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	return nil
}

// finish completes the file, which stays open for reading.
func (w *manifestWriter) finish() error {
	if err := w.comp.Close(); err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	return nil
}

func (w *manifestWriter) close() error { return w.file.Close() }

// manifestReader reads a manifest's lines in order.
type manifestReader struct {
	head  manifestHead
	comp  *zstd.Decoder
	lines *bufio.Reader
	close func() error
}

// readManifest begins to read. The reader owns r when there is no error.
func readManifest(r io.ReadCloser) (*manifestReader, error) {
	comp, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	m := &manifestReader{comp: comp, lines: bufio.NewReaderSize(comp, 1<<20), close: r.Close}
	if err := m.line(&m.head); err != nil {
		comp.Close()
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	if m.head.Format != manifestFormat || m.head.Version != formatVersion {
		comp.Close()
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("this program does not read manifests of format %q, version %d", m.head.Format, m.head.Version)}
	}
	return m, nil
}

// next gives the next file, and io.EOF after the last.
func (m *manifestReader) next() (manifestFile, error) {
	var f manifestFile
	err := m.line(&f)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read a manifest: %w", err)
	}
	return f, err
}

func (m *manifestReader) line(v any) error {
	line, err := m.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// Close ends reading.
func (m *manifestReader) Close() error {
	m.comp.Close()
	return m.close()
}
