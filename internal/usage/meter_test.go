package usage

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func minute(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Minute))) }

// The amounts of this day were worked out by hand.
func TestAKnownTimelineGivesKnownAmounts(t *testing.T) {
	const GB = 1_000_000_000
	small := Levels{Quarters: 1, RootBytes: 2 * GB, DataLogical: 3 * GB, HistoryBytes: GB, BackupBytes: 4 * GB, BackupLogical: 2 * GB, Branches: 1}
	large := small
	large.Quarters, large.RootBytes = 4, 5*GB
	readings := []Reading{
		{At: minute(0), Born: minute(0), Levels: small, Run: "a", Server: "s", WAL: 1000},
		// Awake at 12:10 and asleep at 12:25, the five idle minutes included.
		{At: minute(30), Levels: small, Run: "a", Received: 100, Sent: 700, Server: "s", WAL: 1500, Changes: []Change{{minute(10), true}, {minute(25), false}}},
		// Awake at 12:50; read at 13:10, from when on it is larger.
		{At: minute(70), Levels: large, Run: "a", Received: 150, Sent: 900, Server: "s", WAL: 4500, Changes: []Change{{minute(50), true}}},
		// The control plane began anew at 13:20. The server ran on all the time.
		{At: minute(80), Levels: large, Run: "b", Received: 10, Sent: 20, Server: "s", WAL: 4500, Changes: []Change{{minute(70), true}}},
		// Other data took its place, whose WAL goes elsewhere; asleep at 13:30.
		{At: minute(120), Levels: large, Run: "b", Received: 10, Sent: 25, Server: "t", WAL: 9_000_000, Changes: []Change{{minute(90), false}}},
		{At: minute(130), Levels: large, Run: "b", Received: 10, Sent: 25, Server: "t", WAL: 9_000_100},
	}
	got := map[time.Time]holdfast.Usage{}
	var m Meter
	for _, r := range readings {
		raw, _ := json.Marshal(m) // as it is kept
		m = Meter{}
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		next, hours := m.Count(r)
		for _, h := range hours {
			u := got[h.Start]
			u.Add(h.Used)
			got[h.Start] = u
		}
		m = next
	}
	const M = 60_000_000 // microseconds of a minute
	want := map[time.Time]holdfast.Usage{
		minute(0): {AwakeMicros: 25 * M, ComputeMicros: 25 * M, RootBytes: 2 * GB * 3600, DataLogical: 3 * GB * 3600, HistoryBytes: GB * 3600, BackupBytes: 4 * GB * 3600, BackupLogical: 2 * GB * 3600,
			Written: 500, Received: 100, Sent: 700, BranchMicros: 60 * M},
		// 10 minutes at one quarter, 20 at four; 2 GB for 10 minutes, 5 GB for 50.
		minute(60): {AwakeMicros: 30 * M, ComputeMicros: (10 + 20*4) * M, RootBytes: 2*GB*600 + 5*GB*3000, DataLogical: 3 * GB * 3600, HistoryBytes: GB * 3600, BackupBytes: 4 * GB * 3600,
			BackupLogical: 2 * GB * 3600, Written: 3000, Received: 60, Sent: 225, BranchMicros: 60 * M},
		minute(120): {RootBytes: 5 * GB * 600, DataLogical: 3 * GB * 600, HistoryBytes: GB * 600, BackupBytes: 4 * GB * 600, BackupLogical: 2 * GB * 600, Written: 100, BranchMicros: 10 * M},
	}
	for start, w := range want {
		if got[start] != w {
			t.Errorf("hour of %s:\n got %+v\nwant %+v", start.Format("15:04"), got[start], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d hours, want %d", len(got), len(want))
	}
}

// world is the truth that the meter is to find out: servers that run, and clients that move bytes.
type world struct {
	now   time.Time
	awake []Change // all that ever happened
	sent  uint64   // in this run
	moved uint64   // ever
}

func (w *world) running() bool { return len(w.awake) > 0 && w.awake[len(w.awake)-1].Awake }

// ran is how long the server ever ran.
func (w *world) ran() (total time.Duration) {
	for i, c := range w.awake {
		until := w.now
		if i+1 < len(w.awake) {
			until = w.awake[i+1].At
		}
		if c.Awake {
			total += until.Sub(c.At)
		}
	}
	return total
}

// Whatever happens in whatever order, and wherever the control plane or the whole machine crashes, nothing is counted twice, and a crash
// loses only what was used since the last count. Without a crash every microsecond is counted.
func TestACrashLosesWhatWasNotCountedYetAndCountsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{now: noon}
		var stored Meter // in the store, with the amounts: one transaction
		var amounts holdfast.Usage
		run, pending, fresh := 0, []Change(nil), true
		var ranAtBegin bool // when the control plane began
		var startedAtBegin time.Time
		var lost time.Duration
		var lostBytes uint64
		born := noon
		read := func() Reading {
			r := Reading{At: w.now, Born: born, Levels: Levels{Quarters: 1, Branches: 1}, Run: string(rune('a' + run)), Sent: w.sent}
			if fresh && run > 0 {
				r.Changes = stored.Resume(ranAtBegin, startedAtBegin)
			}
			r.Changes = append(r.Changes, pending...)
			return r
		}
		count := func(commits bool) {
			next, hours := stored.Count(read())
			if !commits {
				return // it crashed before the transaction was there
			}
			if next.Through.Equal(stored.Through) {
				return
			}
			stored, pending, fresh = next, nil, false
			amounts.Add(Sum(hours))
		}
		change := func(awake bool) {
			c := Change{At: w.now, Awake: awake}
			w.awake, pending = append(w.awake, c), append(pending, c)
		}
		// beginAgain is the start of the control plane: what happened between the last count and now is forgotten.
		beginAgain := func() {
			if ranAtBegin = w.running(); ranAtBegin {
				startedAtBegin = w.awake[len(w.awake)-1].At
			}
			unseen := w.ran() - time.Duration(amounts.AwakeMicros)*time.Microsecond - lost
			if !w.running() || len(pending) > 0 {
				lost += unseen // what can be known of it afterwards is less, and none of it is needed
			}
			lostBytes += w.moved - uint64(amounts.Sent) - lostBytes
			run, pending, fresh, w.sent = run+1, nil, true, 0
		}
		count(true)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"wait", "wait", "count", "count", "wake or sleep", "bytes", "crash", "crash in a count", "machine crash"}).Draw(t, "step") {
			case "wait":
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, int64(100*time.Minute/time.Microsecond)).Draw(t, "for")) * time.Microsecond)
			case "count":
				count(true)
			case "wake or sleep":
				change(!w.running())
			case "bytes":
				n := rapid.Uint64Range(1, 1000).Draw(t, "bytes")
				w.sent, w.moved = w.sent+n, w.moved+n
			case "crash":
				beginAgain()
				count(true)
			case "crash in a count":
				count(false)
				beginAgain()
				count(true)
			case "machine crash":
				if w.running() {
					w.awake = append(w.awake, Change{At: w.now})
				}
				beginAgain()
				count(true)
			}
		}
		w.now = w.now.Add(time.Second)
		count(true)
		counted, ran := time.Duration(amounts.AwakeMicros)*time.Microsecond, w.ran()
		if counted > ran {
			t.Fatalf("counted %s of %s", counted, ran)
		}
		if counted < ran-lost {
			t.Fatalf("counted %s of %s, of which crashes may have lost %s", counted, ran, lost)
		}
		if there := w.now.Sub(born); time.Duration(amounts.BranchMicros)*time.Microsecond != there {
			t.Fatalf("it was there for %s, counted %d µs", there, amounts.BranchMicros)
		}
		if uint64(amounts.Sent) > w.moved || uint64(amounts.Sent) < w.moved-lostBytes {
			t.Fatalf("counted %d bytes of %d, of which crashes may have lost %d", amounts.Sent, w.moved, lostBytes)
		}
	})
}

func TestTheClockSetBackCountsNothing(t *testing.T) {
	first, _ := Meter{}.Count(Reading{At: minute(10), Born: minute(0), Levels: Levels{Branches: 1}, Run: "a"})
	same, hours := first.Count(Reading{At: minute(5), Levels: Levels{Branches: 1}, Run: "a", Sent: 5})
	if same != first || hours != nil {
		t.Errorf("got %+v, %v", same, hours)
	}
	_, hours = first.Count(Reading{At: minute(12), Levels: Levels{Branches: 1}, Run: "a", Sent: 5})
	if u := Sum(hours); u.BranchMicros != 120_000_000 || u.Sent != 5 {
		t.Errorf("got %+v", u)
	}
}

func TestAServerThatWentBackWritesAgainWhatIsCounted(t *testing.T) {
	m := Meter{Through: minute(0), Server: "s", WAL: 1000}
	var written int64
	for i, wal := range []holdfast.LSN{1500, 1200, 1400, 1700} {
		next, hours := m.Count(Reading{At: minute(float64(i + 1)), Server: "s", WAL: wal})
		written += Sum(hours).Written
		m = next
	}
	if written != 700 {
		t.Errorf("written %d, want 700", written)
	}
}

func TestBillingPeriods(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, c := range []struct {
		at   string
		day  int
		from string
		to   string
	}{
		{"2026-11-20T12:00:00Z", 1, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		{"2026-11-20T12:00:00Z", 21, "2026-10-21T00:00:00Z", "2026-11-21T00:00:00Z"},
		{"2026-01-01T00:00:00Z", 1, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"2026-03-27T23:59:59Z", 28, "2026-02-28T00:00:00Z", "2026-03-28T00:00:00Z"},
		{"2026-03-01T01:00:00+02:00", 1, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"}, // still February in UTC
	} {
		if got := Period(at(c.at), c.day); !got.From.Equal(at(c.from)) || !got.To.Equal(at(c.to)) {
			t.Errorf("%s from day %d: got %v", c.at, c.day, got)
		}
	}
	if steps := Steps(Span{From: at("2026-01-31T10:00:00Z"), To: at("2026-03-02T00:00:01Z")}, ByMonth, 1); len(steps) != 3 || !steps[2].To.Equal(at("2026-04-01T00:00:00Z")) {
		t.Errorf("got %v", steps)
	}
}

func TestCostAndForecast(t *testing.T) {
	prices := holdfast.UsagePrices{Currency: "EUR", StartDay: 1, Prices: map[holdfast.UsageMetric]float64{
		holdfast.ComputeUnitSeconds: 0.1, holdfast.RootBranchBytesMonth: 0.35, holdfast.ExtraBranchesMonth: 1.5}}
	// Ten hours at one unit, 2 GB for 372 hours, one branch more for 744: 1.00 + 0.35 + 1.50.
	used := holdfast.Usage{ComputeMicros: 10 * 3600 * 4e6, RootBytes: 2e9 * 372 * 3600, ChildMicros: 744 * 3600 * 1e6}
	lines, total := Cost(used, prices)
	if math.Abs(total-2.85) > 1e-9 || len(lines) != 3 || lines[0].Quantity != 10 || lines[1].Quantity != 1 || lines[2].Quantity != 1 {
		t.Errorf("got %v, %+v", total, lines)
	}
	// Half of the period is over, and the last week used 70: ten a day for the fifteen days that are left.
	period := Span{From: noon, To: noon.AddDate(0, 0, 30)}
	now := noon.AddDate(0, 0, 15)
	pace := Pace(now, noon.AddDate(0, 0, -100))
	if got := Forecast(holdfast.Usage{Sent: 100}, holdfast.Usage{Sent: 70}, pace, period); got.Sent != 250 {
		t.Errorf("got %+v", got)
	}
	if pace := Pace(now, now.Add(-time.Hour)); pace.To.Sub(pace.From) != time.Hour {
		t.Errorf("got %v", pace)
	}
}

func TestTheSizeFollowsSharedBuffers(t *testing.T) {
	for setting, want := range map[string]int64{"32MB": 1, "128MB": 1, "256MB": 1, "257MB": 2, "1GB": 4, "1.5GB": 6, "131072": 4, "4 GB": 16, "": 1, "lots": 1, "262144kB": 1, "1TB": 4096} {
		if got := Size(setting); got != want {
			t.Errorf("%q: got %d, want %d", setting, got, want)
		}
	}
}
