package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/rows"
	"github.com/holdfast/holdfast/internal/store"
)

// The words of the rows room for edits by hand.
type (
	EditKind     = rows.EditKind
	RowEdit      = rows.Edit
	RowEdited    = rows.Edited
	EditConflict = rows.EditConflict
)

const (
	// editWindow is how long production's rows may be edited before it has to be asked for again.
	editWindow = 15 * time.Minute
	// editLockTimeout is how long an edit waits for a row that somebody else has locked.
	editLockTimeout = 5 * time.Second
	editTimeout     = time.Minute
	// auditedValue and auditedEdits bound one entry of the audit trail.
	auditedValue = 500
	auditedEdits = 100
)

// editors remembers who may edit the rows of which production until when. A restart forgets it, and then it has to be asked for again.
type editors struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func editorKey(who holdfast.Principal, b store.Branch) string {
	return string(b.ID) + "\x00" + who.Name + "\x00" + who.SessionID
}

// allow opens the window, and forgets those that have ended.
func (e *editors) allow(key string, now, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = map[string]time.Time{}
	}
	maps.DeleteFunc(e.until, func(_ string, end time.Time) bool { return !end.After(now) })
	e.until[key] = until
}

func (e *editors) end(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.until, key)
}

func (e *editors) may(key string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.until[key].After(now)
}

// OpenEditing lets who asks edit the rows of a branch, on production for 15 minutes. It returns when that ends; zero: not by itself.
func (p *Platform) OpenEditing(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (time.Time, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err == nil {
		err = checkQuery(who, b, true)
	}
	if err != nil || b.Environment != holdfast.Production {
		return time.Time{}, err
	}
	now := p.now()
	until := now.Add(editWindow)
	if err := p.recordAlone(ctx, who, "data.edit_opened", ref.String(), map[string]any{"until": until}); err != nil {
		return time.Time{}, err
	}
	p.editors.allow(editorKey(who, b), now, until)
	return until, nil
}

// CloseEditing ends what OpenEditing began. When it had ended already that is fine.
func (p *Platform) CloseEditing(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err == nil {
		err = checkQuery(who, b, true)
	}
	if err == nil {
		p.editors.end(editorKey(who, b))
	}
	return err
}

// SavedRows is what edits came to. Nothing was saved when there are conflicts, or when it was a trial.
type SavedRows struct {
	Saved     bool
	Edits     []RowEdited
	Conflicts []EditConflict
	Undo      string // a script that takes them back
}

// errNotKept rolls a transaction back that did all that was wanted of it.
var errNotKept = errors.New("not to be kept")

// SaveRows makes edits of rows by hand in one transaction: all of them or none. Each is made on the row as it was read; one that changed meanwhile
// is a conflict. A trial makes them and takes them back. On production it takes an open OpenEditing. It wakes the branch.
func (p *Platform) SaveRows(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, edits []RowEdit, trial bool) (SavedRows, error) {
	var out SavedRows
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return out, err
	}
	if err := checkEdit(who, b, p.editors.may(editorKey(who, b), p.now())); err != nil {
		return out, err
	}
	if who.Kind == holdfast.AgentToken && !trial {
		if err := p.saveBeforeAgent(ctx, b); err != nil {
			return out, err
		}
	}
	conn, err := p.ownerConn(ctx, b)
	if err != nil {
		return out, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	recorded := false
	err = pgx.BeginFunc(ctx, conn.Conn, func(tx pgx.Tx) error {
		if out, err = p.editRows(ctx, tx, edits); err != nil {
			return err
		}
		if trial || len(out.Conflicts) > 0 {
			return errNotKept
		}
		// Before the commit: what cannot be recorded is not done.
		recorded = true
		return p.recordEdits(context.WithoutCancel(ctx), who, ref, out.Edits)
	})
	switch {
	case errors.Is(err, errNotKept):
		return out, nil
	case err != nil && recorded:
		// Whoever reads the trail must not take for done what may not be.
		detail := map[string]any{"changes": len(out.Edits)}
		return SavedRows{}, errors.Join(err, p.recordAlone(context.WithoutCancel(ctx), who, "data.edit_failed", ref.String(), detail))
	case err != nil:
		return SavedRows{}, err
	}
	out.Saved = true
	return out, nil
}

func (p *Platform) editRows(ctx context.Context, tx pgx.Tx, edits []RowEdit) (SavedRows, error) {
	var out SavedRows
	bounds := fmt.Sprintf("SET LOCAL client_encoding = 'UTF8'; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d", editLockTimeout.Milliseconds(), editTimeout.Milliseconds())
	if _, err := tx.Exec(ctx, bounds, pgx.QueryExecModeSimpleProtocol); err != nil {
		return out, err
	}
	e := rows.BeginEdits(tx)
	var err error
	if out.Conflicts, err = e.Run(ctx, edits); err != nil || len(out.Conflicts) > 0 {
		return out, err
	}
	out.Edits = e.Done()
	out.Undo, err = e.Undo(ctx)
	return out, err
}

// recordEdits writes what the edited rows were and are into the audit trail, in as few entries as fit.
func (p *Platform) recordEdits(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, edits []RowEdited) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		for len(edits) > 0 {
			n := min(auditedEdits, len(edits))
			var changes []map[string]any
			for _, e := range edits[:n] {
				changes = append(changes, auditedEdit(e))
			}
			edits = edits[n:]
			if err := p.record(tx, who, "data.edit", ref.String(), map[string]any{"changes": changes}); err != nil {
				return err
			}
		}
		return nil
	})
}

// auditedEdit tells a change: of an update the columns that became others, else the whole row. Long values are shortened.
func auditedEdit(e RowEdited) map[string]any {
	before, after := map[string]any{}, map[string]any{}
	put := func(into map[string]any, column string, v rows.Value) {
		into[column] = nil
		if v != nil {
			into[column] = rows.Shorten(*v, auditedValue)
		}
	}
	for column, v := range e.Before {
		if now, there := e.After[column]; !there || !equalValues(v, now) {
			put(before, column, v)
		}
	}
	for column, v := range e.After {
		if then, there := e.Before[column]; !there || !equalValues(v, then) {
			put(after, column, v)
		}
	}
	return map[string]any{"kind": e.Kind, "table": e.Table, "row": e.Row, "before": before, "after": after}
}

func equalValues(a, b rows.Value) bool { return a == b || a != nil && b != nil && *a == *b }
