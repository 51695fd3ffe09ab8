package platform

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

const importDatabaseJob = "import_database"

// importDatabaseInput is sealed on disk: the address holds a password.
type importDatabaseInput struct {
	BranchID holdfast.BranchID
	From     string
	Aside    string
	Kept     string
	Check    bool // only look
}

// importResult is what the job tells.
type importResult struct {
	Branch string              `json:"branch"`
	Kept   string              `json:"kept,omitempty"`  // the empty database that was there before
	Check  bool                `json:"check,omitempty"` // it was only looked at
	Report backup.ImportReport `json:"report"`
}

// ImportDatabase begins to bring a whole foreign database into a branch that is empty. from is an address with a password
// (postgres://...); the foreign database is only read. It comes into a database aside, is compared row count by row count, and takes
// the place of the branch's; until then the branch stays as it is. With check it is only looked at, and the job's result says what was found.
func (p *Platform) ImportDatabase(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, from string, check bool) (holdfast.Job, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return holdfast.Job{}, err
	}
	source, err := backup.ParseDatabase(from)
	if err != nil {
		return holdfast.Job{}, err
	}
	if source.Socket != "" {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.NotAllowed, Message: "a database is imported over the network, not by a socket of the server's machine", Hint: "write its address as postgres://USER@HOST/DATABASE"}
	}
	suffix := newID("x")[2:12]
	input := importDatabaseInput{BranchID: b.ID, From: from, Check: check, Aside: "importing_" + suffix, Kept: p.keptName("import")}
	return p.startOn(ctx, who, b, importDatabaseJob, input, "branch.import", map[string]any{"from": source.Name, "check": check})
}

func (p *Platform) runImportDatabase(ctx context.Context, r *run) (any, error) {
	var input importDatabaseInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil {
		return nil, err
	}
	release, err := p.fleet.Hold(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	if input.Check {
		return p.lookAtImport(ctx, r, b, input)
	}
	r.Steps(4)
	result := importResult{Branch: b.Ref().String(), Kept: input.Kept}
	swapped, err := p.fleet.HasDatabase(ctx, b.ID, input.Kept)
	if err != nil {
		return nil, err
	}
	if !swapped {
		if err := p.refuseTables(ctx, b); err != nil {
			return nil, err
		}
		if result.Report, err = p.importAside(ctx, r, b, input); err != nil {
			return nil, err
		}
		r.Step("putting it in place; sessions end")
		if err := p.fleet.SwapDatabases(ctx, b.ID, b.Ref().Database(), input.Aside, input.Kept); err != nil {
			return nil, err
		}
	}
	return result, p.keepAside(ctx, b.ID, input.Kept, "import")
}

// lookAtImport only looks at a foreign database.
func (p *Platform) lookAtImport(ctx context.Context, r *run, b store.Branch, input importDatabaseInput) (importResult, error) {
	result := importResult{Branch: b.Ref().String(), Check: true}
	source, err := backup.ParseDatabase(input.From)
	if err != nil {
		return result, err
	}
	target, err := p.ownerDatabase(ctx, b, b.Ref().Database())
	if err != nil {
		return result, err
	}
	free, err := p.fleet.Free()
	if err != nil {
		return result, err
	}
	r.Steps(1)
	r.Step("looking at " + source.Name)
	result.Report.Preflight, err = p.tools.Preflight(ctx, source, target, free)
	logPreflight(r, result.Report.Preflight)
	return result, err
}

func logPreflight(r *run, found backup.Preflight) {
	for _, f := range found.Findings {
		r.Log(strings.TrimSuffix(fmt.Sprintf("%s %s: %s %s", f.Check, f.State, f.Detail, strings.Join(f.Items, ", ")), " "))
	}
}

// refuseTables refuses a branch that holds tables.
func (p *Platform) refuseTables(ctx context.Context, b store.Branch) error {
	db, release, err := p.readDatabase(ctx, b)
	if err != nil {
		return err
	}
	defer release()
	counts, err := backup.Count(ctx, db, nil)
	if err != nil || len(counts) == 0 {
		return err
	}
	return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s is not empty: it holds %s.%s and %d other tables", b.Ref(), counts[0].Schema, counts[0].Name, len(counts)-1),
		Hint: "import into a branch without tables: a new project has two"}
}

func (p *Platform) importAside(ctx context.Context, r *run, b store.Branch, input importDatabaseInput) (backup.ImportReport, error) {
	source, err := backup.ParseDatabase(input.From)
	if err != nil {
		return backup.ImportReport{}, err
	}
	if _, err := p.ownerDatabase(ctx, b, b.Ref().Database()); err != nil {
		return backup.ImportReport{}, err
	}
	if err := p.fleet.MakeDatabase(ctx, b.ID, input.Aside, holdfast.OwnerRole(b.Project)); err != nil {
		return backup.ImportReport{}, err
	}
	target, err := p.ownerDatabase(ctx, b, input.Aside)
	if err != nil {
		return backup.ImportReport{}, err
	}
	free, err := p.fleet.Free()
	if err != nil {
		return backup.ImportReport{}, err
	}
	r.Step("importing " + source.Name)
	return p.tools.Import(ctx, backup.ImportRequest{From: source, To: target, Free: free, Extension: p.extensionMaker(b.ID, input.Aside), Progress: r.backupProgress(),
		Looked: func(found backup.Preflight) { logPreflight(r, found) }})
}

// undoImportDatabase drops what came, unless it has taken its place already.
func (p *Platform) undoImportDatabase(ctx context.Context, r *run) error {
	var input importDatabaseInput
	if err := r.Input(&input); err != nil {
		return err
	}
	b, err := p.branchOf(ctx, input.BranchID)
	if err != nil || input.Check {
		return err
	}
	swapped, err := p.fleet.HasDatabase(ctx, b.ID, input.Kept)
	if err != nil || swapped {
		return err
	}
	return p.fleet.Reopen(ctx, b.ID, b.Ref().Database(), input.Aside)
}
