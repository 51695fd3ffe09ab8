package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// Job is an operation that takes time.
type Job struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind" example:"create_project"`
	Subject   string    `json:"subject" doc:"What it works on." example:"shop"`
	State     string    `json:"state" enum:"queued,running,canceling,succeeded,failed,canceled"`
	Step      string    `json:"step,omitempty" doc:"What it is doing now, for a person."`
	StepIndex int       `json:"step_index" doc:"Steps done."`
	StepCount int       `json:"step_count"`
	Done      int64     `json:"done" doc:"Units of work done in this step."`
	Total     int64     `json:"total,omitempty" doc:"Units of work in this step; left out when it is not known."`
	Unit      string    `json:"unit,omitempty" example:"bytes"`
	Error     string    `json:"error,omitempty" doc:"Why it failed, for a person."`
	ErrorCode string    `json:"error_code,omitempty" doc:"Why it failed, for programs: as the code of a problem."`
	Result    any       `json:"result,omitempty" doc:"What it produced."`
	Actor     string    `json:"actor" doc:"Who asked for it."`
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Final says whether the job has ended.
func (j Job) Final() bool { return holdfast.JobState(j.State).Final() }

// Err is nil for a job that succeeded or goes on, and otherwise the error that it ended with.
func (j Job) Err() error {
	switch holdfast.JobState(j.State) {
	case holdfast.JobFailed:
		return &holdfast.Error{Kind: holdfast.ParseKind(j.ErrorCode), Message: j.Error}
	case holdfast.JobCanceled:
		return &holdfast.Error{Kind: holdfast.Canceled, Message: "job " + j.ID + " was canceled"}
	}
	return nil
}

// JobLine is one line of a job's log.
type JobLine struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Jobs lists jobs, the newest first; an empty project is every project.
func (c *Client) Jobs(ctx context.Context, project string, limit int) ([]Job, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if project != "" {
		q.Set("project", project)
	}
	return list[Job](ctx, c, JobsPath+"?"+q.Encode())
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	return call[Job](ctx, c, http.MethodGet, Path(JobPath, id), nil)
}

// JobLog returns the lines of a job's log after number after.
func (c *Client) JobLog(ctx context.Context, id string, after int64) ([]JobLine, error) {
	return list[JobLine](ctx, c, Path(JobLogPath, id)+"?after="+strconv.FormatInt(after, 10))
}

// CancelJob asks a job to stop and to undo what it did. The answer is its state now; it may still be stopping.
func (c *Client) CancelJob(ctx context.Context, id string) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(JobCancelPath, id), nil)
}
