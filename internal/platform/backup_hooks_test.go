package platform

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
)

func TestTheProjectsOwnChecksAreInTheProof(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables)
	b := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: holdfast.CustomFormat})
	var address holdfast.BranchRef
	ci := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Backup string
			URL    string `json:"database_url"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Backup != b.Name {
			t.Errorf("asked %+v, %v", asked, err)
		}
		u, err := url.Parse(asked.URL)
		if err != nil {
			t.Error(err)
			return
		}
		project, branch, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "_")
		address = holdfast.BranchRef{Project: project, Branch: branch}
		if _, known := p.Verifier(r.Context(), address, u.User.Username()); !known {
			t.Errorf("%s cannot log in to %s", u.User.Username(), address)
		}
		session, err := p.Acquire(r.Context(), address)
		if err != nil {
			t.Errorf("the restored copy is out of reach: %v", err)
			return
		}
		session.Release()
	}))
	t.Cleanup(ci.Close)
	prove := func(hooks holdfast.ProofHooks) (BackupReport, error) {
		t.Helper()
		if err := p.SetProofHooks(t.Context(), admin, "shop", hooks); err != nil {
			t.Fatal(err)
		}
		job, err := p.VerifyBackup(t.Context(), admin, b.Name)
		if err != nil {
			t.Fatal(err)
		}
		return jobResult[BackupReport](t, p, job)
	}
	finding := func(r BackupReport, name string) backup.Finding {
		t.Helper()
		i := slices.IndexFunc(r.Findings, func(f backup.Finding) bool { return f.Check == "hook: "+name })
		if i < 0 {
			t.Fatalf("no check %s in %+v", name, r.Findings)
		}
		return r.Findings[i]
	}
	hooks := holdfast.ProofHooks{Hooks: holdfast.Hooks{Command: `case "$DATABASE_URL" in postgresql://shop_owner:*shop_proof_*) echo "$HOLDFAST_BACKUP $DATABASE_URL";; *) exit 3;; esac`, URL: ci.URL, AllowPrivate: true},
		Assertions: []holdfast.Assertion{{Name: "orders are there", SQL: "DELETE FROM orders WHERE false RETURNING true", NoRows: true}, {Name: "a hundred orders", SQL: "SELECT count(*) = 100 FROM orders"}}}
	report, err := prove(hooks)
	if err != nil || !report.Passed {
		t.Fatalf("got %+v, %v", report, err)
	}
	for _, name := range []string{"assertion orders are there", "assertion a hundred orders", "command", "url"} {
		if f := finding(report, name); f.State != backup.Passed {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(report, "command"); len(f.Items) != 1 || !strings.HasPrefix(f.Items[0], b.Name) || !strings.Contains(f.Items[0], ":********@") {
		t.Errorf("the command's output is %q", f.Items)
	}
	if _, known := p.Verifier(t.Context(), address, "shop_owner"); known || address.Branch == "" {
		t.Errorf("the address %s is still known", address)
	}
	if kept, err := p.BackupReport(t.Context(), admin, b.Name); err != nil || finding(kept, "url").State != backup.Passed {
		t.Errorf("the signed report is %+v, %v", kept, err)
	}
	hooks.Hooks = holdfast.Hooks{}
	hooks.Assertions = append(hooks.Assertions, holdfast.Assertion{Name: "no order is large", SQL: "SELECT id FROM orders WHERE total > 90", NoRows: true})
	if _, err = prove(hooks); err == nil || !strings.Contains(err.Error(), "check of hook: assertion no order is large: it gave 10 rows") {
		t.Errorf("a failed assertion gave %v", err)
	}
	partial, _, err := p.CreateBackup(t.Context(), admin, ref(t, "shop/production"), NewBackup{Options: holdfast.BackupOptions{Tables: []string{"customers"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jobs.wait(t.Context(), partial.JobID); err != nil {
		t.Fatal(err)
	}
	b.Name = partial.Name
	if report, err = prove(hooks); err != nil || finding(report, "all").State != backup.Skipped {
		t.Errorf("of a part: %+v, %v", report, err)
	}
}

func TestWhoMaySetTheProjectsOwnChecks(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	shop := projectID(t, p, "shop")
	owner := holdfast.Principal{Name: "owner", Kind: holdfast.UserToken, ProjectID: shop, Right: holdfast.MayAdmin}
	assertion := []holdfast.Assertion{{Name: "a", SQL: "SELECT true"}}
	for name, c := range map[string]struct {
		who   holdfast.Principal
		hooks holdfast.ProofHooks
		want  holdfast.Kind
	}{
		"assertions by the project's admin":    {who: owner, hooks: holdfast.ProofHooks{Assertions: assertion}},
		"a command by the project's admin":     {who: owner, hooks: holdfast.ProofHooks{Hooks: holdfast.Hooks{Command: "true"}}, want: holdfast.NotAllowed},
		"a private URL by the project's admin": {who: owner, hooks: holdfast.ProofHooks{Hooks: holdfast.Hooks{URL: "http://10.0.0.1/", AllowPrivate: true}}, want: holdfast.NotAllowed},
		"a command by the installation's":      {who: admin, hooks: holdfast.ProofHooks{Hooks: holdfast.Hooks{Command: "true"}}},
		"assertions by an agent": {who: holdfast.Principal{Name: "agent", Kind: holdfast.AgentToken, ProjectID: shop, Right: holdfast.MayWrite},
			hooks: holdfast.ProofHooks{Assertions: assertion}, want: holdfast.NotAllowed},
		"two of one name": {who: admin, hooks: holdfast.ProofHooks{Assertions: append(assertion, assertion...)}, want: holdfast.Invalid},
		"no query":        {who: admin, hooks: holdfast.ProofHooks{Assertions: []holdfast.Assertion{{Name: "a", SQL: " "}}}, want: holdfast.Invalid},
		"a day":           {who: admin, hooks: holdfast.ProofHooks{Assertions: assertion, AssertionTimeout: 24 * time.Hour}, want: holdfast.Invalid},
	} {
		if err := p.SetProofHooks(t.Context(), c.who, "shop", c.hooks); (err == nil) != (c.want == 0) || err != nil && holdfast.KindOf(err) != c.want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
