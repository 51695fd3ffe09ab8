package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// NewCheckpoint asks for a named moment.
type NewCheckpoint struct {
	Label  string
	Code   string // the commit of the code that belongs to this moment; may be empty
	Pinned bool
}

// CreateCheckpoint names the present moment of a branch. It takes milliseconds whatever the size, and wakes nothing.
func (p *Platform) CreateCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask NewCheckpoint) (holdfast.Checkpoint, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if len(ask.Code) > 100 {
		return holdfast.Checkpoint{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a commit's name has at most 100 bytes"}
	}
	c, err := p.checkpoint(ctx, b, history.CheckpointRequest{Label: ask.Label, Code: ask.Code, Pinned: ask.Pinned, Reason: holdfast.ManualCheckpoint})
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	return c, p.recordAlone(ctx, who, "checkpoint.create", ref.String(), map[string]any{"checkpoint": c.ID, "label": c.Label})
}

func (p *Platform) checkpoint(ctx context.Context, b store.Branch, r history.CheckpointRequest) (holdfast.Checkpoint, error) {
	archive, err := p.archive(b)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if r.Server, err = p.fleet.Server(b.ID); err != nil {
		return holdfast.Checkpoint{}, err
	}
	return archive.Checkpoint(ctx, r)
}

// Checkpoints lists a branch's checkpoints, the newest first.
func (p *Platform) Checkpoints(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]holdfast.Checkpoint, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	archive, err := p.archive(b)
	if err != nil {
		return nil, err
	}
	return archive.Checkpoints(ctx)
}

// PinCheckpoint keeps a checkpoint, and the history that it needs, until it is unpinned.
func (p *Platform) PinCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id holdfast.CheckpointID, pinned bool) error {
	return p.changeCheckpoint(ctx, who, ref, "checkpoint.pin", id, func(a *history.Archive) error { return a.PinCheckpoint(ctx, id, pinned) })
}

// DeleteCheckpoint forgets a checkpoint. The moment itself can be restored as long as the history reaches back to it.
func (p *Platform) DeleteCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id holdfast.CheckpointID) error {
	return p.changeCheckpoint(ctx, who, ref, "checkpoint.delete", id, func(a *history.Archive) error { return a.DeleteCheckpoint(ctx, id) })
}

func (p *Platform) changeCheckpoint(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, action string, id holdfast.CheckpointID, do func(*history.Archive) error) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return err
	}
	archive, err := p.archive(b)
	if err != nil {
		return err
	}
	if err := do(archive); err != nil {
		return err
	}
	return p.recordAlone(ctx, who, action, ref.String(), map[string]any{"checkpoint": id})
}

// tendInterval is how often what is due by time is looked for.
const tendInterval = 10 * time.Minute

// tendHistories makes the daily checkpoints and removes history that no window needs, until ctx ends.
func (p *Platform) tendHistories(ctx context.Context) {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, id := range p.histories.ids() {
			if err := p.tendHistory(ctx, id); err != nil && ctx.Err() == nil {
				p.log.Warn("look after a history", "branch", id, "err", err)
			}
		}
	}
}

// tendHistory looks after one branch's history. It wakes nothing: what sleeps does not change.
func (p *Platform) tendHistory(ctx context.Context, id holdfast.BranchID) error {
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err }); err != nil {
		return err
	}
	archive, err := p.archive(b)
	if err != nil {
		return err
	}
	if s, err := p.fleet.Status(id); err == nil && s.Activity == holdfast.Awake {
		if err := p.dailyCheckpoint(ctx, b, archive); err != nil {
			return err
		}
	}
	if _, err := archive.Prune(ctx, b.Settings.HistoryWindow()); err != nil {
		return fmt.Errorf("remove old history: %w", err)
	}
	return nil
}

func (p *Platform) dailyCheckpoint(ctx context.Context, b store.Branch, archive *history.Archive) error {
	all, err := archive.Checkpoints(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Reason == holdfast.DailyCheckpoint && p.now().Sub(c.At) < 24*time.Hour {
			return nil
		}
	}
	if _, err = p.checkpoint(ctx, b, history.CheckpointRequest{Reason: holdfast.DailyCheckpoint}); err != nil {
		return err
	}
	return p.startBase(b.ID) // an increment of the pages that changed: no restore has more than a day to replay
}
