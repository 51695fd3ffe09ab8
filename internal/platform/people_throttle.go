package platform

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// throttle slows guessing down. Attempts are counted for an account from one source, for a source, and for an account from everywhere;
// a browser that signed in to the account before is counted by itself, so that nobody can lock its owner out by guessing from elsewhere.
type throttle struct {
	mu      sync.Mutex
	now     func() time.Time
	entries map[string]*attempts
}

type attempts struct {
	failures int
	last     time.Time
	until    time.Time // none is let through before
}

// limit says how many attempts under a key are free, and how long one has to wait at most after that.
type limit struct {
	key  string
	free int
	most time.Duration
}

const (
	throttleMemory = time.Hour // how long an attempt counts
	throttleSize   = 50_000    // keys that are remembered at once
)

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, entries: map[string]*attempts{}}
}

// limitsOf says what an attempt counts under. device is the mark of a browser that signed in to the account before; empty: a stranger.
func limitsOf(name, source, device string) []limit {
	name, source = strings.ToLower(name), network(source)
	if device != "" {
		return []limit{{"device " + device, 5, 5 * time.Minute}}
	}
	return []limit{
		{"pair " + source + " " + name, 5, 15 * time.Minute},
		{"source " + source, 30, 15 * time.Minute},
		{"account " + name, 100, 30 * time.Second},
	}
}

// network is what one attacker has of addresses without effort: an address of IPv4, a subnet of IPv6.
func network(source string) string {
	address, err := netip.ParseAddr(source)
	if err != nil || address.Unmap().Is4() {
		return source
	}
	prefix, err := address.WithZone("").Prefix(64)
	if err != nil {
		return source
	}
	return prefix.String()
}

// begin counts an attempt, as a failed one until succeed says otherwise: many at once are not let through before the first has failed.
// TooMany says how long to wait.
func (t *throttle) begin(limits []limit) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, l := range limits {
		if e := t.entries[l.key]; e != nil && now.Before(e.until) {
			wait := e.until.Sub(now).Round(time.Second)
			return &holdfast.Error{Kind: holdfast.TooMany, Message: "there were too many failed attempts to sign in", Hint: fmt.Sprintf("try again in %s", max(wait, time.Second))}
		}
	}
	for _, l := range limits {
		e := t.entries[l.key]
		if e == nil || now.Sub(e.last) > throttleMemory {
			t.makeRoom(now)
			e = &attempts{}
			t.entries[l.key] = e
		}
		e.failures, e.last = e.failures+1, now
		if over := e.failures - l.free; over > 0 {
			e.until = now.Add(min(l.most, time.Second<<min(over-1, 20)))
		}
	}
	return nil
}

// succeed takes back what begin counted; what counts for the account from this source is forgotten.
func (t *throttle) succeed(limits []limit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, l := range limits {
		e := t.entries[l.key]
		switch {
		case e == nil:
		case i == 0 || e.failures <= 1:
			delete(t.entries, l.key)
		default:
			e.failures--
			if e.failures <= l.free {
				e.until = time.Time{}
			}
		}
	}
}

// makeRoom forgets what counts no more, or anything at all when that is not enough.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.entries) < throttleSize {
		return
	}
	for key, e := range t.entries {
		if now.Sub(e.last) > throttleMemory {
			delete(t.entries, key)
		}
	}
	for key := range t.entries {
		if len(t.entries) < throttleSize/2 {
			return
		}
		delete(t.entries, key)
	}
}
