package store

import (
	"database/sql"
	"errors"
	"time"

	"github.com/holdfast/holdfast"
)

// OIDC is the provider that people may sign in with, with the secret by which it knows us.
type OIDC struct {
	holdfast.OIDC
	Secret string
}

const oidcSecret = "oidc/client-secret"

// OIDC reads the provider; false where there is none.
func (tx *Tx) OIDC() (OIDC, bool, error) {
	var o OIDC
	var sealed []byte
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT name, issuer, client_id, client_secret FROM oidc`).Scan(&o.Name, &o.Issuer, &o.ClientID, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	secret, err := tx.seal.open(oidcSecret, sealed)
	o.Secret = string(secret)
	return o, err == nil, err
}

// SetOIDC writes the provider.
func (tx *Tx) SetOIDC(o OIDC) error {
	sealed, err := tx.seal.seal(oidcSecret, []byte(o.Secret))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO oidc (one, name, issuer, client_id, client_secret) VALUES (1, ?, ?, ?, ?)
		ON CONFLICT (one) DO UPDATE SET name = excluded.name, issuer = excluded.issuer, client_id = excluded.client_id, client_secret = excluded.client_secret`,
		o.Name, o.Issuer, o.ClientID, sealed)
}

// DeleteOIDC forgets the provider; NotFound where there is none.
func (tx *Tx) DeleteOIDC() error { return tx.must("a provider to sign in with", `DELETE FROM oidc`) }

// PersonByOIDC finds whom a provider means by a subject.
func (tx *Tx) PersonByOIDC(issuer, subject string) (Person, error) {
	return one(tx, "person", tx.scanPerson, `SELECT `+personColumns+` FROM people WHERE oidc_issuer = ? AND oidc_subject = ? AND oidc_subject <> ''`, issuer, subject)
}

// PersonByEmail finds a person by an e-mail address.
func (tx *Tx) PersonByEmail(email string) (Person, error) {
	return one(tx, "person", tx.scanPerson, `SELECT `+personColumns+` FROM people WHERE email = ? AND email <> ''`, email)
}

// LinkPerson remembers whom a provider means by a subject.
func (tx *Tx) LinkPerson(id holdfast.PersonID, issuer, subject string) error {
	return tx.must("person "+string(id), `UPDATE people SET oidc_issuer = ?, oidc_subject = ? WHERE id = ?`, issuer, subject, id)
}

// InvitationsByEmail lists the invitations for an e-mail address that are good at a time, the oldest first.
func (tx *Tx) InvitationsByEmail(email string, at time.Time) ([]holdfast.Invitation, error) {
	return collect(tx, scanInvitation, `SELECT `+invitationColumns+` FROM invitations WHERE email = ? AND email <> '' AND expires_at > ? ORDER BY created_at, id`, email, toMicros(at))
}

// Seal encrypts what somebody else keeps for us, for a purpose: nobody else can read, change or make it, nor use it for another.
func (s *Store) Seal(purpose string, data []byte) ([]byte, error) {
	return s.seal.seal("elsewhere/"+purpose, data)
}

// Unseal is the way back from Seal; Corrupt for what was not sealed for that purpose with this key.
func (s *Store) Unseal(purpose string, sealed []byte) ([]byte, error) {
	return s.seal.open("elsewhere/"+purpose, sealed)
}
