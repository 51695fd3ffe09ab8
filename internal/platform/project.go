package platform

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// ProjectView is a project as its users see it.
type ProjectView struct {
	holdfast.Project
	Branches []BranchView
}

// NewProject asks for a project.
type NewProject struct {
	Name string
	// Major is the PostgreSQL version; 0: the default of this machine.
	Major int
	// SampleRows fills both databases with sample data whose largest table has so many rows; 0: leaves them empty.
	SampleRows int
}

const createProjectJob = "create_project"

// createProjectInput is what the job needs to run and to be taken back. It is sealed on disk.
type createProjectInput struct {
	ProjectID  holdfast.ProjectID
	Name       string
	Branches   []newBranch
	SampleRows int
}

type newBranch struct {
	ID       holdfast.BranchID
	Name     string
	Password string
}

// maxSampleRows keeps a typing error from filling the disk.
const maxSampleRows = 10_000_000

// CreateProject makes a project with an empty development and an empty production database. Its name is taken at once, the
// databases come to be in the job.
func (p *Platform) CreateProject(ctx context.Context, who holdfast.Principal, ask NewProject) (holdfast.Job, error) {
	if err := checkInstallation(who); err != nil {
		return holdfast.Job{}, err
	}
	if err := holdfast.CheckProjectName(ask.Name); err != nil {
		return holdfast.Job{}, err
	}
	if ask.SampleRows < 0 || ask.SampleRows > maxSampleRows || ask.SampleRows > 0 && p.sample == nil {
		return holdfast.Job{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("sample data of %d rows cannot be made", ask.SampleRows), Hint: fmt.Sprintf("choose 1 to %d", maxSampleRows)}
	}
	major, err := p.fleet.ChooseMajor(ask.Major)
	if err != nil {
		return holdfast.Job{}, err
	}
	input := createProjectInput{ProjectID: holdfast.ProjectID(newID("prj")), Name: ask.Name, SampleRows: ask.SampleRows, Branches: []newBranch{
		{ID: holdfast.BranchID(newID("br")), Name: holdfast.DevelopmentName, Password: newPassword()},
		{ID: holdfast.BranchID(newID("br")), Name: holdfast.ProductionName, Password: newPassword()},
	}}
	job, err := p.jobs.newJob(who, createProjectJob, ask.Name, input)
	if err != nil {
		return holdfast.Job{}, err
	}
	job.ProjectID = input.ProjectID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.ProjectByName(ask.Name); err == nil {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "project " + ask.Name + " exists already"}
		}
		if err := nameIsFree(tx, ask.Name); err != nil {
			return err
		}
		if err := p.insertProject(tx, input, major); err != nil {
			return err
		}
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "project.create", ask.Name, map[string]any{"job": job.ID, "postgres": major})
	})
	if err != nil {
		return holdfast.Job{}, err
	}
	return p.jobs.start(job)
}

func (p *Platform) insertProject(tx *store.Tx, input createProjectInput, major int) error {
	now := p.now()
	if err := tx.InsertProject(store.Project{Project: holdfast.Project{ID: input.ProjectID, Name: input.Name, Major: major, CreatedAt: now}, State: store.Creating}); err != nil {
		return err
	}
	for _, b := range input.Branches {
		err := tx.InsertBranch(store.Branch{State: store.Creating, Branch: holdfast.Branch{ID: b.ID, ProjectID: input.ProjectID, Name: b.Name,
			Environment: holdfast.Environment(b.Name), Major: major, Settings: holdfast.DefaultSettings(), CreatedAt: now}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) runCreateProject(ctx context.Context, r *run) (any, error) {
	var input createProjectInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	r.Steps(3)
	r.Step("making the databases")
	// Each is its own server: two at once take little longer than one.
	made := make([][]store.RoleVerifier, len(input.Branches))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, b := range input.Branches {
		group.Go(func() (err error) {
			made[i], err = p.makeDatabase(groupCtx, input.Name, b)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if input.SampleRows > 0 {
		r.Step("loading sample data")
		if err := p.loadSample(ctx, r, input); err != nil {
			return nil, err
		}
	}
	r.Step("opening the front door")
	for _, b := range input.Branches {
		p.measureOne(ctx, b.ID)
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		for i, b := range input.Branches {
			if err := p.publishBranch(tx, b, holdfast.OwnerRole(input.Name), made[i]); err != nil {
				return err
			}
		}
		return tx.SetProjectState(input.ProjectID, store.Ready)
	})
	if err != nil {
		return nil, err
	}
	for _, b := range input.Branches {
		p.measureOne(ctx, b.ID)
	}
	if err := p.openHistories(ctx); err != nil {
		return nil, err
	}
	if input.SampleRows > 0 {
		// Both have the same structure: that is what the first publish is compared with.
		found, err := p.findPublishing(ctx, input.Name, func(publishing) error { return nil })
		if err == nil {
			err = p.setBaseline(ctx, found, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"project": input.Name}, p.directory.load(ctx, p.store)
}

// publishBranch makes a branch that is complete known to the front door.
func (p *Platform) publishBranch(tx *store.Tx, made newBranch, owner string, roles []store.RoleVerifier) error {
	b, err := tx.Branch(made.ID)
	if err != nil {
		return err
	}
	if err := tx.SetVerifiers(b.ID, roles); err != nil {
		return err
	}
	if err := tx.SetPassword(b.ID, owner, made.Password, p.now()); err != nil {
		return err
	}
	b.State = store.Ready
	return tx.UpdateBranch(b)
}

func (p *Platform) undoCreateProject(ctx context.Context, r *run) error {
	var input createProjectInput
	if err := r.Input(&input); err != nil {
		return err
	}
	for _, b := range input.Branches {
		if err := p.eraseHistory(ctx, input.ProjectID, b.ID); err != nil {
			return err
		}
		if err := p.fleet.Remove(ctx, fleet.Spec{ID: b.ID}); err != nil {
			return err
		}
	}
	// While the job may yet be run again, its rows stay: the name remains taken.
	if r.willRunAgain() {
		return nil
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.EraseProject(input.ProjectID) })
	if err != nil {
		return err
	}
	return p.directory.load(ctx, p.store)
}

// Projects lists the projects that who may see.
func (p *Platform) Projects(ctx context.Context, who holdfast.Principal) ([]ProjectView, error) {
	var projects []store.Project
	var branches = map[holdfast.ProjectID][]store.Branch{}
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if projects, err = tx.Projects(); err != nil {
			return err
		}
		for _, project := range projects {
			if branches[project.ID], err = tx.Branches(project.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := []ProjectView{}
	for _, project := range projects {
		if project.State == store.Ready && sees(who, project.ID) {
			out = append(out, p.viewProject(project, branches[project.ID]))
		}
	}
	return out, nil
}

// Project shows one project.
func (p *Platform) Project(ctx context.Context, who holdfast.Principal, name string) (ProjectView, error) {
	project, branches, err := p.findProject(ctx, who, name, holdfast.MayRead)
	if err != nil {
		return ProjectView{}, err
	}
	return p.viewProject(project, branches), nil
}

// findProject finds a project that is ready and checks the right to it.
func (p *Platform) findProject(ctx context.Context, who holdfast.Principal, name string, want holdfast.Right) (project store.Project, branches []store.Branch, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		if project, err = tx.ProjectByName(name); err != nil {
			return err
		}
		branches, err = tx.Branches(project.ID)
		return err
	})
	if err == nil {
		err = checkProject(who, project, want)
	}
	if err == nil && project.State != store.Ready {
		err = &holdfast.Error{Kind: holdfast.Busy, Message: "project " + name + " is still being created", Hint: "`holdfast job list` shows how far it is"}
	}
	return project, branches, err
}

func (p *Platform) viewProject(project store.Project, branches []store.Branch) ProjectView {
	view := ProjectView{Project: project.Project, Branches: []BranchView{}}
	for _, b := range branches {
		if b.State == store.Ready {
			view.Branches = append(view.Branches, p.viewBranch(b))
		}
	}
	return view
}
