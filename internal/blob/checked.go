package blob

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/holdfast/holdfast"
)

// Checked is a location that reads every object back after it was put and compares size and hash. One that differs is deleted and the Put is
// Corrupt. Around Encrypted it proves that the object can be decrypted too.
type Checked struct {
	inner Location
}

var _ Location = (*Checked)(nil)

// NewChecked wraps inner.
func NewChecked(inner Location) *Checked { return &Checked{inner: inner} }

// Put implements Location.
func (l *Checked) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	src := newSource(ctx, r, opts)
	info, err := l.inner.Put(ctx, name, src, opts)
	if err != nil {
		return Info{}, err
	}
	sent := src.info(name)
	err = Verify(ctx, l.inner, name, sent.Size, sent.SHA256)
	if err != nil && holdfast.KindOf(err) == holdfast.Corrupt {
		if deleteErr := l.inner.Delete(context.WithoutCancel(ctx), name); deleteErr != nil {
			return Info{}, fmt.Errorf("%w; and it cannot be deleted: %w", err, deleteErr)
		}
	}
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// Get implements Location.
func (l *Checked) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	return l.inner.Get(ctx, name, offset, length)
}

// Stat implements Location.
func (l *Checked) Stat(ctx context.Context, name string) (Info, error) {
	return l.inner.Stat(ctx, name)
}

// List implements Location.
func (l *Checked) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return l.inner.List(ctx, prefix)
}

// Delete implements Location.
func (l *Checked) Delete(ctx context.Context, name string) error { return l.inner.Delete(ctx, name) }

// Verify reads the object and compares its size and SHA-256 (in hex) with those given. One that differs, or is missing, is Corrupt.
func Verify(ctx context.Context, l Location, name string, size int64, sha256 string) error {
	r, err := l.Get(ctx, name, 0, -1)
	if err != nil {
		if holdfast.KindOf(err) == holdfast.NotFound {
			return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is missing", name), Cause: err}
		}
		return err
	}
	defer r.Close()
	object := newSource(ctx, r, PutOptions{})
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, object, make([]byte, copyBuffer)); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if got := object.info(name); got.Size != size || got.SHA256 != sha256 {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is not what was written: it has %d bytes and hash %.12s instead of %d and %.12s", name, got.Size, got.SHA256, size, sha256)}
	}
	return nil
}
