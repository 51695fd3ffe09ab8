package platform

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/rows"
	"github.com/holdfast/holdfast/internal/store"
)

// SyncRows asks for rows of one branch to be brought to another.
type SyncRows struct {
	Target, Source holdfast.BranchRef
	Tables         []string // patterns; empty: all
	TableSet       string
	Mode           backup.MergeMode
	Masked         bool // by the rules of the source's project
	Dry            bool // only say what would happen
	Cascade        bool // rows of other tables may go along by foreign keys
	SkipTriggers   bool
	Confirm        string // the target's name as the person who asks typed it; not needed with Dry
}

const syncJob = "sync_rows"

type syncInput struct {
	Target, Source holdfast.BranchID
	Tables         []string
	Mode           backup.MergeMode
	Masked         bool
	Dry            bool
	Cascade        bool
	SkipTriggers   bool
}

// syncResult is what the job tells, and what UndoSync needs.
type syncResult struct {
	Target string             `json:"target"`
	Source string             `json:"source"`
	Backup holdfast.BackupID  `json:"backup,omitempty"` // of the target, before it was changed
	Name   string             `json:"backup_name,omitempty"`
	Dry    bool               `json:"dry,omitempty"`
	Report backup.MergeReport `json:"report"`
}

// SyncRows begins to bring rows of one branch to another. The target is backed up first; when that fails nothing happens. All tables are
// changed in one transaction, or none.
func (p *Platform) SyncRows(ctx context.Context, who holdfast.Principal, ask SyncRows) (holdfast.Job, error) {
	want := holdfast.MayWrite
	target, err := p.findBranch(ctx, who, ask.Target, want)
	if err != nil {
		return holdfast.Job{}, err
	}
	source, err := p.findBranch(ctx, who, ask.Source, holdfast.MayRead)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := checkCopy(who, source, NewBranch{Masked: ask.Masked}); err != nil {
		return holdfast.Job{}, err
	}
	if target.ID == source.ID {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "a branch cannot be synced with itself"}
	}
	if ask.Masked { // said before anything is backed up
		if _, err := p.syncRules(ctx, source); err != nil {
			return holdfast.Job{}, err
		}
	}
	if ask.TableSet != "" {
		tables, err := p.tableSet(ctx, source.ProjectID, ask.TableSet)
		if err != nil {
			return holdfast.Job{}, err
		}
		ask.Tables = append(slices.Clone(ask.Tables), tables...)
	}
	if !slices.Contains([]backup.MergeMode{backup.Replace, backup.Upsert, backup.InsertMissing}, ask.Mode) {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "\"" + string(ask.Mode) + "\" is no mode", Hint: "choose replace, upsert or insert-missing"}
	}
	if !ask.Dry {
		if err := confirmed(target, ask.Confirm, "changes rows of"); err != nil {
			return holdfast.Job{}, err
		}
	}
	input := syncInput{Target: target.ID, Source: source.ID, Tables: ask.Tables, Mode: ask.Mode, Masked: ask.Masked, Dry: ask.Dry, Cascade: ask.Cascade, SkipTriggers: ask.SkipTriggers}
	return p.startOn(ctx, who, target, syncJob, input, "sync.rows", map[string]any{"source": ask.Source.String(), "tables": ask.Tables, "mode": ask.Mode, "masked": ask.Masked, "dry": ask.Dry})
}

// confirmed refuses an operation on a branch whose name was not typed.
func confirmed(b store.Branch, typed, does string) error {
	if typed == b.Ref().String() {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.Unsafe, Message: "this " + does + " " + b.Ref().String() + " and was not confirmed", Hint: "confirm it with the name " + b.Ref().String()}
}

// startOn begins a job that changes a branch, unless another one of its kind works on it.
func (p *Platform) startOn(ctx context.Context, who holdfast.Principal, b store.Branch, kind string, input any, action string, detail map[string]any) (holdfast.Job, error) {
	job, err := p.jobs.newJob(who, kind, b.Ref().String(), input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	detail["job"] = job.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		left, err := tx.UnfinishedJobs()
		if err != nil {
			return err
		}
		for _, j := range left {
			if j.Kind == kind && j.BranchID == b.ID {
				return &holdfast.Error{Kind: holdfast.Busy, Message: "the same is being done with " + b.Ref().String() + " already", Hint: "`holdfast job show " + string(j.ID) + "` says how far it is"}
			}
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, action, b.Ref().String(), detail)
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// runSync changes nothing but in one transaction, so after an interruption it is simply run again.
func (p *Platform) runSync(ctx context.Context, r *run) (any, error) {
	var input syncInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var target, source store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if target, err = tx.Branch(input.Target); err != nil {
			return err
		}
		source, err = tx.Branch(input.Source)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Steps(4)
	result := syncResult{Target: target.Ref().String(), Source: source.Ref().String(), Dry: input.Dry}
	if !input.Dry {
		before, err := p.safetyBackup(ctx, r, target, "sync", input.Tables)
		if err != nil {
			return nil, err
		}
		result.Backup, result.Name = before.ID, before.Name
		if _, err := p.autoCheckpoint(ctx, target, holdfast.BeforeSyncCheckpoint); err != nil {
			r.Log("no checkpoint before the sync: " + err.Error()) // there is the backup
		}
	}
	request := backup.MergeRequest{Tables: input.Tables, Mode: input.Mode, Dry: input.Dry, Cascade: input.Cascade, SkipTriggers: input.SkipTriggers, Progress: r.backupProgress()}
	from, release, err := p.readDatabase(ctx, source)
	if err != nil {
		return nil, err
	}
	defer release()
	if request.From, request.Transform, err = p.masked(ctx, source, from, input.Masked); err != nil {
		return nil, err
	}
	if result.Report, err = p.mergeInto(ctx, target, request); err != nil {
		return nil, err
	}
	return result, nil
}

// mergeInto merges into a branch's database as its owner.
func (p *Platform) mergeInto(ctx context.Context, target store.Branch, request backup.MergeRequest) (backup.MergeReport, error) {
	release, err := p.fleet.Hold(ctx, target.ID)
	if err != nil {
		return backup.MergeReport{}, err
	}
	defer release()
	if request.To, err = p.ownerDatabase(ctx, target, target.Ref().Database()); err != nil {
		return backup.MergeReport{}, err
	}
	return backup.Merge(ctx, request)
}

// syncRules are the masking rules by which a branch's rows leave it; there must be some.
func (p *Platform) syncRules(ctx context.Context, b store.Branch) (rules []holdfast.MaskRule, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) (err error) { rules, err = tx.MaskRules(b.ProjectID); return err })
	if err == nil && len(rules) == 0 {
		err = &holdfast.Error{Kind: holdfast.Precondition, Message: "project " + b.Project + " has no masking rules, so a masked sync would show everything", Hint: "set some with `holdfast mask set`"}
	}
	return rules, err
}

// masked lets the sessions of a database read masked values, where that is wanted.
func (p *Platform) masked(ctx context.Context, b store.Branch, db backup.Database, wanted bool) (backup.Database, func(schema, table, column string) string, error) {
	if !wanted {
		return db, nil, nil
	}
	rules, err := p.syncRules(ctx, b)
	if err != nil {
		return db, nil, err
	}
	salt, err := p.maskingSalt(ctx, b.ProjectID)
	if err != nil {
		return db, nil, err
	}
	expressions := map[rows.MaskedColumn]string{}
	connect := db.Connect
	db.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		conn, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		found, err := rows.MaskSession(ctx, conn, rules, salt)
		if err != nil {
			_ = conn.Close(ctx) // the first error is the one to report
			return nil, err
		}
		for column, expression := range found {
			expressions[column] = expression
		}
		return conn, nil
	}
	return db, func(schema, table, column string) string {
		return expressions[rows.MaskedColumn{Schema: schema, Table: table, Column: column}]
	}, nil
}

// UndoSync brings back the rows that the tables of a branch had before its newest sync, from the backup that was made then.
func (p *Platform) UndoSync(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, confirm string) (holdfast.Job, error) {
	target, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	last, err := p.lastSync(ctx, target)
	if err != nil {
		return holdfast.Job{}, err
	}
	var tables []string
	for _, t := range last.Report.Tables {
		tables = append(tables, holdfast.QuoteQualified(t.Schema, t.Name))
	}
	return p.RestoreBackup(ctx, who, RestoreBackup{Backup: string(last.Backup), To: ref, Tables: tables, Clear: true, Confirm: confirm, undoes: "sync"})
}

// lastSync finds the newest sync of a branch that was not undone.
func (p *Platform) lastSync(ctx context.Context, b store.Branch) (syncResult, error) {
	var jobs []holdfast.Job
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { jobs, err = tx.Jobs(b.ProjectID, 1000); return err }); err != nil {
		return syncResult{}, err
	}
	undone := map[holdfast.BackupID]bool{}
	for _, j := range jobs { // from new to old
		if j.State != holdfast.JobSucceeded || j.Subject != b.Ref().String() {
			continue
		}
		switch j.Kind {
		case restoreBackupJob:
			var r restoreResult
			if json.Unmarshal([]byte(j.Result), &r) == nil && r.Undoes == "sync" {
				undone[r.Backup] = true
			}
		case syncJob:
			var r syncResult
			if err := json.Unmarshal([]byte(j.Result), &r); err != nil {
				return r, err
			}
			if !r.Dry && !undone[r.Backup] {
				return r, nil
			}
		}
	}
	return syncResult{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "there is no sync of " + b.Ref().String() + " to undo"}
}

// MergeMode says what becomes of rows that are in both branches, or in the target only.
type MergeMode = backup.MergeMode
