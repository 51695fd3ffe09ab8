package publish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast/holdfast/internal/schema"
)

// Report is what a rehearsal found. Its JSON names are stable.
type Report struct {
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Statements are those of the plan, with what each cost on the copy, as far as they ran.
	Statements []StatementReport `json:"statements"`
	// Error is why the plan did not run to its end on the copy; "" when it did.
	Error string `json:"error,omitempty"`

	// What production will feel.
	Blocked   []BlockedTable `json:"blocked"`    // tables whose users have to wait, those who wait longest first
	DiskBytes int64          `json:"disk_bytes"` // needed meanwhile for what is written anew
	WALBytes  int64          `json:"wal_bytes"`

	// Data integrity.
	Findings       []schema.Finding `json:"findings"`        // rows that stand in the way, values that would not survive
	Tables         []TableSum       `json:"tables"`          // every table that was there before and after
	Sequences      []SequenceBehind `json:"sequences"`       // sequences that would give a number again
	NewColumns     []ColumnProfile  `json:"new_columns"`     // what new columns hold
	InvalidIndexes []string         `json:"invalid_indexes"` // that were not there before
	Unvalidated    []string         `json:"unvalidated"`     // constraints that were not there before

	// Running code and performance.
	Queries     int            `json:"queries"`        // statements of the workload that were tried
	Broken      []QueryFailure `json:"broken"`         // they worked before and fail now
	Untried     []QueryFailure `json:"untried"`        // they could not be prepared before the plan, either
	Performance []QueryChange  `json:"performance"`    // the top statements before and after
	Unused      []string       `json:"unused_indexes"` // new indexes that no top statement uses

	Leftovers []string `json:"leftovers"`  // how the result differs from development, by pg_dump
	KeptDrift []string `json:"kept_drift"` // differences that are there because production has its own
	Reasons   []Reason `json:"reasons"`    // what stands between the plan and production
	Structure string   `json:"-"`          // the copy's dump after the plan, for Order.Expected

	before, after *schema.Catalog // of the copy; after is nil when the plan failed
	behind        []string        // sequences that were behind before the plan
}

// StatementReport is one statement of the plan with what it cost.
type StatementReport struct {
	SQL         string             `json:"sql"`
	Description string             `json:"description"`
	Class       schema.HazardClass `json:"class"`
	Hazards     []schema.Hazard    `json:"hazards,omitempty"`
	Measure     Measure            `json:"measure"`
	Ran         bool               `json:"ran"`
}

// BlockedTable says how long users of a table wait. A group of statements holds its locks until it is committed.
type BlockedTable struct {
	Table         string   `json:"table"`
	Reads         Duration `json:"reads"` // in total
	Writes        Duration `json:"writes"`
	LongestReads  Duration `json:"longest_reads"` // by one group
	LongestWrites Duration `json:"longest_writes"`
	// Class: online (below 100 ms at a time), brief (below 3 s), window (longer: needs a maintenance window, or expand and contract).
	Class string `json:"class"`
}

// TableSum compares the rows of a table before and after.
type TableSum struct {
	Table      string `json:"table"`           // its name before
	After      string `json:"after,omitempty"` // and after, where it is another
	RowsBefore int64  `json:"rows_before"`
	RowsAfter  int64  `json:"rows_after"`
	// Columns that the plan does not touch, and those among them whose values are not what they were.
	Columns int      `json:"columns"`
	Changed []string `json:"changed,omitempty"`
}

// SequenceBehind is a sequence whose next number is in its column already.
type SequenceBehind struct {
	Sequence string `json:"sequence"`
	Column   string `json:"column"`
	Next     int64  `json:"next"`
	Highest  int64  `json:"highest"`
}

// ColumnProfile is what a new column holds.
type ColumnProfile struct {
	Column       string  `json:"column"`
	Rows         int64   `json:"rows"`
	Nulls        int64   `json:"nulls"`
	Distinct     int64   `json:"distinct"`
	DefaultShare float64 `json:"default_share"` // of the rows that hold the most frequent value, which is the default in a column that was just added
}

// Verdict says whether a plan may be applied.
type Verdict string

// The verdicts.
const (
	Ready       Verdict = "ready"
	NeedsAnswer Verdict = "needs answer" // somebody has to say yes, or to answer a question
	Blocked     Verdict = "blocked"      // the plan has to be another, or the data
)

// Reason is one thing that stands between a plan and production.
type Reason struct {
	Verdict Verdict `json:"verdict"`
	Code    string  `json:"code"` // stable: question, problem, failed, data, lossy, breaking, rows, sequence, index, constraint, oracle
	Text    string  `json:"text"`
	// Allow is the consent that settles it (lossy, breaking); "" where none does.
	Allow string `json:"allow,omitempty"`
}

// Gate is the verdict for somebody who gave these consents.
func (r *Report) Gate(allowed ...string) (Verdict, []Reason) {
	verdict := Ready
	var open []Reason
	for _, reason := range r.Reasons {
		if reason.Allow != "" && slices.Contains(allowed, reason.Allow) {
			continue
		}
		open = append(open, reason)
		if reason.Verdict == Blocked || verdict == Ready {
			verdict = reason.Verdict
		}
	}
	return verdict, open
}

// StatementTimeouts bound each statement in production: ten times what it took on the copy, and never less than ten seconds.
func (r *Report) StatementTimeouts() []time.Duration {
	out := make([]time.Duration, len(r.Statements))
	for i, s := range r.Statements {
		out[i] = max(10*time.Duration(s.Measure.Time), 10*time.Second)
	}
	return out
}

// predict adds up for how long each table's users wait.
func (r *Report) predict(steps []step) {
	total := map[string]*BlockedTable{}
	for _, s := range steps {
		reads, writes := map[string]Duration{}, map[string]Duration{}
		for _, i := range s.statements {
			if i >= len(r.Statements) || !r.Statements[i].Ran {
				continue
			}
			m := r.Statements[i].Measure
			r.WALBytes += m.WALBytes
			r.DiskBytes += m.NewBytes
			for _, l := range m.Locks { // those of the whole transaction so far, so each statement counts for all of them
				if stopsWriters(l.Mode) {
					writes[l.Table] += m.Time
				}
				if stopsReaders(l.Mode) {
					reads[l.Table] += m.Time
				}
			}
		}
		for table, time := range writes {
			b := total[table]
			if b == nil {
				b = &BlockedTable{Table: table}
				total[table] = b
			}
			b.Writes += time
			b.Reads += reads[table]
			b.LongestWrites, b.LongestReads = max(b.LongestWrites, time), max(b.LongestReads, reads[table])
		}
	}
	for _, b := range total {
		switch {
		case time.Duration(b.LongestWrites) < 100*time.Millisecond:
			b.Class = "online"
		case time.Duration(b.LongestWrites) < 3*time.Second:
			b.Class = "brief"
		default:
			b.Class = "window"
		}
		r.Blocked = append(r.Blocked, *b)
	}
	slices.SortFunc(r.Blocked, func(a, b BlockedTable) int {
		if a.LongestWrites != b.LongestWrites {
			return int(b.LongestWrites - a.LongestWrites)
		}
		return strings.Compare(a.Table, b.Table)
	})
}

// judge lists the reasons.
func (r *Report) judge(plan *schema.Plan) {
	add := func(v Verdict, code, allow, format string, args ...any) {
		r.Reasons = append(r.Reasons, Reason{Verdict: v, Code: code, Text: fmt.Sprintf(format, args...), Allow: allow})
	}
	for _, p := range plan.Problems {
		add(Blocked, "problem", "", "%s: %s", p.Object, p.Reason)
	}
	for _, q := range plan.Questions {
		add(NeedsAnswer, "question", "", "%s", q.Text)
	}
	if r.Error != "" {
		add(Blocked, "failed", "", "the plan does not run on the copy: %s", r.Error)
	}
	for _, f := range r.Findings {
		switch f.Verdict {
		case schema.Blocks:
			add(Blocked, "data", "", "%s", f.Text)
		case schema.Loses:
			add(NeedsAnswer, "lossy", "lossy", "%s", f.Text)
		}
	}
	for _, s := range plan.Statements {
		for _, h := range s.Hazards {
			switch h.Class {
			case schema.Lossy:
				add(NeedsAnswer, "lossy", "lossy", "%s: %s", s.Description, h.Text)
			case schema.Breaking:
				add(NeedsAnswer, "breaking", "breaking", "%s: %s", s.Description, h.Text)
			}
		}
	}
	for _, t := range r.Tables {
		if t.RowsBefore != t.RowsAfter {
			add(Blocked, "rows", "", "%s had %d rows and has %d after the plan", t.Table, t.RowsBefore, t.RowsAfter)
		} else if len(t.Changed) > 0 {
			add(Blocked, "rows", "", "the plan changes values of %s in %v, which it should leave alone", t.Table, t.Changed)
		}
	}
	for _, s := range r.Sequences {
		add(Blocked, "sequence", "", "%s gives %d next, but %s holds %d already", s.Sequence, s.Next, s.Column, s.Highest)
	}
	for _, i := range r.InvalidIndexes {
		add(Blocked, "index", "", "the index %s is invalid", i)
	}
	for _, b := range r.Broken {
		add(NeedsAnswer, "breaking", "breaking", "a statement that runs %.0f times a day fails afterwards: %s: %.200s", b.CallsPerDay, b.Error, b.SQL)
	}
	for _, l := range r.Leftovers {
		add(Blocked, "oracle", "", "the result is not development's structure: %s", l)
	}
}
