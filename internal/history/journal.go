package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// journal remembers, on this machine, what a base backup has brought to every location already. When the backup is interrupted,
// the next one takes its identifier over and repeats no block that still holds the same pages.
type journal struct {
	file *os.File
	head journalHead
	done map[journalKey]block
	last int // highest pack number
	sums []packInfo
}

type journalHead struct {
	Version   int      `json:"version"`
	Base      string   `json:"base"`
	Lineage   string   `json:"lineage"`
	Parent    string   `json:"parent,omitempty"`
	Locations []string `json:"locations"`
}

// journalKey finds a block again: same file, same pages, same bytes.
type journalKey struct {
	path, hash string
	first      uint32
}

type journalLine struct {
	Pack   packInfo    `json:"pack"`
	Blocks []packBlock `json:"blocks"`
}

// openJournal takes up the journal at path if it belongs to a backup like the one that wanted describes (but for the
// identifier), else begins a new one with wanted.
func openJournal(path string, wanted journalHead) (*journal, error) {
	j := &journal{head: wanted, done: map[journalKey]block{}}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the backup's journal: %w", err)
	}
	j.file = file
	end, err := j.load(wanted)
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err == nil && end == 0 {
		err = j.append(j.head)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the backup's journal: %w", err), file.Close())
	}
	return j, nil
}

// load reads as many whole lines as there are and says where they end; 0 when the journal is of another backup.
func (j *journal) load(wanted journalHead) (int64, error) {
	r := bufio.NewReaderSize(j.file, 1<<20)
	var end int64
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil // without its line break the last line is one that a crash cut off
		}
		if err != nil {
			return 0, err
		}
		if end == 0 {
			var head journalHead
			if json.Unmarshal(line, &head) != nil || !head.continues(wanted) {
				return 0, nil
			}
			j.head = head
		} else {
			var l journalLine
			if json.Unmarshal(line, &l) != nil {
				return end, nil
			}
			j.take(l)
		}
		end += int64(len(line))
	}
}

func (h journalHead) continues(w journalHead) bool {
	if h.Version != w.Version || h.Lineage != w.Lineage || h.Parent != w.Parent || len(h.Locations) != len(w.Locations) {
		return false
	}
	for i := range h.Locations {
		if h.Locations[i] != w.Locations[i] {
			return false
		}
	}
	return true
}

func (j *journal) take(l journalLine) {
	j.sums = append(j.sums, l.Pack)
	j.last = max(j.last, l.Pack.Number)
	for _, b := range l.Blocks {
		j.done[journalKey{b.Path, b.Hash, b.Runs[0][0]}] = b.block
	}
}

// find gives a block that is everywhere already with the same pages and bytes.
func (j *journal) find(path, hash string, runs [][2]uint32) (block, bool) {
	b, ok := j.done[journalKey{path, hash, runs[0][0]}]
	if !ok || len(b.Runs) != len(runs) {
		return block{}, false
	}
	for i := range runs {
		if b.Runs[i] != runs[i] {
			return block{}, false
		}
	}
	return b, true
}

// stored notes a pack that every location has.
func (j *journal) stored(p packInfo, blocks []packBlock) error {
	return j.append(journalLine{Pack: p, Blocks: blocks})
}

func (j *journal) append(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the backup's journal: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// remove ends the journal for good.
func (j *journal) remove() error {
	if err := os.Remove(j.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the backup's journal: %w", err)
	}
	return nil
}

// resumableBase says which base backup the journal at path could go on with; empty when there is none.
func resumableBase(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", gone(err)
	}
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err := errors.Join(noEnd(err), file.Close()); err != nil {
		return "", fmt.Errorf("read the backup's journal: %w", err)
	}
	var head journalHead
	if json.Unmarshal(line, &head) != nil {
		return "", nil
	}
	return head.Base, nil
}

func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
