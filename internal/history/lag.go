package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
)

// Lag says for how long what the server wrote has been waiting: until it is on this machine, and then until it is at every location, and
// why it is not. Zero: everything has arrived, or the branch sleeps.
func (a *Archive) Lag() (lag time.Duration, reason string) {
	a.mu.Lock()
	st := a.stream
	a.mu.Unlock()
	if st != nil && (st.caughtUp.Load() == 0 || st.position.Load() < st.sent.Load()) {
		if last := st.lastWhole.Load(); last != 0 {
			lag, reason = time.Since(time.UnixMicro(last)), "the server's WAL does not arrive"
		}
	}
	n, oldest, err := a.outbox.backlog()
	if n == 0 || time.Since(oldest) <= lag {
		return lag, reason
	}
	reason = fmt.Sprintf("%d objects of the history wait to reach every location", n)
	if err != nil {
		reason += ": " + err.Error()
	}
	return time.Since(oldest), reason
}

// Inspect reads the branch's description back from each location and says where that did not succeed, by the location's name: NotFound
// where it is not there any more, Precondition or Corrupt where the keys that are there do not open it. opened are the locations, opened anew: those that the
// archive works with remember the branch's key, and would not notice that it is gone. What is still on its way is left out.
func (a *Archive) Inspect(ctx context.Context, opened []Location) map[string]error {
	name := a.objects.descriptor()
	found := map[string]error{}
	for _, l := range opened {
		if !slices.ContainsFunc(a.mirror, func(used Location) bool { return used.Name == l.Name }) {
			continue // it was added a moment ago
		}
		err := a.readBack(ctx, l, name)
		if holdfast.KindOf(err) == holdfast.NotFound && slices.Contains(a.outbox.names(), name) {
			err = nil
		}
		if err != nil {
			found[l.Name] = err
		}
	}
	return found
}

func (a *Archive) readBack(ctx context.Context, l Location, name string) error {
	r, err := l.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	var d storedBranch
	return unseal(name, content, &d)
}
