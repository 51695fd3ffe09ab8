package platform

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"sync"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// Connection is all that a client needs to connect to a branch.
type Connection struct {
	URL      string
	Host     string
	Port     int
	User     string
	Password string
	Database string
	SSLMode  string
}

func (p *Platform) connection(b store.Branch, user, password string) Connection {
	c := Connection{Host: p.gateway.host, Port: p.gateway.port, User: user, Password: password, Database: b.Ref().Database(), SSLMode: "require"}
	u := url.URL{Scheme: "postgresql", User: url.UserPassword(user, password), Host: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		Path: "/" + c.Database, RawQuery: "sslmode=" + c.SSLMode}
	c.URL = u.String()
	return c
}

// Connection shows how to connect to a branch as its owner, with the password.
func (p *Platform) Connection(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (Connection, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return Connection{}, err
	}
	if err := checkRows(who, b); err != nil {
		return Connection{}, err
	}
	return p.revealConnection(ctx, who, b)
}

func (p *Platform) revealConnection(ctx context.Context, who holdfast.Principal, b store.Branch) (Connection, error) {
	owner := holdfast.OwnerRole(b.Project)
	var password string
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		if password, err = tx.Password(b.ID, owner); err != nil {
			return err
		}
		return p.record(tx, who, "credentials.view", b.Ref().String(), map[string]any{"role": owner})
	})
	return p.connection(b, owner, password), explainPassword(err, b)
}

// ownerPassword is the password of the role that a branch's databases belong to.
func (p *Platform) ownerPassword(ctx context.Context, b store.Branch) (password string, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		password, err = tx.Password(b.ID, holdfast.OwnerRole(b.Project))
		return err
	})
	return password, explainPassword(err, b)
}

// explainPassword says what to do about a password that came back with the data, where only its verifier is kept.
func explainPassword(err error, b store.Branch) error {
	if holdfast.KindOf(err) != holdfast.NotFound {
		return err
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "the password of " + holdfast.OwnerRole(b.Project) + " on " + b.Ref().String() + " is not known here; it still holds for those who have it",
		Hint: "`holdfast credentials rotate " + b.Ref().String() + "` makes a new one", Cause: err}
}

const rotateJob = "rotate_credentials"

type rotateInput struct {
	BranchID holdfast.BranchID
	Role     string
	Password string
}

// RotateCredentials gives the owner role a new password and ends its sessions' right to come back with the old one. Sessions
// that are open stay open.
func (p *Platform) RotateCredentials(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (Connection, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return Connection{}, err
	}
	if err := checkRows(who, b); err != nil {
		return Connection{}, err
	}
	input := rotateInput{BranchID: b.ID, Role: holdfast.OwnerRole(b.Project), Password: newPassword()}
	job, err := p.jobs.newJob(who, rotateJob, ref.String(), input)
	if err != nil {
		return Connection{}, err
	}
	job.ProjectID, job.BranchID = b.ProjectID, b.ID
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertJob(job); err != nil {
			return err
		}
		return p.record(tx, who, "credentials.rotate", ref.String(), map[string]any{"role": input.Role})
	})
	if err != nil {
		return Connection{}, err
	}
	if _, err := p.jobs.start(job); err != nil {
		return Connection{}, err
	}
	if _, err := p.jobs.wait(ctx, job.ID); err != nil {
		return Connection{}, err
	}
	return p.connection(b, input.Role, input.Password), nil
}

// runRotate sets the password in the server, then in the metadata. Both are repeatable, so a crash between them is mended by
// running it again; there is nothing to take back.
func (p *Platform) runRotate(ctx context.Context, r *run) (any, error) {
	var input rotateInput
	if err := r.Input(&input); err != nil {
		return nil, err
	}
	r.Steps(1)
	r.Step("setting the new password")
	logins, err := p.fleet.SetPassword(ctx, input.BranchID, input.Role, input.Password)
	if err != nil {
		return nil, err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetPassword(input.BranchID, input.Role, input.Password, p.now()) })
	if err != nil {
		return nil, err
	}
	return nil, p.rememberRoles(ctx, input.BranchID, logins)
}

func roleVerifiers(logins []fleet.Login) []store.RoleVerifier {
	out := make([]store.RoleVerifier, len(logins))
	for i, l := range logins {
		out[i] = roleVerifier(l)
	}
	return out
}

func roleVerifier(l fleet.Login) store.RoleVerifier {
	return store.RoleVerifier{Role: l.Role, Verifier: l.Verifier, ValidUntil: l.ValidUntil}
}

// rememberRoles keeps an awake branch's login roles for the time when it sleeps.
func (p *Platform) rememberRoles(ctx context.Context, id holdfast.BranchID, logins []fleet.Login) error {
	roles := roleVerifiers(logins)
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetVerifiers(id, roles) }); err != nil {
		return err
	}
	p.directory.setRoles(id, roles)
	return nil
}

// Verifier finds what the front door checks a role's password against; false when the branch or the role does not exist or may
// not log in. It never wakes a branch: one that sleeps is answered from memory.
func (p *Platform) Verifier(ctx context.Context, ref holdfast.BranchRef, role string) (holdfast.Verifier, bool) {
	id, remembered := p.directory.role(ref, role)
	if id == "" {
		return holdfast.Verifier{}, false
	}
	// A role may have been made or changed with SQL since: what the server itself says counts.
	live, err := p.fleet.Login(ctx, id, role)
	switch {
	case err == nil && live == nil:
		return holdfast.Verifier{}, false
	case err == nil:
		remembered = roleVerifier(*live)
	case !errors.Is(err, fleet.ErrAsleep):
		p.log.Warn("ask a server for a role", "branch", ref, "err", err)
	}
	if remembered.Role == "" || !remembered.ValidUntil.IsZero() && p.now().After(remembered.ValidUntil) {
		return holdfast.Verifier{}, false
	}
	return remembered.Verifier, true
}

// Acquire makes a branch reachable for a client that proved its password, waking it if it sleeps.
func (p *Platform) Acquire(ctx context.Context, ref holdfast.BranchRef) (*fleet.Session, error) {
	id, _ := p.directory.role(ref, "")
	if id == "" {
		return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: "branch " + ref.String() + " does not exist"}
	}
	return p.fleet.Acquire(ctx, id)
}

// directory is the front door's view of the metadata: which branch has which address and which roles may log in. It lies in
// memory so that a lookup takes the same time whether or not a name exists.
type directory struct {
	mu       sync.RWMutex
	branches map[holdfast.BranchRef]holdfast.BranchID
	lent     map[holdfast.BranchRef]holdfast.BranchID // servers that a job lets somebody reach for a while; no branch
	roles    map[holdfast.BranchID]map[string]store.RoleVerifier
}

// load reads the directory from the store. It is called after every change of names.
func (d *directory) load(ctx context.Context, s *store.Store) error {
	branches := map[holdfast.BranchRef]holdfast.BranchID{}
	roles := map[holdfast.BranchID]map[string]store.RoleVerifier{}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := s.View(ctx, func(tx *store.Tx) error {
		projects, err := tx.Projects()
		if err != nil {
			return err
		}
		for _, project := range projects {
			all, err := tx.Branches(project.ID)
			if err != nil {
				return err
			}
			for _, b := range all {
				if b.State != store.Ready {
					continue
				}
				branches[b.Ref()] = b.ID
				known, err := tx.Verifiers(b.ID)
				if err != nil {
					return err
				}
				roles[b.ID] = byName(known)
			}
		}
		return nil
	})
	if err == nil {
		d.branches, d.roles = branches, roles
	}
	return err
}

func (d *directory) setRoles(id holdfast.BranchID, roles []store.RoleVerifier) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.roles[id] != nil {
		d.roles[id] = byName(roles)
	}
}

func (d *directory) role(ref holdfast.BranchRef, role string) (holdfast.BranchID, store.RoleVerifier) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id := d.branches[ref]
	if id == "" {
		id = d.lent[ref]
	}
	return id, d.roles[id][role]
}

// lend gives a server that is awake an address until giveBack is called. A branch of that name comes first.
func (d *directory) lend(ref holdfast.BranchRef, id holdfast.BranchID) (giveBack func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lent == nil {
		d.lent = map[holdfast.BranchRef]holdfast.BranchID{}
	}
	d.lent[ref] = id
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.lent, ref)
	}
}

func byName(roles []store.RoleVerifier) map[string]store.RoleVerifier {
	out := make(map[string]store.RoleVerifier, len(roles))
	for _, r := range roles {
		out[r.Role] = r
	}
	return out
}
