package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// The states of a project's and a branch's row. Only what is ready can be reached by users.
const (
	Creating = "creating"
	Ready    = "ready"
	Purged   = "purged" // deleted, and nothing of it is left on this machine
)

const projectColumns = `id, name, major, state, created_at, deleted_at, purge_at`

// Project is a project's row.
type Project struct {
	holdfast.Project
	State   string
	PurgeAt time.Time // when a removed project is purged
}

func scanProject(row scanner) (Project, error) {
	var p Project
	var created, deleted, purge int64
	err := row.Scan(&p.ID, &p.Name, &p.Major, &p.State, &created, &deleted, &purge)
	p.CreatedAt, p.DeletedAt, p.PurgeAt = fromMicros(created), fromMicros(deleted), fromMicros(purge)
	return p, err
}

// InsertProject adds a project; Conflict when its name is taken.
func (tx *Tx) InsertProject(p Project) error {
	return tx.exec(`INSERT INTO projects (`+projectColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		p.ID, p.Name, p.Major, p.State, toMicros(p.CreatedAt), toMicros(p.DeletedAt), toMicros(p.PurgeAt))
}

// Projects lists the projects that are not deleted, by name.
func (tx *Tx) Projects() ([]Project, error) {
	return collect(tx, scanProject, `SELECT `+projectColumns+` FROM projects WHERE deleted_at = 0 ORDER BY name`)
}

// DeletedProjects lists the projects that were deleted and not erased, the last deleted first. Of one that is Purged only backups are left.
func (tx *Tx) DeletedProjects() ([]Project, error) {
	return collect(tx, scanProject, `SELECT `+projectColumns+` FROM projects WHERE deleted_at > 0 ORDER BY deleted_at DESC`)
}

// ProjectByName finds a project that is not deleted.
func (tx *Tx) ProjectByName(name string) (Project, error) {
	return one(tx, "project "+name, scanProject, `SELECT `+projectColumns+` FROM projects WHERE name = ? AND deleted_at = 0`, name)
}

// Project finds a project, deleted or not.
func (tx *Tx) Project(id holdfast.ProjectID) (Project, error) {
	return one(tx, "project "+string(id), scanProject, `SELECT `+projectColumns+` FROM projects WHERE id = ?`, id)
}

// SetProjectState changes a project's state.
func (tx *Tx) SetProjectState(id holdfast.ProjectID, state string) error {
	return tx.must("project "+string(id), `UPDATE projects SET state = ? WHERE id = ?`, state, id)
}

// SetProjectDeleted marks a project deleted at a time, to be purged at another; zero times bring it back.
func (tx *Tx) SetProjectDeleted(id holdfast.ProjectID, at, purge time.Time) error {
	return tx.must("project "+string(id), `UPDATE projects SET deleted_at = ?, purge_at = ? WHERE id = ?`, toMicros(at), toMicros(purge), id)
}

// EraseProject removes a project with its branches, locations, keys, rules, schedules, publishes and what people keep for it. Absent is fine.
func (tx *Tx) EraseProject(id holdfast.ProjectID) error {
	branches, err := collect(tx, scanBranch, selectBranch+`WHERE b.project_id = ?`, id)
	if err != nil {
		return err
	}
	for _, b := range branches {
		if err := tx.EraseBranch(b.ID); err != nil {
			return err
		}
	}
	if err := tx.erasePublishes(id); err != nil {
		return err
	}
	if err := tx.eraseAlerts(id); err != nil {
		return err
	}
	for _, table := range []string{"locations", "project_keys", "mask_rules", "schedules", "backup_settings", "removed_backups", "saved"} {
		if err := tx.exec(`DELETE FROM `+table+` WHERE project_id = ?`, id); err != nil {
			return err
		}
	}
	return tx.exec(`DELETE FROM projects WHERE id = ?`, id)
}
