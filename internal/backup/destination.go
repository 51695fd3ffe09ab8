package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// Destination is a place for copies of backups.
type Destination struct {
	Name      string
	Catalogue *Catalogue
	LockFor   time.Duration // for how long the place is asked to destroy a backup for nobody; 0: no lock
}

// fanOut writes the same bytes to several destinations at once, at the pace of the slowest, and hashes them.
type fanOut struct {
	targets []*target
	hash    hash.Hash
	size    int64
	enough  int // copies that must succeed
}

// target is one destination that takes bytes.
type target struct {
	dest Destination
	pipe *io.PipeWriter
	done chan struct{}
	err  error // of Put; good after done
	lost bool  // it takes no more

	lockedUntil time.Time
}

// startFanOut begins an object in every destination.
func startFanOut(ctx context.Context, destinations []Destination, backup, object string, enough int) *fanOut {
	f := &fanOut{hash: sha256.New(), enough: enough}
	for _, d := range destinations {
		r, w := io.Pipe()
		t := &target{dest: d, pipe: w, done: make(chan struct{})}
		if d.LockFor > 0 {
			t.lockedUntil = time.Now().Add(d.LockFor).UTC().Truncate(time.Second)
		}
		f.targets = append(f.targets, t)
		go func() {
			defer close(t.done)
			_, t.err = d.Catalogue.location.Put(ctx, d.Catalogue.object(backup, object), r, blob.PutOptions{LockedUntil: t.lockedUntil})
			_ = r.CloseWithError(errStopped) // whoever writes must not wait for a reader that has gone
		}()
	}
	return f
}

// Write fails when too few destinations are left.
func (f *fanOut) Write(p []byte) (int, error) {
	f.hash.Write(p)
	f.size += int64(len(p))
	for _, t := range f.targets {
		if t.lost {
			continue
		}
		if _, err := t.pipe.Write(p); err != nil {
			t.lost = true
			<-t.done
			if err := f.check(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// check says why there are not enough copies left.
func (f *fanOut) check() error {
	var failed []error
	for _, t := range f.targets {
		if t.lost {
			failed = append(failed, fmt.Errorf("write to %s: %w", t.dest.Name, t.err))
		}
	}
	if len(f.targets)-len(failed) < f.enough {
		return errors.Join(failed...)
	}
	return nil
}

// abort lets every destination forget what it was given.
func (f *fanOut) abort(why error) {
	for _, t := range f.targets {
		_ = t.pipe.CloseWithError(why) // never fails
		<-t.done
	}
}

// finish ends the object everywhere and reads every copy back. It returns the copies that are whole.
func (f *fanOut) finish(ctx context.Context, backup, object string) ([]holdfast.BackupCopy, error) {
	sum := hex.EncodeToString(f.hash.Sum(nil))
	var wait sync.WaitGroup
	for _, t := range f.targets {
		_ = t.pipe.Close() // never fails
		wait.Go(func() {
			<-t.done
			if t.err == nil {
				if t.err = blob.Verify(ctx, t.dest.Catalogue.location, t.dest.Catalogue.object(backup, object), f.size, sum); t.err != nil {
					t.err = fmt.Errorf("read it back: %w", t.err)
				}
			}
		})
	}
	wait.Wait()
	copies := []holdfast.BackupCopy{}
	for _, t := range f.targets {
		t.lost = t.err != nil
		if !t.lost {
			copies = append(copies, holdfast.BackupCopy{Destination: t.dest.Name, ReadBackAt: time.Now().UTC(), LockedUntil: t.lockedUntil})
		}
	}
	return copies, f.check()
}
