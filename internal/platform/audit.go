package platform

import (
	"context"
	"encoding/json"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// AuditEntry is one line of the audit trail.
type AuditEntry = store.AuditEntry

// record adds to the audit trail, in the transaction of the change itself: what was done is recorded, what is recorded was done.
func (p *Platform) record(tx *store.Tx, who holdfast.Principal, action, subject string, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	return tx.Append(store.AuditEntry{At: p.now(), Actor: who.Name, Source: who.Source, Action: action, Subject: subject, Detail: string(raw)})
}

// recordAlone records what changes nothing in the metadata, such as looking at a password.
func (p *Platform) recordAlone(ctx context.Context, who holdfast.Principal, action, subject string, detail map[string]any) error {
	return p.store.Update(ctx, func(tx *store.Tx) error { return p.record(tx, who, action, subject, detail) })
}

// AuditFilter says which entries of the audit trail are wanted.
type AuditFilter = store.AuditFilter

// Audit lists the audit trail, the newest first: at most limit entries before number before (0: from the end).
func (p *Platform) Audit(ctx context.Context, who holdfast.Principal, before int64, limit int) ([]AuditEntry, error) {
	return p.AuditMatching(ctx, who, AuditFilter{}, before, limit)
}

// AuditMatching is Audit of the wanted entries only.
func (p *Platform) AuditMatching(ctx context.Context, who holdfast.Principal, f AuditFilter, before int64, limit int) ([]AuditEntry, error) {
	if err := checkInstallation(who); err != nil {
		return nil, err
	}
	var out []AuditEntry
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.Audit(f, before, limit); return err })
	return out, err
}

// VerifyAudit checks the whole trail and returns its last entry; Corrupt where it was tampered with.
func (p *Platform) VerifyAudit(ctx context.Context, who holdfast.Principal) (AuditEntry, error) {
	var last AuditEntry
	if err := checkInstallation(who); err != nil {
		return last, err
	}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { last, err = tx.VerifyAudit(nil); return err })
	return last, err
}

// AuditAfter lists the audit trail from entry number after on, the oldest first: at most limit entries.
func (p *Platform) AuditAfter(ctx context.Context, who holdfast.Principal, after int64, limit int) ([]AuditEntry, error) {
	if err := checkInstallation(who); err != nil {
		return nil, err
	}
	var out []AuditEntry
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { out, err = tx.AuditAfter(after, limit); return err })
	return out, err
}
