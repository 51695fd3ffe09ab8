package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"filippo.io/age"

	"github.com/holdfast/holdfast"
)

// Encrypted is a location whose objects are encrypted with age before they reach the one it wraps. Each object is an ordinary age file: the
// stock tool decrypts it. Names are not encrypted, and an object that is not an age file is refused as Corrupt, for whoever can write to the
// location could else slip in bytes of their own.
//
// Reading a range costs up to three requests more, for the header and the last chunk, which prove that the object is whole. The sizes in a listing
// are unknown.
type Encrypted struct {
	inner Location
	keys  Keys
}

var _ Location = (*Encrypted)(nil)

// NewEncrypted wraps inner.
func NewEncrypted(inner Location, keys Keys) *Encrypted { return &Encrypted{inner: inner, keys: keys} }

// The format of age, version 1: a header, a nonce, and chunks of 64 KiB with a tag each.
const (
	ageNonce  = 16
	ageChunk  = 64 << 10
	ageTag    = 16
	ageHeader = 64 << 10 // more than the header of 30 recipients of the largest kind takes
)

// Put implements Location.
func (e *Encrypted) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if len(e.keys.recipients) == 0 {
		return Info{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot encrypt object %s: there is no key", name), Hint: "give the location an age recipient"}
	}
	src := newSource(ctx, r, opts)
	sealed, err := age.EncryptReader(src, e.keys.recipients...)
	if err != nil {
		return Info{}, fmt.Errorf("encrypt %s: %w", name, err)
	}
	inner := PutOptions{IfAbsent: opts.IfAbsent, Expect: opts.Expect, LockedUntil: opts.LockedUntil}
	if opts.Size > 0 {
		inner.Expect = opts.Size + (opts.Size/ageChunk+1)*ageTag + 4096
	}
	put, err := e.inner.Put(ctx, name, sealed, inner)
	if src.err != nil {
		return Info{}, fmt.Errorf("put %s: %w", name, src.err)
	}
	if err != nil {
		return Info{}, err
	}
	info := src.info(name)
	info.Stored, info.Looked = put.Stored, put.Looked
	return info, nil
}

// Get implements Location.
func (e *Encrypted) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(name, offset); err != nil {
		return nil, err
	}
	if len(e.keys.identities) == 0 {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot decrypt object %s: there is no key", name), Hint: "give the location its age identity"}
	}
	if offset == 0 && length < 0 {
		return e.getWhole(ctx, name)
	}
	return e.getRange(ctx, name, offset, length)
}

func (e *Encrypted) getWhole(ctx context.Context, name string) (io.ReadCloser, error) {
	raw, err := e.inner.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	from := &errorKeeper{from: raw}
	plain, err := age.Decrypt(from, e.keys.identities...)
	if err != nil {
		raw.Close()
		return nil, decryptError(name, from.err, err)
	}
	return &body{ctx: ctx, from: readCloser{plain, raw}, kind: func(err error) error { return decryptError(name, from.err, err) }}, nil
}

func (e *Encrypted) getRange(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	info, err := e.inner.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	from := &windows{ctx: ctx, inner: e.inner, name: name, size: info.Size}
	plain, size, err := age.DecryptReaderAt(from, info.Size, e.keys.identities...)
	if err != nil {
		from.Close()
		return nil, decryptError(name, from.err, err)
	}
	if offset > size {
		from.Close()
		return nil, beyondEnd(name, offset, size)
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	// From here on only the chunks of this range are read, in order. Their place counts from the end, for age alone knows how long the header is.
	tail := size - min(size, (offset+length+ageChunk-1)/ageChunk*ageChunk)
	from.end = info.Size - tail - (tail+ageChunk-1)/ageChunk*ageTag
	return &body{ctx: ctx, from: readCloser{io.NewSectionReader(plain, offset, length), from}, kind: func(err error) error { return decryptError(name, from.err, err) }}, nil
}

// Stat implements Location. The size is that of the decrypted bytes, as the header and the stored size have it; nothing is decrypted.
func (e *Encrypted) Stat(ctx context.Context, name string) (Info, error) {
	info, err := e.inner.Stat(ctx, name)
	if err != nil {
		return Info{}, err
	}
	raw, err := e.inner.Get(ctx, name, 0, ageHeader)
	if err != nil {
		return Info{}, err
	}
	defer raw.Close()
	from := &errorKeeper{from: raw}
	header, err := age.ExtractHeader(from)
	if err != nil {
		return Info{}, decryptError(name, from.err, err)
	}
	sealed := info.Size - int64(len(header)) - ageNonce
	if sealed < ageTag {
		return Info{}, decryptError(name, nil, io.ErrUnexpectedEOF)
	}
	info.Size = sealed - (sealed+ageChunk+ageTag-1)/(ageChunk+ageTag)*ageTag
	return info, nil
}

// List implements Location.
func (e *Encrypted) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range e.inner.List(ctx, prefix) {
			info.Size = -1
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements Location.
func (e *Encrypted) Delete(ctx context.Context, name string) error { return e.inner.Delete(ctx, name) }

// decryptError tells a location's error from a wrong key from damage. from is what reading the location last answered.
func decryptError(name string, from, err error) error {
	if from != nil && !errors.Is(from, io.EOF) {
		return from
	}
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("none of the keys opens object %s", name), Hint: "add the age identity that it was encrypted for", Cause: err}
	}
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is damaged or was not encrypted", name), Cause: err}
}

type readCloser struct {
	io.Reader
	io.Closer
}

// errorKeeper remembers how reading ended: age does not always pass the error on.
type errorKeeper struct {
	from io.Reader
	err  error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.from.Read(p)
	if err != nil {
		k.err = err
	}
	return n, err
}
