package api

import "time"

// Report is what a rehearsal found. Times are in milliseconds.
type Report struct {
	StartedAt  time.Time         `json:"started_at"`
	FinishedAt time.Time         `json:"finished_at"`
	Verdict    string            `json:"verdict" enum:"ready,needs answer,blocked" doc:"Before anybody consented to anything."`
	Reasons    []ReportReason    `json:"reasons" nullable:"false" doc:"What stands between the plan and production."`
	Error      string            `json:"error,omitempty" doc:"Why the plan did not run to its end on the copy."`
	Statements []ReportStatement `json:"statements" nullable:"false" doc:"Those of the plan, with what each cost on the copy."`
	Blocked    []ReportBlocked   `json:"blocked" nullable:"false" doc:"Tables whose users will have to wait, those who wait longest first."`
	DiskBytes  int64             `json:"disk_bytes" doc:"Needed meanwhile for what is written anew."`
	WALBytes   int64             `json:"wal_bytes"`

	Findings       []ReportFinding  `json:"findings" nullable:"false" doc:"Rows that stand in the way, and values that would not survive."`
	Tables         []ReportTable    `json:"tables" nullable:"false" doc:"Rows of every table before and after."`
	Sequences      []ReportSequence `json:"sequences" nullable:"false" doc:"Sequences that would give a number again."`
	NewColumns     []ReportColumn   `json:"new_columns" nullable:"false"`
	InvalidIndexes []string         `json:"invalid_indexes" nullable:"false"`
	Unvalidated    []string         `json:"unvalidated" nullable:"false" doc:"Constraints that are not known to hold for every row."`

	Queries     int           `json:"queries" doc:"Statements of running code that were tried."`
	Broken      []ReportQuery `json:"broken" nullable:"false" doc:"They worked before and fail now."`
	Untried     []ReportQuery `json:"untried" nullable:"false" doc:"They could not be tried before the plan, either."`
	Performance []ReportSpeed `json:"performance" nullable:"false" doc:"The statements that take most time, before and after."`
	Unused      []string      `json:"unused_indexes" nullable:"false" doc:"New indexes that none of these uses."`

	Leftovers []string     `json:"leftovers" nullable:"false" doc:"How the result differs from what it should be, by pg_dump."`
	KeptDrift []string     `json:"kept_drift" nullable:"false" doc:"Differences that are there because production has its own."`
	Hooks     []ReportHook `json:"hooks" nullable:"false" doc:"The project's own checks."`
}

// ReportReason is one thing that stands between a plan and production.
type ReportReason struct {
	Verdict string `json:"verdict" enum:"needs answer,blocked"`
	Code    string `json:"code" example:"data"`
	Text    string `json:"text"`
	Allow   string `json:"allow,omitempty" doc:"The consent that settles it." example:"breaking"`
}

// ReportStatement is a statement with what it cost.
type ReportStatement struct {
	SQL         string        `json:"sql"`
	Description string        `json:"description"`
	Class       string        `json:"class"`
	Ran         bool          `json:"ran"`
	Measure     ReportMeasure `json:"measure"`
}

// ReportMeasure is what a statement cost.
type ReportMeasure struct {
	Time        float64      `json:"time"`
	Waited      float64      `json:"waited,omitempty" doc:"Earlier attempts and the pauses between them."`
	Attempts    int          `json:"attempts,omitempty"`
	WALBytes    int64        `json:"wal_bytes"`
	Rows        int64        `json:"rows,omitempty"`
	RowsScanned int64        `json:"rows_scanned,omitempty"`
	Locks       []ReportLock `json:"locks,omitempty"`
	Rewritten   []string     `json:"rewritten,omitempty" doc:"Tables and indexes that were written anew."`
	NewBytes    int64        `json:"new_bytes,omitempty"`
}

// ReportLock is a lock on a table.
type ReportLock struct {
	Table string `json:"table"`
	Mode  string `json:"mode" example:"ACCESS EXCLUSIVE"`
}

// ReportBlocked says for how long users of a table will have to wait.
type ReportBlocked struct {
	Table         string  `json:"table"`
	Reads         float64 `json:"reads"`
	Writes        float64 `json:"writes"`
	LongestReads  float64 `json:"longest_reads"`
	LongestWrites float64 `json:"longest_writes"`
	Class         string  `json:"class" enum:"online,brief,window"`
}

// ReportFinding is what a look at the rows found.
type ReportFinding struct {
	Verdict string   `json:"verdict" enum:"clean,unknown,loses,blocks"`
	Count   int64    `json:"count"`
	Rows    []string `json:"rows,omitempty" doc:"Some of the rows, as JSON; for those who may see production's rows."`
	Text    string   `json:"text"`
}

// ReportTable compares the rows of a table before and after.
type ReportTable struct {
	Table      string   `json:"table"`
	After      string   `json:"after,omitempty"`
	RowsBefore int64    `json:"rows_before"`
	RowsAfter  int64    `json:"rows_after"`
	Columns    int      `json:"columns" doc:"That the plan does not touch."`
	Changed    []string `json:"changed,omitempty" doc:"Those among them whose values are not what they were."`
}

// ReportSequence is a sequence whose next number is in use.
type ReportSequence struct {
	Sequence string `json:"sequence"`
	Column   string `json:"column"`
	Next     int64  `json:"next"`
	Highest  int64  `json:"highest"`
}

// ReportColumn is what a new column holds.
type ReportColumn struct {
	Column       string  `json:"column"`
	Rows         int64   `json:"rows"`
	Nulls        int64   `json:"nulls"`
	Distinct     int64   `json:"distinct"`
	DefaultShare float64 `json:"default_share"`
}

// ReportQuery is a statement of running code that the server refuses.
type ReportQuery struct {
	SQL         string  `json:"sql"`
	Calls       int64   `json:"calls"`
	CallsPerDay float64 `json:"calls_per_day"`
	Code        string  `json:"code" doc:"SQLSTATE"`
	Error       string  `json:"error"`
}

// ReportSpeed compares how a statement of running code runs before and after.
type ReportSpeed struct {
	SQL           string  `json:"sql"`
	CallsPerDay   float64 `json:"calls_per_day"`
	ShapeBefore   string  `json:"shape_before"`
	ShapeAfter    string  `json:"shape_after"`
	Executed      bool    `json:"executed"`
	BuffersBefore int64   `json:"buffers_before"`
	BuffersAfter  int64   `json:"buffers_after"`
	TimeBefore    float64 `json:"time_before"`
	TimeAfter     float64 `json:"time_after"`
	CostBefore    float64 `json:"cost_before"`
	CostAfter     float64 `json:"cost_after"`
	Regressed     bool    `json:"regressed"`
	Why           string  `json:"why,omitempty"`
}

// ReportHook is what one of a project's own checks came to.
type ReportHook struct {
	Check  string  `json:"check" enum:"command,url"`
	OK     bool    `json:"ok"`
	Status int     `json:"status" doc:"The exit code, or the HTTP status."`
	Time   float64 `json:"time"`
	Output string  `json:"output,omitempty" doc:"Its beginning; for those who may see production's rows."`
	Error  string  `json:"error,omitempty"`
}

// PublishEvent is something that happened while a publish was rehearsed or applied.
type PublishEvent struct {
	At        time.Time      `json:"at"`
	Phase     string         `json:"phase" enum:"rehearsal,apply"`
	Kind      string         `json:"kind" enum:"started,done,committed,blocked,retry,ended,reconnected,turned"`
	Direction string         `json:"direction" enum:"forward,back"`
	Statement int            `json:"statement" doc:"From 1; 0 for what concerns a whole group."`
	SQL       string         `json:"sql,omitempty"`
	Text      string         `json:"text,omitempty"`
	Attempt   int            `json:"attempt,omitempty"`
	Wait      float64        `json:"wait,omitempty"`
	Blockers  []EventBlocker `json:"blockers,omitempty" doc:"Who holds what the statement needs."`
	Measure   *ReportMeasure `json:"measure,omitempty"`
	Predicted float64        `json:"predicted,omitempty" doc:"What the statement took in the rehearsal, in milliseconds; in an apply."`
}

// EventBlocker is a session that holds what a statement needs.
type EventBlocker struct {
	PID            int     `json:"pid"`
	Application    string  `json:"application,omitempty"`
	Role           string  `json:"role,omitempty"`
	State          string  `json:"state,omitempty"`
	TransactionAge float64 `json:"transaction_age"`
	QueryAge       float64 `json:"query_age"`
	Query          string  `json:"query,omitempty" doc:"Without its values."`
}
