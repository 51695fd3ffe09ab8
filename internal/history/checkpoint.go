package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// CheckpointRequest describes a checkpoint to make.
type CheckpointRequest struct {
	Server            *postgres.Server // the branch's, attached and running, or asleep
	Label             string
	Reason            holdfast.CheckpointReason
	SchemaFingerprint string
	Code              string
	Pinned            bool
	KeptUntil         time.Time // zero: as long as the window reaches back to it
}

// ErrNeverStreamed says that the history of a branch has not begun. It begins a moment after the branch has first become awake.
var ErrNeverStreamed = &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch's WAL has never been streamed, so there is no history to put a checkpoint on", Hint: "wake the branch, and try again in a moment"}

// Checkpoint names the present moment. It takes milliseconds: everything committed before the call is in it, and on this machine's disk
// in the history when it returns; the manifest is on its way to the locations.
func (a *Archive) Checkpoint(ctx context.Context, r CheckpointRequest) (holdfast.Checkpoint, error) {
	if err := holdfast.CheckCheckpointLabel(r.Label); err != nil {
		return holdfast.Checkpoint{}, err
	}
	m, err := a.markerOf(r.Server)
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if m.Branch != a.config.Branch {
		return holdfast.Checkpoint{}, ErrNeverStreamed
	}
	c := holdfast.Checkpoint{BranchID: a.config.Branch, Lineage: m.Lineage, Label: r.Label, Reason: r.Reason, SchemaFingerprint: r.SchemaFingerprint, Code: r.Code, Pinned: r.Pinned, KeptUntil: r.KeptUntil}
	running, err := r.Server.Adopt()
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	if running {
		err = a.markRunning(ctx, r.Server, &c)
	} else {
		err = a.markAsleep(ctx, r.Server, &c)
	}
	if err != nil {
		return holdfast.Checkpoint{}, err
	}
	c.ID = holdfast.CheckpointID(newID(c.At))
	if err := a.putCheckpoint(c); err != nil {
		return holdfast.Checkpoint{}, err
	}
	return c, nil
}

// markRunning writes a record of its own and commits it, so that everything before it is flushed and streamed at once.
func (a *Archive) markRunning(ctx context.Context, server *postgres.Server, c *holdfast.Checkpoint) error {
	admin, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	tx, err := admin.Begin(ctx)
	if err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_logical_emit_message(true, 'holdfast checkpoint', $1)", c.Label); err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	var position string
	var timeline int64
	err = admin.QueryRow(ctx, `SELECT l::text, ('x' || left(pg_walfile_name(l), 8))::bit(32)::bigint, clock_timestamp() FROM pg_current_wal_flush_lsn() l`).Scan(&position, &timeline, &c.At)
	if err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	c.At, c.Timeline = c.At.UTC(), uint32(timeline)
	if c.LSN, err = holdfast.ParseLSN(position); err != nil {
		return err
	}
	return a.WaitFlushed(ctx, c.LSN)
}

// markAsleep takes the end of the WAL of a server that does not run.
func (a *Archive) markAsleep(ctx context.Context, server *postgres.Server, c *holdfast.Checkpoint) error {
	if err := a.Settle(ctx, server); err != nil {
		return err
	}
	control, err := server.Control(ctx)
	if err != nil {
		return err
	}
	s, err := a.spoolOf(ctx, c.Lineage)
	if err != nil {
		return err
	}
	ok := false
	if s != nil {
		c.LSN, ok = s.end(control.Timeline)
	}
	if !ok {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the branch's WAL has not been streamed, so there is no history to put a checkpoint on"}
	}
	c.At, c.Timeline = now(), control.Timeline
	return nil
}

func (a *Archive) putCheckpoint(c holdfast.Checkpoint) error {
	if err := a.putSealed(a.objects.checkpoint(c.ID), storeCheckpoint(c)); err != nil {
		return err
	}
	a.note(func(k *catalogue) { k.checkpoints[c.ID] = c })
	return nil
}

// judged is a checkpoint with what keeps it from being restored, if anything does.
func (c *catalogue) judged(cp holdfast.Checkpoint) holdfast.Checkpoint {
	cp.Lost = ""
	key := walKey{cp.Lineage, cp.Timeline}
	way, err := c.way(key)
	if err == nil {
		err = c.choose(&Plan{target: target{walKey: key, way: way, cut: cp.LSN}})
	}
	if err != nil {
		cp.Lost = err.Error()
	}
	return cp
}

// Checkpoints lists the branch's checkpoints, newest first.
func (a *Archive) Checkpoints(ctx context.Context) ([]holdfast.Checkpoint, error) {
	var found []holdfast.Checkpoint
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		for _, cp := range c.checkpoints {
			found = append(found, c.judged(cp))
		}
		return nil
	})
	slices.SortFunc(found, func(x, y holdfast.Checkpoint) int { return -cmp.Or(x.At.Compare(y.At), cmp.Compare(x.ID, y.ID)) })
	return found, err
}

// checkpoint finds a checkpoint by its ID, or by its label where only one has it.
func (c *catalogue) checkpoint(name holdfast.CheckpointID) (holdfast.Checkpoint, error) {
	if found, ok := c.checkpoints[name]; ok {
		return found, nil
	}
	var found []holdfast.Checkpoint
	for _, cp := range c.checkpoints {
		if cp.Label == string(name) && name != "" {
			found = append(found, cp)
		}
	}
	const hint = "`holdfast checkpoint list BRANCH` shows them"
	switch len(found) {
	case 0:
		return holdfast.Checkpoint{}, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no checkpoint %s", name), Hint: hint}
	case 1:
		return found[0], nil
	}
	return holdfast.Checkpoint{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%d checkpoints are labelled %q; name one by its ID", len(found), name), Hint: hint}
}

// CheckpointByID gives one checkpoint, which may be named by its label as well where no other has the same.
func (a *Archive) CheckpointByID(ctx context.Context, id holdfast.CheckpointID) (holdfast.Checkpoint, error) {
	var found holdfast.Checkpoint
	err := a.withCatalogue(ctx, func(c *catalogue) error {
		cp, err := c.checkpoint(id)
		if err != nil {
			return err
		}
		found = c.judged(cp)
		return nil
	})
	return found, err
}

// PinCheckpoint keeps a checkpoint, and all that is needed to restore it, beyond the branch's window, or gives it back to the window.
func (a *Archive) PinCheckpoint(ctx context.Context, id holdfast.CheckpointID, pinned bool) error {
	c, err := a.CheckpointByID(ctx, id)
	if err != nil || c.Pinned == pinned {
		return err
	}
	c.Pinned = pinned
	return a.putCheckpoint(c)
}

// SetSchemaFingerprint notes the fingerprint of the schema that a checkpoint has: reading a schema takes longer than a checkpoint may.
func (a *Archive) SetSchemaFingerprint(ctx context.Context, id holdfast.CheckpointID, fingerprint string) error {
	c, err := a.CheckpointByID(ctx, id)
	if err != nil || c.SchemaFingerprint == fingerprint {
		return err
	}
	c.SchemaFingerprint = fingerprint
	return a.putCheckpoint(c)
}

// DeleteCheckpoint forgets a checkpoint. Its moment can still be restored by its time while it lies in the window.
func (a *Archive) DeleteCheckpoint(ctx context.Context, id holdfast.CheckpointID) error {
	found, err := a.CheckpointByID(ctx, id)
	if err != nil {
		return err
	}
	id = found.ID // it may have been named by its label
	name := a.objects.checkpoint(id)
	if err := a.outbox.drop(name); err != nil {
		return err
	}
	if err := a.mirror.delete(ctx, name); err != nil {
		return err
	}
	a.note(func(c *catalogue) { delete(c.checkpoints, id) })
	return nil
}
