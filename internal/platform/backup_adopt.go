package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// AdoptBackup asks for a dump that was made elsewhere to be kept as a backup of a branch.
type AdoptBackup struct {
	Branch holdfast.BranchRef
	Name   string // empty: made from the branch and the time
	Size   int64  // of what File gives; 0: not known
	File   io.Reader
}

const adoptBackupJob = "adopt_backup"

// adoptBackupInput is what the job needs. The file lies in the scratch folder until the job has ended, also when the control plane ends before.
type adoptBackupInput struct {
	BranchID holdfast.BranchID
	Backup   holdfast.Backup
	File     string // its name there
}

// adoptedPrefix begins the names of files that wait to be adopted.
const adoptedPrefix = "adopt-"

// AdoptBackup takes the file of a dump and begins to keep it as a backup of a branch: it is recognized by its first bytes and read to its end before
// anything is kept. What the answer names exists until the file is refused.
func (p *Platform) AdoptBackup(ctx context.Context, who holdfast.Principal, ask AdoptBackup) (BackupView, holdfast.Job, error) {
	fail := func(err error) (BackupView, holdfast.Job, error) { return BackupView{}, holdfast.Job{}, err }
	b, err := p.findBranch(ctx, who, ask.Branch, holdfast.MayWrite)
	if err != nil {
		return fail(err)
	}
	now := p.now().UTC()
	made := holdfast.Backup{ID: holdfast.BackupID(newID("bak")), Project: b.Project, Branch: b.Name, By: who.Name, StartedAt: now, State: holdfast.BackupInProgress, Reason: "adopted"}
	if ask.Name != "" {
		if err := p.store.View(ctx, func(tx *store.Tx) error { _, err := freeBackupName(tx, b, ask.Name, now); return err }); err != nil {
			return fail(err) // before the file comes
		}
	}
	input := adoptBackupInput{BranchID: b.ID, File: adoptedPrefix + string(made.ID)}
	file := filepath.Join(p.tools.Scratch, input.File)
	if err := p.tools.Receive(file, ask.File, ask.Size); err != nil {
		return fail(err)
	}
	made, job, err := p.queueAdoption(ctx, who, b, made, ask.Name, input)
	if err != nil {
		return fail(errors.Join(err, os.Remove(file)))
	}
	started, err := p.jobs.start(job)
	return BackupView{Backup: made, JobID: job.ID}, started, err
}

// queueAdoption claims the backup's name and writes down its job.
func (p *Platform) queueAdoption(ctx context.Context, who holdfast.Principal, b store.Branch, made holdfast.Backup, name string, input adoptBackupInput) (holdfast.Backup, store.Job, error) {
	var job store.Job
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if made.Name, err = freeBackupName(tx, b, name, made.StartedAt); err != nil {
			return err
		}
		input.Backup = made
		if job, err = p.jobs.newJob(who, adoptBackupJob, b.Ref().String(), input); err != nil {
			return err
		}
		job.ProjectID, job.BranchID = b.ProjectID, b.ID
		if err := tx.PutBackup(store.Backup{Backup: made, ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, JobID: job.ID, HeartbeatAt: p.now()}); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "backup.adopt", b.Ref().String(), map[string]any{"backup": made.Name, "id": made.ID, "job": job.ID})
	})
	return made, job, err
}

func (p *Platform) runAdoptBackup(ctx context.Context, r *run) (any, error) {
	var input adoptBackupInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil {
		return nil, err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.tools.Scratch, input.File)
	known := store.Backup{ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, JobID: r.job.ID}
	begun := false
	keep := func(o holdfast.Backup) error {
		begun, known.Backup, known.HeartbeatAt = true, o, p.now()
		return p.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutBackup(known) })
	}
	r.Steps(3)
	made, finished := p.finishedBackup(ctx, places, input.Backup)
	if !finished {
		stop := p.heartbeat(ctx, made.ID)
		made, err = p.tools.Adopt(ctx, file, backup.DumpRequest{Destinations: places, Copies: 1, Backup: input.Backup, Progress: r.backupProgress(), Started: func(o holdfast.Backup) {
			if err := keep(o); err != nil {
				p.log.Warn("write what is known of a backup", "backup", o.Name, "err", err)
			}
		}})
		stop()
	}
	if begun || finished {
		err = errors.Join(err, keep(made))
	}
	if err != nil {
		return nil, err
	}
	if err := p.dropAdopted(input.File); err != nil {
		return nil, err
	}
	return map[string]any{"backup": made.ID, "name": made.Name, "format": made.Options.Format, "records": made.Records(), "size": made.Size, "sha256": made.SHA256, "copies": len(made.Copies)}, nil
}

// undoAdoptBackup leaves no bytes. A file that was refused is forgotten; a backup whose bytes were being kept stays known as failed.
func (p *Platform) undoAdoptBackup(ctx context.Context, r *run) error {
	var input adoptBackupInput
	if err := r.Input(&input); err != nil {
		return err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil {
		return err
	}
	if !r.willRunAgain() {
		if err := p.dropAdopted(input.File); err != nil {
			return err
		}
		begun := false
		err := p.store.Update(ctx, func(tx *store.Tx) error {
			known, err := tx.Backup(input.Backup.ID)
			if begun = err == nil && known.Object != ""; begun || holdfast.KindOf(err) == holdfast.NotFound {
				return nil
			}
			return errors.Join(err, tx.DeleteBackup(input.Backup.ID))
		})
		if err != nil || !begun {
			return err
		}
	}
	return p.settleBackup(ctx, b.ProjectID, input.Backup, r.willRunAgain())
}

func (p *Platform) dropAdopted(name string) error {
	err := os.Remove(filepath.Join(p.tools.Scratch, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// clearAdopted removes files that a crash left while they came: no job knows them.
func (p *Platform) clearAdopted(ctx context.Context) error {
	found, err := filepath.Glob(filepath.Join(p.tools.Scratch, adoptedPrefix+"*"))
	if err != nil || len(found) == 0 {
		return err
	}
	var left []store.Job
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { left, err = tx.UnfinishedJobs(); return err }); err != nil {
		return err
	}
	for _, path := range found {
		name := filepath.Base(path)
		if slices.ContainsFunc(left, func(j store.Job) bool { return j.Kind == adoptBackupJob && strings.Contains(string(j.Input), name) }) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove what a crash left: %w", err)
		}
	}
	return nil
}
