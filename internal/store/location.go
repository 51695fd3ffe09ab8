package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
)

// Location is a location's row with its secret, opened.
type Location struct {
	holdfast.Location
	Secret string // the S3 secret key; empty for a folder
}

// PutLocation adds a location or replaces the one of that name.
func (tx *Tx) PutLocation(project holdfast.ProjectID, l Location, at time.Time) error {
	config, err := json.Marshal(l.Location)
	if err != nil {
		return err
	}
	sealed, err := tx.seal.seal(locationSecretName(project, l.Name), []byte(l.Secret))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO locations (project_id, name, config, sealed, created_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (project_id, name) DO UPDATE SET config = excluded.config, sealed = excluded.sealed`, project, l.Name, string(config), sealed, toMicros(at))
}

// DeleteLocation forgets a location; what lies there stays.
func (tx *Tx) DeleteLocation(project holdfast.ProjectID, name string) error {
	return tx.must("location "+name, `DELETE FROM locations WHERE project_id = ? AND name = ?`, project, name)
}

// Locations lists a project's locations by name.
func (tx *Tx) Locations(project holdfast.ProjectID) ([]Location, error) {
	return collect(tx, func(row scanner) (Location, error) {
		var l Location
		var config string
		var sealed []byte
		if err := row.Scan(&config, &sealed); err != nil {
			return l, err
		}
		if err := json.Unmarshal([]byte(config), &l.Location); err != nil {
			return l, err
		}
		secret, err := tx.seal.open(locationSecretName(project, l.Name), sealed)
		l.Secret = string(secret)
		return l, err
	}, `SELECT config, sealed FROM locations WHERE project_id = ? ORDER BY name`, project)
}

func locationSecretName(project holdfast.ProjectID, name string) string {
	return "location/" + string(project) + "/" + name
}

// The purposes of project keys.
const (
	RepositoryKey = "repository"
	MaskingKey    = "masking"
)

// AddProjectKey adds a key as the newest of its purpose.
func (tx *Tx) AddProjectKey(project holdfast.ProjectID, purpose string, key []byte, at time.Time) error {
	var number int
	if err := tx.tx.QueryRowContext(tx.ctx, `SELECT coalesce(max(number), 0) + 1 FROM project_keys WHERE project_id = ? AND purpose = ?`, project, purpose).Scan(&number); err != nil {
		return err
	}
	sealed, err := tx.seal.seal(projectKeyName(project, purpose, number), key)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO project_keys (project_id, purpose, number, sealed, created_at) VALUES (?, ?, ?, ?, ?)`, project, purpose, number, sealed, toMicros(at))
}

// ProjectKeys lists a project's keys of a purpose, the newest first.
func (tx *Tx) ProjectKeys(project holdfast.ProjectID, purpose string) ([][]byte, error) {
	return collect(tx, func(row scanner) ([]byte, error) {
		var number int
		var sealed []byte
		if err := row.Scan(&number, &sealed); err != nil {
			return nil, err
		}
		return tx.seal.open(projectKeyName(project, purpose, number), sealed)
	}, `SELECT number, sealed FROM project_keys WHERE project_id = ? AND purpose = ? ORDER BY number DESC`, project, purpose)
}

// DeleteProjectKeys destroys a project's keys: what was encrypted with them cannot be read any more.
func (tx *Tx) DeleteProjectKeys(project holdfast.ProjectID) error {
	return tx.exec(`DELETE FROM project_keys WHERE project_id = ?`, project)
}

func projectKeyName(project holdfast.ProjectID, purpose string, number int) string {
	return fmt.Sprintf("key/%s/%s/%d", project, purpose, number)
}

// SetMaskRules replaces a project's masking rules.
func (tx *Tx) SetMaskRules(project holdfast.ProjectID, rules []holdfast.MaskRule) error {
	if err := tx.exec(`DELETE FROM mask_rules WHERE project_id = ?`, project); err != nil {
		return err
	}
	for _, r := range rules {
		if err := tx.exec(`INSERT INTO mask_rules (project_id, schema, table_, column_, kind, expression) VALUES (?, ?, ?, ?, ?, ?)`,
			project, r.Schema, r.Table, r.Column, r.Kind, r.Expression); err != nil {
			return err
		}
	}
	return nil
}

// MaskRules lists a project's masking rules.
func (tx *Tx) MaskRules(project holdfast.ProjectID) ([]holdfast.MaskRule, error) {
	return collect(tx, func(row scanner) (r holdfast.MaskRule, err error) {
		err = row.Scan(&r.Schema, &r.Table, &r.Column, &r.Kind, &r.Expression)
		return r, err
	}, `SELECT schema, table_, column_, kind, expression FROM mask_rules WHERE project_id = ? ORDER BY schema, table_, column_`, project)
}
