package holdfast_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
)

func TestParsePoint(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 20, 14, 30, 0, 0, zone)
	at := func(day, hour, minute, second, nano int, z *time.Location) holdfast.Point {
		return holdfast.Point{At: time.Date(2026, 11, day, hour, minute, second, nano, z)}
	}
	for text, want := range map[string]holdfast.Point{
		"latest":                       {},
		" Now ":                        {},
		"10 minutes ago":               {At: now.Add(-10 * time.Minute)},
		"a minute ago":                 {At: now.Add(-time.Minute)},
		"an hour ago":                  {At: now.Add(-time.Hour)},
		"1h30m ago":                    {At: now.Add(-90 * time.Minute)},
		"1 hour, 30 minutes ago":       {At: now.Add(-90 * time.Minute)},
		"1 hour and 5 secs ago":        {At: now.Add(-time.Hour - 5*time.Second)},
		"2 weeks 1d ago":               {At: now.Add(-15 * 24 * time.Hour)},
		"2026-11-20 14:03:11+01":       at(20, 14, 3, 11, 0, zone),
		"2026-11-20T11:03:11.25Z":      at(20, 11, 3, 11, 250e6, time.UTC),
		"2026-11-20 07:03:11.5 -05:30": at(20, 12, 33, 11, 500e6, time.UTC),
		"2026-11-20 14:03":             at(20, 14, 3, 0, 0, zone),
		"2026-11-19":                   at(19, 0, 0, 0, 0, zone),
		"yesterday 9:15":               at(19, 9, 15, 0, 0, zone),
		"today":                        at(20, 0, 0, 0, 0, zone),
		"14:03:11":                     at(20, 14, 3, 11, 0, zone),
		"23:00":                        at(19, 23, 0, 0, 0, zone),
		"13:10 UTC":                    at(20, 13, 10, 0, 0, time.UTC),
		"lsn:16/B374D848":              {LSN: 0x16B374D848},
		"checkpoint:cp_ABC":            {Checkpoint: "cp_ABC"},
	} {
		got, err := holdfast.ParsePoint(text, now)
		if err != nil || !got.At.Equal(want.At) || got.LSN != want.LSN || got.Checkpoint != want.Checkpoint {
			t.Errorf("ParsePoint(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "ago", "10 parsecs ago", "2026-13-01", "2026-11-20 25:00", "14", "lsn:zz", "lsn:0/0", "checkpoint:",
		"99999999999 years ago", "4000000000 weeks ago", "2026-11-21", "2026-11-20 14:03:11 -05:30", "2026-11-20 14:03 +99", "-5 minutes ago"} {
		if got, err := holdfast.ParsePoint(text, now); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("ParsePoint(%q) = %v, %v; want it refused", text, got, err)
		}
	}
}

func TestWindowNamesTheGap(t *testing.T) {
	t0 := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	hour := func(h int) time.Time { return t0.Add(time.Duration(h) * time.Hour) }
	w := holdfast.Window{Earliest: hour(1), Latest: hour(10), Gaps: []holdfast.Gap{{From: hour(3), To: hour(4), Reason: "WAL was lost"}}}
	got := map[string]holdfast.Kind{}
	for name, at := range map[string]time.Time{"before": hour(0), "first": hour(1), "gap begins": hour(3), "in gap": hour(3).Add(time.Minute), "gap ends": hour(4), "last": hour(10), "after": hour(11)} {
		if err := w.Check(at); err != nil {
			got[name] = holdfast.KindOf(err)
		}
	}
	want := map[string]holdfast.Kind{"before": holdfast.NotFound, "in gap": holdfast.NotFound, "after": holdfast.Invalid}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if holdfast.KindOf(holdfast.Window{}.Check(t0)) != holdfast.Precondition {
		t.Error("an empty window was accepted")
	}
}
