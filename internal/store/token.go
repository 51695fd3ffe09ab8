package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

const tokenColumns = `id, name, kind, project_id, right_, created_at, expires_at, last_used_at, person_id`

func scanToken(row scanner) (holdfast.Token, error) {
	var t holdfast.Token
	var created, expires, used int64
	err := row.Scan(&t.ID, &t.Name, &t.Kind, &t.ProjectID, &t.Right, &created, &expires, &used, &t.PersonID)
	t.CreatedAt, t.ExpiresAt, t.LastUsedAt = fromMicros(created), fromMicros(expires), fromMicros(used)
	return t, err
}

// InsertToken adds a token by the hash of its secret.
func (tx *Tx) InsertToken(t holdfast.Token, hash []byte) error {
	return tx.exec(`INSERT INTO tokens (`+tokenColumns+`, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		t.ID, t.Name, t.Kind, t.ProjectID, t.Right, toMicros(t.CreatedAt), toMicros(t.ExpiresAt), toMicros(t.LastUsedAt), t.PersonID, hash)
}

// Token finds a token.
func (tx *Tx) Token(id string) (holdfast.Token, error) {
	return one(tx, "token "+id, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE id = ?`, id)
}

// TokenByHash finds a token by the hash of its secret.
func (tx *Tx) TokenByHash(hash []byte) (holdfast.Token, error) {
	return one(tx, "token", scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash)
}

// Tokens lists all tokens, the newest first.
func (tx *Tx) Tokens() ([]holdfast.Token, error) {
	return collect(tx, scanToken, `SELECT `+tokenColumns+` FROM tokens ORDER BY created_at DESC, id`)
}

// DeleteToken revokes a token.
func (tx *Tx) DeleteToken(id string) error {
	return tx.must("token "+id, `DELETE FROM tokens WHERE id = ?`, id)
}

// TouchToken records that a token was used.
func (tx *Tx) TouchToken(id string, at time.Time) error {
	return tx.exec(`UPDATE tokens SET last_used_at = ? WHERE id = ?`, toMicros(at), id)
}
