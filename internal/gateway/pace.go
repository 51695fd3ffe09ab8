package gateway

import (
	"sync"
	"time"
)

const (
	// paceWindow is how long a slow look-up makes the others wait as long: for this time at least, at most twice.
	paceWindow = 10 * time.Second
	// maxPace bounds what one stall of the machine costs everybody.
	maxPace = 100 * time.Millisecond
)

// pace is the time that every look-up seems to take. A look-up of a branch that is awake may ask its server and one of
// an unknown name asks nobody: when the former get slow, the latter must too, or the time would tell them apart.
type pace struct {
	step time.Duration

	mu            sync.Mutex
	began         time.Time     // of the current window
	slowest, last time.Duration // the slowest look-up of the current window and of the one before
}

// took notes a look-up and returns how long it has to seem: whole steps, not fewer than any look-up took of late.
func (p *pace) took(d time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch age := now.Sub(p.began); {
	case age > 2*paceWindow:
		p.began, p.slowest, p.last = now, 0, 0
	case age > paceWindow:
		p.began, p.slowest, p.last = now, 0, p.slowest
	}
	p.slowest = max(p.slowest, min(d, maxPace))
	seem := max(p.slowest, p.last, d)
	return (seem/p.step + 1) * p.step
}
