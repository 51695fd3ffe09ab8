package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// RestoreBackup asks for a backup, or for tables of a moment of the history, to be restored into a branch.
type RestoreBackup struct {
	Backup   string         // its number or name; empty: From and At say what
	From     holdfast.Point // a moment of the target's own history
	To       holdfast.BranchRef
	Tables   []string // patterns; empty: everything
	TableSet string
	DataOnly bool
	Clear    bool             // replace what is there
	Mode     backup.MergeMode // of single tables that hold rows: upsert or insert-missing; empty: they must be empty unless Clear is set
	Cascade  bool             // rows of other tables may go along by foreign keys
	Life     time.Duration    // of a branch that is made for it; zero: DefaultPreviewLife
	Confirm  string           // the target's name as the person who asks typed it; needed where something is replaced
	undoes   string
}

const restoreBackupJob = "restore_backup"

// restoreBackupInput is what the job needs to run and to be taken back.
type restoreBackupInput struct {
	Backup   holdfast.BackupID
	From     holdfast.Point
	BranchID holdfast.BranchID
	New      newBranch // a branch that is made for it
	Scratch  newBranch // a server for a moment of the history
	Aside    string    // the database that it is restored into first
	Kept     string    // what becomes of the one that it replaces
	Tables   []string
	DataOnly bool
	Clear    bool
	Mode     backup.MergeMode
	Cascade  bool
	Undoes   string
}

// merges says whether rows go into tables that are there, rather than a whole database into another's place.
func (i restoreBackupInput) merges() bool { return len(i.Tables) > 0 || i.DataOnly }

// restoreResult is what the job tells.
type restoreResult struct {
	Branch  string                  `json:"branch"`
	Backup  holdfast.BackupID       `json:"backup,omitempty"`
	Kept    string                  `json:"kept,omitempty"` // the database that has what was there before
	Before  string                  `json:"backup_before,omitempty"`
	Undoes  string                  `json:"undoes,omitempty"`
	Tables  []holdfast.TableRecords `json:"tables,omitempty"`
	Checks  []backup.Finding        `json:"checks,omitempty"`
	Merge   *backup.MergeReport     `json:"merge,omitempty"`
	Missing []string                `json:"notes,omitempty"`
}

// RestoreBackup begins to restore a backup. It is always restored aside and verified first; then it takes the place of the branch's
// database, whose old state is kept for a week, or single tables are merged. Where the branch does not exist, it is made as a preview.
func (p *Platform) RestoreBackup(ctx context.Context, who holdfast.Principal, ask RestoreBackup) (holdfast.Job, error) {
	input := restoreBackupInput{From: ask.From, Tables: slices.Clone(ask.Tables), DataOnly: ask.DataOnly, Clear: ask.Clear, Mode: ask.Mode, Cascade: ask.Cascade, Undoes: ask.undoes}
	var from store.Backup
	if ask.Backup != "" {
		var err error
		if from, err = p.findBackup(ctx, who, ask.Backup, holdfast.MayWrite); err != nil {
			return holdfast.Job{}, err
		}
		if err := completed(from); err != nil {
			return holdfast.Job{}, err
		}
		input.Backup = from.ID
		// A backup of some tables cannot take a whole database's place.
		if !ask.DataOnly && (from.Options.DataOnly || len(from.Options.Tables) > 0 && len(input.Tables) == 0) {
			input.DataOnly = true
		}
	}
	target, err := p.findBranch(ctx, who, ask.To, holdfast.MayWrite)
	if holdfast.KindOf(err) == holdfast.NotFound && ask.Backup != "" && sees(who, from.ProjectID) {
		return p.restoreNew(ctx, who, ask, input, from)
	}
	if err != nil {
		return holdfast.Job{}, err
	}
	if ask.TableSet != "" {
		tables, err := p.tableSet(ctx, target.ProjectID, ask.TableSet)
		if err != nil {
			return holdfast.Job{}, err
		}
		input.Tables = append(input.Tables, tables...)
	}
	if err := p.checkRestore(ctx, ask, input, target); err != nil {
		return holdfast.Job{}, err
	}
	input.BranchID = target.ID
	suffix := newID("x")[2:12]
	input.Aside, input.Kept = "restoring_"+suffix, p.keptName("restore")
	if ask.Backup == "" {
		input.Scratch = newBranch{ID: holdfast.BranchID(newID("br")), Name: "scratch_" + suffix, Password: newPassword()}
	}
	return p.startOn(ctx, who, target, restoreBackupJob, input, "backup.restore", map[string]any{"backup": from.Name, "from": ask.From.String(), "tables": input.Tables, "clear": ask.Clear})
}

// checkRestore refuses what cannot be done to a branch that exists.
func (p *Platform) checkRestore(ctx context.Context, ask RestoreBackup, input restoreBackupInput, target store.Branch) error {
	if ask.Backup == "" {
		if ask.From.Latest() {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: "neither a backup nor a moment was named"}
		}
		if len(input.Tables) == 0 {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: "tables of a moment are restored one by one: none was named", Hint: "name them with --table; `holdfast restore` takes the whole branch back"}
		}
		if _, err := p.plan(ctx, target, ask.From); err != nil {
			return err
		}
	}
	for _, t := range input.Tables {
		if _, err := holdfast.ParseTablePattern(t); err != nil {
			return err
		}
	}
	if ask.Mode != "" && ask.Mode != backup.Upsert && ask.Mode != backup.InsertMissing {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "\"" + string(ask.Mode) + "\" is no way to restore rows", Hint: "choose upsert or insert-missing, or --clear to replace them"}
	}
	if ask.Clear || ask.Mode == backup.Upsert {
		return confirmed(target, ask.Confirm, "replaces what is in")
	}
	return nil
}

// restoreNew begins a restore into a branch that is made for it.
func (p *Platform) restoreNew(ctx context.Context, who holdfast.Principal, ask RestoreBackup, input restoreBackupInput, from store.Backup) (holdfast.Job, error) {
	project, _, err := p.findProject(ctx, who, ask.To.Project, holdfast.MayRead)
	if err != nil {
		return holdfast.Job{}, err
	}
	if err := checkNewBranch(who, project); err != nil {
		return holdfast.Job{}, err
	}
	if err := holdfast.CheckBranchName(ask.To.Branch); err != nil {
		return holdfast.Job{}, err
	}
	if from.Options.DataOnly {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "the backup holds rows only, so no branch can be made of it", Hint: "restore it into a branch that has its tables"}
	}
	if ask.Life == 0 {
		ask.Life = DefaultPreviewLife
	}
	if ask.Life < time.Minute || ask.Life > MaxPreviewLife {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("a preview cannot live for %s", ask.Life), Hint: "choose one minute to 30 days: 1h, 1d, 7d"}
	}
	now := p.now()
	input.DataOnly = false
	input.New = newBranch{ID: holdfast.BranchID(newID("br")), Name: ask.To.Branch, Password: newPassword()}
	input.BranchID = input.New.ID
	b := store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: input.New.ID, ProjectID: project.ID, Project: project.Name, Name: ask.To.Branch, Environment: holdfast.Preview, Major: max(project.Major, from.Major),
		Settings: holdfast.DefaultSettings(), CreatedAt: now, ExpiresAt: now.Add(ask.Life)}}
	if b.Major, err = p.fleet.ChooseMajor(b.Major); err != nil {
		return holdfast.Job{}, err
	}
	job, err := p.jobs.newJob(who, restoreBackupJob, b.Ref().String(), input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertBranch(b); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "backup.restore", b.Ref().String(), map[string]any{"job": job.ID, "backup": from.Name, "tables": input.Tables, "new": true})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

// restoring is one restore that runs.
type restoringBackup struct {
	p      *Platform
	r      *run
	input  restoreBackupInput
	target store.Branch
	from   store.Backup
	result restoreResult
}

func (p *Platform) runRestoreBackup(ctx context.Context, r *run) (any, error) {
	x := &restoringBackup{p: p, r: r}
	if err := r.Input(&x.input); err != nil {
		return nil, err
	}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if x.target, err = tx.Branch(x.input.BranchID); err == nil && x.input.Backup != "" {
			x.from, err = tx.Backup(x.input.Backup)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	x.result = restoreResult{Branch: x.target.Ref().String(), Backup: x.input.Backup, Undoes: x.input.Undoes}
	r.Steps(4)
	switch {
	case x.input.New.ID != "":
		err = x.intoNew(ctx)
	case x.input.Backup == "":
		err = x.fromHistory(ctx)
	case x.input.merges():
		err = x.merge(ctx)
	default:
		err = x.replace(ctx)
	}
	if err != nil {
		return nil, err
	}
	return x.result, nil
}

// intoNew makes a branch of the backup.
func (x *restoringBackup) intoNew(ctx context.Context) error {
	p, owner := x.p, holdfast.OwnerRole(x.target.Project)
	x.r.Step("making the branch " + x.target.Ref().String())
	logins, err := p.fleet.CreateDatabase(ctx, spec(x.target), x.target.Ref().Database(), owner, x.input.New.Password)
	if err != nil {
		return err
	}
	if err := x.prove(ctx, x.target, owner, x.input.New.Password, x.target.Ref().Database(), x.input.Tables); err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error { return p.publishBranch(tx, x.input.New, owner, roleVerifiers(logins)) })
	if err != nil {
		return err
	}
	p.measureOne(ctx, x.target.ID)
	return p.directory.load(ctx, p.store)
}

// prove restores the backup into an empty database of a server and checks what came. What fails a check is not put anywhere.
func (x *restoringBackup) prove(ctx context.Context, b store.Branch, role, password, database string, tables []string) (err error) {
	release, err := x.p.fleet.Hold(ctx, b.ID)
	if err != nil {
		return err
	}
	defer release()
	db, err := x.p.roleDatabase(b, role, password, database)
	if err != nil {
		return err
	}
	file, done, err := x.p.fetchBackup(ctx, x.from, x.r.backupProgress())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	x.r.Step("restoring aside")
	whole := len(tables) == 0 && !x.from.Options.DataOnly
	if !whole {
		restored, err := x.p.tools.Restore(ctx, backup.RestoreRequest{Target: db, Path: file, Tables: tables, Extension: x.p.extensionMaker(b.ID, database), DataOnly: x.from.Options.DataOnly, Progress: x.r.backupProgress()})
		x.result.Missing = restored.Notes
		return err
	}
	if x.from.Options.KeepRights { // among them are those of the role that agents read as
		if err := x.p.fleet.ReserveAgentRole(ctx, b.ID); err != nil {
			return err
		}
	}
	admin, err := x.p.adminDatabase(b, database)
	if err != nil {
		return err
	}
	report, err := x.p.tools.Prove(ctx, backup.ProofRequest{Backup: x.from.Backup, Path: file, Scratch: db, Admin: &admin, Extension: x.p.extensionMaker(b.ID, database), KeepRights: x.from.Options.KeepRights, Progress: x.r.backupProgress(),
		Login: func(ctx context.Context) error { return tryLogin(ctx, db) }})
	if err != nil {
		return err
	}
	x.result.Checks, x.result.Missing = report.Findings, report.Notes
	if err := failedChecks(report); err != nil {
		return fmt.Errorf("what was restored aside took no place, and nothing was replaced: %w", err)
	}
	return nil
}

func tryLogin(ctx context.Context, db backup.Database) error {
	conn, err := db.Connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// failedChecks is the error of a report that did not pass: the first check that failed.
func failedChecks(report backup.Report) error {
	if report.Passed {
		return nil
	}
	for _, f := range report.Findings {
		if f.State == backup.Failed {
			detail := f.Detail
			if len(f.Items) > 0 {
				detail += ": " + strings.Join(f.Items[:min(3, len(f.Items))], "; ")
			}
			return &holdfast.Error{Kind: holdfast.Precondition, Message: "it did not pass the check of " + f.Check + ": " + detail, Hint: f.Hint}
		}
	}
	return nil
}

// owner is the role and the password that the target's databases belong to.
func (x *restoringBackup) owner(ctx context.Context) (role, password string, err error) {
	password, err = x.p.ownerPassword(ctx, x.target)
	return holdfast.OwnerRole(x.target.Project), password, err
}

// aside restores into a database of its own beside the target's, on the same server.
func (x *restoringBackup) aside(ctx context.Context, tables []string) (backup.Database, error) {
	role, password, err := x.owner(ctx)
	if err != nil {
		return backup.Database{}, err
	}
	if _, err := x.p.ownerDatabase(ctx, x.target, x.target.Ref().Database()); err != nil {
		return backup.Database{}, err // it could not log in to the other one either
	}
	if err := x.p.fleet.MakeDatabase(ctx, x.target.ID, x.input.Aside, role); err != nil {
		return backup.Database{}, err
	}
	db, err := x.p.roleDatabase(x.target, role, password, x.input.Aside)
	if err != nil {
		return db, err
	}
	if x.from.Options.DataOnly { // its rows need tables to go into
		reader, release, err := x.p.readDatabase(ctx, x.target)
		if err != nil {
			return db, err
		}
		defer release()
		if err := x.p.tools.CopyTables(ctx, reader, db, x.p.extensionMaker(x.target.ID, x.input.Aside)); err != nil {
			return db, err
		}
	}
	return db, x.prove(ctx, x.target, role, password, x.input.Aside, tables)
}

// before makes what a restore can be undone by: a checkpoint, and of production a backup that is held.
func (x *restoringBackup) before(ctx context.Context) error {
	if c, err := x.p.autoCheckpoint(ctx, x.target, holdfast.BeforeRestoreCheckpoint); err != nil {
		x.r.Log("no checkpoint before the restore: " + err.Error())
	} else if c.ID != "" {
		x.r.Log("checkpoint " + string(c.ID) + " made")
	}
	if x.target.Environment != holdfast.Production {
		return nil
	}
	b, err := x.p.safetyBackup(ctx, x.r, x.target, "restore", nil)
	x.result.Before = b.Name
	return err
}

// replace puts the restored database in the place of the branch's and keeps that one.
func (x *restoringBackup) replace(ctx context.Context) error {
	release, err := x.p.fleet.Hold(ctx, x.target.ID)
	if err != nil {
		return err
	}
	defer release()
	database := x.target.Ref().Database()
	swapped, err := x.p.fleet.HasDatabase(ctx, x.target.ID, x.input.Kept)
	if err != nil {
		return err
	}
	if !swapped {
		if !x.input.Clear {
			if err := x.refuseFilled(ctx); err != nil {
				return err
			}
		}
		if _, err := x.aside(ctx, nil); err != nil {
			return err
		}
		if err := x.before(ctx); err != nil {
			return err
		}
		x.r.Step("putting it in place; sessions end")
		if err := x.p.fleet.SwapDatabases(ctx, x.target.ID, database, x.input.Aside, x.input.Kept); err != nil {
			return err
		}
	}
	x.result.Kept, x.result.Tables = x.input.Kept, x.from.Tables
	return x.p.keepAside(ctx, x.target.ID, x.input.Kept, "restore")
}

// keepAside writes down a database that is kept aside for a while.
func (p *Platform) keepAside(ctx context.Context, id holdfast.BranchID, database, why string) error {
	now := p.now()
	return p.store.Update(ctx, func(tx *store.Tx) error {
		return tx.PutSetAside(store.SetAside{BranchID: id, Database: database, Why: why, KeptAt: now, DropAt: now.Add(keptLife)})
	})
}

// undoRestoreBackup leaves the target as it was, unless the swap is done: then there is nothing left to take back.
func (p *Platform) undoRestoreBackup(ctx context.Context, r *run) error {
	var input restoreBackupInput
	if err := r.Input(&input); err != nil {
		return err
	}
	if input.Scratch.ID != "" {
		if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.Scratch.ID}); err != nil {
			return err
		}
	}
	if input.New.ID != "" {
		return p.undoRestoreNew(ctx, r, input)
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil || input.Aside == "" {
		return err
	}
	swapped, err := p.fleet.HasDatabase(ctx, b.ID, input.Kept)
	if err != nil {
		return err
	}
	if swapped {
		return p.keepAside(ctx, b.ID, input.Kept, "restore")
	}
	return p.fleet.Reopen(ctx, b.ID, b.Ref().Database(), input.Aside)
}

func (p *Platform) undoRestoreNew(ctx context.Context, r *run, input restoreBackupInput) error {
	if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.New.ID}); err != nil {
		return err
	}
	if r.willRunAgain() {
		return nil
	}
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.EraseBranch(input.New.ID) }); err != nil {
		return err
	}
	return p.directory.load(ctx, p.store)
}

func (p *Platform) branchOf(ctx context.Context, id holdfast.BranchID) (store.Branch, error) {
	var b store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err })
	return b, err
}
