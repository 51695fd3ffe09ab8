package holdfast

import "time"

// JobID identifies a job.
type JobID string

// JobState is where a job stands.
type JobState string

// The states of a job. Succeeded, Failed and Canceled are final.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobCanceling JobState = "canceling" // asked to stop; it is undoing what it did
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// Final says whether the job has ended.
func (s JobState) Final() bool { return s == JobSucceeded || s == JobFailed || s == JobCanceled }

// Job is an operation that takes time: durable, visible, resumed or undone after a crash, never left half.
type Job struct {
	ID        JobID
	Kind      string // create_project, delete_branch, ...
	ProjectID ProjectID
	BranchID  BranchID
	Subject   string // what it works on, as people write it: shop, shop/production
	State     JobState
	Step      string // what it is doing now, for a person
	StepIndex int    // steps done
	StepCount int
	Done      int64 // units of work done in this step; bytes when Unit is "bytes"
	Total     int64 // 0: not known
	Unit      string
	Error     string // why it failed, for a person
	ErrorKind Kind
	Result    string // JSON of what it produced; empty before it succeeded
	Actor     string // who asked
	CreatedAt time.Time
	StartedAt time.Time
	EndedAt   time.Time
}

// Remaining estimates the time left in the current step from the speed so far; false when it cannot be told.
func (j Job) Remaining(stepStarted, now time.Time) (time.Duration, bool) {
	elapsed := now.Sub(stepStarted)
	if j.Total <= 0 || j.Done <= 0 || j.Done > j.Total || elapsed <= 0 {
		return 0, false
	}
	return time.Duration(float64(elapsed) * float64(j.Total-j.Done) / float64(j.Done)), true
}

// JobLine is one line of a job's log.
type JobLine struct {
	Seq  int64
	At   time.Time
	Text string
}
