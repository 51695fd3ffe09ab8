package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// proofHooksName is what a project's checks of restored backups are called among its settings.
const proofHooksName = "hooks"

func (p *Platform) readProofHooks(ctx context.Context, project holdfast.ProjectID) (holdfast.ProofHooks, error) {
	all, err := readSettings[holdfast.ProofHooks](ctx, p, project, store.ProofHooks)
	return all[proofHooksName], err
}

// ProofHooks shows a project's own checks of restored backups.
func (p *Platform) ProofHooks(ctx context.Context, who holdfast.Principal, project string) (holdfast.ProofHooks, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return holdfast.ProofHooks{}, err
	}
	return p.readProofHooks(ctx, found.ID)
}

// SetProofHooks replaces a project's own checks of restored backups.
func (p *Platform) SetProofHooks(ctx context.Context, who holdfast.Principal, project string, hooks holdfast.ProofHooks) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return err
	}
	if err := hooks.Validate(); err != nil {
		return err
	}
	old, err := p.readProofHooks(ctx, found.ID)
	if err != nil {
		return err
	}
	if err := checkHooks(who, found, old.Hooks, hooks.Hooks); err != nil {
		return err
	}
	return p.putSetting(ctx, who, project, store.ProofHooks, proofHooksName, hooks)
}

// proofHooks are the project's own checks of a backup that is restored on a scratch server; nil: it has none. They are read now, so that the report
// is about what held when the proof began.
func (p *Platform) proofHooks(ctx context.Context, r *run, b store.Backup, scratch store.Branch, db backup.Database, password string) (func(context.Context) []backup.HookResult, error) {
	hooks, err := p.readProofHooks(ctx, b.ProjectID)
	if err != nil || len(hooks.Assertions) == 0 && hooks.Command == "" && hooks.URL == "" {
		return nil, err
	}
	if b.Options.SchemaOnly || len(b.Options.Tables) > 0 {
		return func(context.Context) []backup.HookResult {
			return []backup.HookResult{{Name: "all", Skipped: true, Detail: "the backup does not hold the whole database"}}
		}, nil
	}
	return func(ctx context.Context) []backup.HookResult {
		r.Step("running the project's own checks")
		out := assertAll(ctx, hooks, db)
		return append(out, p.runProofHooks(ctx, hooks.Hooks, b, scratch, password)...)
	}, nil
}

func assertAll(ctx context.Context, hooks holdfast.ProofHooks, db backup.Database) []backup.HookResult {
	var out []backup.HookResult
	for _, a := range hooks.Assertions {
		began := time.Now()
		err := backup.Assert(ctx, db, a, hookTimeout(hooks.AssertionTimeout))
		detail := "it gave true"
		if a.NoRows {
			detail = "it gave no rows"
		}
		out = append(out, backup.HookResult{Name: "assertion " + a.Name, Err: err, Detail: detail + " in " + time.Since(began).Round(time.Millisecond).String()})
	}
	return out
}

// maxHookLines is how many lines of a check's output a report keeps.
const maxHookLines = 20

// runProofHooks runs the command and asks the URL. Both reach the scratch server at the front door, as the project's programs reach a branch.
func (p *Platform) runProofHooks(ctx context.Context, hooks holdfast.Hooks, b store.Backup, scratch store.Branch, password string) []backup.HookResult {
	if hooks.Command == "" && hooks.URL == "" {
		return nil
	}
	ref := scratch.Ref()
	giveBack := p.directory.lend(ref, scratch.ID)
	results := p.runHooks(ctx, hooks, checked{branch: scratch.ID, connection: p.connection(scratch, holdfast.OwnerRole(b.Project), password),
		about:       map[string]any{"project": b.Project, "branch": b.Branch, "backup": b.Name},
		environment: []string{"HOLDFAST_PROJECT=" + b.Project, "HOLDFAST_BRANCH=" + b.Branch, "HOLDFAST_BACKUP=" + b.Name}})
	giveBack()
	if err := p.doors.empty(ctx, ref); err != nil {
		p.log.Warn("end the sessions of a check", "backup", b.Name, "err", err)
	}
	p.doors.forget(ref)
	var out []backup.HookResult
	for _, h := range results {
		result := backup.HookResult{Name: h.Check, Detail: fmt.Sprintf("status %d in %s", h.Status, rounded(h.Time))}
		if !h.OK {
			result.Err = &holdfast.Error{Kind: holdfast.Precondition, Message: h.Error}
		}
		if text := strings.TrimSpace(h.Output); text != "" {
			lines := strings.Split(text, "\n")
			result.Output = lines[:min(len(lines), maxHookLines)]
		}
		out = append(out, result)
	}
	return out
}
