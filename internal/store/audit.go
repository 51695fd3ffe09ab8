package store

import (
	"bytes"
	"crypto/hmac"
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
	Hash    []byte // over the entry and the hash of the one before it
}

// Append adds an entry to the audit trail and chains it to the one before: each hash covers the entry and the hash before it,
// so that a changed, removed or inserted entry breaks the chain. The entry before is the one that the signed head names: what was done
// to the end of the trail behind our back is not covered up by going on.
func (tx *Tx) Append(e AuditEntry) error {
	var seq int64
	var previous []byte
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&seq, &previous)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	head, err := tx.head()
	switch {
	case errors.Is(err, sql.ErrNoRows) && seq == 0:
	case err == nil && tx.signed(head):
		seq, previous = max(seq, head.Seq), head.Hash
	case err == nil || errors.Is(err, sql.ErrNoRows):
		previous = []byte("the head is gone or forged")
	default:
		return err
	}
	if e.Detail == "" {
		e.Detail = "{}"
	}
	e.Seq = seq + 1
	hash := e.chain(previous)
	err = tx.exec(`INSERT INTO audit (seq, at, actor, source, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Seq, toMicros(e.At), e.Actor, e.Source, e.Action, e.Subject, e.Detail, hash)
	if err != nil {
		return err
	}
	return tx.signHead(e.Seq, hash)
}

// signHead writes down how long the trail is and how it ends, signed. Whoever edits the file without the key can make another
// chain that fits in itself, or cut the trail, but no head that fits.
func (tx *Tx) signHead(seq int64, hash []byte) error {
	return tx.exec(`INSERT INTO audit_head (one, seq, hash, signature) VALUES (1, ?, ?, ?)
		ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, signature = excluded.signature`, seq, hash, tx.seal.sign(headPurpose, headText(seq, hash)))
}

const headPurpose = "audit head"

func headText(seq int64, hash []byte) []byte { return fmt.Appendf(nil, "%d:%x", seq, hash) }

// signOldTrail signs a trail that was written before heads were. It is done with the migration that brings heads, and never again:
// a head that is missing later was taken away.
func (tx *Tx) signOldTrail() error {
	last, err := tx.Audit(AuditFilter{}, 0, 1)
	if err != nil || len(last) == 0 {
		return err
	}
	return tx.signHead(last[0].Seq, last[0].Hash)
}

// AuditFilter says which entries are wanted: those of which all that is given holds. Texts are found anywhere in the field, whatever their case.
type AuditFilter struct {
	Actor, Action, Subject, Source string
	Since, Until                   time.Time // from Since on, and before Until
}

// Audit lists the wanted entries before number `before` (0: from the end), the newest first, at most limit.
func (tx *Tx) Audit(f AuditFilter, before int64, limit int) ([]AuditEntry, error) {
	return collect(tx, scanAudit, `SELECT seq, at, actor, source, action, subject, detail, hash FROM audit
		WHERE (?1 = 0 OR seq < ?1) AND instr(lower(actor), lower(?2)) > 0 AND instr(lower(action), lower(?3)) > 0
		AND instr(lower(subject), lower(?4)) > 0 AND instr(lower(source), lower(?5)) > 0 AND at >= ?6 AND (?7 = 0 OR at < ?7)
		ORDER BY seq DESC LIMIT ?8`, before, f.Actor, f.Action, f.Subject, f.Source, toMicros(f.Since), toMicros(f.Until), limit)
}

// AuditAfter lists entries after number `after`, the oldest first, at most limit.
func (tx *Tx) AuditAfter(after int64, limit int) ([]AuditEntry, error) {
	return collect(tx, scanAudit, `SELECT seq, at, actor, source, action, subject, detail, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

// VerifyAudit walks the whole trail and returns its last entry; Corrupt, naming the first entry that does not fit, when it was tampered
// with. see, unless nil, is shown each entry that fits.
func (tx *Tx) VerifyAudit(see func(AuditEntry) error) (AuditEntry, error) {
	var last AuditEntry
	rows, err := tx.tx.QueryContext(tx.ctx, `SELECT seq, at, actor, source, action, subject, detail, hash FROM audit ORDER BY seq`)
	if err != nil {
		return last, err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanAudit(rows)
		if err != nil {
			return last, err
		}
		if e.Seq != last.Seq+1 || !bytes.Equal(e.Hash, e.chain(last.Hash)) {
			return last, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the audit trail was tampered with at entry %d", last.Seq+1)}
		}
		if see != nil {
			if err := see(e); err != nil {
				return last, err
			}
		}
		last = e
	}
	if err := rows.Err(); err != nil {
		return last, err
	}
	return last, tx.verifyHead(last)
}

// auditHead is the signed end of the trail.
type auditHead struct {
	Seq             int64
	Hash, Signature []byte
}

func (tx *Tx) head() (auditHead, error) {
	var h auditHead
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT seq, hash, signature FROM audit_head`).Scan(&h.Seq, &h.Hash, &h.Signature)
	return h, err
}

func (tx *Tx) signed(h auditHead) bool {
	return hmac.Equal(h.Signature, tx.seal.sign(headPurpose, headText(h.Seq, h.Hash)))
}

func (tx *Tx) verifyHead(last AuditEntry) error {
	tampered := func(how string) error {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the audit trail was tampered with: " + how}
	}
	h, err := tx.head()
	switch {
	case errors.Is(err, sql.ErrNoRows) && last.Seq == 0:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return tampered("its signed head is gone")
	case err != nil:
		return err
	case !tx.signed(h):
		return tampered("its head was not signed with the key of this installation")
	case h.Seq > last.Seq:
		return tampered(fmt.Sprintf("entries %d to %d are gone", last.Seq+1, h.Seq))
	case h.Seq != last.Seq || !bytes.Equal(h.Hash, last.Hash):
		return tampered(fmt.Sprintf("it was rewritten, or goes on after entry %d, which was the last", h.Seq))
	}
	return nil
}

func scanAudit(row scanner) (AuditEntry, error) {
	var e AuditEntry
	var at int64
	err := row.Scan(&e.Seq, &at, &e.Actor, &e.Source, &e.Action, &e.Subject, &e.Detail, &e.Hash)
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
