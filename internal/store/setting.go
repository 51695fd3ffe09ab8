package store

import (
	"database/sql"
	"errors"
)

// Setting reads a value of the installation; false when it was never set.
func (tx *Tx) Setting(key string) (string, bool, error) {
	var value string
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT value FROM settings WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return value, err == nil, err
}

// SetSetting writes a value of the installation.
func (tx *Tx) SetSetting(key, value string) error {
	return tx.exec(`INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
}

// DeleteSetting removes a value of the installation. One that is not there is fine.
func (tx *Tx) DeleteSetting(key string) error {
	return tx.exec(`DELETE FROM settings WHERE key = ?`, key)
}
