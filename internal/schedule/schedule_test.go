package schedule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schedule"
)

func parse(t *testing.T, rule, zone string) schedule.Rule {
	t.Helper()
	r, err := schedule.Parse(rule, zone)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestRulesInWordsAndInCronAgree(t *testing.T) {
	for _, c := range []struct{ words, cron string }{
		{"hourly", "0 * * * *"}, {"hourly at :15", "15 * * * *"}, {"daily", "0 0 * * *"}, {"Daily at 03:30", "30 3 * * *"},
		{"weekly", "0 0 * * 0"}, {"weekly on friday at 23:05", "5 23 * * 5"}, {"monthly", "0 0 1 * *"}, {"monthly on 15 at 4:00", "0 4 15 * *"},
	} {
		words, cron := parse(t, c.words, "Europe/Berlin"), parse(t, c.cron, "Europe/Berlin")
		a, b := at(t, "2026-01-01T00:00:00Z"), at(t, "2026-01-01T00:00:00Z")
		for range 50 {
			a, b = words.Next(a), cron.Next(b)
			if !a.Equal(b) {
				t.Fatalf("%s: %s but %s: %s", c.words, a, c.cron, b)
			}
		}
	}
}

func TestWhatIsNoRuleIsRefused(t *testing.T) {
	for _, c := range []struct{ rule, zone string }{
		{"", ""}, {"sometimes", ""}, {"daily at 25:00", ""}, {"daily at 3", ""}, {"daily on monday", ""}, {"weekly on someday", ""},
		{"monthly on 31", ""}, {"hourly at 15", ""}, {"0 0 30 2 *", ""}, {"TZ=UTC 0 0 * * *", ""}, {"CRON_TZ=UTC 0 0 * * *", ""},
		{"@every 1s", ""}, {"* * * * * *", ""}, {"daily", "Mars/Olympus"}, {"daily", "Local"}, {"daily at 03:00 at 04:00", ""}, {"daily at", ""},
	} {
		if _, err := schedule.Parse(c.rule, c.zone); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%q in %q: got %v", c.rule, c.zone, err)
		}
	}
}

// In Berlin the clock jumps from 02:00 to 03:00 on 2026-03-29 and goes back from 03:00 to 02:00 on 2026-10-25.
func TestADailyRunHappensOnceOnTheDaysWhenTheClockIsChanged(t *testing.T) {
	r := parse(t, "daily at 02:30", "Europe/Berlin")
	for _, c := range []struct{ after, want string }{
		{"2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"}, // 02:30 does not come: at the jump
		{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"}, // the first of two 02:30
		{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z"},
	} {
		if got := r.Next(at(t, c.after)); !got.Equal(at(t, c.want)) {
			t.Errorf("after %s: got %s, want %s", c.after, got.UTC(), c.want)
		}
	}
}

func TestAnHourlyRunHappensEveryHourOfRealTime(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"} {
		r := parse(t, "hourly at :15", zone)
		last := r.Next(at(t, "2018-01-01T00:00:00Z"))
		for range 3 * 9000 {
			next := r.Next(last)
			// Lord Howe changes by half an hour: then the wall clock's quarter comes after 30 or 90 minutes.
			if d := next.Sub(last); d != time.Hour && (zone != "Australia/Lord_Howe" || d != 30*time.Minute && d != 90*time.Minute) {
				t.Fatalf("%s: %s after %s", zone, next, last)
			}
			last = next
		}
	}
}

// Midnight does not exist on some days in Beirut and, earlier, in Sao Paulo.
func TestADailyRunHappensEveryDayEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe", "Europe/Berlin", "America/New_York", "UTC"}).Draw(t, "zone")
		hour := rapid.IntRange(0, 23).Draw(t, "hour")
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		r, err := schedule.Parse("daily at "+time.Date(2000, 1, 1, hour, 30, 0, 0, time.UTC).Format("15:04"), zone)
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(2016, 1, 1, 12, 0, 0, 0, location).AddDate(0, 0, rapid.IntRange(0, 3000).Draw(t, "day"))
		last := r.Next(day)
		for i := range 400 {
			next := r.Next(last)
			tomorrow := time.Date(last.Year(), last.Month(), last.Day()+1, 12, 0, 0, 0, time.UTC)
			if next.Format(time.DateOnly) != tomorrow.Format(time.DateOnly) {
				t.Fatalf("%s: run %d is at %s after %s", zone, i, next, last)
			}
			last = next
		}
	})
}

func TestMissedRunsAreCaughtUpOnce(t *testing.T) {
	r := parse(t, "daily at 03:00", "UTC")
	last := at(t, "2026-05-01T03:00:00Z")
	if _, due := r.Due(last, at(t, "2026-05-02T02:59:59Z")); due {
		t.Error("due too early")
	}
	run, due := r.Due(last, at(t, "2026-05-02T03:00:00Z"))
	if !due || run.Missed != 0 || !run.At.Equal(at(t, "2026-05-02T03:00:00Z")) {
		t.Errorf("got %+v, %v", run, due)
	}
	run, due = r.Due(last, at(t, "2026-05-09T12:00:00Z"))
	if !due || run.Missed != 7 || !run.At.Equal(at(t, "2026-05-09T03:00:00Z")) {
		t.Errorf("after a week without power: got %+v, %v", run, due)
	}
	if _, due = r.Due(run.At, at(t, "2026-05-09T12:00:00Z")); due {
		t.Error("caught up twice")
	}
}

func TestYearsOfMissedMinutesAreCaughtUpOnceAndQuickly(t *testing.T) {
	r := parse(t, "* * * * *", "Europe/Berlin")
	now := at(t, "2026-05-09T12:00:30Z")
	run, due := r.Due(at(t, "2006-01-01T00:00:00Z"), now)
	if !due || run.Missed != schedule.MaxMissed || !run.At.Equal(at(t, "2026-05-09T12:00:00Z")) {
		t.Errorf("got %+v, %v", run, due)
	}
}

func TestTheSameRunHasTheSameDelay(t *testing.T) {
	when := at(t, "2026-05-09T12:00:00Z")
	seen := map[time.Duration]bool{}
	for i := range 100 {
		d := schedule.Delay("s1", when.Add(time.Duration(i)*time.Hour), time.Hour)
		if d != schedule.Delay("s1", when.Add(time.Duration(i)*time.Hour), time.Hour) || d < 0 || d >= time.Hour {
			t.Fatalf("got %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 90 {
		t.Errorf("only %d different delays", len(seen))
	}
	if schedule.Delay("s1", when, 0) != 0 {
		t.Error("a delay without jitter")
	}
}

func TestTheDefaultSchedulesAreValid(t *testing.T) {
	for _, s := range holdfast.DefaultSchedules() {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
		parse(t, s.Rule, s.Zone)
	}
}

// A year of what a production begins with, looked at every six hours: each backup and checkpoint stays as long as was promised and no
// longer, whatever the month's length, and the last good backup for ever.
func TestAYearOfTheDefaultSchedules(t *testing.T) {
	const day = 24 * time.Hour
	begin := at(t, "2027-12-31T12:00:00Z") // with a leap day in it
	kept := map[string]time.Duration{"daily checkpoint": 30 * day, "weekly dump": 92 * day, "monthly export": 366 * day}
	for _, s := range holdfast.DefaultSchedules() {
		rule := parse(t, s.Rule, s.Zone)
		promised, stays := kept[s.Name]
		if stays != (s.Retention.KeepFor > 0) {
			t.Fatalf("%s keeps for %s", s.Name, s.Retention.KeepFor)
		}
		var made []holdfast.Backup
		last, runs := begin, 0
		for now := begin; now.Before(begin.Add(366 * day)); now = now.Add(6 * time.Hour) {
			due, is := rule.Due(last, now)
			if is && due.Missed > 0 {
				t.Fatalf("%s: %d runs are missed at %s, though somebody looked all the time", s.Name, due.Missed, now)
			}
			if is {
				last, runs = due.At, runs+1
				made = append(made, holdfast.Backup{Name: due.At.String(), State: holdfast.BackupCompleted, StartedAt: due.At, Size: 1})
			}
			stay, leave := s.Retention.Divide(now, time.UTC, made)
			for _, b := range leave {
				if age := now.Sub(b.StartedAt); stays && age < promised {
					t.Fatalf("%s: one leaves after %s", s.Name, age)
				}
			}
			made = made[:0]
			for _, k := range stay {
				if age := now.Sub(k.Backup.StartedAt); stays && age >= promised+6*time.Hour && !k.Protected() {
					t.Fatalf("%s: one is still there after %s", s.Name, age)
				}
				made = append(made, k.Backup)
			}
		}
		want := map[string]int{"daily checkpoint": 366, "weekly dump": 53, "monthly export": 12, "nightly drill": 366}[s.Name]
		if runs != want {
			t.Errorf("%s ran %d times in a leap year, want %d", s.Name, runs, want)
		}
		if left := map[string]int{"daily checkpoint": 30, "weekly dump": 13, "monthly export": 11}[s.Name]; stays && len(made) < left {
			t.Errorf("%s: %d are left, want at least %d", s.Name, len(made), left)
		}
	}
}
