package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// BackupFile is the bytes of a backup for carrying away. Reading to the end checks them; an error there means that they are not whole.
type BackupFile struct {
	io.ReadCloser
	Name string // for a file: backup_prod_20261120_140311.json
	Size int64  // -1: not known, because they are unpacked on the way
	JSON bool
}

// DownloadBackup opens the bytes of a backup. A backup in JSON comes unpacked unless packed is asked for.
func (p *Platform) DownloadBackup(ctx context.Context, who holdfast.Principal, id string, packed bool) (BackupFile, error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayRead)
	if err == nil {
		err = checkRows(who, backedUp(b))
	}
	if err != nil {
		return BackupFile{}, err
	}
	r, err := p.openBackup(ctx, b)
	if err != nil {
		return BackupFile{}, err
	}
	file := BackupFile{ReadCloser: r, Name: b.Name + objectEnding(b.Object), Size: b.Size}
	if b.Options.Format == holdfast.JSONFormat && !packed {
		file.Name, file.Size, file.JSON = b.Name+".json", -1, true
		if file.ReadCloser, err = backup.Plain(r); err != nil {
			return BackupFile{}, err
		}
	}
	if err := p.recordAlone(ctx, who, "backup.download", b.Project+"/"+b.Branch, map[string]any{"backup": b.Name, "id": b.ID}); err != nil {
		return BackupFile{}, errors.Join(err, file.Close())
	}
	return file, nil
}

// objectEnding is what follows the first dot of dump.tar.gz.
func objectEnding(object string) string {
	ending := ""
	for rest := object; ; {
		e := path.Ext(rest)
		if e == "" {
			return ending
		}
		ending, rest = e+ending, rest[:len(rest)-len(e)]
	}
}

// openBackup opens the bytes at the first place that gives them.
func (p *Platform) openBackup(ctx context.Context, b store.Backup) (io.ReadCloser, error) {
	if err := completed(b); err != nil {
		return nil, err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return nil, err
	}
	failed := noCopy(b.Backup)
	for _, d := range places {
		if !b.At(d.Name) {
			continue
		}
		r, err := d.Catalogue.Open(ctx, b.Backup)
		if err == nil {
			return r, nil
		}
		failed = fmt.Errorf("%s: %w", d.Name, err)
	}
	return nil, failed
}

// fetchBackup brings the bytes of a backup to this machine, whole, from the first place that has them so.
func (p *Platform) fetchBackup(ctx context.Context, b store.Backup, tell backup.Progress) (file string, release func() error, err error) {
	if err := completed(b); err != nil {
		return "", nil, err
	}
	places, err := p.backupPlaces(ctx, b.ProjectID)
	if err != nil {
		return "", nil, err
	}
	failed := noCopy(b.Backup)
	for _, d := range places {
		if !b.At(d.Name) {
			continue
		}
		if file, release, err = p.tools.Fetch(ctx, d.Catalogue, b.Backup, tell); err == nil {
			return file, release, nil
		}
		failed = fmt.Errorf("%s: %w", d.Name, err)
		if ctx.Err() != nil {
			break
		}
		p.log.Warn("fetch a backup", "backup", b.Name, "place", d.Name, "err", err)
	}
	return "", nil, failed
}

// BackupPage is a page of the rows of one table of a backup.
type BackupPage struct {
	backup.PreviewPage
	Tables  []holdfast.TableRecords // that the backup holds
	Records int64                   // rows of the table
}

// PreviewBackup shows rows of one table of a backup, from the row at offset on. Without a table it shows the first one that has rows.
func (p *Platform) PreviewBackup(ctx context.Context, who holdfast.Principal, id, table string, offset, limit int64) (page BackupPage, err error) {
	b, err := p.findBackup(ctx, who, id, holdfast.MayRead)
	if err == nil {
		err = checkRows(who, backedUp(b))
	}
	if err != nil {
		return page, err
	}
	if err := completed(b); err != nil {
		return page, err
	}
	page.Tables, page.Columns, page.Rows = b.Tables, []string{}, [][]*string{}
	if table == "" {
		for _, t := range b.Tables {
			if t.Records > 0 {
				table = holdfast.QuoteQualified(t.Schema, t.Name)
				break
			}
		}
		if table == "" {
			return page, nil
		}
	}
	file, release, err := p.fetchBackup(ctx, b, nil)
	if err != nil {
		return page, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if page.PreviewPage, err = p.tools.Preview(ctx, file, table, offset, limit); err != nil {
		return page, err
	}
	for _, t := range b.Tables {
		if t.Schema == page.Schema && t.Name == page.Name {
			page.Records = t.Records
		}
	}
	return page, nil
}
