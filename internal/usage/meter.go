// Package usage turns what was seen of a branch into amounts: when its server ran and how much it held and moved. It knows billing periods,
// prices and forecasts.
//
// A caller may rely on this: it is arithmetic. A Meter says up to when a branch is counted; whoever stores the amounts together with the new
// Meter, in one transaction, counts nothing twice and loses after a crash only what was not read yet. It never asks for the time.
package usage

import (
	"time"

	"github.com/holdfast/holdfast"
)

// Meter is how far a branch is counted, and what it was like then. It is kept as JSON.
type Meter struct {
	Through time.Time `json:"through"` // everything before is counted; zero: nothing is yet
	Awake   bool      `json:"awake"`   // then
	Levels  Levels    `json:"levels"`  // from then on

	Run      string `json:"run"` // whose counters the next two are
	Received uint64 `json:"received"`
	Sent     uint64 `json:"sent"`

	Server string       `json:"server"` // whose WAL position the next one is; empty: of none
	WAL    holdfast.LSN `json:"wal"`
}

// Levels is what a branch holds at a moment.
type Levels struct {
	Quarters       int64 `json:"quarters"` // its size while awake: see Size
	RootBytes      int64 `json:"root_bytes"`
	ChildBytes     int64 `json:"child_bytes"`
	DataLogical    int64 `json:"data_logical"`
	HistoryBytes   int64 `json:"history_bytes"`
	HistoryLogical int64 `json:"history_logical"`
	BackupBytes    int64 `json:"backup_bytes"`
	BackupLogical  int64 `json:"backup_logical"`
	Branches       int64 `json:"branches"` // 1 while it is there, 0 when only its backups are left
	Children       int64 `json:"children"` // 1 while it is there and is a copy
}

// Change says that a branch's server began or ceased to run.
type Change struct {
	At    time.Time
	Awake bool
}

// Reading is what was seen of a branch since it was last counted.
type Reading struct {
	At      time.Time
	Born    time.Time // where nothing is counted yet: since when to count
	Changes []Change  // in the order in which they happened
	Levels  Levels    // now

	// Counters that begin at zero with a Run: bytes from clients and to them.
	Run            string
	Received, Sent uint64

	// How far the WAL of a server goes. Another Server begins anew: what was there before is not what this one wrote. Empty: not known now.
	Server string
	WAL    holdfast.LSN
}

// Hour is what was used in one hour, or in a part of it.
type Hour struct {
	Start time.Time
	Used  holdfast.Usage
}

// Count counts up to the reading. It returns the meter and the amounts that belong into one transaction. A reading that is not younger than
// what is counted already, as after the clock was set back, counts nothing and changes nothing.
func (m Meter) Count(r Reading) (Meter, []Hour) {
	at := r.At.Truncate(time.Microsecond).UTC()
	next := Meter{Through: at, Awake: m.Awake, Levels: r.Levels, Run: r.Run, Received: r.Received, Sent: r.Sent, Server: r.Server, WAL: r.WAL}
	levels, from := m.Levels, m.Through
	if from.IsZero() {
		levels, from = r.Levels, r.Born.Truncate(time.Microsecond).UTC()
	}
	if at.Before(from) || at.Equal(m.Through) {
		return m, nil
	}
	var hours hours
	for _, c := range r.Changes {
		until := c.At.Truncate(time.Microsecond).UTC()
		if until.After(from) {
			until = earlier(until, at)
			hours.hold(from, until, next.Awake, levels)
			from = until
		}
		next.Awake = c.Awake
	}
	hours.hold(from, at, next.Awake, levels)
	hours.move(at, m.moved(r))
	switch {
	case r.Server == "":
		next.Server, next.WAL = m.Server, m.WAL
	case r.Server == m.Server: // one that went back, as after a crash of the machine, writes again what is counted
		next.WAL = max(m.WAL, r.WAL)
	}
	return next, hours
}

// moved is what passed since the last reading.
func (m Meter) moved(r Reading) holdfast.Usage {
	if m.Run != r.Run { // the counters began at zero since
		m.Received, m.Sent = 0, 0
	}
	u := holdfast.Usage{Received: increase(m.Received, r.Received), Sent: increase(m.Sent, r.Sent)}
	if r.Server != "" && r.Server == m.Server {
		u.Written = increase(uint64(m.WAL), uint64(r.WAL))
	}
	return u
}

func increase(from, to uint64) int64 {
	if to < from {
		return 0
	}
	return int64(to - from)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Resume says what happened to a server between the last count and the begin of a new run of the control plane, as far as it can be known.
// started is when the server that runs now began to; it is not awake when none does. What cannot be known is not counted.
func (m Meter) Resume(awake bool, started time.Time) []Change {
	switch {
	case m.Through.IsZero():
		return []Change{{At: started, Awake: awake}}
	case !awake:
		return []Change{{At: m.Through}}
	case started.After(m.Through):
		return []Change{{At: m.Through}, {At: started, Awake: true}}
	}
	return []Change{{At: m.Through, Awake: true}} // it ran all the time
}

// hours adds amounts up by the hour. Their starts ascend.
type hours []Hour

// of is the amounts of the hour that begins at start, which is not before the last one's.
func (h *hours) of(start time.Time) *holdfast.Usage {
	if n := len(*h); n == 0 || (*h)[n-1].Start.Before(start) {
		*h = append(*h, Hour{Start: start})
	}
	return &(*h)[len(*h)-1].Used
}

// hold counts what is held from one moment to another.
func (h *hours) hold(from, to time.Time, awake bool, l Levels) {
	for from.Before(to) {
		start := from.Truncate(time.Hour)
		until := earlier(start.Add(time.Hour), to)
		micros := until.Sub(from).Microseconds()
		seconds := float64(micros) / 1e6
		u := holdfast.Usage{RootBytes: float64(l.RootBytes) * seconds, ChildBytes: float64(l.ChildBytes) * seconds, DataLogical: float64(l.DataLogical) * seconds,
			HistoryBytes: float64(l.HistoryBytes) * seconds, HistoryLogical: float64(l.HistoryLogical) * seconds,
			BackupBytes: float64(l.BackupBytes) * seconds, BackupLogical: float64(l.BackupLogical) * seconds,
			BranchMicros: micros * l.Branches, ChildMicros: micros * l.Children}
		if awake {
			u.AwakeMicros, u.ComputeMicros = micros, micros*l.Quarters
		}
		h.of(start).Add(u)
		from = until
	}
}

// move counts what passed before a moment. When exactly is not known; the last hour is as good as any.
func (h *hours) move(at time.Time, u holdfast.Usage) {
	if u == (holdfast.Usage{}) {
		return
	}
	start := at.Add(-time.Microsecond).Truncate(time.Hour)
	if n := len(*h); n > 0 {
		start = (*h)[n-1].Start
	}
	h.of(start).Add(u)
}

// Sum adds up.
func Sum(all []Hour) holdfast.Usage {
	var total holdfast.Usage
	for _, h := range all {
		total.Add(h.Used)
	}
	return total
}
