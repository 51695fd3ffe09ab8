package blob

import (
	"context"
	"errors"
	"io"
)

// windows reads an object at any place, for one caller at a time: reads that follow each other share a request, and the bytes at the object's
// beginning, which are read several times in small pieces, are kept.
type windows struct {
	ctx   context.Context
	inner Location
	name  string
	size  int64
	end   int64 // how far a request goes that begins in the object's middle; 0: as far as the read that began it

	head      []byte
	stream    io.ReadCloser
	next      int64 // where the stream stands
	streamEnd int64 // where its request ends
	err       error // the last error of the location
}

// windowHead is how much of the beginning is read at once: the header of an age file and, of a small one, everything.
const windowHead = 16 << 10

// ReadAt implements io.ReaderAt. It is called with increasing offsets but for a few.
func (w *windows) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= w.size {
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > w.size-offset {
		p, atEnd = p[:w.size-offset], io.EOF
	}
	if w.head == nil {
		if err := w.readHead(); err != nil {
			return 0, err
		}
	}
	n := 0
	if offset < int64(len(w.head)) {
		n = copy(p, w.head[offset:])
	}
	if n < len(p) {
		m, err := w.readStream(p[n:], offset+int64(n))
		if n += m; err != nil {
			return n, err
		}
	}
	return n, atEnd
}

func (w *windows) readHead() error {
	r, err := w.inner.Get(w.ctx, w.name, 0, windowHead)
	if err != nil {
		w.err = err
		return err
	}
	defer r.Close()
	w.head, err = io.ReadAll(r)
	if err != nil {
		w.head, w.err = nil, err
	}
	return err
}

func (w *windows) readStream(p []byte, offset int64) (int, error) {
	if w.stream == nil || w.next != offset || offset+int64(len(p)) > w.streamEnd {
		w.closeStream()
		length := max(int64(len(p)), w.end-offset)
		stream, err := w.inner.Get(w.ctx, w.name, offset, length)
		if err != nil {
			w.err = err
			return 0, err
		}
		w.stream, w.next, w.streamEnd = stream, offset, offset+length
	}
	n, err := io.ReadFull(w.stream, p)
	w.next += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF // the object is shorter than it said
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

func (w *windows) closeStream() {
	if w.stream != nil {
		w.stream.Close()
		w.stream = nil
	}
}

// Close ends the request that may be open.
func (w *windows) Close() error {
	w.closeStream()
	return nil
}
