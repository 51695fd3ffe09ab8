package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// BackupMark says when a branch was last backed up and proved. Zero times mean never.
type BackupMark struct {
	ProjectID holdfast.ProjectID
	Branch    string

	CompletedAt time.Time // when the backup that ended last was completed
	VerifiedAt  time.Time // when a restore was last proved
	FailedAt    time.Time // when the newest backup began, if that failed
}

const backupMarks = `SELECT project_id, branch, max(iif(state = 'completed', ended_at, 0)), max(iif(state = 'completed', verified_at, 0)),
	max(iif(state = 'completed', started_at, 0)), max(iif(state = 'failed', started_at, 0)) FROM backups `

func scanBackupMark(row scanner) (BackupMark, error) {
	var m BackupMark
	var completed, verified, begun, failed int64
	err := row.Scan(&m.ProjectID, &m.Branch, &completed, &verified, &begun, &failed)
	m.CompletedAt, m.VerifiedAt = fromMicros(completed), fromMicros(verified)
	if failed > begun {
		m.FailedAt = fromMicros(failed)
	}
	return m, err
}

// BackupMarks lists the branches that have backups, of every project. It reads an index and no manifest.
func (tx *Tx) BackupMarks() ([]BackupMark, error) {
	return collect(tx, scanBackupMark, backupMarks+`GROUP BY project_id, branch`)
}

// BackupMark is that of one branch; one that never had a backup has the zero value.
func (tx *Tx) BackupMark(project holdfast.ProjectID, branch string) (BackupMark, error) {
	found, err := collect(tx, scanBackupMark, backupMarks+`WHERE project_id = ? AND branch = ? GROUP BY project_id, branch`, project, branch)
	if err != nil || len(found) == 0 {
		return BackupMark{}, err
	}
	return found[0], nil
}

// FailedBackup finds the newest backup of a branch that failed.
func (tx *Tx) FailedBackup(project holdfast.ProjectID, branch string) (Backup, error) {
	return one(tx, "a failed backup of "+branch, scanBackup, `SELECT `+backupColumns+` FROM backups WHERE project_id = ? AND branch = ? AND state = 'failed' ORDER BY started_at DESC LIMIT 1`, project, branch)
}

// LastJob finds the newest job of a kind on a branch that succeeded or failed.
func (tx *Tx) LastJob(kind string, branch holdfast.BranchID) (holdfast.Job, error) {
	j, err := one(tx, "a job", scanJob(), `SELECT `+jobColumns+` FROM jobs WHERE kind = ? AND branch_id = ? AND state IN ('succeeded', 'failed') ORDER BY created_at DESC LIMIT 1`, kind, branch)
	return j.Job, err
}

// PutRemovedBackup remembers that a backup was removed while a place with a copy was out of reach, and whether a person insisted on it.
func (tx *Tx) PutRemovedBackup(project holdfast.ProjectID, id holdfast.BackupID, insisted bool, at time.Time) error {
	return tx.exec(`INSERT INTO removed_backups (project_id, id, insisted, removed_at) VALUES (?, ?, ?, ?) ON CONFLICT (project_id, id) DO UPDATE SET insisted = max(insisted, excluded.insisted)`,
		project, id, insisted, toMicros(at))
}

// RemovedBackups lists the backups of a project whose removal is remembered, and whether a person insisted on it.
func (tx *Tx) RemovedBackups(project holdfast.ProjectID) (map[holdfast.BackupID]bool, error) {
	out := map[holdfast.BackupID]bool{}
	_, err := collect(tx, func(row scanner) (id holdfast.BackupID, err error) {
		var insisted bool
		err = row.Scan(&id, &insisted)
		out[id] = insisted
		return id, err
	}, `SELECT id, insisted FROM removed_backups WHERE project_id = ?`, project)
	return out, err
}

// ForgetRemovedBackup ends the memory of a removal.
func (tx *Tx) ForgetRemovedBackup(project holdfast.ProjectID, id holdfast.BackupID) error {
	return tx.exec(`DELETE FROM removed_backups WHERE project_id = ? AND id = ?`, project, id)
}
