package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// Person is a person with what that one signs in with.
type Person struct {
	holdfast.Person
	Password   string // Argon2id with its parameters; empty: none
	CodeSecret []byte // of the authenticator; empty: none
	CodeStep   int64  // of the newest code that was taken

	OIDCIssuer, OIDCSubject string // whom a provider means by it; empty: nobody
}

const personColumns = `id, name, admin, password, code_secret, code_on, code_step, created_at, disabled_at, last_login_at, email, oidc_issuer, oidc_subject`

func (tx *Tx) scanPerson(row scanner) (Person, error) {
	var p Person
	var created, disabled, login int64
	var sealed []byte
	err := row.Scan(&p.ID, &p.Name, &p.Admin, &p.Password, &sealed, &p.OneTimeCode, &p.CodeStep, &created, &disabled, &login, &p.Email, &p.OIDCIssuer, &p.OIDCSubject)
	p.CreatedAt, p.DisabledAt, p.LastLoginAt = fromMicros(created), fromMicros(disabled), fromMicros(login)
	if err == nil && len(sealed) > 0 {
		p.CodeSecret, err = tx.seal.open(codeName(p.ID), sealed)
	}
	return p, err
}

func codeName(id holdfast.PersonID) string { return "code/" + string(id) }

// InsertPerson adds a person; a name or an address that is taken is a Conflict.
func (tx *Tx) InsertPerson(p Person) error {
	return tx.exec(`INSERT INTO people (id, name, admin, password, email, created_at) VALUES (?, ?, ?, ?, ?, ?)`, p.ID, p.Name, p.Admin, p.Password, p.Email, toMicros(p.CreatedAt))
}

// UpdatePerson writes everything of a person but the identifier, the name, and whom a provider means by it.
func (tx *Tx) UpdatePerson(p Person) error {
	sealed := []byte{}
	if len(p.CodeSecret) > 0 {
		var err error
		if sealed, err = tx.seal.seal(codeName(p.ID), p.CodeSecret); err != nil {
			return err
		}
	}
	return tx.must("person "+p.Name, `UPDATE people SET admin = ?, password = ?, code_secret = ?, code_on = ?, code_step = ?, disabled_at = ?, last_login_at = ?, email = ? WHERE id = ?`,
		p.Admin, p.Password, sealed, p.OneTimeCode, p.CodeStep, toMicros(p.DisabledAt), toMicros(p.LastLoginAt), p.Email, p.ID)
}

// Person finds a person.
func (tx *Tx) Person(id holdfast.PersonID) (Person, error) {
	return one(tx, "person "+string(id), tx.scanPerson, `SELECT `+personColumns+` FROM people WHERE id = ?`, id)
}

// PersonByName finds a person by the name to sign in with.
func (tx *Tx) PersonByName(name string) (Person, error) {
	return one(tx, "person "+name, tx.scanPerson, `SELECT `+personColumns+` FROM people WHERE name = ?`, name)
}

// People lists all people by name.
func (tx *Tx) People() ([]Person, error) {
	return collect(tx, tx.scanPerson, `SELECT `+personColumns+` FROM people ORDER BY name`)
}

// ErasePerson removes a person with that one's memberships, sessions, tokens and links.
func (tx *Tx) ErasePerson(p Person) error {
	for _, table := range []string{"tokens", "invitations"} { // the others are told by their foreign keys
		if err := tx.exec(`DELETE FROM `+table+` WHERE person_id = ?`, p.ID); err != nil {
			return err
		}
	}
	return tx.must("person "+p.Name, `DELETE FROM people WHERE id = ?`, p.ID)
}

func scanMember(row scanner) (holdfast.Member, error) {
	var m holdfast.Member
	var created int64
	err := row.Scan(&m.ProjectID, &m.PersonID, &m.Role, &m.Production, &created)
	m.CreatedAt = fromMicros(created)
	return m, err
}

const selectMember = `SELECT project_id, person_id, role, production, created_at FROM members `

// SetMember gives a person a place in a project, or another one.
func (tx *Tx) SetMember(m holdfast.Member) error {
	return tx.exec(`INSERT INTO members (project_id, person_id, role, production, created_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (project_id, person_id) DO UPDATE SET role = excluded.role, production = excluded.production`,
		m.ProjectID, m.PersonID, m.Role, m.Production, toMicros(m.CreatedAt))
}

// DeleteMember takes a person's place in a project.
func (tx *Tx) DeleteMember(project holdfast.ProjectID, person holdfast.PersonID) error {
	return tx.must("that member", `DELETE FROM members WHERE project_id = ? AND person_id = ?`, project, person)
}

// Members lists who has a place in a project.
func (tx *Tx) Members(project holdfast.ProjectID) ([]holdfast.Member, error) {
	return collect(tx, scanMember, selectMember+`WHERE project_id = ? ORDER BY created_at, person_id`, project)
}

// Memberships lists a person's places.
func (tx *Tx) Memberships(person holdfast.PersonID) ([]holdfast.Member, error) {
	return collect(tx, scanMember, selectMember+`WHERE person_id = ? ORDER BY created_at, project_id`, person)
}

const sessionColumns = `id, person_id, source, agent, created_at, used_at, expires_at`

func scanSession(row scanner) (holdfast.Session, error) {
	var s holdfast.Session
	var created, used, expires int64
	err := row.Scan(&s.ID, &s.PersonID, &s.Source, &s.Agent, &created, &used, &expires)
	s.CreatedAt, s.UsedAt, s.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(expires)
	return s, err
}

// InsertSession adds a session by the hash of its secret.
func (tx *Tx) InsertSession(s holdfast.Session, hash []byte) error {
	return tx.exec(`INSERT INTO sessions (`+sessionColumns+`, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		s.ID, s.PersonID, s.Source, s.Agent, toMicros(s.CreatedAt), toMicros(s.UsedAt), toMicros(s.ExpiresAt), hash)
}

// SessionByHash finds a session by the hash of its secret.
func (tx *Tx) SessionByHash(hash []byte) (holdfast.Session, error) {
	return one(tx, "session", scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE hash = ?`, hash)
}

// Sessions lists a person's sessions, the newest first.
func (tx *Tx) Sessions(person holdfast.PersonID) ([]holdfast.Session, error) {
	return collect(tx, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE person_id = ? ORDER BY created_at DESC, id`, person)
}

// TouchSession records that a session was used.
func (tx *Tx) TouchSession(id string, at time.Time) error {
	return tx.exec(`UPDATE sessions SET used_at = ? WHERE id = ?`, toMicros(at), id)
}

// DeleteSession ends one of a person's sessions.
func (tx *Tx) DeleteSession(person holdfast.PersonID, id string) error {
	return tx.must("session "+id, `DELETE FROM sessions WHERE person_id = ? AND id = ?`, person, id)
}

// DeleteSessions ends all of a person's sessions but the one named (empty: all).
func (tx *Tx) DeleteSessions(person holdfast.PersonID, but string) error {
	return tx.exec(`DELETE FROM sessions WHERE person_id = ? AND id <> ?`, person, but)
}

// DeleteEndedSessions forgets sessions that expired, or were not used since idle.
func (tx *Tx) DeleteEndedSessions(now, idle time.Time) error {
	return tx.exec(`DELETE FROM sessions WHERE expires_at <= ? OR used_at <= ?`, toMicros(now), toMicros(idle))
}

const invitationColumns = `id, person_id, admin, project_id, role, production, made_by, created_at, expires_at, email`

func scanInvitation(row scanner) (holdfast.Invitation, error) {
	var i holdfast.Invitation
	var created, expires int64
	err := row.Scan(&i.ID, &i.PersonID, &i.Admin, &i.ProjectID, &i.Role, &i.Production, &i.MadeBy, &created, &expires, &i.Email)
	i.CreatedAt, i.ExpiresAt = fromMicros(created), fromMicros(expires)
	return i, err
}

// InsertInvitation adds a one-time link by the hash of its secret.
func (tx *Tx) InsertInvitation(i holdfast.Invitation, hash []byte) error {
	return tx.exec(`INSERT INTO invitations (`+invitationColumns+`, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		i.ID, i.PersonID, i.Admin, i.ProjectID, i.Role, i.Production, i.MadeBy, toMicros(i.CreatedAt), toMicros(i.ExpiresAt), i.Email, hash)
}

// InvitationByHash finds a one-time link by the hash of its secret.
func (tx *Tx) InvitationByHash(hash []byte) (holdfast.Invitation, error) {
	return one(tx, "invitation", scanInvitation, `SELECT `+invitationColumns+` FROM invitations WHERE hash = ?`, hash)
}

// Invitations lists the one-time links that were not used, the newest first; an empty project: all of them.
func (tx *Tx) Invitations(project holdfast.ProjectID) ([]holdfast.Invitation, error) {
	return collect(tx, scanInvitation, `SELECT `+invitationColumns+` FROM invitations WHERE ? = '' OR project_id = ? ORDER BY created_at DESC, id`, project, project)
}

// DeleteInvitation ends a one-time link.
func (tx *Tx) DeleteInvitation(id string) error {
	return tx.must("invitation "+id, `DELETE FROM invitations WHERE id = ?`, id)
}

// SetRecoveryCodes replaces a person's recovery codes by those with these hashes.
func (tx *Tx) SetRecoveryCodes(person holdfast.PersonID, hashes [][]byte) error {
	if err := tx.exec(`DELETE FROM recovery_codes WHERE person_id = ?`, person); err != nil {
		return err
	}
	for _, hash := range hashes {
		if err := tx.exec(`INSERT INTO recovery_codes (person_id, hash) VALUES (?, ?)`, person, hash); err != nil {
			return err
		}
	}
	return nil
}

// UseRecoveryCode takes a recovery code away; NotFound when there is none such.
func (tx *Tx) UseRecoveryCode(person holdfast.PersonID, hash []byte) error {
	return tx.must("the code", `DELETE FROM recovery_codes WHERE person_id = ? AND hash = ?`, person, hash)
}
