package store

import (
	"encoding/json"
	"time"

	"github.com/holdfast/holdfast"
)

// Branch is a branch's row.
type Branch struct {
	holdfast.Branch
	State   string
	PurgeAt time.Time // when a branch that somebody removed is purged; zero beside DeletedAt: at once
}

// Removed says whether the branch was removed and is kept whole, so that it can be brought back.
func (b Branch) Removed() bool {
	return b.State == Ready && !b.DeletedAt.IsZero() && !b.PurgeAt.IsZero()
}

const selectBranch = `SELECT b.id, b.project_id, p.name, b.name, b.environment, b.parent, b.major, b.state, b.settings, b.protected, b.look, b.masked, b.schema_only, b.production_rows,
	b.created_at, b.expires_at, b.deleted_at, b.purge_at FROM branches b JOIN projects p ON p.id = b.project_id `

func scanBranch(row scanner) (Branch, error) {
	var b Branch
	var settings string
	var created, expires, deleted, purge int64
	err := row.Scan(&b.ID, &b.ProjectID, &b.Project, &b.Name, &b.Environment, &b.Parent, &b.Major, &b.State, &settings, &b.Protected, &b.Look, &b.Masked, &b.SchemaOnly, &b.ProductionRows,
		&created, &expires, &deleted, &purge)
	if err != nil {
		return b, err
	}
	b.CreatedAt, b.ExpiresAt, b.DeletedAt, b.PurgeAt = fromMicros(created), fromMicros(expires), fromMicros(deleted), fromMicros(purge)
	return b, json.Unmarshal([]byte(settings), &b.Settings)
}

// InsertBranch adds a branch; Conflict when its name is taken within the project.
func (tx *Tx) InsertBranch(b Branch) error {
	settings, err := json.Marshal(b.Settings)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO branches (id, project_id, name, environment, parent, major, state, settings, protected, look, masked, schema_only, production_rows, created_at, expires_at, deleted_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.ProjectID, b.Name, b.Environment, b.Parent, b.Major, b.State, string(settings), b.Protected, b.Look, b.Masked, b.SchemaOnly, b.ProductionRows,
		toMicros(b.CreatedAt), toMicros(b.ExpiresAt), toMicros(b.DeletedAt))
}

// Branches lists the branches of a project that are not deleted: production, development, then the others by name.
func (tx *Tx) Branches(project holdfast.ProjectID) ([]Branch, error) {
	return collect(tx, scanBranch, selectBranch+`WHERE b.project_id = ? AND b.deleted_at = 0
		ORDER BY CASE b.environment WHEN 'production' THEN 0 WHEN 'development' THEN 1 ELSE 2 END, b.name`, project)
}

// AllBranches lists every branch of every project, deleted ones too.
func (tx *Tx) AllBranches() ([]Branch, error) {
	return collect(tx, scanBranch, selectBranch+`ORDER BY b.created_at, b.id`)
}

// BranchByRef finds a branch by its names, when neither it nor its project is deleted.
func (tx *Tx) BranchByRef(ref holdfast.BranchRef) (Branch, error) {
	return one(tx, "branch "+ref.String(), scanBranch, selectBranch+`WHERE p.name = ? AND b.name = ? AND b.deleted_at = 0 AND p.deleted_at = 0`, ref.Project, ref.Branch)
}

// Branch finds a branch, deleted or not.
func (tx *Tx) Branch(id holdfast.BranchID) (Branch, error) {
	return one(tx, "branch "+string(id), scanBranch, selectBranch+`WHERE b.id = ?`, id)
}

// UpdateBranch writes what can change of a branch: name, environment, parent, state, settings, protection, expiry and deletion.
func (tx *Tx) UpdateBranch(b Branch) error {
	settings, err := json.Marshal(b.Settings)
	if err != nil {
		return err
	}
	return tx.must("branch "+string(b.ID), `UPDATE branches SET name = ?, environment = ?, parent = ?, state = ?, settings = ?, protected = ?,
		expires_at = ?, deleted_at = ?, purge_at = ? WHERE id = ?`,
		b.Name, b.Environment, b.Parent, b.State, string(settings), b.Protected, toMicros(b.ExpiresAt), toMicros(b.DeletedAt), toMicros(b.PurgeAt), b.ID)
}

// EraseBranch removes a branch and its credentials. Absent is fine.
func (tx *Tx) EraseBranch(id holdfast.BranchID) error {
	for _, table := range []string{"verifiers", "passwords"} {
		if err := tx.exec(`DELETE FROM `+table+` WHERE branch_id = ?`, id); err != nil {
			return err
		}
	}
	return tx.exec(`DELETE FROM branches WHERE id = ?`, id)
}

// RoleVerifier is what the front door knows of a login role.
type RoleVerifier struct {
	Role       string
	Verifier   holdfast.Verifier
	ValidUntil time.Time // zero: for ever
}

// SetVerifiers replaces the login roles known of a branch.
func (tx *Tx) SetVerifiers(id holdfast.BranchID, roles []RoleVerifier) error {
	if err := tx.exec(`DELETE FROM verifiers WHERE branch_id = ?`, id); err != nil {
		return err
	}
	for _, r := range roles {
		if err := tx.exec(`INSERT INTO verifiers (branch_id, role, verifier, valid_until) VALUES (?, ?, ?, ?)`,
			id, []byte(r.Role), r.Verifier.String(), toMicros(r.ValidUntil)); err != nil {
			return err
		}
	}
	return nil
}

// Verifiers lists the login roles known of a branch.
func (tx *Tx) Verifiers(id holdfast.BranchID) ([]RoleVerifier, error) {
	return collect(tx, func(row scanner) (RoleVerifier, error) {
		var r RoleVerifier
		var role []byte
		var verifier string
		var until int64
		if err := row.Scan(&role, &verifier, &until); err != nil {
			return r, err
		}
		v, err := holdfast.ParseVerifier(verifier)
		r.Role, r.Verifier, r.ValidUntil = string(role), v, fromMicros(until)
		return r, err
	}, `SELECT role, verifier, valid_until FROM verifiers WHERE branch_id = ? ORDER BY role`, id)
}

// SetPassword keeps a role's password, sealed.
func (tx *Tx) SetPassword(id holdfast.BranchID, role, password string, at time.Time) error {
	sealed, err := tx.seal.seal(passwordName(id, role), []byte(password))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO passwords (branch_id, role, sealed, changed_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (branch_id, role) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at`, id, role, sealed, toMicros(at))
}

// Password opens a role's kept password; NotFound when none is kept.
func (tx *Tx) Password(id holdfast.BranchID, role string) (string, error) {
	sealed, err := one(tx, "the password of "+role, func(row scanner) ([]byte, error) {
		var b []byte
		return b, row.Scan(&b)
	}, `SELECT sealed FROM passwords WHERE branch_id = ? AND role = ?`, id, role)
	if err != nil {
		return "", err
	}
	secret, err := tx.seal.open(passwordName(id, role), sealed)
	return string(secret), err
}

func passwordName(id holdfast.BranchID, role string) string {
	return "password/" + string(id) + "/" + role
}
