package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast/holdfast"
)

// errHeld ends an attempt to enter a branch that was held meanwhile. The session has told its client nothing yet, so it can
// wait and begin again.
var errHeld = errors.New("the branch is held")

// branches are those that clients were let in to, and those that are held.
type branches struct {
	mu    sync.Mutex
	byRef map[holdfast.BranchRef]*branch
}

// branch is what the front door knows of one branch.
//
// Invariant: while opened is not nil, no session in sessions is attempting: hold ends those that are, and enter lets no other begin.
type branch struct {
	ref holdfast.BranchRef

	resting sync.Mutex // held by who parks the branch's sessions

	mu       sync.Mutex
	opened   chan struct{} // nil: open; else closed when the branch is resumed
	sessions map[*session]struct{}
	parked   map[*session]struct{} // clients that are there without a server process; they are not in sessions
	waiting  int                   // at a held branch

	entered, refused, wrong atomic.Uint64
	bytesIn, bytesOut       atomic.Uint64
	waits, parks            atomic.Uint64
	waited                  atomic.Int64 // nanoseconds
}

func (all *branches) get(ref holdfast.BranchRef) *branch {
	all.mu.Lock()
	defer all.mu.Unlock()
	b := all.byRef[ref]
	if b == nil {
		b = &branch{ref: ref, sessions: map[*session]struct{}{}, parked: map[*session]struct{}{}}
		if all.byRef == nil {
			all.byRef = map[holdfast.BranchRef]*branch{}
		}
		all.byRef[ref] = b
	}
	return b
}

func (all *branches) all() []*branch {
	all.mu.Lock()
	defer all.mu.Unlock()
	return slices.Collect(maps.Values(all.byRef))
}

// Hold makes clients that arrive at the branch wait until Resume. Those on their way in wait too; sessions that are in are
// left as they are. Holding a held branch does nothing.
func (g *Gateway) Hold(ref holdfast.BranchRef) { g.branches.get(ref).hold() }

// Resume lets the clients in that wait. Resuming a branch that is not held does nothing.
func (g *Gateway) Resume(ref holdfast.BranchRef) { g.branches.get(ref).resume() }

// Disconnect ends the branch's sessions with 57P01 and returns when all that were in have left, or with ctx's error.
// Clients that wait at a held branch keep waiting.
func (g *Gateway) Disconnect(ctx context.Context, ref holdfast.BranchRef) error {
	for _, s := range g.branches.get(ref).endAll(ended()) {
		select {
		case <-s.gone:
		case <-ctx.Done():
			return fmt.Errorf("end the sessions of %s: %w", ref, ctx.Err())
		}
	}
	return nil
}

// Forget drops the counters of a branch that is gone. A branch with sessions, or a held one, is kept.
func (g *Gateway) Forget(ref holdfast.BranchRef) {
	g.branches.mu.Lock()
	defer g.branches.mu.Unlock()
	b := g.branches.byRef[ref]
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sessions) == 0 && len(b.parked) == 0 && b.waiting == 0 && b.opened == nil {
		delete(g.branches.byRef, ref)
	}
}

func (b *branch) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil {
		return
	}
	b.opened = make(chan struct{})
	for s := range b.sessions {
		if !s.attached {
			s.giveUp(errHeld)
			delete(b.sessions, s)
		}
	}
}

func (b *branch) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil {
		close(b.opened)
		b.opened = nil
	}
}

// enter begins the session's attempt to come in, when the branch is or becomes open before ctx or its patience ends. The
// context it returns ends when the attempt must.
func (b *branch) enter(ctx context.Context, s *session, patience <-chan time.Time) (context.Context, error) {
	for {
		b.mu.Lock()
		opened := b.opened
		if opened == nil {
			attempt, giveUp := context.WithCancelCause(ctx)
			s.giveUp = giveUp
			b.sessions[s] = struct{}{}
			delete(b.parked, s)
			b.mu.Unlock()
			return attempt, nil
		}
		b.waiting++
		b.mu.Unlock()
		var err error
		select {
		case <-opened:
		case <-patience:
			err = stillHeld(b.ref)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		b.mu.Lock()
		b.waiting--
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// attach says that the attempt has succeeded, unless it was ended meanwhile.
func (b *branch) attach(attempt context.Context, s *session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if attempt.Err() != nil {
		return context.Cause(attempt)
	}
	s.attached = true
	if s.state == nil {
		b.entered.Add(1)
	}
	return nil
}

// park says that the session has no server process any more.
func (b *branch) park(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.giveUp(context.Canceled) // its attempt was over long ago
	s.attached = false
	delete(b.sessions, s)
	b.parked[s] = struct{}{}
	b.parks.Add(1)
}

// leave ends the session's attempt or stay.
func (b *branch) leave(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.giveUp(context.Canceled)
	delete(b.sessions, s)
	delete(b.parked, s)
}

// endAll asks every session to end with the reason, and returns them.
func (b *branch) endAll(reason *refusal) []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Collect(maps.Keys(b.sessions))
	for _, s := range all {
		if s.attached {
			s.end(reason)
		} else {
			s.giveUp(reason)
		}
	}
	for s := range b.parked {
		s.end(reason)
		all = append(all, s)
	}
	return all
}

// drain asks every session to end once it is idle.
func (b *branch) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	reason := stopping()
	for s := range b.sessions {
		if s.attached {
			s.endWhenIdle(reason)
		} else {
			s.giveUp(reason)
		}
	}
	for s := range b.parked {
		s.end(reason)
	}
}

// Counters are a branch's numbers since the gateway was made.
type Counters struct {
	Sessions int    // now
	Parked   int    // clients now whose session has no server process; they are not in Sessions
	Held     int    // clients that wait now because the branch is held
	Parks    uint64 // how often a session was parked
	Entered  uint64
	Refused  uint64 // proved who they are and could not be let in
	Wrong    uint64 // wrong passwords of roles that exist
	BytesIn  uint64 // from clients
	BytesOut uint64 // to clients
	// Waits counts the clients that came in, Waited is the time that all of them together waited from their proof until then.
	Waits  uint64
	Waited time.Duration
}

// Stats are the gateway's numbers for metrics.
type Stats struct {
	Unproven  int    // connections now that have not proved who they are
	Shed      uint64 // connections that were closed because too many of those were there
	Strangers uint64 // failed logins to unknown names and roles
	Branches  map[holdfast.BranchRef]Counters
}

// Stats returns the numbers as they are now.
func (g *Gateway) Stats() Stats {
	stats := Stats{Unproven: g.lobby.unproven(), Shed: g.shed.Load(), Strangers: g.strangers.Load(), Branches: map[holdfast.BranchRef]Counters{}}
	for _, b := range g.branches.all() {
		stats.Branches[b.ref] = b.counters()
	}
	return stats
}

func (b *branch) counters() Counters {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Counters{Held: b.waiting, Parked: len(b.parked), Parks: b.parks.Load(), Entered: b.entered.Load(), Refused: b.refused.Load(), Wrong: b.wrong.Load(), BytesIn: b.bytesIn.Load(),
		BytesOut: b.bytesOut.Load(), Waits: b.waits.Load(), Waited: time.Duration(b.waited.Load())}
	for s := range b.sessions {
		if s.attached {
			c.Sessions++
		}
	}
	return c
}
