package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast/holdfast"
)

// EncryptedFolders is an Encrypted in which every folder below a prefix has a key of its own: whoever destroys that key has made everything
// in the folder unreadable, whatever remains of it. A folder's key is made with its first object and lies in the folder, encrypted with the
// keys of the location and listed by nobody; FolderKeys names it, and only Delete may be asked for it.
//
// Objects that were put before folders had keys of their own, and those outside the prefix, are encrypted with the keys of the location. When these get a new
// recipient, each folder gets a new key with its next object.
type EncryptedFolders struct {
	inner  Location
	prefix string
	keys   Keys
	whole  *Encrypted // with the keys of the location

	mu      sync.Mutex
	folders map[string]*folder
}

var _ Location = (*EncryptedFolders)(nil)

// folder is a folder whose key may be known.
type folder struct {
	name  string
	mu    sync.Mutex // held while its key is read or made
	read  *Encrypted // nil: not asked yet, or the folder has no key
	write *Encrypted // nil: nothing was put yet
}

// NewEncryptedFolders wraps inner. prefix is empty or ends in a slash.
func NewEncryptedFolders(inner Location, prefix string, keys Keys) *EncryptedFolders {
	return &EncryptedFolders{inner: inner, prefix: prefix, keys: keys, whole: NewEncrypted(inner, keys), folders: map[string]*folder{}}
}

// FolderKeys names the objects that hold a folder's key: the same twice, so that one that is damaged is not the loss of the folder. Who deletes
// both has destroyed the key. Where a folder has none, deleting them does nothing.
func FolderKeys(folder string) []string {
	return []string{folder + "/key-1.age", folder + "/key-2.age"}
}

// folderOf finds the folder that an object lies in, nil where it lies in none.
func (e *EncryptedFolders) folderOf(name string) *folder {
	rest, below := strings.CutPrefix(name, e.prefix)
	first, _, inside := strings.Cut(rest, "/")
	if !below || !inside {
		return nil
	}
	full := e.prefix + first
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.folders[full]
	if f == nil {
		f = &folder{name: full}
		e.folders[full] = f
	}
	return f
}

// isKey says whether the name is kept for a folder's key.
func (f *folder) isKey(name string) bool {
	return f != nil && slices.Contains(FolderKeys(f.name), name)
}

func keyRefused(name string) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s is kept for the key of its folder", name)}
}

// Put implements Location.
func (e *EncryptedFolders) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	to, f := e.whole, e.folderOf(name)
	if f.isKey(name) {
		return Info{}, keyRefused(name)
	}
	if f != nil {
		var err error
		if to, err = e.writer(ctx, f); err != nil {
			return Info{}, err
		}
	}
	return to.Put(ctx, name, r, opts)
}

// Get implements Location.
func (e *EncryptedFolders) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(name, offset); err != nil {
		return nil, err
	}
	from, f := e.whole, e.folderOf(name)
	if f.isKey(name) {
		return nil, keyRefused(name)
	}
	if f != nil {
		var err error
		if from, err = e.reader(ctx, f); err != nil {
			return nil, err
		}
	}
	return from.Get(ctx, name, offset, length)
}

// Stat implements Location.
func (e *EncryptedFolders) Stat(ctx context.Context, name string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if e.folderOf(name).isKey(name) {
		return Info{}, keyRefused(name)
	}
	return e.whole.Stat(ctx, name)
}

// List implements Location.
func (e *EncryptedFolders) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range e.whole.List(ctx, prefix) {
			if err == nil && e.folderOf(info.Name).isKey(info.Name) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements Location.
func (e *EncryptedFolders) Delete(ctx context.Context, name string) error {
	if f := e.folderOf(name); f.isKey(name) {
		defer f.forget()
	}
	return e.inner.Delete(ctx, name)
}

func (f *folder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read, f.write = nil, nil
}

// reader opens what lies in the folder. While it has no key, its objects are opened with the keys of the location.
func (e *EncryptedFolders) reader(ctx context.Context, f *folder) (*Encrypted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != nil {
		return f.read, nil
	}
	ring, err := e.loadRing(ctx, f.name)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return e.whole, nil
	}
	if err != nil {
		return nil, err
	}
	f.read, err = e.with(ring)
	return f.read, err
}

// writer encrypts what is put into the folder, with a key that is made if need be.
func (e *EncryptedFolders) writer(ctx context.Context, f *folder) (*Encrypted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.write != nil {
		return f.write, nil
	}
	ring, err := e.loadRing(ctx, f.name)
	missing := holdfast.KindOf(err) == holdfast.NotFound
	switch {
	case missing:
		if err = e.checkWithoutKey(ctx, f.name); err == nil {
			ring, err = e.makeRing(ctx, f.name, keyRing{}, PutOptions{IfAbsent: true})
		}
		if k := holdfast.KindOf(err); k == holdfast.Conflict || k == holdfast.Corrupt { // perhaps somebody else made it at this moment
			if made, now := e.loadRing(ctx, f.name); now == nil {
				ring, err = made, nil
			}
		}
	case err == nil && ring.For != e.keys.names():
		ring, err = e.makeRing(ctx, f.name, ring, PutOptions{})
	}
	if err != nil {
		return nil, err
	}
	if f.write, err = e.with(ring); err != nil {
		return nil, err
	}
	f.read = f.write
	return f.write, nil
}

// with encrypts with the newest key of the ring and opens with all of them and those of the location.
func (e *EncryptedFolders) with(ring keyRing) (*Encrypted, error) {
	var keys Keys
	for i, line := range ring.Keys {
		pairs, err := PairKeys(line)
		if err == nil {
			var k Keys
			k, err = ParseKeys(pairs[0][0], pairs[0][1])
			keys.identities = append(keys.identities, k.identities...)
			if i == 0 {
				keys.recipients = k.recipients
			}
		}
		if err != nil {
			return nil, err
		}
	}
	keys.identities = append(keys.identities, e.keys.identities...)
	return NewEncrypted(e.inner, keys), nil
}

// checkWithoutKey refuses to make a key for a folder whose own was lost: what lies there could not be read any more, and nobody would notice.
func (e *EncryptedFolders) checkWithoutKey(ctx context.Context, name string) error {
	for info, err := range e.inner.List(ctx, name+"/") {
		if err != nil {
			return err
		}
		r, err := e.whole.Get(ctx, info.Name, 0, -1)
		if err == nil {
			return r.Close()
		}
		if k := holdfast.KindOf(err); k != holdfast.Precondition && k != holdfast.Corrupt {
			return err
		}
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the key of the folder %s is gone, and with it what lies there", name),
			Hint: "put " + strings.Join(FolderKeys(name), " or ") + " back; if there is no copy, move the folder away and start the server again, so that it begins anew", Cause: err}
	}
	return nil
}

// loadRing reads the key of a folder from the first copy that is whole, and mends the other.
func (e *EncryptedFolders) loadRing(ctx context.Context, name string) (keyRing, error) {
	var errs []error
	var broken []string
	for _, object := range FolderKeys(name) {
		ring, err := e.readRing(ctx, name, object)
		if err == nil {
			for _, other := range broken {
				_ = e.putRing(ctx, other, ring, PutOptions{}) // a location that cannot be written can still be read
			}
			return ring, nil
		}
		if k := holdfast.KindOf(err); k != holdfast.NotFound && k != holdfast.Corrupt {
			return keyRing{}, err
		}
		errs, broken = append(errs, err), append(broken, object)
	}
	for _, err := range errs {
		if holdfast.KindOf(err) != holdfast.NotFound {
			return keyRing{}, errors.Join(errs...)
		}
	}
	return keyRing{}, errs[0]
}

func (e *EncryptedFolders) readRing(ctx context.Context, name, object string) (keyRing, error) {
	r, err := e.whole.Get(ctx, object, 0, -1)
	if err != nil {
		return keyRing{}, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxRing))
	if err != nil {
		return keyRing{}, fmt.Errorf("read %s: %w", object, err)
	}
	ring, err := e.keys.openRing(name, raw)
	if err != nil {
		return keyRing{}, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("%s is not the key of its folder", object), Cause: err}
	}
	return ring, nil
}

// makeRing puts a new key before those that the folder has, and keeps it in both copies.
func (e *EncryptedFolders) makeRing(ctx context.Context, name string, old keyRing, opts PutOptions) (keyRing, error) {
	ring, err := e.keys.newRing(name, old)
	if err != nil {
		return keyRing{}, err
	}
	for i, object := range FolderKeys(name) {
		if i > 0 {
			opts = PutOptions{}
		}
		if err := e.putRing(ctx, object, ring, opts); err != nil {
			return keyRing{}, err
		}
	}
	return ring, nil
}

func (e *EncryptedFolders) putRing(ctx context.Context, object string, ring keyRing, opts PutOptions) error {
	raw, err := ring.bytes()
	if err != nil {
		return err
	}
	_, err = e.whole.Put(ctx, object, strings.NewReader(raw), opts)
	return err
}
