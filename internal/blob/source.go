package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/holdfast/holdfast"
)

// source is what Put reads: it counts and hashes the bytes, ends with ctx, and fails where the promised size is not kept, so
// that a location which stores only what ended in io.EOF never stores a wrong object.
type source struct {
	ctx  context.Context
	from io.Reader
	want int64 // 0: unknown
	size int64
	hash hash.Hash
	err  error // the first error that was not io.EOF: what really went wrong, whatever a client library makes of it
}

func newSource(ctx context.Context, r io.Reader, opts PutOptions) *source {
	return &source{ctx: ctx, from: r, want: opts.Size, hash: sha256.New()}
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.from.Read(p)
	s.size += int64(n)
	s.hash.Write(p[:n])
	if sizeErr := s.checkSize(errors.Is(err, io.EOF)); sizeErr != nil {
		err = sizeErr
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *source) checkSize(ended bool) error {
	if s.want <= 0 || s.size <= s.want && !ended || s.size == s.want {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the source gave %d bytes instead of %d", s.size, s.want)}
}

func (s *source) info(name string) Info {
	return Info{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.hash.Sum(nil))}
}

// body is what Get returns: it ends with ctx and gives its errors a kind.
type body struct {
	ctx  context.Context
	from io.ReadCloser
	kind func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if ctxErr := b.ctx.Err(); ctxErr != nil {
			return n, ctxErr
		}
		err = b.kind(err)
	}
	return n, err
}

func (b *body) Close() error { return b.from.Close() }

// emptyBody stands for a range without bytes.
func emptyBody() io.ReadCloser { return io.NopCloser(eof{}) }

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
