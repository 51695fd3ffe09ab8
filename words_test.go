package holdfast_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
)

func TestAnAddressNamesOneBranch(t *testing.T) {
	for _, c := range []struct {
		name, project, branch, database string
		ok                              bool
	}{
		{"shop_production", "shop", "production", "shop_production", true},
		{"my-shop_production_before_restore_20261120_140311", "my-shop", "production_before_restore_20261120_140311", "my-shop_production_before_restore_20261120_140311", true},
		{"other@shop_development", "shop", "development", "other", true},
		{"a@b@shop_development", "shop", "development", "a@b", true},
		{"@shop_development", "", "", "", false},
		{"shop", "", "", "", false},
		{"Shop_production", "", "", "", false},
		{"", "", "", "", false},
	} {
		ref, database, ok := holdfast.ParseAddress(c.name)
		if ok != c.ok || ok && (ref.Project != c.project || ref.Branch != c.branch || database != c.database) {
			t.Errorf("%q: got %v %q %v", c.name, ref, database, ok)
		}
	}
}

func TestEveryBranchHasItsOwnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := holdfast.BranchRef{Project: rapid.StringMatching(`[a-z][a-z0-9-]{0,18}[a-z0-9]`).Draw(t, "project"),
			Branch: rapid.StringMatching(`[a-z][a-z0-9_-]{0,40}[a-z0-9]`).Draw(t, "branch")}
		if err := ref.Validate(); err != nil {
			t.Fatal(err)
		}
		back, database, ok := holdfast.ParseAddress(ref.Database())
		if !ok || back != ref || database != ref.Database() || len(database) > 63 {
			t.Errorf("%v became %v, %q, %v", ref, back, database, ok)
		}
	})
}

func TestDangerousSettingsAreRefusedWithTheReason(t *testing.T) {
	with := func(name, value string) holdfast.Settings {
		s := holdfast.DefaultSettings()
		s.Parameters = map[string]string{name: value}
		return s
	}
	for _, c := range []struct {
		environment holdfast.Environment
		settings    holdfast.Settings
		kind        holdfast.Kind
		ok          bool
	}{
		{holdfast.Production, with("fsync", "off"), holdfast.Unsafe, false},
		{holdfast.Production, with("fsync", "F"), holdfast.Unsafe, false},
		{holdfast.Production, with("fsync", "tru"), 0, true},
		{holdfast.Preview, with("synchronous_commit", "off"), holdfast.Unsafe, false},
		{holdfast.Production, with("synchronous_commit", "local"), 0, true},
		{holdfast.Development, with("fsync", "off"), 0, true},
		{holdfast.Production, with("archive_command", "rm -rf /"), holdfast.Invalid, false},
		{holdfast.Production, with("work_mem", "8MB\nfsync=off"), holdfast.Invalid, false},
		{holdfast.Production, with("default_text_search_config", "german"), 0, true},
		{holdfast.Production, with("default_text_search_config", "pg_catalog.simple"), 0, true},
		{holdfast.Production, with("default_text_search_config", "public.mine"), 0, true},
		{holdfast.Production, with("default_text_search_config", "klingon"), holdfast.Invalid, false},
		{holdfast.Production, with("default_text_search_config", "pg_catalog.klingon"), holdfast.Invalid, false},
		{holdfast.Production, with("default_text_search_config", "public.mine; x"), holdfast.Invalid, false},
		{holdfast.Production, holdfast.Settings{IdleTimeout: time.Second, ConnectionLimit: 1}, holdfast.Invalid, false},
		{holdfast.Production, holdfast.Settings{IdleTimeout: holdfast.NeverSleep, ConnectionLimit: 1}, 0, true},
	} {
		err := c.settings.Validate(c.environment)
		if (err == nil) != c.ok || err != nil && holdfast.KindOf(err) != c.kind {
			t.Errorf("%s %v: got %v", c.environment, c.settings, err)
		}
	}
}

func TestAVerifierReadsWhatItWrites(t *testing.T) {
	v := holdfast.Verifier{Iterations: 4096, Salt: []byte("0123456789abcdef")}
	v.StoredKey[3], v.ServerKey[5] = 1, 2
	back, err := holdfast.ParseVerifier(v.String())
	if err != nil || back.String() != v.String() {
		t.Errorf("got %v, %v", back, err)
	}
	for _, bad := range []string{"", "md5abc", "SCRAM-SHA-256$x:c2FsdA==$a:b", "SCRAM-SHA-256$4096:c2FsdA==$YQ==:YQ=="} {
		if _, err := holdfast.ParseVerifier(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLSNReadsWhatPostgreSQLWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := holdfast.LSN(rapid.Uint64().Draw(t, "lsn"))
		if back, err := holdfast.ParseLSN(l.String()); err != nil || back != l {
			t.Errorf("%v became %v, %v", l, back, err)
		}
	})
}
