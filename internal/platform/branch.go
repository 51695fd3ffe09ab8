package platform

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// BranchView is a branch as its users see it.
type BranchView struct {
	holdfast.Branch
	Activity     holdfast.Activity
	Reason       string // why it is broken
	Sessions     int
	SizeBytes    int64 // of the data directory, as last measured; 0: not yet
	NeedsRestart bool  // a changed setting or a replaced server program waits for the next start
	Version      string
	Parameters   map[string]string // the whole configuration: profile and own
}

func (p *Platform) viewBranch(b store.Branch) BranchView {
	view := BranchView{Branch: b.Branch, Activity: holdfast.Broken, Parameters: b.Effective(), SizeBytes: p.sizes.of(b.ID)}
	s, err := p.fleet.Status(b.ID)
	if err == nil {
		view.Activity, view.Sessions, view.Version = s.Activity, s.Sessions, s.Version
		view.NeedsRestart = s.RestartNeeded || s.Replaced
		err = s.Reason
	}
	if err != nil {
		view.Reason = describe(err)
	}
	return view
}

// maxHeldWAL bounds the WAL, in bytes, that a server keeps for a history that does not take it. Beyond it the history has a gap and
// gets a new base backup; the disk is never filled.
const maxHeldWAL = 4 << 30

// spec says to the fleet how the branch's server shall be.
func spec(b store.Branch) fleet.Spec {
	parameters := b.Effective()
	if b.KeepsHistory() {
		maps.Copy(parameters, history.Recommended(maxHeldWAL))
	}
	return fleet.Spec{ID: b.ID, Major: b.Major, Parameters: parameters, IdleTimeout: b.Settings.IdleTimeout, ConnectionLimit: b.Settings.ConnectionLimit,
		Statistics: b.Environment != holdfast.Development}
}

// openFleet adopts or prepares the server of every branch that is not deleted.
func (p *Platform) openFleet(ctx context.Context, c fleet.Config) error {
	var branches []store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { branches, err = tx.AllBranches(); return err })
	if err != nil {
		return err
	}
	var specs []fleet.Spec
	for _, b := range branches {
		if b.State == store.Ready && b.DeletedAt.IsZero() || b.Removed() {
			specs = append(specs, spec(b))
		}
	}
	c.Hooks.BeforeSleep = p.beforeSleep
	c.Hooks.Rest = p.rest
	c.Hooks.MayWake = p.budgets.mayWake
	p.fleet, err = fleet.Open(ctx, c, specs)
	return err
}

// rest lets the clients of a branch whose server is about to stop wait at the front door.
func (p *Platform) rest(ctx context.Context, id holdfast.BranchID) error {
	var b store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(id); return err }); err != nil {
		return err
	}
	return p.doors.rest(ctx, b.Ref())
}

// beforeSleep remembers the login roles, so that the front door can check clients while the branch sleeps.
func (p *Platform) beforeSleep(ctx context.Context, id holdfast.BranchID) error {
	logins, err := p.fleet.Logins(ctx, id)
	if err != nil {
		return err
	}
	return p.rememberRoles(ctx, id, logins)
}

// makeDatabase makes a branch's server with its owner role and its database, and returns the login roles.
func (p *Platform) makeDatabase(ctx context.Context, project string, made newBranch) ([]store.RoleVerifier, error) {
	var b store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Branch(made.ID); return err })
	if err != nil {
		return nil, err
	}
	logins, err := p.fleet.CreateDatabase(ctx, spec(b), b.Ref().Database(), holdfast.OwnerRole(project), made.Password)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", b.Ref(), err)
	}
	return roleVerifiers(logins), nil
}

// loadSample fills every database of a new project, each in one transaction, as its owner.
func (p *Platform) loadSample(ctx context.Context, r *run, input createProjectInput) error {
	for i, b := range input.Branches {
		database := holdfast.BranchRef{Project: input.Name, Branch: b.Name}.Database()
		err := p.asOwner(ctx, b.ID, database, holdfast.OwnerRole(input.Name), func(tx pgx.Tx) error {
			return p.sample(ctx, tx, input.SampleRows, func(done, total int64) {
				n := int64(len(input.Branches))
				r.Progress(int64(i)*total+done, n*total, "rows")
			})
		})
		if err != nil {
			return fmt.Errorf("load sample data into %s: %w", database, err)
		}
	}
	return nil
}

// asOwner runs fn in a transaction in which the administrator has become the owner role, so that what it makes is the owner's.
func (p *Platform) asOwner(ctx context.Context, id holdfast.BranchID, database, owner string, fn func(pgx.Tx) error) error {
	conn, err := p.fleet.Admin(ctx, id, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn.Conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL ROLE "+holdfast.QuoteIdentifier(owner)); err != nil {
			return err
		}
		// The administrator's own search path finds nothing of a user's; the owner's does.
		if _, err := tx.Exec(ctx, `SET LOCAL search_path = "$user", public`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// findBranch finds a branch that is ready and checks the right to it.
func (p *Platform) findBranch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, want holdfast.Right) (store.Branch, error) {
	var b store.Branch
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { b, err = tx.BranchByRef(ref); return err })
	if err != nil {
		return b, err
	}
	if err := checkBranch(who, b, want); err != nil {
		return b, err
	}
	if b.State != store.Ready {
		return b, &holdfast.Error{Kind: holdfast.Busy, Message: ref.String() + " is still being created", Hint: "`holdfast job list` shows how far it is"}
	}
	return b, nil
}

// Branches lists a project's branches.
func (p *Platform) Branches(ctx context.Context, who holdfast.Principal, project string) ([]BranchView, error) {
	view, err := p.Project(ctx, who, project)
	return view.Branches, err
}

// Branch shows one branch.
func (p *Platform) Branch(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (BranchView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return BranchView{}, err
	}
	return p.viewBranch(b), nil
}

// Wake starts a branch's server and returns when it accepts connections.
func (p *Platform) Wake(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (BranchView, error) {
	return p.act(ctx, who, ref, "branch.wake", func(b store.Branch) error { return p.fleet.Wake(ctx, b.ID) })
}

// Sleep stops a branch's server cleanly. It is Busy while a query runs or a transaction is open, unless forced.
func (p *Platform) Sleep(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, force bool) (BranchView, error) {
	return p.act(ctx, who, ref, "branch.sleep", func(b store.Branch) error {
		if err := p.pauseBase(ctx, b.ID); err != nil {
			return err
		}
		return p.fleet.Sleep(ctx, b.ID, force)
	})
}

// Restart stops a branch's server and starts it again, with the settings and the program of now. Its clients are disconnected.
func (p *Platform) Restart(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (BranchView, error) {
	return p.act(ctx, who, ref, "branch.restart", func(b store.Branch) error { return p.fleet.Restart(ctx, b.ID) })
}

func (p *Platform) act(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, action string, do func(store.Branch) error) (BranchView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return BranchView{}, err
	}
	if err := do(b); err != nil {
		return BranchView{}, err
	}
	if err := p.recordAlone(ctx, who, action, ref.String(), nil); err != nil {
		return BranchView{}, err
	}
	return p.viewBranch(b), nil
}

// SettingsChange says what to change of a branch's settings; what is nil stays.
type SettingsChange struct {
	IdleTimeout     *time.Duration
	ConnectionLimit *int
	Window          *time.Duration     // how far back the branch can be restored
	Parameters      map[string]*string // nil value: back to the profile's
}

// ChangeSettings changes a branch's settings. What a running server cannot take over waits for its next start.
func (p *Platform) ChangeSettings(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, change SettingsChange) (BranchView, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return BranchView{}, err
	}
	if err := p.checkChange(ctx, b, change); err != nil {
		return BranchView{}, err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) (err error) {
		// Read again: another change may have come between.
		if b, err = tx.Branch(b.ID); err != nil {
			return err
		}
		b.Settings = change.apply(b.Settings)
		if err := b.Settings.Validate(b.Environment); err != nil {
			return err
		}
		if err := tx.UpdateBranch(b); err != nil {
			return err
		}
		return p.record(tx, who, "branch.settings", ref.String(), map[string]any{"settings": b.Settings})
	})
	if err != nil {
		return BranchView{}, err
	}
	p.describeAgain(ctx, b.ID)
	if _, err := p.fleet.Put(ctx, spec(b)); err != nil {
		return BranchView{}, err
	}
	return p.viewBranch(b), nil
}

// checkChange refuses a change before anything is written: by our rules, then by PostgreSQL's own.
func (p *Platform) checkChange(ctx context.Context, b store.Branch, change SettingsChange) error {
	b.Settings = change.apply(b.Settings)
	if err := b.Settings.Validate(b.Environment); err != nil {
		return err
	}
	return p.fleet.Check(ctx, spec(b))
}

func (c SettingsChange) apply(s holdfast.Settings) holdfast.Settings {
	if c.IdleTimeout != nil {
		s.IdleTimeout = *c.IdleTimeout
	}
	if c.ConnectionLimit != nil {
		s.ConnectionLimit = *c.ConnectionLimit
	}
	if c.Window != nil {
		s.Window = *c.Window
	}
	parameters := maps.Clone(s.Parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	for name, value := range c.Parameters {
		if value == nil {
			delete(parameters, name)
		} else {
			parameters[name] = *value
		}
	}
	s.Parameters = parameters
	return s
}
