package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// AdoptBackup keeps a dump that was made elsewhere as a backup of a branch. The file is recognized by its first bytes and read to its end before
// anything is kept. fileName only says how a packed directory is packed.
func (p *Platform) AdoptBackup(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, name, fileName string, r io.Reader) (view BackupView, err error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return view, err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return view, err
	}
	if err := os.MkdirAll(p.tools.Scratch, 0o700); err != nil {
		return view, fmt.Errorf("make the scratch folder: %w", err)
	}
	dir, err := os.MkdirTemp(p.tools.Scratch, "backup-adopt-*")
	if err != nil {
		return view, fmt.Errorf("make a scratch folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "adopted"+packing(fileName))
	if err := receive(file, r); err != nil {
		return view, err
	}
	now := p.now().UTC()
	made := holdfast.Backup{ID: holdfast.BackupID(newID("bak")), Project: b.Project, Branch: b.Name, By: who.Name, StartedAt: now, Reason: "adopted"}
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { made.Name, err = freeBackupName(tx, b, name, now); return err }); err != nil {
		return view, err
	}
	known := store.Backup{ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment}
	begun := false
	keep := func(o holdfast.Backup) error {
		begun, known.Backup, known.HeartbeatAt = true, o, p.now()
		return p.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutBackup(known) })
	}
	stop := p.heartbeat(ctx, made.ID)
	defer stop()
	made, err = p.tools.Adopt(ctx, file, backup.DumpRequest{Destinations: places, Copies: 1, Backup: made, Started: func(o holdfast.Backup) {
		if err := keep(o); err != nil {
			p.log.Warn("write what is known of a backup", "backup", o.Name, "err", err)
		}
	}})
	if begun {
		err = errors.Join(err, keep(made))
	}
	if err != nil {
		return view, err
	}
	return viewBackup(known), p.recordAlone(ctx, who, "backup.adopt", b.Ref().String(), map[string]any{"backup": made.Name, "id": made.ID, "format": made.Options.Format, "sha256": made.SHA256})
}

// packing is the end of a file's name that says how it is packed, of those that are known.
func packing(name string) string {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".gz", ".tgz", ".zst":
		return ext
	}
	return ""
}

func receive(file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a scratch file: %w", err)
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
