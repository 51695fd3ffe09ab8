package schema

import "slices"

// HazardClass is why a statement deserves a look before it runs on production.
type HazardClass string

// The classes of hazards. A statement without any is Safe: catalogue only, short, and invisible to running code.
const (
	Safe       HazardClass = "safe"
	Locking    HazardClass = "locking"             // holds a lock that stops readers or writers for as long as it scans or works
	Rewrites   HazardClass = "rewrites"            // writes the whole table or index again
	Lossy      HazardClass = "lossy"               // values can be lost, even though what is dropped is set aside
	Breaking   HazardClass = "breaks running code" // code that was written for the old structure can fail
	DataBlocks HazardClass = "blocked by data"     // rows that exist can make it fail
)

// Hazard is one such reason, with words for a person.
type Hazard struct {
	Class HazardClass `json:"class"`
	Text  string      `json:"text"`
}

// LockMode is a table lock as PostgreSQL names it. The zero value means that no table is locked against readers or writers.
type LockMode string

// The lock modes that matter here, from weak to strong.
const (
	NoLock               LockMode = ""
	ShareUpdateExclusive LockMode = "SHARE UPDATE EXCLUSIVE" // readers and writers go on
	Share                LockMode = "SHARE"                  // writers wait
	ShareRowExclusive    LockMode = "SHARE ROW EXCLUSIVE"    // writers wait
	AccessExclusive      LockMode = "ACCESS EXCLUSIVE"       // everybody waits
)

var lockOrder = []LockMode{NoLock, ShareUpdateExclusive, Share, ShareRowExclusive, AccessExclusive}

// Stronger says whether l stops more than other.
func (l LockMode) Stronger(other LockMode) bool {
	return slices.Index(lockOrder, l) > slices.Index(lockOrder, other)
}

// Statement is one step of a plan.
type Statement struct {
	SQL         string    `json:"sql"`
	Object      Address   `json:"object"`
	Description string    `json:"description"` // what it does, in plain words
	Hazards     []Hazard  `json:"hazards,omitempty"`
	Lock        LockMode  `json:"lock,omitempty"`
	Locks       []Address `json:"locks,omitempty"` // the tables that it locks
	// Transactional statements of one group run in one transaction. The others commit by themselves.
	Transactional bool `json:"transactional"`
	Group         int  `json:"group"`
	// Repeat: run again, each time in a transaction of its own, until it affects no row.
	Repeat bool `json:"repeat,omitempty"`
	// Scans: it reads or writes whole tables, so it must not share a transaction with others' locks.
	Scans bool `json:"scans,omitempty"`
	// Cleanup undoes what a failed attempt of a statement outside a transaction leaves behind.
	Cleanup string `json:"cleanup,omitempty"`
}

// Class is the worst of the statement's hazards.
func (s Statement) Class() HazardClass {
	order := []HazardClass{DataBlocks, Lossy, Breaking, Rewrites, Locking}
	for _, class := range order {
		if slices.ContainsFunc(s.Hazards, func(h Hazard) bool { return h.Class == class }) {
			return class
		}
	}
	return Safe
}

// statement starts a transactional statement about o.
func statement(o Address, description, sql string) Statement {
	return Statement{SQL: sql, Object: o, Description: description, Transactional: true}
}

// locking sets the lock that the statement takes on tables.
func (s Statement) locking(mode LockMode, tables ...Address) Statement {
	s.Lock, s.Locks = mode, tables
	return s
}

func (s Statement) hazard(class HazardClass, text string) Statement {
	s.Hazards = append(slices.Clip(s.Hazards), Hazard{class, text})
	if class == Rewrites {
		s.Scans = true
	}
	return s
}

// alone takes the statement out of transactions; cleanup removes what a failed attempt leaves.
func (s Statement) alone(cleanup string) Statement {
	s.Transactional, s.Cleanup = false, cleanup
	return s
}

// scanning marks a statement that reads whole tables.
func (s Statement) scanning() Statement {
	s.Scans = true
	return s
}
