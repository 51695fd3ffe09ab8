package gateway

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// forgetFailures is how long an address's failed logins count after the last one.
	forgetFailures = 10 * time.Minute
	// maxVisitors bounds the memory for addresses: an attacker with many of them makes us forget, not grow.
	maxVisitors = 10000
)

// lobby holds the connections that have not proved who they are, and remembers which addresses failed to.
type lobby struct {
	limit, addressLimit   int
	firstDelay, lastDelay time.Duration

	mu       sync.Mutex
	waiting  int
	visitors map[netip.Prefix]*visitor
}

type visitor struct {
	waiting  int
	failures int
	failed   time.Time
}

func newLobby(limit int, firstDelay, lastDelay time.Duration) *lobby {
	return &lobby{limit: limit, addressLimit: max(limit/2, 1), firstDelay: firstDelay, lastDelay: lastDelay, visitors: map[netip.Prefix]*visitor{}}
}

// household is the part of an address that tells one client from another: a network of IPv6 hands out addresses for free.
func household(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

// enter takes a place, and says whether there was one.
func (l *lobby) enter(addr netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.visitor(household(addr), now)
	if l.waiting >= l.limit || v.waiting >= l.addressLimit {
		return false
	}
	l.waiting++
	v.waiting++
	return true
}

func (l *lobby) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := household(addr)
	l.waiting--
	if v := l.visitors[key]; v != nil {
		v.waiting--
		if v.waiting == 0 && v.failures == 0 {
			delete(l.visitors, key)
		}
	}
}

// failed counts a failed login and returns how long its answer has to wait.
func (l *lobby) failed(addr netip.Addr, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.visitor(household(addr), now)
	delay := l.lastDelay
	if v.failures < 30 {
		delay = min(l.firstDelay<<v.failures, l.lastDelay)
	}
	v.failures++
	v.failed = now
	return delay
}

func (l *lobby) succeeded(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.visitors[household(addr)]; v != nil {
		v.failures = 0
	}
}

func (l *lobby) unproven() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

func (l *lobby) visitor(key netip.Prefix, now time.Time) *visitor {
	v := l.visitors[key]
	if v == nil {
		l.makeRoom(now)
		v = &visitor{}
		l.visitors[key] = v
	}
	if now.Sub(v.failed) > forgetFailures {
		v.failures = 0
	}
	return v
}

// makeRoom forgets addresses that nobody waits from: those whose failures no longer count, or, when there is none, any.
func (l *lobby) makeRoom(now time.Time) {
	if len(l.visitors) < maxVisitors {
		return
	}
	var fresh netip.Prefix
	for key, v := range l.visitors {
		switch {
		case v.waiting > 0:
		case now.Sub(v.failed) > forgetFailures:
			delete(l.visitors, key)
		default:
			fresh = key
		}
	}
	if len(l.visitors) >= maxVisitors {
		delete(l.visitors, fresh)
	}
}
