package platform

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/notify"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/volume"
)

var admin = holdfast.Principal{Name: "admin", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}

// home is where a test's installation lives, so that it can be opened again.
type home struct {
	store      *store.Store
	root       string
	spool      string
	repository string
	now        func() time.Time // nil: the clock
	notify     *notify.Sender   // nil: nobody is told of alerts
	keys       *blob.Keys       // what locations are encrypted with; nil: they are not
}

func newHome(t *testing.T) home {
	t.Helper()
	return home{store: testStore(t), root: pgtest.Dir(t), spool: t.TempDir(), repository: t.TempDir()}
}

func (h home) open(t *testing.T) *Platform {
	t.Helper()
	v, err := volume.Open(t.Context(), h.root)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), Config{Store: h.store, Now: h.now, Notify: h.notify, GatewayAddress: "127.0.0.1:6432", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Spool: h.spool, LocalRepository: holdfast.Location{Name: "local", Kind: holdfast.FolderLocation, Folder: h.repository},
		OpenLocation: func(_ context.Context, l store.Location, _ [][]byte) (history.Location, error) {
			open := blob.OpenFolder // a folder that is not there is a disk that is not mounted
			if l.Folder == h.repository {
				open = blob.CreateFolder
			}
			folder, err := open(l.Folder)
			if err != nil || h.keys == nil {
				return history.Location{Name: l.Name, Location: folder}, err
			}
			return history.Location{Name: l.Name, Location: history.Encrypted(folder, *h.keys)}, nil
		},
		LoadSample: func(ctx context.Context, tx pgx.Tx, rows int, progress func(done, total int64)) error {
			progress(1, 1)
			_, err := tx.Exec(ctx, `CREATE TABLE sample AS SELECT generate_series(1, $1::int) AS n`, rows)
			return err
		},
		Fleet: fleet.Config{Installations: pgtest.Installations(t), Account: pgtest.Account(t), Root: h.root, Volume: v, Logger: slog.New(slog.DiscardHandler), Backoff: func(int) time.Duration { return 0 }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func create(t *testing.T, p *Platform, ask NewProject) holdfast.Job {
	t.Helper()
	j, err := p.CreateProject(t.Context(), admin, ask)
	if err != nil {
		t.Fatal(err)
	}
	if j, err = p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	return j
}

func ref(t *testing.T, s string) holdfast.BranchRef {
	t.Helper()
	r, err := holdfast.ParseBranchRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proves says whether a password is the one that a verifier checks.
func proves(v holdfast.Verifier, password string) bool {
	salted, err := pbkdf2.Key(sha256.New, password, v.Salt, v.Iterations, sha256.Size)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	return sha256.Sum256(mac.Sum(nil)) == v.StoredKey
}

// asOwner opens a session as the branch's owner.
func asOwner(t *testing.T, p *Platform, r holdfast.BranchRef) *pgx.Conn {
	t.Helper()
	c, err := p.Connection(t.Context(), admin, r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.findBranch(t.Context(), admin, r, holdfast.MayRead)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := p.fleet.ConnectAs(t.Context(), b.ID, c.User, c.Password, c.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn.Conn
}

func TestAProjectHasTwoDatabasesThatAreTheirOwners(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	for _, name := range []string{"shop/development", "shop/production"} {
		r := ref(t, name)
		c, err := p.Connection(t.Context(), admin, r)
		if err != nil {
			t.Fatal(err)
		}
		if want := "postgresql://shop_owner:" + c.Password + "@127.0.0.1:6432/" + r.Database() + "?sslmode=require"; c.URL != want || len(c.Password) < 24 {
			t.Errorf("the URL is %s", c.URL)
		}
		conn := asOwner(t, p, r)
		got := pgtest.Value[string](t, conn, `SELECT current_database() || ' ' || current_user || ' ' || (SELECT tableowner FROM pg_tables WHERE tablename = 'sample') || ' ' || (SELECT count(*) FROM sample)`)
		if got != r.Database()+" shop_owner shop_owner 3" {
			t.Errorf("got %s", got)
		}
		if v, ok := p.Verifier(t.Context(), r, "shop_owner"); !ok || !proves(v, c.Password) {
			t.Error("the front door would refuse the password")
		}
		if _, ok := p.Verifier(t.Context(), r, "holdfast"); ok {
			t.Error("the administrator could log in through the front door")
		}
	}
	dev, _ := p.Connection(t.Context(), admin, ref(t, "shop/development"))
	prod, _ := p.Connection(t.Context(), admin, ref(t, "shop/production"))
	if dev.Password == prod.Password {
		t.Error("both databases have the same password")
	}
	if _, err := p.CreateProject(t.Context(), admin, NewProject{Name: "shop"}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second shop gave %v", err)
	}
}

func TestRolesMadeWithSQLCanLogInAwakeAndAsleep(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/development")
	conn := asOwner(t, p, r)
	pgtest.Exec(t, conn, `CREATE ROLE "an app" LOGIN PASSWORD 'pass'; CREATE ROLE late LOGIN PASSWORD 'pass' VALID UNTIL '2001-01-01'; CREATE ROLE never LOGIN PASSWORD 'pass' VALID UNTIL '-infinity';
		CREATE ROLE nologin PASSWORD 'pass'`)
	check := func(state string) {
		t.Helper()
		if v, ok := p.Verifier(t.Context(), r, "an app"); !ok || !proves(v, "pass") {
			t.Errorf("%s: a new role cannot log in", state)
		}
		for _, role := range []string{"late", "never", "nologin", "unknown"} {
			if _, ok := p.Verifier(t.Context(), r, role); ok {
				t.Errorf("%s: %s can log in", state, role)
			}
		}
	}
	check("awake")
	conn.Close(t.Context())
	if _, err := p.Sleep(t.Context(), admin, r, true); err != nil {
		t.Fatal(err)
	}
	check("asleep")
	if view, _ := p.Branch(t.Context(), admin, r); view.Activity != holdfast.Asleep {
		t.Errorf("asking for a role woke the branch: it is %s", view.Activity)
	}
}

func TestAPasswordIsRotatedEvenIfTheControlPlaneStopsMeanwhile(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/production")
	before, _ := p.Connection(t.Context(), admin, r)
	after, err := p.RotateCredentials(t.Context(), admin, r)
	if err != nil || after.Password == before.Password {
		t.Fatalf("got %v", err)
	}
	if v, _ := p.Verifier(t.Context(), r, "shop_owner"); !proves(v, after.Password) || proves(v, before.Password) {
		t.Error("the old password still works, or the new one does not")
	}
	// The control plane stops after the job is in the store and before it has done anything.
	b, _ := p.findBranch(t.Context(), admin, r, holdfast.MayRead)
	j, _ := p.jobs.newJob(admin, rotateJob, r.String(), rotateInput{BranchID: b.ID, Role: "shop_owner", Password: "a-third-password"})
	if err := h.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertJob(j) }); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	if _, err := p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	c, _ := p.Connection(t.Context(), admin, r)
	if v, _ := p.Verifier(t.Context(), r, "shop_owner"); c.Password != "a-third-password" || !proves(v, c.Password) {
		t.Error("the server and the metadata disagree on the password")
	}
}

func TestAProjectThatCannotBeMadeLeavesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	h := newHome(t)
	if err := syscall.Mount("tmpfs", h.root, "tmpfs", 0, "size=20m,mode=711"); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(h.root, 0); err != nil {
			t.Error(err)
		}
	})
	if err := pgtest.Account(t).MkdirAll(h.root); err != nil {
		t.Fatal(err)
	}
	p := h.open(t)
	j, err := p.CreateProject(t.Context(), admin, NewProject{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.jobs.wait(t.Context(), j.ID)
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "is full") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(h.root); err != nil || len(entries) != 2 { // the volume's own two
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := p.Project(t.Context(), admin, "shop"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the name is still taken: %v", err)
	}
	_ = p.Shutdown(t.Context())
}

func TestAProjectWhoseMakingWasInterruptedIsMadeAtTheNextStart(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	j, err := p.CreateProject(t.Context(), admin, NewProject{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	states, err := p.WatchJob(t.Context(), admin, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	for s := range states {
		if s.State == holdfast.JobRunning {
			break
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	if _, err := p.jobs.wait(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if one := pgtest.Value[int](t, asOwner(t, p, ref(t, "shop/production")), `SELECT 1`); one != 1 {
		t.Error("the project does not work")
	}
}

func TestSettingsThatPostgreSQLRefusesChangeNothing(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/production")
	value := func(s string) *string { return &s }
	for parameter, kind := range map[string]holdfast.Kind{"work_mem=lots": holdfast.Invalid, "fsync=off": holdfast.Unsafe, "port=1": holdfast.Invalid} {
		name, v, _ := strings.Cut(parameter, "=")
		if _, err := p.ChangeSettings(t.Context(), admin, r, SettingsChange{Parameters: map[string]*string{name: value(v)}}); holdfast.KindOf(err) != kind {
			t.Errorf("%s: got %v", parameter, err)
		}
	}
	idle := 10 * time.Minute
	view, err := p.ChangeSettings(t.Context(), admin, r, SettingsChange{IdleTimeout: &idle, Parameters: map[string]*string{"work_mem": value("9MB")}})
	if err != nil || view.Parameters["work_mem"] != "9MB" || view.Settings.IdleTimeout != idle {
		t.Fatalf("got %+v, %v", view, err)
	}
	if got := pgtest.Value[string](t, asOwner(t, p, r), `SHOW work_mem`); got != "9MB" {
		t.Errorf("the server has %s", got)
	}
	view, err = p.ChangeSettings(t.Context(), admin, r, SettingsChange{Parameters: map[string]*string{"work_mem": nil}})
	if _, set := view.Settings.Parameters["work_mem"]; err != nil || set {
		t.Errorf("got %+v, %v", view.Settings, err)
	}
}

func TestExtensionsComeFromAnAllowList(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/development")
	if err := p.AddExtension(t.Context(), admin, r, "pageinspect"); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]holdfast.Kind{"file_fdw": holdfast.NotAllowed, "dblink": holdfast.NotAllowed, "no_such": holdfast.Precondition} {
		if err := p.AddExtension(t.Context(), admin, r, name); holdfast.KindOf(err) != kind {
			t.Errorf("%s: got %v", name, err)
		}
	}
	all, err := p.Extensions(t.Context(), admin, r)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Extension{}
	for _, e := range all {
		found[e.Name] = e
	}
	if !found["citext"].Allowed || found["pageinspect"].Installed == "" || found["dblink"].Allowed {
		t.Errorf("got %+v", found)
	}
}

// What each sort of caller may do, in one table.
func TestWhoMayDoWhat(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	project, _, _ := p.findProject(t.Context(), admin, "shop", holdfast.MayRead)
	callers := map[string]holdfast.Principal{
		"admin":    admin,
		"reader":   {Name: "reader", Kind: holdfast.UserToken, Right: holdfast.MayRead, ProjectID: project.ID},
		"writer":   {Name: "writer", Kind: holdfast.UserToken, Right: holdfast.MayWrite, ProjectID: project.ID},
		"chief":    {Name: "chief", Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ProjectID: project.ID},
		"agent":    {Name: "agent", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: project.ID},
		"stranger": {Name: "stranger", Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ProjectID: "prj_other"},
		"nobody":   {},
	}
	dev, prod := ref(t, "shop/development"), ref(t, "shop/production")
	deeds := []struct {
		name string
		do   func(holdfast.Principal) error
		may  string
	}{
		{"see the project", func(w holdfast.Principal) error { _, err := p.Project(t.Context(), w, "shop"); return err }, "admin reader writer chief agent"},
		{"see production", func(w holdfast.Principal) error { _, err := p.Branch(t.Context(), w, prod); return err }, "admin reader writer chief agent"},
		{"development's password", func(w holdfast.Principal) error { _, err := p.Connection(t.Context(), w, dev); return err }, "admin writer chief agent"},
		{"production's password", func(w holdfast.Principal) error { _, err := p.Connection(t.Context(), w, prod); return err }, "admin chief"},
		{"wake development", func(w holdfast.Principal) error { _, err := p.Wake(t.Context(), w, dev); return err }, "admin writer chief agent"},
		{"change production", func(w holdfast.Principal) error {
			_, err := p.ChangeSettings(t.Context(), w, prod, SettingsChange{})
			return err
		}, "admin chief"},
		{"list tokens", func(w holdfast.Principal) error { _, err := p.Tokens(t.Context(), w); return err }, "admin"},
		{"read the audit trail", func(w holdfast.Principal) error { _, err := p.Audit(t.Context(), w, 0, 10); return err }, "admin"},
		{"make a token", func(w holdfast.Principal) error {
			_, _, err := p.CreateToken(t.Context(), w, NewToken{Name: "x", Kind: holdfast.UserToken, Right: holdfast.MayRead})
			return err
		}, "admin"},
	}
	for _, d := range deeds {
		for name, who := range callers {
			err := d.do(who)
			may := strings.Contains(" "+d.may+" ", " "+name+" ")
			kind := holdfast.KindOf(err)
			switch {
			case may && err != nil:
				t.Errorf("%s may not %s: %v", name, d.name, err)
			case !may && (err == nil || kind != holdfast.NotAllowed && kind != holdfast.NotFound):
				t.Errorf("%s may %s: %v", name, d.name, err)
			case !may && (name == "stranger" || name == "nobody") && strings.Contains(d.name, "production") && kind != holdfast.NotFound:
				t.Errorf("%s learns that the project exists: %v", name, err)
			}
		}
	}
}

func TestTokensAreKnownByTheirHashAndEnd(t *testing.T) {
	p := newHome(t).open(t)
	first, setup, err := p.FirstStart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := p.FirstStart(t.Context()); err != nil || again != "" {
		t.Errorf("a second first start made %q, %v", again, err)
	}
	who, err := p.Authenticate(t.Context(), first)
	if err != nil || who.Right != holdfast.MayAdmin {
		t.Fatalf("got %+v, %v", who, err)
	}
	if _, err := p.Authenticate(t.Context(), setup); holdfast.KindOf(err) != holdfast.Unauthenticated {
		t.Errorf("the set-up token opens the API: %v", err)
	}
	mine, _, err := p.RedeemSetup(t.Context(), "192.0.2.7", setup, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.RedeemSetup(t.Context(), "192.0.2.7", setup, "bob"); holdfast.KindOf(err) != holdfast.Unauthenticated {
		t.Errorf("the set-up token worked twice: %v", err)
	}
	short, _, err := p.CreateToken(t.Context(), who, NewToken{Name: "short", Kind: holdfast.UserToken, Right: holdfast.MayRead, ExpiresIn: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := p.Authenticate(t.Context(), short); holdfast.KindOf(err) != holdfast.Unauthenticated {
		t.Errorf("an expired token works: %v", err)
	}
	tokens, _ := p.Tokens(t.Context(), who)
	for _, token := range tokens {
		if token.Name == "ann" {
			if err := p.RevokeToken(t.Context(), who, token.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := p.Authenticate(t.Context(), mine); holdfast.KindOf(err) != holdfast.Unauthenticated {
		t.Errorf("a revoked token works: %v", err)
	}
	entries, err := p.Audit(t.Context(), who, 0, 100)
	raw, _ := json.Marshal(entries)
	if err != nil || strings.Contains(string(raw), first) || strings.Contains(string(raw), mine) || len(entries) < 4 {
		t.Errorf("the audit trail: %v, %s", err, raw)
	}
	if last, err := p.VerifyAudit(t.Context(), who); err != nil || last.Seq != int64(len(entries)) {
		t.Errorf("got %d, %v", last.Seq, err)
	}
}
