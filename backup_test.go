package holdfast_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
)

func TestBackupsAreNamedAfterBranchAndTime(t *testing.T) {
	at := time.Date(2026, 11, 20, 15, 3, 11, 0, time.FixedZone("", 3600))
	for _, c := range []struct{ got, want string }{
		{holdfast.BackupName("production", at), "backup_prod_20261120_140311"},
		{holdfast.BackupName("development", at), "backup_dev_20261120_140311"},
		{holdfast.BackupName("try-1", at), "backup_try-1_20261120_140311"},
		{holdfast.SafetyBackupName("production", "sync", at), "prod_backup_before_sync_20261120_140311"},
	} {
		if c.got != c.want || holdfast.CheckBackupName(c.got) != nil {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	for _, bad := range []string{"", "A", "../x", "backup prod", ".x", "x/y"} {
		if holdfast.CheckBackupName(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBackupOptionsThatCannotBeMetAreRefused(t *testing.T) {
	for _, c := range []struct {
		options holdfast.BackupOptions
		ok      bool
	}{
		{holdfast.BackupOptions{Format: holdfast.PlainFormat}, true},
		{holdfast.BackupOptions{}, false},
		{holdfast.BackupOptions{Format: "zip"}, false},
		{holdfast.BackupOptions{Format: holdfast.JSONFormat, DataOnly: true, SchemaOnly: true}, false},
		{holdfast.BackupOptions{Format: holdfast.CustomFormat, Jobs: 4}, false},
		{holdfast.BackupOptions{Format: holdfast.DirectoryFormat, Jobs: 4}, true},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "zstd:10"}, true},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "lz4"}, false},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "gzip:0"}, false},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Compression: "gzip --help"}, false},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Tables: []string{"a.b.c"}}, false},
		{holdfast.BackupOptions{Format: holdfast.PlainFormat, Tables: []string{`public."Odd.Name"`}}, true},
	} {
		if err := c.options.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c.options, err)
		}
	}
	if m, l := holdfast.Compression("zstd:19").Split(); m != holdfast.Zstd || l != 19 {
		t.Errorf("got %s %d", m, l)
	}
}

func TestTablePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, schema, name string
		want                  bool
	}{
		{"orders", "public", "orders", true}, {"Orders", "public", "orders", true}, {"orders", "public", "Orders", false},
		{`"Orders"`, "public", "Orders", true}, {"public.orders", "sales", "orders", false}, {"sales.*", "sales", "", true},
		{"*_log", "a", "audit_log", true}, {"*_log", "a", "audit_logs", false}, {"a*b*c", "x", "aXbXbc", true}, {"t?", "x", "t", false}, {"t?", "x", "t1", true},
		{`"a.b".c`, "a.b", "c", true}, {`"*"`, "x", "y", false}, {`"*"`, "x", "*", true}, {`"a""b"`, "x", `a"b`, true},
	} {
		p, err := holdfast.ParseTablePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(c.schema, c.name); got != c.want {
			t.Errorf("%s on %s.%s: got %v", c.pattern, c.schema, c.name, got)
		}
		again, err := holdfast.ParseTablePattern(p.String())
		if err != nil || again.Matches(c.schema, c.name) != c.want {
			t.Errorf("%s is written as %s: %v", c.pattern, p, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".b", "a.b.c", `"a`, "a\x00"} {
		if _, err := holdfast.ParseTablePattern(bad); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestGrandfatherFatherSon(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var all []holdfast.Backup
	for day := range 120 {
		at := now.AddDate(0, 0, -day).Add(-time.Hour)
		all = append(all, holdfast.Backup{Name: holdfast.BackupName("production", at), State: holdfast.BackupCompleted, StartedAt: at, Size: 1})
	}
	stay, leave := holdfast.Retention{Daily: 3, Weekly: 3, Monthly: 3}.Divide(now, time.UTC, all)
	var days []string
	for _, k := range stay {
		days = append(days, k.Backup.StartedAt.Format("01-02"))
	}
	// 1 March 2026 is a Sunday; the months are March, February, January.
	if want := []string{"03-01", "02-28", "02-27", "02-22", "02-15", "01-31"}; !slices.Equal(days, want) || len(stay)+len(leave) != len(all) {
		t.Errorf("got %v, want %v", days, want)
	}
}

func TestRetentionNeverRemovesWhatIsProtected(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	states := []holdfast.BackupState{holdfast.BackupCompleted, holdfast.BackupCompleted, holdfast.BackupFailed, holdfast.BackupInProgress}
	rapid.Check(t, func(t *rapid.T) {
		var all []holdfast.Backup
		for i := range rapid.IntRange(0, 40).Draw(t, "backups") {
			b := holdfast.Backup{Name: fmt.Sprint("b", i), State: rapid.SampledFrom(states).Draw(t, "state"), StartedAt: now.Add(-time.Duration(rapid.IntRange(0, 2000).Draw(t, "hours")) * time.Hour),
				Size: int64(rapid.IntRange(0, 100).Draw(t, "size")), Pinned: rapid.IntRange(0, 9).Draw(t, "pinned") == 0, HeldUntilProof: rapid.IntRange(0, 9).Draw(t, "held") == 0}
			if rapid.IntRange(0, 4).Draw(t, "verified") == 0 {
				b.VerifiedAt = now
			}
			all = append(all, b)
		}
		rule := holdfast.Retention{KeepLast: rapid.IntRange(0, 3).Draw(t, "last"), Daily: rapid.IntRange(0, 3).Draw(t, "daily"), KeepFor: time.Duration(rapid.IntRange(0, 100).Draw(t, "for")) * time.Hour,
			MaxBytes: int64(rapid.IntRange(0, 200).Draw(t, "bytes"))}
		stay, leave := rule.Divide(now, time.UTC, all)
		if len(stay)+len(leave) != len(all) {
			t.Fatalf("%d became %d and %d", len(all), len(stay), len(leave))
		}
		var good, verified bool
		for _, k := range stay {
			good = good || k.Backup.State == holdfast.BackupCompleted
			verified = verified || k.Backup.State == holdfast.BackupCompleted && !k.Backup.VerifiedAt.IsZero()
		}
		for _, b := range leave {
			completed := b.State == holdfast.BackupCompleted
			if b.Pinned || b.State == holdfast.BackupInProgress || completed && (b.HeldUntilProof || !good || !b.VerifiedAt.IsZero() && !verified) {
				t.Errorf("%+v was let go", b)
			}
		}
		again, more := rule.Divide(now, time.UTC, backupsOf(stay))
		if len(more) != 0 || len(again) != len(stay) {
			t.Errorf("a second time %d more go", len(more))
		}
	})
}

func backupsOf(stay []holdfast.KeptBackup) []holdfast.Backup {
	var all []holdfast.Backup
	for _, k := range stay {
		all = append(all, k.Backup)
	}
	return all
}

func TestASizeLimitTakesTheOldestFirst(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var all []holdfast.Backup
	for i := range 5 {
		all = append(all, holdfast.Backup{Name: fmt.Sprint("b", i), State: holdfast.BackupCompleted, StartedAt: now.Add(-time.Duration(i) * time.Hour), Size: 10, Pinned: i == 4})
	}
	stay, leave := holdfast.Retention{MaxBytes: 30}.Divide(now, time.UTC, all)
	if len(stay) != 3 || len(leave) != 2 || leave[0].Name != "b2" || leave[1].Name != "b3" {
		t.Errorf("stay %v, leave %v", stay, leave)
	}
}
