package holdfast

import (
	"reflect"
	"testing"
	"time"
)

func TestMonitoringStepsSumUpWhatWasMeasured(t *testing.T) {
	from := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return from.Add(time.Duration(minutes) * time.Minute) }
	measured := []Measurement{
		{At: at(-60), Commits: 100, BlocksHit: 1000, BlocksRead: 10, Deadlocks: 1},
		{At: at(1), Connections: 2, Active: 1, Size: 50, Commits: 110, BlocksHit: 1090, BlocksRead: 20, Deadlocks: 1}, // it slept for an hour
		{At: at(4), Connections: 5, Waiting: 2, InTransaction: 1, Size: 70, Commits: 130, BlocksHit: 1090, BlocksRead: 20, Deadlocks: 2},
		{At: at(11), Connections: 1, Size: 60, Commits: 7, TempBytes: 9}, // a crash reset the statistics
	}
	want := []MonitoringStep{
		{At: from, Measurements: 2, Connections: 3.5, MaxConnections: 5, MaxActive: 1, MaxInTx: 1, MaxWaiting: 2, Size: 70, Commits: 30, BlocksHit: 90, BlocksRead: 10, Deadlocks: 1},
		{At: at(10), Measurements: 1, Connections: 1, MaxConnections: 1, Size: 60, Commits: 7, TempBytes: 9},
	}
	got := MonitoringSteps(measured, from, 5*time.Minute)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if hit, ok := got[0].CacheHit(); !ok || hit != 0.9 {
		t.Errorf("the cache had %v, %v", hit, ok)
	}
	if _, ok := got[1].CacheHit(); ok {
		t.Error("a share of nothing")
	}
}

func TestSlowStatementsCountWhatCameSince(t *testing.T) {
	hour := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	counts := []StatementCount{
		{Hour: hour.Add(-time.Hour), SQL: "old", Calls: 1000, Time: time.Hour, Before: true},
		{Hour: hour, SQL: "old", Calls: 1002, Time: time.Hour + 2*time.Second},
		{Hour: hour, SQL: "new", Calls: 3, Time: 5 * time.Second},
		{Hour: hour, SQL: "still", Calls: 0},
		{Hour: hour.Add(time.Hour), SQL: "old", Calls: 1, Time: time.Second}, // reset
	}
	want := []SlowStatement{{"new", 3, 5 * time.Second}, {"old", 3, 3 * time.Second}}
	if got := SlowStatements(counts, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := SlowStatements(counts, 1); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
