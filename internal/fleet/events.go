package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// Event says that a branch's server changed what it does.
type Event struct {
	ID       holdfast.BranchID
	Activity holdfast.Activity
	Before   holdfast.Activity
	At       time.Time
	Took     time.Duration // how long it did what it did before: for Waking to Awake, the time that the wake took
	Reason   error         // why it is Broken
}

// maxQueued is how many events wait for a subscriber; of more, the oldest are lost. Status tells the truth at any time.
const maxQueued = 4096

// Subscription is one listener's queue of events, in order. A slow listener holds nobody up.
type Subscription struct {
	fleet  *Fleet
	mu     sync.Mutex
	queue  []Event
	signal chan struct{} // holds one token while the queue may have something
}

// Subscribe begins to queue events. The caller closes it.
func (f *Fleet) Subscribe() *Subscription {
	s := &Subscription{fleet: f, signal: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subscribers[s] = true
	return s
}

// Next waits for the next event.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			event := s.queue[0]
			s.queue = slices.Delete(s.queue, 0, 1)
			s.mu.Unlock()
			return event, nil
		}
		s.mu.Unlock()
		select {
		case <-s.signal:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("wait for an event: %w", ctx.Err())
		}
	}
}

// Drain takes the events that are there, without waiting.
func (s *Subscription) Drain() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.queue
	s.queue = nil
	return all
}

// Close ends the subscription.
func (s *Subscription) Close() error {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	delete(s.fleet.subscribers, s)
	return nil
}

func (f *Fleet) publish(event Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subscribers {
		s.mu.Lock()
		if len(s.queue) == maxQueued {
			s.queue = slices.Delete(s.queue, 0, 1)
		}
		s.queue = append(s.queue, event)
		s.mu.Unlock()
		select {
		case s.signal <- struct{}{}:
		default:
		}
	}
}
