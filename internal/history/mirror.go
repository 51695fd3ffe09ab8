package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// Location is a place where history is kept, and the name that people know it by.
type Location struct {
	Name string
	blob.Location
}

// Damage is an object that could not be used at one location. What was needed of it came from elsewhere, or the operation failed.
type Damage struct {
	Location string
	Object   string
	Problem  string
}

func (d Damage) String() string { return fmt.Sprintf("%s at %s: %s", d.Object, d.Location, d.Problem) }

// mirror is a set of locations that all hold the same.
type mirror []Location

// put keeps content everywhere and returns when every location has it, or the errors of those that do not.
func (m mirror) put(ctx context.Context, name string, content []byte) error {
	return m.each(ctx, func(ctx context.Context, l Location) error {
		if _, err := l.Put(ctx, name, bytes.NewReader(content), blob.PutOptions{Size: int64(len(content))}); err != nil {
			return fmt.Errorf("put %s at %s: %w", name, l.Name, err)
		}
		return nil
	})
}

// verify reads the object back from every location and compares its size and hash.
func (m mirror) verify(ctx context.Context, name string, want digest) error {
	return m.each(ctx, func(ctx context.Context, l Location) error {
		got, err := digestAt(ctx, l, name)
		if err == nil && got != want {
			err = &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("%v came back instead of %v", got, want)}
		}
		if err != nil {
			return fmt.Errorf("read back %s from %s: %w", name, l.Name, err)
		}
		return nil
	})
}

func digestAt(ctx context.Context, l Location, name string) (digest, error) {
	r, err := l.Get(ctx, name, 0, -1)
	if err != nil {
		return digest{}, err
	}
	h := xxh3.New128()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, r, make([]byte, 256<<10))
	return digest{Size: n, Hash: formatHash(h.Sum128())}, errors.Join(err, r.Close())
}

// digest is what an object's bytes must be.
type digest struct {
	Size int64  `json:"size"`
	Hash string `json:"xxh3_128"`
}

func (d digest) String() string { return fmt.Sprintf("%d bytes with hash %s", d.Size, d.Hash) }

func digestOf(b []byte) digest {
	return digest{Size: int64(len(b)), Hash: formatHash(xxh3.Hash128(b))}
}

func formatHash(h xxh3.Uint128) string { return fmt.Sprintf("%016x%016x", h.Hi, h.Lo) }

// delete removes the object everywhere.
func (m mirror) delete(ctx context.Context, name string) error {
	return m.each(ctx, func(ctx context.Context, l Location) error {
		if err := l.Delete(ctx, name); err != nil {
			return fmt.Errorf("delete %s at %s: %w", name, l.Name, err)
		}
		return nil
	})
}

// each works on all locations at once and joins their errors: one that is out of reach does not keep the others from having theirs.
func (m mirror) each(ctx context.Context, work func(context.Context, Location) error) error {
	errs := make([]error, len(m))
	var wg sync.WaitGroup
	for i, l := range m {
		wg.Go(func() { errs[i] = work(ctx, l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fetch gives the object's bytes of the first location whose copy use accepts. use may be called several times and starts
// anew each time. What was wrong elsewhere is noted in log.
func (m mirror) fetch(ctx context.Context, name string, log *damageLog, use func(io.Reader) error) error {
	var errs []error
	for _, l := range m {
		err := fetchFrom(ctx, l, name, use)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errUser) {
			return err
		}
		log.note(l, name, err)
		errs = append(errs, fmt.Errorf("at %s: %w", l.Name, err))
	}
	return unreadable(name, errs)
}

func fetchFrom(ctx context.Context, l Location, name string, use func(io.Reader) error) error {
	r, err := l.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	return use(r)
}

// errUser marks an error of the one who reads, for which no other copy helps: a full disk, say.
var errUser = errors.New("cannot use an object")

// unreadable is the error for an object that no location could give. Unavailable if trying later may help.
func unreadable(name string, errs []error) error {
	e := &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is missing or damaged at every location", name), Cause: errors.Join(errs...)}
	missing := len(errs) > 0
	for _, err := range errs {
		switch holdfast.KindOf(err) {
		case holdfast.NotFound:
			continue
		case holdfast.Unavailable, holdfast.Timeout, holdfast.Busy, holdfast.Unauthenticated, holdfast.NotAllowed:
			e.Kind, e.Message = holdfast.Unavailable, fmt.Sprintf("object %s cannot be read", name)
		case holdfast.Precondition: // a version that is too new, a key that is missing
			e.Kind, e.Message = holdfast.Precondition, fmt.Sprintf("object %s cannot be read", name)
		}
		missing = false
	}
	if missing {
		e.Kind, e.Message = holdfast.NotFound, fmt.Sprintf("object %s is missing at every location", name)
	}
	return e
}

// readSealed fetches a small object whole.
func (m mirror) readSealed(ctx context.Context, name string, log *damageLog, v any) error {
	return m.fetch(ctx, name, log, func(r io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(r, maxSealed))
		if err != nil {
			return err
		}
		return unseal(name, b, v)
	})
}

// maxSealed bounds what is read into memory as one sealed object.
const maxSealed = 64 << 20

// listing is what locations hold: for each object, which of the locations have it.
type listing map[string][]bool

// everywhere says whether every location has the object.
func (l listing) everywhere(name string) bool {
	present, known := l[name]
	for _, p := range present {
		known = known && p
	}
	return known
}

// list lists what any location has below prefix. A location that is out of reach is left out, with its error in problems, as long
// as another one answers.
func (m mirror) list(ctx context.Context, prefix string) (found listing, problems []error, err error) {
	var mu sync.Mutex
	found = listing{}
	group, ctx := errgroup.WithContext(ctx)
	for i, l := range m {
		group.Go(func() error {
			for info, err := range l.List(ctx, prefix) {
				mu.Lock()
				if err != nil {
					problems = append(problems, fmt.Errorf("list %s at %s: %w", prefix, l.Name, err))
					mu.Unlock()
					return nil
				}
				if found[info.Name] == nil {
					found[info.Name] = make([]bool, len(m))
				}
				found[info.Name][i] = true
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in problems
	if len(problems) > 0 && len(problems) == len(m) {
		return nil, problems, errors.Join(problems...)
	}
	return found, problems, nil
}

// damageLog collects damages. A nil log forgets them.
type damageLog struct {
	mu   sync.Mutex
	seen []Damage
}

func (d *damageLog) note(l Location, object string, err error) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	problem, _, _ := strings.Cut(err.Error(), "\n")
	d.seen = append(d.seen, Damage{Location: l.Name, Object: object, Problem: problem})
}

func (d *damageLog) all() []Damage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Damage(nil), d.seen...)
}
