package platform

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

func TestABackupIsProvedOnAScratchServerAndTheReportIsSigned(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	change(t, p, "shop/production", shopTables)
	b := makeBackup(t, p, "shop/production", holdfast.BackupOptions{Format: holdfast.CustomFormat})
	before, err := os.ReadDir(h.root)
	if err != nil {
		t.Fatal(err)
	}
	job, err := p.VerifyBackup(t.Context(), admin, b.Name)
	if err != nil {
		t.Fatal(err)
	}
	report, err := jobResult[BackupReport](t, p, job)
	if err != nil || !report.Passed {
		t.Fatalf("got %+v, %v", report, err)
	}
	for _, f := range report.Findings {
		if f.State != backup.Passed && f.Check != "large objects" {
			t.Errorf("%s: %s, %s", f.Check, f.State, f.Detail)
		}
	}
	if kept, err := p.BackupReport(t.Context(), admin, b.Name); err != nil || kept.SHA256 != b.SHA256 || kept.By != "admin" {
		t.Errorf("the report is %+v, %v", kept, err)
	}
	if b, err = p.Backup(t.Context(), admin, b.Name); err != nil || b.VerifiedAt.IsZero() {
		t.Errorf("it is not marked: %+v, %v", b, err)
	}
	if after, err := os.ReadDir(h.root); err != nil || len(after) != len(before) {
		t.Errorf("the scratch server is left: %v, %v", after, err)
	}
	standing := func(ahead time.Duration) (BackupStanding, []string) {
		t.Helper()
		all, err := p.BackupStandings(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("got %+v, %v", all, err)
		}
		i := slices.IndexFunc(all, func(s BackupStanding) bool { return s.Branch.Branch == holdfast.ProductionName })
		return all[i], all[i].alerts(time.Now().Add(ahead))
	}
	if s, alerts := standing(0); s.LastCompleted.IsZero() || s.LastVerified.Before(s.LastCompleted) || s.Failing != nil || s.Unproved != nil || len(alerts) != 0 {
		t.Errorf("it stands at %+v, %q", s, alerts)
	}
	if _, alerts := standing(49 * time.Hour); len(alerts) != 1 || !strings.Contains(alerts[0], "more than 48 hours") {
		t.Errorf("two days later: %q", alerts)
	}
	changed := b.Backup // the manifest claims other rows than there are
	changed.Tables[0].Records++
	if err := p.keepManifest(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if job, err = p.VerifyBackup(t.Context(), admin, b.Name); err == nil {
		_, err = p.jobs.wait(t.Context(), job.ID)
	}
	if err == nil || !strings.Contains(err.Error(), "check of rows") {
		t.Errorf("a backup with a missing row gave %v", err)
	}
	broken := store.Backup{Backup: holdfast.Backup{ID: "bak_broken", Name: "backup_prod_broken", Project: "shop", Branch: "production", State: holdfast.BackupFailed, StartedAt: time.Now(), Failure: "the disk is full"},
		ProjectID: projectID(t, p, "shop"), Environment: holdfast.Production}
	if err := h.store.Update(t.Context(), func(tx *store.Tx) error { return tx.PutBackup(broken) }); err != nil {
		t.Fatal(err)
	}
	if s, alerts := standing(0); len(alerts) != 2 || s.Failing.Backup != broken.Name || s.Failing.Why != broken.Failure || s.Unproved.Backup != b.Name || !strings.Contains(s.Unproved.Why, "check of rows") {
		t.Errorf("after failures it stands at %+v, %q", s, alerts)
	}
}

// A year of schedules in virtual time.
func TestSchedulesRunOnceCatchUpAndLetGo(t *testing.T) {
	h := newHome(t)
	var ahead atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/development")
	tick := func() {
		t.Helper()
		if err := errors.Join(p.runSchedules(t.Context()), p.applyRetention(t.Context())); err != nil {
			t.Fatal(err)
		}
		var all []store.Schedule
		_ = h.store.View(t.Context(), func(tx *store.Tx) (err error) { all, err = tx.Schedules(""); return err })
		for _, s := range all {
			if s.JobID != "" {
				if _, err := p.jobs.wait(t.Context(), s.JobID); err != nil {
					t.Error(err)
				}
			}
		}
	}
	made := func() []BackupView {
		t.Helper()
		all, err := p.Backups(t.Context(), admin, "shop", "development")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	tick()
	defaults, err := p.Schedules(t.Context(), admin, ref(t, "shop/production"))
	if err != nil || len(defaults) != 4 {
		t.Fatalf("production has %+v, %v", defaults, err)
	}
	for _, s := range defaults { // only development's is looked at below
		if err := p.DeleteSchedule(t.Context(), admin, ref(t, "shop/production"), s.Name); err != nil {
			t.Fatal(err)
		}
	}
	weekly := holdfast.Schedule{Name: "weekly", Work: holdfast.BackupWork, Rule: "weekly on monday at 03:00", Zone: "Europe/Berlin", Options: holdfast.BackupOptions{Format: holdfast.PlainFormat}, Retention: holdfast.Retention{KeepLast: 2}}
	if err := p.SetSchedule(t.Context(), admin, r, weekly); err != nil {
		t.Fatal(err)
	}
	tick()
	if len(made()) != 0 {
		t.Error("it ran before it was due")
	}
	ahead.Add(int64(15 * 24 * time.Hour))
	tick()
	tick()
	if n := len(made()); n != 1 {
		t.Errorf("after two missed weeks there are %d backups, want one that catches up", n)
	}
	pin := true
	first := made()[0]
	if _, err := p.ChangeBackup(t.Context(), admin, string(first.ID), BackupChange{Pinned: &pin}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		ahead.Add(int64(7 * 24 * time.Hour))
		tick()
	}
	tick()
	all := made()
	if len(all) != 3 || all[2].ID != first.ID {
		t.Errorf("kept are %d, want the two newest and the pinned one", len(all))
	}
	if again, err := p.Schedules(t.Context(), admin, ref(t, "shop/production")); err != nil || len(again) != 0 {
		t.Errorf("deleted defaults came back: %+v, %v", again, err)
	}
	// Backups outlive what they are of: a project without branches and schedules still has them.
	if _, err := os.Stat(filepath.Join(h.repository, "backups", string(projectID(t, p, "shop")), first.Name)); err != nil {
		t.Error(err)
	}
}

// What a production begins with, three months long, in virtual time. The year of all of them is played in internal/schedule.
func TestAProductionsDefaultSchedulesKeepWhatTheyPromise(t *testing.T) {
	h := newHome(t)
	var ahead atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	r := ref(t, "shop/production")
	change(t, p, "shop/production", shopTables)
	settle := func() {
		t.Helper()
		if err := p.runSchedules(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := p.Schedules(t.Context(), admin, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.JobID == "" {
				continue
			}
			if _, err := p.jobs.wait(t.Context(), s.JobID); err != nil {
				t.Error(err)
			}
		}
		if err := p.applyRetention(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	if err := p.DeleteSchedule(t.Context(), admin, r, "nightly drill"); err != nil { // it has a test of its own
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	ahead.Store(int64(35 * day))
	settle()
	formats := func() map[holdfast.BackupFormat]holdfast.BackupID {
		t.Helper()
		all, err := p.Backups(t.Context(), admin, "shop", "production")
		if err != nil {
			t.Fatal(err)
		}
		out := map[holdfast.BackupFormat]holdfast.BackupID{}
		for _, b := range all { // from new to old: the oldest of each is what is left
			if b.State != holdfast.BackupCompleted {
				t.Errorf("%s is %s: %s", b.Name, b.State, b.Failure)
			}
			out[b.Options.Format] = b.ID
		}
		return out
	}
	first := formats()
	if len(first) != 2 || first[holdfast.CustomFormat] == "" || first[holdfast.JSONFormat] == "" {
		t.Fatalf("a month later there are %v, want a dump and a full export", first)
	}
	checkpoints, err := p.Checkpoints(t.Context(), admin, r)
	if err != nil {
		t.Fatal(err)
	}
	daily := slices.DeleteFunc(checkpoints, func(c holdfast.Checkpoint) bool { return c.Reason != holdfast.DailyCheckpoint })
	if len(daily) != 1 || daily[0].Lost != "" || daily[0].KeptUntil.Sub(h.now()).Round(time.Hour) != 30*day {
		t.Errorf("the daily checkpoint is %+v, want one that is kept for 30 days and can be restored", daily)
	}
	ahead.Store(int64((35 + 91) * day))
	settle()
	if now := formats(); now[holdfast.CustomFormat] != first[holdfast.CustomFormat] {
		t.Error("the weekly dump left before its three months were over")
	}
	ahead.Store(int64((35 + 93) * day))
	settle()
	if now := formats(); now[holdfast.CustomFormat] == first[holdfast.CustomFormat] || now[holdfast.JSONFormat] != first[holdfast.JSONFormat] {
		t.Error("after three months the weekly dump is still there, or the export that is kept a year is not")
	}
}
