package holdfast

import (
	"slices"
	"time"
)

// MonitoringKept is how long measurements of a branch are kept.
const MonitoringKept = 14 * 24 * time.Hour

// Measurement is what a branch's server said of itself at one moment, while it was awake. The counters count on, also over a sleep, until the server's
// statistics are reset.
type Measurement struct {
	At time.Time

	Connections   int   // client sessions in the branch's database
	Active        int   // of them: running a statement
	InTransaction int   // of them: idle in a transaction
	Waiting       int   // of them: waiting for a lock
	Size          int64 // bytes of the database

	Commits, Rollbacks int64 // counters, as all that follow
	BlocksHit          int64 // blocks found in PostgreSQL's cache
	BlocksRead         int64 // blocks that were not
	Deadlocks          int64
	TempBytes          int64 // written because memory did not suffice
}

// MonitoringStep sums up the measurements of a span of time.
type MonitoringStep struct {
	At           time.Time // its beginning
	Measurements int

	Connections    float64 // on average
	MaxConnections int
	MaxActive      int
	MaxInTx        int
	MaxWaiting     int
	Size           int64 // the last one

	Commits, Rollbacks    int64
	BlocksHit, BlocksRead int64
	Deadlocks             int64
	TempBytes             int64
}

// CacheHit is the share of blocks that were found in the cache, from 0 to 1; false where none was asked for.
func (s MonitoringStep) CacheHit() (float64, bool) {
	if s.BlocksHit+s.BlocksRead == 0 {
		return 0, false
	}
	return float64(s.BlocksHit) / float64(s.BlocksHit+s.BlocksRead), true
}

// MonitoringSteps sums up measurements, which are in the order of time, by steps that begin at from. A step without any is left out: the branch slept. What a counter
// counted since the measurement before, however long ago that was, belongs to the later one; the first of all only begins to count.
func MonitoringSteps(measured []Measurement, from time.Time, step time.Duration) []MonitoringStep {
	var out []MonitoringStep
	for i, m := range measured {
		if m.At.Before(from) {
			continue
		}
		begin := from.Add(m.At.Sub(from).Truncate(step))
		if len(out) == 0 || !out[len(out)-1].At.Equal(begin) {
			out = append(out, MonitoringStep{At: begin})
		}
		s := &out[len(out)-1]
		s.Connections = (s.Connections*float64(s.Measurements) + float64(m.Connections)) / float64(s.Measurements+1)
		s.Measurements++
		s.MaxConnections, s.MaxActive = max(s.MaxConnections, m.Connections), max(s.MaxActive, m.Active)
		s.MaxInTx, s.MaxWaiting = max(s.MaxInTx, m.InTransaction), max(s.MaxWaiting, m.Waiting)
		s.Size = m.Size
		if i > 0 {
			s.count(measured[i-1], m)
		}
	}
	return out
}

func (s *MonitoringStep) count(before, m Measurement) {
	s.Commits += Increase(before.Commits, m.Commits)
	s.Rollbacks += Increase(before.Rollbacks, m.Rollbacks)
	s.BlocksHit += Increase(before.BlocksHit, m.BlocksHit)
	s.BlocksRead += Increase(before.BlocksRead, m.BlocksRead)
	s.Deadlocks += Increase(before.Deadlocks, m.Deadlocks)
	s.TempBytes += Increase(before.TempBytes, m.TempBytes)
}

// Increase is what a counter has counted between two readings. One that is lower than before was reset and began again at zero.
func Increase(before, after int64) int64 {
	if after < before {
		return after
	}
	return after - before
}

// StatementCount is what the server had counted of a kind of statement at the end of an hour. Constants are left out of its text.
type StatementCount struct {
	Hour   time.Time
	SQL    string
	Calls  int64         // a counter, as Time
	Time   time.Duration // spent running it
	Before bool          // it was counted before the time that was asked for
}

// SlowStatement is a kind of statement and what it took within a span of time.
type SlowStatement struct {
	SQL   string
	Calls int64
	Time  time.Duration
}

// SlowStatements sums up counts, which are in the order of time, and gives those that took most time, at most limit. Of a statement that was counted before the span
// only what came since counts.
func SlowStatements(counts []StatementCount, limit int) []SlowStatement {
	last := map[string]StatementCount{}
	sum := map[string]*SlowStatement{}
	for _, c := range counts {
		before := last[c.SQL]
		last[c.SQL] = c
		if c.Before {
			continue
		}
		s := sum[c.SQL]
		if s == nil {
			s = &SlowStatement{SQL: c.SQL}
			sum[c.SQL] = s
		}
		s.Calls += Increase(before.Calls, c.Calls)
		s.Time += time.Duration(Increase(int64(before.Time), int64(c.Time)))
	}
	var out []SlowStatement
	for _, s := range sum {
		if s.Calls > 0 {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b SlowStatement) int {
		if a.Time != b.Time {
			return int(min(max(b.Time-a.Time, -1), 1))
		}
		if a.SQL < b.SQL {
			return -1
		}
		return 1
	})
	return out[:min(len(out), limit)]
}
