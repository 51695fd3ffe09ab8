package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// storedBranch is a branch as branch.json describes it: enough to make it again on an empty machine.
type storedBranch struct {
	Version         int                  `json:"version"`
	Project         storedProject        `json:"project"`
	ID              holdfast.BranchID    `json:"id"`
	Name            string               `json:"name"`
	Environment     holdfast.Environment `json:"environment"`
	Parent          holdfast.BranchID    `json:"parent,omitempty"`
	Major           int                  `json:"major"`
	IdleTimeout     time.Duration        `json:"idle_timeout_ns"`
	ConnectionLimit int                  `json:"connection_limit"`
	Window          time.Duration        `json:"window_ns,omitempty"`
	Parameters      map[string]string    `json:"parameters,omitempty"`
	Protected       bool                 `json:"protected"`
	History         bool                 `json:"history,omitempty"` // of a preview that has one
	Masked          bool                 `json:"masked,omitempty"`
	SchemaOnly      bool                 `json:"schema_only,omitempty"`
	ProductionRows  bool                 `json:"production_rows,omitempty"`
	CreatedAt       time.Time            `json:"created_at"`
	ExpiresAt       time.Time            `json:"expires_at,omitzero"`
	DeletedAt       time.Time            `json:"deleted_at,omitzero"`
	MaskRules       []storedMaskRule     `json:"mask_rules,omitempty"`
	Notes           map[string]string    `json:"notes,omitempty"`
}

type storedMaskRule struct {
	Schema     string            `json:"schema"`
	Table      string            `json:"table"`
	Column     string            `json:"column"`
	Kind       holdfast.MaskKind `json:"kind"`
	Expression string            `json:"expression,omitempty"`
}

type storedProject struct {
	ID        holdfast.ProjectID `json:"id"`
	Name      string             `json:"name"`
	Major     int                `json:"major"`
	CreatedAt time.Time          `json:"created_at"`
	DeletedAt time.Time          `json:"deleted_at,omitzero"`
}

// Description is what the repository says of a branch besides its history. Notes are whatever else the caller wants to find again; secrets do not belong there.
type Description struct {
	Project   holdfast.Project
	Branch    holdfast.Branch
	MaskRules []holdfast.MaskRule // the project's
	Notes     map[string]string
}

// Describe writes who the branch is beside its history, so that the repository alone is enough to make it again. It is called whenever
// something of it changes, and returns when the description is on this machine's disk and on its way.
func (a *Archive) Describe(d Description) error {
	b, p := d.Branch, d.Project
	var rules []storedMaskRule
	for _, r := range d.MaskRules {
		rules = append(rules, storedMaskRule(r))
	}
	return a.putSealed(a.objects.descriptor(), storedBranch{Version: formatVersion,
		Project: storedProject{ID: p.ID, Name: p.Name, Major: p.Major, CreatedAt: p.CreatedAt, DeletedAt: p.DeletedAt},
		ID:      a.config.Branch, Name: b.Name, Environment: b.Environment, Parent: b.Parent, Major: b.Major, IdleTimeout: b.Settings.IdleTimeout,
		ConnectionLimit: b.Settings.ConnectionLimit, Window: b.Settings.Window, Parameters: b.Settings.Parameters, Protected: b.Protected,
		History: b.Settings.History, Masked: b.Masked, SchemaOnly: b.SchemaOnly, ProductionRows: b.ProductionRows,
		CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt, DeletedAt: b.DeletedAt, MaskRules: rules, Notes: d.Notes})
}

func (s storedBranch) description() Description {
	var rules []holdfast.MaskRule
	for _, r := range s.MaskRules {
		rules = append(rules, holdfast.MaskRule(r))
	}
	return Description{
		Project: holdfast.Project{ID: s.Project.ID, Name: s.Project.Name, Major: s.Project.Major, CreatedAt: s.Project.CreatedAt, DeletedAt: s.Project.DeletedAt},
		Branch: holdfast.Branch{ID: s.ID, ProjectID: s.Project.ID, Name: s.Name, Project: s.Project.Name, Environment: s.Environment, Parent: s.Parent, Major: s.Major,
			Settings:  holdfast.Settings{IdleTimeout: s.IdleTimeout, ConnectionLimit: s.ConnectionLimit, Window: s.Window, History: s.History, Parameters: s.Parameters},
			Protected: s.Protected, Masked: s.Masked, SchemaOnly: s.SchemaOnly, ProductionRows: s.ProductionRows, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, DeletedAt: s.DeletedAt},
		MaskRules: rules, Notes: s.Notes,
	}
}

// Found is a branch in a repository.
type Found struct {
	Description
	Window      holdfast.Window // Latest is the last commit there is
	Checkpoints []holdfast.Checkpoint
	Bases       []Base
	Problems    []string // what of it cannot be read
}

// Scan reads what a repository holds, with nothing but its locations: the way back on an empty machine. The branches are sorted by project and name; a
// branch that is partly damaged is given with its problems.
func Scan(ctx context.Context, locations []Location) ([]Found, error) {
	m := mirror(locations)
	ids, err := m.branches(ctx)
	if err != nil {
		return nil, err
	}
	var found []Found
	for _, id := range ids {
		f, err := scanBranch(ctx, m, id)
		if err != nil {
			return nil, fmt.Errorf("read the history of branch %s: %w", id, err)
		}
		found = append(found, f)
	}
	slices.SortFunc(found, func(x, y Found) int {
		return strings.Compare(x.Project.Name+"/"+x.Branch.Name+"/"+string(x.Branch.ID), y.Project.Name+"/"+y.Branch.Name+"/"+string(y.Branch.ID))
	})
	return found, nil
}

// Encrypted encrypts what is put at a place, the history of each branch with a key of its own that Erase destroys. It is for places that hold other
// things as well: those are encrypted with the keys alone.
func Encrypted(place blob.Location, keys blob.Keys) blob.Location {
	return blob.NewEncryptedFolders(place, branchesFolder, keys)
}

// IsEncrypted looks at what a location holds, which must not be wrapped for decryption. A location without any history is NotFound.
func IsEncrypted(ctx context.Context, l Location) (bool, error) {
	for info, err := range l.List(ctx, branchesFolder) {
		if err != nil {
			return false, fmt.Errorf("look at %s: %w", l.Name, err)
		}
		r, err := l.Get(ctx, info.Name, 0, 64)
		if err != nil {
			return false, fmt.Errorf("look at %s: %w", l.Name, err)
		}
		beginning, err := io.ReadAll(r)
		return blob.SealedByAge(beginning), errors.Join(err, r.Close())
	}
	return false, &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no history at " + l.Name}
}

// branches lists the branches that have anything in the repository.
func (m mirror) branches(ctx context.Context) ([]holdfast.BranchID, error) {
	listed, _, err := m.list(ctx, branchesFolder)
	if err != nil {
		return nil, err
	}
	seen := map[holdfast.BranchID]bool{}
	for name := range listed {
		id, _, _ := strings.Cut(strings.TrimPrefix(name, branchesFolder), "/")
		seen[holdfast.BranchID(id)] = true
	}
	var ids []holdfast.BranchID
	for id := range seen {
		ids = append(ids, id)
	}
	return ids, nil
}

func scanBranch(ctx context.Context, m mirror, id holdfast.BranchID) (Found, error) {
	o := objects{id}
	f := Found{Description: Description{Branch: holdfast.Branch{ID: id}}}
	var s storedBranch
	switch err := m.readSealed(ctx, o.descriptor(), nil, &s); holdfast.KindOf(err) {
	case holdfast.Corrupt, holdfast.NotFound:
		f.Problems = append(f.Problems, err.Error())
	default:
		if err != nil {
			return Found{}, err
		}
		f.Description = s.description()
	}
	c, err := loadCatalogue(ctx, m, o, nil)
	if err != nil {
		return Found{}, err
	}
	for _, problem := range c.problems {
		f.Problems = append(f.Problems, problem.Error())
	}
	for _, b := range c.bases {
		f.Bases = append(f.Bases, b.Base)
	}
	slices.SortFunc(f.Bases, func(x, y Base) int { return -strings.Compare(x.ID, y.ID) })
	for _, cp := range c.checkpoints {
		f.Checkpoints = append(f.Checkpoints, cp)
	}
	slices.SortFunc(f.Checkpoints, func(x, y holdfast.Checkpoint) int { return -x.At.Compare(y.At) })
	f.Window = windowOf(c.restorable(time.Time{}))
	return f, nil
}

// Erase removes everything that the locations hold of a branch, its history included, for good. The keys go first: what cannot be removed
// after that is unreadable. No archive of the branch may be open.
func Erase(ctx context.Context, locations []Location, id holdfast.BranchID) error {
	m := mirror(locations)
	return m.each(ctx, func(ctx context.Context, l Location) error {
		var errs []error
		for _, key := range blob.FolderKeys(strings.TrimSuffix(objects{id}.folder(), "/")) {
			if err := l.Delete(ctx, key); err != nil {
				return fmt.Errorf("destroy the key of branch %s at %s: %w", id, l.Name, err)
			}
		}
		for info, err := range l.List(ctx, objects{id}.folder()) {
			if err != nil {
				errs = append(errs, err)
				break
			}
			errs = append(errs, l.Delete(ctx, info.Name))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("erase the history of branch %s at %s: %w", id, l.Name, err)
		}
		return nil
	})
}
