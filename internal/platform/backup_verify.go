package platform

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

const verifyBackupJob = "verify_backup"

type verifyBackupInput struct {
	Backup  holdfast.BackupID
	Scratch newBranch
}

// VerifyBackup begins to prove that a backup restores: on a scratch server of its own, which is removed afterwards.
func (p *Platform) VerifyBackup(ctx context.Context, who holdfast.Principal, id string) (holdfast.Job, error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayWrite)
	if err == nil {
		err = completed(b)
	}
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.startVerify(ctx, who, b)
}

func (p *Platform) startVerify(ctx context.Context, who holdfast.Principal, b store.Backup) (holdfast.Job, error) {
	id := newID("br")
	// The scratch server is no branch, but the project's own checks reach it by this name.
	input := verifyBackupInput{Backup: b.ID, Scratch: newBranch{ID: holdfast.BranchID(id), Name: "proof_" + id[len(id)-8:], Password: newPassword()}}
	job, err := p.jobs.newJob(who, verifyBackupJob, b.Name, input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.BranchID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "backup.verify", b.Project+"/"+b.Branch, map[string]any{"backup": b.Name, "job": job.ID})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

func (p *Platform) runVerifyBackup(ctx context.Context, r *run) (result any, err error) {
	var input verifyBackupInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	var b store.Backup
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Backup(input.Backup); return err }); err != nil {
		return nil, err
	}
	r.Steps(4)
	file, done, err := p.fetchBackup(ctx, b, r.backupProgress())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	report, err := p.proveOnScratch(ctx, r, input, b, file)
	if err != nil {
		return nil, err
	}
	report.By = r.job.Actor
	if err := p.keepReport(ctx, b, report); err != nil {
		return nil, err
	}
	if err := p.fleet.Remove(ctx, fleet.Spec{ID: input.Scratch.ID}); err != nil {
		return nil, err
	}
	if err := failedChecks(report); err != nil {
		return nil, fmt.Errorf("the backup %s does not restore as it should: %w", b.Name, err)
	}
	return report, nil
}

// proveOnScratch restores the backup on a server of its own, so that nobody is disturbed.
func (p *Platform) proveOnScratch(ctx context.Context, r *run, input verifyBackupInput, b store.Backup, file string) (backup.Report, error) {
	major, err := p.fleet.ChooseMajor(b.Major)
	if err != nil {
		return backup.Report{}, err
	}
	scratch := store.Branch{Branch: holdfast.Branch{ID: input.Scratch.ID, ProjectID: b.ProjectID, Project: b.Project, Name: input.Scratch.Name, Environment: holdfast.Preview, Major: major, Settings: holdfast.DefaultSettings()}}
	owner, database := holdfast.OwnerRole(b.Project), scratch.Ref().Database()
	r.Step("making a scratch server")
	if _, err := p.fleet.CreateDatabase(ctx, spec(scratch), database, owner, input.Scratch.Password); err != nil {
		return backup.Report{}, err
	}
	release, err := p.fleet.Hold(ctx, scratch.ID)
	if err != nil {
		return backup.Report{}, err
	}
	defer release()
	db, err := p.roleDatabase(scratch, owner, input.Scratch.Password, database)
	if err != nil {
		return backup.Report{}, err
	}
	admin, err := p.adminDatabase(scratch, database)
	if err != nil {
		return backup.Report{}, err
	}
	restored, err := p.proofHooks(ctx, r, b, scratch, db, input.Scratch.Password)
	if err != nil {
		return backup.Report{}, err
	}
	r.Step("restoring and checking")
	return p.tools.Prove(ctx, backup.ProofRequest{Restored: restored, Backup: b.Backup, Path: file, Scratch: db, Admin: &admin, Extension: p.extensionMaker(scratch.ID, database), Roles: []string{owner}, By: r.job.Actor, Progress: r.backupProgress(),
		Login: func(ctx context.Context) error { return tryLogin(ctx, db) }})
}

func (p *Platform) undoVerifyBackup(ctx context.Context, r *run) error {
	var input verifyBackupInput
	if err := r.Input(&input); err != nil {
		return err
	}
	return p.fleet.Remove(ctx, fleet.Spec{ID: input.Scratch.ID})
}

// keepReport signs a report and puts it beside every copy of the backup.
func (p *Platform) keepReport(ctx context.Context, b store.Backup, report backup.Report) error {
	key, err := p.reportKey(ctx, b.ProjectID)
	if err != nil {
		return err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return err
	}
	var known holdfast.Backup
	err = eachCopy(places, b.Backup, func(d backup.Destination) (err error) {
		known, err = d.Catalogue.KeepReport(ctx, report, key)
		return err
	})
	if err != nil {
		return err
	}
	return p.keepManifest(ctx, known)
}

// reportKey is the key that a project's reports are signed with; it is made when first needed.
func (p *Platform) reportKey(ctx context.Context, project holdfast.ProjectID) (ed25519.PrivateKey, error) {
	var key ed25519.PrivateKey
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		keys, err := tx.ProjectKeys(project, store.ReportKey)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			keys = [][]byte{make([]byte, ed25519.SeedSize)}
			rand.Read(keys[0]) // never fails: crypto/rand ends the process instead
			if err := tx.AddProjectKey(project, store.ReportKey, keys[0], p.now()); err != nil {
				return err
			}
		}
		key = ed25519.NewKeyFromSeed(keys[0])
		return nil
	})
	return key, err
}

// BackupReport is the last proof of a backup that passed, after its signature was checked.
func (p *Platform) BackupReport(ctx context.Context, who holdfast.Principal, id string) (backup.Report, error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayRead)
	if err != nil {
		return backup.Report{}, err
	}
	key, err := p.reportKey(ctx, b.ProjectID)
	if err != nil {
		return backup.Report{}, err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return backup.Report{}, err
	}
	failed := noCopy(b.Backup)
	for _, d := range places {
		if !b.At(d.Name) {
			continue
		}
		public, _ := key.Public().(ed25519.PublicKey) // it always is one
		report, err := d.Catalogue.ReportOf(ctx, b.Backup, public)
		if err == nil {
			return report, nil
		}
		failed = err
	}
	return backup.Report{}, failed
}

// BackupReport says what was proved about a backup.
type BackupReport = backup.Report
