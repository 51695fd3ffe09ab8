package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

var key = bytes.Repeat([]byte{7}, store.KeySize)

func open(t *testing.T) (*store.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a name with % and ?.db")
	s, err := store.Open(t.Context(), path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func update(t *testing.T, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func shop(tx *store.Tx) error {
	err := tx.InsertProject(store.Project{Project: holdfast.Project{ID: "p1", Name: "shop", Major: 16, CreatedAt: time.Unix(1, 0)}, State: store.Ready})
	if err != nil {
		return err
	}
	return tx.InsertBranch(store.Branch{State: store.Ready, Branch: holdfast.Branch{ID: "b1", ProjectID: "p1", Name: "production",
		Environment: holdfast.Production, Major: 16, Settings: holdfast.DefaultSettings(), CreatedAt: time.Unix(1, 0)}})
}

func TestAProjectAndItsBranchesAreFoundByName(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	err := s.View(t.Context(), func(tx *store.Tx) error {
		b, err := tx.BranchByRef(holdfast.BranchRef{Project: "shop", Branch: "production"})
		if err != nil {
			return err
		}
		if b.Project != "shop" || b.Settings.IdleTimeout != holdfast.DefaultIdleTimeout {
			t.Errorf("got %+v", b)
		}
		_, err = tx.BranchByRef(holdfast.BranchRef{Project: "shop", Branch: "other"})
		if holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("an unknown branch gave %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestANameIsFreeAgainOnceItsBearerIsDeleted(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	again := func(tx *store.Tx) error {
		return tx.InsertProject(store.Project{Project: holdfast.Project{ID: "p2", Name: "shop", Major: 16}, State: store.Ready})
	}
	if err := s.Update(t.Context(), again); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second shop gave %v, want a conflict", err)
	}
	update(t, s, func(tx *store.Tx) error { return tx.SetProjectDeleted("p1", time.Unix(2, 0), time.Unix(3, 0)) })
	update(t, s, again)
}

func TestAFailedUpdateChangesNothing(t *testing.T) {
	s, _ := open(t)
	boom := errors.New("boom")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if err := shop(tx); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	_ = s.View(t.Context(), func(tx *store.Tx) error {
		if projects, err := tx.Projects(); err != nil || len(projects) != 0 {
			t.Errorf("left behind: %v %v", projects, err)
		}
		return nil
	})
}

func TestSecretsAreSealedOnDisk(t *testing.T) {
	s, path := open(t)
	update(t, s, shop)
	update(t, s, func(tx *store.Tx) error {
		return tx.SetPassword("b1", "shop_owner", "correct horse battery", time.Unix(3, 0))
	})
	update(t, s, func(tx *store.Tx) error {
		return tx.InsertJob(store.Job{Job: holdfast.Job{ID: "j1", Kind: "x", State: holdfast.JobQueued}, Input: []byte("another staple secret")})
	})
	_ = s.View(t.Context(), func(tx *store.Tx) error {
		if p, err := tx.Password("b1", "shop_owner"); err != nil || p != "correct horse battery" {
			t.Errorf("got %q, %v", p, err)
		}
		if jobs, err := tx.UnfinishedJobs(); err != nil || len(jobs) != 1 || string(jobs[0].Input) != "another staple secret" {
			t.Errorf("got %+v, %v", jobs, err)
		}
		return nil
	})
	s.Close()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("battery")) || bytes.Contains(b, []byte("staple")) {
			t.Errorf("a secret stands in clear in %s", path+suffix)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	s, path := open(t)
	s.Close()
	_, err := store.Open(t.Context(), path, bytes.Repeat([]byte{8}, store.KeySize))
	if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "key file") {
		t.Errorf("got %v", err)
	}
}

func TestVerifiersOfAnyRoleNameComeBack(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	want := store.RoleVerifier{Role: "a \"b\" \xff'c", ValidUntil: time.Unix(9, 0).UTC(), Verifier: holdfast.Verifier{Iterations: 4096, Salt: []byte("salt")}}
	update(t, s, func(tx *store.Tx) error { return tx.SetVerifiers("b1", []store.RoleVerifier{want}) })
	_ = s.View(t.Context(), func(tx *store.Tx) error {
		got, err := tx.Verifiers("b1")
		if err != nil || len(got) != 1 || got[0].Role != want.Role || got[0].Verifier.String() != want.Verifier.String() || !got[0].ValidUntil.Equal(want.ValidUntil) {
			t.Errorf("got %+v, %v", got, err)
		}
		return nil
	})
}

func TestAProjectsLocationsKeysAndRulesComeBackAndAreErased(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	location := store.Location{Secret: "s3cret", Location: holdfast.Location{Name: "offsite", Kind: holdfast.S3Location, Endpoint: "s3.example:443", Bucket: "b", AccessKey: "k", Encrypt: true}}
	rule := holdfast.MaskRule{Schema: "public", Table: "t", Column: "c", Kind: holdfast.MaskHash}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.PutLocation("p1", location, time.Unix(1, 0)), tx.SetMaskRules("p1", []holdfast.MaskRule{rule}),
			tx.AddProjectKey("p1", store.RepositoryKey, []byte("old"), time.Unix(1, 0)), tx.AddProjectKey("p1", store.RepositoryKey, []byte("new"), time.Unix(2, 0)))
	})
	read := func() (locations []store.Location, keys [][]byte, rules []holdfast.MaskRule) {
		err := s.View(t.Context(), func(tx *store.Tx) (err error) {
			locations, err = tx.Locations("p1")
			if err != nil {
				return err
			}
			if keys, err = tx.ProjectKeys("p1", store.RepositoryKey); err != nil {
				return err
			}
			rules, err = tx.MaskRules("p1")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return locations, keys, rules
	}
	locations, keys, rules := read()
	if len(locations) != 1 || locations[0] != location || len(keys) != 2 || string(keys[0]) != "new" || len(rules) != 1 || rules[0] != rule {
		t.Errorf("got %+v, %q, %+v", locations, keys, rules)
	}
	update(t, s, func(tx *store.Tx) error { return tx.EraseProject("p1") })
	if locations, keys, rules := read(); len(locations)+len(keys)+len(rules) != 0 {
		t.Error("something is left of an erased project")
	}
}

func TestWritersWaitForEachOther(t *testing.T) {
	s, _ := open(t)
	update(t, s, func(tx *store.Tx) error {
		return tx.InsertJob(store.Job{Job: holdfast.Job{ID: "j1", Kind: "x", State: holdfast.JobRunning}})
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := s.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.AddJobLine("j1", time.Unix(1, 0), "line")
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_ = s.View(t.Context(), func(tx *store.Tx) error {
		lines, err := tx.JobLines("j1", 5, 100)
		if err != nil || len(lines) != 15 || lines[0].Seq != 6 {
			t.Errorf("got %d lines, %v", len(lines), err)
		}
		return nil
	})
}

// Each row is what somebody does to the file who can write it but does not have the key. Going on afterwards must not cover it up.
func TestATamperedAuditTrailIsNoticed(t *testing.T) {
	forged, forgery := open(t)
	other, err := store.Open(t.Context(), forgery+"2", bytes.Repeat([]byte{9}, store.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	forged.Close()
	append3(t, other, "mallory")
	other.Close()
	for name, c := range map[string]struct{ statement, says string }{
		"edited":             {`UPDATE audit SET actor = 'bob' WHERE seq = 2`, "entry 2"},
		"edited time":        {`UPDATE audit SET at = at + 1 WHERE seq = 3`, "entry 3"},
		"removed":            {`DELETE FROM audit WHERE seq = 2`, "entry 2"},
		"removed and closed": {`DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3`, "entry 2"},
		"reordered":          {`UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 9`, "entry 1"},
		"cut at the end":     {`DELETE FROM audit WHERE seq = 3`, "entries 3 to 3 are gone"},
		"emptied":            {`DELETE FROM audit`, "entries 1 to 3 are gone"},
		"cut with its head":  {`DELETE FROM audit WHERE seq = 3; DELETE FROM audit_head`, "head is gone"},
		"head moved back":    {`DELETE FROM audit WHERE seq = 3; UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)`, "not signed"},
		"another chain":      {`ATTACH '` + forgery + `2' AS f; DELETE FROM audit; INSERT INTO audit SELECT * FROM f.audit`, "rewritten"},
		"another chain and its head": {`ATTACH '` + forgery + `2' AS f; DELETE FROM audit; INSERT INTO audit SELECT * FROM f.audit;
			DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM f.audit_head`, "not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := open(t)
			append3(t, s, "ann")
			if last, err := verifyTrail(t, s); last.Seq != 3 || err != nil {
				t.Fatalf("got %d, %v", last.Seq, err)
			}
			s.Close()
			tamper(t, path, c.statement)
			s, err := store.Open(t.Context(), path, key)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := verifyTrail(t, s); holdfast.KindOf(err) != holdfast.Corrupt || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			append3(t, s, "ann")
			if _, err := verifyTrail(t, s); holdfast.KindOf(err) != holdfast.Corrupt {
				t.Errorf("going on covered it up: %v", err)
			}
		})
	}
}

func TestTheAuditTrailIsFiltered(t *testing.T) {
	s, _ := open(t)
	for i, e := range []store.AuditEntry{
		{Actor: "ann", Source: "192.0.2.1", Action: "backup.create", Subject: "shop/production"},
		{Actor: "token ci of Ann", Source: "192.0.2.2", Action: "backup.delete", Subject: "shop/development"},
		{Actor: "bob", Source: "2001:db8::1", Action: "login", Subject: "bob"},
	} {
		e.At = time.Unix(int64(1000*(i+1)), 0)
		update(t, s, func(tx *store.Tx) error { return tx.Append(e) })
	}
	for name, c := range map[string]struct {
		filter store.AuditFilter
		before int64
		limit  int
		want   string
	}{
		"all":               {limit: 9, want: "3 2 1"},
		"who, in any case":  {filter: store.AuditFilter{Actor: "ANN"}, limit: 9, want: "2 1"},
		"what":              {filter: store.AuditFilter{Action: "backup."}, limit: 9, want: "2 1"},
		"on what":           {filter: store.AuditFilter{Subject: "production"}, limit: 9, want: "1"},
		"from where":        {filter: store.AuditFilter{Source: "db8"}, limit: 9, want: "3"},
		"two of them":       {filter: store.AuditFilter{Actor: "ann", Action: "delete"}, limit: 9, want: "2"},
		"since and until":   {filter: store.AuditFilter{Since: time.Unix(2000, 0), Until: time.Unix(3000, 0)}, limit: 9, want: "2"},
		"a page":            {filter: store.AuditFilter{Actor: "ann"}, limit: 1, want: "2"},
		"the next page":     {filter: store.AuditFilter{Actor: "ann"}, before: 2, limit: 1, want: "1"},
		"text, not pattern": {filter: store.AuditFilter{Actor: "%"}, limit: 9, want: ""},
	} {
		_ = s.View(t.Context(), func(tx *store.Tx) error {
			entries, err := tx.Audit(c.filter, c.before, c.limit)
			var got []string
			for _, e := range entries {
				got = append(got, fmt.Sprint(e.Seq))
			}
			if strings.Join(got, " ") != c.want || err != nil {
				t.Errorf("%s: got %v, %v", name, got, err)
			}
			return nil
		})
	}
}

func append3(t *testing.T, s *store.Store, actor string) {
	t.Helper()
	for range 3 {
		update(t, s, func(tx *store.Tx) error {
			return tx.Append(store.AuditEntry{At: time.Unix(1, 0), Actor: actor, Action: "project.create", Subject: "shop"})
		})
	}
}

func verifyTrail(t *testing.T, s *store.Store) (last store.AuditEntry, err error) {
	t.Helper()
	err = s.View(t.Context(), func(tx *store.Tx) error { last, err = tx.VerifyAudit(nil); return err })
	return last, err
}

// The secret is sealed, and an address means one person only, whatever its case.
func TestTheProviderIsKeptSealed(t *testing.T) {
	s, path := open(t)
	want := store.OIDC{OIDC: holdfast.OIDC{Name: "Example", Issuer: "https://login.example.com", ClientID: "holdfast"}, Secret: "not to be read"}
	update(t, s, func(tx *store.Tx) error { return tx.SetOIDC(want) })
	update(t, s, func(tx *store.Tx) error {
		got, set, err := tx.OIDC()
		if got != want || !set {
			t.Errorf("got %+v, %v", got, set)
		}
		return err
	})
	insert := func(id, name, email string) error {
		return s.Update(t.Context(), func(tx *store.Tx) error {
			return tx.InsertPerson(store.Person{Person: holdfast.Person{ID: holdfast.PersonID(id), Name: name, Email: email}})
		})
	}
	if err := errors.Join(insert("1", "ann", "ann@example.com"), insert("2", "bob", ""), insert("3", "cia", "")); err != nil {
		t.Fatal(err)
	}
	if err := insert("4", "dan", "ANN@example.com"); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("the address of somebody else: %v", err)
	}
	update(t, s, func(tx *store.Tx) error {
		if _, err := tx.PersonByEmail(""); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("no address means somebody: %v", err)
		}
		if _, err := tx.PersonByOIDC("", ""); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("no subject means somebody: %v", err)
		}
		return tx.DeleteOIDC()
	})
	s.Close()
	for _, name := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(name)
		if err == nil && bytes.Contains(raw, []byte(want.Secret)) {
			t.Errorf("%s holds the secret", name)
		}
	}
}
