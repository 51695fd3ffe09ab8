package platform

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// Door is the front door for PostgreSQL clients, as far as the platform directs it. Its methods may be called at any time and from many
// goroutines, and for branches that it has never seen.
type Door interface {
	// Hold makes clients that arrive at the branch wait until Resume. Sessions that are in are left as they are.
	Hold(ref holdfast.BranchRef)
	// Resume lets the clients in that wait.
	Resume(ref holdfast.BranchRef)
	// Rest takes the sessions off the branch's server that can wait without one, until their client's next message. It is Busy
	// when a session must keep the branch awake.
	Rest(ctx context.Context, ref holdfast.BranchRef) error
	// Disconnect ends the branch's sessions with 57P01 and returns when all have left, or with ctx's error.
	Disconnect(ctx context.Context, ref holdfast.BranchRef) error
	// Forget drops what is known of a branch that is gone.
	Forget(ref holdfast.BranchRef)
}

// doorkeeper remembers which branches are held, so that a door which opens while a job is at work holds them too.
type doorkeeper struct {
	mu   sync.Mutex
	door Door // nil: nobody comes in yet
	held map[holdfast.BranchRef]int
}

// SetDoor tells the platform of the front door. Call it before the door lets anybody in.
func (p *Platform) SetDoor(d Door) {
	p.doors.mu.Lock()
	defer p.doors.mu.Unlock()
	p.doors.door = d
	for ref := range p.doors.held {
		d.Hold(ref)
	}
}

// hold makes clients of the branch wait until resume is called, which may be done twice.
func (k *doorkeeper) hold(ref holdfast.BranchRef) (resume func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		k.held = map[holdfast.BranchRef]int{}
	}
	k.held[ref]++
	if k.door != nil {
		k.door.Hold(ref)
	}
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.held[ref]--; k.held[ref] > 0 {
			return
		}
		delete(k.held, ref)
		if k.door != nil {
			k.door.Resume(ref)
		}
	})
}

// disconnectPatience is for sessions to take the message that they end. Whoever does not is cut off with the server.
const disconnectPatience = 5 * time.Second

// empty ends the branch's sessions.
func (k *doorkeeper) empty(ctx context.Context, ref holdfast.BranchRef) error {
	k.mu.Lock()
	door := k.door
	k.mu.Unlock()
	if door == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, disconnectPatience)
	defer cancel()
	return door.Disconnect(ctx, ref)
}

// rest lets the branch's sessions wait without a server.
func (k *doorkeeper) rest(ctx context.Context, ref holdfast.BranchRef) error {
	k.mu.Lock()
	door := k.door
	k.mu.Unlock()
	if door == nil {
		return nil
	}
	return door.Rest(ctx, ref)
}

// forget drops what the door knows of a branch that has gone or has another name.
func (k *doorkeeper) forget(ref holdfast.BranchRef) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.door != nil {
		k.door.Forget(ref)
	}
}
