package store

import (
	"encoding/json"
	"time"

	"github.com/holdfast/holdfast"
)

// Backup is a backup's row: its manifest, and what the manifest does not say.
type Backup struct {
	holdfast.Backup
	ProjectID   holdfast.ProjectID
	BranchID    holdfast.BranchID // empty: it was found at a location
	Environment holdfast.Environment
	JobID       holdfast.JobID
	HeartbeatAt time.Time
}

const backupColumns = `id, project_id, branch_id, environment, manifest, job_id, heartbeat_at`

func scanBackup(row scanner) (Backup, error) {
	var b Backup
	var id, manifest string
	var heartbeat int64
	if err := row.Scan(&id, &b.ProjectID, &b.BranchID, &b.Environment, &manifest, &b.JobID, &heartbeat); err != nil {
		return b, err
	}
	b.HeartbeatAt = fromMicros(heartbeat)
	err := json.Unmarshal([]byte(manifest), &b.Backup)
	b.ID = holdfast.BackupID(id)
	return b, err
}

// PutBackup adds a backup or replaces what is known of it. Conflict when another one of the project has its name.
func (tx *Tx) PutBackup(b Backup) error {
	manifest, err := json.Marshal(b.Backup)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO backups (id, project_id, branch_id, environment, name, state, manifest, job_id, started_at, heartbeat_at, branch, ended_at, verified_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, manifest = excluded.manifest, job_id = excluded.job_id, started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at,
		branch = excluded.branch, ended_at = excluded.ended_at, verified_at = excluded.verified_at`,
		b.ID, b.ProjectID, b.BranchID, b.Environment, b.Name, b.State, string(manifest), b.JobID, toMicros(b.StartedAt), toMicros(b.HeartbeatAt), b.Branch, toMicros(b.EndedAt), toMicros(b.VerifiedAt))
}

// Backup finds a backup by its number.
func (tx *Tx) Backup(id holdfast.BackupID) (Backup, error) {
	return one(tx, "backup "+string(id), scanBackup, `SELECT `+backupColumns+` FROM backups WHERE id = ?`, id)
}

// BackupsNamed finds backups by name; those of several projects can share one.
func (tx *Tx) BackupsNamed(name string) ([]Backup, error) {
	return collect(tx, scanBackup, `SELECT `+backupColumns+` FROM backups WHERE name = ? ORDER BY started_at DESC`, name)
}

// Backups lists the backups of a project, the newest first; an empty project is every project.
func (tx *Tx) Backups(project holdfast.ProjectID) ([]Backup, error) {
	return collect(tx, scanBackup, `SELECT `+backupColumns+` FROM backups WHERE ? = '' OR project_id = ? ORDER BY started_at DESC, name DESC`, project, project)
}

// BeatBackup says that a backup's maker goes on.
func (tx *Tx) BeatBackup(id holdfast.BackupID, at time.Time) error {
	return tx.exec(`UPDATE backups SET heartbeat_at = ? WHERE id = ?`, toMicros(at), id)
}

// DeleteBackup forgets a backup.
func (tx *Tx) DeleteBackup(id holdfast.BackupID) error {
	return tx.must("backup "+string(id), `DELETE FROM backups WHERE id = ?`, id)
}

// Schedule is a schedule's row: the schedule, and the job of its last run.
type Schedule struct {
	holdfast.Schedule
	JobID holdfast.JobID
}

const scheduleColumns = `id, project_id, branch_id, name, config, last_run, job_id, created_at`

func scanSchedule(row scanner) (Schedule, error) {
	var s Schedule
	var id holdfast.ScheduleID
	var project holdfast.ProjectID
	var branch holdfast.BranchID
	var name, config string
	var last, created int64
	if err := row.Scan(&id, &project, &branch, &name, &config, &last, &s.JobID, &created); err != nil {
		return s, err
	}
	err := json.Unmarshal([]byte(config), &s.Schedule)
	s.ID, s.ProjectID, s.BranchID, s.Name = id, project, branch, name
	s.LastRun, s.CreatedAt = fromMicros(last), fromMicros(created)
	return s, err
}

// PutSchedule adds a schedule or replaces the one of that number. Conflict when another one of the branch has its name.
func (tx *Tx) PutSchedule(s Schedule) error {
	config, err := json.Marshal(s.Schedule)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO schedules (`+scheduleColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, config = excluded.config, last_run = excluded.last_run, job_id = excluded.job_id`,
		s.ID, s.ProjectID, s.BranchID, s.Name, string(config), toMicros(s.LastRun), s.JobID, toMicros(s.CreatedAt))
}

// Schedules lists the schedules of a branch by name; an empty branch is every branch.
func (tx *Tx) Schedules(branch holdfast.BranchID) ([]Schedule, error) {
	return collect(tx, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules WHERE ? = '' OR branch_id = ? ORDER BY branch_id, name`, branch, branch)
}

// DeleteSchedule forgets a schedule; what it made stays.
func (tx *Tx) DeleteSchedule(id holdfast.ScheduleID) error {
	return tx.must("schedule", `DELETE FROM schedules WHERE id = ?`, id)
}

// SetAside is a database that something newer took the place of.
type SetAside struct {
	BranchID       holdfast.BranchID
	Database       string
	Why            string
	KeptAt, DropAt time.Time
}

// PutSetAside adds a database that is kept aside.
func (tx *Tx) PutSetAside(s SetAside) error {
	return tx.exec(`INSERT INTO set_aside (branch_id, database, why, kept_at, drop_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (branch_id, database) DO UPDATE SET drop_at = excluded.drop_at`,
		s.BranchID, s.Database, s.Why, toMicros(s.KeptAt), toMicros(s.DropAt))
}

// SetAsides lists the databases that a branch keeps aside, the newest first; an empty branch is every branch.
func (tx *Tx) SetAsides(branch holdfast.BranchID) ([]SetAside, error) {
	return collect(tx, func(row scanner) (SetAside, error) {
		var s SetAside
		var kept, drop int64
		err := row.Scan(&s.BranchID, &s.Database, &s.Why, &kept, &drop)
		s.KeptAt, s.DropAt = fromMicros(kept), fromMicros(drop)
		return s, err
	}, `SELECT branch_id, database, why, kept_at, drop_at FROM set_aside WHERE ? = '' OR branch_id = ? ORDER BY kept_at DESC`, branch, branch)
}

// DeleteSetAside forgets a database that was kept aside.
func (tx *Tx) DeleteSetAside(branch holdfast.BranchID, database string) error {
	return tx.exec(`DELETE FROM set_aside WHERE branch_id = ? AND database = ?`, branch, database)
}

// BackupSetting is something that a project keeps for its backups.
type BackupSetting struct {
	Name   string
	Config string // JSON
}

// The purposes of a project's backup settings.
const (
	TableSets    = "table_set"
	ExportFolder = "export_folder"
	ProofHooks   = "proof_hooks"
)

// ReportKey is the purpose of the key that a project's reports are signed with: an Ed25519 seed.
const ReportKey = "report"

// PutBackupSetting adds or replaces a setting.
func (tx *Tx) PutBackupSetting(project holdfast.ProjectID, purpose string, s BackupSetting) error {
	return tx.exec(`INSERT INTO backup_settings (project_id, purpose, name, config) VALUES (?, ?, ?, ?) ON CONFLICT (project_id, purpose, name) DO UPDATE SET config = excluded.config`, project, purpose, s.Name, s.Config)
}

// BackupSettings lists a project's settings of a purpose by name.
func (tx *Tx) BackupSettings(project holdfast.ProjectID, purpose string) ([]BackupSetting, error) {
	return collect(tx, func(row scanner) (s BackupSetting, err error) {
		err = row.Scan(&s.Name, &s.Config)
		return s, err
	}, `SELECT name, config FROM backup_settings WHERE project_id = ? AND purpose = ? ORDER BY name`, project, purpose)
}

// DeleteBackupSetting removes a setting.
func (tx *Tx) DeleteBackupSetting(project holdfast.ProjectID, purpose, name string) error {
	return tx.must(name, `DELETE FROM backup_settings WHERE project_id = ? AND purpose = ? AND name = ?`, project, purpose, name)
}
