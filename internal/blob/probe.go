package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// Report is what TestConnection found, step by step.
type Report struct {
	Steps       []Step
	Conditional bool // of two that put an object with IfAbsent at the same moment, one wins
}

// Step is one thing that was tried.
type Step struct {
	Name string // what was tried, for a person
	Took time.Duration
	Note string // what a person should know although it worked
	Err  error
}

// Err is the first error, or nil when the location can be used.
func (r Report) Err() error {
	for _, step := range r.Steps {
		if step.Err != nil {
			return fmt.Errorf("%s: %w", step.Name, step.Err)
		}
	}
	return nil
}

// TestConnection tries with a small object all that a location must be able to do, where the real objects will lie, and removes it. The first step that
// fails is the last, but for the removal.
func TestConnection(ctx context.Context, l Location) Report {
	p := &probe{location: l, folder: "connection-test/" + rand.Text(), content: make([]byte, 100_000)}
	_, _ = rand.Read(p.content)
	p.name = p.folder + "/object"
	ok := p.step(ctx, "put an object", p.put) &&
		p.step(ctx, "get it back", p.get) &&
		p.step(ctx, "get a part of it", p.getRange) &&
		p.step(ctx, "list it", p.list) &&
		p.step(ctx, "refuse to replace it", p.refuse) &&
		p.step(ctx, "let one of two at the same moment win", p.race)
	removed := p.step(ctx, "delete it", p.delete)
	if ok && removed {
		p.step(ctx, "see that it has gone", p.gone)
	}
	return p.report
}

// lockProbe is for how long the object of a lock's test stays.
const lockProbe = time.Minute

// TestLock adds to a report whether the location locks objects, with a small one that is locked for a minute.
func TestLock(ctx context.Context, l Location, report *Report) {
	p := &probe{location: l, folder: "connection-test/" + rand.Text(), content: make([]byte, 100), report: *report}
	p.name = p.folder + "/locked"
	p.step(ctx, "lock an object", func(ctx context.Context) (string, error) {
		_, err := l.Put(ctx, p.name, bytes.NewReader(p.content), PutOptions{LockedUntil: time.Now().Add(lockProbe)})
		if err != nil {
			return "", err
		}
		// Where objects have versions this only hides it.
		return "what was tried with, 100 bytes, cannot be destroyed for a minute", l.Delete(ctx, p.name)
	})
	*report = p.report
}

type probe struct {
	location     Location
	folder, name string
	content      []byte
	report       Report
}

func (p *probe) step(ctx context.Context, name string, do func(context.Context) (note string, err error)) bool {
	began := time.Now()
	note, err := do(ctx)
	p.report.Steps = append(p.report.Steps, Step{Name: name, Took: time.Since(began), Note: note, Err: err})
	return err == nil
}

func (p *probe) put(ctx context.Context) (string, error) {
	info, err := p.location.Put(ctx, p.name, bytes.NewReader(p.content), PutOptions{})
	if err == nil && info.Size != int64(len(p.content)) {
		err = fmt.Errorf("it took %d of %d bytes", info.Size, len(p.content))
	}
	return "", err
}

func (p *probe) get(ctx context.Context) (string, error) { return "", p.compare(ctx, 0, -1, p.content) }

func (p *probe) getRange(ctx context.Context) (string, error) {
	return "", p.compare(ctx, 70_000, 1000, p.content[70_000:71_000])
}

func (p *probe) compare(ctx context.Context, offset, length int64, want []byte) error {
	r, err := p.location.Get(ctx, p.name, offset, length)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1))
	if err == nil && !bytes.Equal(got, want) {
		err = &holdfast.Error{Kind: holdfast.Corrupt, Message: "the bytes that came back are not those that were put"}
	}
	return err
}

func (p *probe) list(ctx context.Context) (string, error) {
	for info, err := range p.location.List(ctx, p.folder+"/") {
		if err != nil {
			return "", err
		}
		if info.Name == p.name {
			return "", nil
		}
	}
	return "", &holdfast.Error{Kind: holdfast.Precondition, Message: "an object that was just put is missing from the listing", Hint: "Holdfast needs a location that lists at once what was put"}
}

func (p *probe) refuse(ctx context.Context) (string, error) {
	_, err := p.location.Put(ctx, p.name, bytes.NewReader(p.content[:10]), PutOptions{IfAbsent: true})
	if err == nil {
		return "", &holdfast.Error{Kind: holdfast.Precondition, Message: "an object was replaced that should have been kept"}
	}
	if holdfast.KindOf(err) != holdfast.Conflict {
		return "", err
	}
	return "", p.compare(ctx, 0, -1, p.content)
}

// race lets two Puts meet: each gives its bytes only when the other has begun to read, which is after a location that merely looks has looked.
func (p *probe) race(ctx context.Context) (string, error) {
	var both sync.WaitGroup
	meeting := make(chan struct{}, 2)
	open, opened := make(chan struct{}), sync.Once{}
	openNow := func() { opened.Do(func() { close(open) }) }
	errs, looked := make([]error, 2), make([]bool, 2)
	for i := range errs {
		both.Go(func() {
			defer openNow() // one that ends without reading must not leave the other waiting
			source := &gated{Reader: bytes.NewReader(p.content[i : i+1000]), arrive: func() {
				meeting <- struct{}{}
				if len(meeting) == cap(meeting) {
					openNow()
				}
				select {
				case <-open:
				case <-ctx.Done():
				}
			}}
			info, err := p.location.Put(ctx, p.folder+"/race", source, PutOptions{IfAbsent: true})
			errs[i], looked[i] = err, info.Looked
		})
	}
	both.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case holdfast.KindOf(err) != holdfast.Conflict:
			return "", err
		}
	}
	// One that only looked may have won alone by its luck.
	p.report.Conditional = won == 1 && !slices.Contains(looked, true)
	if !p.report.Conditional && won > 0 {
		return "this location cannot decide between two at the same moment: let only one Holdfast write to it", nil
	}
	return "", nil
}

// gated is a source that waits before it gives its first byte. It can seek so that Retried need not read it in advance.
type gated struct {
	*bytes.Reader
	arrive func()
	once   sync.Once
}

func (g *gated) Read(b []byte) (int, error) {
	g.once.Do(g.arrive)
	return g.Reader.Read(b)
}

func (p *probe) delete(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for _, name := range []string{p.name, p.folder + "/race"} {
		if err := p.location.Delete(ctx, name); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (p *probe) gone(ctx context.Context) (string, error) {
	_, err := p.location.Stat(ctx, p.name)
	if err == nil {
		return "", &holdfast.Error{Kind: holdfast.Precondition, Message: "an object that was deleted is still there"}
	}
	if holdfast.KindOf(err) == holdfast.NotFound {
		return "", nil
	}
	return "", err
}
