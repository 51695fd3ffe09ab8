package platform

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// shopFor makes a project and returns its platform, with sessions of its two owners.
func shopFor(t *testing.T, sql string) (p *Platform, development, production *pgx.Conn) {
	t.Helper()
	p = newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	development, production = asOwner(t, p, ref(t, "shop/development")), asOwner(t, p, ref(t, "shop/production"))
	for _, conn := range []*pgx.Conn{development, production} {
		if sql != "" {
			pgtest.Exec(t, conn, sql)
		}
	}
	return p, development, production
}

func plan(t *testing.T, p *Platform, ask NewPublish) PublishView {
	t.Helper()
	v, err := p.PlanPublish(t.Context(), admin, "shop", ask)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAPlanAsksKeepsTheAnswerAndIsPlannedAgain(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY, fullname text)`)
	pgtest.Exec(t, production, `INSERT INTO users VALUES (1, 'Ann')`)
	if v := plan(t, p, NewPublish{}); v.Number != 1 || v.State != holdfast.PublishPlanned || v.Statements != 0 {
		t.Fatalf("of two equal databases: %+v", v.Publish)
	}
	pgtest.Exec(t, development, `DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, display_name text)`)
	pgtest.Exec(t, production, `CREATE TABLE audit (at timestamptz)`)
	v := plan(t, p, NewPublish{})
	if v.Number != 1 || v.State != holdfast.PublishNeeds || len(v.Plan.Questions) != 1 || v.Plan.Questions[0].Answers[0] != "rename:public.users.fullname=display_name" {
		t.Fatalf("got %+v, %+v", v.Publish, v.Plan.Questions)
	}
	if len(v.Plan.Drift) != 1 || v.Plan.Drift[0].Object.Name != "audit" {
		t.Errorf("the drift is %+v", v.Plan.Drift)
	}
	if v = plan(t, p, NewPublish{Answers: []string{"rename:users.fullname=display_name"}}); v.State != holdfast.PublishPlanned || v.Statements == 0 {
		t.Fatalf("answered: %+v, %+v", v.Publish, v.Plan)
	}
	// The answer is kept, and nothing of it was done.
	if v = plan(t, p, NewPublish{}); v.State != holdfast.PublishPlanned || v.AnswerList()[0] != "rename:users.fullname=display_name" {
		t.Errorf("planned again: %+v, %v", v.Publish, v.Answers)
	}
	if got := pgtest.Value[string](t, production, `SELECT fullname FROM users`); got != "Ann" {
		t.Errorf("production has %s", got)
	}
	if _, err := p.PlanPublish(t.Context(), admin, "shop", NewPublish{Answers: []string{"nonsense"}}); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("got %v", err)
	}
	if v, err := p.CancelPublish(t.Context(), admin, "shop", 1); err != nil || v.State != holdfast.PublishFailed {
		t.Errorf("canceled: %+v, %v", v.Publish, err)
	}
	if v = plan(t, p, NewPublish{}); v.Number != 2 || v.State != holdfast.PublishNeeds {
		t.Errorf("after it was canceled: %+v", v.Publish)
	}
}

func TestSchemasAreDumpedAndCompared(t *testing.T) {
	p, development, _ := shopFor(t, `CREATE TABLE kept (id int)`)
	pgtest.Exec(t, development, `CREATE TABLE made (id int)`)
	text, err := p.DumpSchema(t.Context(), admin, ref(t, "shop/development"))
	if err != nil || !strings.Contains(text, "CREATE TABLE public.made") {
		t.Errorf("got %v, %s", err, text)
	}
	there, err := p.DiffSchemas(t.Context(), admin, ref(t, "shop/production"), ref(t, "shop/development"))
	if err != nil || !strings.Contains(there.SQL(), "CREATE TABLE") {
		t.Errorf("got %v, %+v", err, there)
	}
	back, err := p.DiffSchemas(t.Context(), admin, ref(t, "shop/development"), ref(t, "shop/production"))
	if err != nil || !strings.Contains(back.SQL(), "DROP TABLE") {
		t.Errorf("got %v, %+v", err, back)
	}
}

// What each sort of caller may do about publishes, in one table.
func TestWhoMayPublish(t *testing.T) {
	p, _, _ := shopFor(t, "")
	project, _, _ := p.findProject(t.Context(), admin, "shop", holdfast.MayRead)
	callers := map[string]holdfast.Principal{
		"admin":    admin,
		"reader":   {Name: "reader", Kind: holdfast.UserToken, Right: holdfast.MayRead, ProjectID: project.ID},
		"writer":   {Name: "writer", Kind: holdfast.UserToken, Right: holdfast.MayWrite, ProjectID: project.ID},
		"chief":    {Name: "chief", Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ProjectID: project.ID},
		"agent":    {Name: "agent", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: project.ID},
		"stranger": {Name: "stranger", Kind: holdfast.UserToken, Right: holdfast.MayAdmin, ProjectID: "prj_other"},
	}
	if _, err := p.PlanPublish(t.Context(), admin, "shop", NewPublish{}); err != nil {
		t.Fatal(err)
	}
	hooks := func(h holdfast.Hooks) func(holdfast.Principal) error {
		return func(w holdfast.Principal) error {
			if err := p.SetPublishHooks(t.Context(), admin, "shop", holdfast.Hooks{}); err != nil {
				t.Fatal(err)
			}
			return p.SetPublishHooks(t.Context(), w, "shop", h)
		}
	}
	deeds := []struct {
		name string
		do   func(holdfast.Principal) error
		may  string
	}{
		{"see publishes", func(w holdfast.Principal) error { _, err := p.Publishes(t.Context(), w, "shop"); return err }, "admin reader writer chief agent"},
		{"see a publish", func(w holdfast.Principal) error { _, err := p.Publish(t.Context(), w, "shop", 1); return err }, "admin reader writer chief agent"},
		{"plan", func(w holdfast.Principal) error {
			_, err := p.PlanPublish(t.Context(), w, "shop", NewPublish{})
			return err
		}, "admin writer chief agent"},
		{"dump production's schema", func(w holdfast.Principal) error {
			_, err := p.DumpSchema(t.Context(), w, ref(t, "shop/production"))
			return err
		}, "admin reader writer chief agent"},
		{"cancel somebody's publish", func(w holdfast.Principal) error {
			defer p.PlanPublish(t.Context(), admin, "shop", NewPublish{})
			_, err := p.CancelPublish(t.Context(), w, "shop", 0)
			return err
		}, "admin chief"},
		{"set a command", hooks(holdfast.Hooks{Command: "true"}), "admin"},
		{"set a private address", hooks(holdfast.Hooks{URL: "http://10.0.0.1/", AllowPrivate: true}), "admin"},
		{"set a public address", hooks(holdfast.Hooks{URL: "https://ci.example.com/", URLTimeout: time.Minute}), "admin chief"},
	}
	for _, d := range deeds {
		for name, who := range callers {
			err := d.do(who)
			may := strings.Contains(" "+d.may+" ", " "+name+" ")
			kind := holdfast.KindOf(err)
			if may && err != nil || !may && kind != holdfast.NotAllowed && kind != holdfast.NotFound {
				t.Errorf("%s, %s: %v", name, d.name, err)
			}
			if name == "stranger" && kind != holdfast.NotFound {
				t.Errorf("a stranger learns that the project exists: %v", err)
			}
		}
	}
}

func TestWhatOnlyProductionHasIsTakenIntoDevelopment(t *testing.T) {
	p, development, production := shopFor(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	plan(t, p, NewPublish{})
	pgtest.Exec(t, production, `CREATE TABLE audit (at timestamptz, what text); CREATE TABLE other (id int); ALTER TABLE users ADD hot boolean`)
	pgtest.Exec(t, development, `ALTER TABLE users ADD mine int; INSERT INTO users VALUES (7)`)
	if _, err := p.AdoptSchema(t.Context(), admin, "shop", []string{"nothing"}); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("got %v", err)
	}
	for _, objects := range [][]string{{"audit"}, nil} {
		j, err := p.AdoptSchema(t.Context(), admin, "shop", objects)
		if err == nil {
			_, err = p.jobs.wait(t.Context(), j.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		others := pgtest.Value[int](t, development, `SELECT count(*) FROM pg_tables WHERE tablename = 'other'`)
		if (others == 1) != (objects == nil) {
			t.Errorf("after adopting %v there are %d of the others", objects, others)
		}
	}
	if got := pgtest.Value[string](t, development, `SELECT concat(id, mine, hot, (SELECT count(*) FROM audit)) FROM users`); got != "70" {
		t.Errorf("development has %s", got)
	}
	if v := plan(t, p, NewPublish{}); len(v.Plan.Drift) != 0 || v.Statements != 1 {
		t.Errorf("afterwards: %+v", v.Plan)
	}
}
