package platform

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/store"
)

// agents is what the platform remembers of agents at work.
type agents struct {
	entering sync.Mutex // held while one logs in to production: the password of its role is made for that
	mu       sync.Mutex
	refusals map[string]time.Time                // when an attempt was last recorded
	saved    map[holdfast.BranchID]time.Time     // when a branch last got a checkpoint before an agent's write
	saving   map[holdfast.BranchID]chan struct{} // closed when the checkpoint that is being made stands
}

const (
	// refusalInterval is how often the same attempt of the same agent is recorded.
	refusalInterval = time.Minute
	// maxRefusals bounds what is remembered of them. Beyond it each is recorded.
	maxRefusals = 1000
	// agentCheckpointInterval is how often a branch gets a checkpoint before an agent's write.
	agentCheckpointInterval = time.Minute
)

// NoteRefusal records that an agent tried what it may not: attempt names what, subject is what it asked for. Other errors, and other
// callers, are not recorded.
func (p *Platform) NoteRefusal(ctx context.Context, who holdfast.Principal, attempt string, subject any, err error) {
	if who.Kind != holdfast.AgentToken || holdfast.KindOf(err) != holdfast.NotAllowed || !p.agents.mayRecord(who.Name+"\x00"+attempt, p.now()) {
		return
	}
	text, encodeErr := json.Marshal(subject)
	if encodeErr != nil || len(text) > 2000 {
		text = []byte(`"not recorded"`)
	}
	detail := map[string]any{"attempt": attempt, "asked": json.RawMessage(text), "answer": describe(err)}
	if err := p.recordAlone(context.WithoutCancel(ctx), who, "agent.refused", attempt, detail); err != nil {
		p.log.Error("record what an agent was refused", "agent", who.Name, "attempt", attempt, "err", err)
	}
}

func (a *agents) mayRecord(key string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.refusals[key]) < refusalInterval {
		return false
	}
	for old, at := range a.refusals {
		if now.Sub(at) >= refusalInterval {
			delete(a.refusals, old)
		}
	}
	if a.refusals == nil {
		a.refusals = map[string]time.Time{}
	}
	if len(a.refusals) < maxRefusals {
		a.refusals[key] = now
	}
	return true
}

// saveBeforeAgent makes a checkpoint of the branch before an agent writes to it, so that what the agent did can be undone: at most one a
// minute. Those who come while it is made wait for it. Where it cannot be made nothing is written.
func (p *Platform) saveBeforeAgent(ctx context.Context, b store.Branch) error {
	for {
		done, mine := p.agents.begin(b.ID, p.now())
		switch {
		case mine:
			_, err := p.autoCheckpoint(ctx, b, holdfast.BeforeAgentCheckpoint)
			p.agents.end(b.ID, err == nil, p.now())
			return err
		case done == nil:
			return nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin says whether the caller is to make the checkpoint, or whom to wait for; neither where there is a new one.
func (a *agents) begin(id holdfast.BranchID, now time.Time) (done chan struct{}, mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if done := a.saving[id]; done != nil {
		return done, false
	}
	if now.Sub(a.saved[id]) < agentCheckpointInterval {
		return nil, false
	}
	if a.saving == nil {
		a.saving, a.saved = map[holdfast.BranchID]chan struct{}{}, map[holdfast.BranchID]time.Time{}
	}
	a.saving[id] = make(chan struct{})
	return nil, true
}

func (a *agents) end(id holdfast.BranchID, made bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.saving[id])
	delete(a.saving, id)
	if made {
		a.saved[id] = now
	}
}

// SlowQueries lists the statements that took most time in a branch, as counted since its statistics were reset. It wakes the branch.
// Production and previews count; development does not, unless the extension was added to it.
func (p *Platform) SlowQueries(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, limit int) ([]publish.Query, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	// Statements stand without their constants, but what names they use is still the application's.
	if err := checkBranch(who, b, holdfast.MayRead); err != nil {
		return nil, err
	}
	release, err := p.fleet.Hold(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	conn, err := p.fleet.Admin(ctx, b.ID, fleet.MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	queries, err := publish.ReadWorkload(ctx, conn.Conn, b.Ref().Database())
	if holdfast.KindOf(err) == holdfast.Precondition {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: b.Ref().String() + " does not count its statements", Hint: "production and previews do"}
	}
	return queries[:min(len(queries), limit)], err
}
