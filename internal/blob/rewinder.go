package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// rewindMemory is how much of a source that cannot be read again is kept in memory.
const rewindMemory = 1 << 20

// rewinder is a source that can be read again, if there is a way to.
type rewinder struct {
	io.Reader
	seeker io.Seeker // nil: there is none
	start  int64
	file   *os.File // the spool
}

// newRewinder finds the way: the source's own, memory, or a file in the folder spool.
func newRewinder(ctx context.Context, r io.Reader, spool string) (*rewinder, error) {
	if seeker, ok := r.(io.Seeker); ok {
		// A pipe is an *os.File that cannot seek.
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			return &rewinder{Reader: r, seeker: seeker, start: start}, nil
		}
	}
	src := newSource(ctx, r, PutOptions{})
	begin, ended, err := readPart(src, nil, rewindMemory)
	if err != nil {
		return nil, err
	}
	if ended {
		kept := bytes.NewReader(begin)
		return &rewinder{Reader: kept, seeker: kept}, nil
	}
	whole := io.MultiReader(bytes.NewReader(begin), r)
	if spool == "" {
		return &rewinder{Reader: whole}, nil
	}
	return newSpool(ctx, whole, spool)
}

// newSpool keeps the source in a file without a name, which goes with the process.
func newSpool(ctx context.Context, r io.Reader, folder string) (*rewinder, error) {
	file, err := os.CreateTemp(folder, "spool-*")
	if err != nil {
		return nil, folderError("cannot keep the bytes while they are sent", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, folderError("cannot keep the bytes while they are sent", err)
	}
	src := newSource(ctx, r, PutOptions{})
	if _, err := io.CopyBuffer(struct{ io.Writer }{file}, src, make([]byte, copyBuffer)); err != nil {
		file.Close()
		if src.err != nil {
			return nil, src.err
		}
		return nil, folderError("cannot keep the bytes while they are sent", err)
	}
	s := &rewinder{Reader: file, seeker: file, file: file}
	if err := s.rewind(); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

func (s *rewinder) canRewind() bool { return s.seeker != nil }

func (s *rewinder) rewind() error {
	if s.seeker == nil {
		return errors.New("the source cannot be read again")
	}
	if _, err := s.seeker.Seek(s.start, io.SeekStart); err != nil {
		return fmt.Errorf("read the source again: %w", err)
	}
	return nil
}

func (s *rewinder) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
