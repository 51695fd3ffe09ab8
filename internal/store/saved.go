package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// Saved is something that a person keeps for use in a project.
type Saved struct {
	ID        string
	ProjectID holdfast.ProjectID
	Owner     string
	Kind      string
	Table     string
	Name      string
	Body      string
	UpdatedAt time.Time
}

const savedColumns = `id, project_id, owner, kind, subject, name, body, updated_at`

func scanSaved(row scanner) (Saved, error) {
	var s Saved
	var updated int64
	err := row.Scan(&s.ID, &s.ProjectID, &s.Owner, &s.Kind, &s.Table, &s.Name, &s.Body, &updated)
	s.UpdatedAt = fromMicros(updated)
	return s, err
}

// PutSaved keeps something, in the place of what has the same owner, kind, table and name, whose ID it then has. It returns it as it is kept.
func (tx *Tx) PutSaved(s Saved) (Saved, error) {
	return one(tx, "what was saved", scanSaved, `INSERT INTO saved (`+savedColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (project_id, owner, kind, subject, name) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at RETURNING `+savedColumns,
		s.ID, s.ProjectID, s.Owner, s.Kind, s.Table, s.Name, s.Body, toMicros(s.UpdatedAt))
}

// Saved lists what an owner keeps for a project, by kind, table and name.
func (tx *Tx) Saved(project holdfast.ProjectID, owner string) ([]Saved, error) {
	return collect(tx, scanSaved, `SELECT `+savedColumns+` FROM saved WHERE project_id = ? AND owner = ? ORDER BY kind, subject, name`, project, owner)
}

// DeleteSaved forgets one of what an owner keeps.
func (tx *Tx) DeleteSaved(project holdfast.ProjectID, owner, id string) error {
	return tx.must("what was saved as "+id, `DELETE FROM saved WHERE project_id = ? AND owner = ? AND id = ?`, project, owner, id)
}
