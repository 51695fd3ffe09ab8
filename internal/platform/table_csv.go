package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

// The words of the backup room for CSV files of one table.
type (
	TableExport   = backup.TableExport
	TableImport   = backup.TableImport
	TableImported = backup.TableImported
	CSVStyle      = backup.CSVStyle
	RejectedRow   = backup.RejectedRow
)

// ExportTable writes a table of a branch as CSV and returns the number of rows. An error before the first byte leaves w untouched. It wakes the branch.
func (p *Platform) ExportTable(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask TableExport, w io.Writer) (int64, error) {
	b, release, err := p.holdForCSV(ctx, who, ref, ask.Table, false)
	if err != nil {
		return 0, err
	}
	defer release()
	if ask.Database, err = p.ownerDatabase(ctx, b, b.Ref().Database()); err != nil {
		return 0, err
	}
	n, err := backup.ExportTable(ctx, ask, w)
	if err != nil {
		return 0, err
	}
	return n, p.recordAlone(ctx, who, "table.export", b.Ref().String(), map[string]any{"table": ask.Table, "rows": n})
}

// ImportTable brings a CSV file into a table of a branch, in one transaction, after a checkpoint where the branch has a history. With reject, rows
// that the table does not take are told to it after the import, and the others are kept; without, nothing is kept when a row is bad.
func (p *Platform) ImportTable(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, ask TableImport, r io.Reader, reject func(RejectedRow) error) (done TableImported, err error) {
	b, release, err := p.holdForCSV(ctx, who, ref, ask.Table, true)
	if err != nil {
		return done, err
	}
	defer release()
	if ask.Database, err = p.ownerDatabase(ctx, b, b.Ref().Database()); err != nil {
		return done, err
	}
	var rejects *rejectFile
	if reject != nil {
		if rejects, err = p.newRejectFile(); err != nil {
			return done, err
		}
		defer func() { err = errors.Join(err, rejects.close()) }()
		ask.Reject = func(row RejectedRow) error { return rejects.in.Encode(row) }
	}
	if !ask.DryRun {
		if _, err := p.autoCheckpoint(ctx, b, holdfast.BeforeSyncCheckpoint); err != nil {
			return done, fmt.Errorf("nothing was imported: %w", err)
		}
	}
	if done, err = backup.ImportTable(ctx, ask, r); err != nil {
		return done, err
	}
	if !ask.DryRun {
		detail := map[string]any{"table": ask.Table, "rows": done.Rows, "rejected": done.Rejected}
		if err := p.recordAlone(context.WithoutCancel(ctx), who, "table.import", b.Ref().String(), detail); err != nil {
			return done, err
		}
	}
	if rejects == nil {
		return done, nil
	}
	return done, rejects.each(reject)
}

// holdForCSV finds a branch, checks the right to its rows and keeps it awake until release is called.
func (p *Platform) holdForCSV(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, table string, write bool) (b store.Branch, release func(), err error) {
	if b, err = p.findBranch(ctx, who, ref, holdfast.MayRead); err != nil {
		return b, nil, err
	}
	if err := checkQuery(who, b, write); err != nil {
		return b, nil, err
	}
	if table == "" {
		return b, nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "no table is named", Hint: "write it as in SQL: public.orders"}
	}
	release, err = p.fleet.Hold(ctx, b.ID)
	return b, release, err
}

// rejectFile keeps rejected rows on disk until the import has ended: whoever sends a file may not read the answer before its end.
type rejectFile struct {
	file *os.File
	in   *json.Encoder
}

func (p *Platform) newRejectFile() (*rejectFile, error) {
	if err := os.MkdirAll(p.tools.Scratch, 0o700); err != nil {
		return nil, fmt.Errorf("make the scratch folder: %w", err)
	}
	f, err := os.CreateTemp(p.tools.Scratch, "backup-rejects-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for rejected rows: %w", err)
	}
	return &rejectFile{file: f, in: json.NewEncoder(f)}, nil
}

func (f *rejectFile) each(tell func(RejectedRow) error) error {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the rejected rows: %w", err)
	}
	for d := json.NewDecoder(f.file); ; {
		var row RejectedRow
		if err := d.Decode(&row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the rejected rows: %w", err)
		}
		if err := tell(row); err != nil {
			return err
		}
	}
}

func (f *rejectFile) close() error { return errors.Join(f.file.Close(), os.Remove(f.file.Name())) }
