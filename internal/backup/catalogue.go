package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// Catalogue is the list of backups at one location, below a prefix. It lies beside the bytes: each backup is a folder with its
// manifest, its bytes and the proofs of it (docs/formats/backup-manifest.md). Losing everything else loses no backup.
type Catalogue struct {
	location blob.Location
	prefix   string
}

const (
	manifestVersion = 1
	manifestName    = "backup.json"
	maxManifest     = 64 << 20
)

// NewCatalogue returns the catalogue below a prefix of a location.
func NewCatalogue(location blob.Location, prefix string) *Catalogue {
	return &Catalogue{location: location, prefix: strings.Trim(prefix, "/")}
}

// object is the name of an object in a backup's folder.
func (c *Catalogue) object(name, object string) string { return path.Join(c.prefix, name, object) }

// Listing is what is at a location.
type Listing struct {
	Backups []holdfast.Backup // from new to old
	Damaged []string          // names of backups whose manifest cannot be read
	Strays  []string          // names of folders without a manifest: what a crash left of a removal
}

// List reads every manifest.
func (c *Catalogue) List(ctx context.Context) (Listing, error) {
	var out Listing
	folders := map[string]bool{} // whether it has a manifest
	prefix := ""
	if c.prefix != "" {
		prefix = c.prefix + "/"
	}
	for info, err := range c.location.List(ctx, prefix) {
		if err != nil {
			return Listing{}, fmt.Errorf("list the backups: %w", err)
		}
		name, object, found := strings.Cut(strings.TrimPrefix(info.Name, prefix), "/")
		if found && holdfast.CheckBackupName(name) == nil {
			folders[name] = folders[name] || object == manifestName
		}
	}
	for name, known := range folders {
		if !known {
			out.Strays = append(out.Strays, name)
			continue
		}
		b, err := c.Get(ctx, name)
		switch holdfast.KindOf(err) {
		case holdfast.Corrupt:
			out.Damaged = append(out.Damaged, name)
			continue
		case holdfast.NotFound: // removed meanwhile
			continue
		}
		if err != nil {
			return Listing{}, err
		}
		out.Backups = append(out.Backups, b)
	}
	slices.Sort(out.Damaged)
	slices.Sort(out.Strays)
	slices.SortFunc(out.Backups, func(a, b holdfast.Backup) int {
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.Name, a.Name))
	})
	return out, nil
}

// Get reads one manifest. One that is damaged, or claims to be complete without saying of what, is Corrupt.
func (c *Catalogue) Get(ctx context.Context, name string) (holdfast.Backup, error) {
	if err := holdfast.CheckBackupName(name); err != nil {
		return holdfast.Backup{}, err
	}
	r, err := c.location.Get(ctx, c.object(name, manifestName), 0, -1)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return holdfast.Backup{}, &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no backup " + name, Cause: err}
	}
	if err != nil {
		return holdfast.Backup{}, fmt.Errorf("read the manifest of %s: %w", name, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return holdfast.Backup{}, fmt.Errorf("read the manifest of %s: %w", name, err)
	}
	var b holdfast.Backup
	if err := json.Unmarshal(text, &b); err != nil {
		return holdfast.Backup{}, damagedManifest(name, err)
	}
	switch {
	case b.Version > manifestVersion:
		return holdfast.Backup{}, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the backup %s was made by a newer program", name), Hint: "use a newer program"}
	case b.Version < 1 || b.Name != name:
		return holdfast.Backup{}, damagedManifest(name, nil)
	case b.State == holdfast.BackupCompleted && (len(b.SHA256) != 64 || b.Object == "" || b.Object != path.Base(b.Object) || b.Size <= 0):
		return holdfast.Backup{}, damagedManifest(name, nil)
	case b.State != holdfast.BackupCompleted && b.State != holdfast.BackupFailed && b.State != holdfast.BackupInProgress:
		return holdfast.Backup{}, damagedManifest(name, nil)
	}
	return b, nil
}

func damagedManifest(name string, cause error) error {
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the manifest of the backup " + name + " is damaged", Hint: "its bytes may be whole: adopt them as a file", Cause: cause}
}

// put writes a manifest; with claim it answers Conflict where the name is taken.
func (c *Catalogue) put(ctx context.Context, b holdfast.Backup, claim bool) error {
	return c.putWith(ctx, b, blob.PutOptions{IfAbsent: claim})
}

// putLocked writes the manifest of a completed backup to a destination, locked as its bytes are.
func (c *Catalogue) putLocked(ctx context.Context, b holdfast.Backup, destination string) error {
	var opts blob.PutOptions
	for _, one := range b.Copies {
		if one.Destination == destination {
			opts.LockedUntil = one.LockedUntil
		}
	}
	return c.putWith(ctx, b, opts)
}

func (c *Catalogue) putWith(ctx context.Context, b holdfast.Backup, opts blob.PutOptions) error {
	b.Version = manifestVersion
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("write the manifest of %s: %w", b.Name, err)
	}
	opts.Size = int64(len(text) + 1)
	if _, err := c.location.Put(ctx, c.object(b.Name, manifestName), bytes.NewReader(append(text, '\n')), opts); err != nil {
		return fmt.Errorf("write the manifest of %s: %w", b.Name, err)
	}
	return nil
}

// Change changes what may be changed of a backup: whether it is pinned, held, or verified, and by which report. Nothing else that
// change does is kept.
func (c *Catalogue) Change(ctx context.Context, name string, change func(*holdfast.Backup)) (holdfast.Backup, error) {
	b, err := c.Get(ctx, name)
	if err != nil {
		return b, err
	}
	changed := b
	change(&changed)
	b.Pinned, b.HeldUntilProof, b.VerifiedAt, b.Report = changed.Pinned, changed.HeldUntilProof, changed.VerifiedAt, changed.Report
	return b, c.put(ctx, b, false)
}

// Open gives the bytes of a completed backup. The reader fails with Corrupt at the end when they are not those that were written.
func (c *Catalogue) Open(ctx context.Context, b holdfast.Backup) (io.ReadCloser, error) {
	if b.State != holdfast.BackupCompleted {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the backup %s is not completed", b.Name), Hint: "choose a completed one"}
	}
	r, err := c.location.Get(ctx, c.object(b.Name, b.Object), 0, -1)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the bytes of the backup %s are missing", b.Name), Hint: "use another copy of it", Cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open the backup %s: %w", b.Name, err)
	}
	return newHashed(r, b), nil
}

// Verify reads the bytes of a completed backup and compares them with the manifest. It does not say that they restore: that is Prove.
func (c *Catalogue) Verify(ctx context.Context, b holdfast.Backup) error {
	return blob.Verify(ctx, c.location, c.object(b.Name, b.Object), b.Size, b.SHA256)
}

// Remove removes a backup. One that is pinned, held, being made, or the last good one of its branch here is Unsafe, unless the caller
// says that a person insists. The manifest goes first: what a crash leaves then is no backup, but a stray.
func (c *Catalogue) Remove(ctx context.Context, name string, insisted bool) error {
	b, err := c.Get(ctx, name)
	if err != nil && holdfast.KindOf(err) != holdfast.Corrupt {
		return err
	}
	if err == nil && !insisted {
		if err := c.mayRemove(ctx, b); err != nil {
			return err
		}
	}
	if err := c.location.Delete(ctx, c.object(name, manifestName)); err != nil {
		return fmt.Errorf("remove the backup %s: %w", name, err)
	}
	return c.RemoveStray(ctx, name)
}

func (c *Catalogue) mayRemove(ctx context.Context, b holdfast.Backup) error {
	unsafe := func(why string) error {
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: fmt.Sprintf("the backup %s is %s", b.Name, why), Hint: "confirm that it is to go in spite of that"}
	}
	switch {
	case b.State == holdfast.BackupInProgress:
		return unsafe("being made")
	case b.Pinned:
		return unsafe("pinned")
	case b.HeldUntilProof:
		return unsafe("held until a person marks it verified")
	case b.State != holdfast.BackupCompleted:
		return nil
	}
	all, err := c.List(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all.Backups, func(o holdfast.Backup) bool {
		return o.Name != b.Name && o.State == holdfast.BackupCompleted && o.Branch == b.Branch && o.Project == b.Project
	}) {
		return unsafe("the last good one of its branch")
	}
	return nil
}

// RemoveStray removes everything in the folder of a backup that has no manifest.
func (c *Catalogue) RemoveStray(ctx context.Context, name string) error {
	if err := holdfast.CheckBackupName(name); err != nil {
		return err
	}
	var objects []string
	for info, err := range c.location.List(ctx, c.object(name, "")+"/") {
		if err != nil {
			return fmt.Errorf("remove the backup %s: %w", name, err)
		}
		if info.Name == c.object(name, manifestName) {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the backup %s has a manifest", name)}
		}
		objects = append(objects, info.Name)
	}
	for _, object := range objects {
		if err := c.location.Delete(ctx, object); err != nil {
			return fmt.Errorf("remove the backup %s: %w", name, err)
		}
	}
	return nil
}

// Apply removes what the rules let go of the backups of one branch, and returns their names. What cannot be removed is tried again the
// next time.
func (c *Catalogue) Apply(ctx context.Context, rules holdfast.Retention, branch string, now time.Time, zone *time.Location) (removed []string, err error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(all.Backups, func(b holdfast.Backup) bool { return b.Branch != branch })
	_, leave := rules.Divide(now, zone, mine)
	for _, b := range leave {
		if failed := c.Remove(ctx, b.Name, false); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		removed = append(removed, b.Name)
	}
	return removed, err
}

// Settle turns backups that are in progress, but that nobody makes any more, into failed ones, and removes strays: what a crash left.
func (c *Catalogue) Settle(ctx context.Context, alive func(holdfast.Backup) bool) (settled []holdfast.Backup, err error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range all.Strays {
		err = errors.Join(err, c.RemoveStray(ctx, name))
	}
	for _, b := range all.Backups {
		if b.State != holdfast.BackupInProgress || alive(b) {
			continue
		}
		b.State, b.Failure, b.FailureHint = holdfast.BackupFailed, "it was interrupted: the program that made it has ended", "make it again"
		b.EndedAt = time.Now().UTC()
		failed := c.put(ctx, b, false)
		if failed == nil && b.Object != "" {
			failed = c.location.Delete(ctx, c.object(b.Name, b.Object))
		}
		err = errors.Join(err, failed)
		settled = append(settled, b)
	}
	return settled, err
}
