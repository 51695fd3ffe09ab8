package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
)

// AuditEntry is one line of the audit trail.
type AuditEntry struct {
	Seq     int64
	At      time.Time
	Actor   string
	Source  string // address that the request came from; empty for the product itself
	Action  string
	Subject string
	Detail  string // JSON
	hash    []byte
}

// Append adds an entry to the audit trail and chains it to the one before: each hash covers the entry and the hash before it,
// so that a changed, removed or inserted entry breaks the chain.
func (tx *Tx) Append(e AuditEntry) error {
	var seq int64
	var previous []byte
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&seq, &previous)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if e.Detail == "" {
		e.Detail = "{}"
	}
	e.Seq = seq + 1
	return tx.exec(`INSERT INTO audit (seq, at, actor, source, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Seq, toMicros(e.At), e.Actor, e.Source, e.Action, e.Subject, e.Detail, e.chain(previous))
}

// Audit lists entries before number `before` (0: from the end), the newest first, at most limit.
func (tx *Tx) Audit(before int64, limit int) ([]AuditEntry, error) {
	return collect(tx, scanAudit, `SELECT seq, at, actor, source, action, subject, detail, hash FROM audit WHERE ? = 0 OR seq < ? ORDER BY seq DESC LIMIT ?`, before, before, limit)
}

// VerifyAudit walks the whole trail and returns the number of entries; Corrupt, naming the first entry that does not fit, when
// it was tampered with. Entries cut off at the end cannot be noticed here.
func (tx *Tx) VerifyAudit() (int64, error) {
	rows, err := tx.tx.QueryContext(tx.ctx, `SELECT seq, at, actor, source, action, subject, detail, hash FROM audit ORDER BY seq`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var previous []byte
	var n int64
	for rows.Next() {
		e, err := scanAudit(rows)
		if err != nil {
			return n, err
		}
		if e.Seq != n+1 || string(e.hash) != string(e.chain(previous)) {
			return n, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the audit trail was tampered with at entry %d", n+1)}
		}
		previous, n = e.hash, e.Seq
	}
	return n, rows.Err()
}

func scanAudit(row scanner) (AuditEntry, error) {
	var e AuditEntry
	var at int64
	err := row.Scan(&e.Seq, &at, &e.Actor, &e.Source, &e.Action, &e.Subject, &e.Detail, &e.hash)
	e.At = fromMicros(at)
	return e, err
}

func (e AuditEntry) chain(previous []byte) []byte {
	h := sha256.New()
	h.Write(previous)
	// Lengths keep two entries apart whose fields only join to the same text.
	for _, field := range []string{fmt.Sprint(e.Seq), fmt.Sprint(toMicros(e.At)), e.Actor, e.Source, e.Action, e.Subject, e.Detail} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(field)))
		h.Write(length[:])
		h.Write([]byte(field))
	}
	return h.Sum(nil)
}
