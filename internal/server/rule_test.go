package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/platform"
	"github.com/holdfast/holdfast/internal/store"
	"github.com/holdfast/holdfast/internal/volume"
)

const (
	shopID, otherID = holdfast.ProjectID("prj_shop"), holdfast.ProjectID("prj_other")
	jobID           = "job_1"
	backupID        = "bak_1" // of development
	alertID         = "alt_1" // of development
	previewName     = "try"
	nobodyThere     = "nobody is there"
)

// roles are all sorts of callers. Nobody means no credentials at all.
var roles = map[string]*holdfast.Principal{
	"nobody":       nil,
	"viewer":       member("vera", holdfast.Viewer, shopID),
	"developer":    member("dan", holdfast.Developer, shopID),
	"admin":        member("ada", holdfast.Admin, shopID),
	"owner":        member("olga", holdfast.Owner, shopID),
	"foreign":      member("fred", holdfast.Owner, otherID),
	"agent":        {Name: "token assistant", Kind: holdfast.AgentToken, Right: holdfast.MayWrite, ProjectID: shopID},
	"installation": {Name: "ines", Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, PersonID: "per_ines"},
}

func member(name string, role holdfast.MemberRole, of holdfast.ProjectID) *holdfast.Principal {
	id := holdfast.PersonID("per_" + name)
	return &holdfast.Principal{Name: name, Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, PersonID: id,
		Members: map[holdfast.ProjectID]holdfast.Member{of: {ProjectID: of, PersonID: id, Role: role}}}
}

// who says which roles each rule lets in, on development and on production.
var who = map[rule]struct{ development, production string }{
	forAnyone:       {"nobody viewer developer admin owner foreign agent installation", ""},
	forCallers:      {"viewer developer admin owner foreign agent installation", ""},
	forPeople:       {"viewer developer admin owner foreign installation", ""},
	forOwnTokens:    {"viewer developer admin owner foreign installation", ""},
	toSee:           {"viewer developer admin owner agent installation", "viewer developer admin owner agent installation"},
	toReadRows:      {"viewer developer admin owner agent installation", "admin owner installation"},
	toDevelop:       {"developer admin owner agent installation", "admin owner installation"},
	toDevelopAnyhow: {"developer admin owner agent installation", "developer admin owner agent installation"},
	toTendPreviews:  {"developer admin owner agent installation", ""},
	toAdminister:    {"admin owner installation", "admin owner installation"},
	toOwn:           {"owner installation", "owner installation"},
	forInstallation: {"installation", "installation"},
}

// Every route states who may use it, and the platform decides so: each is called with every role, on development and on production.
// A platform that is closed decides as ever and does nothing.
func TestEveryRouteKeepsItsRuleForEveryRole(t *testing.T) {
	f := newFixture(t)
	for path, item := range f.server.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			stated, _ := op.Metadata[ruleKey].(rule)
			may, known := who[stated]
			if !known {
				t.Errorf("%s %s (%s) states no rule: set `rule:` where the route is registered to one of those in rule.go", op.Method, path, op.OperationID)
				continue
			}
			branch := holdfast.DevelopmentName
			if stated == toTendPreviews {
				branch = previewName
			}
			f.try(t, op, branch, may.development)
			if strings.Contains(path, "{branch}") {
				f.try(t, op, holdfast.ProductionName, may.production)
			}
		}
	}
}

// fixture is a server whose callers are named in a header, before a platform that knows one project and does nothing.
type fixture struct {
	server *Server
	store  *store.Store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	metadata, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), bytes.Repeat([]byte{1}, store.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	root := pgtest.Dir(t)
	v, err := volume.Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p, err := platform.Open(t.Context(), platform.Config{Store: metadata, GatewayAddress: "127.0.0.1:6432", Log: log, Spool: t.TempDir(), PasswordCost: identity.Cost{Memory: 64, Time: 1, Threads: 1}, DialProvider: (&net.Dialer{}).DialContext,
		Fleet: fleet.Config{Account: pgtest.Account(t), Root: root, Volume: v, Logger: log}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fixture{server: New(Config{Platform: p, Log: log}), store: metadata}
	f.server.identify = func(r *http.Request) (holdfast.Principal, error) {
		if who := roles[r.Header.Get("Role")]; who != nil {
			return *who, nil
		}
		return holdfast.Principal{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: nobodyThere}
	}
	f.reset(t)
	return f
}

// reset puts the project back into the metadata as it was, whatever the last call did.
func (f *fixture) reset(t *testing.T) {
	t.Helper()
	now := time.Now()
	err := f.store.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.EraseProject(shopID); err != nil {
			return err
		}
		// The routes come in any order: one that lets agents read production must not decide what they may do at the next.
		if err := tx.SetSetting("agents "+string(shopID), "{}"); err != nil {
			return err
		}
		if err := tx.InsertProject(store.Project{Project: holdfast.Project{ID: shopID, Name: "shop", Major: 18, CreatedAt: now}, State: store.Ready}); err != nil {
			return err
		}
		for name, environment := range map[string]holdfast.Environment{holdfast.DevelopmentName: holdfast.Development, holdfast.ProductionName: holdfast.Production, previewName: holdfast.Preview} {
			if err := tx.InsertBranch(store.Branch{State: store.Ready, Branch: holdfast.Branch{ID: holdfast.BranchID("br_" + name), ProjectID: shopID, Name: name,
				Environment: environment, Major: 18, Settings: holdfast.DefaultSettings(), CreatedAt: now}}); err != nil {
				return err
			}
		}
		if err := tx.PutBackup(store.Backup{ProjectID: shopID, Environment: holdfast.Development, Backup: holdfast.Backup{ID: backupID, Name: "backup_dev_1", Project: "shop", Branch: holdfast.DevelopmentName,
			State: holdfast.BackupFailed, StartedAt: now}}); err != nil {
			return err
		}
		if err := tx.InsertAlert(holdfast.Alert{ID: alertID, Condition: holdfast.BackupFailing, Severity: holdfast.Warning, ProjectID: shopID, BranchID: "br_" + holdfast.DevelopmentName,
			Place: "shop/development", Message: "it failed", FiredAt: now}); err != nil {
			return err
		}
		if _, err := tx.Job(jobID); err == nil {
			return nil
		}
		return tx.InsertJob(store.Job{Input: []byte("{}"), Job: holdfast.Job{ID: jobID, Kind: "test", ProjectID: shopID, Subject: "shop", State: holdfast.JobSucceeded,
			Actor: "somebody", CreatedAt: now, EndedAt: now}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// try calls a route with every role and compares who was let in. Being let in is any answer that is no refusal: the thing may not be
// there, the platform does nothing. Who sees the project must be refused as such and not by the absence of what the path names, or
// the order of the checks is wrong.
func (f *fixture) try(t *testing.T, op *huma.Operation, branch, may string) {
	t.Helper()
	path := strings.NewReplacer("{project}", "shop", "{branch}", branch, api.JobsPath+"/{id}", api.JobsPath+"/"+jobID, api.BackupsPath+"/{id}", api.BackupsPath+"/"+backupID, api.AlertsPath+"/{id}", api.AlertsPath+"/"+alertID).Replace(op.Path)
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "x" + after
	}
	body := f.example(t, op)
	for name, principal := range roles {
		res := do(f.server, op.Method, path, body, map[string]string{"Role": name, "Content-Type": "application/json"})
		let := slices.Contains(strings.Fields(may), name)
		var p api.Problem
		_ = json.Unmarshal(res.Body.Bytes(), &p) // an answer that is no problem leaves it empty
		// What is refused before the platform is asked says nothing about its decision.
		malformed := strings.HasPrefix(p.Detail, "the request is not valid") || res.Code == http.StatusBadRequest || res.Code == http.StatusUnsupportedMediaType
		sees := principal != nil && principal.RightOn(shopID).Includes(holdfast.MayRead)
		hidden := slices.Contains([]string{"project shop does not exist", "job " + jobID + " does not exist", "backup " + backupID + " does not exist", "alert " + alertID + " does not exist"}, p.Detail) ||
			strings.HasPrefix(p.Detail, "branch shop/") && strings.HasSuffix(p.Detail, " does not exist")
		inside := strings.Contains(op.Path, "{project}") || strings.HasPrefix(op.Path, api.JobPath)
		unseen := res.Code == http.StatusNotFound && !sees && (inside || hidden)
		refused := res.Code == http.StatusUnauthorized || res.Code == http.StatusForbidden || unseen
		if op.Metadata[ruleKey] == forAnyone {
			refused = p.Detail == nobodyThere // a wrong secret is refused too, by the operation itself
		}
		at := fmt.Sprintf("%s %s (%s, rule %q) as %s", op.Method, path, op.OperationID, op.Metadata[ruleKey], name)
		switch {
		case malformed && principal != nil:
			t.Errorf("%s: the request that this test made up is not valid (%s); give the fields an example that is", at, res.Body)
		case let && (refused || hidden && sees):
			t.Errorf("%s is refused with %d: %s", at, res.Code, p.Detail)
		case !let && !refused:
			t.Errorf("%s is let in, with %d: %.300s", at, res.Code, res.Body)
		}
		f.reset(t)
	}
}

// example is a valid body for an operation, made of the examples and bounds in its description; empty where it takes none.
func (f *fixture) example(t *testing.T, op *huma.Operation) string {
	t.Helper()
	if op.RequestBody == nil {
		return ""
	}
	for media, content := range op.RequestBody.Content {
		if media == "application/json" {
			raw, err := json.Marshal(f.value(content.Schema))
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		}
	}
	return "x"
}

func (f *fixture) value(s *huma.Schema) any {
	if s.Ref != "" {
		s = f.server.api.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "date-time":
		return "2026-01-02T03:04:05Z"
	}
	switch s.Type {
	case huma.TypeObject:
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = f.value(s.Properties[name])
		}
		return out
	case huma.TypeArray:
		if s.MinItems != nil && *s.MinItems > 0 {
			return []any{f.value(s.Items)}
		}
		return []any{}
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case huma.TypeBoolean:
		return true
	}
	if s.MinLength != nil {
		return strings.Repeat("x", *s.MinLength)
	}
	return "x"
}
